"""What a builder's keyword changes in a model of which a catalog keeps the top in full and the rest by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from headcheck.catalog.entry import NAMES, NOTHING
from headcheck.tracing.tree import Scaled, Tree, Value, changed_values, same_structure

#: For the path of each part that changes ("" is the model itself): the values that are no longer known, or how much of
#: the part still is (`NAMES`, `NOTHING`).
Changes: TypeAlias = "dict[str, Sequence[str] | str]"


def compare(base: Tree, other: Tree, outlined: frozenset[str]) -> Changes | None:
    """Return what makes `other` of `base`; None if the model itself has other parts, parameters or attributes.

    Of the children named in `outlined` only names are kept, so only a change of names counts.
    """
    if _frame(base) != _frame(other):
        return None
    values = sorted(name for name, value in base.values if dict(other.values).get(name, base) != value)
    changes: Changes = {"": values} if values else {}
    for (name, child), (_, changed) in zip(base.children, other.children, strict=True):
        if child == changed:
            continue
        if not _same_names(child, changed):
            changes[name] = NOTHING
        elif name not in outlined and same_structure(child, changed):
            changes[name] = sorted(changed_values(child, changed))
        elif name not in outlined:
            changes[name] = NAMES
    return changes


def _frame(tree: Tree) -> tuple[object, ...]:
    """Return what two models must share to differ in values and parts only."""
    children = tuple(name for name, _ in tree.children)
    return tree.kind, tree.parameters, tree.attributes | dict(tree.values).keys(), children


def _same_names(one: Tree, other: Tree) -> bool:
    """Whether two modules have the same children and parameters, by name."""
    return one is other or (
        [name for name, _ in one.parameters] == [name for name, _ in other.parameters]
        and [name for name, _ in one.children] == [name for name, _ in other.children]
        and all(_same_names(a, b) for (_, a), (_, b) in zip(one.children, other.children, strict=True))
    )


def union(all_changes: Iterable[Changes]) -> Changes:
    """Return what several keywords change together."""
    found: Changes = {}
    for changes in all_changes:
        for path, what in changes.items():
            before = found.get(path, [])
            if isinstance(before, str) or isinstance(what, str):
                found[path] = NOTHING if NOTHING in (before, what) else NAMES
            else:
                found[path] = sorted({*before, *what})
    return found


def at(tree: Tree, counts: Mapping[str, int]) -> Tree:
    """Return `tree` with the counts put in."""
    return Tree(
        kind=tree.kind,
        values=tuple((name, _at(value, counts)) for name, value in tree.values),
        parameters=tuple((name, tuple(_at(size, counts) for size in shape)) for name, shape in tree.parameters),  # type: ignore[misc]
        attributes=tree.attributes,
        children=tuple((name, at(child, counts)) for name, child in tree.children),
    )


def _at(value: Value, counts: Mapping[str, int]) -> Value:
    if isinstance(value, tuple):
        return tuple(_at(item, counts) for item in value)
    return value.at(counts) if isinstance(value, Scaled) else value


def put(tree: Tree, path: str, part: Tree) -> Tree:
    """Return `tree` with another part at a dotted path."""
    name, _, rest = path.partition(".")
    children = tuple(
        (n, (put(child, rest, part) if rest else part) if n == name else child) for n, child in tree.children
    )
    return replace(tree, children=children)
