"""Tracing the installed libraries again gives the catalog's files."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from headcheck import catalog

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from headcheck.tracing import library
from headcheck.tracing.library import trace_library

DATA = Path(catalog.__file__).parent / "data"


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_tracing_again_changes_nothing(name: str, tmp_path: Path) -> None:
    kept = (DATA / f"{name}.json").read_text(encoding="utf-8")
    versions = json.loads(kept)["versions"]
    for package, version in versions.items():
        installed = str(importlib.import_module(package).__version__).partition("+")[0]
        if installed != version:
            pytest.skip(f"the catalog is of {package} {version}, installed is {installed}")
    # In a process of its own: transformers, once imported, adds methods to torch's own classes.
    command = [
        sys.executable,
        "-m",
        "headcheck",
        "trace",
        "--library",
        name,
        "--output",
        str(tmp_path / "again.json"),
    ]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    again = (tmp_path / "again.json").read_text(encoding="utf-8")
    # By line: pytest takes minutes to compare two long texts.
    lines = zip_longest(kept.split("\n"), again.split("\n"), fillvalue="")
    assert [(old[:200], new[:200]) for old, new in lines if old != new] == []


def test_all_libraries_are_traced_into_a_folder_and_what_changed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, model = "efficientnet_pytorch", "efficientnet-b0"
    pytest.importorskip(name)
    kept = (DATA / f"{name}.json").read_text(encoding="utf-8")
    lines = kept.split("\n")
    (tmp_path / f"{name}.json").write_text(
        "\n".join(line for line in lines if not line.startswith(f'"{model}"')), encoding="utf-8"
    )
    monkeypatch.setattr(library, "_LIBRARIES", {name: library._LIBRARIES[name]})
    table = trace_library("all", tmp_path, lambda *_: None)
    assert (tmp_path / f"{name}.json").read_text(encoding="utf-8") == kept
    assert table[0] == str(tmp_path / f"{name}.json")
    assert [line.split() for line in table[1:]] == [
        ["model", "what", name, "0.7.1", name, "0.7.1"],
        [model, "model", "–", "there"],
    ]


def test_a_library_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tracer for the library 'keras'; there are torch, torchvision"):
        trace_library("keras", tmp_path / "keras.json", lambda *_: None)
