"""The qualified names of what a script calls, as far as a catalog of the project or of a package may know them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from headcheck import catalog
from headcheck.catalog.known import Found
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Class, Function, Library, Namespace, Symbol, Value

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

# What may be a builder that a catalog of the project or of a package knows: of the latter, only what is not followed.
NAMED = frozenset({Function, Class, Library, Symbol})
FOREIGN = frozenset({Symbol})


def known_builder(machine: Machine, state: State, function: Value) -> Found | str | None:
    """What a call makes: a builder of such a catalog, or the name of a library's builder that it stands for."""
    builders = machine.project.builders
    foreign = foreign_name(machine, state, function) if type(function) is Symbol else None
    if builders.configured:
        names = [foreign] if foreign is not None else qualified(machine, state, function)
        target = builders.target(names)
        if target is not None:
            return target
        found = builders.find(names, machine.project.file_of)
        if found is not None:
            return found
    return builders.find_installed(foreign) if foreign is not None else None


def qualified(machine: Machine, state: State, function: Value) -> list[str]:
    """The names under which a function or class can be imported."""
    kind = type(function)
    if kind is Library:
        return [function.name]
    if kind is Symbol:
        return of_symbol(machine, state, function)
    if kind is Function or kind is Class:
        name = function.name if kind is Class else getattr(machine.definitions[function.code], "name", "")
        if state.globals.get(function.module, {}).get(name) != function and state.env.get(name) != function:
            return []  # one inside another function
        return [f"{module}.{name}" for module in machine.project.names_of(function.module)]
    return []


def foreign_name(machine: Machine, state: State, symbol: Symbol) -> str | None:
    """The name of a member of a package that is neither the project's nor followed; None for anything else."""
    names = path_of(symbol)
    if names is None or names[0] or len(names) < 3:
        return None
    name = ".".join(names[1:])
    return None if machine.project.is_local(name, 0, state.frame.module) else name


def of_symbol(machine: Machine, state: State, symbol: Symbol) -> list[str]:
    """The names of a member of a module of the project that is not followed."""
    names = path_of(symbol)
    if names is None or len(names) < 3:
        return []
    importer = names[0] or state.frame.module
    level = next((i for i, character in enumerate(names[1]) if character != "."), len(names[1]))
    *way, last = ([names[1][level:]] if names[1][level:] else []) + names[2:]
    modules = machine.project.names_for(".".join(way), level, importer)
    return [f"{module}.{last}" for module in modules]


def path_of(symbol: Symbol) -> list[str] | None:
    """``[importer, module, name, …]`` of a member of a module; an importer only where the import was relative."""
    key: Any = symbol.key
    if not isinstance(key, tuple):
        return None
    if key[0] == "attribute" and len(key) == 3 and type(key[1]) is Symbol and isinstance(key[2], str):
        above = path_of(key[1])
        return None if above is None else [*above, key[2]]
    if key[0] == "module" and len(key) == 2:
        return ["", str(key[1])]
    if key[0] == "module" and len(key) >= 4:
        return [str(key[4]) if len(key) > 4 else "", "." * int(key[2]) + str(key[1]), str(key[3])]
    return None


def member_name(module: str, name: str) -> str:
    """The qualified name of a member of a library; ``torch.nn.modules`` has the layers of ``torch.nn`` once more, and
    fastai's modules have much of torch."""
    if module.startswith("fastai."):
        from headcheck.catalog import fastai

        return fastai.member(module, name)
    return f"torch.nn.{name}" if module == "torch.nn.modules" and name[:1].isupper() else f"{module}.{name}"


@functools.lru_cache(4096)
def member_of(module: str, name: str) -> tuple[Value, bool]:
    """A member of a library, and whether its name is a slip of the pen: files ask for the same ones again and again."""
    member = Namespace(module) if name == "__dict__" else Library(member_name(module, name))
    return member, catalog.is_misspelt(module, name)
