"""Looking up segmentation_models_pytorch's architectures (``Unet``): their heads, whichever encoder they have."""

from __future__ import annotations

import functools

from headcheck.catalog.entries import decode
from headcheck.catalog.entry import NAMES, NOTHING, Entry, Node
from headcheck.catalog.files import load, name_list
from headcheck.catalog.nodes import Decoder, Overlaid

LIBRARY = "segmentation_models_pytorch"
#: Of these no more is known than that they are there.
_OPEN = ("encoder", "decoder")


def names() -> tuple[str, ...]:
    """Return the names of all architectures."""
    return tuple(load(LIBRARY)["entries"])


def named(name: str) -> str | None:
    """Return the architecture that `create_model` takes for a name, whatever its case, or None."""
    return next((each for each in names() if each.lower() == name.lower()), None)


def parameters(name: str) -> tuple[str, ...]:
    """Return the parameters of an architecture's constructor, in order."""
    return name_list(LIBRARY, load(LIBRARY)["entries"][name]["parameters"])


@functools.lru_cache(maxsize=64)
def find(name: str, classes: int, activation: bool) -> Entry | None:
    """Return what an architecture is for a number of classes; `activation`: one that is not known is at its end."""
    data = load(LIBRARY)["entries"].get(name)
    if data is None:
        return None
    decoder = Decoder(LIBRARY, {"num_classes": classes})
    entry = decode(decoder, f"{LIBRARY}.{name}", "dense", data["model"], data["method"])
    over = {each: _nothing(entry.root.children[each]) for each in _OPEN}
    if activation:
        head = entry.root.children["segmentation_head"]
        last = list(head.children)[-1]  # another module where an activation is asked for
        open_ = {last: _nothing(head.children[last])}
        over["segmentation_head"] = head.changed(children=Overlaid(head.children, open_), total=None)
    # The library's versions differ in what else a model has.
    root = entry.root.changed(children=Overlaid(entry.root.children, over), total=None, known=NAMES)
    return entry._replace(root=root, input=())


def _nothing(node: Node) -> Node:
    return Node(node.kind, {}, {}, {}, frozenset(), None, NOTHING)
