"""Making a catalog file small: what is used in one place only stands there, and takes no index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

#: The parts whose items others refer to.
_PARTS = ("names", "shared", "roots", "models")
#: Those of them whose items stand only where they are used.
_INNER = ("roots", "models")


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
    return {key: packing.part(key, part) for key, part in data.items() if key not in _INNER}


class _Packing:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self._parts = {part: data[part] for part in _PARTS}
        uses = Counter((link.part, int(link)) for part in data.values() for link in _links(part))
        self._places: dict[str, dict[int, int]] = {}
        for part, items in self._parts.items():
            kept = [i for i in range(len(items)) if part not in _INNER and uses[part, i] != 1]
            self._places[part] = {index: place for place, index in enumerate(kept)}

    def part(self, key: str, part: Any) -> Any:
        """Return a part of the file with its links resolved."""
        if key in self._places:
            return [self._resolved(part[index]) for index in self._places[key]]
        return self._resolved(part)

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, Link):
            place = self._places[item.part].get(item)
            return self._resolved(self._parts[item.part][item]) if place is None else place
        if isinstance(item, Mapping):
            return {name: self._resolved(each) for name, each in item.items()}
        return list(map(self._resolved, item)) if isinstance(item, (list, tuple)) else item


def _links(item: Any) -> Iterator[Link]:
    if isinstance(item, Link):
        yield item
    elif isinstance(item, Mapping):
        for each in item.values():
            yield from _links(each)
    elif isinstance(item, (list, tuple)):
        for each in item:
            yield from _links(each)
