"""Optimizers of `torch`: which parameters they got, in which groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headcheck import events
from headcheck.interpreter import heap
from headcheck.interpreter.heap import Dictionary, Module, Optimizer, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import (
    Address,
    Filtered,
    Lazy,
    Method,
    Parameter,
    Parameters,
    Ref,
    Tuple,
    Value,
)
from headcheck.ir import UNKNOWN
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, family, method


@family("torch.optim.")
def optimizer(call: CallSite) -> Value:
    kind = call.name.rsplit(".", 1)[-1]
    if call.name.startswith("torch.optim.lr_scheduler") or not kind[:1].isupper():
        return unknown(call)
    groups: list[tuple[int, dict[str, Value]]] = []
    given = call.argument(0, "params")
    found, complete = gather(call, given, groups)
    made: Ref = call.state.allocate(Optimizer(kind, found, complete, call.site), call.site)
    keywords = {k: v for k, v in call.keywords.items() if k != "params"}
    if len(call.arguments) > 1:
        keywords["lr"] = call.arguments[1]
    whole = () if complete else wholes(call, given)
    of = frozenset(asked(call, given))
    made_of = events.Optimized(
        call.site, made.address, f"torch.optim.{kind}", found, complete, tuple(groups), keywords, whole, of=of
    )
    call.state.log(made_of)
    return made


def gather(
    call: CallSite, value: Value, groups: list[tuple[int, dict[str, Value]]]
) -> tuple[tuple[Parameter, ...], bool]:
    """(the parameters an optimizer gets from a value, whether those are all)."""
    if type(value) is Parameters:
        return gather_module(call, value)
    if type(value) is Parameter:
        return ((value,), True) if value.path != "*" else ((), False)
    if type(value) is Method and value.name in ("parameters", "named_parameters"):
        if type(call.state.object(value.receiver)) is Module:
            call.state.log(events.Uncalled(call.site, value.name, "method"))
        return (), False
    thing = call.state.object(value)
    if type(thing) is Dictionary and thing.view is None:
        pairs = dict(thing.items or ())
        found, complete = gather(call, pairs.get("params", UNKNOWN), [])
        groups.append((len(found), {k: v for k, v in pairs.items() if k != "params"}))
        return found, complete and thing.items is not None
    found_items = items_of(call.machine, call.state, value, call.site) if type(value) in GATHERED else None
    if found_items is None:
        return (), False
    parts = [gather(call, named_parameter(item), groups) for item in found_items]
    return tuple(p for found, _ in parts for p in found), all(complete for _, complete in parts)


GATHERED = frozenset({Tuple, Ref, Filtered, Lazy})


def named_parameter(item: Value) -> Value:
    """Optimizers also take (name, parameter) pairs."""
    is_pair = type(item) is Tuple and len(item.items) == 2 and type(item.items[1]) is Parameter
    return item.items[1] if is_pair else item


def gather_module(call: CallSite, value: Parameters) -> tuple[tuple[Parameter, ...], bool]:
    if type(call.state.object(value.owner)) is not Module:
        return (), False
    listing = heap.list_parameters(call.state, value.owner, value.own)
    return tuple(parameter for _, parameter in listing.items), listing.complete


def wholes(call: CallSite, value: Value) -> tuple[tuple[tuple[Address, ...], Mapping[str, Value]], ...]:
    """Groups that are all parameters of some modules, by these and their options; () where one is something else."""
    thing = call.state.object(value)
    pairs = dict(thing.items) if type(thing) is Dictionary and thing.view is None and thing.items else None
    if pairs is not None:
        owners = whole_modules(call, pairs.get("params", UNKNOWN))
        return ((owners, {k: v for k, v in pairs.items() if k != "params"}),) if owners else ()
    owners = whole_modules(call, value)
    if owners:
        return ((owners, {}),)
    items = items_of(call.machine, call.state, value, call.site) if type(value) in (Tuple, Ref) else None
    found = [wholes(call, item) for item in items or ()]
    return tuple(group for groups in found for group in groups) if all(found) else ()


def whole_modules(call: CallSite, value: Value) -> tuple[Address, ...]:
    """The module whose parameters a value is, all of them."""
    is_whole = type(value) is Parameters and not value.own and type(call.state.object(value.owner)) is Module
    return (value.owner.address,) if is_whole and type(value.owner) is Ref else ()


def asked(call: CallSite, value: Value) -> Iterator[Address]:
    """The modules whose ``parameters()`` a value is made of, as far as it says so itself."""
    if type(value) is Filtered:
        value = value.iterable
    if type(value) is Parameters and type(value.owner) is Ref:
        yield value.owner.address
    thing = call.state.object(value)
    if type(thing) is Dictionary and thing.view is None:
        yield from asked(call, dict(thing.items or ()).get("params", UNKNOWN))
    items = thing.items if type(thing) is Sequence else value.items if type(value) is Tuple else None
    for item in items or ():
        if type(item) is not Parameter:
            yield from asked(call, item)


@method(Optimizer, "add_param_group")
def add_param_group(call: CallSite) -> Value:
    groups: list[tuple[int, dict[str, Value]]] = []
    given = call.argument(0, "param_group")
    found, complete = gather(call, given, groups)
    thing = call.state.heap[call.receiver.address]
    call.state.heap[call.receiver.address] = thing._replace(
        parameters=thing.parameters + found, complete=thing.complete and complete
    )
    options = groups[0][1] if groups else {}
    whole = () if complete else wholes(call, given)
    call.state.log(events.GroupAdded(call.site, call.receiver.address, found, complete, options, whole))
    return None


@method(Optimizer, "step")
def step(call: CallSite) -> Value:
    call.state.log(events.Stepped(call.site, call.receiver.address))
    return None


@method(Optimizer, "zero_grad")
def zero_grad(call: CallSite) -> Value:
    return None


@method(Optimizer, "*")
def other_optimizer_method(call: CallSite) -> Value:
    return unknown(call)
