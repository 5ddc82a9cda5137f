"""Sizes that come about in all the ways of Python: headcheck takes them for what they are, or says nothing."""

import pathlib
import re
import sys

import pytest

from headcheck.pipeline import check_text

FILE = pathlib.Path(__file__).parent.parent / "fixtures" / "idioms" / "sizes.txt"
IMPORTS = "import torch\nfrom torch import nn\nfrom torchvision import models\n"
HEAD = "model = models.resnet18()\nmodel.fc = nn.Linear(w, 3)\n"
BLOCKS = re.findall(r"^### (\w+): (.+)\n((?:(?!### ).*\n)*)", FILE.read_text(encoding="utf-8"), flags=re.M)
SCRIPTS = [pytest.param(body, kind.split(), id=name) for name, kind, body in BLOCKS]
OTHERS = {"512": "500", "256": "250", "64": "62"}


def codes(body: str) -> list[str]:
    return [finding.code for finding in check_text(IMPORTS + body + HEAD, "script.py") if finding.code != "HC501"]


@pytest.mark.parametrize(("body", "kind"), SCRIPTS)
def test_the_right_size_is_not_reported(body: str, kind: list[str]) -> None:
    assert codes(body) == []


@pytest.mark.parametrize(("body", "kind"), [script for script in SCRIPTS if "followed" in script.values[1]])
def test_another_size_is(body: str, kind: list[str]) -> None:
    assert codes(re.sub("|".join(OTHERS), lambda found: OTHERS[found[0]], body)) == ["HC101"]


@pytest.mark.parametrize(("body", "kind"), [script for script in SCRIPTS if "unseen" not in script.values[1]])
def test_python_agrees(body: str, kind: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", ["script.py"])
    variables = {"__name__": "__main__", "torch": torch, "nn": torch.nn}
    exec(compile(body, "script.py", "exec"), variables)
    assert variables["w"] == 512
