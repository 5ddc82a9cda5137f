"""Looking up efficientnet_pytorch's models, which go by name (``efficientnet-b0``)."""

from __future__ import annotations

import functools

from headcheck.catalog.entries import by_name
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load

_LIBRARY = "efficientnet_pytorch"
#: Classes of the models that have weights.
CLASSES = 1000


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(_LIBRARY)["entries"])


@functools.lru_cache(maxsize=64)
def find(name: str, classes: int) -> Entry | None:
    """Return what `EfficientNet.from_name` gives for a name and a number of classes, None for any other name."""
    return by_name(_LIBRARY, name, classes)
