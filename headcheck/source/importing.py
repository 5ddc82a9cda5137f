"""The imports of a file, found in its text without parsing it: quick, and rather one too many than one too few."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from headcheck.records import NamedTuple
from headcheck.source import project
from headcheck.source.project import Layout

_IMPORT: Final = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*(\([^)]*\)|[^\n;]*)|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
_WORD: Final = re.compile(r"\w+")
INIT: Final = "__init__"


class Imported(NamedTuple):
    """An import: a module, with so many leading dots, and the names of a from-import (none of another)."""

    module: str
    level: int
    names: tuple[str, ...]


def imports(text: str) -> Iterator[Imported]:
    """Each import of a text. Only the lines that hold the word are looked at more closely."""
    at = text.find("import")
    while at >= 0:
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if "(" in text[at:end]:
            end = max(end, text.find(")", at) + 1)
        for match in _IMPORT.finditer(text, start, end):
            if match[1] is not None:
                module = match[1].lstrip(".")
                yield Imported(module, len(match[1]) - len(module), tuple(_WORD.findall(match[2])))
            else:
                for part in match[3].split(","):
                    name = part.split(" as ")[0].strip()
                    if name:
                        yield Imported(name, 0, ())
        at = text.find("import", end)


def may_name(text: bytes, word: bytes) -> bool:
    """Whether `imports` could find this name in a text: it stands on a line with an import, or in its brackets."""
    at = text.find(word)
    while at >= 0:
        after = at + len(word)
        if not (_ends_in_a_word(text[max(at - 1, 0) : at]) or _ends_in_a_word(text[after : after + 1])):
            opened = text.find(b"(", text.rfind(b")", 0, at) + 1, at)
            start = text.rfind(b"\n", 0, opened if opened >= 0 else at) + 1
            end = text.find(b"\n", after)
            if text.find(b"import", start, end if end >= 0 else len(text)) >= 0:
                return True
        at = text.find(word, after)
    return False


def _ends_in_a_word(text: bytes) -> bool:
    return text.isalnum() or text == b"_"


def may_import_own(text: str, filename: str, where: Layout) -> bool:
    """Whether a file (absolute name) may import a module of its project."""
    if "sys.path" in text:
        return True
    return any(project.find(where, filename, each.module, each.level) is not None for each in imports(text))


# --- which of some files an import may mean --------------------------------------------------------------------------


class Targets:
    """Files (absolute names) by the dotted names that an import may have for them, whatever folders are searched."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        self.by_last: dict[str, list[tuple[str, ...]]] = {}

    def add(self, path: str) -> str:
        """Take in a file; returns the word without which no text can import it."""
        place = os.path.splitext(path)[0]
        if os.path.basename(place) == INIT:
            place = os.path.dirname(place)
        parts = tuple(place.split(os.sep))
        if place not in self.places:
            self.places.add(place)
            self.by_last.setdefault(parts[-1], []).append(parts)
        return parts[-1]

    def meant(self, importer: str, imported: Imported) -> bool:
        """Whether an import in a file (absolute name) may run one of them: as the module or as a package on the way."""
        module = imported.module.split(".") if imported.module else []
        if not imported.level:
            return self._ends(module) or any(self._ends_in((*module, name)) for name in imported.names)
        base = os.path.dirname(importer)
        for _ in range(imported.level - 1):
            base = os.path.dirname(base)
        if base in self.places:
            return True
        for part in module:
            base = os.path.join(base, part)
            if base in self.places:
                return True
        return any(os.path.join(base, name) in self.places for name in imported.names)

    def _ends(self, module: list[str]) -> bool:
        return any(self._ends_in(tuple(module[: count + 1])) for count in range(len(module)))

    def _ends_in(self, parts: tuple[str, ...]) -> bool:
        return any(known[-len(parts) :] == parts for known in self.by_last.get(parts[-1], ()))
