"""What a method may find changed: others of its class, which nothing in the file calls either, may be called first.

``trainer.build()`` puts the new head into ``self.model``, and ``trainer.train()`` trains it: whoever has the object
calls both. So what one of them is followed with is, in the parts that the others change, unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from headcheck.interpreter import heap
from headcheck.interpreter.entering import SITE, definition
from headcheck.interpreter.heap import DELETED, Instance, Module
from headcheck.interpreter.machine import Machine
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Class, Function, Library, Ref, Value, symbol
from headcheck.ir import (
    Call,
    Define,
    GetAttribute,
    GetItem,
    Move,
    Operand,
    SetAttribute,
    SetItem,
    Variable,
    operations_in,
)
from headcheck.ir.scopes import scope_of

Path: TypeAlias = "tuple[str, ...]"
ITEM, CALL = "[]", "()"  # in a path: an item of what comes before, something made of it
PARTS = "_modules"
ITSELF = frozenset(["to", "cuda", "cpu", "half", "float", "double", "bfloat16", "eval", "train", "requires_grad_"])
#: Methods that put parts in. What `resize_token_embeddings` puts in of transformers is no head, and has the same place.
RESHAPING = frozenset(
    [
        "__setattr__", "add_module", "append", "extend", "insert", "pop", "register_module", "reset_classifier",
        "set_submodule",
    ]
)  # fmt: skip


class Changes:
    """What the methods of a class that nothing called do to the object, as paths from it."""

    def __init__(self, machine: Machine, methods: Sequence[Function]) -> None:
        self.machine = machine
        self.methods = methods
        self.paths: list[tuple[str, frozenset[Path]]] | None = None

    def before(self, home: State, method: Function) -> frozenset[Path]:
        """What the other methods change, but those that the method itself calls."""
        if self.paths is None:
            self.paths = [
                (define.name, frozenset(changed(self.machine, home, each.module, define, [()])))
                for each in self.methods
                for define in [definition(self.machine, each)]
            ]
        if not any(paths for _, paths in self.paths):
            return frozenset()
        called = self.calls_of(method)
        return frozenset().union(*(paths for name, paths in self.paths if name not in called))

    def calls_of(self, method: Function) -> set[str]:
        """The name of a method, and of those it calls, as far as they may be called by it in turn."""
        named = {define.name: define for define in (definition(self.machine, each) for each in self.methods)}
        found, pending = set(), [definition(self.machine, method).name]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += named.keys() & scope_of(named[name]).spoken if name in named else ()
        return found


def changed(
    machine: Machine, home: State, module: str, define: Define, given: Sequence[Path | None], deep: bool = False
) -> Iterator[Path]:
    """The parts below its object that a method sets: ``self.model.fc = …`` changes ("model", "fc"). What is made anew
    from nothing that was there, or is only moved, is no other than it was. `given` is where its arguments come from;
    `deep`: the function is one that a method hands a part to."""
    named = zip((parameter.name for parameter in define.parameters), given, strict=False)
    paths: dict[Variable, Path] = {Variable(name): path for name, path in named if path is not None}

    def path_of(operand: Operand) -> Path | None:
        return paths.get(operand) if type(operand) is Variable else None

    for op in operations_in(define) if paths else ():
        made: Path | None = None
        if isinstance(op, Call):
            function, parts = path_of(op.function), [path_of(operand) for operand in operands(op)]
            made = answer(function, parts)
            if function and function[-1] in RESHAPING:
                yield whole(function[:-1])
            elif parts and parts[0] and op.function == "setattr":
                yield whole(parts[0])
            elif not deep and any(parts) and type(op.function) is Variable:
                helper = home.globals.get(module, {}).get(op.function)
                if type(helper) is Function:
                    inner = definition(machine, helper)
                    yield from changed(machine, home, helper.module, inner, parts[: len(op.arguments)], deep=True)
        elif isinstance(op, (GetAttribute, GetItem)):
            of = path_of(op.of)
            made = (*of, op.name if isinstance(op, GetAttribute) else ITEM) if of is not None else None
        elif isinstance(op, Move):
            made = path_of(op.value)
        elif isinstance(op, SetItem):
            yield whole(path_of(op.of) or ())
        elif isinstance(op, SetAttribute) and (of := path_of(op.of)) is not None:
            path, value = (*of, op.name), path_of(op.value) or ()
            if of or (value != path and value[:1] == path):
                yield whole(path)
        if made is not None:
            paths[op.target] = made  # type: ignore[attr-defined]


def answer(of: Path | None, given: Iterable[Path | None]) -> Path | None:
    """Where the answer of a call comes from: the object itself (``self.model.to(device)``), or something made of it."""
    if of and of[-1] in ITSELF:
        return of[:-1]
    found = of or next((path for path in given if path), None)
    return (*found, CALL) if found else None


def operands(call: Call) -> list[Operand]:
    return [operand for _, operand in (*call.arguments, *call.keywords)]


def whole(path: Path) -> Path:
    """A path as far as it goes by the names of parts."""
    return next((path[:place] for place, name in enumerate(path) if name in (ITEM, CALL, PARTS)), path)


def as_left(home: State, ref: Value, paths: Collection[Path]) -> State:
    """The state in which a method is called when others have changed these parts of its object."""
    if not paths:
        return home
    state = home.fork()
    for path in sorted(filter(None, paths)):
        at: Value = ref
        for name in path[:-1]:
            at = held(state, at, name)
        value = held(state, at, path[-1])
        if type(at) is Ref and (type(state.object(value)) is Module or type(value) in (Class, Library)):
            forget(state, at, path[-1])
    return state


def held(state: State, of: Value, name: str) -> Value:
    thing = state.object(of)
    if type(thing) is Instance:
        return thing.attributes.get(name)
    if type(thing) is not Module:
        return None
    if name in thing.values:
        return thing.values[name]
    child = heap.get_child(state, of, name, SITE)
    return None if child is DELETED else child


def forget(state: State, of: Ref, name: str) -> None:
    thing = state.heap[of.address]
    unknown = symbol("changed", name, of.address, name)
    if type(thing) is Instance:
        state.heap[of.address] = thing._replace(attributes={**thing.attributes, name: unknown})
    elif name in thing.values:
        state.heap[of.address] = thing._replace(values={**thing.values, name: unknown})
    else:
        state.heap[of.address] = thing._replace(children={**thing.children, name: unknown})
