"""Which files of its project a script needs to be followed through: those whose functions, classes and constants it
uses, directly or through others, as far as these speak of models.

A file is needed for a function or class that speaks of models or calls one that does, for the base of a class, and for
a variable, an import or a layer of a small module. Everything else stays unknown, which costs nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from headcheck.records import NamedTuple
from headcheck.source import project
from headcheck.source.outline import BODY, Binding, Outline
from headcheck.source.project import Layout, Route

MOST_FILES = 40  # of a closure
MOST_LINES = 20_000
# A script that reaches no model of a library is followed into few modules: what could be said of it is little.
FEW_FILES = 8
FEW_LINES = 1_000
# It is followed through more of them if one puts a new head into a model, which is then of a class of theirs.
SOME_FILES = 16
SOME_LINES = 5_000
MOST_OUTLINES = 160  # looked at for one
BYTES_OF_A_LINE = 35
INIT = "__init__.py"
SMALL = 32 * 2**10  # bytes of a module that is read for its variables alone, or for what it imports
LAYER = "Module"  # what a layer or network of the project derives from, wherever it has that from
NAMESPACES = frozenset(["torch", "torchvision"])  # what scripts have from others: ``from common import *``

Node: TypeAlias = "tuple[str, str]"  # a file and a name in it
OutlineOf: TypeAlias = Callable[[str], "Outline | None"]


class Closure(NamedTuple):
    """`files` are needed, the script first; `links` says of each what its imported names stand for: a name of another
    file, "" for all of it as a module, ``*`` for what ``from … import *`` brings. `builds`: it gets to a model of a
    library."""

    layout: Layout
    files: tuple[str, ...]
    links: Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]
    builds: bool = False


def closure(script: str, where: Layout, outline_of: OutlineOf, size_of: Callable[[str], int]) -> Closure:
    """The closure of a script (absolute name). `outline_of` gives None for what cannot or need not be read."""
    own = outline_of(script)
    if own is None:
        return Closure(where, (script,), {})
    search = _Search(script, project.with_folders(where, own.folders), outline_of)
    search.run(own)
    needed = search.needed(size_of)
    files = [file for file in search.in_order() if file in needed or file == script]
    builds = search.builds()

    replaces = any(search.outlines[file].replaces for file in files)
    few = (SOME_FILES, SOME_LINES) if replaces else (FEW_FILES, FEW_LINES)
    most_files, most_lines = (MOST_FILES, MOST_LINES) if builds else few
    while len(files) > 1 and (len(files) > most_files or sum(map(size_of, files[1:])) > most_lines * BYTES_OF_A_LINE):
        files.pop()
    return Closure(search.layout, tuple(files), search.links(frozenset(files)), builds)


class _Search:
    """A walk over the names that a script uses, from file to file."""

    def __init__(self, script: str, layout: Layout, outline_of: OutlineOf) -> None:
        self.script = script
        self.layout = layout
        self.outline_of = outline_of
        self.outlines: dict[str, Outline] = {}
        self.users: dict[Node, list[Node]] = {}
        self.inherited: set[Node] = set()
        self.known: dict[tuple[str, str], tuple[Node, ...]] = {}
        self.routes: dict[tuple[str, str, int], Route | None] = {}

    def run(self, own: Outline) -> None:
        self.outlines[self.script] = own
        pending: deque[Node] = deque((self.script, name) for name in own.words)
        self.users = {node: [] for node in pending}
        while pending:
            node = pending.popleft()
            for used, inherited in self.uses(node):
                if inherited:
                    self.inherited.add(used)
                if used in self.users:
                    self.users[used].append(node)
                else:
                    self.users[used] = [node]
                    pending.append(used)

    def outline(self, file: str) -> Outline | None:
        if file in self.outlines:
            return self.outlines[file]
        found = self.outline_of(file) if len(self.outlines) < MOST_OUTLINES else None
        if found is not None:
            self.outlines[file] = found
        return found

    def route(self, importer: str, module: str, level: int) -> Route | None:
        key = (importer if level else "", module, level)
        if key not in self.routes:
            self.routes[key] = project.find(self.layout, importer, module, level)
        return self.routes[key]

    # -- from a name to those it uses --------------------------------------------------------------------------------

    def uses(self, node: Node) -> Iterator[tuple[Node, bool]]:
        """The names that a name uses, with whether it is a class that inherits from it."""
        file, name = node
        outline = self.outline(file)
        if outline is None:
            return
        if name in outline.words:
            bases = outline.bases.get(name, frozenset())
            for word in outline.words[name]:
                key = (file, word)
                if key not in self.known:
                    self.known[key] = tuple(self.meant(file, outline, word))
                for used in self.known[key]:
                    if used != node:
                        yield used, word in bases
        elif name in outline.names:
            yield (file, BODY), False
        else:
            for used in self.meant(file, outline, name):
                yield used, node in self.inherited

    def meant(self, file: str, outline: Outline, word: str) -> Iterator[Node]:
        """What a dotted word of a file stands for in the project."""
        head, _, rest = word.partition(".")
        if head in outline.bindings:
            for binding in outline.bindings[head]:
                yield from self.imported(file, binding, rest.split(".") if rest else [])
        if head in outline.words or head in outline.names:
            yield file, head
        elif head not in outline.bindings:
            for star in outline.stars:
                yield from self.imported(file, star._replace(name=head), [])

    def imported(self, file: str, binding: Binding, rest: list[str]) -> Iterator[Node]:
        route = self.route(file, binding.module, binding.level)
        if binding.name is not None:
            if route is not None and route.whole:
                outline = self.outline(route.places[-1].path)
                if outline is not None and (outline.has(binding.name) or outline.stars):
                    yield route.places[-1].path, binding.name
                    if outline.has(binding.name):
                        return
            below = f"{binding.module}.{binding.name}" if binding.module else binding.name
            route = self.route(file, below, binding.level)
        if route is not None and route.whole:
            yield from self.member(route.places[-1].path, rest)

    def member(self, file: str, names: list[str]) -> Iterator[Node]:
        """``module.a.b``: a name of the module, or of one below it; the whole module if it is used as a value."""
        for name in names if names != ["__dict__"] else ():
            outline = self.outline(file)
            if outline is not None and (outline.has(name) or outline.stars):
                yield file, name
                if outline.has(name):
                    return
            package = file if file.endswith(".py") else os.path.join(file, INIT)
            below = self.route(package, name, 1) if package.endswith(INIT) else None
            if below is None or not below.whole:
                return
            file = below.places[-1].path
        for name in self.whole(file):
            yield file, name

    def whole(self, file: str) -> dict[str, None]:
        """The names of a module: its own, what a star brings, and of a package those that it takes from others."""
        found: dict[str, None] = {}
        pending, seen = [file], {file}
        while pending:
            here = pending.pop()
            outline = self.outline(here)
            if outline is None:
                continue
            found |= dict.fromkeys(outline.words)
            if here.endswith(INIT):
                found |= dict.fromkeys(outline.bindings)
            routes = (self.route(here, star.module, star.level) for star in outline.stars)
            brought = {route.places[-1].path for route in routes if route is not None and route.whole}
            pending.extend(sorted(brought - seen))
            seen |= brought
        return found

    def in_order(self) -> list[str]:
        """The files as they were come to; those of the bases of its classes come right after a file, since without
        them nothing is known of these."""
        bases: dict[str, list[str]] = {}
        for node in self.users:
            if node in self.inherited:
                for file, _ in self.users[node]:
                    bases.setdefault(file, []).append(node[0])
        order: dict[str, None] = {}
        pending = [*self.outlines][::-1]
        while pending:
            file = pending.pop()
            if file not in order and file in self.outlines:
                order[file] = None
                pending.extend(bases.get(file, ())[::-1])
        return list(order)

    # -- what is needed of it ----------------------------------------------------------------------------------------

    def needed(self, size_of: Callable[[str], int]) -> set[str]:
        """The files that hold a name which speaks of models, a base of a class, or a variable of a small module."""
        builds = self.builds()
        pending = [node for node in self.users if self._speaks(node) or self._is_wanted(node, size_of, builds)]
        found = set(pending)
        while pending:
            for user in self.users[pending.pop()]:
                if user not in found:
                    found.add(user)
                    pending.append(user)
        return {file for file, _ in found}

    def builds(self) -> bool:
        """Whether the script gets to a model of a library."""
        return any(file in self.outlines and name in self.outlines[file].building for file, name in self.users)

    def _speaks(self, node: Node) -> bool:
        outline = self.outlines.get(node[0])
        return outline is not None and node[1] in outline.speaking

    def _is_wanted(self, node: Node, size_of: Callable[[str], int], builds: bool) -> bool:
        file, name = node
        outline = self.outlines.get(file)
        if outline is None or file == self.script:
            return False
        if node in self.inherited:
            return True
        if builds and LAYER in {base.rpartition(".")[2] for base in outline.bases.get(name, ())}:
            return size_of(file) <= SMALL
        brought = any(binding.module.partition(".")[0] in NAMESPACES for binding in outline.bindings.get(name, ()))
        return (brought or name in outline.names) and size_of(file) <= SMALL

    def links(self, files: frozenset[str]) -> dict[str, dict[str, tuple[tuple[str, str], ...]]]:
        """What the imported names of the needed files stand for in one another."""
        found: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}
        for file in files:
            outline = self.outlines[file]
            own: dict[str, list[tuple[str, str]]] = {}
            for name, bindings in outline.bindings.items():
                for binding in bindings:
                    own.setdefault(name, []).extend(self._link(file, binding))
            for star in outline.stars:
                route = self.route(file, star.module, star.level)
                if route is not None and route.whole:
                    own.setdefault("*", []).append((route.places[-1].path, "*"))
            kept = {name: tuple(link for link in linked if link[0] in files) for name, linked in own.items()}
            found[file] = {name: linked for name, linked in kept.items() if linked}
        return found

    def _link(self, file: str, binding: Binding) -> Iterator[tuple[str, str]]:
        route = self.route(file, binding.module, binding.level)
        if route is not None and route.whole:
            yield route.places[-1].path, binding.name or ""
        if binding.name is not None:
            below = f"{binding.module}.{binding.name}" if binding.module else binding.name
            route = self.route(file, below, binding.level)
            if route is not None and route.whole:
                yield route.places[-1].path, ""
