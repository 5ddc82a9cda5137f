"""Looking up pretrainedmodels' models (``se_resnext50_32x4d``)."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from headcheck.catalog.entries import by_name
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load, shared
from headcheck.records import NamedTuple

_LIBRARY = "pretrainedmodels"


class Facts(NamedTuple):
    """How a builder is called.

    `classes` are those of each of its weights; `counted`: it listens to the number of classes that it is told, which
    those of torchvision's models do not; `usual` are the number of classes and the weights that it takes untold.
    """

    classes: Mapping[str, int]
    counted: bool
    usual: tuple[int, str]


def names() -> tuple[str, ...]:
    """Return the names of all models that are known."""
    return tuple(load(_LIBRARY)["entries"])


def exists(name: str) -> bool:
    """Whether the library has a model of this name, known or not."""
    data = load(_LIBRARY)
    return name in data["entries"] or name in data["unknown"]


def canonical(name: str) -> str | None:
    """Return the model that a dotted name stands for (``pretrainedmodels.models.senet.senet154``), None for none."""
    library, _, last = name.partition(".")
    module, _, last = name.rpartition(".")
    data = load(_LIBRARY)["entries"].get(last) if library == _LIBRARY else None
    return last if data is not None and module in (_LIBRARY, f"{_LIBRARY}.models", data["module"]) else None


def facts(name: str) -> Facts:
    """Return how a known builder is called. Raises KeyError for any other."""
    entry = load(_LIBRARY)["entries"][name]
    classes, weights = entry["usual"]
    return Facts(shared(_LIBRARY, entry["weights"]), bool(entry["counts"]), (classes, weights))


@functools.lru_cache(maxsize=64)
def find(name: str, classes: int) -> Entry | None:
    """Return what a builder makes for a number of classes (if it listens to it), None for one that is not known."""
    return by_name(_LIBRARY, name, classes)
