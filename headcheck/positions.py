"""Where operations stand in the source. Computed once per file, and only when something has to be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeAlias

import libcst as cst
from libcst._nodes.internal import CodegenState

from headcheck.findings import Cell, Location
from headcheck.ir import Operation
from headcheck.source import cells

_Place: TypeAlias = "tuple[int, int]"  # line from 1, column from 0


class Positions:
    """The places of a parsed text's nodes; `cells` if it is a notebook's."""

    def __init__(self, module: cst.Module, text: str, cells: Sequence[Cell] = ()) -> None:
        self.module = module
        self.text = text
        self.cells = cells

    @cached_property
    def ranges(self) -> dict[int, tuple[_Place, _Place]]:
        """Where each node starts and ends, by its id, without the space around it."""
        return _ranges(self.module)

    def span(self, site: Operation | None) -> tuple[Location, Location]:
        """(start, end) of an operation, counted from 1; the file's start for what has no place in it."""
        found = self.ranges.get(id(site.node)) if site is not None else None
        if found is None:
            return Location(1, 1), Location(1, 1)
        (row, column), (end_row, end_column) = found
        return Location(row, column + 1), Location(end_row, end_column + 1)

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
                start, end = self.ranges[id(argument.keyword)][0], self.ranges[id(argument.value)][1]
                return self.offset(*start), self.offset(*end)
        return None

    def offset(self, line: int, column: int) -> int:
        """The number of characters before a place; lines count from 1, columns from 0."""
        return self._line_starts[line - 1] + column

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))]

    def code(self, node: cst.CSTNode) -> str:
        """The source text of a node, on one line."""
        return " ".join(self.module.code_for_node(node).split())


# --- what libcst's `PositionProvider` says ----------------------------------------------------------------------------
# A node has no place of its own: it is where it comes to stand when the tree is written out. The provider visits every
# node once more than that takes and makes three objects of each, at several times the price of parsing.


def _ranges(module: cst.Module) -> dict[int, tuple[_Place, _Place]]:
    state = _Writing(module.default_indent, module.default_newline)
    module._codegen(state)
    return state.ranges


class _Writing(CodegenState):
    """Counts lines and columns as the tree is written; of the text, only what ends lines is kept, for libcst asks."""

    __slots__ = ("column", "indent", "line", "ranges", "starts")

    def __init__(self, default_indent: str, default_newline: str) -> None:
        super().__init__(default_indent, default_newline)
        self.line = 1
        self.column = 0
        self.indent = 0
        self.starts: list[_Place] = []
        self.ranges: dict[int, tuple[_Place, _Place]] = {}

    def increase_indent(self, value: str) -> None:
        self.indent_tokens.append(value)
        self.indent += len(value)

    def decrease_indent(self) -> None:
        self.indent -= len(self.indent_tokens.pop())

    def add_indent_tokens(self) -> None:
        self.column += self.indent

    def add_token(self, value: str) -> None:
        if "\n" not in value and "\r" not in value:
            self.column += len(value)
            return
        self.tokens.append(value)
        lines = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.line += len(lines) - 1
        self.column = len(lines[-1])

    def before_codegen(self, node: cst.CSTNode) -> None:
        self.starts.append((self.line, self.column))

    def after_codegen(self, node: cst.CSTNode) -> None:
        start, key = self.starts.pop(), id(node)
        if key not in self.ranges:
            self.ranges[key] = start, (self.line, self.column)

    def record_syntactic_position(
        self, node: cst.CSTNode, *, start_node: cst.CSTNode | None = None, end_node: cst.CSTNode | None = None
    ) -> Any:
        return _Syntactic(self, node, start_node, end_node)


class _Syntactic:
    """While it is open, what counts as a node is written: the node without the space that goes with it."""

    __slots__ = ("end_node", "node", "start", "start_node", "state")

    def __init__(
        self, state: _Writing, node: cst.CSTNode, start_node: cst.CSTNode | None, end_node: cst.CSTNode | None
    ) -> None:
        self.state = state
        self.node = node
        self.start_node = start_node
        self.end_node = end_node

    def __enter__(self) -> None:
        self.start = (self.state.line, self.state.column)

    def __exit__(self, *error: object) -> None:
        state = self.state
        start = self.start if self.start_node is None else state.ranges[id(self.start_node)][0]
        end = (state.line, state.column) if self.end_node is None else state.ranges[id(self.end_node)][1]
        state.ranges[id(self.node)] = start, end
