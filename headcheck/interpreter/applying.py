"""``model.apply(function)``: a function of the script, called with each module of a model, those in another before it.
One that only fills tensors leaves all else as it was. Any other is followed, but for the modules that it passes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.interpreter import passing, taking
from headcheck.interpreter.calls import DEEPEST, bind_arguments, call_value
from headcheck.interpreter.filling import fills
from headcheck.interpreter.iterate import LONGEST_MODEL, count_modules
from headcheck.interpreter.loops import MOST_TURNS_APART
from headcheck.interpreter.quick import least
from headcheck.interpreter.state import Frame, State, since
from headcheck.interpreter.values import Bound, Function, Partial, Ref, Split, Value
from headcheck.ir import Define, Loop, Operation, Variable, operations_in

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def apply(machine: Machine, state: State, ref: Ref, function: Value, site: Operation) -> Value | None:
    """The model, as all of it was given to a function; None where nobody knows what that did."""
    written = fills(machine, state, function)
    if written is None:
        return follow(machine, state, ref, function, site)
    if written:
        state.log(events.Overwritten(site, ref.address))
    return ref


def follow(machine: Machine, state: State, ref: Ref, function: Value, site: Operation) -> Split | None:
    """Call a function with each module, and tell what is there after each way that it went."""
    inner = function.function if type(function) in (Bound, Partial) else function
    define = machine.definitions.get(inner.code) if type(inner) is Function else None
    if type(define) is not Define or define.generator or machine.budget.skims or state.frame.depth >= DEEPEST - 1:
        return None
    count = count_modules(state, ref)
    if count is None or count > LONGEST_MODEL:
        return None
    path = state.fork()
    asked = classes_asked_for(machine, path.fork(), function, define, site)
    found = children_first(taking.take_all(path, ref, site, asked or taking.EVERY))
    machine.budget.add_loop(id(site), len(found) * len(operations_in(define)))
    if machine.budget.used(len(found) * least(define.body)) > 1:
        return None
    called, remembered = set(machine.called), len(machine.left.states)
    paths = one_by_one(machine, path, function, found, site)
    if paths is None:
        machine.called = called
        machine.left.forget(remembered)
        return None
    return Split(tuple((one, ref) for one in paths))


def one_by_one(
    machine: Machine, state: State, function: Value, modules: list[Ref], site: Operation
) -> list[State] | None:
    """Call a function with some modules, one after the other; None where some call is not followed to its end, or too
    many go apart."""
    before, cut = state.events, state.cut
    states, ended = [state], list[State]()
    for module in modules:
        after = [path for one in states for path in call_value(machine, one, function, (module,), {}, site)]
        ended += [one for one in after if one.ended]
        states = [one for one in after if not one.ended]
        if len(states) > 1:
            states = machine.merge(states)
        if len(states) + len(ended) > MOST_TURNS_APART or machine.budget.skims:
            return None
    lost = (type(event) in UNFOLLOWED for one in states for event in since(one, before))
    return None if any(lost) or any(one.cut != cut for one in states) else states + ended


UNFOLLOWED = frozenset([events.Escaped, events.Skipped])


def classes_asked_for(
    machine: Machine, state: State, function: Value, define: Define, site: Operation
) -> passing.Classes | None:
    """The classes that a function asks for, if it does nothing to a module of none of them. The state is used up."""
    given: tuple[Value, ...] = ()
    while type(function) in (Bound, Partial):
        if type(function) is Partial:
            if function.arguments:
                return None
        else:
            given = (function.receiver,)
        function = function.function
    if len(define.parameters) <= len(given):
        return None
    loop = machine.applied.get(id(define))
    if loop is None:
        element = Variable(define.parameters[len(given)].name)
        loop = machine.applied[id(define)] = Loop(define.node, element, None, define.body, [])
    frame = state.frame
    receiver, closure = next(iter(given), None), dict(function.closure)
    state.env = bind_arguments(state, define, function, given, {}, site)
    state.frame = Frame(function.module, closure, frame.depth + 1, receiver, call=site, above=frame)
    return passing.classes_asked_for(machine, loop, state)


def children_first(found: list[tuple[str, Ref]]) -> list[Ref]:
    """Modules with their paths, each after all that are in it."""
    waiting: list[tuple[str, Ref]] = []
    ordered: list[Ref] = []
    for path, ref in found:
        while waiting and waiting[-1][0] and not path.startswith(f"{waiting[-1][0]}."):
            ordered.append(waiting.pop()[1])
        waiting.append((path, ref))
    return ordered + [ref for _, ref in reversed(waiting)]
