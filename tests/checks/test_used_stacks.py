"""HC206: a stack of a model's children that is only there to be cut is not run, whoever trains its parts."""

from __future__ import annotations

import pytest

from tests.reading import found

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        whole = nn.Sequential(*list(models.{model}(weights="DEFAULT").children()))
        self.trunk = {trunk}
        self.head = nn.Linear({size}, 10)

    def forward(self, x):
        return self.head(torch.flatten(self.trunk(x), 1))

net = Net()
"""
OPTIMIZERS = [
    "optimizer = torch.optim.SGD(net.parameters(), lr=0.01)",
    "optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)",
    "optimizer = torch.optim.SGD([*net.trunk.parameters(), *net.head.parameters()], lr=0.01)",
    "optimizer = torch.optim.SGD(net.parameters(), lr=0.01)\nnet(torch.zeros(2, 3, 224, 224))",
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_part_of_a_stack_is_trained(optimizer):
    assert found(NET.format(model="resnet50", trunk="whole[:8]", size=2048 * 49) + optimizer) == []
    assert found(NET.format(model="vgg16", trunk="whole[0]", size=25088) + optimizer) == []


def test_the_whole_of_it_is_trained():
    script = NET.format(model="resnet50", trunk="whole", size=1000) + OPTIMIZERS[3]
    assert [code for _, code in found(script)] == ["HC102"]  # the layer that gets the map says so itself


LOOKED_AT = """
base = models.resnet50(weights="DEFAULT")
stack = nn.Sequential(*list(base.children()))
print(stack)
"""


def test_the_model_itself_is_trained():
    assert found(LOOKED_AT + "optimizer = torch.optim.SGD(base.parameters(), lr=0.01)") == []
    assert found(LOOKED_AT + "optimizer = torch.optim.SGD(base.fc.parameters(), lr=0.01)\nbase(x)") == []


@pytest.mark.parametrize(
    "given",
    ["stack.parameters()", "[p for p in stack.parameters() if p.requires_grad]", "[{'params': stack.parameters()}]"],
)
def test_the_stack_is_trained(given):
    script = LOOKED_AT + f"optimizer = torch.optim.SGD({given}, lr=0.01)"
    assert [code for _, code in found(script)] == ["HC206"]
