"""From the text that was read back to the cells of a notebook: what a place in it means to its reader."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from headcheck.findings import Cell, FileResult, Finding, Location, ModelReport


def place(cells: Sequence[Cell], at: Location) -> tuple[int | None, Location]:
    """(number of the cell, place in it) of a place in the joined text."""
    if not cells:
        return None, at
    cell = cells[max(bisect_right([each.first for each in cells], at.row) - 1, 0)]
    row = at.row - cell.first + 1
    return cell.number, Location(row, at.column + cell.shifts.get(row, 0))


def located(result: FileResult, data: bytes = b"") -> FileResult:
    """The result of a file with all its places in cells. `data` are the bytes of the notebook, for rows of the file.

    There are no fixes in it: their edits count in a text that no file holds.
    """
    cells = result.cells
    if not cells:
        return result
    findings = [_finding(finding, cells) for finding in result.findings]
    wanted = {finding.cell for finding in findings} - {None}
    rows = file_rows(data, cells, wanted) if wanted and data else {}
    found = tuple(
        each._replace(file_row=_at(rows.get(each.cell), each.location.row)) if each.cell is not None else each
        for each in findings
    )
    spots = []
    for spot in result.blind_spots:
        number, location = place(cells, spot.location)
        spots.append(spot._replace(cell=number, location=location))
    return result._replace(
        text=result.text if cells[0].number is not None else cells[0].text,
        findings=found,
        models=tuple(_model(model, cells) for model in result.models),
        blind_spots=tuple(spots),
    )


def _finding(finding: Finding, cells: Sequence[Cell]) -> Finding:
    number, start = place(cells, finding.location)
    _, end = place(cells, finding.end_location)
    return finding._replace(cell=number, location=start, end_location=end, fix=None)


def _model(model: ModelReport, cells: Sequence[Cell]) -> ModelReport:
    number, start = place(cells, model.location)
    steps = []
    for step in model.timeline:
        if step.filename is None:
            cell, location = place(cells, step.location)
            step = step._replace(cell=cell, location=location)
        steps.append(step)
    return model._replace(cell=number, location=start, timeline=tuple(steps))


# --- rows of the file ------------------------------------------------------------------------------------------------


def _at(rows: Sequence[int] | None, row: int) -> int | None:
    return rows[min(row, len(rows)) - 1] if rows else None


def file_rows(data: bytes, cells: Iterable[Cell], wanted: set[int | None]) -> dict[int | None, list[int]]:
    """For each of the wanted cells that is found, the row of the notebook's file that each of its lines stands on."""
    text = data.decode("utf-8", "replace")
    found: dict[int | None, list[int]] = {}
    position = 0
    for cell in cells:
        offsets = next(filter(None, (_offsets(text, cell.text, position, way) for way in _WAYS)), None)
        if offsets is None:
            continue
        position = offsets[-1]
        if cell.number in wanted:
            found[cell.number] = [text.count("\n", 0, offset) + 1 for offset in offsets]
    return found


_WAYS = tuple((ascii_only, as_list) for as_list in (True, False) for ascii_only in (False, True))
_OPENED = re.compile(r'"(?:source|input)"\s*:\s*\[?\s*\Z')
_MOST_SPACE = 200  # characters between the key and the text of a cell


def _offsets(text: str, source: str, start: int, way: tuple[bool, bool]) -> list[int] | None:
    """Where the lines of a cell start in the JSON, if it is written in this way: escaped or not, as a list or not."""
    ascii_only, as_list = way
    lines = [line for line in re.split(r"(?<=\n)", source) if line] if as_list else [source]
    strings = [json.dumps(line, ensure_ascii=ascii_only) for line in lines]
    written = re.compile(r"\s*,\s*".join(map(re.escape, strings)))
    position = text.find(strings[0], start) if source else -1
    while position >= 0:
        opened = _OPENED.search(text, max(position - _MOST_SPACE, 0), position)
        if opened and written.match(text, position):
            return list(_starts(text, strings, position))
        position = text.find(strings[0], position + 1)
    return None


def _starts(text: str, strings: Iterable[str], position: int) -> Iterator[int]:
    for string in strings:
        position = text.index(string, position)
        yield position
        position += len(string)
