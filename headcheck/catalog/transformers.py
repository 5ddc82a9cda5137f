"""Looking up transformers' classes with a classification head, and the checkpoints that scripts start from.

A row of the file's ``classes`` is ``[module, width, root, path, inputs, outputs, used]``: where the class is defined
(nothing where it is in the usual module of its kind of model), how many features reach its head in the default
configuration, its top-level modules (those with children of their own have no kind: nothing is kept of them), the path
of the head, and the shapes that reach and leave it and what holds it. In shapes, ``"hidden"`` stands for the number of
features, null for what depends on the input. ``tasks`` have the class that an Auto class makes for each kind of model:
of ``BertForSequenceClassification``, where the Auto class ends as that does, ``Bert*``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from headcheck.catalog.entry import NAMES, NOTHING, Entry, Head, Node, Shape
from headcheck.catalog.files import load, name_list, name_set, shared
from headcheck.catalog.nodes import Decoder
from headcheck.records import NamedTuple

_LIBRARY = "transformers"
_COUNT = "num_labels"
_WIDTH = 1  # its place in a row
#: How many labels a configuration has that says nothing of them.
DEFAULT_LABELS = 2
_NOTHING = Node("", {}, {}, {}, frozenset(), None, NOTHING)
#: Values of layers that depend on how wide a model is.
_WIDTHS = frozenset({"in_features", "out_features", "in_channels", "out_channels", "normalized_shape", "num_features"})


class Base(NamedTuple):
    """The class that `AutoModel` makes for a kind of model, the names of what it may answer, and the shapes (the batch
    first) of what it answers if nothing else is asked for. Which class it is does not matter to what it answers."""

    kind: str
    names: tuple[str, ...]
    answers: tuple[tuple[str, Shape], ...]


class Checkpoint(NamedTuple):
    """What is known of a checkpoint of the hub: its kind of model, the class of the head it was saved with ("" for
    none), the labels of that head, and how many features reach a head on it (None if that is not kept)."""

    model_type: str
    head: str
    labels: int
    hidden: int | None


def checkpoint(name: str) -> Checkpoint | None:
    """Return what is known of a checkpoint, None for one that is not known."""
    found = load(_LIBRARY)["checkpoints"].get(name)
    return None if found is None else Checkpoint(*found)


def base(model_type: str, hidden: int | None) -> Base | None:
    """Return what a model without a head answers, for `hidden` features; None for a kind that is not catalogued."""
    row = load(_LIBRARY)["bases"].get(model_type)
    if row is None:
        return None
    kind, names, shapes = row
    answers = tuple((name, tuple(hidden if size == "hidden" else size for size in shape)) for name, shape in shapes)
    return Base(kind, tuple(names), answers)


def answered() -> frozenset[str]:
    """Return the names of what some model without a head may answer."""
    return frozenset(name for _, names, _ in load(_LIBRARY)["bases"].values() for name in names)


def chosen(auto: str, model_type: str) -> str | None:
    """Return the class that an Auto class makes for a kind of model, None where that is not known."""
    found: str | None = load(_LIBRARY)["tasks"].get(auto, {}).get(model_type)
    return None if found is None else _whole(auto, found)


_AUTO = "AutoModel"


def shortened(auto: str, kind: str) -> str:
    """Return a class that an Auto class makes as the file has it."""
    end = auto.removeprefix(_AUTO)
    return f"{kind.removesuffix(end)}*" if kind.endswith(end) else kind


def _whole(auto: str, kind: str) -> str:
    return kind[:-1] + auto.removeprefix(_AUTO) if kind.endswith("*") else kind


def usual_modules(tasks: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the modules that classes are in if that is called as their kind of model is; `tasks` are whole."""
    names = {kind: model_type.replace("-", "_") for chosen in tasks.values() for model_type, kind in chosen.items()}
    return {kind: f"{_LIBRARY}.models.{name}.modeling_{name}" for kind, name in names.items()}


@functools.cache
def _usual() -> dict[str, str]:
    tasks = load(_LIBRARY)["tasks"]
    return usual_modules(
        {auto: {kind: _whole(auto, name) for kind, name in chosen.items()} for auto, chosen in tasks.items()}
    )


