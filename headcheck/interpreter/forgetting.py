"""What was known of an object and is not any more, because code that is not followed may have set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headcheck.interpreter.access import lineage
from headcheck.interpreter.heap import EMPTY, Dictionary, Instance, Module, Sequence, field
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Ref, Tuple, Value, is_plain, symbol
from headcheck.ir import UNKNOWN


def constants(thing: Any) -> Mapping[str, Value]:
    """What the script set as attributes of an object or a module that is no part of one."""
    kind = type(thing)
    return thing.attributes if kind is Instance else thing.values if kind is Module else EMPTY


def constant_of(thing: Any, name: str) -> Value:
    """An attribute, as `constants` has it or as a layer was made with it."""
    return field(thing, name) if type(thing) is Module else constants(thing).get(name, UNKNOWN)


def is_constant(value: Value) -> bool:
    return is_plain(value) or (type(value) is Tuple and all(map(is_plain, value.items)))


def forget_constants(
    state: State,
    address: Address,
    names: Iterable[str],
    why: Value,
    is_other: Callable[[Value], bool] = is_constant,
) -> None:
    """Attributes of these names that were constants are not known any more, or whichever `is_other` picks."""
    thing = state.heap[address]
    known = constants(thing)
    gone = {
        name: symbol("changed", name, Ref(address), name, why)
        for name in names
        if name in known and is_other(known[name])
    }
    if gone:
        kept_as = "attributes" if type(thing) is Instance else "values"
        state.heap[address] = thing._replace(**{kept_as: {**known, **gone}})


def forget_every_constant(state: State, of: Value, why: Value) -> None:
    """An attribute of an object was set, and nobody knows which, or by what it is set."""
    thing = state.object(of)
    if type(thing) in (Instance, Module):
        forget_constants(state, of.address, list(constants(thing)), why)
        inherited = [
            name
            for cls in (lineage(thing.cls) if thing.cls else ())
            for name, value in cls.attributes
            if is_constant(value)
        ]
        if inherited and type(thing) is Instance:
            thing = state.heap[of.address]
            unknown = {
                name: symbol("changed", name, of, name, why) for name in inherited if name not in thing.attributes
            }
            state.heap[of.address] = thing._replace(attributes={**unknown, **thing.attributes})


def forget_variables(state: State, why: Value, module: str = "") -> None:
    """Some variables of a module were set (of the one that runs, and of the function, if it is not named), and nobody
    knows which."""
    names = [name for name, value in state.globals[module or state.frame.module].items() if is_constant(value)]
    for name in names:
        state.set_global(module or state.frame.module, name, symbol("changed", name, "variable", name, why))
    for name, value in list(state.env.items()) if not module else ():
        if is_constant(value) and name[0] != "%":
            state.env[name] = symbol("changed", name, "variable", name, why)


def set_variable(state: State, whose: Value | str, name: Value, value: Value, why: Value) -> None:
    """A variable of a module (by its name), or an attribute of an object, is set through what `globals` or `vars`
    answered."""
    if isinstance(whose, str) and isinstance(name, str):
        state.set_global(whose, name, value)
    elif isinstance(whose, str):
        forget_variables(state, why, whose)
    elif isinstance(name, str) and type(state.object(whose)) is Instance:
        thing = state.object(whose)
        state.heap[whose.address] = thing._replace(attributes={**thing.attributes, name: value})
    else:
        forget_every_constant(state, whose, why)


def forget_items(state: State, value: Value) -> None:
    """Nobody knows any more what is in a list or dict."""
    thing = state.object(value)
    if type(thing) in (Sequence, Dictionary):
        state.heap[value.address] = thing._replace(items=None)
