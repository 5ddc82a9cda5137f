"""The operations that make or change a value: one handler each. A handler answers the states that go on, or None for
"the same state"."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.interpreter import access, choosing, flagging, indexing, operators, options, picking, writing
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.heap import Dictionary, Instance, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.touching import forget_what_python_calls
from headcheck.interpreter.values import (
    LARGEST_LIST,
    Parameter,
    Ref,
    Slice,
    Symbol,
    Tuple,
    Value,
    distinct,
    is_plain,
    symbol,
    weight,
)
from headcheck.ir import (
    UNKNOWN,
    Append,
    Binary,
    Call,
    Compare,
    DeleteAttribute,
    DeleteItem,
    DeleteName,
    End,
    FormatString,
    GetAttribute,
    GetItem,
    MakeDict,
    MakeSequence,
    MakeSlice,
    Move,
    Operand,
    Operation,
    SetAttribute,
    SetItem,
    Unary,
    Variable,
)

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def on_end(machine: Machine, op: End, state: State) -> None:
    return None


def on_move(machine: Machine, op: Move, state: State) -> None:
    value = machine.read(state, op.value)
    if machine.switched and id(op) in machine.switched:
        value = machine.setting(op.target, value, id(op))
    if op.target in state.frame.global_names:
        state.set_global(state.frame.module, op.target, value)
    else:
        state.env[op.target] = value


def on_get_attribute(machine: Machine, op: GetAttribute, state: State) -> list[State] | None:
    of = machine.read(state, op.of)
    if type(of) is Ref and op.name not in choosing.COMMON and choosing.is_open(state, of):
        paths = choosing.settle(machine, state, of, op.name)
        for path in paths:
            get_attribute(machine, op, path, of)
        return paths
    get_attribute(machine, op, state, of)
    return None


def get_attribute(machine: Machine, op: GetAttribute, state: State, of: Value) -> None:
    if op.discarded:
        access.log_discarded(state, of, op.name, op)
    value = access.get_attribute(machine, state, of, op.name, op)
    state.env[op.target] = state.resolve(value) if state.pinned and type(value) is Symbol else value
    if value is None and access.is_left_out(state, of, op.name):
        state.facts["left out", op.target] = (of, op.name)
    elif of is None:
        use_of_none(state, op)


def use_of_none(state: State, op: GetAttribute | SetAttribute) -> None:
    """An attribute of a part that the library left out of a model of its own: ``model.aux1.fc2`` without the part."""
    left_out = state.facts.get(("left out", op.of))
    if left_out is not None:
        of, name = left_out
        access.missing(state, of, name, "none", op)


def on_set_attribute(machine: Machine, op: SetAttribute, state: State) -> list[State] | None:
    machine.reached.add(id(op))
    before = state.events
    of, value = machine.read(state, op.of), machine.read(state, op.value)
    options.goes_into(machine, state, of, op.name, value)
    if type(of) is Ref and (value is None or type(value) is Ref) and choosing.is_open(state, of):
        machine.told.add(id(op))
        paths = choosing.settle(machine, state, of, op.name)
        for path in paths:
            writing.set_attribute(machine, path, of, op.name, value, op)
        return paths
    if type(of) is Parameter and of.path == "*" and op.name == "requires_grad":
        flagging.flag_everything(machine, state, of, value, op)
    else:
        writing.set_attribute(machine, state, of, op.name, value, op)
    if of is None:
        use_of_none(state, op)
    if state.events is not before:
        machine.told.add(id(op))
    return None


def on_delete_attribute(machine: Machine, op: DeleteAttribute, state: State) -> None:
    writing.delete_attribute(state, machine.read(state, op.of), op.name, op)


def on_get_item(machine: Machine, op: GetItem, state: State) -> list[State] | None:
    of, index = machine.read(state, op.of), machine.read(state, op.index)
    options.decides(machine, index)
    thing = state.object(of)
    if type(thing) in (Dictionary, Sequence) and type(index) is Symbol:
        split = (
            picking.pick(machine, state, of, thing, index)
            if type(thing) is Dictionary
            else picking.pick_nth(machine, state, thing, index)
        )
        if split is not None:
            for path, value in split.paths:
                path.env[op.target] = value
            return [path for path, _ in split.paths]
    if type(thing) is Instance:
        forget_what_python_calls(machine, state, of)
    paths = settled(machine, state, of, index)
    for path in paths:
        value = indexing.get_item(machine, path, of, index, op)
        path.env[op.target] = path.resolve(value) if type(value) is Symbol else value
    return paths


def settled(machine: Machine, state: State, of: Value, index: Value) -> list[State]:
    """The paths on which an item is read or set: one for each model that it may be a part of, if that is open.

    In ``model._modules`` an item goes by the name of the part.
    """
    thing = state.object(of)
    model, asked = of, ""
    if type(thing) is Dictionary and thing.view is not None:
        model, asked = Ref(thing.view), index if isinstance(index, str) else ""
    return choosing.settle(machine, state, model, asked) if choosing.is_open(state, model) else [state]


def on_set_item(machine: Machine, op: SetItem, state: State) -> list[State]:
    machine.reached.add(id(op))
    of, index, value = machine.read(state, op.of), machine.read(state, op.index), machine.read(state, op.value)
    options.decides(machine, index)
    forget_what_python_calls(machine, state, of)
    paths = settled(machine, state, of, index)
    for path in paths:
        before = path.events
        indexing.set_item(path, of, index, value, op)
        if path.events is not before:
            machine.told.add(id(op))
    return paths


def on_delete_item(machine: Machine, op: DeleteItem, state: State) -> None:
    of = machine.read(state, op.of)
    forget_what_python_calls(machine, state, of)
    indexing.delete_item(state, of, machine.read(state, op.index), op)


def on_delete_name(machine: Machine, op: DeleteName, state: State) -> None:
    state.env.pop(op.name, None)


def on_make_slice(machine: Machine, op: MakeSlice, state: State) -> None:
    state.env[op.target] = Slice(*(machine.read(state, part) for part in (op.start, op.stop, op.step)))


def on_make_sequence(machine: Machine, op: MakeSequence, state: State) -> None:
    items = spread(machine, state, op.items, op)
    if op.kind == "tuple":
        state.env[op.target] = UNKNOWN if items is None or is_large(items) else Tuple(items)
    else:
        kept = distinct(items) if op.kind == "set" else items
        state.env[op.target] = state.allocate(Sequence(kept, op.kind), op)


def is_large(items: tuple[Value, ...]) -> bool:
    """Whether a tuple is too long to keep, with the tuples in it."""
    nested = Tuple in map(type, items)
    return len(items) >= LARGEST_LIST or (nested and weight(items, LARGEST_LIST) > LARGEST_LIST)


def spread(
    machine: Machine, state: State, operands: list[tuple[bool, Operand]], site: Operation
) -> tuple[Value, ...] | None:
    """The values of a list of operands, starred ones unpacked; None if one of those is not known."""
    values: list[Value] = []
    for starred, operand in operands:
        value = machine.read(state, operand) if type(operand) is Variable else operand
        if not starred:
            values.append(value)
            continue
        items = items_of(machine, state, value, site)
        if items is None:
            options.decides(machine, value)
            return None
        values.extend(items)
    return tuple(values)


def on_make_dict(machine: Machine, op: MakeDict, state: State) -> None:
    pairs: dict[Value, Value] | None = {}
    for starred, key, value in op.items:
        if starred:
            thing = state.object(machine.read(state, value))
            inner = thing.items if type(thing) is Dictionary else None
            pairs = None if pairs is None or inner is None else {**pairs, **dict(inner)}
        elif pairs is not None:
            name = machine.read(state, key)
            options.decides(machine, name)
            pairs[name] = machine.read(state, value)
    known = None if pairs is None or any(k is UNKNOWN for k in pairs) else tuple(pairs.items())
    state.env[op.target] = state.allocate(Dictionary(known), op)


KEY_OF = itemgetter(0)


def on_append(machine: Machine, op: Append, state: State) -> None:
    ref = machine.read(state, op.of)
    thing = state.object(ref)
    if type(thing) is Sequence and thing.items is not None:
        items = (*thing.items, machine.read(state, op.value))
        state.heap[ref.address] = thing._replace(items=distinct(items) if thing.kind == "set" else items)
    elif type(thing) is Dictionary and thing.items is not None:
        key, value = machine.read(state, op.key), machine.read(state, op.value)
        kept = thing.items
        if key in map(KEY_OF, kept):
            kept = tuple((k, v) for k, v in kept if k != key)
        state.heap[ref.address] = thing._replace(items=(*kept, (key, value)))


def on_format_string(machine: Machine, op: FormatString, state: State) -> None:
    parts = [machine.read(state, part) for part in op.parts]
    if all(is_plain(part) for part in parts):
        state.env[op.target] = "".join(str(part) for part in parts)[:10_000]
    else:
        state.env[op.target] = symbol("format", "f'…'", *parts)
        for part in parts:
            if type(part) is Ref:
                forget_what_python_calls(machine, state, part)


def on_binary(machine: Machine, op: Binary, state: State) -> None:
    left, right = machine.read(state, op.left), machine.read(state, op.right)
    thing = state.object(left)
    if op.in_place and op.operator == "Add" and type(thing) is Sequence:
        items = items_of(machine, state, right, op)
        known = None if items is None or thing.items is None else thing.items + items
        known = None if known is not None and len(known) > LARGEST_LIST else known
        state.heap[left.address] = thing._replace(items=known)
        state.env[op.target] = left
    else:
        for value in (left, right):
            if type(value) is Ref:
                forget_what_python_calls(machine, state, value)
        if op.in_place and type(left) is Parameter:
            writing.overwritten(state, left, op)
        value = state.env[op.target] = operators.binary(state, op.operator, left, right, op)
        if value is UNKNOWN:
            options.decides(machine, left, right)


IDENTITY = frozenset(["Is", "IsNot"])  # what asks no method


def on_unary(machine: Machine, op: Unary, state: State) -> None:
    state.env[op.target] = operators.unary(state, op.operator, machine.read(state, op.operand))


def on_compare(machine: Machine, op: Compare, state: State) -> None:
    left, right = machine.read(state, op.left), machine.read(state, op.right)
    if op.operator not in IDENTITY:
        for value in (left, right):
            if type(value) is Ref:
                forget_what_python_calls(machine, state, value)
    if op.discarded == "requires_grad" and op.operator == "Equal":
        state.log(events.FlagMissed(op, "comparison", left, op.operator, right))
    state.env[op.target] = operators.compare(state, op.operator, left, right, op)


def on_call(machine: Machine, op: Call, state: State) -> list[State]:
    function = machine.read(state, op.function)
    arguments = spread(machine, state, op.arguments, op)
    keywords: dict[str, Value] = {}
    complete = arguments is not None
    for name, operand in op.keywords:
        value = machine.read(state, operand)
        if name is not None:
            keywords[name] = value
            continue
        thing = state.object(value)
        if type(thing) is Dictionary and thing.items is not None and all(isinstance(k, str) for k, _ in thing.items):
            keywords.update(thing.items)
        else:
            options.decides(machine, value)
            complete = False
    if not complete:
        keywords["**"] = UNKNOWN
    after = call_value(machine, state, function, arguments or (), keywords, op)
    if machine.offers:
        options.called(machine, state, function, arguments or (), keywords, after)
    for one in after:
        if not one.ended:
            result = one.result
            one.env[op.target] = one.resolve(result) if one.pinned and type(result) is Symbol else result
    return after
