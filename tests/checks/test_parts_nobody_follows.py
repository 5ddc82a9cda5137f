"""A layer that is put in at a place which is not known may be any layer of the model: its stem, too."""

from __future__ import annotations

import pytest

from headcheck.pipeline import check_text
from tests.reading import found

PUT_IN = """
import sys
model = models.resnet18()
new = nn.Conv2d(15, 64, 7, 2, 3, bias=False)
index, name = int(sys.argv[1]), sys.argv[2]
{put}
model(torch.zeros(1, 15, 224, 224))
"""


@pytest.mark.parametrize(
    "put",
    [
        "setattr(list(model.modules())[index], 'conv1', new)",
        "setattr(list(model.modules())[index], name, new)",
        "list(model.children())[index][0] = new",
        "list(model.modules())[index]._modules['conv1'] = new",
        "[part for part in model.modules() if isinstance(part, nn.Module)][index].conv1 = new",
        "pair = list(model.named_modules())[index]\nsetattr(pair[1], name, new)",
        "getattr(model, name).conv1 = new",
        "model.get_submodule(name).conv1 = new",
        "model._modules[name] = new",
        "setattr(model, name, new)",
        "parent = model\nfor part in name.split('.'):\n    parent = getattr(parent, part)\nparent.conv1 = new",
        "from functools import reduce\nreduce(getattr, name.split('.'), model).conv1 = new",
        "next(part for part in model.modules() if len(list(part.children())) == index).conv1 = new",
        "from somewhere import widen\nwiden(model)",
    ],
)
def test_the_stem_may_be_another_one(put):
    assert found(PUT_IN.format(put=put)) == []


@pytest.mark.parametrize("put", ["", "model.fc = nn.Linear(512, 10)", "model.layer1[0].conv2 = nn.Conv2d(64, 64, 3)"])
def test_the_stem_is_as_it_was(put):
    assert [code for _, code in found(PUT_IN.format(put=put))] == ["HC108"]


HANDED = """
from somewhere import adapt, Surgeon
model = models.resnet18()
{how}
head = nn.Linear(2048, 10)
head(model(torch.zeros(2, 3, 224, 224)))
"""


@pytest.mark.parametrize(
    "how, codes",
    [
        ("adapt(model)", []),
        ("adapt([model])", []),
        ("Surgeon(model).widen()", []),
        ("surgeon = Surgeon()\nsurgeon.widen(model)", []),
        ("adapt(3)", ["HC101"]),
        ("print(model)", ["HC101"]),
        ("import wandb\nwandb.watch(model)", ["HC101"]),
        ("import thop\nthop.profile(model)", ["HC101"]),
    ],
)
def test_what_a_model_answers_after_code_that_nobody_reads(how, codes):
    assert [code for _, code in found(HANDED.format(how=how))] == codes


TAKEN_APART = """
import torch
from elsewhere import Up
from torch import nn


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.compress = nn.Conv2d(3, 256, 1)
        self.up = {}
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, 10)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*(list(Body().children())[:-2]))
        self.last = nn.Conv2d(32, 16, kernel_size=1)

    def forward(self, x):
        return self.last(self.body(x))


net = Net()
net(torch.zeros(1, 3, 8, 8))
"""


@pytest.mark.parametrize(
    "up, expected",
    [("Up(256, 32)", set()), ("nn.Conv2d(256, 32, 1)", set()), ("nn.Conv2d(256, 64, 1)", {"HC105"}), ("7", {"HC105"})],
)
def test_a_layer_of_unread_code_is_one_of_the_children(up, expected):
    assert {finding.code for finding in check_text(TAKEN_APART.format(up), "train.py")} == expected
