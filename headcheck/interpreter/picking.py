"""What a dict or a list of models or builders holds under a name, or at a place, that is not known."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headcheck import catalog
from headcheck.interpreter.choosing import MOST_LISTED, consistent, groups, rule_out, take
from headcheck.interpreter.heap import Dictionary, Module, Sequence
from headcheck.interpreter.state import Guess, State
from headcheck.interpreter.trying import leaf_of
from headcheck.interpreter.values import (
    Bound,
    Choice,
    Class,
    Function,
    Library,
    Partial,
    Split,
    Symbol,
    Tuple,
    Value,
    is_plain,
    label,
    symbol,
)
from headcheck.ir import UNKNOWN, Call, GetAttribute, SetAttribute, walk
from headcheck.semantics import registry

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def pick(
    machine: Machine, state: State, of: Value, thing: Dictionary, key: Value, default: Value = UNKNOWN
) -> Split | None:
    """What a dict of builders or models, or a table of what belongs to each, holds under a name that is not known: each
    of its entries on a path of its own.

    None if the dict is not one of these.
    """
    if type(key) is not Symbol or not thing.items or not all(is_plain(name) for name, _ in thing.items):
        return None
    namespace = namespace_in(thing.items)
    if namespace is not None:
        return Split(((state, Choice(namespace, key)),))
    entries = dict(thing.items)
    kind = "listed"
    if "__name__" in entries:  # the variables of a module: not each is meant to be chosen
        entries, kind = candidates(machine, state, entries, key)
    elif not any(makes_model(machine, state, each) for each in entries.values()) and not is_table(state, entries, key):
        entries = {}
    if not entries:
        return None
    names = consistent(state, key, entries)
    taken = names if len(names) <= MOST_LISTED else one_of_each(names, entries)[:MOST_LISTED]
    group = next(groups)
    paths = each(state, key, {name: entries[name] for name in taken}, group, kind)
    if default is not UNKNOWN or kind != "listed" or len(names) > len(taken):
        rule_out(state, key, taken)
        if kind != "listed":
            state.guesses = (*state.guesses, Guess(group, None, kind, len(taken), None))
        rest = symbol("item", f"…[{label(key)}]", of, key) if default is UNKNOWN else default
        paths.append((state, rest))
    return Split(tuple(paths)) if paths else None


def each(state: State, key: Symbol, entries: Mapping[Any, Value], group: int, kind: str) -> list[tuple[State, Value]]:
    """A path for each name that an unknown may be, and what stands under it."""
    paths: list[tuple[State, Value]] = []
    for name, value in entries.items():
        path = state.fork()
        take(path, key, name, (group, kind, len(entries), not paths))
        paths.append((path, value))
    return paths


def pick_to_call(state: State, function: Symbol, given: Iterable[Value]) -> list[tuple[State, Value]]:
    """What a dict of the script's functions or classes holds under a name that is not known, where it is called with a
    model: each of its entries on a path of its own. Nothing if it is none of these."""
    made = function.key
    if not isinstance(made, tuple) or made[0] != "item" or type(made[2]) is not Symbol:
        return []
    thing = state.object(made[1])
    entries = dict(thing.items or ()) if type(thing) is Dictionary else {}
    if len(entries) > MOST_LISTED or not all(type(value) in (Class, Function) for value in entries.values()):
        return []
    if not all(map(is_plain, entries)) or not any(is_model(state.object(value)) for value in given):
        return []
    names = consistent(state, made[2], entries)
    return each(state, made[2], {name: entries[name] for name in names}, next(groups), "listed")


def is_model(thing: object) -> bool:
    return type(thing) is Module and (thing.build is not None or thing.cls is not None or thing.chosen is not None)


def one_of_each(names: list[Any], entries: Mapping[Any, Value]) -> list[Any]:
    """Some names, those first that stand for a library's models with other heads than those before them."""
    first = {heads_of(entries[name]): name for name in reversed(names)}
    return sorted(names, key=lambda name: first[heads_of(entries[name])] != name)


def heads_of(value: Value) -> Value:
    """The heads of the model that a library's builder makes; of anything else, the value itself."""
    builder = catalog.canonical(value.name) if type(value) is Library else None
    entry = catalog.find(builder, {}, False) if builder is not None else None
    return value if entry is None else tuple((head.path, head.kind, head.in_features) for head in entry.heads)


