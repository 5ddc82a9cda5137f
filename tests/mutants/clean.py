"""The scripts that are changed."""

from __future__ import annotations

import functools
import pathlib
import re
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).parent.parent.parent / "fixtures" / "clean"


@dataclass(frozen=True)
class Clean:
    """A right script. `runs` are the command lines it is run with, one for each way through it; `classes` is how many
    classes there are, where the script itself says so besides the head."""

    name: str
    text: str
    runs: tuple[tuple[str, ...], ...]
    classes: int | None = None


@functools.cache
def scripts() -> tuple[Clean, ...]:
    """All clean scripts, by name."""
    return tuple(read(path) for path in sorted(FOLDER.glob("*.py")))


def read(path: pathlib.Path) -> Clean:
    """A script with what its comments say: ``# argv: --arch resnet18 | --arch vgg16`` and ``# classes: 10``."""
    text = path.read_text(encoding="utf-8")
    argv = re.search(r"^# argv: ?(.*)$", text, re.MULTILINE)
    runs = tuple(tuple(run.split()) for run in argv[1].split("|")) if argv else ((),)
    classes = re.search(r"^# classes: (\d+)$", text, re.MULTILINE)
    return Clean(path.stem, text, runs, int(classes[1]) if classes else None)
