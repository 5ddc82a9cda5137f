"""Which file of its own project does a name import? What is not sure is not followed, and never taken for a library's.

A script finds what lies beside it first (its folder is the first that Python searches), then what can be reached from
a folder above it up to the top of its project, or from a `src` folder there: that is where people start scripts, what
they put on `PYTHONPATH`, and what an editable install leads to. Nothing outside the top is read, not even through a
link.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache

from headcheck.records import NamedTuple

# A folder that holds one of these is the top of a project; where none is found, the nearest that holds one of those.
TOPS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")
WEAK_TOPS = ("requirements.txt", "environment.yml", "LICENSE", "LICENSE.md", "README.md", "README.rst", "README.txt")
REPOSITORIES = (".git", ".hg")
DEEPEST = 12
MOST_FOLDERS_ABOVE = 4


class Layout(NamedTuple):
    """Where the modules that a script can import are looked for, its own folder first, all of them below `top`."""

    top: str
    folders: tuple[str, ...]


class Place(NamedTuple):
    """One module: its dotted name, and its file or (of a package without `__init__.py`) its folder."""

    name: str
    path: str


class Route(NamedTuple):
    """What an import runs: the packages on the way first. `whole`: the module that was asked for is the last place."""

    places: tuple[Place, ...]
    whole: bool


UNSURE = Route((), False)


def local_modules(filename: str) -> Callable[[str, int], bool]:
    """A function that says if a module name, with so many leading dots, belongs to the project of a script."""
    where = layout(os.path.dirname(os.path.abspath(filename)))
    return lambda module, level: is_local(where, module, level)


def is_local(where: Layout, module: str, level: int) -> bool:
    """Whether a name is the project's: a relative import always is, another if its first name is found."""
    if level:
        return True
    first = module.split(".", 1)[0]
    return bool(first) and any(holds(folder, first) for folder in where.folders)


@lru_cache(maxsize=1024)
def layout(start: str) -> Layout:
    """The layout of the project around the scripts in a folder (absolute)."""
    above = _above(start)
    top = next((folder for folder in above if _has(folder, TOPS)), None)
    if top is None:
        top = next((folder for folder in above if _has(folder, WEAK_TOPS)), start)
        while os.path.isfile(os.path.join(top, "__init__.py")) and os.path.dirname(top) != top:
            top = os.path.dirname(top)  # a package is imported from the folder it is in
    inside = above[: above.index(top) + 1] if top in above else [start]
    sources = [os.path.join(folder, "src") for folder in inside]
    return Layout(top, (*inside, *(folder for folder in sources if folder not in inside and os.path.isdir(folder))))


@lru_cache(maxsize=1024)
def scripts_of(start: str) -> tuple[str | None, tuple[str, ...]]:
    """Where scripts may be that import a module in a folder (absolute): (their top, folders to look at alone).

    What has a top of its own may lie in a larger project, whose scripts import it too: the outermost top counts, up to
    that of a repository. Without a sure one, the few folders above may hold scripts as well.
    """
    above = _above(start)
    repository = next((at for at, folder in enumerate(above) if _has(folder, REPOSITORIES)), len(above))
    within = [folder for folder in above[: repository + 1] if os.path.dirname(folder) != folder]
    near = within[:MOST_FOLDERS_ABOVE]
    tops = [folder for folder in within if _has(folder, TOPS)]
    if not tops:
        weak = [folder for folder in within if _has(folder, WEAK_TOPS)]
        tops = [folder for folder in weak if folder in near] or weak[:1]
        return (tops[-1] if tops else None), tuple(folder for folder in near if folder not in tops)
    return tops[-1], ()


def _above(start: str) -> list[str]:
    """A folder and those that it lies in, the nearest first."""
    above = [start]
    while len(above) < DEEPEST and os.path.dirname(above[-1]) != above[-1]:
        above.append(os.path.dirname(above[-1]))
    return above


def _has(folder: str, names: Iterable[str]) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in names)


