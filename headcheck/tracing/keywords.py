"""What a builder's keywords change: found by building with other values and comparing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from headcheck.tracing.build import on_meta
from headcheck.tracing.tree import Tree, Value, changed_values, describe, same_structure

#: Values to try for a keyword whose default, or annotation, is of a type.
_OTHERS: Mapping[type, Callable[[Any], list[Any]]] = {
    bool: lambda default: [True, False],
    int: lambda default: [(default or 0) + 1, (default or 1) * 2],
    float: lambda default: [(default or 0.5) * 0.9, (default or 0.5) * 1.05, 0.0],
    list: lambda default: [[0.25, 0.5, 0.75]],
}
#: How annotations name these types. A keyword that is None and not annotated is tried with three numbers, for that is
#: what images are normalised with.
_ANNOTATIONS = {
    "<class 'bool'>": bool,
    "<class 'int'>": int,
    "<class 'float'>": float,
    "typing.Optional[bool]": bool,
    "typing.Optional[int]": int,
    "typing.Optional[float]": float,
    "typing.Optional[list[bool]]": list,
    "typing.Optional[list[float]]": list,
    "<class 'inspect._empty'>": list,
}


@dataclass(frozen=True)
class Facts:
    """What one builder's keywords do.

    `inert` maps those without effect on the structure to the names of the values they change, and `tried` to the
    values that showed it; `same` maps the others to the values that leave the structure as it is; `variants` holds the
    single settings that are known to change it.
    """

    inert: dict[str, frozenset[str]] = field(default_factory=dict)
    tried: dict[str, list[Value]] = field(default_factory=dict)
    same: dict[str, list[Value]] = field(default_factory=dict)
    variants: list[dict[str, Value]] = field(default_factory=list)


Build = Callable[[Mapping[str, object]], nn.Module]


def probe(
    build: Build,
    candidates: Mapping[str, list[Any]],
    base: Tree,
    skip: frozenset[str],
    more: Mapping[str, list[Value]],
    known: Facts | None,
) -> Facts:
    """Return what the keywords of a builder do to the structure that `base` describes.

    `candidates` are values to try for each keyword, `skip` keywords not to try; `more` are values that are worth a
    variant of their own where they change the structure, as truth values always are. `known` are the facts of another
    builder of the same class, or of a base class: what was inert there is tried again here, but all of it in one
    building, and of the others only what is worth knowing.
    """
    tried = {name: known.tried[name] for name in known.inert if name in candidates} if known else {}
    facts = Facts()
    if known and _all_inert(build, base, tried):
        facts.tried.update(tried)
        facts.inert.update({name: known.inert[name] for name in tried})
    for name, values in candidates.items():
        if name in skip or name in facts.inert:
            continue
        worth = more.get(name, [])
        if known and name in known.same:
            values = [value for value in values if value in known.same[name] or isinstance(value, bool)]
        _probe_one(build, base, name, [*values, *(value for value in worth if value not in values)], worth, facts)
    return facts


def candidates(function: Callable[..., nn.Module], kind: type[nn.Module]) -> dict[str, list[Any]]:
    """Return values to try for each keyword that a builder, or the class it makes, takes; the default comes first."""
    found: dict[str, list[Any]] = {}
    for parameter in _parameters(function, kind):
        default = parameter.default
        required = default is parameter.empty
        given = not required and default is not None
        tried = type(default) if given else _ANNOTATIONS.get(str(parameter.annotation))
        if tried is None or tried not in _OTHERS or (required and parameter.annotation is parameter.empty):
            continue
        values = _OTHERS[tried](default if given else None)
        own = [] if required else [default]
        # A class may have a better default than its subclass, which leaves it to the class.
        if parameter.name not in found or found[parameter.name][0] is None:
            found[parameter.name] = [*own, *(value for value in values if value not in own)]
    return found


def _parameters(function: Callable[..., nn.Module], kind: type[nn.Module]) -> Iterator[inspect.Parameter]:
    """Yield the parameters of a builder and, while each passes on further keywords, of its class and base classes."""
    for item in (function, *(vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base))):
        parameters = list(inspect.signature(item).parameters.values())
        yield from (item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY))
        if not any(item.kind is item.VAR_KEYWORD for item in parameters):
            return


def _all_inert(build: Build, base: Tree, tried: Mapping[str, list[Value]]) -> bool:
    tree = _tree(build, {name: values[-1] for name, values in tried.items()}) if tried else base
    return tree is not None and same_structure(base, tree)


def _probe_one(build: Build, base: Tree, name: str, values: list[Any], worth: list[Value], facts: Facts) -> None:
    # A value that the builder refuses says nothing: no script gets past it.
    trees = [(value, tree) for value in values if (tree := _tree(build, {name: value})) is not None]
    same = [(value, tree) for value, tree in trees if same_structure(base, tree)]
    if len(same) == len(trees) and any(value != values[0] for value, _ in same):
        facts.inert[name] = frozenset().union(*(changed_values(base, tree) for _, tree in same))
        facts.tried[name] = [value for value, _ in same]
        return
    if same:
        facts.same[name] = [value for value, _ in same]
    unlike = [value for value, _ in trees if all(value is not other for other, _ in same)]
    facts.variants.extend({name: value} for value in unlike if isinstance(value, bool) or value in worth)


def _tree(build: Build, keywords: Mapping[str, object]) -> Tree | None:
    try:
        return describe(on_meta(lambda: build(keywords)))
    except Exception:
        return None  # A builder may refuse a value in any way at all; then nothing is known of it.
