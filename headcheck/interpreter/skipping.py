"""What a call that is not followed, because there are no steps left for it, may have done to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck.interpreter.calls import modules_in
from headcheck.interpreter.heap import Module
from headcheck.interpreter.picking import speaks_of_models
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Bound, Class, Function, Value
from headcheck.ir import Define, DeleteAttribute, Operation, SetAttribute, walk
from headcheck.ir.scopes import scope_of

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

#: Methods that change what a model is made of, how it learns, or what it holds.
CHANGING = frozenset(
    [
        "__setattr__", "add_module", "bfloat16", "double", "half", "load_state_dict", "register_module",
        "register_parameter", "requires_grad_", "reset_classifier", "resize_token_embeddings",
    ]
)  # fmt: skip


def may_be_changed(machine: Machine, state: State, function: Function, given: list[Value]) -> frozenset[Address]:
    """The modules that a function, called with these values, may change. It is not followed to find out."""
    reached = modules_in(state, [*given, *_around(machine, state, function, set())])
    of_module = any(type(state.object(value)) is Module for value in given[:1])
    return frozenset(reached) if reached and _changes(machine, state, function, of_module, set()) else frozenset()


def _around(machine: Machine, state: State, function: Function, seen: set[int]) -> list[Value]:
    """What a function, and those of the script that it calls, can read from around it."""
    define = machine.definitions.get(function.code)
    if not isinstance(define, Define) or function.code in seen:
        return []
    seen.add(function.code)
    around = {**state.globals.get(function.module, {}), **dict(function.closure)}
    values = [around[name] for name in scope_of(define).free if name in around]
    deeper = [value for inner in values if type(inner) is Function for value in _around(machine, state, inner, seen)]
    return values + deeper


def _changes(machine: Machine, state: State, function: Function, of_module: bool, seen: set[int]) -> bool:
    """`of_module`: whether it is a method of a module, whose own attributes are its parts."""
    define = machine.definitions.get(function.code)
    if not isinstance(define, Define) or not CHANGING.isdisjoint(scope_of(define).spoken):
        return True
    if function.code in seen:
        return False
    seen.add(function.code)
    own = define.parameters[0].name if define.parameters and not of_module else ""
    if speaks_of_models(machine, function.code) or any(_sets_a_part(op, own) for op in walk(define.body)):
        return True
    around = {**state.globals.get(function.module, {}), **dict(function.closure)}
    called = [around[name] for name in scope_of(define).free if name in around]
    return any(_called_changes(machine, state, value, seen) for value in called)


def _called_changes(machine: Machine, state: State, value: Value, seen: set[int]) -> bool:
    if type(value) is Bound:
        value = value.function
    if type(value) is Class:
        return any(type(v) is Function and _changes(machine, state, v, True, seen) for _, v in value.attributes)
    return type(value) is Function and _changes(machine, state, value, False, seen)


def _sets_a_part(operation: Operation, own: str) -> bool:
    """Whether an operation may set or delete a part of a model; an object's own attributes (of `own`) are not."""
    if isinstance(operation, DeleteAttribute):
        return True
    return isinstance(operation, SetAttribute) and operation.of != own
