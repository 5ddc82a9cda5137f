"""``super()`` asked for a method that no class above has: the layers that follow are not what is wrong."""

from __future__ import annotations

import pytest

from headcheck import pipeline

NET = """
import torch
from torch import nn
from torchvision import models

class Base(PARENT):
    def reset(self):
        pass

class Net(Base):
    def __init__(self):
        FIRST
        self.backbone = models.resnet18(weights="DEFAULT")
        self.backbone.fc = nn.Linear(512, 2)

    def forward(self, x):
        return self.backbone(x)

Net()
"""


def found(first, parent="nn.Module"):
    text = NET.replace("FIRST", first).replace("PARENT", parent)
    return [(f.location.row, f.code, f.help) for f in pipeline.check_text(text, "script.py")]


@pytest.mark.parametrize("first", ["super()._init_()", "super(Net, self)._init_()"])
def test_a_name_with_too_few_underscores(first):
    assert found(first) == [(12, "HC202", "did you mean `__init__`?")]


def test_a_method_that_nobody_has():
    assert found("super().__init__(); super().restart()") == [(12, "HC202", "")]


@pytest.mark.parametrize("name", ["reset", "train", "_get_name", "state_dict", "extra_repr"])
def test_a_method_that_some_class_has(name):
    assert found(f"super().__init__(); super().{name}()") == []


def test_nothing_is_known_of_what_another_base_has():
    assert found("super().__init__(); super().restart()", "nn.Module, Mixin") == []
    assert found("super().__init__(); super().restart()", "pytorch_lightning.LightningModule") == []


def test_no_init_at_all():
    assert [code for _, code, _ in found("pass")] == ["HC208"]
