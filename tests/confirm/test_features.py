"""Models without a head, in networks of the script: extractors of timm, open_clip; and code of torch.hub alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from confirm_plans import needs_torch

from headcheck import pipeline
from headcheck.findings import FileResult
from headcheck.settings import Settings

pytestmark = needs_torch

NETWORK = """
import torch
from torch import nn
{imports}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = {backbone}
        self.head = {head}

    def forward(self, x):
        return {answer}


model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for x, y in loader:
    criterion(model(x), y).backward()
    optimizer.step()
"""
MAPS = {
    "imports": "import timm",
    "backbone": "timm.create_model('resnet18', features_only=True, out_indices=(2, 3), pretrained=True)",
    "head": "nn.Linear({size}, 5)",
    "answer": "self.head(self.backbone(x)[-1].mean((2, 3)))",
}
PICTURES = {
    "imports": "import open_clip",
    "backbone": "open_clip.create_model('ViT-B-32', pretrained='openai')",
    "head": "nn.Linear({size}, 5)",
    "answer": "self.head(self.backbone.encode_image(x))",
}
HUB = {
    "imports": "",
    "backbone": "torch.hub.load('facebookresearch/dinov2', 'dinov2_vits14')",
    "head": "nn.Linear({size}, 5)",
    "answer": "self.head(self.backbone(x))",
}
VISION = {
    "imports": "",
    "backbone": "torch.hub.load('pytorch/vision', 'resnet18', weights='DEFAULT')",
    "head": "nn.Linear({size}, 5)",
    "answer": "self.head(self.backbone(x))",
}


def said(tmp_path: Path, parts: dict[str, str], size: int) -> FileResult:
    text = NETWORK.format(**{**parts, "head": parts["head"].format(size=size)})
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    settings = Settings(confirm=True, python=sys.executable, device="meta")
    return pipeline.run([str(tmp_path)], settings, models=True).files[0]


@pytest.mark.parametrize(
    ("library", "parts", "gives"),
    [("timm", MAPS, 256), ("open_clip", PICTURES, 512), ("torchvision", VISION, 1000)],
    ids=["maps", "pictures", "hub"],
)
def test_what_reading_says_of_features_is_run(tmp_path: Path, library: str, parts: dict[str, str], gives: int) -> None:
    pytest.importorskip(library)
    assert said(tmp_path, parts, gives).findings == ()
    (finding,) = said(tmp_path, parts, 300).findings
    assert finding.verdict is not None
    assert (finding.code, finding.verdict.status) == ("HC101", "confirmed")
    assert finding.verdict.detail == f"RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x{gives} and 300x5)"


def test_the_maps_that_are_asked_for_are_those_that_are_built(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    first = {**MAPS, "answer": MAPS["answer"].replace("[-1]", "[0]")}
    assert said(tmp_path, first, 128).findings == ()
    assert [f.verdict and f.verdict.status for f in said(tmp_path, first, 256).findings] == ["confirmed"]


def test_code_that_only_torch_hub_has_is_not_run(tmp_path: Path) -> None:
    (finding,) = said(tmp_path, HUB, 300).findings
    assert finding.verdict is not None
    assert (finding.code, finding.verdict.status) == ("HC101", "inconclusive")
    why = "dinov2_vits14 is code that torch.hub fetches, which headcheck neither fetches nor runs"
    assert finding.verdict.detail == why
