"""Looking up open_clip's models by name (``ViT-B-32``): the features that they make of a picture.

A row of the file's ``towers`` is ``[width, output_dim, side, parts, alone]``: how wide the features of a picture are,
what the tower for pictures says of that itself (null where it has no such attribute), the side of a picture, the names
of the tower's parts, and whether the features are all that the tower answers. ``repositories`` are those on the
hub that hold a model (``hf-hub:laion/…``), of which the library knows.
"""

from __future__ import annotations

import functools

from headcheck.catalog.entry import NAMES, NOTHING, Entry, Node
from headcheck.catalog.files import load, name_list

LIBRARY = "open_clip"
#: The tower for pictures.
TOWER = "visual"
ENCODE = "encode_image"
#: How a model is named by its repository on the hub, whose weights it gets.
HUB = "hf-hub:"
_NOTHING = Node("", {}, {}, {}, frozenset(), None, NOTHING)


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(LIBRARY)["towers"])


@functools.cache
def _repositories() -> dict[str, str]:
    return {each: name for name, listed in load(LIBRARY)["repositories"].items() for each in listed.split()}


@functools.lru_cache(maxsize=64)
def find(name: str) -> Entry | None:
    """Return what is known of a model, None for a name that the library does not have (``/`` stands for ``-``), and for
    a repository that it does not list."""
    name = _repositories().get(name[len(HUB) :], "") if name.startswith(HUB) else name.replace("/", "-")
    row = load(LIBRARY)["towers"].get(name)
    if row is None:
        return None
    width, output, side, parts, alone = row
    known = {"output_dim": output} if output is not None else {}
    tower = Node(
        f"{LIBRARY}.VisionTower",
        known,
        dict.fromkeys(name_list(LIBRARY, parts), _NOTHING),
        {},
        frozenset(),
        None,
        NAMES,
    )
    return Entry(
        builder=f"{LIBRARY}.{name}",
        task="contrastive",
        root=Node(f"{LIBRARY}.CLIP", {}, {TOWER: tower}, {}, frozenset({ENCODE}), None, NAMES),
        heads=(),
        inputs={TOWER: (3, None, None)},
        outputs={TOWER: (width,)} if alone else {},
        used=frozenset({TOWER}),
        input=(3, side, side),
        method="tower",
        answers={ENCODE: (width,)},
    )
