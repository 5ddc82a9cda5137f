"""What a run has read: each file once, whichever script asks for it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from headcheck.analysis import Around
from headcheck.catalog.known import Builders
from headcheck.findings import FileResult
from headcheck.interpreter import relevance
from headcheck.interpreter.modules import ROOT, Found, Source, Span
from headcheck.interpreter.relevance import SEEDS, Link
from headcheck.ir import UNKNOWN
from headcheck.ir.index import Index
from headcheck.source import data, guard, importing, load, project, reading, requirements, screen
from headcheck.source.closure import SMALL, Closure, closure
from headcheck.source.outline import Outline, outline
from headcheck.source.reading import Unreadable
from headcheck.units import Refused, Unit, read

if TYPE_CHECKING:
    from headcheck.settings import Settings

MOST_USERS = 16  # of a file that are read for what they do with it, beside those that are checked themselves
MOST_LINES = 150_000  # that are kept in memory, at about two kilobytes each


class Workspace:
    """The files of a run and of the projects around them.

    `filenames` are those that are checked, by the names that the user gave them; `builders` are known beside those of
    libraries. What is read is kept, but for the
    parsed files: beyond `MOST_LINES` those that were not asked for longest go.
    """

    def __init__(self, filenames: Iterable[str] = (), builders: Builders | None = None) -> None:
        self.builders = builders if builders is not None else Builders({}, ())
        self.names = {os.path.abspath(filename): filename for filename in filenames}
        self.sources: dict[str, reading.Source | Unreadable] = {}
        self.sizes: dict[str, int] = {}
        self.outlines: dict[str, Outline | None] = {}
        self.safe: set[str] = set()
        self.units: OrderedDict[str, Unit | Refused] = OrderedDict()
        self.closures: dict[str, Closure] = {}
        self.users: dict[str, tuple[str, ...]] = {}
        self.around: dict[str, Around] = {}
        self.data: dict[str, Any] = {}
        self.absolute = bool(self.names) and all(map(os.path.isabs, self.names.values()))

    def add(self, filename: str, source: reading.Source, size: int) -> str:
        """Take in a file that was read (`size` in bytes), or is to be taken to hold this. Returns its absolute name."""
        path = os.path.abspath(filename)
        self.names.setdefault(path, filename)
        self.sizes[path], self.sources[path] = size, source
        return path

    def shown(self, path: str) -> str:
        """The name of a file: as the user gave it, else from the working folder unless the user gave absolute ones."""
        known = self.names.get(path)
        if known is None:
            near = path if self.absolute else os.path.relpath(path)
            known = self.names[path] = path if near.partition(os.sep)[0] == os.pardir else near
        return known

    def source(self, path: str) -> reading.Source | Unreadable:
        """The text of a file, or why it has none."""
        known = self.sources.get(path)
        if known is not None:
            return known
        data = load(path)
        self.sizes[path] = 0 if isinstance(data, Unreadable) else len(data)
        self.sources[path] = data if isinstance(data, Unreadable) else reading.decode_any(self.shown(path), data)
        return self.sources[path]

    def blank(self, filename: str) -> FileResult:
        """The result of a file in which nothing was found."""
        unit = self.units.get(os.path.abspath(filename))
        source = self.source(os.path.abspath(filename))
        if isinstance(unit, Unit):
            return FileResult(filename, unit.text, cells=unit.cells)
        return FileResult(filename, "" if isinstance(source, Unreadable) else source.text)

    def size(self, path: str) -> int:
        self.source(path)
        return self.sizes[path]

    def outline(self, path: str) -> Outline | None:
        """None for what cannot be read, is no Python file, or can neither speak of models nor is small."""
        if path not in self.outlines:
            self.outlines[path] = self._outline(path)
        return self.outlines[path]

    def _outline(self, path: str) -> Outline | None:
        source = self.source(path) if path.endswith(".py") or path in self.sources else None
        if source is None or isinstance(source, Unreadable):
            return None
        if self.sizes[path] > SMALL and not screen.may_matter(source.text.encode("utf-8", "replace")):
            return None
        tree = guard.check(source.text, path)
        if isinstance(tree, Unreadable):
            return None
        self.safe.add(path)
        return outline(tree, path, SEEDS)

    def closure(self, path: str) -> Closure:
        """The files that a script needs to be followed through."""
        if path not in self.closures:
            where = project.layout(os.path.dirname(path))
            source = self.source(path)
            if not isinstance(source, Unreadable) and importing.may_import_own(source.text, path, where):
                self.closures[path] = closure(path, where, self.outline, self.size)
            else:
                self.closures[path] = Closure(where, (path,), {})
        return self.closures[path]

    # -- what a file is used by --------------------------------------------------------------------------------------

    def look_around(self, checked: Iterable[str], settings: Settings) -> list[str]:
        """The scripts of their projects that lead to files which are checked (absolute names), but for themselves."""
        from headcheck.source import importers

        wanted = set(checked)
        found = importers.find(wanted, settings)
        users: dict[str, list[str]] = {}
        for script in sorted([*wanted, *found]):
            for file in self.closure(script).files[1:]:
                users.setdefault(file, []).append(script)
        self.users = {file: tuple(scripts) for file, scripts in users.items()}
        order = {script: number for number, script in enumerate(found)}
        leading: set[str] = set()
        for file in wanted & users.keys():
            scripts = [script for script in users[file] if script in order and self.can_lead(script)]
            leading.update(sorted(scripts, key=order.__getitem__)[:MOST_USERS])
        return sorted(leading)

    def can_lead(self, script: str) -> bool:
        """Whether something can be found by way of a script: it speaks of models, or gets to one of a library."""
        source = self.source(script)
        text = "" if isinstance(source, Unreadable) else source.text
        return self.closure(script).builds or screen.may_matter(text.encode("utf-8", "replace"))

    def used_by(self, path: str) -> Around:
        """What the scripts that lead to a file do. What it is followed through may be for the objects of other scripts
        that lead there: they set attributes of their own."""
        said = [self._said(script) for script in self.users.get(path, ())]
        beside = {script for file in self.closure(path).files for script in self.users.get(file, ())}
        return Around(
            frozenset().union(*(each.used for each in said)),
            frozenset().union(*(self._said(script).assigned for script in sorted(beside))),
        )

    def _said(self, script: str) -> Around:
        if script not in self.around:
            unit = self.unit(script)
            self.around[script] = (
                Around(unit.used_attributes, frozenset(unit.assigned_attributes))
                if isinstance(unit, Unit)
                else Around()
            )
        return self.around[script]

    # -- reading -----------------------------------------------------------------------------------------------------

    def unit(self, path: str) -> Unit | Refused:
        """A file parsed and lowered, or why it cannot be."""
        if path in self.units:
            self.units.move_to_end(path)
            return self.units[path]
        filename, source = self.shown(path), self.source(path)
        if isinstance(source, Unreadable):
            found: Unit | Refused = Refused(source, "", ())
        else:
            found = read(source.text, filename, path, source.cells, path in self.safe)
        self.units[path] = found
        return found

    def forget(self) -> None:
        """Drop the parsed files that were not asked for longest, if there are too many."""
        lines = sum(unit.text.count("\n") for unit in self.units.values() if isinstance(unit, Unit))
        while lines > MOST_LINES and len(self.units) > 1:
            _, oldest = self.units.popitem(last=False)
            lines -= oldest.text.count("\n") if isinstance(oldest, Unit) else 0

    def followed(self, path: str) -> Followed:
        """The modules that a script is followed through."""
        needed = self.closure(path)
        units = {file: self.unit(file) for file in needed.files}
        known = {file: unit for file, unit in units.items() if isinstance(unit, Unit)}
        return Followed(path, needed, known, self.held, self.builders)

    def held(self, path: str) -> Any:
        """What a file of data holds, `UNKNOWN` if that is not known."""
        if path not in self.data:
            found = data.read(path)
            self.data[path] = UNKNOWN if found is data.NOTHING else found
        return self.data[path]


class Followed:
    """The project of a script, as the interpreter asks for it (`interpreter.modules.Project`)."""

    def __init__(
        self,
        script: str,
        needed: Closure,
        units: dict[str, Unit],
        held: Callable[[str], Any] = lambda path: UNKNOWN,
        builders: Builders | None = None,
    ) -> None:
        self.builders = builders if builders is not None else Builders({}, ())
        self.script = script
        self.needed = needed
        self.units = units
        self.held = held
        self.found: dict[tuple[str, str, int], Found | None] = {}

    def imported(self) -> list[Unit]:
        """The files of the modules, without the script."""
        return [unit for path, unit in self.units.items() if path != self.script]

    def is_local(self, module: str, level: int, importer: str) -> bool:
        return project.is_local(self.needed.layout, module, level)

    def find(self, module: str, level: int, importer: str) -> Found | None:
        key = (importer if level else "", module, level)
        if key not in self.found:
            self.found[key] = self._find(module, level, importer)
        return self.found[key]

    def _find(self, module: str, level: int, importer: str) -> Found | None:
        route = project.find(self.needed.layout, self.script if importer == ROOT else importer, module, level)
        if route is None or not route.places:
            return None
        known = [place for place in route.places if place.path in self.units or not place.path.endswith(".py")]
        followed = route.places[-1] in known
        sources = tuple(self.source(place.name, place.path) for place in route.places)
        if not followed and len(known) == 0:
            return None
        return Found(sources if followed else sources[:-1], route.whole and followed)

    def names_of(self, key: str) -> tuple[str, ...]:
        return project.names_of(self.needed.layout, self.script if key == ROOT else key)

    def names_for(self, module: str, level: int, importer: str) -> tuple[str, ...]:
        route = project.find(self.needed.layout, self.script if importer == ROOT else importer, module, level)
        return self.names_of(route.places[-1].path) if route is not None and route.whole and route.places else ()

    def file_of(self, module: str) -> str | None:
        route = project.find(self.needed.layout, self.script, module, 0)
        found = route.places[-1].path if route is not None and route.whole else None
        return found if found is not None and found.endswith(".py") else None

    def data(self, name: str) -> Any:
        path = data.find(self.needed.layout, name)
        return UNKNOWN if path is None else self.held(path)

    def required(self, package: str) -> tuple[Span, ...]:
        folders = self.needed.layout.folders
        return requirements.spans((*folders, *({self.needed.layout.top} - {*folders})), package)

    def source(self, name: str, path: str) -> Source:
        if path == self.script:
            return Source(ROOT, ROOT, self.units[path].block, path)
        unit = self.units.get(path)
        return Source(path, name, unit.block if unit is not None else [], path)

    def relevant(self, index: Index) -> dict[str, frozenset[str]]:
        def key(path: str) -> str:
            return ROOT if path == self.script else path

        links = {
            key(file): {
                name: tuple(Link(key(path), other) for path, other in linked if path in self.units)
                for name, linked in own.items()
            }
            for file, own in self.needed.links.items()
            if file in self.units  # and was read: libcst's grammar lacks some of what Python's has
        }
        return relevance.analyse_all({key(path): unit.index for path, unit in self.units.items()}, links)
