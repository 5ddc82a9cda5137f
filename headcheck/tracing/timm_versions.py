"""What was otherwise in older versions of timm: seen by building some models of each kind with each of them.

An older version is installed into a folder of its own, without what it depends on, and runs on this PyTorch in a
process of its own (`headcheck.tracing.timm_older`). Architectures are grouped by what they are made of now; two of each
group are looked at, and what both differ in from now holds for the group. `headcheck.catalog.timm_versions` says how
that is written.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from headcheck.catalog.timm_versions import OLDER
from headcheck.tracing.tree import Scaled, Tree, lookup

if TYPE_CHECKING:
    from headcheck.tracing.timm_models import Learned
    from headcheck.tracing.timm_older import Seen

#: What stands for the models of a group that a version does not have, and for those of which nothing can be said.
ABSENT, UNKNOWN = 0, 1
_CODE = (
    "import sys; from headcheck.tracing.timm_older import main; main(*sys.argv[1:])"  # under its own name: it pickles
)


def compare_all(learned: Mapping[str, Learned]) -> dict[str, list[Any]]:
    """Return what was otherwise in each of `OLDER`, for each architecture that is traced.

    The earliest has so few that each is looked at: some were as wide as none of their group is now.
    """
    groups = grouped(learned)
    earliest = look(OLDER[0], [[name] for group in groups for name in group])
    seen = [look(version, groups) for version in OLDER[1:]]
    found: dict[str, list[Any]] = {}
    for group in groups:
        edits = [of_group(learned, group, each) for each in seen]
        found |= {name: [of_group(learned, [name], earliest), *edits] for name in group}
    return found


def earliest(edits: Mapping[str, Any]) -> list[list[Any]]:
    """Return what was otherwise in the first of `OLDER`, each with the names of the architectures that it holds for;
    those that are left out were not there."""
    names: dict[str, list[str]] = {}
    for name, each in edits.items():
        if each != ABSENT:
            names.setdefault(json.dumps(each), []).append(name)
    return [[json.loads(each), " ".join(found)] for each, found in names.items()]


def grouped(learned: Mapping[str, Learned]) -> list[list[str]]:
    """Return the traced architectures in groups of those whose top and whose heads are alike now."""
    groups: dict[object, list[str]] = {}
    for name, one in learned.items():
        if one.traced is not None:
            tree = one.traced.tree
            tops = tuple((child, part.kind) for child, part in tree.children)
            heads = tuple(head.path for head in one.traced.heads)
            groups.setdefault((tree.kind, tree.attributes, tops, heads), []).append(name)
    return list(groups.values())


def look(version: str, groups: list[list[str]]) -> dict[str, Seen | None]:
    """Return what a version makes of some architectures of each group. It is fetched from the package index."""
    with TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", f"{folder}/timm"]
        subprocess.run([*install, f"timm=={version}"], check=True)
        listed, output = Path(folder, "groups"), Path(folder, "seen")
        listed.write_text("\n".join(" ".join(group) for group in groups), encoding="utf-8")
        path = os.pathsep.join([f"{folder}/timm", *filter(None, sys.path)])
        command = [sys.executable, "-W", "ignore", "-c", _CODE, str(listed), str(output)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
        found: dict[str, Seen | None] = pickle.loads(output.read_bytes())
        return found


def of_group(learned: Mapping[str, Learned], group: list[str], seen: Mapping[str, Seen | None]) -> Any:
    """Return what a version has otherwise for a group: `ABSENT`, `UNKNOWN`, or edits of what holds now."""
    there = [name for name in group if name in seen]
    found = [edits(learned[name], one) for name in there if (one := seen[name]) is not None]
    if not found:
        return UNKNOWN if there else ABSENT
    return found[0] if all(each == found[0] for each in found) else union(found)


def union(found: list[Any]) -> Any:
    """Return what holds for two models of a group that differ from now in different things, if that can be said."""
    if UNKNOWN in found:
        return UNKNOWN
    joined: dict[str, Any] = {}
    for key in sorted({key for each in found for key in each}):
        values = [each.get(key) for each in found]
        if key in _LISTS:
            joined[key] = sorted({name for value in values for name in value or ()})
        elif key == "parts":
            paths = sorted({path for value in values for path in value or ()})
            joined[key] = {
                path: _joined([value[path] for value in values if value and path in value]) for path in paths
            }
        elif all(value == values[0] for value in values):
            joined[key] = values[0]
        else:
            return UNKNOWN
    return joined


_LISTS = ("inputs", "outputs", "used", "answers")


def _joined(whats: list[Any]) -> Any:
    if any(what is None for what in whats):
        return None
    return sorted({name for what in whats for name in what})


def edits(now: Learned, old: Seen) -> Any:
    """Return how to make of what is known now what an older version has, see `headcheck.catalog.timm_versions`."""
    assert now.traced is not None
    traced = now.traced
    paths, before = [head.path for head in traced.heads], [head.path for head in old.heads]
    if len(paths) != len(before):
        return UNKNOWN
    sizes = [(_width(traced.tree, a), _width(old.tree, b)) for a, b in zip(paths, before, strict=True)]
    if any(a != b for a, b in sizes):
        return UNKNOWN
    found: dict[str, Any] = {}
    width = sizes[0][0] if sizes else None
    if paths != before:
        found["heads"] = [[a, b] for a, b in zip(paths, before, strict=True)]
        holders = {path: shape for path, shape in old.inputs.items() if _holds(path, before)}
        found["taken"] = {path: _symbolic(shape, width) for path, shape in holders.items() if shape}
    parts = dict(_parts(traced.tree, old.tree, now.outlined))
    order = _order(traced.tree, old.tree)
    found |= {"parts": parts} if parts else {}
    found |= {"order": order} if order is not None else {}
    found |= {"classifier": list(old.classifier)} if list(old.classifier) != now.classifier else {}
    others = {
        "inputs": _changed(traced.inputs, old.inputs, old.tree),
        "outputs": _changed(traced.outputs, old.outputs, old.tree),
        "used": sorted(old.used - traced.used),
        "answers": _changed(now.answers, old.answers),
    }
    return found | {key: names for key, names in others.items() if names}


def _holds(path: str, heads: list[str]) -> bool:
    return any(head == path or head.startswith(f"{path}.") for head in heads)


def _width(tree: Tree, path: str) -> object:
    values = dict(lookup(tree, path).values)
    return values.get("in_features", values.get("in_channels"))


def _symbolic(shape: Any, width: object) -> list[Any]:
    """Return a shape in which only the width is known, for the sizes differ from model to model."""
    return ["width" if size == width else None for size in shape]


def _changed(now: Mapping[str, Any], old: Mapping[str, Any], tree: Tree | None = None) -> list[str]:
    """Return the names of the shapes that are others, or that an older version does not have. What an older version
    calls with more than a tensor has no shape there: it is taken to get what it gets now."""
    return sorted(
        path
        for path, shape in now.items()
        if not _covers(shape, old.get(path)) and not (path not in old and tree is not None and _has(tree, path))
    )


def _covers(shape: Any, old: Any) -> bool:
    """Whether what is said of a shape now holds for an older one."""
    return (
        old is not None
        and len(shape) == len(old)
        and all(a is None or a == b or isinstance(a, Scaled) for a, b in zip(shape, old, strict=True))
    )


def _has(tree: Tree, path: str) -> bool:
    name, _, rest = path.partition(".")
    child = dict(tree.children).get(name)
    return child is not None and (not rest or _has(child, rest))


def _order(now: Tree, old: Tree) -> list[str] | None:
    """Return the names of the children where they are others."""
    names = [name for name, _ in old.children]
    return names if names != [name for name, _ in now.children] else None


def _parts(now: Tree, old: Tree, outlined: frozenset[str]) -> Any:
    """Yield what is known less of a part, by its path: the values and attributes that are others; None if no more is
    known of the part than that it is one. Of a part that holds a head of the older version in another place, the names
    of its children."""
    loose = _loose(now, old)
    if loose:
        yield "", loose
    before = dict(old.children)
    for name, child in now.children:
        other = before.get(name)
        if other is None:
            continue
        if name in outlined or not _alike(child, other):
            yield from ((path, None) for path in sorted(set(_renamed(child, other, name))))
        else:
            yield from ((path, names) for path, names in _below(child, other, name) if names)


def _renamed(now: Tree, old: Tree, path: str) -> Any:
    """Yield the paths of the modules whose parameters, or children that have some, have other names; a ``*`` is any
    number. Modules without parameters come and go where nothing is to be done: an Identity, a dropout."""
    if _names(now) != _names(old):
        yield path
        return
    before = dict(old.children)
    for name, child in now.children:
        if name in before:
            yield from _renamed(child, before[name], f"{path}.{'*' if name.isdigit() else name}")


def _names(tree: Tree) -> tuple[list[str], list[str]]:
    return [name for name, _ in tree.parameters], [name for name, child in tree.children if _has_parameters(child)]


def _has_parameters(tree: Tree) -> bool:
    return bool(tree.parameters) or any(_has_parameters(child) for _, child in tree.children)


def _below(now: Tree, old: Tree, path: str) -> Any:
    yield path, _loose(now, old)
    for (name, child), (_, other) in zip(now.children, old.children, strict=True):
        yield from _below(child, other, f"{path}.{name}")


def _loose(now: Tree, old: Tree) -> list[str]:
    """Return the values that are others, and the attributes that only the older one has. What only the newer one has
    is kept: a script that reads it does not run with the older one."""
    values, others = dict(now.values), dict(old.values)
    moved = {name for name, value in values.items() if others.get(name, value) != value or name in old.attributes}
    known = now.attributes | values.keys() | dict(now.parameters).keys() | dict(now.children).keys()
    has = old.attributes | others.keys() | dict(old.parameters).keys()
    return sorted(moved | (has - known))


def _alike(one: Tree, other: Tree) -> bool:
    """Whether two modules have the same children and parameters, of the same shapes."""
    return (
        one.parameters == other.parameters
        and [n for n, _ in one.children] == [n for n, _ in other.children]
        and all(_alike(a, b) for (_, a), (_, b) in zip(one.children, other.children, strict=True))
    )
