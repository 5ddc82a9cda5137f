"""Classes of the script that derive from a model of the library: built as that, with the forward of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from confirm_plans import needs_torch

from headcheck import pipeline
from headcheck.findings import FileResult
from headcheck.settings import Settings

pytestmark = needs_torch

TRUNK = """
import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock


class Trunk(models.ResNet):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.out_features = self.fc.in_features
    {method}
    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        return self.layer4[1](self.layer4[0](x))


def trunk():
    return Trunk(BasicBlock, [2, 2, 2, 2])
"""
NETWORK = """

class Net(nn.Module):
    def __init__(self, backbone, classes):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear({size}, classes)

    def forward(self, x):
        return self.head(self.backbone(x).mean((2, 3)))


model = Net(trunk(), 5)
criterion = nn.CrossEntropyLoss()
for x, y in loader:
    criterion(model(x), y).backward()
"""


def said(tmp_path: Path, text: str) -> FileResult:
    (tmp_path / "net.py").write_text(text, encoding="utf-8")
    settings = Settings(confirm=True, python=sys.executable, device="meta")
    return pipeline.run([str(tmp_path)], settings, models=True).files[0]


def test_the_forward_of_its_own_is_what_runs(tmp_path: Path) -> None:
    result = said(tmp_path, TRUNK.format(method=""))
    (verdict,) = (model.verdict for model in result.models)
    assert verdict is not None
    assert (verdict.status, verdict.output_shapes) == ("clean", (("", (2, 512, 7, 7)),))
    assert "fc" not in verdict.gradient


def test_in_a_network(tmp_path: Path) -> None:
    right = said(tmp_path, TRUNK.format(method="") + NETWORK.format(size="backbone.out_features"))
    assert right.findings == ()
    assert [model.verdict and model.verdict.output_shapes for model in right.models] == [(("", (2, 5)),)]
    whole = TRUNK.format(method="").replace("self.layer4[1](self.layer4[0](x))", "self.layer4(x)")
    (finding,) = said(tmp_path, whole + NETWORK.format(size=300)).findings
    assert finding.verdict is not None
    assert (finding.code, finding.verdict.status) == ("HC101", "confirmed")
    assert "(2x512 and 300x5)" in finding.verdict.detail


@pytest.mark.parametrize("name", ["train", "parameters", "to"])
def test_methods_of_modules_that_are_its_own_are_not_followed(tmp_path: Path, name: str) -> None:
    text = TRUNK.format(method=f"def {name}(self, *given):\n        return []\n")
    (model,) = said(tmp_path, text).models
    assert model.verdict is not None
    assert model.verdict.status == "inconclusive"
