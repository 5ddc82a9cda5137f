"""What libraries have in common whose models go by a name each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog.entry import Entry
from headcheck.interpreter import choosing, forward, shapes
from headcheck.interpreter.heap import Module
from headcheck.interpreter.trying import formula, leaf_of
from headcheck.interpreter.values import Chosen, Ref, Tensor, Value, batch_of, symbol
from headcheck.semantics.registry import METHODS, CallSite, Effect
from headcheck.semantics.torchvision import log_built

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State

Make = Callable[[CallSite, str], "Module | None"]


def builder(name: str, entry: Entry, function: str, make: Make) -> choosing.Builder:
    """A model that a name may stand for; `make` says what a call of `function` gives for it, None if that is open."""
    heads = tuple((head.path, head.kind, head.in_features) for head in entry.heads)
    attributes = frozenset((*entry.root.children, *entry.root.values, *entry.root.attributes))

    def put(machine: Machine, state: State, ref: Ref, chosen: Chosen) -> bool:
        call = CallSite(machine, state, function, None, chosen.arguments, dict(chosen.keywords), chosen.site)
        made = make(call, name)
        if made is None:
            return False
        choosing.put_in_place(state, ref, made)
        log_built(call, ref, made)
        return True

    return choosing.Builder(name, heads, attributes, put)


def listed(state: State, key: Value) -> list[str] | None:
    """What a name may be where the script itself lists it, or has settled it; None where it lists nothing, or much."""
    leaf = leaf_of(key)
    known = (state.facts[leaf],) if leaf in state.facts else state.facts.get(("in", leaf), ())
    if leaf is None or not 0 < len(known) <= choosing.MOST_LISTED:
        return None
    answer = formula(key, leaf)
    texts = [answer(one) for one in known]
    return choosing.consistent(state, key, [text for text in texts if isinstance(text, str)])


def before_pooling(call: CallSite, argument: str) -> Value:
    """A method that answers the map before the pooling: the library's head does not answer, whatever comes after does.

    `argument` is the name of what it is given.
    """
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    module, given = call.state.object(call.receiver), call.argument(0, argument)
    entry = module.build.entry if type(module) is Module and module.build is not None else None
    shape = entry.answers.get(call.name) if entry is not None else None
    if (
        entry is None
        or shape is None
        or not shapes.trunk_is_intact(call.state, call.receiver, entry, "", own=forward.own_answer(call.machine))
    ):
        return symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    return Tensor((batch_of(given), *shape), call.receiver.address, call.receiver.address)


#: Methods that the models of several libraries have: what they mean in each.
BY_LIBRARY: dict[str, dict[str, Effect]] = {}


def method_of(library: str, *names: str) -> Callable[[Effect], Effect]:
    """Register what calling a method means on a model of a library, where others may have a method of that name. What
    it means on any other model is not known."""

    def register(function: Effect) -> Effect:
        for name in names:
            BY_LIBRARY.setdefault(name, {})[library] = function
            METHODS[Module, name] = of_its_library
        return function

    return register


def of_its_library(call: CallSite) -> Value:
    known, built = BY_LIBRARY[call.name], call.state.object(call.receiver).build
    library = built.builder.partition(".")[0] if built is not None else ""
    if library in known:
        return known[library](call)
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    return symbol("features", f"{call.name}(…)", call.receiver, call.name, call.argument(0, "x"))
