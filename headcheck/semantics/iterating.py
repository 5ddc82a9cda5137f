"""What goes over others: `enumerate`, `zip` and the bars that show how far a loop has come."""

from __future__ import annotations

from headcheck.interpreter.heap import Sequence, StateDict
from headcheck.interpreter.iterate import ELEMENTS, element_of, items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tuple, Value, symbol
from headcheck.records import NamedTuple
from headcheck.semantics import statedicts
from headcheck.semantics.python import make_list, unknown
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
    return make_list(
        call, tuple(Tuple(parts) for parts in zip(*[found for found in lists if found is not None], strict=False))
    )


@effect("tqdm.tqdm", *(f"tqdm.{name}.tqdm" for name in ("auto", "autonotebook", "notebook", "std", "rich", "asyncio")))
@effect("rich.progress.track", "fastprogress.progress_bar", "fastprogress.fastprogress.progress_bar")
def bar(call: CallSite) -> Value:
    """A bar goes over what it is given."""
    given = call.argument(0, "iterable", call.keywords.get("sequence"))
    return given if is_stream(call.state, given) else unknown(call)


@effect("itertools.islice", "itertools.cycle")
def part(call: CallSite) -> Value:
    """Some of the items, or all of them over and over."""
    given = call.argument(0, "iterable")
    return given if is_stream(call.state, given) else unknown(call)


@method(Together, "*")
def together_method(call: CallSite) -> Value:
    return unknown(call)
