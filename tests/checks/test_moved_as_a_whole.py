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
