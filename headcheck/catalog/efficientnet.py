"""Looking up efficientnet_pytorch's models, which go by name (``efficientnet-b0``)."""

from __future__ import annotations

import functools

from headcheck.catalog.entries import decode
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load
from headcheck.catalog.nodes import Decoder

_LIBRARY = "efficientnet_pytorch"
#: Classes of the models that have weights.
CLASSES = 1000


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(_LIBRARY)["entries"])


@functools.lru_cache(maxsize=64)
def find(name: str, classes: int) -> Entry | None:
    """Return what `EfficientNet.from_name` gives for a name and a number of classes, None for any other name."""
    data = load(_LIBRARY)["entries"].get(name)
    if data is None:
        return None
    entry = decode(Decoder(_LIBRARY, {"num_classes": classes}), f"{_LIBRARY}.{name}", "classification", data)
    return entry._replace(answers={method: tuple(shape) for method, shape in data["answers"].items()})
