"""Devices that are not there: on meta, what a script leaves on the CPU shows on any machine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from confirm_plans import layer, plan, step

from headcheck import pipeline
from headcheck.analysis import analyse
from headcheck.confirm import runner
from headcheck.settings import Settings
from headcheck.settle import with_verdicts

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="the worker needs PyTorch")

START = "import torch\nfrom torch import nn\nfrom torchvision import models\n"
START += "model = models.resnet18(weights='DEFAULT')\n"
TRAIN = "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
HEAD = "model.fc = nn.Linear(512, 10)\n"

#: What a script does after it built a model, and what PyTorch says to that on a machine with an accelerator.
SCRIPTS = {
    "moved after its head": (HEAD + "model.cuda()\n" + TRAIN, ""),
    "moved before its head": (
        "model.cuda()\n" + HEAD + TRAIN,
        "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    ),
    "moved there and back": ("model.cuda()\nmodel.cpu()\n" + HEAD + TRAIN, ""),
    "its head moved too": ("model.to('cuda:0')\n" + HEAD + "model.fc.to('cuda:0')\n" + TRAIN, ""),
    "never moved": (HEAD + TRAIN, ""),
    "halved before its head": (
        "model.half()\n" + HEAD + TRAIN,
        "RuntimeError: mat1 and mat2 must have the same dtype, but got Half and Float",
    ),
    "halved, but cast as it computes": (
        "model.half()\n" + HEAD + TRAIN + "with torch.autocast('cuda'):\n    model(x)\n",
        "",
    ),
    "halved after its head": (HEAD + "model.half()\n" + TRAIN, ""),
    "a head of another size": (
        "model.fc = nn.Linear(2048, 10)\nmodel.cuda()\n" + TRAIN,
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x512 and 2048x10)",
    ),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, runner.Observation]:
    plans = []
    for number, (script, _) in enumerate(SCRIPTS.values()):
        result = analyse(START + script, "script.py")
        plans.append({**result.plans[result.models[0].plan or 0], "id": number})
    observations = runner.confirm(plans, python=sys.executable, device="meta").observations
    return {name: observations[number] for number, name in enumerate(SCRIPTS)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_would_be_said_on_an_accelerator(name: str, seen: dict[str, runner.Observation]) -> None:
    assert (seen[name].device, seen[name].error) == ("meta", SCRIPTS[name][1])
    assert seen[name].status == ("raised" if SCRIPTS[name][1] else "ran")
    assert seen[name].outputs == (() if SCRIPTS[name][1] else (("", (2, 10)),))


def test_nothing_is_allocated(seen: dict[str, runner.Observation]) -> None:
    """A model far beyond the memory budget is refused on the CPU, and runs on meta."""
    script = START + "model.fc = nn.Sequential(nn.Linear(512, 40_000), nn.ReLU(), nn.Linear(40_000, 40_000))\n" + TRAIN
    result = analyse(script, "script.py")
    plan = {**result.plans[result.models[0].plan or 0], "id": 0}
    statuses = [
        runner.confirm([plan], python=sys.executable, device=device, memory_bytes=2**30).observations[0].status
        for device in ("cpu", "meta")
    ]
    assert statuses == ["refused", "ran"]


def test_three_billion_parameters_need_no_memory() -> None:
    wide = "nn.Linear(512, 40_000), nn.ReLU(), nn.Linear(40_000, 40_000), nn.ReLU(), nn.Linear(40_000, 36_000)"
    result = analyse(f"{START}model.fc = nn.Sequential({wide})\n{TRAIN}", "script.py")
    plan = {**result.plans[result.models[0].plan or 0], "id": 0}
    seen = runner.confirm([plan], python=sys.executable, device="meta", memory_bytes=2**30).observations[0]
    assert (seen.status, seen.device) == ("ran", "meta")
    assert seen.total is not None and seen.total > 3_000_000_000


def test_a_head_left_on_the_cpu_is_confirmed() -> None:
    result = analyse(START + SCRIPTS["moved before its head"][0] + "model(x.cuda()).sum().backward()\n", "script.py")
    plans = [{**plan, "id": number} for number, plan in enumerate(result.plans)]
    for device, status in (("meta", "confirmed"), ("cpu", "inconclusive")):
        observations = runner.confirm(plans, python=sys.executable, device=device).observations
        judged = with_verdicts(result, [observations[number] for number in range(len(plans))])
        verdicts = [finding.verdict for finding in judged.findings if finding.code == "HC403"]
        assert [verdict and verdict.status for verdict in verdicts] == [status]


NETWORK = """
class Net({base}):
    def __init__(self):
        super().__init__()
        self.trunk = models.resnet18(weights="DEFAULT"){moved}
        self.trunk.fc = nn.Identity()
        self.head = nn.Linear(512, 4)
    {above}
    def forward(self, x):
        return self.head({given})
