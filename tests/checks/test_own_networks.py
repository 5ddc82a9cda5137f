"""A new head on a network of the project's own whose blocks are made in loops, as copies of well-known networks do."""

import pytest

from headcheck import pipeline

RESIDUAL = """
import math
import torch
from torch import nn

def conv3x3(planes, out, stride=1):
    return nn.Conv2d(planes, out, kernel_size=3, stride=stride, padding=1, bias=False)

class Block(nn.Module):
    expansion = 2

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.conv2 = conv3x3(planes, planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        residual = x
        out = self.conv2(self.relu(self.conv1(x)))
        if self.downsample is not None:
            residual = self.downsample(x)
        out += residual
        return self.relu(out)

class Net(nn.Module):
    def __init__(self, block, layers, num_classes=1000):
        self.inplanes = 16
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
        self.layer1 = self._make_layer(block, 16, layers[0])
        self.layer2 = self._make_layer(block, 32, layers[1], stride=2)
        self.avgpool = nn.AvgPool2d(4)
        self.fc = nn.Linear(32 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                m.weight.data.normal_(0, math.sqrt(2.0 / m.out_channels))

    def _make_layer(self, block, planes, blocks, stride=1):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(nn.Conv2d(self.inplanes, planes * block.expansion, 1, stride, bias=False))
        layers = []
        layers.append(block(self.inplanes, planes, stride, downsample))
        self.inplanes = planes * block.expansion
        for i in range(1, blocks):
            layers.append(block(self.inplanes, planes))
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.layer2(self.layer1(self.conv1(x)))
        x = self.avgpool(x)
        return self.fc(x.view(x.size(0), -1))

net = Net(Block, {blocks})
net.fc = nn.Linear({width}, 5)
net(torch.randn(2, 3, 16, 16))
"""
TRANSFORMER = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        return x + self.mlp(self.norm(x))

class Net(nn.Module):
    def __init__(self, depth=4, dim=24):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 8, 8)
        {make}
        self.head = nn.Linear(dim, 1000)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        {run}
        return self.head(x[:, 0])

net = Net({depth})
net.head = nn.Linear({width}, 5)
net(torch.randn(2, 3, 16, 16))
"""
LISTED = ("self.blocks = nn.ModuleList([Block(dim) for _ in range(depth)])", "for block in self.blocks: x = block(x)")
CHAINED = ("self.blocks = nn.Sequential(*[Block(dim) for _ in range(depth)])", "x = self.blocks(x)")
GROWN = (
    "blocks = []\n        for i in range(depth): blocks.append(Block(dim))\n"
    "        self.blocks = nn.ModuleList(blocks)",
    "for block in self.blocks: x = block(x)",
)
HELD = (
    "self.all = []\n        for i in range(depth): self.all.append(Block(dim))\n"
    "        self.blocks = nn.Sequential(*self.all)",
    "x = self.blocks(x)",
)
NETWORKS = [
    *(pytest.param(RESIDUAL.replace("{blocks}", blocks), 64, id=blocks) for blocks in ("[1, 1]", "[2, 2]", "[3, 4]")),
    *(
        pytest.param(TRANSFORMER.replace("{make}", make).replace("{run}", run).replace("{depth}", depth), 24)
        for make, run in (LISTED, CHAINED, GROWN, HELD)
        for depth in ("1", "4", "12")
    ),
]


@pytest.mark.parametrize(("network", "width"), NETWORKS)
def test_the_head_has_the_size_of_what_the_blocks_leave(network, width):
    torch = pytest.importorskip("torch")
    for size in (width, width - 1):
        script = network.replace("{width}", str(size))
        found = [f.code for f in pipeline.check_text(script, "script.py")]
        if size == width:
            exec(compile(script, "script.py", "exec"), {})
            assert found == []
        else:
            with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
                exec(compile(script, "script.py", "exec"), {"torch": torch})
            assert found == ["HC105"]


SEARCH = """
import random
import torch
from torch import nn, optim

class Tower(nn.Module):
    def __init__(self, width):
        super().__init__()
        blocks = []
        for i in range(5):
            blocks.append(nn.Sequential(nn.Conv2d(3, width, 1), nn.ReLU(), nn.Conv2d(width, 3, 1)))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(3, 10)

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))

for trial in range(60):
    tower = Tower(random.choice([8, 16, 32]))
    tower.head = nn.Linear(3, 5)
    optimizer = optim.SGD(tower.parameters(), lr=0.1)

best = Tower(8)
best.head = nn.Linear(4, 5)
best(torch.randn(2, 3, 8, 8))
"""


def test_a_search_that_builds_many_networks_leaves_steps_for_what_comes_after_it():
    assert [(f.code, f.location.row) for f in pipeline.check_text(SEARCH, "script.py")] == [("HC105", 24)]
