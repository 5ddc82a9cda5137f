"""Tracing the installed libraries again gives the catalog's files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from headcheck import catalog

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from headcheck.tracing.library import trace_library  # noqa: E402

DATA = Path(catalog.__file__).parent / "data"


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("library", ["torch", "torchvision"])
def test_tracing_again_changes_nothing(library: str, tmp_path: Path, one_thread: None) -> None:
    kept = (DATA / f"{library}.json").read_text(encoding="utf-8")
    versions = json.loads(kept)["versions"]
    for package, version in versions.items():
        installed = str(importlib.import_module(package).__version__).partition("+")[0]
        if installed != version:
            pytest.skip(f"the catalog is of {package} {version}, installed is {installed}")
    steps: list[tuple[int, int, str]] = []
    trace_library(library, tmp_path / "again.json", lambda *step: steps.append(step))
    again = (tmp_path / "again.json").read_text(encoding="utf-8")
    # By line: pytest takes minutes to compare two long texts.
    lines = zip_longest(kept.split("\n"), again.split("\n"), fillvalue="")
    assert [(old[:200], new[:200]) for old, new in lines if old != new] == []
    assert [number for number, _, _ in steps] == list(range(steps[0][1]))


def test_a_library_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tracer for the library 'keras'; there are torch, torchvision"):
        trace_library("keras", tmp_path / "keras.json", lambda *_: None)
