"""Turns of a loop over hundreds of a model's parameters or modules, which mostly do the same few things: ask for a name
or a class, count, set a flag. Each operation becomes a closure that does what its handler would in the case that is
nearly always met, without asking for any other; it leaves all others to the handler. The machine goes on where paths
part or end."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import events
from headcheck.catalog.entry import Node
from headcheck.interpreter import heap, operators, writing
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Library, Parameter, ParameterName, Ref, Symbol, Tuple, Value
from headcheck.ir import (
    UNKNOWN,
    Binary,
    Block,
    Call,
    Compare,
    End,
    GetAttribute,
    GetItem,
    If,
    Move,
    Operation,
    SetAttribute,
    Unary,
    Variable,
)

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

#: What an operation does to a path; None where that goes on alone, as it is.
Step: TypeAlias = "Callable[[State], list[State] | None]"

COUNTS: dict[str, Callable[[int, int], int]] = {"Add": operator.add, "Subtract": operator.sub}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {**operators.ORDER, "Equal": operator.eq, "NotEqual": operator.ne}
ISINSTANCE = Library("builtins.isinstance")
MOST = 10**6
AS_MUCH = 4  # operations that take as long, where they are closures, as one that its handler does


class Plan:
    """The steps of a block, each with where its operation stands there, and what the budget is charged for all that are
    left of it from there on."""

    __slots__ = ("block", "left", "places", "steps")

    def __init__(self, machine: Machine, block: Block) -> None:
        self.block = block
        self.steps: list[Step] = []
        self.places: list[int] = []
        self.left = [least(block[place:]) for place in range(len(block) + 1)]
        for place, operation in enumerate(block):
            maker = MAKERS.get(type(operation), as_handled)
            step = maker(machine, operation)
            if step is not None:
                self.steps.append(step)
                self.places.append(place)


def least(block: Block) -> int:
    """What the operations of a block cost, those that their handlers do and those that are closures, but for what is in
    the blocks that are in it."""
    handled = sum(type(operation) not in MAKERS for operation in block)
    return handled + -(-(len(block) - handled) // AS_MUCH)


def turn(machine: Machine, block: Block, state: State) -> list[State] | None:
    """Run a block, as the machine does; None where the path goes on alone, as it nearly always does."""
    if (
        machine.switched or machine.recorder is not None or state.frame.global_names
    ):  # where less is as it nearly always is
        return machine.run(block, [state])
    plan = machine.plans.get(id(block))
    if plan is None:
        plan = machine.plans[id(block)] = Plan(machine, block)
    return follow(machine, plan, state)


def follow(machine: Machine, plan: Plan, state: State) -> list[State] | None:
    """Take the steps of a plan, as many as a path takes alone."""
    machine.budget.spent += plan.left[0]
    for number, step in enumerate(plan.steps):
        after = step(state)
        if after is not None:
            ended = [one for one in after if one.ended]
            others = [one for one in after if not one.ended]
            place = plan.places[number] + 1
            rest = plan.block[place:]
            machine.budget.spent -= plan.left[place]
            return ended + machine.run(rest, others, 1) if others else ended
    return None


def as_handled(machine: Machine, op: Operation) -> Step:
    """What the handler of an operation does."""
    handler = machine.handlers[type(op)]

    def step(state: State) -> list[State] | None:
        after = handler(machine, op, state)
        if after is None or (len(after) == 1 and after[0] is state):
            return [state] if state.ended else None
        return after

    return step


def end(machine: Machine, op: End) -> Step | None:
    """The end of a statement drops what that kept for itself."""
    names = op.temporaries

    def step(state: State) -> None:
        env = state.env
        for name in names if names is not None else [name for name in env if name[0] == "%"]:
            env.pop(name, None)

    return step if names != [] else None


def move(machine: Machine, op: Move) -> Step:
    general, target, source = as_handled(machine, op), op.target, op.value

    def step(state: State) -> list[State] | None:
        value = state.env.get(source, UNKNOWN)
        if value is UNKNOWN or type(value) is Symbol:
            return general(state)
        state.env[target] = value
        return None

    return step if type(source) is Variable else general


def get_item(machine: Machine, op: GetItem) -> Step:
    """An item of a tuple: a turn starts with its name and its parameter."""
    general, target, source, index = as_handled(machine, op), op.target, op.of, op.index

    def step(state: State) -> list[State] | None:
        of = state.env.get(source)
        if type(of) is not Tuple or not index < len(of.items) or type(of.items[index]) is Symbol:
            return general(state)
        state.env[target] = of.items[index]
        return None

    return step if type(index) is int and index >= 0 and type(source) is Variable else general


def get_attribute(machine: Machine, op: GetAttribute) -> Step:
    """A parameter of a layer that is as the library made it, a flag, or a member of a library."""
    general, target, source, name = as_handled(machine, op), op.target, op.of, op.name
    members: dict[Library, Value] = {}

    def step(state: State) -> list[State] | None:
        of = state.env.get(source, UNKNOWN)
        if of is UNKNOWN:
            of = machine.read(state, source)
        kind = type(of)
        if kind is Ref:
            layer = as_made(state, of)
            if layer is not None and name in layer.node.parameters and name not in layer.children:  # type: ignore[union-attr]
                state.env[target] = Parameter(of, name)
                return None
        elif kind is Parameter and name == "requires_grad":
            flag = heap.is_trainable(state, of)
            if flag is not None:
                state.env[target] = flag
                return None
        elif kind is Library:
            if of in members:
                state.env[target] = members[of]
                return None
            before = state.events
            after = general(state)
            if after is None and not state.guards and state.events is before and type(state.env[target]) is Library:
                members[of] = state.env[target]
            return after
        return general(state)

    return step if type(source) is Variable and not op.discarded else general


def as_made(state: State, ref: Ref) -> Module | None:
    """A part of a library's model to which the script set nothing but parts."""
    thing = state.heap[ref.address]
    return thing if type(thing) is Module and heap.is_untouched(thing) else None


