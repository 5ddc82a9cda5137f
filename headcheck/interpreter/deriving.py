"""Classes of the script that derive from a library's model: its `__init__` and its forward, as `super()` calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck.interpreter import forward, heap
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Class, Ref, Value, symbol
from headcheck.ir import Operation
from headcheck.semantics.registry import CallSite

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def derive(
    machine: Machine,
    state: State,
    cls: Class,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> None:
    """`__init__` of a library's stack or model runs on an object of a class that derives from it."""
    if heap.is_sequential(state.heap[ref.address]):
        if arguments or "**" in keywords:
            from headcheck.semantics.torch import fill_stack

            fill_stack(CallSite(machine, state, "__init__", ref, arguments, keywords, site))
    elif any(name.startswith("torchvision.models.") for name in heap.library_bases(cls)):
        from headcheck.semantics import constructors

        base = constructors.library_base(cls)
        assert base is not None
        constructors.become(CallSite(machine, state, base.name, None, arguments, keywords, site), ref)


def call_inherited(
    machine: Machine,
    state: State,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> list[State]:
    """``super().forward(x)``: what the library's own forward makes of it."""
    thing = state.heap[ref.address]
    given = arguments[0] if arguments else next(iter(keywords.values()), None)
    if thing.build is not None:
        return forward.run_library_model(machine, state, ref, thing, given, site)
    if heap.is_sequential(thing):
        return forward.run_stack(machine, state, ref, given, site)
    state.result = symbol("output", "output", ref, given)
    return [state]
