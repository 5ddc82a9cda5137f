"""What a call that is not followed, because there are no steps left for it, may have done to a model. What it may have
done to numbers, lists and dicts is in `touching`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from headcheck.interpreter.heap import Module
from headcheck.interpreter.picking import speaks_of_models
from headcheck.interpreter.reaching import modules_in
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Bound, Class, Function, Value
from headcheck.ir import (
    Define,
    DeleteAttribute,
    DeleteItem,
    SetAttribute,
    SetItem,
    operations_in,
)
from headcheck.ir.scopes import scope_of

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

MOST_KEPT = 256  # functions
#: Methods that change what a model is made of, or how it learns; what it holds; and functions that may do anything.
CHANGING = frozenset(
    [
        "__setattr__", "add_module", "bfloat16", "double", "half", "register_module", "register_parameter",
        "requires_grad_", "reset_classifier", "resize_token_embeddings",
    ]
)  # fmt: skip
LOADING = frozenset(["load_state_dict"])
SETTING = frozenset(["delattr", "setattr"])
#: What changes a stack of layers: its items are set or deleted, or one of these methods is called.
ITEMS = (DeleteItem, SetItem)
REORDERING = frozenset(["append", "extend", "insert", "pop"])
#: Attributes of modules and parameters that say how they compute and learn.
OWN = frozenset(["__dict__", "bias", "data", "forward", "requires_grad", "weight"])


def may_be_changed(
    machine: Machine, state: State, function: Function, given: list[Value], certain: bool = False
) -> frozenset[Address]:
    """The modules that a function, called with these values, may change. It is not followed to find out.

    One that only speaks of a head, or loads weights, may do something to a model that is worth a look; where it must be
    `certain` that it is made of something else afterwards, or learns otherwise, neither counts.
    """
    reached = modules_in(state, [*given, *_around(machine, state, function, set())])
    of_module = any(type(state.object(value)) is Module for value in given[:1])
    names = _names_of_parts(state, reached) if certain and reached else None
    changes = bool(reached) and _changes(machine, state, function, of_module, set(), names)
    return frozenset(reached) if changes else frozenset()


def _names_of_parts(state: State, reached: Iterable[Address]) -> frozenset[str]:
    """The names under which something can be put into some modules that changes what they do."""
    from headcheck import catalog

    own = (module.children for module in map(state.heap.get, reached) if type(module) is Module)
    return OWN.union(catalog.part_names(), *own)


def _around(machine: Machine, state: State, function: Function, seen: set[int]) -> list[Value]:
    """What a function, and those of the script that it calls, can read from around it."""
    define = machine.definitions.get(function.code)
    if not isinstance(define, Define) or function.code in seen:
        return []
    seen.add(function.code)
    values = _read_around(state, function, define)
    deeper = [value for inner in values if type(inner) is Function for value in _around(machine, state, inner, seen)]
    return values + deeper


def _changes(
    machine: Machine, state: State, function: Function, of_module: bool, seen: set[int], names: frozenset[str] | None
) -> bool:
    """`of_module`: whether it is a method of a module, whose own attributes are its parts. `names`: where it must be
    certain, those of what it may change."""
    define, certain = machine.definitions.get(function.code), names is not None
    if not isinstance(define, Define):
        return True
    spoken, free = scope_of(define).spoken, scope_of(define).free
    if not CHANGING.isdisjoint(spoken) or (SETTING & free if certain else LOADING & spoken):
        return True
    if function.code in seen:
        return False
    seen.add(function.code)
    own = define.parameters[0].name if define.parameters and not of_module else ""
    if _sets_parts(define, own, names):
        return True
    speaks = speaks_of_models(machine, function.code)
    if speaks and (not certain or not REORDERING.isdisjoint(spoken) or _sets_items(define)):
        return True
    return any(_called_changes(machine, state, value, seen, names) for value in _read_around(state, function, define))


def _called_changes(machine: Machine, state: State, value: Value, seen: set[int], names: frozenset[str] | None) -> bool:
    whole = certain = names is not None  # a function that is no method has no attributes of its own
    if type(value) is Bound:
        whole = certain and type(state.object(value.receiver)) is Module
        value = value.function
    if type(value) is Class:  # what is made of it has attributes of its own
        methods = [method for _, method in value.attributes if type(method) is Function]
        return any(_changes(machine, state, method, not certain, seen, names) for method in methods)
    return type(value) is Function and _changes(machine, state, value, whole, seen, names)


def _read_around(state: State, function: Function, define: Define) -> list[Value]:
    """What a function reads from around it."""
    around = {**state.globals.get(function.module, {}), **dict(function.closure)}
    return [around[name] for name in scope_of(define).free if name in around]


@lru_cache(MOST_KEPT)
def _sets_parts(define: Define, own: str, names: frozenset[str] | None) -> bool:
    """Whether a function may set or delete a part of a model (of one of these `names`, where they are given); an
    object's own attributes (of `own`) are not."""
    return any(
        (isinstance(op, DeleteAttribute) or (isinstance(op, SetAttribute) and op.of != own))
        and (names is None or op.name in names)
        for op in operations_in(define)
    )


@lru_cache(MOST_KEPT)
def _sets_items(define: Define) -> bool:
    return any(isinstance(op, ITEMS) for op in operations_in(define))
