"""Two models and the optimizers: whose parameters take the step after whose loss."""

import pytest

from headcheck import pipeline

START = """
import torch
from torch import nn, optim
from torchvision import models
from data import loader


def step(model, optimizer, pictures, labels):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(pictures), labels)
    loss.backward()
    optimizer.step()


first = models.resnet18(weights="DEFAULT")
first.fc = nn.Linear(512, 4)
model = models.resnet50(weights="DEFAULT")
model.fc = nn.Linear(2048, 4)
"""
OF_FIRST = "optimizer = optim.Adam(first.parameters())\n"
TRAINED = "for pictures, labels in loader:\n    step(model, optimizer, pictures, labels)\n"
BOTH = """
for pictures, labels in loader:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy({}, labels)
    loss.backward()
    optimizer.step()
"""
WRONG = {
    "another": OF_FIRST + TRAINED,
    "trained before": OF_FIRST + TRAINED.replace("model", "first") + TRAINED,
    "made again": OF_FIRST + TRAINED.replace("model", "first") + OF_FIRST + TRAINED,
    "trained after": OF_FIRST + TRAINED + TRAINED.replace("model", "first"),
}
RIGHT = {
    "its own": OF_FIRST + "optimizer = optim.Adam(model.parameters())\n" + TRAINED,
    "of both": "optimizer = optim.Adam([*first.parameters(), *model.parameters()])\n" + TRAINED,
    "two": "other = optim.Adam(model.parameters())\n" + OF_FIRST + TRAINED + "other.step()\n",
    "a judge of what the other answers": OF_FIRST + BOTH.format("model(first(pictures)[:, :3, None, None])"),
    "a sum": OF_FIRST + BOTH.format("first(pictures) + model(pictures)"),
    "weights of its own": OF_FIRST + "model.load_state_dict(torch.load('model.pth'))\n" + TRAINED,
    "handed on": OF_FIRST + "from training import prepare\nprepare(model)\n" + TRAINED,
    "only looked at": OF_FIRST + "model.eval()\n" + TRAINED,
    "frozen": OF_FIRST + "model.requires_grad_(False)\n" + TRAINED,
    "not a step": OF_FIRST
    + TRAINED.replace("step(model", "nn.functional.cross_entropy(model(pictures), labels) or (model"),
}


def found(text):
    return [(f.code, f.location.row) for f in pipeline.check_text(START + text, "script.py") if f.code != "HC107"]


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_the_step_of_another_model_s_optimizer_changes_nothing(text):
    assert [code for code, _ in found(text)] == ["HC402"]


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_nothing_is_said_of(text):
    assert "HC402" not in [code for code, _ in found(text)]


TAKEN = """
import torch
from torch import nn, optim
from torchvision import models
from data import loader


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(*list(models.resnet18(weights="DEFAULT").children())[:-1])
        self.embedder = nn.Linear(512, 64)

    def forward(self, x):
        return self.embedder(self.trunk(x).flatten(1))


class Better(nn.Module):
    def __init__(self, plain):
        super().__init__()
        self.trunk = nn.Sequential(*list(plain.trunk.children())[:-1])
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.embedder = nn.Linear(512, 64)

    def forward(self, x):
        return self.embedder(self.pool(self.trunk(x)).flatten(1))


plain = Plain()
model = Better(plain)
optimizer = optim.Adam({given})
for pictures, labels in loader:
    loss = nn.functional.cross_entropy({output}, labels)
    loss.backward()
    optimizer.step()
"""


def test_a_network_that_only_gives_another_its_trunk():
    assert not pipeline.check_text(TAKEN.format(given="model.parameters()", output="model(pictures)"), "script.py")


@pytest.mark.parametrize(
    "given, output, network",
    [
        ("model.parameters()", "plain(pictures) + model(pictures)", "`embedder` of Plain"),
        ("model.trunk.parameters()", "model(pictures)", "`embedder` of Better"),
        ("plain.trunk.parameters()", "plain(pictures)", "`embedder` of Plain"),
    ],
)
def test_a_network_whose_trunk_another_has_and_that_is_used(given, output, network):
    (finding,) = pipeline.check_text(TAKEN.format(given=given, output=output), "script.py")
    assert finding.code == "HC402" and network in finding.message
