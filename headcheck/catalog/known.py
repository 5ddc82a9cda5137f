"""Builders that are no library's of headcheck's own catalog: the project's, those under other names, those of packages.

A package ships a catalog under the entry point ``headcheck.catalogs``: its name is the package that scripts import, its
value the dotted name of a JSON file without the ending (``mylib = "mylib.heads"`` is ``mylib/heads.json``). Nothing of
the package is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from headcheck.catalog import own
from headcheck.records import NamedTuple

GROUP = "headcheck.catalogs"


class Found(NamedTuple):
    """A builder of a catalog, and the catalog."""

    catalog: own.OwnCatalog
    builder: own.Builder


class Builders:
    """What a run knows of builders beside those of libraries.

    `names` are other names of known builders, `catalogs` those that the project names. `configured` says whether there
    are any of these. `notes` are remarks for the user: facts that are not used, and why.
    """

    def __init__(self, names: Mapping[str, str], catalogs: Iterable[own.OwnCatalog]) -> None:
        self.names = dict(names)
        self.catalogs = tuple(catalogs)
        self.configured = bool(self.names or self.catalogs)
        self.notes: list[str] = []
        self._installed: dict[str, own.OwnCatalog | None] = {}
        self._fresh: dict[str, bool] = {}

    def target(self, names: Iterable[str]) -> str | None:
        """The known builder that one of these names stands for."""
        return next((self.names[name] for name in names if name in self.names), None)

    def find(self, names: Iterable[str], file_of: Callable[[str], str | None]) -> Found | None:
        """The builder of the project's catalogs that goes by one of these names.

        `file_of` gives the file of a module of the project. A builder of which a module has changed since it was traced
        is not known any more.
        """
        for name in names:
            for catalog in self.catalogs:
                builder = catalog.find(name)
                if builder is not None and self._is_fresh(catalog, builder, file_of):
                    return Found(catalog, builder)
        return None

    def find_installed(self, name: str) -> Found | None:
        """The builder of an installed package's own catalog that goes by this name."""
        top = name.partition(".")[0]
        if top not in self._installed:
            self._installed[top] = self._read_installed(top)
        catalog = self._installed[top]
        builder = catalog.find(name) if catalog is not None else None
        return None if catalog is None or builder is None else Found(catalog, builder)

    def _read_installed(self, top: str) -> own.OwnCatalog | None:
        filename = installed().get(top)
        if filename is None:
            return None
        try:
            return own.read(filename)
        except own.CatalogError as error:  # the package's fault, and nothing that the user can mend
            self.notes.append(f"the catalog of {top} is left out: {error}")
            return None

    def _is_fresh(self, catalog: own.OwnCatalog, builder: own.Builder, file_of: Callable[[str], str | None]) -> bool:
        if builder.name not in self._fresh:
            changed = next((m for m, digest in builder.sources.items() if _differs(file_of(m), digest)), None)
            self._fresh[builder.name] = changed is None
            if changed is not None:
                shown = os.path.basename(catalog.filename)
                self.notes.append(
                    f"{changed} has changed since {builder.target} was traced: what {shown} says of it is not used "
                    f"(headcheck trace {builder.target})"
                )
        return self._fresh[builder.name]


def _differs(filename: str | None, digest: str) -> bool:
    """Whether a file is another than it was; one that is not there, as in a checkout of a part, is not."""
    if filename is None:
        return False
    try:
        return own.digest(filename) != digest
    except OSError:
        return True


def read(names: Mapping[str, str], filenames: Iterable[str]) -> Builders:
    """The builders that a project's settings name. Raises `own.CatalogError` for a file that is no catalog."""
    return Builders(names, [own.read(filename) for filename in filenames])


_catalogs: dict[str, str] | None = None


def installed() -> dict[str, str]:
    """The catalog file of each package that ships one, by the package's name; looked for once, without the current
    folder: what is checked may lie there."""
    global _catalogs
    if _catalogs is None:
        here = os.path.realpath(os.getcwd())
        folders = [folder for folder in sys.path if folder and os.path.realpath(folder) != here]
        _catalogs = dict(_shipped([folder for folder in folders if _ship(folder)]))
    return _catalogs


def _ship(folder: str) -> bool:
    """Whether a distribution in a folder may ship a catalog: what reads them right takes long to import."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]
    except OSError:  # a zip file, or what is not there
        return False
    return any(GROUP.encode() in _content(os.path.join(folder, name, "entry_points.txt")) for name in names)


def _content(filename: str) -> bytes:
    try:
        with open(filename, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _shipped(folders: list[str]) -> Iterator[tuple[str, str]]:
    """The packages that distributions in these folders ship catalogs for, with the files; the first of a name last."""
    if folders:
        from importlib.metadata import distributions

        for distribution in reversed(list(distributions(path=folders))):
            for point in distribution.entry_points:
                filename = _located(point.value, str(distribution.locate_file(""))) if point.group == GROUP else None
                if filename is not None:
                    yield point.name, filename


def _located(value: str, folder: str) -> str | None:
    """The file that an entry point's value stands for: beside the distribution, or where its package is found."""
    top, *rest = value.strip().split(".")
    inside = os.path.join(*rest) + ".json" if rest and all(part.isidentifier() for part in (top, *rest)) else None
    if inside is None:
        return None
    beside = os.path.join(folder, top, inside)
    if os.path.isfile(beside):
        return beside
    from importlib.util import find_spec

    spec = find_spec(top)  # of a package at the top, which imports nothing
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((file for file in (os.path.join(place, inside) for place in places) if os.path.isfile(file)), None)
