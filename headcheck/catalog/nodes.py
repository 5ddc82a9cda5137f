"""Decoding the modules of a library model, each when it is first looked at."""

from __future__ import annotations

import functools
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from math import prod
from typing import Any

from headcheck.catalog import forms
from headcheck.catalog.entry import NAMES, Node, Plain
from headcheck.catalog.forms import Form
from headcheck.records import NamedTuple


class Row(NamedTuple):
    """A module as the file says it: its form, or the number of that, and the values of the letters there."""

    form: Form | int
    letters: tuple[Any, ...]


class Decoder:
    """Makes the nodes of a library's models for given counts (``{"num_classes": 10}``).

    Values named in `unknown` are left out of every node, as attributes that exist but whose value is not known. What a
    file keeps as an outline only (see `headcheck.tracing.write`) becomes a node of which the names are known.
    """

    def __init__(self, library: str, counts: Mapping[str, int], unknown: frozenset[str] = frozenset()) -> None:
        self.library = library
        self.counts = counts
        self._unknown = unknown
        self._nodes: dict[Row, Node] = {}
        self._totals: dict[Row, int | None] = {}

    def node(self, root: str) -> Node:
        """Return the node that an entry of the file names as its root, always the same one."""
        return self.below(self._child(forms.child(root), ()))

    def below(self, row: Row) -> Node:
        """Return the node of a row, always the same one."""
        if row not in self._nodes:
            self._nodes[row] = self._decode(row)
        return self._nodes[row]

    def size(self, item: Any) -> Any:
        """Return a number of the file with the counts put in."""
        if isinstance(item, dict):
            ((count, (factor, offset)),) = item.items()
            return factor * self.counts[count] + offset
        return item

    def plain(self, item: Any) -> Plain:
        """Return a value of the file with the counts put in, its lists as tuples."""
        if isinstance(item, list):
            return tuple(map(self.plain, item))
        value: Plain = self.size(item)
        return value

    def _form(self, row: Row) -> Form:
        return forms.form(self.library, row.form) if isinstance(row.form, int) else row.form

    def _layout(self, row: Row) -> forms.Layout:
        return forms.layout(self.library, self._form(row).layout)

    def _decode(self, row: Row) -> Node:
        layout = self._layout(row)
        children = Children(self, dict(self._below(row)))
        if layout.attributes is None:
            return Node(
                kind=layout.kind,
                values={},
                children=children,
                parameters={name: None for name, _ in layout.parameters},
                attributes=frozenset(),
                total=None if layout.parameters or children else 0,
                known=NAMES,
            )
        own = self._own(row)
        values: dict[str, Plain] = {
            name: next(own) if count is None else tuple(next(own) for _ in range(count))
            for name, count in layout.numbers
        }
        values |= {name: self.plain(value) for name, value in layout.constants.items()}
        hidden = values.keys() & self._unknown
        return Node(
            kind=layout.kind,
            values={name: value for name, value in values.items() if name not in hidden} if hidden else values,
            children=children,
            parameters={name: tuple(next(own) for _ in range(count or 0)) for name, count in layout.parameters},
            attributes=layout.attributes | hidden if hidden else layout.attributes,
            total=functools.partial(self._total, row),
        )

    def _own(self, row: Row) -> Iterator[Any]:
        """Yield the values of a module that are numbers, and then the sizes of its parameters."""
        return (forms.value(term, row.letters, self.counts) for term in self._form(row).own)

    def _runs(self, row: Row) -> Iterator[tuple[Row, int]]:
        """Yield the children of a module, each with how often it stands there in a row."""
        for child in self._form(row).children:
            yield self._child(child, row.letters), forms.value(child.times, row.letters, self.counts)

    def _child(self, child: forms.Child, letters: tuple[Any, ...]) -> Row:
        if isinstance(child.form, Form):
            used = child.form.letters
            return Row(child.form, letters if len(used) == len(letters) else _only(letters, used))
        given = tuple(forms.value(term, letters, self.counts) for term in child.given or ())
        return Row(child.form, given)

    def _below(self, row: Row) -> Iterable[tuple[str, Row]]:
        rows = [child for child, count in self._runs(row) for _ in range(count)]
        names = self._form(row).names
        return zip(
            map(str, range(len(rows))) if names is None else forms.children(self.library, names), rows, strict=True
        )

    def _total(self, row: Row) -> int | None:
        if row not in self._totals:
            self._totals[row] = self._counted(row)
        return self._totals[row]

    def _counted(self, row: Row) -> int | None:
        layout = self._layout(row)
        if layout.attributes is None:
            return None if layout.parameters or self._form(row).children else 0
        found = 0
        for child, count in self._runs(row):
            below = self._total(child)
            if below is None:
                return None
            found += below * count
        if layout.parameters:
            before = sum(count or 1 for _, count in layout.numbers)
            sizes = iter(list(self._own(row))[before:])
            found += sum(prod(next(sizes) for _ in range(count or 0)) for _, count in layout.parameters)
        return found


def _only(letters: tuple[Any, ...], used: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the letters without those that are not used."""
    return tuple(letter if place in used else None for place, letter in enumerate(letters))


class Children(Mapping[str, Node]):
    """The children of a node in order, each decoded when it is first asked for."""

    __slots__ = ("_decoder", "_nodes", "_ordered", "_rows")

    def __init__(self, decoder: Decoder, rows: dict[str, Row]) -> None:
        self._decoder = decoder
        self._rows = rows
        self._nodes: dict[str, Node] = {}  # as they were asked for
        self._ordered: dict[str, Node] | None = None

    def __getitem__(self, name: str) -> Node:
        node = self._nodes.get(name)  # to find one by its row, all that the row says is hashed
        if node is None:
            node = self._nodes[name] = self._decoder.below(self._rows[name])
        return node

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._rows else default

    def _all(self) -> dict[str, Node]:
        if self._ordered is None:
            self._ordered = {name: self[name] for name in self._rows}
        return self._ordered

    def items(self) -> ItemsView[str, Node]:
        """In order; all that are there are decoded for it."""
        return self._all().items()

    def values(self) -> ValuesView[Node]:
        """As `items`."""
        return self._all().values()

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


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
