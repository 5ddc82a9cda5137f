"""Everything that torchvision's catalog file says of some builders, and of what is no builder, without the numbers by
which parts of the file refer to each other: so files of different sets of builders can be compared.

`python -m tests.whole_catalog FOLDER BUILDER…` prints it of the file in a folder, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headcheck.catalog import files, models
from headcheck.catalog.entries import decode
from headcheck.catalog.entry import Node
from headcheck.catalog.nodes import Decoder

LIBRARY = "torchvision"
#: Beside the counts that a builder has by itself: what follows a count shows when it is another.
_MORE = (0, 3)


def said(builders: Sequence[str]) -> dict[str, Any]:
    data = files.load(LIBRARY)
    rows = {name: dict(data["builders"][name]) for name in builders}
    keys = [key for name, row in rows.items() for key in (name, *(variant[1] for variant in row["variants"]))]
    return {
        **{part: data[part] for part in ("format", "library")},
        "versions": dict(data["versions"]),
        "namespaces": {name: files.name_list(LIBRARY, index) for name, index in data["namespaces"].items()},
        "layers": {name: [_shared(row[0]), files.name_list(LIBRARY, row[1])] for name, row in data["layers"].items()},
        "weights": {row["weights"]: _shared(data["weights"][row["weights"]]) for row in rows.values()},
        "builders": {name: _builder(row) for name, row in rows.items()},
        "entries": {key: _entry(key, rows[key.partition("(")[0]]["task"]) for key in keys},
    }


def _shared(item: Any) -> Any:
    return files.shared(LIBRARY, item)


def _builder(row: dict[str, Any]) -> dict[str, Any]:
    inert, same = _shared(row["keywords"])
    keywords = [{name: files.name_list(LIBRARY, index) for name, index in inert.items()}, same]
    parts = {part: _shared(row[part]) for part in ("signature", "members", "fixed") if part in row}
    return {**row, **parts, "keywords": keywords}


def _entry(key: str, task: str) -> Any:
    row = files.load(LIBRARY)["entries"][key]
    decoded = []
    for more in _MORE:
        counts = {name: number + more for name, number in row["counts"].items()}
        decoded.append(_plain(decode(Decoder(LIBRARY, counts), key, task, row["model"], row["method"])))
    return [row["counts"], decoded]


def _plain(item: Any) -> Any:
    if isinstance(item, Node):
        kept = (item.kind, item.values, item.children, item.parameters, item.attributes, item.total, item.known)
        return [_plain(part) for part in kept]
    if isinstance(item, Mapping):
        return [[name, _plain(value)] for name, value in item.items()]
    if isinstance(item, frozenset):
        return sorted(item)
    return [_plain(part) for part in item] if isinstance(item, tuple | list) else item


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two answers of `said` differ, and in what."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from differences(one.get(name), other.get(name), f"{path}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}/{number}")
    elif one != other:
        yield f"{path}: {str(one)[:200]} is now {str(other)[:200]}"


if __name__ == "__main__":
    files._FOLDER = Path(sys.argv[1])
    assert models.registered()
    json.dump(said(sys.argv[2:]), sys.stdout)
