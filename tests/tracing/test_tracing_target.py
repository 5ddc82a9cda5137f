"""Tracing one's own builder."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from headcheck.catalog import own, validation
from headcheck.catalog.entry import Entry
from headcheck.tracing.build import TracingError
from headcheck.tracing.own import Table
from headcheck.tracing.target import trace_target

SOURCE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=4, pretrained=True, image_size=24):
        super().__init__()
        if pretrained:
            raise OSError("no network")
        self.image_size = image_size
        self.stem = nn.Conv2d(3, 8, 3)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))

    def forward(self, x):
        return self.head(self.stem(x))

def small():
    return Net(2, pretrained=False)

def nothing():
    return 3

def broken():
    raise KeyError("mine")

constant = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models_of_mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])


def traced(target: str, shape: tuple[int, ...] | None = None) -> Entry:
    """What the catalog that is written says of a builder, as it is read."""
    table = Table()
    name, facts = trace_target(target, shape, table)
    data = table.data({name: facts})
    assert validation.fault(data) == ""
    catalog = own.OwnCatalog("heads.json", data)
    return catalog.entry(catalog.builders[name], {})


def test_a_class() -> None:
    entry = traced("models_of_mine:Net")
    (head,) = entry.heads
    assert (entry.builder, entry.method, entry.input) == ("models_of_mine.Net", "fx", (3, 24, 24))
    assert (head.path, head.kind, head.in_features, head.out_features) == ("head.2", "torch.nn.Linear", 8, 4)
    assert entry.inputs["head"] == (8, None, None)
    assert entry.outputs["head"] == (4,)
    assert entry.root.children["stem"].parameters["weight"] == (8, 3, 3, 3)
    assert entry.root.total == 3 * 8 * 9 + 8 + 8 * 4 + 4


def test_a_function_and_an_input_of_ones_own() -> None:
    entry = traced("models_of_mine:small", (3, 40, 30))
    assert (entry.input, entry.heads[0].out_features) == ((3, 40, 30), 2)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("models_of_mine", "is not of the form package.module:builder"),
        ("models_of_mine:other", "models_of_mine has no other"),
        ("models_of_mine:constant", "is not a function or class"),
        ("models_of_mine:nothing", "makes a int, not a torch.nn.Module"),
    ],
)
def test_what_is_no_builder(target: str, words: str) -> None:
    with pytest.raises(TracingError, match=words):
        traced(target)


def test_its_own_errors_are_passed_on() -> None:
    with pytest.raises(KeyError, match="mine"):
        traced("models_of_mine:broken")
    with pytest.raises(ModuleNotFoundError):
        traced("models_of_nobody:broken")
