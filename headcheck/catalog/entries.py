"""Decoding what a catalog file says of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headcheck.catalog.entry import IDENTITY, Entry, Head, Node, Shape
from headcheck.catalog.files import load, name_list, name_set, shared
from headcheck.catalog.nodes import Decoder


def decode(decoder: Decoder, builder: str, task: str, data: Mapping[str, Any]) -> Entry:
    """Return an item of a file's ``entries`` (see `headcheck.tracing.write`) as the entry of `builder`."""
    root, library = decoder.node(data["root"]), decoder.library
    return Entry(
        builder=builder,
        task=task,
        root=root,
        heads=tuple(_head(decoder, root, *head) for head in shared(library, data["heads"])),
        inputs=shapes(decoder, *shared(library, data["inputs"])),
        outputs=shapes(decoder, *shared(library, data["outputs"])),
        used=name_set(library, data["used"]),
        input=tuple(data["input"]),
        method=data["method"],
        maps=_maps(library, *shared(library, data["maps"])) if "maps" in data else {},
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
    entry = decode(Decoder(library, {"num_classes": classes}), f"{library}.{name}", "classification", data)
    return entry._replace(
        answers={method: tuple(shape) for method, shape in data["answers"].items()},
        open=tuple(open_place(entry, path) for path in data.get("open", ())),
    )


def _maps(library: str, paths: int | str, rules: list[int]) -> dict[str, int]:
    return dict(zip(name_list(library, paths), rules, strict=True))


def _head(
    decoder: Decoder, root: Node, path: str, shape: Any, auxiliary: bool, train: bool, evaluated: bool, outputs: Any
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
        shape=_shape(decoder, shape),
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


def shapes(decoder: Decoder, paths: int | str, found: list[list[Any]]) -> dict[str, Shape]:
    """Return shapes of the file by path; `paths` is their list of names, as the file has it."""
    names = name_list(decoder.library, paths)
    return {path: _shape(decoder, shape) for path, shape in zip(names, found, strict=True)}


def _shape(decoder: Decoder, shape: list[Any] | None) -> Shape:
    return tuple(map(decoder.size, shape or ()))
