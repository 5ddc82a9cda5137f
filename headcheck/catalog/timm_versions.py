"""What is otherwise in older versions of timm, and which versions a project may have.

The last item of a row says, for each version in `OLDER`, how what the file says of a model is to be changed to hold
there: 0 where that version does not have models of this kind, 1 where nothing is known, else a dict of

- ``heads``: the path of each head now, and the one that it had; ``taken``: what reached them and what held them, as
  shapes in which ``"width"`` is the number of features that reach a head and null is not known;
- ``order``: the names of the model's children where those were others; ``classifier``: what `get_classifier` answered;
- ``parts``: by path (a ``*`` is any number), the values that are not known there and the attributes that are there too;
  null for a part of which no more is known than that it is one;
- ``inputs``, ``outputs``, ``answers``: the names of shapes that were others; ``used``: what forward used besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headcheck.catalog.entry import NOTHING, Entry, Head, Node, Shape

#: The versions that were looked at, beside the one that the file is of, each with the first that it stands for.
OLDER = ("0.3.4", "0.4.12", "0.5.4", "0.6.13", "0.9.16")
_FIRST = ((0, 3), (0, 4), (0, 5), (0, 6), (0, 8), (1, 0))
_NOW = len(OLDER)
#: Where a project says nothing: what `pip install timm` has given since May 2023.
USUAL = (_NOW - 1, _NOW)
ABSENT, _UNKNOWN = 0, 1
_NOTHING = Node("", {}, {}, {}, frozenset(), None, NOTHING)

Span = tuple["tuple[int, ...] | None", "tuple[int, ...] | None"]


def holding(spans: Iterable[Span]) -> tuple[int, ...]:
    """Return the places (in `OLDER`, the last one after it is now) of the versions that a project may have.

    `spans` are those it asks for, each from a first version and before an end.
    """
    asked = tuple(spans)
    found: set[int] = set()
    for first, end in asked:
        for place, low in enumerate(_FIRST):
            high = _FIRST[place + 1] if place < _NOW else None
            if (end is None or low < end) and (high is None or first is None or first < high):
                found.add(place)
    return tuple(sorted(found)) if asked else USUAL


def changed(entry: Entry, older: list[Any], places: tuple[int, ...]) -> Entry | None:
    """Return what holds of a model in all versions at `places`, None if nothing does, or if that cannot be said."""
    wanted = [older[place] if place < _NOW else {} for place in places] if older else [{} for _ in places]
    usual = set(places) <= set(USUAL)  # since when no head has moved, so that what cannot be traced there is as now
    there = [edits for edits in wanted if edits != ABSENT and not (usual and edits == _UNKNOWN)]
    if not there or any(not isinstance(edits, dict) for edits in there):
        return None
    if any(_heads(edits) != _heads(there[0]) for edits in there):
        return None
    ordered = all(edits.get("order") == there[0].get("order") for edits in there)
    for edits in there:
        entry = _edited(entry, edits if ordered else {**edits, "order": None})
    if usual:
        root = entry.root
        entry = entry._replace(root=root.changed(attributes=root.attributes | _once(older) - root.children.keys()))
    if ordered or usual:
        return entry  # what came since has no parameters, and stands where nothing else does
    return entry._replace(root=entry.root.changed(known=NOTHING))


def is_new(older: list[Any], places: tuple[int, ...]) -> bool:
    """Whether of the versions at `places` only the newest has a model."""
    return all(place == _NOW or (bool(older) and older[place] == ABSENT) for place in places)


def classifier(paths: tuple[str, ...], older: list[Any], places: tuple[int, ...]) -> tuple[str, ...]:
    """Return the paths of what `get_classifier` answers in all versions at `places`, none if that is not known."""
    found = {tuple(_at(older, place).get("classifier", paths)) for place in places if _at(older, place) is not None}
    return found.pop() if len(found) == 1 else ()


def _once(older: list[Any]) -> frozenset[str]:
    """What a model had under its own names in any older version, but for its heads: a project that says nothing of its
    version may be old, and what it reads may have been there."""
    found: set[str] = set()
    for edits in older:
        if isinstance(edits, dict):
            names = {*(edits.get("order") or ()), *(edits.get("parts", {}).get("") or ())}
            found |= names - {path.partition(".")[0] for _, path in edits.get("heads", ())}
    return frozenset(found)


def _at(older: list[Any], place: int) -> Any:
    edits = older[place] if older and place < _NOW else {}
    return None if edits == ABSENT else edits if isinstance(edits, dict) else {"classifier": []}


def _heads(edits: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must be the same in all versions for anything to hold in all."""
    return edits.get("heads"), edits.get("taken")


