"""Catalogs that are not headcheck's own: of a project's builders, or shipped by a package for its own.

`headcheck trace pkg.module:builder` writes them. A file is data alone, and is taken whole or refused: whoever wrote it,
nothing in it can make a lookup fail or run on. It is a JSON object:

- ``format``: `FORMAT`. ``names``: lists of names, each as one text separated by spaces.
- ``nodes``: every distinct module, ``[kind, attributes, values, parameters, children]``: an index into ``names``, and
  three objects; a child is the number of a node before this one.
- ``builders``: by the name under which each is called, see `Builder`; their sizes and modules as in `Entry`.

A number that follows a count is written ``{"num_classes": [factor, offset]}``.
"""

from __future__ import annotations

import functools
import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from headcheck.catalog.entry import Entry, Head, Node, Plain, Shape
from headcheck.records import NamedTuple

FORMAT = 1
MOST_BYTES = 16 * 2**20


class CatalogError(ValueError):
    """A file is not a catalog that can be used; the message says which and why."""


class Builder(NamedTuple):
    """One builder of a catalog.

    `name` is what it is called by, `target` what it was traced as (``pkg.module:builder``); `aliases` are other names
    of it. `parameters` are those of its signature with their defaults (`REQUIRED` where there is none or it is not
    plain). `weights` are those that choose weights and leave the structure as it is, `offline` those that may not.
    `sources` has a digest of each module of the project that it was made by. `frozen`: some parameters are frozen when
    it is built; `training`: it is in train mode then.
    """

    name: str
    target: str
    aliases: tuple[str, ...]
    parameters: Mapping[str, Plain]
    weights: tuple[str, ...]
    offline: tuple[str, ...]
    counts: Mapping[str, int]
    sources: Mapping[str, str]
    frozen: bool
    training: bool


class OwnCatalog:
    """A catalog file that was read and found to be right."""

    def __init__(self, filename: str, data: Mapping[str, Any]) -> None:
        self.filename = filename
        self.data = data
        self.builders = {name: _builder(name, facts) for name, facts in data["builders"].items()}
        self.names = {alias: name for name, builder in self.builders.items() for alias in (name, *builder.aliases)}

    def find(self, name: str) -> Builder | None:
        """The builder that goes by a qualified name."""
        found = self.names.get(name)
        return None if found is None else self.builders[found]

    def entry(self, builder: Builder, counts: Mapping[str, int]) -> Entry:
        """What a builder makes, with those of its counts that the call gives."""
        return self._entry(builder.name, tuple(sorted(counts.items())))

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a catalog lives as long as the run
    def _entry(self, name: str, given: tuple[tuple[str, int], ...]) -> Entry:
        facts = self.data["builders"][name]
        return _Decoder(self.data, {**facts["counts"], **dict(given)}).entry(name, facts)


def read(filename: str) -> OwnCatalog:
    """Read a catalog file. Raises CatalogError for anything that is not one."""
    from headcheck.catalog import validation

    try:
        status = os.stat(filename)
        if not stat.S_ISREG(status.st_mode):
            raise CatalogError(f"{filename}: not a file")
        if status.st_size > MOST_BYTES:
            raise CatalogError(f"{filename}: larger than {MOST_BYTES // 2**20} MiB")
        with open(filename, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CatalogError(f"{filename}: {error.strerror}") from error
    try:
        data = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{filename}: no JSON ({error})") from error
    wrong = validation.fault(data)
    if wrong:
        raise CatalogError(f"{filename}: not a catalog of headcheck's: {wrong}")
    return OwnCatalog(filename, data)


def digest(filename: str) -> str:
    """A digest of a source file, whatever its line endings. Raises OSError where it cannot be read."""
    with open(filename, "rb") as file:
        import hashlib  # only where a project has a catalog of its own

        return hashlib.sha256(file.read().replace(b"\r\n", b"\n")).hexdigest()[:16]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON's")


def _builder(name: str, facts: Mapping[str, Any]) -> Builder:
    return Builder(
        name=name,
        target=facts["target"],
        aliases=tuple(facts["aliases"]),
        parameters={key: _plain(value, {}) for key, value in facts["parameters"].items()},
        weights=tuple(facts["weights"]),
        offline=tuple(facts["offline"]),
        counts=facts["counts"],
        sources=facts["sources"],
        frozen=facts["frozen"],
        training=facts["training"],
    )


class _Decoder:
    """Makes the nodes of a file for given counts."""

    def __init__(self, data: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        self._data = data
        self._counts = counts
        self._nodes: dict[int, Node] = {}

    def entry(self, name: str, facts: Mapping[str, Any]) -> Entry:
        root = self.node(facts["root"])
        return Entry(
            builder=name,
            task="classification",
            root=root,
            heads=tuple(self._head(root, **head) for head in facts["heads"]),
            inputs={path: self._shape(shape) for path, shape in facts["inputs"].items()},
            outputs={path: self._shape(shape) for path, shape in facts["outputs"].items()},
            used=frozenset(facts["used"]),
            input=tuple(facts["input"]),
            method=facts["method"],
        )

    def node(self, index: int) -> Node:
        if index not in self._nodes:
            kind, attributes, values, parameters, children = self._data["nodes"][index]
            below = {name: self.node(child) for name, child in children.items()}
            shapes = {name: tuple(self._size(size) for size in shape) for name, shape in parameters.items()}
            self._nodes[index] = Node(
                kind=kind,
                values={name: _plain(value, self._counts) for name, value in values.items()},
                children=below,
                parameters=shapes,
                attributes=frozenset(self._data["names"][attributes].split()),
                total=sum(map(_product, shapes.values())) + sum(child.total or 0 for child in below.values()),
            )
        return self._nodes[index]

    def _head(self, root: Node, path: str, shape: Any, outputs: Any, **modes: bool) -> Head:
        node = root
        for part in path.split("."):
            node = node.children[part]
        prefix = "features" if "in_features" in node.values else "channels"
        taken, given = node.values[f"in_{prefix}"], node.values[f"out_{prefix}"]
        assert isinstance(taken, int) and isinstance(given, int)
        return Head(path, node.kind, taken, given, self._shape(shape), outputs=tuple(outputs), **modes)

    def _shape(self, shape: list[Any]) -> Shape:
        return tuple(None if size is None else self._size(size) for size in shape)

    def _size(self, size: Any) -> int:
        value = _plain(size, self._counts)
        assert isinstance(value, int)
        return value


def _plain(value: Any, counts: Mapping[str, int]) -> Plain:
    if isinstance(value, list):
        return tuple(_plain(item, counts) for item in value)
    if isinstance(value, dict):
        ((count, (factor, offset)),) = value.items()
        return int(factor * counts[count] + offset)
    plain: Plain = value
    return plain


def _product(shape: tuple[int, ...]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found