def set_attribute(machine: Machine, op: SetAttribute) -> Step:
    """The flag of a parameter."""
    general, owner, source, key = as_handled(machine, op), op.of, op.value, id(op)
    named = type(source) is Variable

    def step(state: State) -> list[State] | None:
        of, value = state.env.get(owner), state.env.get(source) if named else source
        if type(of) is not Parameter or type(value) is not bool or of.path == "*":
            return general(state)
        if type(state.object(of.owner)) is not Module:
            return general(state)
        machine.reached.add(key)
        machine.told.add(key)
        writing.flag_parameter(state, of, value, op)
        return None

    return step if op.name == "requires_grad" and type(owner) is Variable else general


def unary(machine: Machine, op: Unary) -> Step:
    general, target, source = as_handled(machine, op), op.target, op.operand

    def step(state: State) -> list[State] | None:
        value = state.env.get(source)
        if type(value) is not bool:
            return general(state)
        state.env[target] = not value
        return None

    return step if op.operator == "Not" and type(source) is Variable else general


def binary(machine: Machine, op: Binary) -> Step:
    """Counting."""
    general, target, one, other = as_handled(machine, op), op.target, op.left, op.right
    count = COUNTS.get(op.operator)
    one_named, other_named = type(one) is Variable, type(other) is Variable

    def step(state: State) -> list[State] | None:
        left = state.env.get(one) if one_named else one
        right = state.env.get(other) if other_named else other
        if type(left) is not int or type(right) is not int or abs(left) > MOST or abs(right) > MOST:
            return general(state)
        state.env[target] = count(left, right)  # type: ignore[misc]
        return None

    return step if count is not None else general


def compare(machine: Machine, op: Compare) -> Step:
    """A number with a number, or a text with a parameter's name."""
    general, target, one, other = as_handled(machine, op), op.target, op.left, op.right
    order, asks_in, wanted = ORDERS.get(op.operator), op.operator in ("In", "NotIn"), op.operator == "In"
    one_named, other_named = type(one) is Variable, type(other) is Variable

    def step(state: State) -> list[State] | None:
        left = state.env.get(one) if one_named else one
        right = state.env.get(other) if other_named else other
        if asks_in and type(left) is str and type(right) is ParameterName:
            result = left in right
            state.log(events.NameTested(op, right.parameter, "in", left, result))
            state.env[target] = result is wanted
            return None
        if order is None or type(left) is not int or type(right) is not int:
            return general(state)
        state.env[target] = order(left, right)
        return None

    return general if op.discarded else step


def branch(machine: Machine, op: If) -> Step:
    general, source = as_handled(machine, op), op.test
    plans: dict[bool, Plan] = {}

    def step(state: State) -> list[State] | None:
        test = state.env.get(source)
        if type(test) is not bool:
            return general(state)
        plan = plans.get(test)
        if plan is None:
            plan = plans[test] = Plan(machine, op.body if test else op.orelse)
        return follow(machine, plan, state)

    return step if type(source) is Variable else general


def call(machine: Machine, op: Call) -> Step:
    """Whether a layer is of a class: the catalog has one node for all parts that are the same."""
    general, target, function = as_handled(machine, op), op.target, op.function
    if len(op.arguments) != 2 or op.keywords or any(starred for starred, _ in op.arguments):
        return general
    (_, of), (_, classes) = op.arguments
    known: dict[tuple[Node | None, str, Value], bool] = {}

    def step(state: State) -> list[State] | None:
        part = state.env.get(of)
        layer = as_made(state, part) if type(part) is Ref else None
        if layer is None or machine.offers or machine.read(state, function) != ISINSTANCE:
            return general(state)
        key = layer.node, layer.kind, machine.read(state, classes)
        if key in known:
            state.env[target] = known[key]
            return None
        after = general(state)
        if after is None and type(state.env[target]) is bool:
            known[key] = state.env[target]
        return after

    return step


MAKERS: dict[type[Operation], Callable[[Machine, Any], Step | None]] = {
    End: end,
    Move: move,
    GetItem: get_item,
    GetAttribute: get_attribute,
    SetAttribute: set_attribute,
    Unary: unary,
    Binary: binary,
    Compare: compare,
    If: branch,
    Call: call,
}
