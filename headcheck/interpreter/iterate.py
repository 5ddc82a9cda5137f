"""What a `for` over a value goes through, where it is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.catalog.entry import NOTHING, Node
from headcheck.interpreter import heap, parts, taking
from headcheck.interpreter.heap import Dictionary, Module, Sequence, StateDict
from headcheck.interpreter.operators import truth
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Filtered,
    Lazy,
    Library,
    Method,
    Modules,
    Parameter,
    ParameterName,
    Parameters,
    Ref,
    Symbol,
    Tuple,
    Value,
    symbol,
)
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple
from headcheck.semantics.layers import own_parameters

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

LONGEST = 64
LONGEST_MODEL = 3000  # as many modules as are gone through one by one
BELOW = frozenset(["modules", "named_modules"])  # what goes over a module itself and all that is below it
UNCALLED = frozenset(["children", "named_children", "modules", "named_modules"])


def items_of(machine: Machine, state: State, value: Value, site: Operation) -> tuple[Value, ...] | None:
    """All items that iterating over `value` yields, or None if they are not known."""
    kind = type(value)
    if kind is Tuple:
        return tuple(value.items)
    if isinstance(value, str):
        return tuple(value) if len(value) <= LONGEST else None
    if kind is Parameters:
        return parameters_of(state, value)
    if kind is Modules:
        return modules_of(state, value, site)
    if kind is Filtered:
        return filtered(machine, state, value, site)
    if kind is Lazy:
        return items_of(machine, state, machine.call_quietly(state, value.function, (), {}, site), site)
    if kind is Method and value.name in ("parameters", "named_parameters"):
        state.log(events.FlagMissed(site, "uncalled", value.receiver, value.name, None))
        return None
    if kind is Method and value.name in UNCALLED and type(state.object(value.receiver)) is Module:
        state.log(events.Uncalled(site, value.name, "method"))
        return None
    if kind is Symbol and isinstance(value.key, tuple) and value.key[0] == "state dict":
        return state_keys(state, value)
    if kind is Ref:
        thing = state.heap[value.address]
        if type(thing) is Sequence:
            return thing.items
        if type(thing) is Dictionary:
            return None if thing.items is None else tuple(key for key, _ in thing.items)
        if type(thing) is StateDict:
            return state_keys(state, value)
        if type(thing) is Module and heap.is_sequential(thing) and thing.known:
            return tuple(heap.get_child(state, value, name, site) for name in heap.slot_names(thing))
    return None


def state_keys(state: State, value: Value) -> tuple[Value, ...] | None:
    from headcheck.semantics import statedicts

    return statedicts.keys(state, value)


def parameters_of(state: State, value: Parameters) -> tuple[Value, ...] | None:
    if type(state.object(value.owner)) is not Module:
        return None
    listing = heap.list_parameters(state, value.owner, value.own)
    if not listing.complete:
        return None
    if not value.named:
        return tuple(parameter for _, parameter in listing.items)
    prefix = f"{value.prefix}." if value.prefix else ""
    return tuple(Tuple((ParameterName(prefix + name, parameter), parameter)) for name, parameter in listing.items)


class Rest(NamedTuple):
    """All parameters of a part of a model of which nothing is known but its name."""

    item: Value


def parameters_known(state: State, value: Parameters, site: Operation) -> tuple[Value | Rest, ...] | None:
    """The parameters of a model that are known by their names, and the parts whose parameters are not, in their order:
    of a model of transformers mostly the head, and what is before it. None where there is no telling."""
    found: list[Value | Rest] = []
    if not value.named or value.own:
        return None
    prefix = f"{value.prefix}." if value.prefix else ""
    known = _parameters_known(state, value, prefix, site, found) and any(type(item) is Tuple for item in found)
    return tuple(found) if known else None


def _parameters_known(state: State, value: Parameters, prefix: str, site: Operation, found: list[Value | Rest]) -> bool:
    ref = value.owner
    module = state.object(ref)
    if type(module) is not Module or module.chosen is not None:
        return False
    if not module.known:
        if module.node is None or module.node.known != NOTHING or module.children:
            return False
        unknown = symbol("format", "name", prefix, symbol("name", "name", ref))
        found.append(Rest(Tuple((unknown, Parameter(ref, "*")))))
        return True
    own = own_parameters(module)
    if own is None:
        return False
    for name in own:
        parameter = Parameter(ref, name)
        found.append(Tuple((ParameterName(prefix + name, parameter), parameter)))
    for name in heap.child_names(module):
        child = heap.get_child(state, ref, name, site)
        inside = Parameters(child, True)
        if type(child) is not Ref or not _parameters_known(state, inside, f"{prefix}{name}.", site, found):
            return False
    return True


def modules_of(state: State, value: Modules, site: Operation) -> tuple[Value, ...] | None:
    thing = state.object(value.owner)
    if type(thing) is not Module or not thing.known:
        return None
    if value.kind in BELOW:
        count = count_modules(state, value.owner)
        if count is None or count > LONGEST_MODEL:
            return None
        below = taking.take_all(state, value.owner, site)
        return tuple(ref for _, ref in below) if value.kind == "modules" else tuple(map(Tuple, below))
    if thing.cls is not None and any(map(may_be_module, thing.values.values())):
        return None
    names = heap.child_names(thing)
    children = [heap.get_child(state, value.owner, name, site) for name in names]
    return tuple(children) if value.kind == "children" else tuple(map(Tuple, zip(names, children, strict=True)))


def may_be_module(value: Value) -> bool:
    """Whether an attribute that a network of the script has may be a module: code that nobody reads made it."""
    from headcheck.interpreter.definitions import is_of_unread_module

    key: Any = value.key if type(value) is Symbol else None
    made = isinstance(key, tuple) and key[0] in ("call", "call at") and key[1 if key[0] == "call" else 2]
    return type(made) in (Library, Symbol) and is_of_unread_module(made)


def count_modules(state: State, part: parts.Part) -> int | None:
    """How many modules there are below (and with) one, None if that is not known. None of them gets an address."""
    if isinstance(part, Node):
        return modules_in(part)
    children = parts.children_of(state, part)
    return None if children is None else in_all([count_modules(state, child) for _, child in children])


@lru_cache(maxsize=4096)
def modules_in(node: Node) -> int | None:
    """How many modules a part of the catalog's tree has; None if one of them is not known."""
    return None if node.known == NOTHING else in_all([modules_in(child) for child in node.children.values()])


