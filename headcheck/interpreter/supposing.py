"""Branches that no path takes because the script calls a function only with values that lead past them.

Such a function is followed once more, with unknown arguments as if nothing called it, and unknowns in the place of the
script's constants: a user switches to these branches by changing some of them. What is found on the way counts only for
what stands in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from headcheck.interpreter.machine import Machine
from headcheck.interpreter.values import Class, Function, Value
from headcheck.ir import Block, Define, DefineClass, If, blocks, walk


class Passed(NamedTuple):
    """A function that leads past some operations, and the class that it is a method of."""

    function: Function
    owner: Class | None


def dead(block: Block, wanted: Set[int], reached: Set[int]) -> frozenset[int]:
    """The operations of the branches in which nothing was reached, and which hold some that are wanted (by id)."""
    found: set[int] = set()
    pending = [block]
    while pending:
        for operation in pending.pop():
            for side in inside(operation):
                held = {id(each) for each in walk(side)}
                if held.isdisjoint(wanted):
                    continue
                if type(operation) is If and held.isdisjoint(reached):
                    found |= held
                else:
                    pending.append(side)
    return frozenset(found)


def inside(operation: object) -> tuple[Block, ...]:
    """The blocks of an operation, the body of a function or class among them."""
    return (operation.body,) if isinstance(operation, (Define, DefineClass)) else blocks(operation)  # type: ignore[arg-type]


def leading_past(machine: Machine, names: Iterable[Value], sites: Set[int]) -> Iterator[Passed]:
    """Those of some functions, and of the methods of some classes, that were called and hold some operations."""
    for value in names:
        functions = [value] if type(value) is Function else methods(value) if type(value) is Class else []
        for function in functions:
            define = machine.definitions.get(function.code)
            body = define.body if function.code in machine.called and isinstance(define, Define) else []
            if any(id(operation) in sites for operation in walk(body)):
                yield Passed(function, value if type(value) is Class else None)


def methods(cls: Class) -> list[Function]:
    return [value for _, value in cls.attributes if type(value) is Function and value.module == cls.module]
