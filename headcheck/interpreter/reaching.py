"""What a call can reach through the values that it is given."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.state import Frame, State
from headcheck.interpreter.values import (
    Address,
    Bound,
    Filtered,
    Function,
    Lazy,
    Library,
    Method,
    Modules,
    Parameter,
    Parameters,
    Partial,
    Ref,
    Symbol,
    Tuple,
    Value,
)
from headcheck.ir import UNKNOWN, Operation

MOST_ALIKE = 2  # calls of a function by itself, if nothing is known of what it is given


def holds_tensors(state: State, value: Value) -> bool:
    """Whether a value is parameters, or a list or a group of such."""
    thing = state.object(value)
    if type(thing) is Dictionary:
        return any(holds_tensors(state, item) for key, item in thing.items or () if key == "params")
    if type(thing) is Sequence or type(value) is Tuple:
        return any(holds_tensors(state, item) for item in (value if type(value) is Tuple else thing).items or ())
    return type(value) in (Parameters, Parameter, Filtered, Lazy)


def tensors_handed(state: State, function: Value, given: list[Value]) -> set[Address]:
    """The modules whose parameters a function is given, if it may be an optimizer. Torch's own functions clip and count
    them, and its optimizers are known, but for what derives from one."""
    if type(function) is Library and function.name.startswith("torch.") and function.name != "torch.optim.Optimizer":
        return set()
    return modules_in(state, [value for value in given if holds_tensors(state, value)])


def modules_in(state: State, values: list[Value]) -> set[Address]:
    """The modules that can be reached from some values."""
    found: set[Address] = set()
    todo, seen = list(values), set()
    while todo:
        value = todo.pop()
        kind = type(value)
        if kind is Tuple:
            todo.extend(value.items)
        elif kind in (Parameters, Modules, Parameter):
            todo.append(value.owner)
        elif kind is Filtered:
            todo.append(value.iterable)
        elif kind is Lazy:
            todo.extend(v for _, v in value.function.defaults)
        elif kind in (Bound, Method):
            todo.append(value.receiver)
        elif kind is Ref and value.address not in seen:
            seen.add(value.address)
            thing = state.heap.get(value.address)
            if type(thing) is Module:
                found.add(value.address)
            elif type(thing) is Sequence:
                todo.extend(thing.items or ())
            elif type(thing) is Dictionary:
                todo.extend(v for _, v in thing.items or ())
            elif type(thing) is Instance:
                todo.extend(thing.attributes.values())
    return found


MOST_HELD = 64  # values that some hold, of those that are looked at


def held_in(state: State, values: Iterable[Value]) -> list[Value]:
    """Some values, and what they hold: the items of lists and dicts, and the attributes of objects."""
    found: list[Value] = list(values)
    seen: set[Address] = set()
    for value in found:  # which grows on the way
        inside: Iterable[Value] = value.items if type(value) is Tuple else ()
        if type(value) is Ref and value.address not in seen:
            seen.add(value.address)
            thing = state.heap.get(value.address)
            if type(thing) is Sequence:
                inside = thing.items or ()
            elif type(thing) is Dictionary:
                inside = (held for _, held in thing.items or ())
            elif type(thing) is Instance:
                inside = thing.attributes.values()
        room = MOST_HELD - len(found)
        found += itertools.islice((one for one in inside if type(one) in HOLDING), max(room, 0))
    return found


HOLDING = frozenset([Bound, Function, Partial, Ref, Tuple])


def comes_again(state: State, site: Operation, given: list[Value]) -> bool:
    """Whether a function calls itself the third time, at one place, on nothing that is known: a walk through the parts
    of something that goes on as it began."""
    frame: Frame | None = state.frame
    times = 0
    while frame is not None:
        times += frame.call is site
        frame = frame.above
    if times < MOST_ALIKE or site.node is None or not all(map(is_open, given)):
        return False
    return any(type(value) is Symbol for value in given) and not modules_in(state, given)


def is_open(value: Value) -> bool:
    """Whether a value is unknown, a switch, or an object, with which a walk has no end of its own."""
    return value is UNKNOWN or type(value) in (Symbol, Ref, bool, type(None))
