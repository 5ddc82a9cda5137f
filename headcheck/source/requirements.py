"""Which versions of a library does a project ask for? Read from its lock files, else from its requirements."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from headcheck.records import NamedTuple
from headcheck.source import load
from headcheck.source.reading import Unreadable

MOST_BYTES: Final = 2**21
LOCKS: Final = re.compile(r"(poetry|uv|pdm)\.lock|Pipfile\.lock")
REQUIREMENTS: Final = re.compile(
    r"(.*requirements.*|constraints)\.(txt|in)|setup\.(py|cfg)|pyproject\.toml|Pipfile|(environment|conda).*\.ya?ml"
)
#: A folder in which projects keep their requirements files.
FOLDER: Final = "requirements"
Version = tuple[int, ...]


class Span(NamedTuple):
    """The versions from `first` on and before `end`; None for no bound."""

    first: Version | None
    end: Version | None


@lru_cache(maxsize=1024)
def spans(folders: tuple[str, ...], package: str) -> tuple[Span, ...]:
    """Return the versions of a package that a project asks for, none where it does not say.

    The first of `folders` in which a file says so counts; several files may say different things.
    """
    for folder in folders:
        found = _in_folder(folder, package)
        if found:
            return found
    return ()


def _in_folder(folder: str, package: str) -> tuple[Span, ...]:
    paths = [*_files(folder), *_files(os.path.join(folder, FOLDER), every=True)]
    locked = [span for path in paths if _is_lock(path) for span in _locked(_text(path), package)]
    if locked:
        return tuple(dict.fromkeys(locked))
    asked = [span for path in paths if not _is_lock(path) for span in _asked(_text(path), package)]
    return tuple(dict.fromkeys(asked))


def _files(folder: str, every: bool = False) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []  # no such folder, or none that may be read
    wanted = [
        name
        for name in names
        if LOCKS.fullmatch(name) or REQUIREMENTS.fullmatch(name) or (every and name.endswith(".txt"))
    ]
    return [path for path in (os.path.join(folder, name) for name in wanted) if os.path.isfile(path)]


def _is_lock(path: str) -> bool:
    return LOCKS.fullmatch(os.path.basename(path)) is not None


def _text(path: str) -> str:
    data = load(path)
    return "" if isinstance(data, Unreadable) or len(data) > MOST_BYTES else data.decode("utf-8", "replace")


def _locked(text: str, package: str) -> Iterator[Span]:
    name = re.escape(package)
    tables = rf'(?m)^name = "{name}"\s*\nversion = "([^"]+)"'
    pipfile = rf'"{name}"\s*:\s*\{{[^{{}}]*?"version"\s*:\s*"==([^"]+)"'
    for match in re.finditer(f"{tables}|{pipfile}", text):
        span = span_of("==" + (match[1] or match[2]))
        if span is not None:
            yield span


def _asked(text: str, package: str) -> Iterator[Span]:
    mention = re.compile(rf"(?<![\w./-]){re.escape(package)}(?:\[[^\]]*\])?(?![\w./-])([^\n#;]*)")
    for line in text.splitlines():
        match = mention.search(line.partition("#")[0])
        if match is None:
            continue
        # Poetry and Pipfile have a key and a text: timm = "^0.6", timm = {version = "0.6.12"}.
        said = re.match(r'\s*=\s*(?:\{.*?version\s*=\s*)?["\']([^"\']*)["\']', match[1])
        span = span_of(said[1] if said else match[1].split('"')[0].split("'")[0])
        if span is not None:
            yield span


_CLAUSE: Final = re.compile(
    r"\s*(===|==|~=|!=|<=|>=|<|>|\^|~|=|)\s*v?(\d+(?:\.\d+)*)(\.\*)?[\w.+]*\s*(?:,|$|(?=[\s)\\]))"
)


def span_of(text: str) -> Span | None:
    """Return the versions that a specifier (``>=0.9,<1.0``, ``^0.6``, ``0.6.12``) admits, None if it is none."""
    first: Version | None = None
    end: Version | None = None
    position, found = len(text) - len(text.lstrip(" (")), False
    while match := _CLAUSE.match(text, position):
        position, found = match.end(), True
        version = tuple(map(int, match[2].split(".")))
        low, high = _bounds(match[1] or "==", version, bool(match[3]))
        first = max(first or (), low) if low is not None else first
        end = (high if end is None else min(end, high)) if high is not None else end
    return Span(first, end) if found else None


def _bounds(operator: str, version: Version, star: bool) -> tuple[Version | None, Version | None]:
    if operator in ("==", "===", "="):
        return version, _next(version) if star or operator == "=" else (*version, 0)
    if operator in ("~=", "~"):
        return version, _next(version[:-1] if len(version) > 1 and operator == "~=" else version[:2])
    if operator == "^":
        return version, _next(version[: next((i + 1 for i, part in enumerate(version) if part), len(version))])
    return {
        ">=": (version, None),
        ">": (version, None),
        "<": (None, version),
        "<=": (None, (*version, 0)),
        "!=": (None, None),
    }[operator]


def _next(version: Version) -> Version:
    """The first version that does not start with this one."""
    return (*version[:-1], version[-1] + 1)
