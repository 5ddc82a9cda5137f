"""Notebooks: the code cells of an `.ipynb` file, in order, as one Python text, and the way back from it.

The format is nbformat's, 4 and (where the cells lie in worksheets) 2 and 3: https://nbformat.readthedocs.io. A cell
that is not Python gives empty lines. So does one that cannot be read; as nobody knows what running it did, it is read
as one call of something unknown that gets every name of the cell and may give each name that it assigns a value.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from headcheck.findings import Cell
from headcheck.records import NamedTuple
from headcheck.source import guard, ipython
from headcheck.source.reading import Source, Unreadable, universal

MAX_CODE: Final = 16 * 2**20  # characters without long strings; what is left out is pictures
_LONG_STRING: Final = re.compile(rb'"[A-Za-z0-9+/=\\]{4000,}"')
_PYTHON: Final = frozenset({"", "python", "ipython", "python2", "python3"})
_NAME: Final = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*")
_BOUND: Final = re.compile(
    r"^[ \t]*(?:(?P<assigned>[A-Za-z_]\w*(?:[ \t]*,[ \t]*[A-Za-z_]\w*)*)[ \t]*=(?!=)"
    r"|(?:async[ \t]+)?(?:def|class|for)[ \t]+(?P<defined>[A-Za-z_]\w*))",
    re.MULTILINE,
)
MOST_NAMES: Final = 200


def decode(filename: str, data: bytes) -> Source | Unreadable:
    """The code of a notebook as one text, with its cells; no text at all if it is in another language than Python.

    What of it could not be read stands in `Source.unread`, with places in the joined text.
    """
    if len(data) > MAX_CODE:
        data = _LONG_STRING.sub(b'""', data)
        if len(data) > MAX_CODE:
            return Unreadable(filename, f"larger than {MAX_CODE // 2**20} MiB without its pictures")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = data[: error.start]
        row, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        return Unreadable(filename, f"byte 0x{data[error.start]:02x} is not valid utf-8", row, column)
    except json.JSONDecodeError as error:
        return Unreadable(filename, f"not a notebook: invalid JSON: {error.msg}", error.lineno, error.colno)
    except RecursionError:
        return Unreadable(filename, "not a notebook: its JSON is nested too deeply")
    found = _cells(document)
    if found is None:
        return Unreadable(filename, "not a notebook: it has no list of cells")
    return _joined(filename, found if _language(document) in _PYTHON else [])


def _cells(document: Any) -> list[tuple[int, str]] | None:
    """Number and text of each Python cell; None if this is no notebook."""
    if not isinstance(document, dict):
        return None
    lists = [document.get("cells")]
    if isinstance(document.get("worksheets"), list):
        lists = [sheet.get("cells") for sheet in document["worksheets"] if isinstance(sheet, dict)]
    if not all(isinstance(each, list) for each in lists):
        return None
    cells = [cell for each in lists for cell in each or ()]
    return [(number, _text(cell)) for number, cell in enumerate(cells, start=1) if _is_python(cell)]


def _is_python(cell: Any) -> bool:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return False
    metadata = cell.get("metadata")
    vscode = metadata.get("vscode") if isinstance(metadata, dict) else None
    language = vscode.get("languageId") if isinstance(vscode, dict) else cell.get("language")
    return not isinstance(language, str) or language.lower() in _PYTHON


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    return universal(text).encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no character


def _language(document: dict[str, Any]) -> str:
    metadata = document.get("metadata")
    for group, name in (("kernelspec", "language"), ("language_info", "name")):
        about = metadata.get(group) if isinstance(metadata, dict) else None
        language = about.get(name) if isinstance(about, dict) else None
        if isinstance(language, str) and language:
            return language.lower()
    return ""


# --- code ------------------------------------------------------------------------------------------------------------


def _joined(filename: str, found: list[tuple[int, str]]) -> Source:
    cells: list[Cell] = []
    unread: list[Unreadable] = []
    texts: list[str] = []
    first = 1
    for number, text in found:
        read = _read(text)
        cells.append(Cell(number, first, text, read.shifts))
        texts.append(read.text)
        if read.error is not None:
            row, column = min(read.error.lineno or 1, text.count("\n") + 1), max(read.error.offset or 1, 1)
            reason = f"{guard.in_words(read.error)}; this cell is not read, the others are"
            valid = guard.may_be_newer(read.error)
            unread.append(Unreadable(filename, reason, first + max(row, 1) - 1, column, valid))
        first += text.count("\n") + 1
    return Source(filename, "".join(f"{text}\n" for text in texts), cells=tuple(cells), unread=tuple(unread))


class _Read(NamedTuple):
    """One cell as Python of as many lines; `error` if it had to be left out."""

    text: str
    shifts: Mapping[int, int] = {}
    error: SyntaxError | None = None


def _read(text: str) -> _Read:
    magic = ipython.cell_magic(text)
    if not text.strip() or magic in ipython.FOREIGN_CELLS:
        return _Read(_blank(text))
    if magic and magic not in ipython.PYTHON_CELLS:
        return _hidden(text)
    if _problem(text) is None:
        return _Read(text)
    plain = ipython.plain(text)
    problem = _problem(plain.text)
    if problem is None:
        return _Read(*plain)
    if ipython.starts_foreign(text):
        return _Read(_blank(text))
    old = ipython.python3(plain.text)
    return _hidden(text, problem) if _problem(old) is not None else _Read(old, plain.shifts)


def _problem(text: str) -> SyntaxError | None:
    """Why a text is not Python, if it is not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error) or "too much for Python's own parser")
    return None


def _blank(text: str) -> str:
    return "\n" * text.count("\n")


def _hidden(text: str, error: SyntaxError | None = None) -> _Read:
    """A cell that nobody can follow, as one call that may do anything with all that it names."""
    names = dict.fromkeys(name for name in _NAME.findall(text) if not keyword.iskeyword(name))
    bound = dict.fromkeys(
        name
        for found in _BOUND.finditer(text)
        for name in re.split(r"[ \t,]+", found["assigned"] or found["defined"])
        if not keyword.iskeyword(name)
    )
    targets = "".join(f"{name} = " for name in list(bound)[:MOST_NAMES])
    call = f"{targets}{ipython.UNKNOWN_CALL}({', '.join(list(names)[:MOST_NAMES])})"
    return _Read(call + _blank(text), error=error)
