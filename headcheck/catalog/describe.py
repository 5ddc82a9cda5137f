"""What headcheck knows of a library model, in words."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from headcheck.catalog.entry import Entry, Head, Shape
from headcheck.catalog.models import canonical, find, model_builder, registered
from headcheck.catalog.namespaces import nearest, weights, weights_of
from headcheck.catalog.snippet import expression, node_at, snippet

_LIBRARY = "torchvision.models"
#: What the models of a task are called with, where it is not one batch.
_EXPECTS = {"detection": "a list of images (3, H, W)", "optical_flow": "two batches {}"}


def matching(glob: str) -> tuple[str, ...]:
    """Return the registered names of the models that a shell pattern matches, in alphabetical order.

    A pattern with a dot is matched against full names (``torchvision.models.detection.*``).
    """
    if "." in glob:
        return tuple(name for name in sorted(registered()) if fnmatch.fnmatchcase(str(model_builder(name)), glob))
    return tuple(fnmatch.filter(sorted(registered()), glob))


def describe(name: str) -> str:
    """Return what the catalog says of a model: its heads, what reaches them, its input, weights, and new heads.

    `name` is a registered name (``resnet50``) or a builder's. Raises KeyError, whose message gives the nearest names,
    for a model that is not known.
    """
    builder = _builder(name)
    if builder is None:
        close = nearest(name.rpartition(".")[2], registered())
        meant = f"; did you mean {' or '.join(close)}?" if close else ""
        raise KeyError(f"no model is called {name}{meant}")
    entry = find(builder, {}, "DEFAULT")
    assert entry is not None
    sections = (_summary(entry), _heads(entry), _containers(entry), _weights(builder), _replacement(builder))
    return "\n".join("\n".join(lines) + "\n" for section in sections if (lines := list(section)))


def _builder(name: str) -> str | None:
    candidates = (name, f"{_LIBRARY}.{name}", f"torchvision.{name}")
    return model_builder(name) or next((found for found in map(canonical, candidates) if found), None)


def _summary(entry: Entry) -> Iterator[str]:
    yield entry.builder
    words = (
        entry.task.replace("_", " "),
        entry.root.kind.rpartition(".")[2],
        f"{entry.root.total:,} parameters",
        f"expects {_EXPECTS.get(entry.task, '{}').format(_batch(entry.input))}",
    )
    yield "  " + ", ".join(words)


def _heads(entry: Entry) -> Iterator[str]:
    if not entry.heads:
        yield "It has no classifier head."
        return
    yield "Heads" if len(entry.heads) > 1 else "Head"
    yield from _table([_head(head) for head in entry.heads])
    plain = find(entry.builder, {}, False)
    paths = {head.path for head in entry.heads}
    others = {head.path for head in plain.heads} if plain else paths
    for path in sorted(others - paths):
        yield f"  {expression(path)} is there only without weights"
    for path in sorted(paths - others):
        yield f"  {expression(path)} is there only with weights"


def _head(head: Head) -> tuple[str, ...]:
    layer = f"{head.kind.rpartition('.')[2]}, {head.in_features} → {head.out_features}"
    words = [f"gets {_batch(head.shape)}"]
    if head.auxiliary:
        words.append("auxiliary" if head.eval else "auxiliary, in train mode only")
    named = [key for key in head.outputs if key]
    if named:
        words.append("makes " + " and ".join(named))
    return expression(head.path), layer, "; ".join(words)


def _containers(entry: Entry) -> Iterator[str]:
    heads = {head.path for head in entry.heads}
    above = [path for path in entry.inputs if any(head.startswith(f"{path}.") for head in heads)]
    if not above:
        return
    yield "What holds them"
    yield from _table(
        [
            (expression(path), node_at(entry.root, path).kind.rpartition(".")[2], f"gets {_batch(entry.inputs[path])}")
            for path in above
        ]
    )


def _weights(builder: str) -> Iterator[str]:
    enum = weights_of(builder)
    members = weights(enum) if enum else None
    if not enum or not members:
        return
    yield f"Weights ({enum.rpartition('.')[2]})"
    yield from _table([(name, f"{count} classes" if count else "") for name, count in members.items()])


def _replacement(builder: str) -> Iterator[str]:
    code = snippet(builder)
    if code:
        yield "To give it other classes"
        yield from (f"  {line}".rstrip() for line in code.splitlines())


def _batch(shape: Shape) -> str:
    return "(" + ", ".join(["N", *("?" if size is None else str(size) for size in shape)]) + ")"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
