"""Calls that were not followed because there were no steps left for them, followed later from where they stand.

What such a function is given is known, and nothing else says so: called on its own its arguments would be unknown. The
path ends where the function returns, since what comes after it was followed without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck.interpreter.state import Cell, State
from headcheck.interpreter.values import Class, Function, Value
from headcheck.ir import Define, Operation, operations_in
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

MOST_REMEMBERED = 20


class Skip(NamedTuple):
    """A call that was not followed, of a function that may change a model it is given, and the path that came by it."""

    state: State
    function: Function
    arguments: tuple[Value, ...]
    keywords: Mapping[str, Value]
    site: Operation
    receiver: Value
    owner: Class | None


def remember(machine: Machine, skip: Skip, before: Cell) -> None:
    """Note a call for later, the first of each function, with what had happened before it."""
    code = skip.function.code
    known = machine.skips.get(code)
    better = len(machine.skips) < MOST_REMEMBERED if known is None else known.state.doubtful and not skip.state.doubtful
    if better and code not in machine.called:
        state = skip.state.fork()
        state.events = before
        machine.skips[code] = skip._replace(state=state)


def waiting(machine: Machine) -> list[Skip]:
    """The calls of functions that no path followed since."""
    return [skip for code, skip in machine.skips.items() if code not in machine.called]


def size_of(machine: Machine, skip: Skip) -> int:
    """How many operations the function has."""
    define = machine.definitions[skip.function.code]
    return len(operations_in(define)) if isinstance(define, Define) else 0


def resume(machine: Machine, skip: Skip) -> list[State]:
    """Follow a call to its end."""
    from headcheck.interpreter.calls import enter

    state = skip.state
    after = enter(machine, state, skip.function, skip.arguments, skip.keywords, skip.site, skip.receiver, skip.owner)
    for one in after:
        if not one.ended:
            one.end("limit")
    return after
