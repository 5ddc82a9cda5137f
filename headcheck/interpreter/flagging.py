"""Loops that do the same to each parameter of a module, whichever it is, and so to all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter import heap
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Parameter, Value
from headcheck.ir import (
    Block,
    Call,
    Compare,
    End,
    GetAttribute,
    GetItem,
    If,
    Loop,
    Move,
    Operation,
    SetAttribute,
    Unary,
    walk_here,
)
from headcheck.ir.scopes import variables

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def is_alike(op: Loop) -> bool:
    """Whether the body does to each parameter the same, ``p.requires_grad = not freeze``, whichever it is."""
    if op.alike is None:
        op.alike = _Body(op).is_alike(op.body)
    return op.alike


class _Body:
    """The body of a loop over parameters: which of its variables hold the element, a parameter, a method of it that
    sets its flag, its name, or what is the same on every turn."""

    def __init__(self, op: Loop) -> None:
        self.element: set[Any] = {op.element}
        self.own: set[Any] = {op.element}
        self.setters: set[Any] = set()
        self.names: set[Any] = set()
        self.known: set[Any] = set()
        self.assigned = {getattr(operation, "target", None) for operation in walk_here(op.body)}

    def is_alike(self, block: Block) -> bool:
        return all(type(operation) is End or self._is_alike(operation) for operation in block)

    def _is_alike(self, operation: Operation) -> bool:
        if isinstance(operation, If):
            return self._is_same(operation) and self.is_alike(operation.body) and self.is_alike(operation.orelse)
        if isinstance(operation, Move) and operation.value in self.own | self.names:
            return self._passes_on(operation)
        if isinstance(operation, GetItem) and operation.of in self.element and operation.index in (0, 1):
            (self.own if operation.index else self.names).add(operation.target)
            return True
        if isinstance(operation, SetAttribute):
            return operation.of in self.own and operation.name == "requires_grad" and self._is_same(operation, "of")
        if isinstance(operation, GetAttribute) and operation.of in self.own:
            self.setters.add(operation.target)
            return operation.name == "requires_grad_"
        if isinstance(operation, Call):
            return operation.function in self.setters and self._is_same(operation, "function")
        if isinstance(operation, (Compare, GetAttribute, Move, Unary)) and self._is_same(operation):
            self.known.add(operation.target)
            return True
        return False

    def _passes_on(self, operation: Move) -> bool:
        kept = self.own if operation.value in self.own else self.names
        kept.add(operation.target)
        if operation.value in self.element:
            self.element.add(operation.target)
        return True

    def _is_same(self, operation: Operation, apart: str = "") -> bool:
        """Whether all that an operation reads, but for one operand, is the same on every turn."""
        read = [name for name in variables(operation) if not apart or name != getattr(operation, apart)]
        return all(name in self.known or name not in self.assigned | self.element for name in read)


def flag_everything(machine: Machine, state: State, of: Parameter, value: Value, site: Operation) -> None:
    """The flag of each parameter of something whose parameters are not all known, if no test picks some of them."""
    before = machine.turns[-1] if machine.turns else None
    picked = before is not None and state.conditions != before
    if type(state.object(of.owner)) is Module and type(value) is bool and not picked:
        heap.set_all_flags(state, of.owner, value)
        state.log(events.Flagged(site, of.owner.address, None, value))
    else:
        state.log(events.FlagMissed(site, "unknown", of.owner, "requires_grad", value, of.path))
