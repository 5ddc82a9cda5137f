"""Decoding what a catalog file says of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headcheck.catalog import forms
from headcheck.catalog.entry import IDENTITY, Entry, Head, MapRule, Node, Shape
from headcheck.catalog.files import load, name_list, name_set
from headcheck.catalog.nodes import Decoder
from headcheck.records import NamedTuple


class View(NamedTuple):
    """What a file says of a model beside its modules (see `headcheck.tracing.write`), its numbers put in."""

    input: list[int]
    heads: list[list[Any]]
    inputs: list[Any]
    outputs: list[Any]
    used: int | str
    maps: list[Any]
    answers: dict[str, list[int | None]]
    classifier: list[str]


def view(data: Mapping[str, Any], model: str, counts: Mapping[str, int]) -> View:
    """Return what the data of a file say of a model, for given counts."""
    root, _, given = model.partition("|")
    number, *words = given.split()
    of_root = tuple(forms.value(term, (), counts) for term in forms.child(root).given or ())
    letters = tuple(forms.value(forms.term(word), of_root, counts) for word in words)

    def sizes(shape: list[Any] | None) -> list[Any] | None:
        if shape is None:
            return None
        return [forms.value(forms.term(n), letters, counts) if isinstance(n, str) else n for n in shape]

    image, heads, inputs, outputs, used, maps, answers, *classifier = data["views"][int(number)]
    return View(
        input=sizes(image) or [],
        heads=[[path, sizes(shape), *more] for path, shape, *more in heads],
        inputs=[inputs[0], list(map(sizes, inputs[1]))],
        outputs=[outputs[0], list(map(sizes, outputs[1]))],
        used=used,
        maps=[maps[0], sizes(maps[1])] if maps else [],
        answers={name: sizes(shape) or [] for name, shape in answers.items()},
        classifier=classifier[0] if classifier else [],
    )


def decode(decoder: Decoder, builder: str, task: str, model: str, method: str) -> Entry:
    """Return what a file says of a model as the entry of `builder`."""
    seen = view(load(decoder.library), model, decoder.counts)
    return of_view(decoder, builder, task, model, method, seen)


def of_view(decoder: Decoder, builder: str, task: str, model: str, method: str, seen: View) -> Entry:
    """As `decode`, where it is known what the file says beside the modules."""
    root, library = decoder.node(model.partition("|")[0]), decoder.library
    return Entry(
        builder=builder,
        task=task,
        root=root,
        heads=tuple(_head(root, *head) for head in seen.heads),
        inputs=_shapes(library, *seen.inputs),
        outputs=_shapes(library, *seen.outputs),
        used=name_set(library, seen.used),
        input=tuple(seen.input),
        method=method,
        answers={name: tuple(shape) for name, shape in seen.answers.items()},
        maps=_maps(library, *seen.maps) if seen.maps else {},
    )


def open_place(entry: Entry, path: str) -> Head:
    """Return where a head goes that an entry does not have: its input is known, and what stands there passes it on."""
    shape = entry.inputs[path]
    width = shape[-1] if len(shape) == 1 else None
    return Head(path, IDENTITY, width, width or 0, shape, False, True, True, ("",))


def by_name(library: str, name: str, classes: int) -> Entry | None:
    """Return the entry of a model in the file of a library whose models go by name; None where it has none."""
    data = load(library)["entries"].get(name)
    if data is None:
        return None
    decoder = Decoder(library, {"num_classes": classes})
    entry = decode(decoder, f"{library}.{name}", "classification", data["model"], data["method"])
    return entry._replace(open=tuple(open_place(entry, path) for path in data.get("open", ())))


def _maps(library: str, paths: int | str, rules: list[int]) -> dict[str, MapRule]:
    return dict(zip(name_list(library, paths), zip(rules[::2], rules[1::2], strict=True), strict=True))


def _head(
    root: Node, path: str, shape: list[Any], auxiliary: bool, train: bool, evaluated: bool, outputs: list[str]
) -> Head:
    node = root
    for part in path.split("."):
        node = node.children[part]
    taken, given = _sizes(node)
    return Head(
        path=path,
        kind=node.kind,
        in_features=taken,
        out_features=given,
        shape=tuple(shape),
        auxiliary=auxiliary,
        train=train,
        eval=evaluated,
        outputs=tuple(outputs),
    )


def _sizes(node: Node) -> tuple[int, int]:
    prefix = "features" if "in_features" in node.values else "channels"
    taken, given = node.values[f"in_{prefix}"], node.values[f"out_{prefix}"]
    assert isinstance(taken, int) and isinstance(given, int)
    return taken, given


def _shapes(library: str, paths: int | str, found: list[list[Any] | None]) -> dict[str, Shape]:
    """Return shapes of the file by path; `paths` is their list of names, as the file has it."""
    return {path: tuple(shape or ()) for path, shape in zip(name_list(library, paths), found, strict=True)}
