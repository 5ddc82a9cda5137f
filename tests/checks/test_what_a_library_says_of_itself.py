"""What a thing of a library, or a model, says of itself in words is sure, but not known here: no branch on it is one
that a script can choose."""

from __future__ import annotations

import pytest

from tests.reading import found

ADAPT = """
def adapt(model, builder, weights, args):
    said = {said}
    if "VGG" in said or "vgg" in said:
        model.classifier[6] = nn.Linear(model.classifier[6].in_features, 10)
    else:
        model.fc = nn.Linear(model.fc.in_features, 10)
    return model


import sys
model = adapt(models.resnet50(), models.resnet50, models.ResNet50_Weights, sys.argv)
other = adapt(models.vgg16(), models.vgg16, models.VGG16_Weights, sys.argv)
"""


@pytest.mark.parametrize(
    "said",
    [
        "str(weights)",
        "repr(weights)",
        "f'{weights.DEFAULT}'",
        "str(weights.DEFAULT)",
        "weights.DEFAULT.url",
        "weights.DEFAULT.__class__.__name__",
        "weights.__name__",
        "str(builder)",
        "builder.__name__",
        "str(model)",
        "repr(model)",
        "type(model).__name__",
        "str(type(model))",
        "model._get_name()",
    ],
)
def test_no_branch_is_sure(said):
    assert found(ADAPT.format(said=said)) == []


def test_what_the_user_says_is_a_choice():
    assert {code for _, code in found(ADAPT.format(said="args[1]"))} == {"HC202"}


EMPTY = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--parallel", {how})
args = parser.parse_args()
model = models.resnet18()
if args.parallel:
    model = nn.DataParallel(model)
print(model.module.fc)
"""


@pytest.mark.parametrize(
    "how, codes",
    [
        ("default='y'", []),
        ("default='y', type=str", []),
        ("default=''", ["HC202"]),
        ("default=1, type=int", ["HC202"]),
        ("action='store_true'", ["HC202"]),
    ],
)
def test_nobody_types_an_empty_text(how, codes):
    assert [code for _, code in found(EMPTY.format(how=how))] == codes


DIRECT = """
import pytorch_lightning as pl

class Base(pl.LightningModule):
    def __init__(self, train=None):
        {init}
        self.train_set = train

class Own(Base):
    def __init__(self, train):
        super().__init__(train=train)
        self.model = models.resnet18()
"""


@pytest.mark.parametrize(
    "init, codes", [("pl.LightningModule.__init__(self)", []), ("super().__init__()", []), ("pass", ["HC208"])]
)
def test_a_base_may_be_initialised_by_its_own_name(init, codes):
    assert [code for _, code in found(DIRECT.format(init=init))] == codes
