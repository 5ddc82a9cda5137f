"""What the user may leave as it is: arguments that have a default, and whether it can matter to a model that they do.

A file is run twice: once for whatever its arguments are, and once as it is when started without them. But most of them
(a learning rate, a folder, how many epochs) only go where nothing depends on them, and the second run would do what the
first did. So each is an unknown that is *optional*, as is all that is made of it, and the second run is made only if
one of these came to where its value decides something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from headcheck import catalog
from headcheck.interpreter import values
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Bound, Class, Function, Library, Method, Ref, Symbol, Tuple, Value
from headcheck.semantics import registry

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

OWN = frozenset([Bound, Class, Function])
PARTED = values.MADE_OF_PARTS | {Ref, Tuple}
# Functions of libraries that do the same whatever they are given, or whose answer is as optional as that is.
INDIFFERENT = frozenset(
    [
        "builtins.abs", "builtins.bool", "builtins.float", "builtins.hasattr", "builtins.int", "builtins.max",
        "builtins.min", "builtins.open", "builtins.print", "builtins.range", "builtins.repr", "builtins.str",
        "torch.device", "torch.save", "torch.utils.data.DataLoader",
    ]
)  # fmt: skip
INDIFFERENT_FAMILIES = frozenset(["builtins.", "torch.", "torch.optim.", "torchvision."])
DATASETS = "torchvision.datasets."  # which are the same wherever they lie


def offer(machine: Machine, unknown: Symbol, default: Value) -> Symbol:
    """The unknown for an argument that has a default."""
    if isinstance(default, str) and catalog.model_builder(default) is not None:
        machine.asked = True
    machine.offers = True
    return unknown._replace(optional=True)


def is_optional(machine: Machine, value: Value) -> bool:
    """Whether a value is, or is made of, what the user may leave as it is."""
    return value.address in machine.optional if type(value) is Ref else values.is_optional(value)


def decides(machine: Machine, *given: Value) -> None:
    """Something depends on these."""
    if machine.offers and not machine.asked:
        for value in given:
            if is_optional(machine, value):
                machine.asked = True


def goes_into(machine: Machine, state: State, owner: Value, name: str, value: Value) -> None:
    """A value is written to an attribute. An object of the script, or a network without such a part, only keeps it."""
    if not machine.offers or machine.asked:
        return
    thing = state.object(owner)
    keeps = type(thing) is Instance
    if type(thing) is Module:
        keeps = thing.cls is not None and name != "requires_grad" and name not in thing.children
    if not keeps:
        decides(machine, value)


def called(
    machine: Machine,
    state: State,
    function: Value,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    after: list[State],
) -> None:
    """A function was called with some values. What nobody follows answers something that may depend on them."""
    if not machine.offers or machine.asked or type(function) in OWN:
        return
    given: Iterable[Value] = (function, *arguments, *keywords.values())
    if type(function) is Library and function.name.startswith(DATASETS):
        given = (*arguments[1:], *(value for name, value in keywords.items() if name != "root"))
    for value in given:
        kind = type(value)
        if kind is Method:  # as optional as what it is of, where that is no object
            value, kind = value.receiver, type(value.receiver)
            if kind is Ref:
                continue
        if kind is Symbol:
            if value.optional:
                break
        elif kind in PARTED and holds(machine, state, value):
            break
    else:
        return
    if not is_indifferent(state, function):
        machine.asked = True
        return
    for one in after:
        if type(one.result) is Symbol:
            one.result = one.result._replace(optional=True)
        elif type(one.result) is Ref:
            machine.optional.add(one.result.address)
    if type(function) is Method and type(function.receiver) is Ref:
        machine.optional.add(function.receiver.address)


def holds(machine: Machine, state: State, value: Value) -> bool:
    """Whether a value is optional, or a list, dict or object with something in it that is."""
    if type(value) is not Ref or is_optional(machine, value):
        return is_optional(machine, value)
    thing = state.object(value)
    parts: Iterable[Value] = ()
    if type(thing) is Dictionary:
        parts = chain.from_iterable(thing.items or ())
    elif type(thing) is Instance:
        parts = thing.attributes.values()
    elif type(thing) is Sequence:
        parts = thing.items or ()
    return any(is_optional(machine, part) for part in parts)


def is_indifferent(state: State, function: Value) -> bool:
    """Whether what a function does, but for its answer, does not depend on what it is given."""
    if type(function) is Library:
        name = function.name
        return name in INDIFFERENT or registry.find_effect(name) is None or is_of_family(name)
    if type(function) is Method:
        receiver = function.receiver
        grows = type(state.object(receiver)) is Sequence and function.name in ("add", "append", "insert")
        return grows or type(receiver) is Symbol or isinstance(receiver, str)
    return type(function) is Symbol and not (isinstance(function.key, tuple) and function.key[-1] in ("size", "view"))


def is_of_family(name: str) -> bool:
    """Whether a function of a library has no effect of its own, and is one of those that do nothing to a model."""
    family = next((prefix for prefix, _ in registry.FAMILIES if name.startswith(prefix)), "")
    return name not in registry.EFFECTS and family in INDIFFERENT_FAMILIES
