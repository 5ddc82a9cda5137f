"""A model as plain data: the tree of its modules, with every number that follows a count written as such."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from headcheck.tracing.build import TracingError
from headcheck.tracing.kinds import public_name

#: What every module has, whatever its class.
MODULE_ATTRIBUTES: frozenset[str] = frozenset(dir(nn.Module()))


@dataclass(frozen=True)
class Scaled:
    """A number that follows one of the builder's counts: ``factor * count + offset``."""

    count: str
    factor: int
    offset: int

    def at(self, counts: Mapping[str, int]) -> int:
        return self.factor * counts[self.count] + self.offset


Size: TypeAlias = "int | Scaled"
Value: TypeAlias = "int | float | bool | str | Scaled | tuple[Value, ...] | None"


@dataclass(frozen=True)
class Tree:
    """One module; the fields are those of `headcheck.catalog.entry.Node`, hashable and in the module's order."""

    kind: str
    values: tuple[tuple[str, Value], ...]
    parameters: tuple[tuple[str, tuple[Size, ...]], ...]
    attributes: frozenset[str]
    children: tuple[tuple[str, Tree], ...]

    @functools.cached_property
    def _hash(self) -> int:
        # Equality of 1 and True does not matter for a hash, but computing it again for every level would.
        return hash((self.kind, self.values, self.parameters, self.attributes, self.children))

    def __hash__(self) -> int:
        return self._hash


def is_plain(value: object) -> bool:
    """Whether `value` is something the catalog can hold: a number, text, None, or a tuple of these."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (int, float, bool, str)


#: Values that differ in every block of a model and say nothing of its structure; keeping them would triple its size.
_LEFT_OUT = {("torchvision.ops.StochasticDepth", "p")}


def describe(module: nn.Module) -> Tree:
    """Return the tree of `module`.

    A parameter, buffer or child that is registered as None is a value: None.
    """
    kind = public_name(type(module))
    registers = (module._parameters, module._buffers, module._modules)
    values: dict[str, Value] = {
        name: _plain(value)
        for name, value in vars(module).items()
        if name not in MODULE_ATTRIBUTES
        if not name.startswith("_") and is_plain(value) and (kind, name) not in _LEFT_OUT
    }
    values |= {name: None for register in registers for name, item in register.items() if item is None}
    parameters = {name: tuple(item.shape) for name, item in module._parameters.items() if item is not None}
    children = {name: describe(item) for name, item in module._modules.items() if item is not None}
    known = MODULE_ATTRIBUTES | values.keys() | parameters.keys() | children.keys()
    names = vars(module).keys() | registers[0].keys() | registers[1].keys() | registers[2].keys()
    return Tree(
        kind=kind,
        values=tuple(values.items()),
        parameters=tuple(parameters.items()),
        attributes=(_class_names(type(module)) | names) - known,
        children=tuple(children.items()),
    )


def _class_names(kind: type[nn.Module]) -> frozenset[str]:
    if kind not in _CLASS_NAMES:
        _CLASS_NAMES[kind] = frozenset(dir(kind))
    return _CLASS_NAMES[kind]


_CLASS_NAMES: dict[type[nn.Module], frozenset[str]] = {}


def _plain(value: object) -> Value:
    # torch.Size and named tuples become plain tuples.
    return tuple(_plain(item) for item in value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def total(tree: Tree, counts: Mapping[str, int]) -> int:
    """Return the number of parameters of the whole tree."""
    own = 0
    for _, shape in tree.parameters:
        size = 1
        for dimension in shape:
            size *= dimension.at(counts) if isinstance(dimension, Scaled) else dimension
        own += size
    return own + sum(total(child, counts) for _, child in tree.children)


def same_structure(one: Tree, other: Tree) -> bool:
    """Whether two trees have the same modules, attributes and parameter shapes, whatever their values."""
    return one is other or (
        (one.kind, one.parameters, one.attributes | dict(one.values).keys())
        == (other.kind, other.parameters, other.attributes | dict(other.values).keys())
        and [name for name, _ in one.children] == [name for name, _ in other.children]
        and all(same_structure(a, b) for (_, a), (_, b) in zip(one.children, other.children, strict=True))
    )


def changed_values(one: Tree, other: Tree) -> frozenset[str]:
    """Return the names of the values in which two trees of the same structure differ."""
    names = {name for name, value in one.values if name not in dict(other.values) or dict(other.values)[name] != value}
    names |= {name for name, _ in other.values if name not in dict(one.values)}
    for (_, a), (_, b) in zip(one.children, other.children, strict=True):
        if a != b:
            names |= changed_values(a, b)
    return frozenset(names)


def lookup(tree: Tree, path: str) -> Tree:
    """Return the module at a dotted `path` ("" is the tree itself)."""
    for name in path.split(".") if path else ():
        tree = dict(tree.children)[name]
    return tree


__all__ = [
    "MODULE_ATTRIBUTES",
    "Scaled",
    "Size",
    "TracingError",
    "Tree",
    "Value",
    "changed_values",
    "describe",
    "is_plain",
    "lookup",
    "same_structure",
    "total",
]
