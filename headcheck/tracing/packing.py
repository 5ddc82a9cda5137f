"""Making a catalog file small: what is used in one place only stands there, and takes no index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: The parts whose items others refer to.
_PARTS = ("names", "shared", "nodes", "outlines")
#: A node without children is written where it is used if its text is no longer than that.
_SHORT = 16


class Link(int):
    """The index of an item in one of the parts."""

    part: str

    def __new__(cls, part: str, index: int) -> Link:
        link = super().__new__(cls, index)
        link.part = part
        return link


def packed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a file with what its links stand for where that is used only once, with new indexes else."""
    packing = _Packing(data)
    return {key: packing.part(key, part) for key, part in data.items()}


class _Packing:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self._parts = {part: data[part] for part in _PARTS if part in data}
        uses = Counter((link.part, int(link), key) for key, part in data.items() for link in _links(part))
        self._uses: Counter[tuple[str, int]] = Counter()
        outside = set()
        for (part, index, key), count in uses.items():
            self._uses[part, index] += count
            if part in ("nodes", "outlines") and key not in ("nodes", "outlines"):
                outside.add((part, index))
        self._places: dict[str, dict[int, int]] = {}
        for part, items in self._parts.items():
            kept = [i for i in range(len(items)) if (part, i) in outside or not self._is_inner(part, i)]
            self._places[part] = {index: place for place, index in enumerate(kept)}

    def _is_inner(self, part: str, index: int) -> bool:
        """Whether an item is written where it is used."""
        item = self._parts[part][index]
        if part == "outlines" and len(item) == 1:
            return True
        if part == "nodes" and not any(_links(item)) and len(_dump(item)) <= _SHORT:
            return True
        return self._uses[part, index] == 1

    def part(self, key: str, part: Any) -> Any:
        """Return a part of the file with its links resolved."""
        places = self._places.get(key)
        if places is None:
            return self._resolved(part)
        if key == "nodes":
            return [self._node(part[index], place) for index, place in places.items()]
        if key == "outlines":
            return [self._outline(part[index]) for index in places]
        return [self._resolved(part[index]) for index in places]

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, Link):
            place = self._places[item.part].get(item)
            return self._resolved(self._parts[item.part][item]) if place is None else place
        if isinstance(item, Mapping):
            return {name: self._resolved(each) for name, each in item.items()}
        return list(map(self._resolved, item)) if isinstance(item, (list, tuple)) else item

    def _node(self, node: Sequence[Any], place: int) -> list[Any]:
        """Return a node that is written in the line of the one at `place`, which distances are counted from."""
        layout, *rest = node
        if rest and isinstance(rest[0], list) and any(_links(rest[0])):
            return [layout, [self._child(child, place) for child in rest[0]], *rest[1:]]
        return [layout, *rest]

    def _child(self, child: Link, place: int) -> Any:
        before = self._places[child.part].get(child)
        item = self._parts[child.part][child]
        if child.part == "nodes":
            return self._node(item, place) if before is None else place - before
        return [self._outline(item)] if before is None else -1 - before

    def _outline(self, outline: Sequence[int]) -> list[Any]:
        frame, *children = outline
        return [frame, *map(self._below, children)]

    def _below(self, child: int) -> Any:
        item = self._parts["outlines"][child]
        if len(item) == 1:
            return -1 - item[0]
        place = self._places["outlines"].get(child)
        return self._outline(item) if place is None else place


def _links(item: Any) -> Iterator[Link]:
    if isinstance(item, Link):
        yield item
    elif isinstance(item, Mapping):
        for each in item.values():
            yield from _links(each)
    elif isinstance(item, (list, tuple)):
        for each in item:
            yield from _links(each)


def _dump(item: object) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
