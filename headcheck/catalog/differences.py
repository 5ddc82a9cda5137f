"""What changed between two versions of a library, as their two data files say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headcheck.catalog.entries import View, view
from headcheck.catalog.timm import row_of

#: What a row of the table says where a model is not there.
_NONE = "–"


def table(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of what differs between two files of one library (see `headcheck.catalog.files`):
    models that came or went, and of the others their heads, what reaches those, their classes and their input."""
    before, after = facts(old), facts(new)
    rows = list(_rows(before, after))
    if not rows:
        return []
    titles = ("model", "what", _version(old), _version(new))
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]


def _version(data: Mapping[str, Any]) -> str:
    library = str(data["library"])
    return f"{library} {data['versions'].get(library, '?')}"


def _rows(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, ...]]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            yield name, "model", _NONE if old is None else "there", _NONE if new is None else "there"
            continue
        for what in sorted(old.keys() | new.keys()):
            if old.get(what) != new.get(what):
                yield name, what, old.get(what, _NONE), new.get(what, _NONE)


def facts(data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what the table compares: for each model of a file, what is said of it by name."""
    read = {"timm": _of_timm, "transformers": _of_transformers}.get(str(data["library"]), _of_entries)
    return dict(read(data))


def _of_timm(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name in data["builders"]:
        row = row_of(data, name)
        if row.model:
            seen = view(data, row.model, {"num_classes": row.classes})
            more = {"input": _text(seen.input), **_heads(seen), "get_classifier": ", ".join(seen.classifier) or _NONE}
        else:
            more = {"input": _text(row.image)}
        yield name, {"classes": str(row.classes), **more}


def _of_transformers(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, row in data["classes"].items():
        yield name, {"head": row[3], "width": str(row[1])}
    for name, row in data["checkpoints"].items():
        yield name, {"checkpoint": _text(row)}


def _of_entries(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, entry in data.get("entries", {}).items():
        counts = ", ".join(f"{count} {size}" for count, size in entry["counts"].items())
        seen = view(data, entry["model"], entry["counts"])
        yield name, {"classes": counts, "input": _text(seen.input), **_heads(seen)}


def _heads(seen: View) -> dict[str, str]:
    heads, shapes = [head[0] for head in seen.heads], [_text(head[1]) for head in seen.heads]
    return {"head": ", ".join(heads), "reaches it": ", ".join(shapes)}


def _text(items: Any) -> str:
    return "(" + ", ".join("?" if item is None else str(item) for item in items or ()) + ")"
