"""Freezing and optimizers as people write them: what headcheck says of each script is what PyTorch shows."""

import contextlib
import importlib
import pathlib
import re

import pytest

from headcheck import analysis

FILE = pathlib.Path(__file__).parent.parent / "fixtures" / "idioms" / "freezing.txt"
IMPORTS = "import torch\nfrom torch import nn, optim\nfrom torchvision import models\n"
BLOCKS = re.findall(r"^### (\w+): (.+)\n((?:(?!### ).*\n)*)", FILE.read_text(encoding="utf-8"), flags=re.M)
SCRIPTS = [pytest.param(IMPORTS + body, want, id=name) for name, want, body in BLOCKS]
OFF = {"HC305", "HC306", "HC501", "HC902"}


def run(script):
    """The names a script leaves, its models without numbers (on meta); loading weights does nothing."""
    torch = pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    names = {"__name__": "__main__"}
    # An empty list for the optimizer and a library that is not there are part of the scripts.
    allowed = contextlib.suppress(ValueError, ImportError)
    with proof.without_weights(), torch.device("meta"), allowed:
        exec(compile(script, "script.py", "exec"), names)
    return names


@pytest.mark.parametrize("script, want", SCRIPTS)
def test_findings(script, want):
    found = {finding.code for finding in analysis.analyse(script, "script.py").findings} - OFF
    assert found == ({want} if want != "none" else set())


@pytest.mark.parametrize("script, want", SCRIPTS)
def test_pytorch_agrees_on_what_learns(script, want):
    names = run(script)
    if "model" not in names or type(names["model"]).__name__ in ("Net", "DataParallel"):
        return
    parameters = list(names["model"].parameters())
    learns = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in parameters)
    reports = analysis.analyse(script, "script.py").models
    assert any(report.trainable in (None, learns) and report.total in (None, total) for report in reports)


@pytest.mark.parametrize("script, want", SCRIPTS)
def test_pytorch_agrees_on_the_fault(script, want):
    """The head is the last of the model's parameters; a right script has it learn, and in its optimizer."""
    names = run(script)
    if "model" not in names:
        return
    head = list(names["model"].parameters())[-1]
    held = [
        parameter
        for optimizer in names.values()
        for group in getattr(optimizer, "param_groups", ())
        for parameter in group["params"]
    ]
    optimized = any(parameter is head for parameter in held) or not held
    assert {
        "none": head.requires_grad and optimized,
        "HC301": not head.requires_grad,
        "HC304": not head.requires_grad,
        "HC302": not any(parameter.requires_grad for parameter in held),
        "HC402": head.requires_grad and not optimized,
    }[want]
