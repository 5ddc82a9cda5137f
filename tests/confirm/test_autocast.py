"""Autocast around a part of a forward, all of it, or a loss: what an accelerator makes of it, shown without one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
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
from torchvision import models


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.backbone = models.resnet18(weights="DEFAULT")
        self.backbone.fc = nn.Identity()
        self.head = nn.Linear(512, classes)

    def forward(self, x):
        {forward}


model = Net(5).to("cuda")
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
scaler = torch.amp.GradScaler("cuda")
for images, labels in loader:
    {train}
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""
PLAIN = "loss = criterion(model(images), labels)"
CAST = f"with torch.autocast('cuda'):\n        {PLAIN}"
PART = """with torch.autocast("cuda"{how}):
            features = self.backbone(x)
        return self.head(features{then})"""
OFF = """with torch.autocast("cuda", enabled=False):
            return self.head(self.backbone(x){then})"""
APART = "mat1 and mat2 must have the same dtype, but got Half and Float"


AGAIN = (
    "x = self.backbone(x)\n        with torch.autocast('cuda', enabled=False):\n            return self.head(x{then})"
)
RIGHT = {
    "part": (PART.format(how="", then=".float()"), PLAIN),
    "bfloat16": (PART.format(how=", dtype=torch.bfloat16", then=".float()"), PLAIN),
    "part_in_all": (PART.format(how="", then=""), CAST),
    "never": (PART.format(how=", enabled=False", then=""), PLAIN),
    "off": (OFF.format(then=""), PLAIN),
    "off_in_all": (AGAIN.format(then=".float()"), CAST),
}
WRONG = {
    "part_left": (PART.format(how="", then=""), PLAIN, APART),
    "bfloat16_left": (PART.format(how=", dtype=torch.bfloat16", then=""), PLAIN, APART.replace("Half", "BFloat16")),
    "off_in_all_left": (AGAIN.format(then=""), CAST, APART),
}
#: Where autocast may be around more than is seen, nothing is said of what would be wrong without.
UNSURE = {
    "moved_elsewhere": ('model = Net(5).to("cuda")', "model = Net(5)"),
    "something_around": ("    loss =", "    with amp():\n        loss ="),
    "maybe": ('autocast("cuda")', 'autocast("cuda", enabled=amp)'),
    "context_of_its_own": ("import torch\n", "import torch\ncontext = either(torch.autocast('cuda'))\n"),
}
LOSS = """
import torch
from torch import nn
from torchvision import models

model = models.resnet18(weights="DEFAULT")
model.fc = nn.{head}
model = model.to("cuda")
criterion = nn.{loss}()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for images, labels in loader:
    with torch.autocast("cuda", dtype=torch.float16):
        output = model(images)
    {indent}loss = criterion(output, labels.float())
    loss.backward()
    optimizer.step()
"""
SIGMOID = "Sequential(nn.Linear(512, 1), nn.Sigmoid())"
LOSSES = {
    "with_logits": ("Linear(512, 1)", "BCEWithLogitsLoss", "    "),
    "outside": (SIGMOID, "BCELoss", ""),
    "inside": (SIGMOID, "BCELoss", "    "),
}


def scripts() -> Iterator[tuple[str, str]]:
    for name, (forward, train, *_) in {**RIGHT, **WRONG}.items():
        yield name, NETWORK.format(forward=forward, train=train)
    wrong = NETWORK.format(forward=WRONG["part_left"][0], train=PLAIN)
    for name, (old, new) in UNSURE.items():
        assert old in wrong
        yield name, "from lab.contexts import amp, either\n" + wrong.replace(old, new)
    for name, (head, loss, indent) in LOSSES.items():
        yield name, LOSS.format(head=head, loss=loss, indent=indent)


@pytest.fixture(scope="module", params=["cpu", "meta"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileResult]:
    """What is said of every script, all in one run."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, text in scripts():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    settings = Settings(confirm=True, python=sys.executable, device=request.param)
    return {Path(r.filename).stem: r for r in pipeline.run([str(folder)], settings, models=True).files}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_cast_back_in_time_is_clean(results: dict[str, FileResult], name: str) -> None:
    assert results[name].findings == ()
    (verdict,) = (model.verdict for model in results[name].models)
    assert verdict is not None
    assert (verdict.status, verdict.loss) == ("clean", "CrossEntropyLoss")
    assert set(verdict.changed or ()) == {"backbone", "head"}


