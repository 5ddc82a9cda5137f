"""Decoding the modules of a library model, each when it is first looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from headcheck.catalog.entry import NAMES, Node, Plain
from headcheck.catalog.files import load, name_list, name_set

CHILDREN = 4  # where a layout says which names its children have


class Decoder:
    """Makes the nodes of a library's models for given counts (``{"num_classes": 10}``).

    Values named in `unknown` are left out of every node, as attributes that exist but whose value is not known. What a
    file keeps as an outline only (see `headcheck.tracing.write`) becomes a node of which the names are known.
    """

    def __init__(self, library: str, counts: Mapping[str, int], unknown: frozenset[str] = frozenset()) -> None:
        self.library = library
        self._counts = counts
        self._unknown = unknown
        data = load(library)
        self._layouts, self._table = data["layouts"], data["nodes"]
        self._nodes: dict[int, Node] = {}
        self._totals: dict[int, int | None] = {}

    def node(self, index: int) -> Node:
        """Return the node at `index` of the file's table, always the same one; below zero, an outline."""
        if index not in self._nodes:
            self._nodes[index] = self._decode(index) if index >= 0 else self._outline(-1 - index)
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
        layout, children, numbers = self._parts(index)
        kind, attributes, _, _, child_names, _, _, _ = layout
        values, parameters = self._own(layout, numbers)
        names = name_set(self.library, attributes)
        hidden = values.keys() & self._unknown
        return Node(
            kind="".join(name_list(self.library, kind)),
            values={name: value for name, value in values.items() if name not in hidden},
            children=Children(self, dict(zip(name_list(self.library, child_names), children, strict=True))),
            parameters=parameters,
            attributes=names | hidden if hidden else names,
            total=self._total(index),
        )

    def _parts(self, index: int) -> tuple[list[Any], list[int], list[Any]]:
        """Return the layout of a node, the indexes of its children, and its numbers."""
        layout, before, numbers = [*self._table[index], [], []][:3]
        children = [index - distance if distance > 0 else distance for distance in before]
        return self._layouts[layout], children, numbers

    def _outline(self, index: int) -> Node:
        data = load(self.library)
        frame, *children = data["outlines"][index]
        kind, parameters, child_names = (name_list(self.library, names) for names in data["frames"][frame])
        if len(children) == 1:  # written once for all that are alike
            children *= len(child_names)
        return Node(
            kind="".join(kind),
            values={},
            children=Children(self, {name: -1 - child for name, child in zip(child_names, children, strict=True)}),
            parameters=dict.fromkeys(parameters),
            attributes=frozenset(),
            total=None if parameters or child_names else 0,
            known=NAMES,
        )

    def _own(self, layout: list[Any], numbers: list[Any]) -> tuple[dict[str, Plain], dict[str, tuple[int, ...]]]:
        """Return the values and the shapes of the parameters of a node."""
        _, _, value_names, shape_names, _, constant_names, constants, shapes = layout
        given = iter(map(self.plain, numbers))
        values = dict(zip(name_list(self.library, constant_names), map(self.plain, constants), strict=True))
        values |= {name: next(given) for name in name_list(self.library, value_names)}
        parameters: dict[str, Any] = {}
        for name, shape in zip(name_list(self.library, shape_names), shapes, strict=True):
            parameters[name] = tuple(
                next(given) if item is None else values[item] if isinstance(item, str) else self.size(item)
                for item in shape
            )
        return values, parameters

    def _total(self, index: int) -> int | None:
        if index < 0:
            return self.node(index).total
        if index not in self._totals:
            layout, children, numbers = self._parts(index)
            _, parameters = self._own(layout, numbers)
            below = list(map(self._total, children))
            own = sum(map(prod, parameters.values()))
            self._totals[index] = None if None in below else own + sum(total or 0 for total in below)
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


class Overlaid(Mapping[str, Node]):
    """Children some of which are others than the file says."""

    __slots__ = ("_below", "_over")

    def __init__(self, below: Mapping[str, Node], over: Mapping[str, Node]) -> None:
        self._below = below
        self._over = over

    def __getitem__(self, name: str) -> Node:
        return self._over[name] if name in self._over else self._below[name]

    def __contains__(self, name: object) -> bool:
        return name in self._below

    def __iter__(self) -> Iterator[str]:
        return iter(self._below)

    def __len__(self) -> int:
        return len(self._below)
