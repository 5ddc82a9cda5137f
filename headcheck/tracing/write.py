"""Writing a catalog file: equal modules, attribute sets and shapes once, everything in a fixed order.

The file is a JSON object; its format has a number, which grows when what follows changes:

- ``names``: lists of names, each as one text separated by spaces; other parts refer to them by index, or hold the text
  of one that is used only there.
- ``shared``: whatever several builders or entries have in common; other parts refer to it by index, or hold what is
  used only there.
- ``layouts``: what modules of one form have in common, ``[kind, attributes, values, parameters, children, constants,
  constant values, shapes]``: six lists of names (that of the kind holds one), the values that are the same in all of
  them, and for each parameter its dimensions: a number, the name of the value that it equals, or null.
- ``nodes``: modules, children before parents: ``[layout, children, numbers…]``, the children only where the layout
  names some: as how many nodes before this one they stand, or as the node itself where that is used only there or is
  short; the numbers are the values that are no constants, then the dimensions that the layout leaves open. A child
  below zero is an outline: -1 for the first; one that is used only there is that outline in a list.
- ``outlines``: modules of which only names are kept, ``[frame, children…]``: an index into ``frames`` and the outlines
  of the children, or one if they are all alike: the index of an outline, -1 and below the frame of one that has no
  children, or the outline itself where that is used only there; ``frames``: ``[kind, parameters, children]``, three
  lists of names (the kind is left empty for classes that are not of torch.nn). Both are left out where there are none.
- ``entries``: the traced models, ``{root, counts, heads, inputs, outputs, used, input, method}``; heads are
  ``[path, shape, auxiliary, train, eval, outputs]``; inputs and outputs ``[paths, shapes]``; maps ``[paths, rules]``,
  left out where there are none.

A number that follows a count is written ``{"num_classes": [factor, offset]}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from headcheck.catalog.files import FORMAT
from headcheck.tracing.model import Traced
from headcheck.tracing.names import attributes, signature
from headcheck.tracing.packing import Link, packed
from headcheck.tracing.tree import Scaled, Size, Tree


class Table:
    """Trees, name lists and shared items, each kept once. What its methods answer stands for an item of a part."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], int] = {}
        self._nodes: dict[Tree, int] = {}
        self._forms: dict[tuple[object, ...], list[Tree]] = {}
        self._shared: dict[str, object] = {}
        self._places: dict[str, int] = {}
        self._outlined: dict[Tree, Mapping[str, Link]] = {}
        self._outlines: dict[tuple[int, ...], int] = {}
        self._frames: dict[tuple[Link, ...], int] = {}

    def collect(self, tree: Tree, outlined: frozenset[str] = frozenset()) -> Link:
        """Add a tree and return its index. Of the children named in `outlined` only the outline is kept."""
        if tree not in self._nodes:
            self._outlined[tree] = {name: self.outline(child) for name, child in tree.children if name in outlined}
            for name, child in tree.children:
                if name not in outlined:
                    self.collect(child)
            self._nodes[tree] = len(self._nodes)
            self._forms.setdefault(_form(tree), []).append(tree)
        return Link("nodes", self._nodes[tree])

    def outline(self, tree: Tree) -> Link:
        """Add the outline of a tree and return its index."""
        children = [self.outline(child) for _, child in tree.children]
        frame = (
            self.names([tree.kind] if tree.kind.startswith("torch.nn.") and tree.kind != _IDENTITY else []),
            self.names(name for name, _ in tree.parameters),
            self.names(name for name, _ in tree.children),
        )
        key = (
            self._frames.setdefault(frame, len(self._frames)),
            *(children[:1] if len(set(children)) == 1 else children),
        )
        return Link("outlines", self._outlines.setdefault(key, len(self._outlines)))

    def names(self, names: Iterable[str]) -> Link:
        """Return the index of a list of names."""
        return Link("names", self._names.setdefault(tuple(names), len(self._names)))

    def share(self, item: object) -> Link:
        """Return the index of something that several models have in common."""
        key = _dump(item)
        self._shared.setdefault(key, item)
        return Link("shared", self._places.setdefault(key, len(self._places)))

    def data(self) -> dict[str, Any]:
        """Return the parts ``shared``, ``names``, ``layouts``, ``nodes``, ``frames`` and ``outlines`` of the file."""
        layouts = {form: _Layout(index, trees) for index, (form, trees) in enumerate(self._forms.items())}
        nodes = [self._node(tree, layouts[_form(tree)]) for tree in self._nodes]
        outlines = {"frames": list(map(list, self._frames)), "outlines": list(map(list, self._outlines))}
        return {
            "layouts": [self._layout(trees[0], layouts[form]) for form, trees in self._forms.items()],
            "nodes": nodes,
            **(outlines if self._outlines else {}),
            "shared": list(self._shared.values()),
            "names": [" ".join(names) for names in self._names],
        }

    def _layout(self, tree: Tree, layout: _Layout) -> list[Any]:
        return [
            self.names([tree.kind]),
            self.names(sorted(tree.attributes)),
            self.names(name for name, _ in tree.values if name not in layout.constants),
            self.names(name for name, _ in tree.parameters),
            self.names(name for name, _ in tree.children),
            self.names(layout.constants),
            [_encode(value) for value in layout.constants.values()],
            [_encode(shape) for shape in layout.shapes],
        ]

    def _node(self, tree: Tree, layout: _Layout) -> list[Any]:
        outlined = self._outlined[tree]
        children = [
            outlined[name] if name in outlined else Link("nodes", self._nodes[child]) for name, child in tree.children
        ]
        numbers = [_encode(value) for name, value in tree.values if name not in layout.constants]
        for (_, shape), dimensions in zip(tree.parameters, layout.shapes, strict=True):
            numbers += [_encode(size) for size, known in zip(shape, dimensions, strict=True) if known is None]
        return [layout.index, *([children] if children else ()), *numbers]