def with_folders(where: Layout, added: Iterable[str]) -> Layout:
    """The layout of a script that puts more folders on `sys.path`; those outside the project are left out."""
    new = [folder for folder in added if folder not in where.folders and is_inside(where.top, folder)]
    return where._replace(folders=(where.folders[0], *new, *where.folders[1:])) if new else where


def find(where: Layout, importer: str, module: str, level: int) -> Route | None:
    """The route to a module as the file `importer` (absolute) names it; None if it is no module of the project."""
    return _relative(where.top, os.path.dirname(importer), module, level) if level else _absolute(where, module)


@lru_cache(maxsize=4096)
def names_of(where: Layout, path: str) -> tuple[str, ...]:
    """The dotted names under which a file of the project can be imported, from each folder that is looked in."""
    stem, ending = os.path.splitext(path)
    if ending != ".py":
        return ()
    stem = os.path.dirname(path) if os.path.basename(stem) == "__init__" else stem
    inside = [os.path.relpath(stem, folder).split(os.sep) for folder in where.folders]
    return tuple(".".join(parts) for parts in inside if all(part.isidentifier() for part in parts))


@lru_cache(maxsize=16384)
def _absolute(where: Layout, module: str) -> Route | None:
    parts = module.split(".")
    routes = [(folder, _walk(where.top, folder, "", parts)) for folder in where.folders]
    found = [(folder, route) for folder, route in routes if route.places]
    if not found:
        return None
    folder, first = found[0]
    beside = folder == where.folders[0] and not os.path.isfile(os.path.join(folder, "__init__.py"))
    if beside and not _stops_at_a_file(first):
        return first
    whole = [route for _, route in found if route.whole]
    return whole[0] if len(whole) == 1 else first if len(found) == 1 else UNSURE


def _stops_at_a_file(route: Route) -> bool:
    """Whether something is asked for below a module that is one file: a script that runs means another folder."""
    path = route.places[-1].path
    return not route.whole and path.endswith(".py") and os.path.basename(path) != "__init__.py"


@lru_cache(maxsize=16384)
def _relative(top: str, base: str, module: str, level: int) -> Route:
    for _ in range(level - 1):
        base = os.path.dirname(base)
    if not is_inside(top, base):
        return UNSURE
    folder, last = os.path.split(base)
    name = os.path.relpath(base, top).replace(os.sep, ".").strip(".")
    package = Place(name or last, _step(top, folder, last) or base)
    route = _walk(top, base, name, module.split(".") if module else [])
    return Route((package, *route.places), route.whole)


def _walk(top: str, folder: str, prefix: str, parts: list[str]) -> Route:
    places: list[Place] = []
    name = prefix
    for part in parts:
        path = _step(top, folder, part)
        if path is None:
            break
        name = f"{name}.{part}" if name else part
        places.append(Place(name, path))
        folder = os.path.join(folder, part)
    while places and not places[-1].path.endswith(".py") and not holds(*os.path.split(places[-1].path)):
        places.pop()  # a folder of data is no package
    return Route(tuple(places), len(places) == len(parts))


@lru_cache(maxsize=16384)
def _step(top: str, folder: str, name: str) -> str | None:
    """The file of a module or package in a folder, or the folder of a package without a file."""
    path = os.path.join(folder, name)
    for candidate in (os.path.join(path, "__init__.py"), path + ".py"):
        if os.path.isfile(candidate) and is_inside(top, candidate):
            return candidate
    return path if os.path.isdir(path) and is_inside(top, path) else None


def is_inside(top: str, path: str) -> bool:
    """Whether a file or folder lies in a folder, links followed."""
    real, real_top = os.path.realpath(path), _real(top)
    return real == real_top or real.startswith(real_top.rstrip(os.sep) + os.sep)


@lru_cache(maxsize=256)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


@lru_cache(maxsize=4096)
def holds(folder: str, name: str) -> bool:
    """Whether a folder has a module or a package of this name."""
    path = os.path.join(folder, name)
    if os.path.isfile(path + ".py"):
        return True
    if not os.path.isdir(path):
        return False
    try:
        return any(entry.endswith(".py") for entry in os.listdir(path))
    except OSError:
        return False