def pick_nth(machine: Machine, state: State, thing: Sequence, index: Symbol) -> Split | None:
    """What a list of builders or models holds at a place that is not known; None if it is none of these."""
    entries = thing.items or ()
    if not 0 < len(entries) <= MOST_LISTED or not all(makes_model(machine, state, entry) for entry in entries):
        return None
    group = next(groups)
    paths: list[tuple[State, Value]] = []
    for place, entry in enumerate(entries):
        path = state.fork()
        take(path, index, place, (group, "listed", len(entries), not paths))
        paths.append((path, entry))
    return Split(tuple(paths))


def candidates(
    machine: Machine, state: State, entries: Mapping[str, Value], key: Symbol
) -> tuple[dict[str, Value], str]:
    """What a name may be meant to choose among the variables of a module, and the kind of guess that it is: all that
    makes models; if the path has tested the name and none of these can have passed, what can, if that is one or two.
    Of more than two one stands for the others, so that nothing is said of them."""
    found = {name: value for name, value in entries.items() if builds(machine, state, name, value)}
    if consistent(state, key, found):
        return found, "all"
    public = {name: value for name, value in entries.items() if name[:1] != "_" and type(value) in (Class, Function)}
    left = consistent(state, key, public)
    if not left or len(left) == len(public):
        return {}, "all"
    return ({name: public[name] for name in left}, "all") if len(left) < 3 else ({left[0]: public[left[0]]}, "few")


def builds(machine: Machine, state: State, name: str, value: Value) -> bool:
    """Whether a variable of a module is a function or class for others that makes models."""
    return name[:1] != "_" and type(value) in CALLABLE and makes_model(machine, state, value)


CALLABLE = frozenset({Class, Function, Library, Partial})


def is_table(state: State, entries: Mapping[Any, Value], key: Symbol) -> bool:
    """Whether a dict says something of each model: most of its names are those of models, or what it says is plain and
    an open one goes by the name that is looked up."""
    if len(entries) > MOST_LISTED:
        return False
    known = [name for name in entries if isinstance(name, str) and catalog.model_builder(name) is not None]
    if 2 * len(known) >= len(entries):
        return True
    if not all(is_plain(value) for value in entries.values()):
        return False
    chosen = (thing.chosen for thing in state.heap.values() if type(thing) is Module)
    return any(one is not None and leaf_of(one.choice.key) == leaf_of(key) for one in chosen)


MOST_BY_HAND = 40  # builders that a script may import one by one


def namespace_in(items: Iterable[tuple[Value, Value]]) -> str | None:
    """The namespace of a library whose builders a star import brought, all under their own names."""
    found = [value.name.rpartition(".")[0] for name, value in items if is_builder(name, value)]
    return found[0] if len(found) > MOST_BY_HAND and len(set(found)) == 1 else None


def is_builder(name: Value, value: Value) -> bool:
    return type(value) is Library and value.name.endswith(f".{name}") and catalog.canonical(value.name) is not None


def makes_model(machine: Machine, state: State, value: Value, depth: int = 3) -> bool:
    """Whether a value is a model or makes one, or holds what does."""
    kind = type(value)
    if kind is Library:
        return registry.makes_model(value.name)
    if kind in (Function, Class):
        return speaks_of_models(machine, value.code)
    if kind is Bound:
        return speaks_of_models(machine, value.function.code)
    if kind is Partial:
        return makes_model(machine, state, value.function)
    if kind is Tuple:
        return depth > 0 and any(makes_model(machine, state, item, depth - 1) for item in value.items)
    thing = state.object(value)
    if type(thing) is Module:
        return is_model(thing)
    if type(thing) is Sequence:
        return depth > 0 and any(makes_model(machine, state, item, depth - 1) for item in thing.items or ())
    if type(thing) is Dictionary:
        return depth > 0 and any(makes_model(machine, state, item, depth - 1) for _, item in thing.items or ())
    return False


def speaks_of_models(machine: Machine, code: int) -> bool:
    """Whether the body of a function or class names a builder or a head."""
    known = machine.speaking.get(code)
    if known is None:
        define = machine.definitions.get(code)
        words = {o.name for o in walk(define.body) if isinstance(o, (GetAttribute, SetAttribute))} if define else set()
        words |= {str(o.function) for o in walk(define.body) if isinstance(o, Call)} if define else set()
        known = machine.speaking[code] = not words.isdisjoint(model_words())
    return known


@functools.cache
def model_words() -> frozenset[str]:
    return frozenset([*catalog.registered(), *HEAD_WORDS])


HEAD_WORDS = ("classifier", "create_model", "fc", "from_pretrained", "get_model", "heads")
