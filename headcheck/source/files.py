"""From the paths given to the files to check."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from headcheck.configuration import UsageError
from headcheck.source import NOTEBOOK

if TYPE_CHECKING:
    from headcheck.settings import Settings
    from headcheck.source.gitignore import Pattern

STDIN: Final = "-"
SUFFIXES: Final = (".py", NOTEBOOK)
IGNORE_FILE: Final = ".gitignore"
VIRTUAL_ENVIRONMENT: Final = "pyvenv.cfg"
MOST_ENTRIES: Final = 20_000  # of a project that are looked at
MOST_IN_A_FOLDER: Final = 2_000

#: The patterns of a .gitignore and the folder it stands in.
_Rules: TypeAlias = "tuple[str, tuple[Pattern, ...]]"


def discover(paths: Iterable[str], settings: Settings) -> Iterator[str]:
    """The files to check, each once and by the name to show it under: as given, or below the folder as given.

    A file named explicitly is always taken. A folder is walked in the order of its names for Python files and
    notebooks, without what `settings.excludes` or a .gitignore (in the folder, below it, or above it up to the top of
    its repository) names, and without following links. A folder that cannot be listed is given out like a file, for
    reading it to say why.

    Raises UsageError for a path that does not exist.
    """
    seen: set[str] = set()
    for path in paths:
        if path != STDIN and not os.path.lexists(path):
            raise UsageError(f"no such file or folder: {path}")
        for filename in _walk(path, settings) if os.path.isdir(path) else [path]:
            key = os.path.abspath(filename) if filename != STDIN else STDIN
            if key not in seen:
                seen.add(key)
                yield filename


def _walk(folder: str, settings: Settings) -> Iterator[str]:
    top = os.path.abspath(folder)
    rules = _rules_above(top)
    if _is_ignored(top, True, rules):
        rules = []  # named explicitly, although its repository ignores it
    is_excluded = _excluder(settings.excludes)
    # What is to come, the next last: absolute path, name to show, whether it is a folder, the rules in force above it.
    shown = "" if os.path.normpath(folder) == "." else folder
    pending = [(top, shown, True, rules)]
    while pending:
        path, name, is_folder, rules = pending.pop()
        if not is_folder:
            yield name
            continue
        try:
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
        except OSError:
            yield name or "."
            continue
        if any(entry.name == IGNORE_FILE for entry in entries):
            rules = [*rules, *_read_rules(path)]
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (is_folder or _is_python_file(entry)) or is_excluded(entry.name, entry.path):
                continue
            if not _is_ignored(entry.path, is_folder, rules):
                pending.append((entry.path, os.path.join(name, entry.name), is_folder, rules))


def of_project(top: str, settings: Settings) -> Iterator[str]:
    """The Python files and notebooks of a folder (absolute) and below it, by their absolute names, the nearest first.

    What `discover` leaves out is left out, and so are virtual environments. It ends at a limit, and a folder of very
    many files is passed over: those are data.
    """
    rules = _rules_above(top)
    pending = deque([(top, [] if _is_ignored(top, True, rules) else rules)])
    is_excluded = _excluder(settings.excludes)
    left = MOST_ENTRIES
    while pending and left > 0:
        folder, rules = pending.popleft()
        entries = _listed(folder)
        left -= len(entries)
        names = {entry.name for entry in entries}
        if VIRTUAL_ENVIRONMENT in names:
            continue
        if IGNORE_FILE in names:
            rules = [*rules, *_read_rules(folder)]
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (is_folder or _is_python_file(entry)) or is_excluded(entry.name, entry.path):
                continue
            if _is_ignored(entry.path, is_folder, rules):
                continue
            if is_folder:
                pending.append((entry.path, rules))
            else:
                yield entry.path


def beside(folder: str, settings: Settings) -> Iterator[str]:
    """The same for a folder alone, without those in it."""
    is_excluded = _excluder(settings.excludes)
    for entry in _listed(folder):
        if _is_python_file(entry) and not is_excluded(entry.name, entry.path):
            yield entry.path


def _listed(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in the order of its names; nothing if it cannot be listed or is too full."""
    try:
        with os.scandir(folder) as scan:
            entries = list(islice(scan, MOST_IN_A_FOLDER + 1))
    except OSError:
        return []
    return sorted(entries, key=lambda entry: entry.name) if len(entries) <= MOST_IN_A_FOLDER else []


def _is_python_file(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(SUFFIXES) and entry.is_file(follow_symlinks=False)


def _excluder(excludes: Iterable[str]) -> Callable[[str, str], bool]:
    """Whether a file or folder of this name and absolute path is excluded.

    A pattern without a slash is for names. One with a slash is for absolute paths, and its ``*`` takes slashes too.
    """
    patterns = [pattern.rstrip("/") for pattern in excludes]
    names = {pattern for pattern in patterns if not any(character in pattern for character in "/*?[")}
    name_patterns = [pattern for pattern in patterns if "/" not in pattern and pattern not in names]
    path_patterns = [pattern for pattern in patterns if "/" in pattern]

    def is_excluded(name: str, path: str) -> bool:
        return (
            name in names
            or any(fnmatch(name, pattern) for pattern in name_patterns)
            or any(fnmatch(path, pattern) for pattern in path_patterns)
        )

    return is_excluded


# --- .gitignore ------------------------------------------------------------------------------------------------------


def _rules_above(folder: str) -> list[_Rules]:
    """The .gitignore files above `folder`, from its repository's top down; none if it is in no repository."""
    found: list[_Rules] = []
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return []
        folder = above
        found = _read_rules(folder) + found
    return found


def _read_rules(folder: str) -> list[_Rules]:
    from headcheck.source import gitignore

    try:
        with open(os.path.join(folder, IGNORE_FILE), encoding="utf-8-sig", errors="surrogateescape") as file:
            return [(folder, gitignore.parse(file.read().split("\n")))]
    except OSError:  # there is none, or none that can be read: git goes on without it as well
        return []


def _is_ignored(path: str, is_folder: bool, rules: Sequence[_Rules]) -> bool:
    """Whether git would ignore the path. The .gitignore nearest to it that names it decides."""
    if not rules:
        return False
    from headcheck.source import gitignore

    for folder, patterns in reversed(rules):
        inside = path[len(folder) :].replace(os.sep, "/").lstrip("/")
        decided = gitignore.ignores(patterns, inside, is_folder)
        if decided is not None:
            return decided
    return False
