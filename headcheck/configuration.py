"""Finds `[tool.headcheck]`. Imported by every run, so it imports nothing that most runs do not need."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Table = dict[str, object]


class UsageError(Exception):
    """headcheck was asked for something that it cannot do; the message says what. Ends a run with status 2."""


def common_folder(paths: Iterable[str]) -> str:
    """The absolute path of the deepest folder that holds all of `paths`, or of the current one."""
    absolute = [os.path.abspath(path) for path in paths if path != "-"]
    try:
        common = os.path.commonpath(absolute) if absolute else os.getcwd()
    except ValueError:  # on different drives
        return os.getcwd()
    return common if os.path.isdir(common) else os.path.dirname(common)


def find(folder: str) -> tuple[str, Table] | None:
    """The nearest pyproject.toml, in `folder` or above it, that has a `[tool.headcheck]`: its path and that table.

    Raises UsageError for a file that mentions the table and is not TOML.
    """
    for filename, data in _mentions(folder):
        table = _table(filename, data)
        if table is not None:
            return filename, table
    return None


def may_set(folder: str, key: str) -> bool:
    """Whether a pyproject.toml that counts in `folder` may set `key`: read, but not parsed."""
    return any(key.encode() in data for _, data in _mentions(folder))


def _mentions(folder: str) -> Iterator[tuple[str, bytes]]:
    """Every pyproject.toml in `folder` and above it that has the words tool.headcheck, from the nearest on."""
    while True:
        filename = os.path.join(folder, "pyproject.toml")
        data = _read(filename)
        if b"tool.headcheck" in data:
            yield filename, data
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _read(filename: str) -> bytes:
    try:
        with open(filename, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return b""
    except OSError as error:
        raise UsageError(f"{filename}: {error.strerror}") from error


def _table(filename: str, data: bytes) -> Table | None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(data.decode()).get("tool", {}).get("headcheck")
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, or not UTF-8
        raise UsageError(f"{filename}: {error}") from error
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{filename}: tool.headcheck must be a table")
    return table
