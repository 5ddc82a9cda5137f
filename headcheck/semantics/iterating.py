"""What goes over others: `map`, `enumerate`, `zip`, `reduce`, and the bars that show how far a loop has come."""

from __future__ import annotations

import itertools

from headcheck import events
from headcheck.interpreter.calls import call_unknown
from headcheck.interpreter.heap import Module, Sequence, StateDict
from headcheck.interpreter.iterate import ELEMENTS, element_of, items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Filtered, Library, Parameter, Parameters, Ref, Tuple, Value, symbol
from headcheck.records import NamedTuple
from headcheck.semantics import statedicts
from headcheck.semantics.python import items, make_list, unknown
from headcheck.semantics.registry import CallSite, effect, method


class Together(NamedTuple):
    """Things gone over side by side, nobody knows how often; `counted`: with a number before them."""

    parts: tuple[Value, ...]
    counted: bool


def each_together(state: State, ref: Ref) -> Value:
    """What one turn gets: an item of each, after its number."""
    thing = state.object(ref)
    assert type(thing) is Together
    number = (symbol("element", "number", ref),) if thing.counted else ()
    return Tuple((*number, *(element_of(state, part) for part in thing.parts)))


ELEMENTS[Together] = each_together


def is_stream(state: State, value: Value) -> bool:
    """Whether it is known what each item is, but not how many there are."""
    return type(state.object(value)) in ELEMENTS


@effect("builtins.enumerate")
def enumerate_(call: CallSite) -> Value:
    given, start = call.argument(0, "iterable"), call.argument(1, "start", 0)
    if is_stream(call.state, given):
        return call.state.allocate(Together((given,), True), call.site)
    found = items_of(call.machine, call.state, given, call.site)
    if found is None or type(start) is not int:
        return make_list(call, None)
    return make_list(call, tuple(Tuple((index, item)) for index, item in enumerate(found, start)))


def has_gaps(call: CallSite, value: Value) -> bool:
    """Whether other keys of a state dict stand between those that are known, so that nobody knows how they pair up."""
    thing = call.state.object(value)
    is_view = type(thing) is Sequence and thing.kind == statedicts.VIEW
    return is_view or type(thing) is StateDict or statedicts.is_taken(value)


@effect("builtins.zip")
def zip_(call: CallSite) -> Value:
    if any(is_stream(call.state, argument) for argument in call.arguments):
        return call.state.allocate(Together(call.arguments, False), call.site)
    lists = [items_of(call.machine, call.state, argument, call.site) for argument in call.arguments]
    if (
        call.is_open()
        or any(found is None for found in lists)
        or any(has_gaps(call, argument) for argument in call.arguments)
    ):
        return make_list(call, None)
    rows = tuple(zip(*[found for found in lists if found is not None], strict=False))
    if rows and len(lists) == 2 and Parameter in map(type, rows[0]):
        log_pairs(call, rows if type(rows[0][1]) is Parameter else tuple((of, with_) for with_, of in rows))
    return make_list(call, tuple(Tuple(parts) for parts in rows))


def log_pairs(call: CallSite, rows: tuple[tuple[Value, ...], ...]) -> None:
    """That parameters go with modules, if it is these that they are beside."""
    if all(type(with_) is Parameter and type(call.state.object(of)) is Module for of, with_ in rows):
        call.state.log(events.Paired(call.site, tuple((of.address, with_) for of, with_ in rows)))


@effect("builtins.map")
def map_(call: CallSite) -> Value:
    found = items(call, call.arguments[1]) if len(call.arguments) == 2 and not call.is_open() else None
    if found is None:
        return make_list(call, None)
    function = call.arguments[0]
    done = tuple(call.machine.call_quietly(call.state, function, (item,), {}, call.site) for item in found)
    return make_list(call, done, "iterator")


@effect("builtins.filter")
def filter_(call: CallSite) -> Value:
    return Filtered(call.argument(0, "function"), call.argument(1, "iterable"))


@effect("itertools.chain")
def chain(call: CallSite) -> Value:
    return chained(call, call.arguments)


@effect("itertools.chain.from_iterable")
def chain_from(call: CallSite) -> Value:
    found = items(call, call.argument(0, "iterable"))
    return unknown(call) if found is None else chained(call, found)


def chained(call: CallSite, parts: tuple[Value, ...]) -> Value:
    """All items, one after another; parameters that are not all known are one that stands for any of them."""
    found: list[Value] = []
    for part in parts:
        known = items(call, part)
        if known is None and type(part) not in (Parameters, Filtered):
            return unknown(call)
        found.extend((element_of(call.state, part),) if known is None else known)
    return unknown(call) if call.is_open() else make_list(call, tuple(found), "iterator")


@effect("functools.reduce")
def reduce_(call: CallSite) -> Value:
    """One call after another, each given what the one before it answered: ``reduce(getattr, ["fc", "0"], model)``."""
    found = items(call, call.arguments[1]) if len(call.arguments) in (2, 3) else None
    if found is None or call.is_open() or len(call.arguments) + len(found) < 3:
        return call_unknown(call.machine, call.state, Library(call.name), call.arguments, call.keywords, call.site)[
            0
        ].result
    value, *rest = (*call.arguments[2:], *found)
    for item in rest:
        value = call.machine.call_quietly(call.state, call.arguments[0], (value, item), {}, call.site)
    return value


@effect("tqdm.tqdm", *(f"tqdm.{name}.tqdm" for name in ("auto", "autonotebook", "notebook", "std", "rich", "asyncio")))
@effect("rich.progress.track", "fastprogress.progress_bar", "fastprogress.fastprogress.progress_bar")
def bar(call: CallSite) -> Value:
    """A bar goes over what it is given."""
    given = call.argument(0, "iterable", call.keywords.get("sequence"))
    return given if is_stream(call.state, given) else unknown(call)


@effect("itertools.cycle")
def cycle(call: CallSite) -> Value:
    """All items, over and over."""
    given = call.argument(0, "iterable")
    return given if is_stream(call.state, given) else unknown(call)


@effect("itertools.islice")
def islice(call: CallSite) -> Value:
    """Some of the items."""
    given, bounds = call.argument(0, "iterable"), call.arguments[1:]
    if is_stream(call.state, given):
        return given
    found = items(call, given)
    if found is None or not bounds or any(b is not None and (type(b) is not int or b < 0) for b in bounds):
        return make_list(call, None)
    return make_list(call, tuple(itertools.islice(found, *bounds[:3])), "iterator")


@method(Together, "*")
def together_method(call: CallSite) -> Value:
    return unknown(call)
