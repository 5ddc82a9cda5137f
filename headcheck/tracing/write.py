"""Writing a catalog file: equal modules, attribute sets and shapes once, everything in a fixed order.

The format (version 1) is a JSON object:

- ``names``: lists of names, each as one text separated by spaces; other parts refer to them by index.
- ``layouts``: what modules of one kind have in common, ``[kind, attributes, values, parameters, children, constants]``:
  the kind, three lists of names, and the values that are the same in all of them.
- ``nodes``: every distinct module, children before parents: ``[layout, values, shapes, children]``, the values in the
  order of the layout's names without those of the constants, children as indexes of nodes.
- ``entries``: the traced models, ``{root, counts, heads, inputs, outputs, used, input, method, task}``.

A number that follows a count is written ``{"num_classes": [factor, offset]}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headcheck.tracing.model import Traced
from headcheck.tracing.tree import Scaled, Tree, Value

from headcheck.catalog.files import FORMAT


class Table:
    """Trees and name lists, each kept once. Add everything with `collect` first, then ask for indexes."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], int] = {}
        self._nodes: dict[Tree, int] = {}
        self._groups: dict[tuple[object, ...], list[Tree]] = {}
        self._layouts: dict[tuple[object, ...], int] = {}

    def collect(self, tree: Tree) -> int:
        """Add a tree and return its index."""
        if tree not in self._nodes:
            for _, child in tree.children:
                self.collect(child)
            self._nodes[tree] = len(self._nodes)
            self._groups.setdefault(_layout(tree), []).append(tree)
            self._layouts.setdefault(_layout(tree), len(self._layouts))
        return self._nodes[tree]

    def names(self, names: Iterable[str]) -> int:
        """Return the index of a list of names."""
        return self._names.setdefault(tuple(names), len(self._names))

    def data(self) -> dict[str, Any]:
        """Return the parts ``names``, ``layouts`` and ``nodes`` of the file."""
        constants = {layout: _constants(trees) for layout, trees in self._groups.items()}
        layouts = [
            [
                trees[0].kind,
                self.names(sorted(trees[0].attributes)),
                self.names(name for name, _ in trees[0].values if name not in constants[layout]),
                self.names(name for name, _ in trees[0].parameters),
                self.names(name for name, _ in trees[0].children),
                {name: _encode(value) for name, value in constants[layout].items()},
            ]
            for layout, trees in self._groups.items()
        ]
        nodes = [self._node(tree, constants[_layout(tree)]) for tree in self._nodes]
        return {"names": [" ".join(names) for names in self._names], "layouts": layouts, "nodes": nodes}

    def _node(self, tree: Tree, constants: Mapping[str, Value]) -> list[Any]:
        node: list[Any] = [
            self._layouts[_layout(tree)],
            [_encode(value) for name, value in tree.values if name not in constants],
            [_encode(shape) for _, shape in tree.parameters],
            [self._nodes[child] for _, child in tree.children],
        ]
        while not node[-1] and isinstance(node[-1], list):
            node.pop()
        return node


def _layout(tree: Tree) -> tuple[object, ...]:
    parts = (tree.values, tree.parameters, tree.children)
    return (tree.kind, tree.attributes, *(tuple(name for name, _ in part) for part in parts))


def _constants(trees: list[Tree]) -> dict[str, Value]:
    """Return the values that all `trees` share; 1 and True are not the same."""
    return {
        name: value
        for index, (name, value) in enumerate(trees[0].values)
        if len({repr(tree.values[index][1]) for tree in trees}) == 1
    }


def _encode(value: Any) -> Any:
    if isinstance(value, Scaled):
        return {value.count: [value.factor, value.offset]}
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


def entry(table: Table, traced: Traced) -> dict[str, Any]:
    """Return one traced model as an item of ``entries``."""
    return {
        "root": table.collect(traced.tree),
        "counts": dict(traced.counts),
        "heads": [
            [head.path, _encode(head.shape), head.auxiliary, head.train, head.eval, list(head.outputs)]
            for head in traced.heads
        ],
        "inputs": {path: _encode(shape) for path, shape in traced.inputs.items()},
        "outputs": {path: _encode(shape) for path, shape in traced.outputs.items()},
        "used": table.names(sorted(traced.used)),
        "input": list(traced.input),
        "method": traced.method,
    }


def write(data: Mapping[str, Any], path: Path) -> None:
    """Write a catalog file: one line per part's item, so that a change of the library reads as a change of lines."""
    parts = []
    for key, part in data.items():
        if isinstance(part, dict):
            lines = [f"{_dump(name)}:{_dump(item)}" for name, item in part.items()]
            parts.append(f"{_dump(key)}:{{\n" + ",\n".join(lines) + "\n}")
        elif isinstance(part, list):
            parts.append(f"{_dump(key)}:[\n" + ",\n".join(map(_dump, part)) + "\n]")
        else:
            parts.append(f"{_dump(key)}:{_dump(part)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _dump(item: object) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
