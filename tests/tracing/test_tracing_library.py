"""Tracing the installed libraries again gives the catalog's files.

An ordinary run traces torchvision's builders one of each module and some others, which HEADCHECK_TEST_SEED=text chooses
anew; HEADCHECK_TEST_ALL=1 in the environment traces all of them, and compares the files byte by byte.
"""

from __future__ import annotations

import importlib
import json
import os
import random
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
from tests.whole_catalog import differences

DATA = Path(catalog.__file__).parent / "data"
ROOT = Path(__file__).parents[2]
EVERY = os.environ.get("HEADCHECK_TEST_ALL") == "1"
SEED = os.environ.get("HEADCHECK_TEST_SEED", "headcheck")
OTHERS = 3
#: Traces those of torchvision's models whose registered names are given, into a file in a folder.
TRACE = """
import pathlib, sys
from torchvision import models
from headcheck.tracing.library import trace_library
models.list_models = lambda *_, **__: sys.argv[2:]
trace_library("torchvision", pathlib.Path(sys.argv[1], "torchvision.json"), lambda *_: None)
"""


def run(*arguments: str) -> str:
    """What a command of Python's prints, in a process of its own: transformers, once imported, adds methods to torch's
    own classes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def skip_if_others_are_installed(name: str) -> str:
    """The catalog's file, if it is of the versions that are installed."""
    kept = (DATA / f"{name}.json").read_text(encoding="utf-8")
    for package, version in json.loads(kept)["versions"].items():
        installed = str(importlib.import_module(package).__version__).partition("+")[0]
        if installed != version:
            pytest.skip(f"the catalog is of {package} {version}, installed is {installed}")
    return kept


@pytest.mark.parametrize("name", ["torch", *(["torchvision"] if EVERY else [])])
def test_tracing_again_changes_nothing(name: str, tmp_path: Path) -> None:
    kept = skip_if_others_are_installed(name)
    run("-m", "headcheck", "trace", "--library", name, "--output", str(tmp_path / "again.json"))
    again = (tmp_path / "again.json").read_text(encoding="utf-8")
    # By line: pytest takes minutes to compare two long texts.
    lines = zip_longest(kept.split("\n"), again.split("\n"), fillvalue="")
    assert [(old[:200], new[:200]) for old, new in lines if old != new] == []


def sample() -> list[str]:
    """Of the builders, in their order, the first of each module, which is the first of each class, too: what is found
    of it is used for the others of its class. And some of those."""
    rows = catalog.files.load("torchvision")["builders"]
    first = {row["module"]: name for name, row in reversed(list(rows.items()))}
    rest = [name for name in rows if name not in first.values()]
    chosen = {*first.values(), *random.Random(SEED).sample(rest, OTHERS)}
    return [name for name in rows if name in chosen]


@pytest.mark.longest
@pytest.mark.skipif(EVERY, reason="all of them are traced")
def test_tracing_a_sample_of_torchvision_again_changes_nothing(tmp_path: Path) -> None:
    """What is kept of each architecture of torchvision's, and all that is kept beside its builders."""
    skip_if_others_are_installed("torchvision")
    rows, chosen = catalog.files.load("torchvision")["builders"], sample()
    run("-c", TRACE, str(tmp_path), *(rows[name]["registered"] for name in chosen))
    old, new = (json.loads(run("-m", "tests.whole_catalog", str(folder), *chosen)) for folder in (DATA, tmp_path))
    # A builder that is not in the file is a name of its module like any other.
    builders = {each.rpartition(".")[2] for name, row in rows.items() for each in (name, row["weights"])}
    for said in (old, new):
        said["namespaces"] = {
            module: [name for name in found if name not in builders] for module, found in said["namespaces"].items()
        }
    assert list(differences(old, new)) == []
    assert len(new["entries"]) >= len(chosen) == 38 + OTHERS


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