net = Net()
for x, y in loader:
    nn.functional.cross_entropy(net(x), y).backward()
"""
IMPORTS = "import torch\nimport pytorch_lightning\nfrom torch import nn\nfrom torchvision import models\n"
HALF = "self.trunk(x).half()"


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"given": HALF}, {"HC601"}),
        ({"given": HALF, "above": "@torch.autocast('cuda')"}, set()),
        ({"given": HALF, "above": "@torch.autocast('cuda', enabled=False)"}, {"HC601"}),
        ({"moved": ".cuda()", "base": "pytorch_lightning.LightningModule"}, set()),
    ],
)
def test_what_autocast_and_lightning_bring_together_does_not_fail(
    parts: dict[str, str], found: set[str], device: str, tmp_path: Path
) -> None:
    text = NETWORK.format(**{"base": "nn.Module", "moved": "", "above": "", "given": "self.trunk(x)", **parts})
    (tmp_path / "net.py").write_text(f"{IMPORTS}{text}")
    (result,) = pipeline.run([str(tmp_path)], Settings(confirm=True, python=sys.executable, device=device)).files
    assert {finding.code for finding in result.findings} == found


def test_a_builder_that_reads_places_back_is_built_for_real() -> None:
    pytest.importorskip("timm")
    result = analyse("import timm\nmodel = timm.create_model('swinv2_tiny_window8_256')\n", "script.py")
    plan = {**result.plans[0], "id": 0}
    seen = runner.confirm([plan], python=sys.executable, device="meta").observations[0]
    assert (seen.status, seen.error, seen.outputs) == ("ran", "", (("", (2, 1000)),))


def test_what_is_made_where_the_parameters_are_is_made_for_real() -> None:
    """Swin's masks are buffers made by the device of its parameters."""
    pytest.importorskip("timm")
    swin = {"op": "build", "out": 1, "builder": "timm.models.swin_tiny_patch4_window7_224", "kwargs": {}, "line": 1}
    seen = runner.confirm([plan(swin, size=224)], python=sys.executable, device="cpu").observations[0]
    assert (seen.status, seen.outputs) == ("ran", (("", (2, 1000)),))


#: What raises on the CPU, and what it is in: layers one after another, over pictures.
MISMATCHES = {
    "channels": (layer(2, "Conv2d", 3, 4, 3), layer(3, "Conv2d", 8, 2, 1)),
    "channels in groups": (layer(2, "Conv2d", 3, 4, 3), layer(3, "Conv2d", 6, 6, 1, groups=2)),
    "features": (layer(2, "Flatten"), layer(3, "Linear", 77, 2)),
    "features of a map": (layer(2, "Conv2d", 3, 4, 3), layer(3, "Linear", 77, 2)),
    "normalised channels": (layer(2, "Conv2d", 3, 4, 3), layer(3, "BatchNorm2d", 5)),
    "normalised features": (layer(2, "Flatten"), layer(3, "LayerNorm", 7)),
    "channels of a volume": (layer(2, "Unflatten", 1, {"tuple": [3, 1]}), layer(3, "Conv3d", 2, 4, 1)),
}


def test_errors_are_worded_as_on_the_cpu() -> None:
    plans = [
        {**plan(layer(1, "Sequential"), *parts, *(step("append", of=1, value=n) for n in (2, 3)), size=8), "id": number}
        for number, parts in enumerate(MISMATCHES.values())
    ]
    said = {device: runner.confirm(plans, python=sys.executable, device=device) for device in ("cpu", "meta")}
    cpu, meta = (
        {name: said[device].observations[number].error for number, name in enumerate(MISMATCHES)}
        for device in ("cpu", "meta")
    )
    assert all(error.startswith("RuntimeError: ") for error in cpu.values())
    assert meta == cpu
