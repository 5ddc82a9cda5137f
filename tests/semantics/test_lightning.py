"""What Lightning does to a model beyond torch."""

from headcheck import blindspots, events
from tests.reading import follow, found, paths

NET = """
    import pytorch_lightning as pl

    class Net(pl.LightningModule):
        def __init__(self, count=10, body=None):
            super().__init__()
            self.model = models.resnet50() if count > 3 else models.resnet34()
            self.body = body

    {}
"""


def script(*lines):
    return NET.format("\n    ".join(lines))


def test_an_object_made_of_a_checkpoint():
    load = "m = Net.load_from_checkpoint('last.ckpt', map_location='cpu', count={})"
    put = "m.model.fc = nn.Linear({}, 3)"
    assert found(script(load.format(9), put.format(2048))) == []
    assert found(script(load.format(9), put.format(512))) == [(10, "HC101")]
    assert found(script("n = Net(2)", load.format(3).replace("Net", "n"), put.format(2048))) == [(11, "HC101")]


def test_what_was_saved_is_not_known():
    load = "m = Net.load_from_checkpoint('last.ckpt')"
    assert found(script(load, "m.model.fc = nn.Linear(m.model.fc.in_features, 3)")) == []
    assert {code for _, code in found(script(load, "m.model.fc = nn.Linear(7, 3)"))} == {"HC101"}
    (body,) = blindspots.survey(follow(script(load, "m.body.fc = nn.Linear(7, 3)")))
    assert body.reason.words == "`body` is what a checkpoint was saved with"


def test_weights_are_loaded_into_it():
    ends = paths(script("m = Net.load_from_checkpoint('last.ckpt', count=9)"))
    assert all([*end.of(events.Loaded)] for end in ends)


def test_a_class_that_loads_in_its_own_way():
    own = """
    class Own(Net):
        @classmethod
        def load_from_checkpoint(cls, path):
            return models.vgg16()

    m = Own.load_from_checkpoint("last.ckpt")
    m.fc.in_features
    """
    assert [code for _, code in found(script(own))] == ["HC202"]


def test_a_class_that_is_not_lightnings():
    assert found("class Net(nn.Module):\n    pass\nNet().load_from_checkpoint(1)") == [(3, "HC202")]
