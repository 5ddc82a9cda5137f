"""A network of the script that keeps a flag called like torch's for itself."""

from __future__ import annotations

import pytest

from tests.reading import found

NET = """
class Backbone(nn.Module):
    def __init__(self, requires_grad=True):
        super().__init__()
        self.requires_grad = {set}
        self.features = models.resnet18()
        {asked}

    def forward(self, x):
        return self.features(x)

class Deeper(Backbone):
    pass

net = {made}
net(torch.rand(1, 3, 224, 224))
"""
FREEZES = "[p.requires_grad_(False) for p in self.parameters() if not self.requires_grad]"


@pytest.mark.parametrize("made", ["Backbone(False)", "Backbone(True)", "Deeper(False)"])
def test_a_flag_that_it_asks_for(made):
    assert found(NET.format(set="requires_grad", asked=FREEZES, made=made)) == []


def test_a_flag_that_nobody_asks_for():
    assert found(NET.format(set="requires_grad", asked="", made="Backbone(False)")) == [(4, "HC303")]
    of_others = "[p.requires_grad for p in self.parameters()]"
    assert found(NET.format(set="False", asked=of_others, made="Backbone()")) == [(4, "HC303")]


def test_a_flag_that_is_set_from_outside():
    script = NET.format(set="requires_grad", asked=FREEZES, made="Backbone()") + "net.requires_grad = False\n"
    assert found(script) == [(16, "HC303")]