#: What stands where a model has nothing to do there; a keyword may put something else in its place.
_IDENTITY = "torch.nn.Identity"


class _Layout:
    """What trees of one form have in common."""

    def __init__(self, index: int, trees: list[Tree]) -> None:
        self.index = index
        self.constants = {
            name: value
            for place, (name, value) in enumerate(trees[0].values)
            if len({tree.values[place][1] for tree in trees}) == 1
        }
        self.shapes = [
            tuple(_dimension(trees, place, axis) for axis in range(len(shape)))
            for place, (_, shape) in enumerate(trees[0].parameters)
        ]


def _form(tree: Tree) -> tuple[object, ...]:
    """Return what trees must share to be written with one layout.

    Numbers differ from module to module; what else a value can be (kernel sizes, modes) takes few forms. One is
    special: layers with one group, or as many as channels, have other shapes than the rest.
    """
    values = tuple(
        (type(value), value if value == 1 or type(value) not in _NUMBERS else None) for _, value in tree.values
    )
    shapes = tuple((name, len(shape)) for name, shape in tree.parameters)
    names = tuple(tuple(name for name, _ in part) for part in (tree.values, tree.children))
    return (tree.kind, tree.attributes, names, values, shapes)


_NUMBERS = (int, float, Scaled)


def _dimension(trees: list[Tree], place: int, axis: int) -> Size | str | None:
    """Return a parameter's size in all `trees`, or the name of the value it equals in all, or None."""
    sizes = [tree.parameters[place][1][axis] for tree in trees]
    if len(set(sizes)) == 1:
        return sizes[0]
    for index, (name, _) in enumerate(trees[0].values):
        if all(tree.values[index][1] == size for tree, size in zip(trees, sizes, strict=True)):
            return name
    return None


def _encode(value: Any) -> Any:
    if isinstance(value, Scaled):
        return {value.count: [value.factor, value.offset]}
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


def entry(table: Table, traced: Traced, outlined: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return one traced model as an item of ``entries``; of the children named in `outlined` only names are kept."""
    return {
        "root": table.collect(traced.tree, outlined),
        "counts": dict(traced.counts),
        "heads": table.share(
            [
                [head.path, _encode(head.shape), head.auxiliary, head.train, head.eval, list(head.outputs)]
                for head in traced.heads
            ]
        ),
        "inputs": table.share([table.names(traced.inputs), _encode(tuple(traced.inputs.values()))]),
        "outputs": table.share([table.names(traced.outputs), _encode(tuple(traced.outputs.values()))]),
        **({"maps": table.share([table.names(traced.maps), list(traced.maps.values())])} if traced.maps else {}),
        "used": table.names(sorted(traced.used)),
        "input": list(traced.input),
        "method": traced.method,
    }


def layer(table: Table, kind: type[nn.Module]) -> list[Any]:
    """Return a Module class as ``[signature, attributes]``, an index into ``shared`` and one into ``names``."""
    return [table.share(signature(kind)), table.names(sorted(attributes(kind)))]


def by_name(
    library: str,
    names: Sequence[str],
    entry: Callable[[Table, str], dict[str, Any]],
    progress: Callable[[int, int, str], None],
    versions: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the parts of the file of a library whose models go by name, each of which `entry` traces.

    `versions` are those of what was traced, if that is not the installed package of the library's name.
    """
    table, entries = Table(), {}
    for number, name in enumerate(names):
        progress(number, len(names), name)
        entries[name] = entry(table, name)
    return {
        "format": FORMAT,
        "library": library,
        "versions": dict(versions or {library: version(library)}),
        "namespaces": {},
        "layers": {},
        **more,
        "entries": entries,
        **table.data(),
    }


def write(data: Mapping[str, Any], path: Path) -> None:
    """Write a catalog file: one line per part's item, so that a change of the library reads as a change of lines."""
    parts = []
    for key, part in packed(data).items():
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
