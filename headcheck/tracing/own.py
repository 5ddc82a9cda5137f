"""Writing a catalog of builders that are not a library's; `headcheck.catalog.own` says what is in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from headcheck.catalog.own import FORMAT, OwnCatalog
from headcheck.tracing.tree import Scaled, Tree


class Table:
    """Modules and lists of names, each kept once."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._nodes: dict[str, int] = {}
        self._trees: dict[Tree, int] = {}

    def node(self, tree: Tree) -> int:
        """Add a tree and return its number."""
        if tree not in self._trees:
            self._trees[tree] = self._number(
                tree.kind,
                " ".join(sorted(tree.attributes)),
                {name: encode(value) for name, value in tree.values},
                {name: encode(shape) for name, shape in tree.parameters},
                {name: self.node(child) for name, child in tree.children},
            )
        return self._trees[tree]

    def take_over(self, catalog: OwnCatalog, name: str) -> dict[str, Any]:
        """Return what another file says of a builder, with its modules in this table."""
        numbers: dict[int, int] = {}

        def taken(index: int) -> int:
            if index not in numbers:
                kind, attributes, values, parameters, children = catalog.data["nodes"][index]
                below = {child: taken(number) for child, number in children.items()}
                numbers[index] = self._number(kind, catalog.data["names"][attributes], values, parameters, below)
            return numbers[index]

        facts = catalog.data["builders"][name]
        return {**facts, "root": taken(facts["root"])}

    def data(self, builders: Mapping[str, Any]) -> dict[str, Any]:
        """Return the file's data, its builders in alphabetical order."""
        return {
            "format": FORMAT,
            "names": list(self._names),
            "nodes": [json.loads(node) for node in self._nodes],
            "builders": dict(sorted(builders.items())),
        }

    def _number(self, kind: str, names: str, values: object, parameters: object, children: object) -> int:
        attributes = self._names.setdefault(names, len(self._names))
        node = json.dumps([kind, attributes, values, parameters, children], allow_nan=False)
        return self._nodes.setdefault(node, len(self._nodes))


def encode(value: Any) -> Any:
    """Return a value as the file has it: tuples as lists, what follows a count as such."""
    if isinstance(value, Scaled):
        return {value.count: [value.factor, value.offset]}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return [encode(item) for item in value] if isinstance(value, tuple) else value


def dump(data: Mapping[str, Any]) -> str:
    """Return the text of the file: one line for each module and builder."""
    parts = []
    for key, part in data.items():
        if isinstance(part, dict):
            lines = [f"{_line(name)}: {_line(item)}" for name, item in part.items()]
            parts.append(f"{_line(key)}: {{\n" + ",\n".join(lines) + "\n}")
        elif isinstance(part, list):
            parts.append(f"{_line(key)}: [\n" + ",\n".join(map(_line, part)) + "\n]")
        else:
            parts.append(f"{_line(key)}: {_line(part)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _line(item: object) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
