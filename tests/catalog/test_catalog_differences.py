"""The table of what changed between two versions of a library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headcheck import catalog
from headcheck.catalog import differences
from headcheck.catalog.files import parts

DATA = Path(catalog.__file__).parent / "data"
HEADS = ("fc", "head", "head.fc")


def test_a_table_of_what_changed() -> None:
    def data(version: str, rows: dict[str, list[object]]) -> dict[str, object]:
        kinds = [[0, 1000, [[0.5], [0.5]], {}, []], [0, 1000, [[0.5], [0.5]]]]
        return {
            "library": "timm",
            "versions": {"timm": version},
            "kinds": kinds,
            "builders": rows,
            "views": list(map(view, HEADS)),
        }

    def view(head: str) -> list[object]:
        heads = [[head, ["B"], False, True, True, [""]]]
        return [[3, "A", "A"], heads, ["", []], ["", []], "", [], {}, [head]]

    def row(head: str) -> list[object]:
        return [25.6, f"0 512|{HEADS.index(head)} 224 A", {}, 0]

    gone = [None, [3, 224, 224], {}, 1]
    old = data("0.6.13", {"gone": gone, "moved": row("head"), "same": row("fc")})
    new = data("1.0.31", {"moved": row("head.fc"), "new": row("fc"), "same": row("fc")})
    assert differences.table(old, new) == [
        "model  what            timm 0.6.13  timm 1.0.31",
        "gone   model           there        –",
        "moved  get_classifier  head         head.fc",
        "moved  head            head         head.fc",
        "new    model           –            there",
    ]
    assert differences.table(new, new) == []


@pytest.mark.parametrize("library", ["torchvision", "timm", "transformers", "efficientnet_pytorch"])
def test_every_file_can_be_compared(library: str) -> None:
    text = (DATA / f"{library}.json").read_text(encoding="utf-8")
    found = differences.facts(parts(text))
    assert len(found) > 7 and all(
        any(key in said for key in ("head", "checkpoint", "classes")) for said in found.values()
    )


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
def test_reading_by_line_reads_what_json_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole, found = json.loads(text), parts(text)
    assert list(found) == list(whole)
    for key, part in whole.items():
        read = found[key]
        if isinstance(part, dict):
            assert {name: read[name] for name in read} == part
        else:
            assert (list(read) if isinstance(part, list) else read) == part
