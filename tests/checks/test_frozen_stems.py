"""New layers inside a pretrained model that are frozen with it: nothing is wrong where they have its numbers."""

import pytest

from headcheck import pipeline

START = """
import torch
from torch import nn, optim
from torchvision import models
"""
MADE = 'model = models.resnet18(weights="DEFAULT")\n'
OLD = "old = model.conv1.weight\n"
STEM = "model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)\n"
FREEZE = "for parameter in model.parameters():\n    parameter.requires_grad = False\n"
HEAD = "model.fc = nn.Linear(512, 3)\noptimizer = optim.Adam(model.parameters())\n"
NET = """
class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.last = nn.Linear(512, 3)

    def forward(self, x):
        return self.last(torch.flatten(self.body(x), 1))


"""
WRONG = {
    "all": MADE + STEM + FREEZE + HEAD,
    "but for names": MADE + STEM + "for n, p in model.named_parameters():\n    p.requires_grad = 'fc' in n\n" + HEAD,
    "the early layers": MADE
    + STEM
    + "for part in list(model.children())[:6]:\n    part.requires_grad_(False)\n"
    + HEAD,
    "in other hands": NET
    + MADE
    + STEM
    + "body = nn.Sequential(*list(model.children())[:-1])\nbody.requires_grad_(False)\nmodel = Net(body)\n",
    "deep inside": MADE.replace("resnet18", "densenet121")
    + "model.features.conv0 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)\n"
    + FREEZE
    + "model.classifier = nn.Linear(1024, 3)\n",
}
RIGHT = {
    "frozen before": MADE + FREEZE + STEM + HEAD,
    "thawed": MADE + STEM + FREEZE + "model.conv1.requires_grad_(True)\n" + HEAD,
    "the late layers": MADE + STEM + "for part in list(model.children())[4:]:\n    part.requires_grad_(False)\n" + HEAD,
    "the mean of the old": MADE
    + OLD
    + STEM
    + "model.conv1.weight = nn.Parameter(old.mean(1, keepdim=True))\n"
    + FREEZE
    + HEAD,
    "data": MADE + OLD + STEM + "model.conv1.weight.data = old.data.mean(1, keepdim=True)\n" + FREEZE + HEAD,
    "copied": MADE
    + OLD
    + STEM
    + "with torch.no_grad():\n    model.conv1.weight.copy_(old.mean(1, keepdim=True))\n"
    + FREEZE
    + HEAD,
    "item by item": MADE + OLD + STEM + "model.conv1.weight.data[:, :1] = old[:, :1]\n" + FREEZE + HEAD,
    "loaded": MADE + STEM + "model.load_state_dict(torch.load('gray.pth'), strict=False)\n" + FREEZE + HEAD,
    "by other code": MADE + STEM + "from weights import fill\nfill(model.conv1)\n" + FREEZE + HEAD,
    "random all over": MADE.replace('"DEFAULT"', "None") + STEM + FREEZE + HEAD,
    "not to learn": MADE + STEM + FREEZE + "model.eval()\n",
    "frozen and thawed": MADE + STEM + FREEZE + "model.requires_grad_(True)\n" + HEAD,
}


def found(text):
    return [finding.code for finding in pipeline.check_text(START + text, "script.py")]


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_random_layer_is_frozen_with_the_pretrained_ones(text):
    assert found(text) == ["HC301"]


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_nothing_is_said_of(text):
    assert not {"HC301", "HC304"}.intersection(found(text))


def test_a_head_that_its_holder_freezes_was_not_meant_alone():
    whole = NET + MADE + "model.fc = nn.Linear(512, 512)\nnet = Net(model)\nnet.requires_grad_(False)\n"
    assert found(whole + "net.last.requires_grad_(True)\nmodel.layer4.requires_grad_(True)\n") == ["HC301"]
    assert found(whole + "net.last.requires_grad_(True)\nmodel.fc.requires_grad_(True)\n") == []
    assert (
        found(NET + MADE + "model.fc = nn.Linear(512, 512)\nnet = Net(model)\nmodel.fc.requires_grad_(False)\n") == []
    )
