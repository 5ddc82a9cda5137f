"""Decoding the modules of a library model, each when it is first looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple, TypeAlias

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
        self._frames, self._outlined = data.get("frames", ()), data.get("outlines", ())
        self._nodes: dict[int, Node] = {}
        self._outlines: dict[int, Node] = {}
        self._totals: dict[int, int | None] = {}

    def node(self, place: int) -> Node:
        """Return the node at a place of the file's table, always the same one."""
        return self._node(_Row(self._table[place], place))

    def below(self, child: _Child) -> Node:
        """Return a child of a node, always the same one."""
        return self._node(child) if isinstance(child, _Row) else self._outline(child)

    def _node(self, row: _Row) -> Node:
        # What the file says of a node is parsed once only, so it can stand for the node.
        if id(row.item) not in self._nodes:
            self._nodes[id(row.item)] = self._decode(row)
        return self._nodes[id(row.item)]

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

    def _decode(self, row: _Row) -> Node:
        layout, children, numbers = self._parts(row)
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
            total=self._total(row),
        )

    def _parts(self, row: _Row) -> tuple[list[Any], list[_Child], list[Any]]:
        """Return the layout of a node, its children, and its numbers."""
        layout = self._layouts[row.item[0]]
        if not name_list(self.library, layout[CHILDREN]):
            return layout, [], row.item[1:]
        return layout, [self._child(child, row.place) for child in row.item[1]], row.item[2:]

    def _child(self, item: Any, place: int) -> _Child:
        if isinstance(item, int):
            return _Row(self._table[place - item], place - item) if item > 0 else -1 - item
        return item if isinstance(item[0], list) else _Row(item, place)

    def _outline(self, item: Any) -> Node:
        """Return what an outline says: its place in the file, its frame below zero, or itself."""
        if isinstance(item, list) and isinstance(item[0], list):
            (item,) = item
        if not isinstance(item, list):
            if item not in self._outlines:
                self._outlines[item] = self._framed(self._outlined[item] if item >= 0 else [-1 - item])
            return self._outlines[item]
        if id(item) not in self._nodes:
            self._nodes[id(item)] = self._framed(item)
        return self._nodes[id(item)]

    def _framed(self, item: list[Any]) -> Node:
        frame, *children = item
        kind, parameters, child_names = (name_list(self.library, names) for names in self._frames[frame])
        if len(children) == 1:  # written once for all that are alike
            children *= len(child_names)
        return Node(
            kind="".join(kind),
            values={},
            children=Children(self, dict(zip(child_names, children, strict=True))),
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

    def _total(self, child: _Child) -> int | None:
        if not isinstance(child, _Row):
            return self._outline(child).total
        if id(child.item) not in self._totals:
            layout, children, numbers = self._parts(child)
            _, parameters = self._own(layout, numbers)
            below = list(map(self._total, children))
            own = sum(map(prod, parameters.values()))
            self._totals[id(child.item)] = None if None in below else own + sum(total or 0 for total in below)
        return self._totals[id(child.item)]


class _Row(NamedTuple):
    """What the file says of a node, and the place in the table from which the distances in it are counted."""

    item: list[Any]
    place: int


#: A node, or an outline as `Decoder._outline` takes it.
_Child: TypeAlias = "_Row | Any"


class Children(Mapping[str, Node]):
    """The children of a node in order, decoded one by one."""

    __slots__ = ("_decoder", "_items")

    def __init__(self, decoder: Decoder, items: dict[str, _Child]) -> None:
        self._decoder = decoder
        self._items = items

    def __getitem__(self, name: str) -> Node:
        return self._decoder.below(self._items[name])

    def get(self, name: str, default: Any = None) -> Any:
        return self._decoder.below(self._items[name]) if name in self._items else default

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


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
