"""Writing a catalog file: equal modules, attribute sets and shapes once, everything in a fixed order.

The file is a JSON object; its format has a number, which grows when what follows changes:

- ``names``: lists of names, each as one text separated by spaces; other parts refer to them by index, or hold the text
  of one that is used only there.
- ``shared``: whatever several builders or entries have in common; other parts refer to it by index, or hold what is
  used only there.
- ``layouts``: what modules of one form have in common, ``[kind, parameters, attributes, numbers, constants]``: three
  lists of names and that of the kind, and the values that are no numbers. Names of numbers and of parameters are
  followed by ``:`` and how many numbers they stand for, where that is a tuple. Of an outline, of which only names are
  kept, there are only the first two (the kind is left empty for classes that are not of torch.nn).
- ``children``: lists of names of children.
- ``forms``: modules that differ in numbers only, as one text each: ``layout numbers…|names|child|child…``, an index
  into ``layouts``, the values that are numbers and the sizes of the parameters, an index into ``children`` (nothing
  where they are numbered from 0), and the children: ``form numbers…``, where the numbers are those that the letters
  in that form stand for; one that is used only there is that form in brackets, with the letters of this one.
  ``x`` and a number after a form say how often it stands there in a row.
- ``views``: what models that differ in numbers only have in common beside their modules, ``[input, heads, inputs,
  outputs, used, maps, answers, classifier]``; heads are ``[path, shape, auxiliary, train, eval, outputs]``; inputs and
  outputs ``[paths, shapes]``; maps ``[paths, rules]``, two numbers a rule; answers an object of shapes; the last is
  kept of timm alone.
- ``entries``: the traced models, ``{model, counts, method}``; the model is ``form numbers…|view numbers…``, the first
  part as a child of a form; in the second, letters are those numbers of the first.

A number of a form or a view is one (``64``), a letter (``A``: the first that is given), what follows from letters
(``4A``, ``A/2``, ``A+8``, ``A*B``), or follows a count (``3#num_classes+1``), which is ``{"num_classes": [3, 1]}``
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from headcheck.catalog.files import FORMAT
from headcheck.tracing.forms import Forms, Layout
from headcheck.tracing.model import Traced
from headcheck.tracing.names import attributes, signature
from headcheck.tracing.packing import Link, packed
from headcheck.tracing.tree import Tree
from headcheck.tracing.views import Views


class Table:
    """Modules, name lists and shared items, each kept once. What its methods answer stands for an item of a part."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], int] = {}
        self._shared: dict[str, object] = {}
        self._places: dict[str, int] = {}
        self._forms = Forms()
        self._views = Views()

    def collect(self, tree: Tree, outlined: frozenset[str] = frozenset()) -> Link:
        """Add a model. Of the children named in `outlined` only the outline is kept."""
        return Link("roots", self._forms.add(tree, outlined))

    def model(self, root: Link, view: Sequence[Any]) -> Link:
        """Return what stands for a model that was collected, with what else is kept of it."""
        return Link("models", self._views.add(int(root), view))

    def names(self, names: Iterable[str]) -> Link:
        """Return the index of a list of names."""
        return Link("names", self._names.setdefault(tuple(names), len(self._names)))

    def share(self, item: object) -> Link:
        """Return the index of something that several models have in common."""
        key = _dump(item)
        self._shared.setdefault(key, item)
        return Link("shared", self._places.setdefault(key, len(self._places)))

    def data(self) -> dict[str, Any]:
        """Return the parts ``layouts``, ``children``, ``forms``, ``views``, ``shared`` and ``names`` of the file, and
        the ``roots`` and ``models``, of which each is written where it is used."""
        texts = self._forms.texts()
        views, models = self._views.texts(texts.roots)
        return {
            "layouts": [self._layout(layout) for layout in texts.layouts],
            "children": [" ".join(names) for names in texts.children],
            "forms": texts.forms,
            "roots": texts.roots,
            "views": views,
            "models": models,
            "shared": list(self._shared.values()),
            "names": [" ".join(names) for names in self._names],
        }

    def _layout(self, layout: Layout) -> list[Any]:
        outline = [self.names([layout.kind] if layout.kind else []), self.names(map(_counted, layout.parameters))]
        if layout.attributes is None:
            return outline
        numbers = self.names(map(_counted, layout.numbers))
        return [*outline, self.names(sorted(layout.attributes)), numbers, json.loads(layout.constants)]


def _counted(name: tuple[str, int | None]) -> str:
    return name[0] if name[1] is None else f"{name[0]}:{name[1]}"


def entry(
    table: Table,
    traced: Traced,
    outlined: frozenset[str] = frozenset(),
    answers: Mapping[str, Sequence[int | None]] | None = None,
) -> dict[str, Any]:
    """Return one traced model as an item of ``entries``; of the children named in `outlined` only names are kept."""
    root = table.collect(traced.tree, outlined)
    return {
        "model": table.model(root, view(table, traced, answers or {})),
        "counts": dict(traced.counts),
        "method": traced.method,
    }


def view(table: Table, traced: Traced, answers: Mapping[str, Sequence[int | None]], *more: Any) -> list[Any]:
    """Return what is kept of a model beside its modules, as an item of ``views`` with all its numbers."""
    return [
        list(traced.input),
        [
            [head.path, list(head.shape), head.auxiliary, head.train, head.eval, list(head.outputs)]
            for head in traced.heads
        ],
        [table.names(traced.inputs), list(traced.inputs.values())],
        [table.names(traced.outputs), list(traced.outputs.values())],
        table.names(sorted(traced.used)),
        [table.names(traced.maps), list(chain(*traced.maps.values()))] if traced.maps else [],
        {name: list(shape) for name, shape in answers.items()},
        *more,
    ]


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
    for key, part in sorted(packed(data).items(), key=_place):
        if isinstance(part, dict):
            lines = [f"{_dump(name)}:{_dump(item)}" for name, item in part.items()]
            parts.append(f"{_dump(key)}:{{\n" + ",\n".join(lines) + "\n}")
        elif isinstance(part, list):
            parts.append(f"{_dump(key)}:[\n" + ",\n".join(map(_dump, part)) + "\n]")
        else:
            parts.append(f"{_dump(key)}:{_dump(part)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


#: The large parts in the order they are written in: those that are alike are neighbours, which makes a file small.
_ORDER = (
    *("namespaces", "children", "views", "names", "layers", "layouts"),
    *("kinds", "earliest", "shared", "weights", "builders", "entries", "forms"),
)


def _place(item: tuple[str, Any]) -> int:
    key, _ = item
    return _ORDER.index(key) if key in _ORDER else -1


def _dump(item: object) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
