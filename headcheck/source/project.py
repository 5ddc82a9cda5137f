"""Which names a script imports from its own project: those are never taken for a library's."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

# A folder that holds one of these is the top of a project.
TOPS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")


def local_modules(filename: str) -> Callable[[str, int], bool]:
    """A function that says if a module name, with so many leading dots, belongs to the project of a script.

    A relative import always does. An absolute one does if its first name is a module or package beside the script, or
    in a folder above it up to the top of the project, or in a `src` folder there.
    """
    folders = search_folders(os.path.dirname(os.path.abspath(filename)))

    def is_local(module: str, level: int) -> bool:
        if level:
            return True
        first = module.split(".", 1)[0]
        return bool(first) and any(holds(folder, first) for folder in folders)

    return is_local


@lru_cache(maxsize=1024)
def search_folders(start: str) -> tuple[str, ...]:
    """The folders whose modules a script in `start` can import: its own, and those above it within its project."""
    found = [start]
    current = start
    while not any(os.path.exists(os.path.join(current, top)) for top in TOPS):
        parent = os.path.dirname(current)
        if parent == current:
            return (start,)  # no project around it: only what lies beside the script
        current = parent
        found.append(current)
    sources = os.path.join(current, "src")
    return (*found, sources) if os.path.isdir(sources) else tuple(found)


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
