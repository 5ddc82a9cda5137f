"""What is handed to code that is not followed: that may change it, call it, or keep it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headcheck.interpreter import access, definitions, heap
from headcheck.interpreter.forgetting import forget_every_constant, forget_items
from headcheck.interpreter.heap import Dictionary, Instance, Sequence
from headcheck.interpreter.reaching import held_in
from headcheck.interpreter.state import State
from headcheck.interpreter.touching import forget_what_it_sets, forget_what_python_calls
from headcheck.interpreter.values import Bound, Function, Partial, Ref, Symbol, Value
from headcheck.ir import Operation
from headcheck.ir.effects import FILLERS

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def come_back_changed(state: State, function: Value, given: list[Value], site: Operation) -> None:
    """What is in the values that code was given which is not followed, or read, may be something else afterwards."""
    known = is_known_to_set(function)
    for value in given if known else held_in(state, given):
        if type(state.object(value)) in (Sequence, Dictionary):
            forget_items(state, value)
        elif is_configuration(state, value):
            forget_settings(state, value)
        elif type(state.object(value)) is Instance and not known:
            forget_every_constant(state, value, id(site))
        elif heap.is_state_dict(state, value):
            from headcheck.semantics import statedicts

            statedicts.changed(state, value, site)


def is_known_to_set(function: Value) -> bool:
    """Whether it is known what a function that is not followed may set: it only records, or is of the script."""
    own = type(function) is Symbol and isinstance(function.key, tuple) and function.key[0] == "function"
    return own or definitions.only_records(function)


def handed_over(machine: Machine, state: State, given: list[Value]) -> None:
    """Functions of the script are given to other code, which may call them whenever it likes: a hook, a thread's. So
    are its objects, whose methods go by names that all code knows: ``len(steps)``."""
    for value in given:
        if type(value) is Ref:
            forget_what_python_calls(machine, state, value)
    functions = [value for value in given if type(value) in FUNCTIONS]
    if functions:
        may_run(machine, state, functions, held_in(state, given))


def may_run(machine: Machine, state: State, functions: list[Value], given: list[Value]) -> None:
    """Some functions of the script may run, with these values."""
    for value in functions:
        function = value.function if type(value) in (Bound, Partial) else value
        of = [value.receiver] if type(value) is Bound else list(value.arguments) if type(value) is Partial else []
        if type(function) is Function:
            forget_what_it_sets(machine, state, function, [*of, *given])


def filled_by(state: State, library: str, given: Iterable[Value]) -> None:
    """A function of a library puts something into what it is given first: ``heappush(sizes, n)``."""
    if library in FILLERS:
        for value in itertools.islice(given, 1):
            forget_items(state, value)


FUNCTIONS = frozenset([Bound, Function, Partial])


def may_call(machine: Machine, state: State, unknown: Symbol, given: list[Value]) -> None:
    """An unknown is called, which may be one of the script's functions."""
    functions = functions_in(state, unknown)
    if functions:
        may_run(machine, state, functions, held_in(state, given))


def functions_in(state: State, unknown: Symbol) -> list[Value]:
    """The functions of the script that an unknown may be: one of a list or dict, or any method of an object."""
    key: Any = unknown.key
    if not isinstance(key, tuple):
        return []
    if key[0] in ("element", "item"):
        return [value for value in held_in(state, key[1:2]) if type(value) in FUNCTIONS]
    thing = state.object(key[3]) if key[:2] == ("call", "builtins.getattr") and len(key) > 3 else None
    classes = access.lineage(thing.cls) if type(thing) is Instance and thing.cls is not None else ()
    return [
        Bound(key[3], v, c) for c in classes for name, v in c.attributes if type(v) is Function and name[:2] != "__"
    ]


def is_configuration(state: State, value: Value) -> bool:
    """Whether something is an object that a library made, of which only attributes are known."""
    thing = state.object(value)
    return type(thing) is Instance and thing.cls is None


def forget_settings(state: State, ref: Ref) -> None:
    """Settings handed to unknown code may come back with others: with more classes, say. What it is all about, names
    and switches, stays as the user gave it: a script that asks for one twice gets one answer."""
    thing = state.heap[ref.address]
    inner = {name: value for name, value in thing.attributes.items() if is_configuration(state, value)}
    kept = {name: value for name, value in thing.attributes.items() if type(value) in (Symbol, bool, str)}
    state.heap[ref.address] = thing._replace(attributes={**kept, **inner})
    for value in inner.values():
        forget_settings(state, value)
