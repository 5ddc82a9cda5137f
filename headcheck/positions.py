"""Where operations stand in the source. Computed once per file, and only when something has to be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import libcst as cst

from headcheck.findings import Cell, Location
from headcheck.ir import Operation
from headcheck.source import cells


class Positions:
    """The places of a parsed file's nodes; `cells` if it is a notebook."""

    def __init__(self, module: cst.Module, cells: Sequence[Cell] = ()) -> None:
        self.module = module
        self.cells = cells

    @cached_property
    def ranges(self) -> Any:
        from libcst.metadata import MetadataWrapper, PositionProvider

        return MetadataWrapper(self.module, unsafe_skip_copy=True).resolve(PositionProvider)

    def span(self, site: Operation | None) -> tuple[Location, Location]:
        """(start, end) of an operation, counted from 1; the file's start for what has no place in it."""
        found = self.ranges.get(site.node) if site is not None else None
        if found is None:
            return Location(1, 1), Location(1, 1)
        start, end = found.start, found.end
        return Location(start.line, start.column + 1), Location(end.line, end.column + 1)

    def line(self, site: Operation | None) -> int:
        return self.span(site)[0].row

    def where(self, site: Operation | None) -> str:
        """The place of an operation in words that fit in brackets: ``line 9``, ``cell 2, line 9``."""
        number, start = cells.place(self.cells, self.span(site)[0])
        return f"line {start.row}" if number is None else f"cell {number}, line {start.row}"

    def keyword(self, site: Operation, name: str) -> tuple[int, int] | None:
        """Where a keyword argument of a call stands, with its value, in characters of the text: (start, end)."""
        for argument in site.node.args if isinstance(site.node, cst.Call) else ():
            if argument.keyword is not None and argument.keyword.value == name:
                start, end = self.ranges[argument.keyword].start, self.ranges[argument.value].end
                return self.offset(start.line, start.column), self.offset(end.line, end.column)
        return None

    def offset(self, line: int, column: int) -> int:
        """The number of characters before a place; lines count from 1, columns from 0."""
        return self._line_starts[line - 1] + column

    @cached_property
    def _line_starts(self) -> list[int]:
        lines = self.module.code.split("\n")
        return [0, *accumulate(len(line) + 1 for line in lines)]

    def code(self, node: cst.CSTNode) -> str:
        """The source text of a node, on one line."""
        return " ".join(self.module.code_for_node(node).split())
