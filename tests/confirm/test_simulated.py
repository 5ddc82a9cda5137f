"""Devices that are not there: on meta, what a script leaves on the CPU shows on any machine."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from headcheck.analysis import analyse
from headcheck.confirm import runner
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


def test_a_builder_that_reads_places_back_is_built_for_real() -> None:
    pytest.importorskip("timm")
    result = analyse("import timm\nmodel = timm.create_model('swinv2_tiny_window8_256')\n", "script.py")
    plan = {**result.plans[0], "id": 0}
    seen = runner.confirm([plan], python=sys.executable, device="meta").observations[0]
    assert (seen.status, seen.error, seen.outputs) == ("ran", "", (("", (2, 1000)),))
