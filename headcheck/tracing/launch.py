"""Starts the process that traces builders of the user's own. Needs no torch itself."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from headcheck.catalog import own

SCRIPT = Path(__file__).resolve().with_name("__main__.py")


class TraceError(Exception):
    """A builder could not be traced; the message says why."""


class Written(NamedTuple):
    """A catalog that was traced, and the names in it that are new."""

    catalog: own.OwnCatalog
    names: tuple[str, ...]


def trace(
    targets: Sequence[str], input_shape: Sequence[int] | None, python: str, keep: str | None, output: str | None
) -> Written:
    """Trace builders with the interpreter `python`, in the current folder, and write what they make to `output`.

    `keep` is a catalog whose other builders stay in the new one. Without `output` nothing is left behind.

    Raises TraceError where a builder cannot be traced, `own.CatalogError` where `keep` is no catalog.
    """
    request = {"targets": list(targets), "input": list(input_shape) if input_shape else None, "keep": keep}
    with tempfile.TemporaryDirectory(prefix="headcheck-") as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        try:
            done = subprocess.run([python, str(SCRIPT), str(asked), str(answered)], check=False)
        except OSError as error:
            raise TraceError(f"{python} does not start: {error.strerror}") from error
        if not answered.exists():
            raise TraceError(f"the process that traces ended with exit status {done.returncode}")
        answer = json.loads(answered.read_text(encoding="utf-8"))
        if "error" in answer:
            raise TraceError(answer["error"])
        new = Path(folder, "catalog.json")
        new.write_text(answer["catalog"], encoding="utf-8")
        catalog = own.read(str(new))
    if output is not None:
        _replace(output, answer["catalog"])
    return Written(catalog, tuple(answer["names"]))


def _replace(filename: str, text: str) -> None:
    """Write a file whole or not at all. Raises TraceError where it cannot be written."""
    place = Path(filename).resolve()
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", dir=place.parent, delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, place)
    except OSError as error:
        raise TraceError(f"{filename}: {error.strerror}") from error
