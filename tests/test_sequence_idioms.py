"""Recurrent layers and attention as people write them: headcheck and PyTorch agree on each, right and wrong."""

import pathlib
import re

import pytest

from headcheck.pipeline import check_text

FILE = pathlib.Path(__file__).parent.parent / "fixtures" / "idioms" / "sequences.txt"
IMPORTS = """import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import rnn
from torchvision import models
"""
BLOCKS = re.findall(r"^### (\w+): (\S+) (\S+)\n((?:(?!### ).*\n)*)", FILE.read_text(encoding="utf-8"), flags=re.M)
EACH = pytest.mark.parametrize(
    ("code", "size", "body"), [pytest.param(code, size, body, id=name) for name, code, size, body in BLOCKS]
)


def twin(body: str, wrong: bool) -> str:
    return IMPORTS + re.sub(r"‹([^|›]*)\|([^›]*)›", lambda found: found[1 + wrong], body)


def findings(script: str) -> list[tuple[int, str]]:
    found = check_text(script, "script.py")
    return [(finding.location.row, finding.code) for finding in found if finding.code != "HC501"]


def run(script: str, size: str) -> None:
    torch = pytest.importorskip("torch")
    names = {"__name__": "__main__"}
    exec(compile(script, "script.py", "exec"), names)
    names["model"].eval()(torch.zeros(*map(int, size.split(","))))


@EACH
def test_nothing_is_said_of_the_right_one(code: str, size: str, body: str) -> None:
    assert findings(twin(body, wrong=False)) == []


@EACH
def test_the_wrong_one_has_one_fault(code: str, size: str, body: str) -> None:
    script = twin(body, wrong=True)
    lines = [row for row, line in enumerate(script.splitlines(), start=1) if line.endswith("# here")]
    assert findings(script) == [(row, code) for row in lines]
    assert bool(lines) == (code != "silent")


@EACH
def test_pytorch_runs_the_right_one(code: str, size: str, body: str) -> None:
    run(twin(body, wrong=False), size)


@EACH
def test_pytorch_refuses_the_wrong_one(code: str, size: str, body: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        run(twin(body, wrong=True), size)
