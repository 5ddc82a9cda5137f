"""Heads put into a model that was moved before, in a network: who makes the network may move all of it."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
model = models.densenet121()
model.cuda()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = model
        self.net.classifier = nn.Linear(model.classifier.in_features, 14)

    def forward(self, x):
        return self.net(x)
"""


@pytest.mark.parametrize("made, expected", [("", []), ("net = Net()\n", [(8, "HC403")]), ("net = Net().cuda()\n", [])])
def test_a_network_that_nothing_makes(made, expected):
    used = "net(torch.rand(2, 3, 224, 224, device='cuda'))\n" if made else ""
    assert found(SCRIPT + made + used) == expected


LOADED = """
import lightning as L

class System(L.LightningModule):
    def __init__(self, name{more}):
        super().__init__()
        self.name = name

model = models.resnet50()
model.to("cuda")
model.fc = nn.Linear(2048, 1)
system = System.load_from_checkpoint("a.ckpt", model=model)
{moved}model(torch.rand(2, 3, 224, 224, device="cuda"))
"""


@pytest.mark.parametrize("more", ["", ", model=None", ", **rest"])
def test_what_comes_after_a_checkpoint_is_loaded(more):
    """Lightning leaves out what the class does not take: the script goes on, and moves the model."""
    assert found(LOADED.format(more=more, moved="model = model.to('cuda')\n")) == []