@pytest.mark.parametrize("name", WRONG)
def test_what_leaves_a_region_in_half_does_not_fit(results: dict[str, FileResult], name: str) -> None:
    (finding,) = results[name].findings
    assert finding.verdict is not None
    assert (finding.code, finding.verdict.status) == ("HC601", "confirmed")
    words = WRONG[name][2].replace("Half", "BFloat16") if finding.verdict.device == "cpu" else WRONG[name][2]
    assert finding.verdict.detail.endswith(f" raises RuntimeError: {words}")
    lines = dict(scripts())[name].split("\n")
    row = next(row for row, line in enumerate(lines, 1) if "return self.head(" in line)
    assert finding.verdict.detail.startswith(f"line {row} ")


@pytest.mark.parametrize("name", UNSURE)
def test_where_autocast_may_be_elsewhere_nothing_is_said(results: dict[str, FileResult], name: str) -> None:
    assert results[name].findings == ()
    assert [model.verdict and model.verdict.status for model in results[name].models] != ["confirmed"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_autocast_refuses(results: dict[str, FileResult], name: str) -> None:
    found = [(f.code, f.verdict and f.verdict.detail) for f in results[name].findings]
    if name != "inside":
        assert found == []
        return
    ((code, detail),) = found
    assert code == "HC601"
    assert "line 14 raises RuntimeError: " in str(detail)
    assert "unsafe to autocast" in str(detail)


#: The functions that call one of a list, where the one itself is called by nobody.
CALLED_BY = {"upsample": "interpolate", "_upsample": "interpolate"}
LISTS = {
    "LOWER": ("LOWER_PRECISION_FP",),
    "FLOAT32": ("FP32", "FP32_SET_OPT_DTYPE", "DIFFERENT_REDISPATCH_SIGNATURE"),
    "WIDEST": ("PROMOTE",),
}


@pytest.mark.parametrize("ours", LISTS)
def test_the_lists_are_torchs(ours: str) -> None:
    """Each function of torch that its header names is in our list of the same kind."""
    import torch

    from headcheck.confirm.worker import casting

    header = (Path(torch.__file__).parent / "include" / "ATen" / "autocast_mode.h").read_text(encoding="utf-8")
    listed: set[str] = set()
    for theirs in LISTS[ours]:
        (macro,) = re.findall(rf"#define AT_FORALL_{theirs}\(_\)((?:.*\\\n)+.*)", header)
        listed |= set(re.findall(r"_\((?:ADD_NS\()?(\w+)", macro)) - {"ADD_NS"}
    assert len(listed) > 5
    places = (torch, torch.nn.functional, torch.Tensor)
    names = {CALLED_BY.get(re.split(r"_(?:nearest|linear|bi|tri)", name)[0], name) for name in listed}
    public = {name for name in names if name[0] != "_" and any(hasattr(place, name) for place in places)}
    assert public <= getattr(casting, ours)


def test_a_map_made_larger_is_in_float32() -> None:
    import torch
    from torch.nn.functional import interpolate

    from headcheck.confirm.worker import casting

    layer = torch.nn.Conv2d(3, 4, 3)
    casting.REGIONS.append("bfloat16")
    try:
        with casting.calls(torch):
            small = layer(torch.rand(1, 3, 8, 8))
            large = interpolate(small, scale_factor=2)
    finally:
        casting.REGIONS.pop()
    assert (small.dtype, large.dtype) == (torch.bfloat16, torch.float32)
