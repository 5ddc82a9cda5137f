"""What is done for an accelerator, on machines without one: which is taken, what goes there, and that none is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confirm_plans import needs_torch

from headcheck.cli import main
from headcheck.confirm.worker import casting, process
from headcheck.confirm.worker.state import Libraries, Refused, Run

WRONG = """
from torch import nn
from torchvision import models

model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(2048, 10)
"""
RIGHT = WRONG.replace("2048", "512")


def machine(*devices: str) -> Any:
    """torch, as it is on a machine with some devices beside the CPU."""

    def empty(size: int, device: str) -> None:
        if device not in devices:
            raise RuntimeError(f"no {device} here\nand more lines on that")

    cuda = SimpleNamespace(is_available=lambda: any(name.startswith("cuda") for name in devices))
    mps = SimpleNamespace(is_available=lambda: "mps" in devices)
    return SimpleNamespace(empty=empty, cuda=cuda, backends=SimpleNamespace(mps=mps))


@pytest.mark.parametrize(
    ("devices", "wanted", "taken", "error"),
    [
        ((), "auto", "cpu", None),
        (("mps",), "auto", "mps", None),
        (("cuda", "cuda:1"), "auto", "cuda", None),
        (("cuda", "cuda:1"), "cuda:1", "cuda:1", None),
        (("cuda",), "cpu", "cpu", None),
        (("cuda",), "meta", "meta", None),
        (("cuda",), "cuda:1", "cuda:1", "device cuda:1 cannot be used: no cuda:1 here"),
        ((), "mps", "mps", "device mps cannot be used: no mps here"),
        (("cuda",), "cuda:1; rm", "cpu", "device 'cuda:1; rm'"),
    ],
)
def test_the_device_that_is_taken(devices: tuple[str, ...], wanted: str, taken: str, error: str | None) -> None:
    assert process.choose_device(machine(*devices), wanted) == (taken, error)


@needs_torch
@pytest.mark.parametrize(("script", "status"), [(WRONG, 1), (RIGHT, 0)], ids=["wrong", "right"])
def test_one_that_is_not_there_is_said_in_one_line(
    script: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the findings of reading stand, with their exit status."""
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    device = "cuda:99"
    asked = ["--device", device, "--python", sys.executable, "--confirm", str(tmp_path)]
    assert main(asked) == status
    out, err = capsys.readouterr()
    assert err.count(f"not confirmed: device {device} cannot be used: ") == 1
    assert f"not confirmed: device {device}" not in out
    assert "confirmed on" not in out


class Moved:
    """A module that keeps where it was moved to."""

    def __init__(self) -> None:
        self.to_: list[Any] = []

    def to(self, target: Any) -> Moved:
        self.to_.append(target)
        return self


@needs_torch
def test_every_accelerator_that_a_script_names_stands_for_the_one_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from headcheck.confirm.worker import steps

    moved = Moved()
    monkeypatch.setattr(steps, "module", lambda run, number: moved)
    monkeypatch.setattr(Moved, "half", None, raising=False)
    run = Run(Libraries(torch, None, "cuda:1", None), 2**30)
    for target in ({"device": "cuda", "dtype": None}, {"device": "cpu", "dtype": None}, {"device": "mps"}):
        steps.perform(run, {"op": "move", "of": 1, **target})
    steps.perform(run, {"op": "move", "of": 1, "device": None, "dtype": "float16"})
    assert moved.to_ == ["cuda:1", "cpu", "cuda:1", torch.float16]
    assert run.moves == {"cpu", "accelerator"}
    assert run.moved_last == "accelerator"


@pytest.mark.parametrize(
    ("device", "cast", "entered"),
    [
        ("cuda:1", "float16", [("cuda", "half", True)]),
        ("cuda", "off", [("cuda", None, False)]),
        ("mps", True, [("mps", None, True)]),
        ("cuda", False, []),
        ("cpu", "float16", []),
        ("meta", "float16", []),
    ],
)
def test_autocast_is_torchs_own_where_there_is_one(device: str, cast: Any, entered: list[Any]) -> None:
    seen: list[Any] = []

    @contextmanager
    def autocast(kind: str, dtype: Any = None, enabled: bool = True) -> Iterator[None]:
        seen.append((kind, dtype, enabled))
        yield

    torch = SimpleNamespace(autocast=autocast, float16="half")
    run = Run(Libraries(torch, None, device, None), 2**30)
    with casting.region(run, cast):
        inside = casting.REGIONS[-1]
    assert seen == entered
    assert inside == {"cpu": "bfloat16", "meta": "float16"}.get(device, "")
    assert casting.REGIONS == [""]


def test_no_other_autocast_is_entered() -> None:
    run = Run(Libraries(SimpleNamespace(), None, "cuda", None), 2**30)
    with pytest.raises(Refused), casting.region(run, "int8"):
        pass
