"""Where operations stand in the source. Computed once per file, and only when something has to be said about it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import libcst as cst

from headcheck.findings import Location
from headcheck.ir import Operation


class Positions:
    """The places of a parsed file's nodes."""

    def __init__(self, module: cst.Module) -> None:
        self.module = module

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

    def code(self, node: cst.CSTNode) -> str:
        """The source text of a node, on one line."""
        return " ".join(self.module.code_for_node(node).split())
