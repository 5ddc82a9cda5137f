"""Looking up the models of repositories that only `torch.hub.load` knows (``dinov2_vits14``)."""

from __future__ import annotations

import functools

from headcheck.catalog.entries import by_name
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load

LIBRARY = "torch_hub"
#: Classes of the models that have a head: it does not follow any keyword.
CLASSES = 1000


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(LIBRARY)["entries"])


def repository(name: str) -> str | None:
    """Return the repository that has a model of this name (``facebookresearch/dinov2``), None where none is known."""
    data = load(LIBRARY)["entries"].get(name)
    return None if data is None else str(data["repository"])


@functools.lru_cache(maxsize=64)
def find(name: str) -> Entry | None:
    """Return what an entry point of one of the repositories gives, None for any other name."""
    return by_name(LIBRARY, name, CLASSES)
