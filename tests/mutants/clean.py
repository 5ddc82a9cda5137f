"""The scripts that are changed."""

from __future__ import annotations

import functools
import pathlib
import re
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).parent.parent.parent / "fixtures" / "clean"


@dataclass(frozen=True)
class Clean:
    """A right script. `runs` are the command lines it is run with, one for each way through it."""

    name: str
    text: str
    runs: tuple[tuple[str, ...], ...]


@functools.cache
def scripts() -> tuple[Clean, ...]:
    """All clean scripts, by name."""
    return tuple(read(path) for path in sorted(FOLDER.glob("*.py")))


def read(path: pathlib.Path) -> Clean:
    """A script with its command lines, which stand in a comment: ``# argv: --arch resnet18 | --arch vgg16``."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^# argv: ?(.*)$", text, re.MULTILINE)
    runs = tuple(tuple(run.split()) for run in found[1].split("|")) if found else ((),)
    return Clean(path.stem, text, runs)