def width(family: str) -> int | None:
    """Return how many features reach a head of a family's classes (``Bert``) in the default configuration."""
    found = {row[_WIDTH] for name, row in load(_LIBRARY)["classes"].items() if name.startswith(f"{family}For")}
    known = found.pop() if len(found) == 1 else None
    return known if isinstance(known, int) else None


def classes() -> tuple[str, ...]:
    """Return the classes with a classification head, in alphabetical order."""
    return tuple(load(_LIBRARY)["classes"])


def checkpoints() -> tuple[str, ...]:
    """Return the names of the checkpoints that are known, in alphabetical order."""
    return tuple(load(_LIBRARY)["checkpoints"])


def classes_of(model_type: str) -> dict[str, str]:
    """Return the class that each Auto class makes for a kind of model, as far as it is catalogued."""
    found = {auto: chosen(auto, model_type) for auto in load(_LIBRARY)["tasks"]}
    return {auto: kind for auto, kind in found.items() if kind is not None and is_known(kind)}


def is_known(kind: str) -> bool:
    """Whether a class with a classification head is catalogued, by its own name."""
    return kind in load(_LIBRARY)["classes"]


@functools.cache
def own_names() -> frozenset[str]:
    """Return the names that tell one kind of model from another: those of its head, and its own (``distilbert``).

    No class has an attribute by such a name but those that have a part of that name, which a test holds them to.
    """
    rows = load(_LIBRARY)["classes"]
    heads = {row[3].partition(".")[0] for row in rows.values()}
    return frozenset({*heads, *(re.split("For[A-Z]|Model", kind)[0].lower() for kind in rows)}) - {"model"}


@functools.lru_cache(maxsize=256)
def find(kind: str, labels: int, hidden: int | None) -> Entry | None:
    """Return what a class makes with so many labels, None if it is not catalogued.

    `hidden` is how many features reach the head, None if that is not known.
    """
    row = load(_LIBRARY)["classes"].get(kind)
    if row is None:
        return None
    module, width, text, path, inputs, outputs, used = row
    decoder = Decoder(_LIBRARY, {_COUNT: labels})
    root = decoder.node(text)
    top = path.partition(".")[0]
    children: dict[str, Node] = {name: child if child.kind else _NOTHING for name, child in root.children.items()}
    layer = _node_at(root, path)
    if hidden != width:
        children[top] = _of_width(children[top], path.partition(".")[2], hidden)
        layer = _of_width(layer, "", hidden)
    taken = _shapes(decoder, shared(_LIBRARY, inputs), hidden)
    if hidden is not None and layer.kind == "torch.nn.Linear":
        taken.setdefault(path, (hidden,))  # where the model could not be run: of each step, if it is a sequence
    return Entry(
        builder=f"transformers.{kind}",
        task="transformers",
        root=root.changed(kind=f"{module or _usual()[kind]}.{kind}", children=children, total=None, known=NAMES),
        heads=(Head(path, layer.kind, hidden, labels, taken.get(path, (hidden,)), False, True, True, ("logits",)),),
        inputs=taken,
        outputs=_shapes(decoder, shared(_LIBRARY, outputs), hidden),
        used=name_set(_LIBRARY, used),
        input=(),
        method="autograd",
    )


def _node_at(node: Node, path: str) -> Node:
    for name in path.split("."):
        node = node.children[name]
    return node


def _of_width(node: Node, path: str, hidden: int | None) -> Node:
    """Return a head of which only the layer at `path` ("" for itself) has sizes: those that do not depend on width."""
    name, _, rest = path.partition(".")
    kept = ("out_features", "out_channels") if not path else ()
    gone = {value for value in node.values if value in _WIDTHS and value not in kept}
    known: Mapping[str, Any] = {value: hidden for value in gone if value.startswith("in_") and not path and hidden}
    inner = {n: _of_width(c, rest if n == name else "-", hidden) for n, c in node.children.items()}
    return node.changed(
        values={**{value: old for value, old in node.values.items() if value not in gone}, **known},
        attributes=node.attributes | (gone - known.keys()),
        parameters=dict.fromkeys(node.parameters),
        children=inner,
        total=None,
    )


def _shapes(decoder: Decoder, item: list[Any], hidden: int | None) -> dict[str, Shape]:
    names, found = name_list(_LIBRARY, item[0]), item[1]
    return {
        path: tuple(hidden if size == "hidden" else decoder.size(size) for size in shape)
        for path, shape in zip(names, found, strict=True)
    }
