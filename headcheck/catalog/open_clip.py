"""Looking up open_clip's models by name (``ViT-B-32``): the features that they make of a picture.

A row of the file's ``models`` is ``[width, output_dim, side, parts, alone]``: how wide the features of a picture are,
what the tower for pictures says of that itself (null where it has no such attribute), the side of a picture, the names
of the tower's parts, and whether the features are all that the tower answers.
"""

from __future__ import annotations

import functools

from headcheck.catalog.entry import NAMES, NOTHING, Entry, Node
from headcheck.catalog.files import load, name_list

LIBRARY = "open_clip"
#: The tower for pictures.
TOWER = "visual"
ENCODE = "encode_image"
_NOTHING = Node("", {}, {}, {}, frozenset(), None, NOTHING)


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(load(LIBRARY)["models"])


@functools.lru_cache(maxsize=64)
def find(name: str) -> Entry | None:
    """Return what is known of a model, None for a name that the library does not have (``/`` stands for ``-``)."""
    name = name.replace("/", "-")
    row = load(LIBRARY)["models"].get(name)
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
