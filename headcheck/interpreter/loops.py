"""Loops: a turn for each item where that matters to a model, else one turn that stands for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter import flagging, heap, operators, options, passing, quick
from headcheck.interpreter.forgetting import constant_of, constants, forget_constants, is_constant
from headcheck.interpreter.heap import Dictionary, Module, Sequence
from headcheck.interpreter.iterate import (
    BELOW,
    LONGEST_MODEL,
    Rest,
    count_modules,
    each_of,
    element_of,
    items_of,
    parameters_known,
)
from headcheck.interpreter.merging import same
from headcheck.interpreter.state import Cell, State, since
from headcheck.interpreter.touching import forget_what_python_calls
from headcheck.interpreter.values import (
    UNKNOWN,
    Address,
    Bound,
    Function,
    Modules,
    Parameter,
    Parameters,
    Partial,
    Ref,
    StateKey,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_plain,
    symbol,
    unknown_item,
)
from headcheck.ir import Append, Break, GetItem, Loop, While, walk

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def on_loop(machine: Machine, op: Loop, state: State) -> list[State]:
    iterable = machine.read(state, op.iterable)
    if type(iterable) is Parameters and not iterable.own and flagging.is_alike(op):
        return all_at_once(machine, op, state, element_of(state, iterable))
    if type(iterable) in (Modules, Parameters) and passing.changes_nothing(machine, op, state):
        return loop_once(machine, op, state, element_of(state, iterable))
    if type(iterable) is Modules and iterable.kind in BELOW:
        found = over_modules(machine, op, state, iterable)
        if found is not None:
            return found
    if type(iterable) is Ref:
        forget_what_python_calls(machine, state, iterable)
    items = items_of(machine, state, iterable, op)
    if items is None and type(iterable) is Parameters:
        parts = parameters_known(state, iterable, op)
        if parts is not None and not op.orelse and Break not in map(type, walk(op.body)):
            return loop_in_parts(machine, op, state, parts)
    if items is None and machine.offers and options.is_optional(machine, iterable):
        machine.asked = machine.asked or worth_unrolling(machine, op, ())
    each = items and (over_model(items) or (len(items) > LONG and by_number(machine, op, state)))
    if items is None or (items and not each and (len(items) > LONG or not worth_unrolling(machine, op, items))):
        return loop_once(machine, op, state, element_of(state, iterable), len(items) if items else None)
    if machine.budget.skims:
        return rest_at_once(machine, op, [state], element_of(state, iterable), len(items))
    many = bool(each) and len(items) > MOST_TURNS_APART
    if many:
        items = passing.telling(machine, op, state, items)
    return loop_over(machine, op, state, items, element_of(state, iterable), many)


def over_modules(machine: Machine, op: Loop, state: State, iterable: Modules) -> list[State] | None:
    """A loop over all modules of a model where those may stay in the catalog's tree that it does nothing to; None where
    that is not known."""
    count = count_modules(state, iterable.owner)
    if count is None or count > LONGEST_MODEL:
        return None
    element = element_of(state, iterable)
    if machine.budget.skims:
        return rest_at_once(machine, op, [state], element, count)
    items = passing.telling_below(machine, op, state, iterable)
    return None if items is None else loop_over(machine, op, state, items, element, True)


def worth_unrolling(machine: Machine, op: Loop, items: tuple[Value, ...]) -> bool:
    """Whether each turn makes something of its own: layers, or the items of a short comprehension."""
    if len(items) == 1 or machine.matters(op) or (len(items) <= 4 and Append in map(type, op.body)):
        return True
    if op.packs and len(items) <= (MOST_PACKED if machine.entry is None else MOST_PACKED_UNCALLED):
        return True
    return any(type(part) in CALLED for item in items for part in (item.items if type(item) is Tuple else (item,)))


CALLED = frozenset([Bound, Function, Partial])  # whose turns may each do something else


def over_model(items: tuple[Value, ...]) -> bool:
    """Whether a long list is a model's own parameters or modules, which are worth going through one by one."""
    first = items[0].items[-1] if type(items[0]) is Tuple and items[0].items else items[0]
    if type(first) is Tuple and first.items:
        first = first.items[-1]
    if type(first) is Tensor and type(items[0]) is Tuple:
        first = items[0].items[0]
    return type(first) in (Parameter, Ref, StateKey)