def _edited(entry: Entry, edits: Mapping[str, Any]) -> Entry:
    root = entry.root
    moved = dict(edits.get("heads", ()))
    layers = {before: _node_at(root, now) or _NOTHING for now, before in moved.items()}
    for path, names in edits.get("parts", {}).items():
        root = _loosened(root, path.split(".") if path else [], names)
    order = edits.get("order")
    if order is not None or moved:
        names = order if order is not None else list(root.children)
        children = {name: root.children.get(name, _NOTHING) for name in names}
        gone = root.children.keys() - children.keys()
        attributes = root.attributes - gone
        for before, layer in layers.items():
            _place(children, before, layer)
        root = root.changed(children=children, attributes=attributes, total=None)
    heads = tuple(head._replace(path=moved.get(head.path, head.path)) for head in entry.heads)
    width = heads[0].in_features if heads else None
    taken = {path: _shape(shape, width) for path, shape in edits.get("taken", {}).items()}
    kept = root.children.keys()
    return entry._replace(
        root=root,
        heads=tuple(_reached(head, taken) for head in heads),
        inputs={**_without(entry.inputs, edits.get("inputs", ()), kept), **taken},
        outputs=_without(entry.outputs, edits.get("outputs", ()), kept),
        used=entry.used | set(edits.get("used", ())),
        answers={name: shape for name, shape in entry.answers.items() if name not in edits.get("answers", ())},
    )


def _reached(head: Head, taken: Mapping[str, Shape]) -> Head:
    return head._replace(shape=taken[head.path]) if head.path in taken else head


def _shape(shape: list[Any], width: int | None) -> Shape:
    return tuple(width if size == "width" else None for size in shape)


def _without(shapes: Mapping[str, Shape], names: Iterable[str], kept: Iterable[str]) -> dict[str, Shape]:
    gone, there = set(names), set(kept)
    return {path: shape for path, shape in shapes.items() if path not in gone and path.partition(".")[0] in there}


def _place(children: dict[str, Node], path: str, layer: Node) -> None:
    """Put a head where it was; of a module that held it no more is known."""
    name, _, rest = path.partition(".")
    inner: dict[str, Node] = {}
    if rest:
        _place(inner, rest, layer)
    children[name] = _NOTHING.changed(children=inner) if rest else layer


def _loosened(node: Node, path: list[str], names: list[str] | None) -> Node:
    """Return a module with less known of the parts at a path; a keyword may have left nothing of what holds them."""
    if path:
        wanted = [name for name in node.children if name == path[0] or (path[0] == "*" and name.isdigit())]
        children = {name: _loosened(node.children[name], path[1:], names) for name in wanted}
        return node.changed(children={**node.children, **children}, total=None) if children else node
    if names is None:
        return _NOTHING
    return node.changed(
        values={name: value for name, value in node.values.items() if name not in names},
        attributes=node.attributes | set(names) - node.children.keys(),
    )


def _node_at(node: Node, path: str) -> Node | None:
    found: Node | None = node
    for name in path.split(".") if path else ():
        found = found.children.get(name) if found is not None else None
    return found
