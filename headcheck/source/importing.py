"""The imports of a file, found in its text without parsing it: quick, and rather one too many than one too few."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from headcheck.source import project
from headcheck.source.project import Layout

_IMPORT: Final = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*(\([^)]*\)|[^\n;]*)|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
_WORD: Final = re.compile(r"\w+")


def imports(text: str) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Each import as (module, number of leading dots, names): the names of a from-import, none of another."""
    for match in _IMPORT.finditer(text):
        if match[1] is not None:
            module = match[1].lstrip(".")
            yield module, len(match[1]) - len(module), tuple(_WORD.findall(match[2]))
        else:
            for part in match[3].split(","):
                name = part.split(" as ")[0].strip()
                if name:
                    yield name, 0, ()


def may_import_own(text: str, filename: str, where: Layout) -> bool:
    """Whether a file (absolute name) may import a module of its project."""
    if "sys.path" in text:
        return True
    return any(project.find(where, filename, module, level) is not None for module, level, _ in imports(text))
