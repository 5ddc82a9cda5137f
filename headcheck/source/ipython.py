"""IPython's own syntax, turned into Python line by line: magics, shell commands, help.

What a magic leaves is one statement on the same line, so that every other line keeps its number and its columns. The
rules are those of IPython's `inputtransformer2`, whose tokenizer is not needed: only the first line of a statement can
be IPython's, and to know where statements start takes strings and brackets alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from headcheck.records import NamedTuple

# Cell magics whose cell is Python all the same, run in the notebook's own namespace.
PYTHON_CELLS: Final = frozenset(
    "capture debug heat local lprun memit mprun notify prun pyinstrument scalene snakeviz time timeit wandb".split()
)
# Cell magics whose cell is no business of the notebook's namespace: other languages, other processes, files, text.
FOREIGN_CELLS: Final = frozenset(
    """! R bash bigquery cmd cython file fs html javascript js julia latex markdown md octave perl powershell pypy
    python python2 python3 r ruby scala script sh shell skip sql svg system sx writefile writetemplate""".split()
)
# What Databricks writes at the start of a cell of another language, with one percent sign.
_FOREIGN_START: Final = re.compile(r"\s*%(?:md|sql|sh|scala|r|fs|html|md-sandbox)\b")

UNKNOWN_CALL: Final = "get_ipython()"  # is defined nowhere in the text, so whatever it gives is unknown
NOTHING: Final = "pass"

_CELL_MAGIC: Final = re.compile(r"%%(!|[\w.-]+)")
_COMMAND: Final = re.compile(r"[%!?,;/](?![=])|\?")
# Commands that IPython takes without a mark where the line is no Python.
_UNMARKED: Final = re.compile(
    r"""(?:apt|apt-get|autoreload|cat|cd|clear|conda|config|cp|env|git|less|load_ext|ls|mamba|matplotlib|mkdir|more|mv|pip
    |pip3|pwd|reload_ext|rm|rmdir|unzip|uv|wget|who|whos)(?:[ \t]+(?![-+*/|&%^@<>!]*=).*)?$""",
    re.VERBOSE,
)
_ASSIGNED: Final = re.compile(r"(?P<targets>[A-Za-z_][\w.,\s*()\[\]]*?)=\s*(?P<command>%[A-Za-z]|!)")
_HELP: Final = re.compile(r"[^#'\"]*[\w*\])]\?{1,2}\s*(?:#.*)?$")
_TIMED: Final = re.compile(r"%time[ \t]+(?=\S)")
_RUN: Final = re.compile(r"%run\s+(?:-\w\s+)*['\"]?(?:\./)?(?P<module>[A-Za-z_]\w*)(?:\.py)?['\"]?\s*$")
_PRINTED: Final = re.compile(r"print[ \t]+(?![=(\s]|>>)")
_CAUGHT: Final = re.compile(r"(?P<head>except\s+[\w.]+|except\s*\([^()]*\))\s*,\s*(?P<name>\w+)\s*:")
_PROMPTS: Final = (re.compile(r"(?:>>>|\.\.\.)(?: |$)"), re.compile(r"(?:In \[\d+\]| *\.\.\.+):(?: |$)"))
# What tells where a statement ends: comments, strings, brackets, and a backslash before the end of a line.
_MARKS: Final = re.compile(
    r"""#[^\n]*|[rRbBuUfFtT]{0,2}(?P<triple>\"{3}|'{3})|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[()\[\]{}]|\\$"""
)
_TRIPLE_ENDS: Final = {quote: re.compile(rf"(?:\\.|(?!{quote})[^\\])*{quote}", re.DOTALL) for quote in ('"""', "'''")}


class Plain(NamedTuple):
    """Python with as many lines as what it was made from. `shifts`: how many characters were taken off the left of a
    line, by row (from 1)."""

    text: str
    shifts: Mapping[int, int]


def cell_magic(text: str) -> str:
    """The name of a cell's magic (``time``), "" without one. Comments may stand before it, as in Colab."""
    for line in text.split("\n"):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            found = _CELL_MAGIC.match(bare)
            return found[1] if found else ""
    return ""


def starts_foreign(text: str) -> bool:
    """Whether a cell that is no Python starts as Databricks' cells in other languages do (``%md``, ``%sql``)."""
    return _FOREIGN_START.match(text) is not None


