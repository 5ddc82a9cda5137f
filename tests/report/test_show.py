"""What `show` prints can be read by someone who never saw a model."""

import io

from make import CLEAN, INCONCLUSIVE, model, run

from headcheck.findings import HeadReport
from headcheck.report import show


def shown(what, colour=False):
    out = io.StringIO()
    show.render(what, out, colour)
    return out.getvalue()


def test_a_model():
    assert (
        shown(run(models=[model(conditions=("size == 50", "not (pretrained)"), verdict=CLEAN)]))
        == """\
train.py:5:9 model is a resnet50
  when size == 50 and not (pretrained)
    line  5  resnet50 is built with pretrained weights
    line 16  `fc` becomes Linear(2048, 10)
  head fc: Linear(2048, 10) takes 2,048 features and gives 10
  input (1, 3, 224, 224) → output (1, 10)
  20,490 of 23,528,522 parameters trainable
  ran on cpu: output (2, 10); gradient reached fc; 812 ms

"""
    )


def test_what_is_not_known():
    unknown = model(
        variable="",
        timeline=(),
        heads=(HeadReport("AuxLogits.fc", "Linear(?, 10)", None, 10, True),),
        input_shape=(1, 3, None, None),
        output_shape=None,
        trainable=None,
        verdict=INCONCLUSIVE,
        cell=3,
    )
    assert (
        shown(run(models=[unknown]))
        == """\
train.py:cell 3:5:9 a model without a name is a resnet50
  auxiliary head AuxLogits.fc: Linear(?, 10) takes ? features and gives 10
  input (1, 3, ?, ?) → output of unknown shape
  an unknown number of 23,528,522 parameters trainable
  not shown on cpu: the worker ran out of time

"""
    )


def test_no_model():
    assert shown(run()) == "No model that headcheck knows in 1 file.\n"


def test_colours_and_hostile_names():
    said = shown(run(models=[model(variable="m\x1b[2J", conditions=("\x07",))]))
    assert "\x1b" not in said and "\x07" not in said
    assert "\x1b[1;36mmodel\x1b[0m" in shown(run(models=[model()]), colour=True)


def test_shapes():
    assert show.shape((10,)) == "(10,)"
    assert show.shape((1, None)) == "(1, ?)"
    assert show.shape(()) == "()"
