"""What headcheck knows of a library model, in words."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from headcheck.catalog.entry import Entry, Head
from headcheck.catalog.models import model_builder, registered
from headcheck.catalog.namespaces import nearest
from headcheck.catalog.sheet import Sheet, batch, libraries, sheets
from headcheck.catalog.snippet import expression, node_at


def matching(glob: str) -> tuple[str, ...]:
    """Return the names of the models that a shell pattern matches, library by library, each in alphabetical order.

    A name is matched with and without its library's prefix (``timm.resnet50``); those of torchvision, which are listed
    without one, also by their builder's (``torchvision.models.detection.*``).
    """
    if glob.startswith("torchvision."):
        return tuple(name for name in sorted(registered()) if fnmatch.fnmatchcase(str(model_builder(name)), glob))
    return tuple(
        f"{library.prefix}{name}"
        for library in libraries()
        for name in library.names
        if fnmatch.fnmatchcase(f"{library.prefix}{name}", glob) or fnmatch.fnmatchcase(name, glob)
    )


def describe(name: str) -> str:
    """Return what the catalog says of a model: its heads, what reaches them, its input, weights, and new heads.

    `name` is one that a library knows it by (``resnet50``, ``timm.resnet50.a1_in1k``, ``bert-base-uncased``) or a
    builder's. Raises KeyError, whose message gives the nearest names, for a model that is not known.
    """
    found = sheets(name)
    if not found:
        close = _nearest(name)
        meant = f"; did you mean {' or '.join(close)}?" if close else ""
        raise KeyError(f"no model is called {name}{meant}")
    first, *others = found
    sections = [_summary(first), _heads(first), _containers(first), _weights(first), _code(first), _others(others)]
    return "\n".join("\n".join(lines) + "\n" for section in sections if (lines := list(section)))


def _nearest(name: str) -> tuple[str, ...]:
    """Return the likest names of all libraries, as they are listed."""
    listed: dict[str, str] = {}
    for library in libraries():
        for one in library.names:
            listed.setdefault(one, f"{library.prefix}{one}")
    prefixes = ("torchvision.models.", "torchvision.", "timm.models.", "timm.", "timm/", "transformers.")
    bare = next((name[len(prefix) :] for prefix in prefixes if name.startswith(prefix)), name)
    close = nearest(bare, listed) or nearest(bare.rpartition(".")[2], listed) or nearest(bare.partition(".")[0], listed)
    return tuple(listed[one] for one in close)


def _summary(sheet: Sheet) -> Iterator[str]:
    yield sheet.title
    yield "  " + ", ".join(sheet.words)
    yield from (f"  {remark}" for remark in sheet.remarks if remark.endswith("."))


def _heads(sheet: Sheet) -> Iterator[str]:
    if sheet.entry is None:
        yield "Nothing is known of its head."
        return
    heads = sheet.entry.heads
    if not heads:
        yield "It has no classifier head."
        return
    yield "Heads" if len(heads) > 1 else "Head"
    yield from _table([_head(head, sheet.asked) for head in heads])
    yield from (f"  {remark}" for remark in sheet.remarks if not remark.endswith("."))


def _head(head: Head, asked: int) -> tuple[str, ...]:
    taken = "?" if head.in_features is None else head.in_features
    given = "num_classes" if asked and head.out_features == asked else head.out_features
    layer = f"{head.kind.rpartition('.')[2]}, {taken} → {given}"
    words = [f"gets {batch(head.shape)}"] if head.shape else []
    if head.auxiliary:
        words.append("auxiliary" if head.eval else "auxiliary, in train mode only")
    named = [key for key in head.outputs if key]
    if named:
        words.append("makes " + " and ".join(named))
    return expression(head.path), layer, "; ".join(words)


def _containers(sheet: Sheet) -> Iterator[str]:
    entry = sheet.entry
    above = _above(entry) if entry is not None else []
    if entry is None or not above:
        return
    yield "What holds them"
    yield from _table(
        [
            (expression(path), node_at(entry.root, path).kind.rpartition(".")[2], f"gets {batch(entry.inputs[path])}")
            for path in above
        ]
    )


def _above(entry: Entry) -> list[str]:
    """Return the paths of what holds a head and is called with one tensor."""
    return [path for path in entry.inputs if any(head.path.startswith(f"{path}.") for head in entry.heads)]


def _weights(sheet: Sheet) -> Iterator[str]:
    heading, rows = sheet.weights
    if rows:
        yield heading
        yield from _table(list(rows))


def _code(sheet: Sheet) -> Iterator[str]:
    if sheet.code:
        yield "To give it other classes"
        yield from (f"  {line}".rstrip() for line in sheet.code.splitlines())


def _others(others: list[Sheet]) -> Iterator[str]:
    for other in others:
        yield f"There is another one: headcheck model {other.title}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
