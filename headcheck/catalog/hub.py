"""Looking up the models of repositories that only `torch.hub.load` knows (``dinov2_vits14``)."""

from __future__ import annotations

import functools

from headcheck.catalog.entries import by_name
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load

LIBRARY = "torch_hub"
#: Classes of the models that have a head which does not follow any keyword.
CLASSES = 1000


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(LIBRARY)["entries"])


def repository(name: str) -> str | None:
    """Return the repository that has a model of this name (``facebookresearch/dinov2``), None where none is known."""
    data = load(LIBRARY)["entries"].get(name)
    return None if data is None else str(data["repository"])


def classes(name: str) -> int:
    """Return how many classes a model of a known name has that is told no number. Raises KeyError for other names."""
    return int(load(LIBRARY)["entries"][name].get("classes", CLASSES))


@functools.lru_cache(maxsize=64)
def find(name: str, count: int | None = None) -> Entry | None:
    """Return what an entry point of one of the repositories gives, for a number of classes if it listens to one, None
    for any other name."""
    if repository(name) is None:
        return None
    entry = by_name(LIBRARY, name, classes(name) if count is None else count)
    return entry._replace(task="video") if entry is not None and len(entry.input) == VIDEO else entry


#: The sizes of what a model takes that is given clips: channels, pictures, height and width.
VIDEO = 4