def by_number(machine: Machine, op: Loop, state: State) -> bool:
    """Whether a loop over numbers picks a model's own parameters out of a list by them."""
    picks = (item for item in walk(op.body) if isinstance(item, GetItem) and item.index in op.assigned)
    lists = (state.object(machine.read(state, item.of)) for item in picks)
    items = (found.items for found in lists if type(found) is Sequence)
    return any(found is not None and found and over_model(found) for found in items)


MOST_PACKED = 24  # turns of a loop that puts a project's own modules into a container; those of a library go further
MOST_PACKED_UNCALLED = 2  # in a function that nothing calls, as those of a file that offers a network in all its sizes
LONG = 64  # more items than that are gone through one by one only where they are a model's parts
MOST_TURNS_APART = 8
ENOUGH_FOR_TURNS = 0.5  # of the steps, for a loop that would not come to its end with all of them
MOST_MEETINGS = 32  # of paths that part in one turn of hundreds and go on with the next together


def loop_over(
    machine: Machine, op: Loop, state: State, items: tuple[Value, ...], element: Value, many: bool
) -> list[State]:
    """A turn for each item; where turns go apart over something unknown, one turn for an `element` that is any.

    `many`: the items are a model's parts, or their numbers, of which there may be hundreds.
    """
    states: list[State] = [state]
    out: list[State] = []
    broken: list[State] = []
    spare, remembered, met, before = None, 0, machine.met, machine.budget.spent
    if many:
        machine.budget.add_loop(id(op), len(items) * len(walk(op.body)))
        if machine.budget.used(len(items) * quick.least(op.body)) > 1:  # it would be left in the middle
            return rest_at_once(machine, op, states, element, len(items))
        spare, remembered = state.fork(), len(machine.left.states)
    for taken, item in enumerate(items, 1):
        for one in states:
            one.env[op.element] = item
        alone = many and len(states) == 1
        after = quick.turn(machine, op.body, states[0]) if alone else machine.run(op.body, states)
        if after is not None:
            states, left = turn(after)
            out.extend(s for s in left if s.ended != "break")
            broken.extend(s for s in left if s.ended == "break")
            if len(states) > 1:
                states = machine.merge(states)
            apart = len(states) + len(out) + len(broken)
            if spare is not None and (apart > MOST_TURNS_APART or machine.met - met > MOST_MEETINGS):
                machine.left.forget(remembered)
                return loop_once(machine, op, spare, element)
            if not states:
                break
        left_turns = len(items) - taken
        if machine.budget.skims or (left_turns and overruns(machine, before, taken, left_turns)):
            return out + rest_at_once(machine, op, states, element, left_turns) + resume(broken)
    states = machine.run(op.orelse, states) if op.orelse else states
    return out + states + resume(broken)