def in_all(counts: list[int | None]) -> int | None:
    """One and as many as in its parts."""
    total = 1
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def filtered(machine: Machine, state: State, value: Filtered, site: Operation) -> tuple[Value, ...] | None:
    items = items_of(machine, state, value.iterable, site)
    if items is None:
        return () if passes_none(machine, state, value, site) else None
    kept = []
    for item in items:
        answer = item if value.function is None else machine.call_quietly(state, value.function, (item,), {}, site)
        verdict = truth(state, answer)
        if verdict is None:
            return None
        if verdict:
            kept.append(item)
    return tuple(kept)


def passes_none(machine: Machine, state: State, value: Filtered, site: Operation) -> bool:
    """Whether parameters that are not known pass no test, whichever they are: ``p.requires_grad`` of a frozen model."""
    if type(value.iterable) is not Parameters or value.function is None:
        return False
    each = element_of(state, value.iterable)
    return truth(state, machine.call_quietly(state, value.function, (each,), {}, site)) is False


# What one item of an object of a library is, by the class that stands for it.
ELEMENTS: dict[type, Callable[[State, Ref], Value]] = {}


def each_of(state: State, value: Value) -> Value:
    """What every item of a list is like: of one that a loop of unknown length filled, what its one turn put in.

    That holds as long as nothing else changes the list: the object that stands for it is then still the same.
    """
    thing = state.object(value)
    if type(thing) is not Sequence:
        return UNKNOWN
    if thing.items is None:
        kept, each = state.facts.get(("each", value.address), (None, UNKNOWN))
        return each if kept is thing else UNKNOWN
    return thing.items[0] if len(set(thing.items)) == 1 else UNKNOWN


def element_of(state: State, value: Value) -> Value:
    """What one item of an iterable of unknown length is."""
    maker = ELEMENTS.get(type(state.object(value)))
    if maker is not None:
        return maker(state, value)
    if type(value) is Parameters and not value.own:
        parameter = Parameter(value.owner, "*")
        if value.named:
            return Tuple((symbol("name", "name", value), parameter))
        return parameter
    if type(value) is Filtered and type(value.iterable) is Parameters:
        return element_of(state, value.iterable)
    return symbol("element", "…", value)
