"""What some code may do to things that it did not make: which it sets, and which it puts something into.

It is read off the operations alone, whatever runs of them and in whichever order. A thing is told by where the code has
it from, its *root*: a variable of the code around (``sizes``), an attribute of whatever object (``.sizes``), or one of
its own parameters, which may be anything that calls hand on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from headcheck.ir import (
    Append,
    Binary,
    Call,
    Define,
    DeleteAttribute,
    DeleteItem,
    End,
    GetAttribute,
    GetItem,
    Loop,
    MakeDict,
    MakeSequence,
    Move,
    Operand,
    Operation,
    Parameter,
    Return,
    SetAttribute,
    SetItem,
    Variable,
    operations_in,
)
from headcheck.ir.scopes import scope_of, variables
from headcheck.records import NamedTuple

ANY = "*"  # in the place of a name that nobody knows
GIVEN = ""  # the root of a parameter
NAMESPACE = ".__dict__"  # the root of an object's attributes as a dict
VARIABLES = ".globals()"  # and of the variables of a module
#: Methods that change what a list, dict, set or queue holds.
FILLING = frozenset(
    [
        "__delitem__", "__iadd__", "__setitem__", "add", "append", "appendleft", "clear", "discard", "extend",
        "extendleft", "insert", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort",
        "update",
    ]
)  # fmt: skip
#: Functions of libraries that do so with their first argument; and those that have the same as functions.
FILLERS = frozenset(
    [
        "heapq.heapify", "heapq.heappop", "heapq.heappush", "heapq.heappushpop", "heapq.heapreplace", "random.shuffle",
        "bisect.insort", "bisect.insort_left", "bisect.insort_right", "operator.delitem",
        "operator.iadd", "operator.iconcat", "operator.imul", "operator.ior", "operator.setitem",
        *(f"builtins.{kind}.{name}" for kind in ("dict", "list", "set") for name in FILLING),
    ]
)  # fmt: skip
# What a variable may be of something that it comes from: that itself, what is in it, or either.
SAME, INSIDE, EITHER = "same", "inside", "either"


class Effects(NamedTuple):
    """`reads` are the variables of the code around that some code reads, `spoken` the attributes, among them the
    methods and properties that may run; `sets` are the attributes that it sets or deletes, `own` those of what its
    first parameter is; `outer` are the variables of the module that it sets; `filled` are the roots of what it puts
    something into, or takes something from, `within` the roots of what holds that; `handed` answers those of what it
    gives to calls, `answers` those of what it returns."""

    reads: frozenset[str]
    spoken: frozenset[str]
    sets: frozenset[str]
    own: frozenset[str]
    outer: frozenset[str]
    filled: frozenset[str]
    within: frozenset[str]
    handed: Callable[[], frozenset[str]]
    answers: Callable[[], frozenset[str]]


def effects_of(define: Define) -> Effects:
    """Of a function, with those in it."""
    look = _Look(define.parameters, define.stores_global)
    look.reads.update(scope_of(define).free)
    return look.over(operations_in(define))


def effects_of_branch(operations: list[Operation]) -> Effects:
    """Of code in the middle of other code. An item that it sets of a thing it has by name is left out."""
    look = _Look(None, frozenset())
    for operation in operations:
        look.reads.update(variables(operation))
    return look.over(operations)


class _Look:
    """`parameters` is None for code in the middle of other code: what it sets, it may have had before."""

    def __init__(self, parameters: list[Parameter] | None, outer: frozenset[str]) -> None:
        self.here = parameters is None
        self.parameters = {parameter.name for parameter in parameters or ()}
        self.collected = {parameter.name for parameter in parameters or () if parameter.kind}  # ``*args``: made anew
        self.first = parameters[0].name if parameters else None
        self.outer = set(outer)
        self.local: set[str] = set()
        self.made: dict[str, list[tuple[Operand, str]]] = {}  # by a variable or a root, what it may be, or be in
        self.reads: set[str] = set()
        self.spoken: set[str] = set()
        self.sets: set[str] = set()
        self.own: set[str] = set()
        self.filled: list[Operand] = []
        self.calls: list[Operand] = []  # what is handed to them
        self.known: dict[str, frozenset[str]] = {}
        self.receivers: dict[str, GetAttribute] = {}  # by the variable that holds the attribute
        self.namespaces: list[Operand] = []
        self.supers: set[Operand] = set()
        self.returns: list[Operand] = []

    def over(self, operations: list[Operation]) -> Effects:
        for operation in operations:
            kind = type(operation)
            if kind is End:
                continue
            target = getattr(operation, "target", None)
            if target is not None:
                self.local.add(target)
            note = NOTES.get(kind)
            if note is not None:
                note(self, operation)
        declared = {name for name in self.outer if name in self.local}
        self.local -= self.outer
        self.outer = declared
        filled, within = self.roots(self.filled)
        if NAMESPACE in filled:
            for of in self.namespaces:
                self.note_name(of, ANY)
        if VARIABLES in filled or "exec" in self.reads:
            self.outer.add(ANY)
        inside = self.parameters if self.here else self.local | self.parameters
        outside = {name for name in self.reads if name not in inside and (not self.here or self.is_outside(name))}
        return Effects(
            frozenset(outside),
            frozenset(self.spoken),
            frozenset(self.sets),
            frozenset(self.own),
            frozenset(self.outer),
            frozenset(filled),
            frozenset(within),
            self.handed,
            self.answers,
        )

    def handed(self) -> frozenset[str]:
        return self.either("handed", self.calls)

    def answers(self) -> frozenset[str]:
        return self.either("answers", self.returns)

    def either(self, what: str, operands: list[Operand]) -> frozenset[str]:
        """The roots of some values, and of what holds them, found when they are first asked for."""
        if what not in self.known:
            self.known[what] = frozenset().union(*self.roots(operands))
        return self.known[what]

    def is_outside(self, name: str) -> bool:
        return name[0] != "%" or name not in self.local

    def roots(self, operands: Iterable[Operand]) -> tuple[set[str], set[str]]:
        """Where some values come from: the roots that may be them, and those that may hold them."""
        found: tuple[set[str], set[str]] = set(), set()
        todo: list[tuple[Operand, bool]] = [(operand, False) for operand in operands]
        seen: set[tuple[Operand, bool]] = set()
        while todo:
            operand, inside = todo.pop()
            if not isinstance(operand, Variable) or (operand, inside) in seen:
                continue
            seen.add((operand, inside))
            if operand in self.collected:
                if inside:
                    found[False].add(GIVEN)
                    found[True].add(GIVEN)
            elif operand in self.parameters:
                found[inside].add(GIVEN)
            elif operand[0] == "." or (self.is_outside(operand) if self.here else operand not in self.local):
                found[inside].add(operand)
            for source, how in self.made.get(operand, ()):
                if how != INSIDE:
                    todo.append((source, inside))
                if how != SAME:
                    todo.append((source, True))
        return found

    def come(self, target: Operand, how: str, *sources: Operand) -> None:
        """A variable, or what has a root, may be one of some values, or be in one of them."""
        self.made.setdefault(target, []).extend((source, how) for source in sources if isinstance(source, Variable))

    def note_name(self, of: Operand, name: str) -> None:
        (self.own if of == self.first else self.sets).add(name)

    def note_move(self, op: Move) -> None:
        self.come(op.target, SAME, op.value)

    def note_item(self, op: GetItem) -> None:
        self.come(op.target, INSIDE, op.of)

    def note_attribute(self, op: GetAttribute) -> None:
        if op.name != "__init__":
            self.spoken.add(op.name)
        self.receivers[op.target] = op
        self.come(op.target, SAME, Variable(f".{op.name}"))
        if op.name == "__dict__":
            self.namespaces.append(op.of)
        elif op.name in FILLING:
            self.filled.append(op.of)

    def note_call(self, op: Call) -> None:
        given = [operand for _, operand in (*op.arguments, *op.keywords)]
        read = self.receivers.get(op.function) if isinstance(op.function, Variable) else None
        self.calls += given
        if read is not None and read.name == "__init__" and not self.is_of_base(read.of, given):
            self.spoken.add(read.name)
        self.come(op.target, EITHER, op.function, *given)
        if read is not None:
            self.come(op.target, INSIDE, read.of)
        special = SPECIAL.get(op.function if read is None else read.name)
        if special is not None:
            special(self, op, given)

    def is_of_base(self, of: Operand, given: list[Operand]) -> bool:
        """Whether an `__init__` is that of a base, which is called while an object is made."""
        return of in self.supers or (self.first is not None and given[:1] == [self.first])

    def note_setattr(self, op: Call, given: list[Operand]) -> None:
        name = given[1] if len(given) > 1 else None
        self.note_name(given[0] if given else None, name if type(name) is str else ANY)

    def note_set_through(self, op: Call, given: list[Operand]) -> None:
        """``super().__setattr__(name, value)``, ``object.__setattr__(self, name, value)``."""
        named = [name for name in given[-2:-1] if type(name) is str]
        (self.own if self.first is not None else self.sets).add(named[0] if named else ANY)

    def note_getattr(self, op: Call, given: list[Operand]) -> None:
        name = given[1] if len(given) > 1 else None
        self.spoken.add(name if type(name) is str else ANY)
        if type(name) is str:
            self.come(op.target, SAME, Variable(f".{name}"))

    def note_vars(self, op: Call, given: list[Operand]) -> None:
        self.come(op.target, SAME, Variable(NAMESPACE))
        self.namespaces += given or [None]
        self.spoken.add(ANY)

    def note_globals(self, op: Call, given: list[Operand]) -> None:
        self.come(op.target, SAME, Variable(VARIABLES))

    def note_super(self, op: Call, given: list[Operand]) -> None:
        self.supers.add(op.target)

    def note_return(self, op: Return) -> None:
        self.returns.append(op.value)

    def note_eval(self, op: Call, given: list[Operand]) -> None:
        for text in given[:1]:
            self.reads.update(re.findall(r"\b[^\W\d]\w*", text) if type(text) is str else ())

    def note_sequence(self, op: MakeSequence) -> None:
        self.come(op.target, EITHER, *(operand for _, operand in op.items))

    def note_dict(self, op: MakeDict) -> None:
        self.come(op.target, EITHER, *(operand for _, *pair in op.items for operand in pair))

    def note_append(self, op: Append) -> None:
        self.come(op.of, EITHER, op.value)

    def note_loop(self, op: Loop) -> None:
        self.local.add(op.element)
        self.come(op.element, INSIDE, op.iterable)

    def note_binary(self, op: Binary) -> None:
        self.come(op.target, EITHER, op.left, op.right)
        if op.in_place:
            self.filled.append(op.left)

    def note_set_attribute(self, op: SetAttribute) -> None:
        self.spoken.add(op.name)  # it may be a property
        self.note_name(op.of, op.name)
        self.come(f".{op.name}", SAME, op.value)

    def note_delete_attribute(self, op: DeleteAttribute) -> None:
        self.note_name(op.of, op.name)

    def note_set_item(self, op: SetItem) -> None:
        if isinstance(op.of, Variable):
            self.come(op.of, EITHER, op.value)
        if not self.here or not self.is_by_name(op.of):
            self.filled.append(op.of)

    def note_delete_item(self, op: DeleteItem) -> None:
        self.filled.append(op.of)

    def is_by_name(self, of: Operand) -> bool:
        """Whether a thing is a variable of the code around, or an attribute of one."""
        read = self.receivers.get(of)
        of = of if read is None else read.of
        return isinstance(of, Variable) and of not in self.local

    def note_define(self, op: Define) -> None:
        self.parameters.update(parameter.name for parameter in op.parameters)
        self.collected.update(parameter.name for parameter in op.parameters if parameter.kind)
        self.outer |= op.stores_global


SPECIAL: dict[Any, Any] = {
    "__setattr__": _Look.note_set_through,
    "delattr": _Look.note_setattr,
    "eval": _Look.note_eval,
    "getattr": _Look.note_getattr,
    "globals": _Look.note_globals,
    "setattr": _Look.note_setattr,
    "super": _Look.note_super,
    "vars": _Look.note_vars,
}
NOTES: dict[type, Any] = {
    Append: _Look.note_append,
    Binary: _Look.note_binary,
    Call: _Look.note_call,
    Define: _Look.note_define,
    DeleteAttribute: _Look.note_delete_attribute,
    DeleteItem: _Look.note_delete_item,
    GetAttribute: _Look.note_attribute,
    GetItem: _Look.note_item,
    Loop: _Look.note_loop,
    MakeDict: _Look.note_dict,
    MakeSequence: _Look.note_sequence,
    Move: _Look.note_move,
    Return: _Look.note_return,
    SetAttribute: _Look.note_set_attribute,
    SetItem: _Look.note_set_item,
}
