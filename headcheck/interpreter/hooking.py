"""Hooks: whether a function that others call with what a module gets or answers puts something else in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck.interpreter.values import Bound, Function, Partial, Value
from headcheck.ir import (
    Call,
    Define,
    GetAttribute,
    Operand,
    Operation,
    Return,
    SetAttribute,
    operations_in,
    walk_here,
)

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

#: Methods and functions that answer None: a lambda of them alone only records.
ANSWERLESS = frozenset(
    "__setitem__ add append appendleft clear debug extend info insert print put setattr update write".split()
)


def may_answer(machine: Machine, hook: Value) -> bool:
    """Whether a hook may answer something; one that only records what it sees answers None."""
    while type(hook) in (Bound, Partial):
        hook = hook.function
    define = machine.definitions.get(hook.code) if type(hook) is Function and not hook.wrapper else None
    if type(define) is not Define or define.generator or define.decorators:
        return True
    inside = walk_here(define.body)
    calls = [part for part in inside if isinstance(part, Call)]
    silent = {call.target for call in calls if _name_of(call.function, inside) in ANSWERLESS}
    return any(isinstance(part, Return) and part.value is not None and part.value not in silent for part in inside)


def may_set(machine: Machine, function: Value) -> bool:
    """Whether a function of the script's may set more of a module than its numbers, or put others in: what it draws
    anew (``nn.init``) and what it freezes changes no size."""
    while type(function) in (Bound, Partial):
        function = function.function
    define = machine.definitions.get(function.code) if type(function) is Function else None
    if type(define) is not Define:
        return False
    inside = operations_in(define)
    if any(isinstance(part, SetAttribute) and part.name not in KEEPING for part in inside):
        return True
    return any(isinstance(p, Call) and _name_of(p.function, inside) in ("setattr", "add_module") for p in inside)


#: What a function that sets it up anew sets of a layer, which keeps its sizes.
KEEPING = frozenset("bias data eps grad inplace momentum p requires_grad track_running_stats training weight".split())


def _name_of(function: Operand, inside: list[Operation]) -> Operand:
    return next((p.name for p in inside if isinstance(p, GetAttribute) and p.target == function), function)
