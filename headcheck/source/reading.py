"""From bytes to text, the way Python reads a source file: byte-order mark, PEP 263 cookie, universal newlines."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable
from typing import Final

from headcheck.findings import Cell, Edit
from headcheck.records import NamedTuple
from headcheck.source import NOTEBOOK, most_bytes

# Codecs that Python would take for a source file but that are slow on purpose-made input, or decode nothing.
_REFUSED: Final = frozenset({"idna", "punycode", "undefined"})
# What Emacs may append to (utf-8-unix), and Python takes.
_WITH_SUFFIX: Final = {
    "utf-8-": "utf-8",
    "latin-1-": "iso8859-1",
    "iso-8859-1-": "iso8859-1",
    "iso-latin-1-": "iso8859-1",
}
# Patterns that few files need are compiled, and kept by `re`, when one does.
_COOKIE: Final = rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)"
_BLANK: Final = rb"[ \t\f]*(?:#|$)"
_LINE_END: Final = r"\r\n|\r|\n"
USUAL_BYTES: Final = 2**16  # room for the most that a file may have takes longer to make than to fill


class Unreadable(NamedTuple):
    """Why a file cannot be read, and where. Row and column start at 1; the column counts characters. `valid`: Python
    itself reads it, or a newer one may."""

    filename: str
    reason: str
    row: int = 1
    column: int = 1
    valid: bool = False


class Source(NamedTuple):
    r"""One file as text.

    `filename` is what messages show. `text` has ``\n`` at the end of every line and no byte-order mark; `encoding`,
    `bom` and `newline` (the commonest line ending) say what the file has instead. `newlines` holds the ending of each
    line where a file mixes them, and is empty otherwise. `cells` say where a row of a notebook's text comes from, and
    `unread` which of them could not be read.
    """

    filename: str
    text: str
    encoding: str = "utf-8"
    bom: bool = False
    newline: str = "\n"
    newlines: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    unread: tuple[Unreadable, ...] = ()


def read(filename: str) -> Source | Unreadable:
    """The text of a file. Never raises for what the file or the disk holds."""
    data = load(filename)
    return data if isinstance(data, Unreadable) else decode(filename, data)


def load(filename: str) -> bytes | Unreadable:
    """The bytes of a file of at most `MAX_BYTES`; of a notebook, `MAX_NOTEBOOK_BYTES`."""
    most = most_bytes(filename)
    try:
        with open(filename, "rb") as file:
            data = file.read(USUAL_BYTES)
            if len(data) == USUAL_BYTES:
                data += file.read(most + 1 - USUAL_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Unreadable(filename, f"cannot be opened: {reason}")
    if len(data) > most:
        return Unreadable(filename, f"larger than {most // 2**20} MiB")
    return data


def glance(filename: str, most: int) -> bytes:
    """The bytes of a file of a listing: none of one that cannot be read, or has more than `most`.

    A project has hundreds of them: Python's own `open` would take twice as long.
    """
    try:
        opened = os.open(filename, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            data = os.read(opened, USUAL_BYTES)
            while len(data) >= USUAL_BYTES and (more := os.read(opened, most + 1 - len(data))):
                data += more
        finally:
            os.close(opened)
    except (OSError, ValueError):
        return b""
    return data if len(data) <= most else b""


def decode_any(filename: str, data: bytes) -> Source | Unreadable:
    """The text of a Python file, or of the cells of a notebook."""
    if not filename.endswith(NOTEBOOK):
        return decode(filename, data)
    from headcheck.source import notebook

    return notebook.decode(filename, data)


def decode(filename: str, data: bytes) -> Source | Unreadable:
    """The text that Python would see in `data`."""
    bom = data.startswith(codecs.BOM_UTF8)
    if bom:
        data = data[len(codecs.BOM_UTF8) :]
    if b"\0" in data:
        row, column = _place(data[: data.index(b"\0")], "latin-1")
        return Unreadable(filename, "holds a NUL byte, so it is not Python source", row, column)
    declared, row = _declared_encoding(data)
    encoding = _known_encoding(declared or "utf-8")
    if bom and encoding != "utf-8":
        return Unreadable(filename, f"declares the encoding {declared!r} but starts with a UTF-8 byte-order mark", row)
    try:
        text = data.decode(encoding)
    except LookupError:
        return Unreadable(filename, f"unknown encoding {declared!r}", row)
    except UnicodeDecodeError as error:
        row, column = _place(data[: error.start], encoding)
        return Unreadable(filename, f"byte 0x{data[error.start]:02x} is not valid {encoding}", row, column)
    except UnicodeError as error:
        return Unreadable(filename, f"not valid {encoding}: {error}", row)
    newline, newlines = _endings(text)
    return Source(filename, universal(text), encoding, bom, newline, newlines)


def rewrite(source: Source, edits: Iterable[Edit]) -> bytes:
    r"""The file's bytes after `edits`, with its encoding, mark and line endings, and everything not edited as it was.

    `edits` count in characters of `source.text` and do not overlap. A ``\n`` that an edit brings becomes the file's own
    line ending. Raises UnicodeEncodeError for a character that the file's encoding lacks.
    """
    pieces: list[str] = []
    position = line = 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        kept = source.text[position : edit.start]
        pieces += [_restored(source, kept, line), edit.text.replace("\n", source.newline)]
        line += kept.count("\n") + source.text.count("\n", edit.start, edit.end)
        position = edit.end
    pieces.append(_restored(source, source.text[position:], line))
    return (codecs.BOM_UTF8 if source.bom else b"") + "".join(pieces).encode(source.encoding)


def _declared_encoding(data: bytes) -> tuple[str, int]:
    """The name in a PEP 263 cookie ("" without one) and its row. A cookie counts on the second line below a comment."""
    if b"coding" not in data[:4096]:
        return "", 1
    for row, line in enumerate(data[:4096].splitlines()[:2], start=1):
        cookie = re.match(_COOKIE, line)
        if cookie:
            return cookie[1].decode("ascii", "replace"), row
        if not re.match(_BLANK, line):
            break
    return "", 1


def _known_encoding(name: str) -> str:
    """The codec's own name; "unknown" for none, and for one that no file is to be read with."""
    short = name[:12].lower().replace("_", "-") + "-"
    for prefix, meant in _WITH_SUFFIX.items():
        if short.startswith(prefix):
            return meant
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return "unknown"
    return "unknown" if found in _REFUSED else found


def _endings(text: str) -> tuple[str, tuple[str, ...]]:
    if "\r" not in text:
        return "\n", ()
    endings = tuple(re.findall(_LINE_END, text))
    kinds = set(endings)
    return max(sorted(kinds), key=endings.count), endings if len(kinds) > 1 else ()


def universal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _restored(source: Source, text: str, line: int) -> str:
    """`text`, which starts on the line number `line` (from 0) of `source`, with the line endings of the file."""
    if not source.newlines:
        return text.replace("\n", source.newline)
    first, *rest = text.split("\n")
    return first + "".join(end + piece for end, piece in zip(source.newlines[line:], rest, strict=False))


def _place(before: bytes, encoding: str) -> tuple[int, int]:
    """Row and column of what comes after `before`."""
    text = universal(before.decode(encoding, "replace"))
    return text.count("\n") + 1, len(text) - text.rfind("\n")
