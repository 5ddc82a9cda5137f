"""Which files of its project may import a file that is checked: what they do with it says what it does.

They are told by their text alone: nearly all files do not hold the name of the module, and are dismissed by that. Those
whose imports may mean it are wanted, those that import these, and so on. Whether one really leads there is for its
closure to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from headcheck.records import NamedTuple
from headcheck.source import NOTEBOOK, files, project, reading
from headcheck.source.importing import INIT, Imported, Targets, imports, may_name
from headcheck.source.reading import Unreadable

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from headcheck.settings import Settings

MOST_FILES: Final = 3_000  # of a project that are looked at
MOST_BYTES: Final = 2**20  # a larger file is not looked at
MOST_KEPT: Final = 2**16  # of one that is kept in memory from one look to the next
MOST_FOUND: Final = 100
FEW_WORDS: Final = 8  # so many are looked for in a text before it is searched for imports


def find(checked: Iterable[str], settings: Settings) -> list[str]:
    """The files that may lead to one that is checked (absolute names), those that import it themselves first."""
    targets = Targets()
    known = set(checked)
    modules = sorted(path for path in known if _can_be_imported(path))
    words = {_word(targets, path) for path in modules}
    waiting = [_Text(path) for path in _scripts(modules, settings) if path not in known]
    found: list[str] = []
    while words and len(found) < MOST_FOUND:
        new = [text for text in waiting if text.may_mean(words, targets)]
        found += (text.path for text in new)
        words = {_word(targets, text.path) for text in new if _can_be_imported(text.path)}
        taken = set(new)
        waiting = [text for text in waiting if text not in taken]
    return found[:MOST_FOUND]


class _Word(NamedTuple):
    """What a text must hold to import a file; `named`: in the import itself, for those of a package imply it."""

    word: bytes
    named: bool


def _word(targets: Targets, path: str) -> _Word:
    """Take in a file that is looked for."""
    return _Word(targets.add(path).encode(), os.path.basename(path) != f"{INIT}.py")


def _can_be_imported(path: str) -> bool:
    name, extension = os.path.splitext(os.path.basename(path))
    return extension == ".py" and name.isidentifier()


def _scripts(modules: Iterable[str], settings: Settings) -> Iterator[str]:
    """The files among which a module may have importers, each once."""
    tops: dict[str, None] = {}
    folders: dict[str, None] = {}
    for folder in dict.fromkeys(map(os.path.dirname, modules)):
        top, single = project.scripts_of(folder)
        tops.update({top: None} if top is not None else {project.layout(folder).top: None})
        folders.update(dict.fromkeys(single))
    seen: set[str] = set()
    for top in tops:
        for path in files.of_project(top, settings):
            if path not in seen and len(seen) < MOST_FILES:
                seen.add(path)
                yield path
    for folder in folders:
        for path in files.beside(folder, settings):
            if path not in seen:
                seen.add(path)
                yield path


class _Text:
    """A file that is looked at as often as there is something new to look for."""

    __slots__ = ("_data", "_imports", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._data: bytes | None = None
        self._imports: tuple[Imported, ...] | None = None

    def may_mean(self, words: set[_Word], targets: Targets) -> bool:
        """Whether it may import one of the targets, of which the new ones have one of these words in their names."""
        if self._imports is None:
            data = self._read()
            if len(words) <= FEW_WORDS and not any(self._may_name(data, word) for word in words):
                return False
            self._imports = tuple(imports(_code(self.path, data))) if b"import" in data else ()
            self._data = None
        return any(targets.meant(self.path, each) for each in self._imports)

    def _may_name(self, data: bytes, word: _Word) -> bool:
        if not word.named or self.path.endswith(NOTEBOOK):  # whose lines are within strings
            return word.word in data
        return may_name(data, word.word)

    def _read(self) -> bytes:
        if self._data is not None:
            return self._data
        data = reading.glance(self.path, MOST_BYTES)
        if len(data) <= MOST_KEPT:
            self._data = data
        return data


def _code(path: str, data: bytes) -> str:
    if not path.endswith(NOTEBOOK):
        return data.decode("utf-8", "replace")
    source = reading.decode_any(path, data)
    return "" if isinstance(source, Unreadable) else source.text
