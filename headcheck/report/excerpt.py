"""The lines of a script that a finding is about, with what it means underlined."""

from __future__ import annotations

from typing import Final

from headcheck.findings import Finding
from headcheck.report.colour import harmless, paint
from headcheck.report.words import STYLES

CONTEXT: Final = 2  # lines above and below
MAX_ROWS: Final = 4  # of a finding that are shown
MAX_WIDTH: Final = 160
BEFORE: Final = 60  # characters kept to the left where a longer line is cut
TAB: Final = "    "


def lines(finding: Finding, text: list[str], colour: bool) -> list[str]:
    """The excerpt, or nothing if the file has no such line. `text` is the file's lines."""
    first = finding.location.row
    if not 1 <= first <= len(text):
        return []
    last = min(max(finding.end_location.row, first), len(text), first + MAX_ROWS - 1)
    top, bottom = _context(text, first, last)
    width = len(str(bottom))
    bar = paint(f"{'':{width}} |", "bold blue", colour)
    shown = [bar]
    for row in range(top, bottom + 1):
        line = text[row - 1]
        start, end = _underlined(finding, row, line) if first <= row <= last else (0, 0)
        cut, shift = _cut(line, start)
        number = paint(f"{row:>{width}} |", "bold blue", colour)
        shown.append(f"{number} {_printable(cut)}".rstrip())
        if end > start:
            before = _printable(cut[: start - shift])
            below = _printable(cut[start - shift : end - shift])
            mark = paint("^" * max(_columns(below), 1), STYLES[finding.severity], colour)
            shown.append(f"{bar} {' ' * _columns(before)}{mark}")
    return [*shown, bar]


def _context(text: list[str], first: int, last: int) -> tuple[int, int]:
    """The rows to show, without empty ones at the edges."""
    top, bottom = max(first - CONTEXT, 1), min(last + CONTEXT, len(text))
    while top < first and not text[top - 1].strip():
        top += 1
    while bottom > last and not text[bottom - 1].strip():
        bottom -= 1
    return top, bottom


def _underlined(finding: Finding, row: int, line: str) -> tuple[int, int]:
    """Where the underline starts and ends in a line of the finding; it leaves the indentation out."""
    indentation = len(line) - len(line.lstrip())
    start = finding.location.column - 1 if row == finding.location.row else indentation
    end = finding.end_location.column - 1 if row == finding.end_location.row else len(line.rstrip())
    start = min(start, len(line))
    return start, max(end, start + (row == finding.location.row))


def _cut(line: str, start: int) -> tuple[str, int]:
    """The part of a line to show around `start`, and how many characters were cut off on its left."""
    if len(line) <= MAX_WIDTH:
        return line, 0
    shift = max(min(start - BEFORE, len(line) - MAX_WIDTH), 0)
    return line[shift : shift + MAX_WIDTH], shift


def _printable(text: str) -> str:
    return harmless(text.replace("\t", TAB))


def _columns(text: str) -> int:
    """How many columns of a terminal `text` takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)