def overruns(machine: Machine, before: int, taken: int, left: int) -> bool:
    """Whether turns that cost as much as those taken `before` leave too little for what comes after the loop."""
    budget = machine.budget
    return budget.used() > ENOUGH_FOR_TURNS and budget.used((budget.spent - before) * left // taken) > 1


def loop_in_parts(machine: Machine, op: Loop, state: State, parts: tuple[Value | Rest, ...]) -> list[State]:
    """A turn for each parameter that is known, and one that stands for all those of a part that nobody knows."""
    states, out = [state], list[State]()
    for part in parts:
        if type(part) is Rest:
            after = [one for before in states for one in loop_once(machine, op, before, part.item)]
        else:
            for one in states:
                one.env[op.element] = part
            after = machine.run(op.body, states)
        states, left = turn(after)
        out += left
        if len(states) > 1:
            states = machine.merge(states)
    return out + states


def rest_at_once(machine: Machine, op: Loop, states: list[State], element: Value, turns: int) -> list[State]:
    """What is left of a loop that takes too long: one turn for an `element` that is any, for all its `turns`."""
    machine.lost = True
    out = []
    for state in states:
        state.cut = True
        before = state.events
        for one in loop_once(machine, op, state, element, turns):
            if any(type(event) in events.BUILDING for event in since(one, before)):
                one.skipped = one.skipped or "the turns of a loop"
            out.append(one)
    return out


def turn(states: list[State]) -> tuple[list[State], list[State]]:
    """(those that go on with the loop, those that left it)."""
    on: list[State] = []
    left: list[State] = []
    for state in states:
        if state.ended == "continue":
            state.end("")
        (left if state.ended else on).append(state)
    return on, left


def resume(states: list[State]) -> list[State]:
    for state in states:
        state.end("")
    return states


def all_at_once(machine: Machine, op: Loop, state: State, element: Value) -> list[State]:
    """One turn for all: what it does to an `element` that is any, it does to each, whichever way it goes."""
    before = machine.turns[-1] if machine.turns else None
    picked = before is not None and state.conditions != before
    state.env[op.element] = element
    machine.turns.append(before if picked else None)
    states = machine.run(op.body, [state])
    machine.turns.pop()
    ended = [one for one in states if one.ended]
    states = [one for one in states if not one.ended]
    return ended + (machine.run(op.orelse, states) if op.orelse else states)


def loop_once(
    machine: Machine, op: Loop | While, state: State, element: Value, turns: int | None = None
) -> list[State]:
    """A loop runs once for all its `turns`, if they are known; a number it changed on the way is unknown afterwards."""
    names = [name for name in op.assigned if name[0] != "%" and name in state.env]
    before = {name: state.env[name] for name in names if is_plain(state.env[name])}
    outside = globals_before(machine, state)
    heap_before, events_before, module = state.heap.copy(), state.events, state.frame.module
    iterable = None
    if isinstance(op, Loop):
        iterable = machine.read(state, op.iterable)
        state.env[op.element] = element
    machine.budget.look_at(4, len(state.heap))
    machine.turns.append(state.conditions)
    states, left = turn(machine.run(op.body, [state]))
    machine.turns.pop()
    broken = [s for s in left if s.ended == "break"]
    touched = [
        [address for address, old in heap_before.items() if one.heap[address] is not old] for one in states + broken
    ]
    for one, addresses in zip(states + broken, touched, strict=True):
        changed = [name for name, value in before.items() if not same(one.env.get(name), value)]
        for name in changed:
            one.env[name] = symbol("looped", name, name, id(op))
        for name in [name for name, value in outside.items() if not same(one.globals[module].get(name), value)]:
            one.set_global(module, name, symbol("looped", name, name, id(op)))
        changed += forget_counted(one, heap_before, addresses, op)
        if changed and flags_one_by_one(one, events_before):
            one.log(events.FlagMissed(op, "unknown", UNKNOWN, "requires_grad", UNKNOWN))
    filled = filled_by_each(states[0], heap_before) if len(states) == 1 and not left else []
    grown = grown_by_each(states, heap_before, turns) if turns is not None and not left else {}
    forget_grown(states + broken, heap_before, touched)
    if type(iterable) is Symbol:
        for address in filled:
            states[0].facts["as long", address] = (states[0].heap[address], iterable)
    for one in states:
        for address, length in grown.items():
            one.facts["as long", address] = (one.heap[address], length)
    states = machine.run(op.orelse, states) if op.orelse else states
    return [s for s in left if s.ended != "break"] + states + resume(broken)


def globals_before(machine: Machine, state: State) -> dict[str, Value]:
    """The constants outside of all functions that one of them may set, by the names that it declares global."""
    around = state.globals[state.frame.module]
    return {name: around[name] for name in machine.declared_global() if name in around and is_plain(around[name])}


def forget_counted(state: State, before: Mapping[Any, Any], touched: list[Address], op: Loop | While) -> list[str]:
    """The attributes that one turn of a loop set anew, as in ``self.width *= 2``: all turns set other numbers."""
    forgotten: list[str] = []
    for address in touched:
        now, former = constants(state.heap[address]), constants(before[address])
        if now is not former:
            names = [
                name
                for name, value in now.items()
                if not same(value, was := constant_of(before[address], name)) and is_constant(was)
            ]
            forget_constants(state, address, names, id(op))
            forgotten += names
    return forgotten


def filled_by_each(state: State, before: Mapping[Any, Any]) -> list[Address]:
    """The empty lists that a turn of a loop put one item into, whatever the turn: ``[int(i) for i in ids]``."""
    empty = (address for address, thing in before.items() if type(thing) is Sequence and thing.items == ())
    return [address for address in empty if len(state.heap[address].items or ()) == 1]


def grown_by_each(states: list[State], before: Mapping[Any, Any], turns: int) -> dict[Address, int]:
    """How long the lists are after all turns of a loop, each of which puts as much into them, whichever way it goes."""
    grown: dict[Address, int] = {}
    for address, old in before.items():
        if type(old) is Sequence and old.kind == "list" and old.items is not None:
            more = {growth(old, state.heap[address]) for state in states}
            if len(more) == 1 and (each := more.pop()) is not None:
                grown[address] = len(old.items) + each * turns
    return grown


def growth(old: Sequence, new: Sequence) -> int | None:
    """How many items a list has been given after those it had."""
    if old.items is None or new.items is None or new.items[: len(old.items)] != old.items:
        return None
    return len(new.items) - len(old.items) or None


def flags_one_by_one(state: State, before: Cell) -> bool:
    """Whether a turn of a loop that counts set flags of single parameters: the next turn may set those of others."""
    return any(type(event) is events.Flagged and event.paths is not None for event in since(state, before))


def forget_grown(states: list[State], before: Mapping[Any, Any], touched: list[list[Address]]) -> None:
    """A list, dict or Sequential that a loop of unknown length changed holds nobody knows how many items; one with as
    many as before holds others in their places. `touched`: what the turn changed, by path.

    Also where the one turn that was followed did not change it: another turn did.
    """
    grown: dict[Any, set[Value] | None] = {}
    for state, addresses in zip(states, touched, strict=True):
        for address in addresses:
            new, old = state.heap[address], before[address]
            if type(new) in (Sequence, Dictionary) or (
                type(new) is Module and heap.is_sequential(new) and len(new.children) != len(old.children)
            ):
                changed, so_far = refilled(new, old), grown.get(address, set())
                grown[address] = None if changed is None or so_far is None else changed | so_far
    for state in states:
        for address, names in grown.items():
            thing = state.heap[address]
            if names is not None:
                pairs = ((name, unknown_item(Ref(address), name) if name in names else v) for name, v in thing.items)
                state.heap[address] = thing._replace(items=tuple(pairs))
                continue
            each = each_of(state, Ref(address)) if type(thing) is Sequence and before[address].items == () else UNKNOWN
            state.heap[address] = unsure_of(thing)
            if type(each) is Tensor:
                state.facts["each", address] = (state.heap[address], each)


def refilled(thing: Any, old: Any) -> set[Value] | None:
    """The names under which a dict holds something else than before; None if it has other names."""
    if type(thing) is not Dictionary or type(old) is not Dictionary or not thing.items or not old.items:
        return None
    new, former = dict(thing.items), dict(old.items)
    return {name for name in new if not same(new[name], former[name])} if new.keys() == former.keys() else None


def unsure_of(thing: Any) -> Any:
    """A stack, list or dict of which a loop of unknown length took one turn to fill."""
    if type(thing) is Module:
        return thing._replace(known=False)
    if type(thing) is Sequence and thing.items is not None:
        return thing._replace(items=None, sample=thing.items)
    return thing._replace(items=None)


def on_while(machine: Machine, op: While, state: State) -> list[State]:
    out: list[State] = []
    for one in machine.run(op.test_block, [state]):
        if not one.ended:
            options.decides(machine, machine.read(one, op.test))
        if one.ended or operators.truth(one, machine.read(one, op.test)) is False:
            out.append(one)
        else:
            out.extend(loop_once(machine, op, one, UNKNOWN))
    return out
