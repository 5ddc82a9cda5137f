"""Right scripts in which a hasty reader would suspect a fault, and the same with one: headcheck finds what is there."""

import importlib
import pathlib
import re

import pytest

from headcheck.pipeline import check_text

FILE = pathlib.Path(__file__).parent.parent / "fixtures" / "idioms" / "suspects.txt"
IMPORTS = (
    "import torch\nfrom torch import nn, optim\nfrom torch.nn import functional as F\nfrom torchvision import models\n"
)
BLOCKS = re.findall(r"^### (\w+): (.+)\n((?:(?!### ).*\n)*)", FILE.read_text(encoding="utf-8"), flags=re.M)
SCRIPTS = [pytest.param(*body.partition("#---\n")[::2], want, id=name) for name, want, body in BLOCKS]
OFF = {"HC305", "HC306", "HC501", "HC902"}
SHOWN = """
def learns(part):
    return any(p.requires_grad for p in part.parameters())
def held(optimizer, part):
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return all(id(p) in given for p in part.parameters())
"""


@pytest.mark.parametrize("script, shows, want", SCRIPTS)
def test_findings(script, shows, want):
    found = {finding.code for finding in check_text(IMPORTS + script, "script.py")} - OFF
    assert found == set(want.split()) - {"none"}


@pytest.mark.parametrize("script, shows, want", [script for script in SCRIPTS if script.values[1]])
def test_pytorch_agrees(script, shows, want):
    torch = pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    with proof.without_weights(), torch.device("meta"):
        exec(compile(IMPORTS + script + SHOWN + shows, "script.py", "exec"), {"__name__": "__main__"})