def plain(text: str) -> Plain:
    r"""`text` (with ``\n`` line ends) with Python in the place of IPython's own lines."""
    lines = text.split("\n")
    shifts: dict[int, int] = {}
    _cut(lines, _starts(lines), shifts)
    row = 0
    while row < len(lines):
        bare = lines[row].lstrip()
        row = _replace_command(lines, row, shifts) if _is_command(bare) else _end_of_statement(lines, row)
    return Plain("\n".join(lines), shifts)


def python3(text: str) -> str:
    """`text` with Python 2's ``print x`` and ``except E, e:`` written so that Python 3 parses them, line by line."""
    lines = text.split("\n")
    row = 0
    while row < len(lines):
        line = lines[row]
        start = len(line) - len(line.lstrip())
        printed = _PRINTED.match(line, start)
        if printed:  # a tuple: it may be followed by anything that print may be
            lines[row] = f"{line[:start]}{'0,':{printed.end() - start}}{line[printed.end() :]}"
        else:
            lines[row] = _CAUGHT.sub(r"\g<head> as \g<name>:", line)
        row = _end_of_statement(lines, row)
    return "\n".join(lines)


def _starts(lines: list[str]) -> re.Pattern[str] | None:
    """What IPython takes off the left of every line: the first one's indentation, or prompts."""
    first = next((line for line in lines if line.strip()), "")
    prompted = next((each for each in _PROMPTS if each.match(first)), None)
    indentation = first[: len(first) - len(first.lstrip())]
    return prompted or (re.compile(re.escape(indentation)) if indentation else None)


def _cut(lines: list[str], start: re.Pattern[str] | None, shifts: dict[int, int]) -> None:
    for row, line in enumerate(lines):
        found = start.match(line) if start is not None else None
        if found:
            lines[row] = line[found.end() :]
            shifts[row + 1] = found.end()


def _is_command(bare: str) -> bool:
    return any(each.match(bare) is not None for each in (_COMMAND, _ASSIGNED, _HELP, _UNMARKED))


def _replace_command(lines: list[str], row: int, shifts: dict[int, int]) -> int:
    """Put Python in the place of the command that starts on a line; answers the row of the next statement."""
    bare = lines[row].lstrip()
    indentation = lines[row][: len(lines[row]) - len(bare)]
    timed = _TIMED.match(bare)
    if timed:
        lines[row] = indentation + bare[timed.end() :]
        shifts[row + 1] = shifts.get(row + 1, 0) + timed.end()
        return row if _is_command(bare[timed.end() :]) else _end_of_statement(lines, row)
    last = row
    while lines[last].endswith("\\") and last + 1 < len(lines):
        last += 1
    assigned = _ASSIGNED.match(bare)
    run = _RUN.match(bare)
    if assigned and not _COMMAND.match(bare):
        said = f"{assigned['targets'].rstrip()} = {UNKNOWN_CALL}"
    elif run and not indentation:
        said = f"from {run['module']} import *"
    else:
        said = NOTHING
    lines[row : last + 1] = [indentation + said, *[""] * (last - row)]
    return last + 1


def _end_of_statement(lines: list[str], row: int) -> int:
    """The row after the statement that starts on a row: its strings and brackets are closed there."""
    depth = 0
    while row < len(lines):
        line, row = lines[row], row + 1
        position = 0
        continued = False
        while found := _MARKS.search(line, position):
            mark = found[0]
            position = found.end()
            if found["triple"]:
                line, row, position = _end_of_string(lines, line, row, position, found["triple"])
            elif mark in "([{":
                depth += 1
            elif mark in ")]}":
                depth = max(depth - 1, 0)
            elif mark == "\\":
                continued = True
        if depth == 0 and not continued:
            break
    return row


def _end_of_string(lines: list[str], line: str, row: int, position: int, quote: str) -> tuple[str, int, int]:
    """Where a triple-quoted string ends: (the line that it ends on, the row after that, the position behind it)."""
    end = _TRIPLE_ENDS[quote]
    while True:
        found = end.match(line, position)
        if found:
            return line, row, found.end()
        if row == len(lines):
            return line, row, len(line)
        line, row, position = lines[row], row + 1, 0
