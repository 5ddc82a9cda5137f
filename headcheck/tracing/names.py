"""The names, signatures and attributes a library offers."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import nn

from headcheck.catalog.entry import REQUIRED
from headcheck.catalog.namespaces import implied
from headcheck.tracing.build import TracingError
from headcheck.tracing.kinds import public_name
from headcheck.tracing.tree import MODULE_ATTRIBUTES, is_plain


def submodules(package: str) -> Iterator[ModuleType]:
    """Yield a package and everything public in it, in alphabetical order."""
    module = importlib.import_module(package)
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield from submodules(f"{package}.{info.name}")


def public(module: ModuleType) -> list[str]:
    """Return the public names of a module in alphabetical order, its submodules whether or not they are imported."""
    parts = {info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))}
    return sorted(name for name in parts.union(dir(module)) if not name.startswith("_"))


def rest(modules: Iterable[ModuleType], data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the public names of modules, by module, without those that other parts of a file imply.

    Raises TracingError where those imply a name that is not there.
    """
    found = {}
    known = implied(data)
    for module in modules:
        names, left_out = public(module), known.get(module.__name__, frozenset())
        if not left_out.issubset(names):
            raise TracingError(f"{module.__name__} has no {', '.join(sorted(left_out.difference(names)))}")
        found[module.__name__] = [name for name in names if name not in left_out]
    return found


def layers(modules: list[ModuleType]) -> dict[str, type[nn.Module]]:
    """Return the public Module classes that `modules` hold under their public names, in alphabetical order.

    A class counts if it is defined in one of the modules or below it.
    """
    prefixes = tuple(module.__name__ for module in modules)
    found: dict[str, type[nn.Module]] = {
        public_name(item): item
        for module in modules
        for name, item in vars(module).items()
        if not name.startswith("_") and inspect.isclass(item) and issubclass(item, nn.Module)
        if item.__module__.startswith(prefixes)
    }
    return dict(sorted(found.items()))


def signature(function: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """Return the parameters of a callable (without ``*``) with their defaults, and whether it takes ``**``.

    A default that is not plain is given as text: the name of an enum's member, a class or a function.
    """
    parameters = inspect.signature(function).parameters.values()
    named = [item for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    variadic = any(item.kind is item.VAR_KEYWORD for item in parameters)
    return {item.name: _default(item.default) for item in named}, variadic


def _default(value: object) -> object:
    if value is inspect.Parameter.empty:
        return REQUIRED
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if is_plain(value):
        return value
    return getattr(value, "__name__", None) or str(value)


def attributes(kind: type[nn.Module]) -> frozenset[str]:
    """Return every name an instance of a Module class may have beyond those that all modules have.

    These are what the class has, what its source assigns to ``self`` or registers anywhere, and, where it can be made
    from small numbers alone, what an instance has.
    """
    names = set(dir(kind))
    for base in kind.__mro__:
        if issubclass(base, nn.Module) and base is not nn.Module:
            names |= set(vars(base).get("__annotations__", ())) | _assigned(base)
    return frozenset(names | _of_instance(kind)) - MODULE_ATTRIBUTES


_REGISTERS = {"register_buffer", "register_parameter", "register_module", "add_module"}


def _assigned(kind: type) -> frozenset[str]:
    names = set()
    for node in ast.walk(_definition(kind)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            names.add(node.attr)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _REGISTERS
            and _is_self(node.func.value)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names.add(str(node.args[0].value))
    return frozenset(names)


def _definition(kind: type) -> ast.stmt:
    for node in _source(kind.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == kind.__qualname__:
            return node
    raise TracingError(f"the source of {kind.__module__} does not define {kind.__qualname__}")


@functools.cache
def _source(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _of_instance(kind: type[nn.Module]) -> set[str]:
    needed = [name for name, default in signature(kind)[0].items() if default is REQUIRED]
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        try:
            return set(dir(kind(**dict.fromkeys(needed, 4))))
        except (AttributeError, TypeError, ValueError, RuntimeError, AssertionError):
            return set()  # It wants something else than numbers; what its source says must do.
