"""What a .gitignore says of a path, as git's documentation has it.

Its own, because the checked tree writes the patterns: the regular expressions that pathspec 1.1 makes of them backtrack
without end (``*a*a*a*a*a*ab`` takes nine seconds on a name of a hundred letters); those of `fnmatch` do not. Character
classes by name (``[[:space:]]``) are not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final, TypeAlias

from headcheck.records import NamedTuple

#: Whether one part of a path fits; None is ``**``, which any number of parts fits.
_Part: TypeAlias = "Callable[[str], object] | None"

MAX_PATTERN: Final = 1000  # git itself has no limit; a longer line is no pattern that a person wrote
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class Pattern(NamedTuple):
    """One line of a .gitignore."""

    parts: tuple[_Part, ...]
    ignores: bool
    only_folders: bool


def parse(lines: Iterable[str]) -> tuple[Pattern, ...]:
    """The patterns of a .gitignore. A line that git would skip is skipped."""
    return tuple(pattern for line in lines if (pattern := _pattern(_bytewise(line).removesuffix("\r"))) is not None)


def ignores(patterns: tuple[Pattern, ...], path: str, is_folder: bool) -> bool | None:
    """Whether the patterns ignore `path`, given from their folder with ``/`` between its parts; None if none names it.

    Ask for every folder on the way to a path first: what lies in an ignored folder is ignored, whatever names it.
    """
    parts = _bytewise(path).split("/")
    for pattern in reversed(patterns):
        if (is_folder or not pattern.only_folders) and _fits(pattern.parts, parts):
            return pattern.ignores
    return None


def _bytewise(text: str) -> str:
    """One character for each byte, because a ``?`` of git's stands for a byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _pattern(line: str) -> Pattern | None:
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    if not line or line.startswith("#") or len(line) > MAX_PATTERN:
        return None
    ignoring = not line.startswith("!")
    if not ignoring:
        line = line[1:]
    only_folders = line.endswith("/")
    if only_folders:
        line = line[:-1]
    if not line.strip("/") or _ends_in_an_escape(line):
        return None
    parts = [_part(each) for each in line.removeprefix("/").split("/")]
    if parts[-1] is None:
        parts[-1:] = [_anything, None]  # below the folder, not the folder itself
    if "/" not in line:
        parts.insert(0, None)
    return Pattern(tuple(parts), ignoring, only_folders)


def _ends_in_an_escape(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _part(glob: str) -> _Part:
    if len(glob) > 1 and not glob.strip("*"):
        return None
    if not any(character in glob for character in "*?[\\"):
        return glob.__eq__
    return re.compile(translate(_for_fnmatch(glob))).match


def _for_fnmatch(glob: str) -> str:
    """The same pattern in `fnmatch`'s syntax, which escapes by a class of one and negates one by ``!`` alone."""
    return _ESCAPED.sub(_one_of, glob).replace("[^", "[!")


def _one_of(escaped: re.Match[str]) -> str:
    return f"[{escaped[1]}]" if escaped[1] in "*?[" else escaped[1]


def _anything(name: str) -> bool:
    return True


def _never(name: str) -> bool:
    return False


def _fits(parts: tuple[_Part, ...], names: list[str]) -> bool:
    """Whether the parts of a pattern fit all of `names`.

    What fails after a ``**`` is tried again with one name more for that ``**``. Only for the last one that was passed:
    an earlier one has nothing to gain.
    """
    if len(parts) == 2 and parts[0] is None and parts[1] is not None:  # a name alone, as most patterns are
        return bool(parts[1](names[-1]))
    at = name = 0
    after_stars: tuple[int, int] | None = None
    while name < len(names):
        part = parts[at] if at < len(parts) else _never
        if part is None:
            at += 1
            after_stars = (at, name)
        elif part(names[name]):
            at += 1
            name += 1
        elif after_stars is None:
            return False
        else:
            at, name = after_stars[0], after_stars[1] + 1
            after_stars = (at, name)
    return all(part is None for part in parts[at:])
