"""What a script deletes that its model's forward calls, and who calls that forward."""

import textwrap

from headcheck import pipeline

TRUNK = """
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet


def trunk(**options):
    model = ResNet(BasicBlock, [2, 2, 2, 2], **options)
    del model.avgpool
    return model
"""
NETWORK = """

class Net(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.trunk = trunk(**options)

    def forward(self, x):
        return self.trunk.layer1(self.trunk.conv1(x))
"""


def found(text):
    return [(f.code, f.location.row) for f in pipeline.check_text(textwrap.dedent(text), "script.py")]


def test_a_function_may_make_a_trunk_for_others():
    assert found(TRUNK) == []
    assert found(TRUNK + NETWORK) == []


def test_a_model_that_is_called_lacks_what_was_deleted():
    assert found(TRUNK + "\n\ntrunk()(picture)\n") == [("HC202", 8)]
