"""Decoding the modules of a library model, each when it is first looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from headcheck.catalog.entry import Node, Plain
from headcheck.catalog.files import load, name_list, name_set


class Decoder:
    """Makes the nodes of a library's models for given counts (``{"num_classes": 10}``).

    Values named in `unknown` are left out of every node, as attributes that exist but whose value is not known.
    """

    def __init__(self, library: str, counts: Mapping[str, int], unknown: frozenset[str] = frozenset()) -> None:
        self._library = library
        self._counts = counts
        self._unknown = unknown
        data = load(library)
        self._layouts, self._table = data["layouts"], data["nodes"]
        self._nodes: dict[int, Node] = {}
        self._totals: dict[int, int] = {}

    def node(self, index: int) -> Node:
        """Return the node at `index` of the file's table, always the same one."""
        if index not in self._nodes:
            self._nodes[index] = self._decode(index)
        return self._nodes[index]

    def size(self, item: Any) -> Any:
        """Return a number of the file with the counts put in."""
        if isinstance(item, dict):
            ((count, (factor, offset)),) = item.items()
            return factor * self._counts[count] + offset
        return item

    def plain(self, item: Any) -> Plain:
        """Return a value of the file with the counts put in, its lists as tuples."""
        if isinstance(item, list):
            return tuple(map(self.plain, item))
        value: Plain = self.size(item)
        return value

    def _decode(self, index: int) -> Node:
        layout, values, shapes, children = self._parts(index)
        kind, attributes, value_names, shape_names, child_names, constants = self._layouts[layout]
        known = dict(zip(name_list(self._library, value_names), values, strict=True)) | constants
        names = name_set(self._library, attributes)
        hidden = known.keys() & self._unknown
        return Node(
            kind=kind,
            values={name: self.plain(value) for name, value in known.items() if name not in hidden},
            children=Children(self, dict(zip(name_list(self._library, child_names), children, strict=True))),
            parameters={
                name: tuple(map(self.size, shape))
                for name, shape in zip(name_list(self._library, shape_names), shapes, strict=True)
            },
            attributes=names | hidden if hidden else names,
            total=self._total(index),
        )

    def _parts(self, index: int) -> tuple[int, list[Any], list[list[Any]], list[int]]:
        node = self._table[index]
        layout, values, shapes, children = [*node, [], [], []][:4]
        return layout, values, shapes, children

    def _total(self, index: int) -> int:
        if index not in self._totals:
            _, _, shapes, children = self._parts(index)
            own = sum(prod(map(self.size, shape)) for shape in shapes)
            self._totals[index] = own + sum(map(self._total, children))
        return self._totals[index]


class Children(Mapping[str, Node]):
    """The children of a node in order, decoded one by one."""

    __slots__ = ("_decoder", "_indexes")

    def __init__(self, decoder: Decoder, indexes: dict[str, int]) -> None:
        self._decoder = decoder
        self._indexes = indexes

    def __getitem__(self, name: str) -> Node:
        return self._decoder.node(self._indexes[name])

    def __contains__(self, name: object) -> bool:
        return name in self._indexes

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexes)

    def __len__(self) -> int:
        return len(self._indexes)
