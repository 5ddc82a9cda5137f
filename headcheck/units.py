"""A file that was parsed and lowered, and the places of what several of them do together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

import libcst as cst

from headcheck.findings import Cell, Location
from headcheck.ir import Block, Operation, facts, walk
from headcheck.ir.index import Index
from headcheck.ir.lower import lower
from headcheck.positions import Positions
from headcheck.records import NamedTuple
from headcheck.source import guard
from headcheck.source.cells import place
from headcheck.source.reading import Unreadable


class Unit:
    """One file of a run, parsed and lowered once: every script that imports it goes through the same operations.

    `filename` is what messages show, `path` the absolute name; `cells` are those of a notebook.
    """

    def __init__(self, filename: str, path: str, text: str, module: cst.Module, cells: tuple[Cell, ...] = ()) -> None:
        self.filename = filename
        self.path = path
        self.text = text
        self.cells = cells
        self.positions = Positions(module, text, cells)
        self.block: Block = lower(module)

    @cached_property
    def operations(self) -> list[Operation]:
        """All of them, in order."""
        return walk(self.block)

    @cached_property
    def index(self) -> Index:
        return Index(self.block)

    @cached_property
    def assigned_attributes(self) -> Mapping[str, frozenset[int]]:
        return facts.assigned_attributes(self.operations)

    @cached_property
    def used(self) -> facts.Used:
        return facts.used_attributes(self.operations)

    @property
    def used_attributes(self) -> frozenset[str]:
        return self.used.anywhere

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """The number of each operation in the file, by its id: the same whenever the file is read."""
        return {id(operation): number for number, operation in enumerate(self.operations)}


class Refused(NamedTuple):
    """Why a text cannot be read, and the text, with its cells."""

    what: Unreadable
    text: str
    cells: tuple[Cell, ...]


def read(text: str, filename: str, path: str, cells: tuple[Cell, ...] = (), is_safe: bool = False) -> Unit | Refused:
    """Parse and lower a text; `is_safe`: the guard has let it through.

    A script that is no Python because of IPython's syntax in it (one that Colab saved) is read without that.
    """
    checked = None if is_safe else guard.check(text, filename)
    if isinstance(checked, Unreadable) and not cells:
        from headcheck.source import ipython

        plain = ipython.plain(text)
        again = guard.check(plain.text, filename) if plain.text != text else checked
        if not isinstance(again, Unreadable):
            cells = (Cell(None, 1, text, plain.shifts),)
            text = plain.text
        checked = again
    module = checked if isinstance(checked, Unreadable) else guard.parse(text, filename)
    if isinstance(module, Unreadable):
        return Refused(module, text, cells)
    return guard.on_large_stack(lambda: Unit(filename, path, text, module, cells))


class Places:
    """Where operations stand that may be those of several files. The first unit is the script's own."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self.units = tuple(units)
        self.root = self.units[0]

    def unit_of(self, site: Operation | None) -> Unit:
        """The file of an operation; the script for what has no place at all."""
        if len(self.units) == 1:
            return self.root
        return next((unit for unit in self.units if id(site) in unit.numbers), self.root)

    def filename(self, site: Operation | None) -> str:
        return self.unit_of(site).filename

    def span(self, site: Operation | None) -> tuple[Location, Location]:
        """(start, end) of an operation in its file, counted from 1."""
        return self.unit_of(site).positions.span(site)

    def line(self, site: Operation | None) -> int:
        return self.span(site)[0].row

    def where(self, site: Operation | None) -> str:
        """The place of an operation in words for a message, which `said_in` makes those of the file it is about."""
        unit = self.unit_of(site)
        words = unit.positions.where(site)
        if len(self.units) == 1:
            return words
        cell, start = place(unit.cells, unit.positions.span(site)[0])
        row = start.row if cell is None else f"cell {cell}:{start.row}"
        return f"{MARK}{unit.path}{MARK}{words}{MARK}{row}{MARK}"

    def keyword(self, site: Operation, name: str) -> tuple[int, int] | None:
        return self.unit_of(site).positions.keyword(site, name)

    def code(self, node: Any) -> str:
        return self.root.positions.code(node)


MARK: Final = "\0"
_PLACE: Final = f"{MARK}([^{MARK}]*){MARK}([^{MARK}]*){MARK}([^{MARK}]*){MARK}"


def said_in(unit: Unit, text: str) -> str:
    """A message about a file: its own places are ``line 9``, those of other files ``models.py:9``."""
    if MARK not in text:
        return text
    return re.sub(_PLACE, lambda at: at[2] if at[1] == unit.path else f"{near(at[1], unit)}:{at[3]}", text)


def near(path: str, unit: Unit) -> str:
    """What a message about a file calls another: its name from the working folder, else from that of the file."""
    name = os.path.relpath(path)
    return name if name.partition(os.sep)[0] != os.pardir else os.path.relpath(path, os.path.dirname(unit.path))
