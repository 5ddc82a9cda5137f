"""A script while it is put together."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.surgeries.sites import Site

CLASSES = 7
MARK = "  #!"  # ends the line that a fault should be reported on


@dataclass(frozen=True)
class Script:
    """A script and what it is meant to be. `frozen`: its backbone should not learn; `prefix`: the model inside it."""

    name: str
    text: str
    row: int | None
    site: Site
    frozen: bool
    prefix: str = ""


@dataclass
class Draft:
    """A script while it is put together. `lines` are about the variable `model`."""

    site: Site
    chance: random.Random
    imports: list[str] = field(default_factory=lambda: ["from torch import nn", "from torchvision import models"])
    helpers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    frozen: bool = False

    def add(self, text: str) -> None:
        self.lines.extend(text.strip("\n").split("\n"))

    def helper(self, text: str) -> None:
        self.helpers.extend(["", "", *text.strip("\n").split("\n")])

    def need(self, line: str) -> None:
        if line not in self.imports:
            self.imports.append(line)


def reach(path: str, root: str = "model") -> str:
    """`classifier.6` → `model.classifier[6]`."""
    return root + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".") if part)


def layer(kind: str, size: object, classes: object = CLASSES) -> str:
    return f"nn.{kind}({size}, {classes}" + (")" if kind == "Linear" else ", kernel_size=1)")


def takes(kind: str) -> str:
    return "in_features" if kind == "Linear" else "in_channels"
