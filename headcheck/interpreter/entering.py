"""How code that nothing calls is entered: with arguments nobody knows, on an object made for it or by the script."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from typing import Any

from headcheck import events
from headcheck.interpreter.access import class_attribute, lineage
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.heap import LIGHTNING, Instance, Module, library_bases, subtree
from headcheck.interpreter.machine import Machine
from headcheck.interpreter.state import MADE_UP, State
from headcheck.interpreter.values import Bound, Class, Function, Library, Ref, Tuple, Value, is_plain, symbol
from headcheck.ir import UNKNOWN, Define, Operation, operations_in
from headcheck.ir.scopes import scope_of

MOST_HOMES = 4  # paths through an `__init__` from whose ends the methods are followed
EVALUATING = frozenset(["predict_step", "test_step", "validation_step"])
LOADERS = {f"{stage}_step": f"{short}_dataloader" for stage, short in (("training", "train"), ("validation", "val"))}
SITE = Operation(None)  # where the calls come from that the script does not make


def call_entry(machine: Machine, home: State, function: Value) -> list[State]:
    """Call with no arguments known; with their defaults only in the run that takes defaults. Whoever runs a network may
    well give it an input that is None by default."""
    enter(machine, function)
    state = home.fork()
    # What a network was handed to is what runs it: its forward is followed as it was made.
    state.facts = {fact: known for fact, known in state.facts.items() if type(fact) is not tuple or fact[0] != "handed"}
    state.end("")
    state.result = None
    state.log(entered(machine, state, function))
    keywords = {**unknown_arguments(machine, function), "**": UNKNOWN}
    if machine.defaults:
        keywords = {name: keywords[name] for name in optional_inputs(machine, function)}
    if type(function) is Bound:
        keywords |= given_batch(machine, state, function)
        if definition(machine, function).name in EVALUATING:
            evaluate(state, function.receiver)
    return call_value(machine, state, function, (), keywords, SITE)


def entered(machine: Machine, state: State, function: Value) -> events.Entered:
    """What is said of a function that nothing calls where it is entered."""
    name = definition(machine, function).name
    if type(function) is not Bound or type(function.receiver) is not Ref:
        return events.Entered(SITE, name)
    thing = state.object(function.receiver)
    cls = thing.cls if type(thing) in (Instance, Module) else None
    others = others_of(cls, function.function) if cls is not None else ()
    loads = any("load_state_dict" in scope_of(definition(machine, other)).spoken for other in others)
    return events.Entered(SITE, name, function.receiver.address, loads)


def others_of(cls: Class, function: Function) -> Iterator[Function]:
    """The other methods of a class, its own and those that it inherits from the script's."""
    for base in lineage(cls):
        for _, value in base.attributes:
            if type(value) is Function and value.code != function.code:
                yield value


def evaluate(state: State, receiver: Value) -> None:
    """Lightning's trainer puts a module into evaluation mode before it calls these steps of it."""
    thing = state.object(receiver)
    cls = thing.cls if type(thing) is Module else None
    if cls is not None and not library_bases(cls).isdisjoint(LIGHTNING):
        for _, part in list(subtree(state, receiver)):
            state.heap[part.address] = state.heap[part.address]._replace(training=False)


def given_batch(machine: Machine, state: State, step: Bound) -> dict[str, Value]:
    """What Lightning gives to a step of a module that has a loader of its own: what the loader hands out."""
    define = definition(machine, step)
    thing = state.object(step.receiver)
    cls = thing.cls if type(thing) is Module else None
    if define.name not in LOADERS or cls is None or library_bases(cls).isdisjoint(LIGHTNING):
        return {}
    found = class_attribute(cls, LOADERS[define.name])
    if found is None or type(found[0]) is not Function or len(define.parameters) < 2:
        return {}
    from headcheck.semantics import datasets

    loader = machine.call_quietly(state, Bound(step.receiver, *found), (), {}, SITE)
    known = type(state.object(loader)) is datasets.Loader
    return {define.parameters[1].name: datasets.batch(state, loader)} if known else {}


def enter(machine: Machine, function: Value) -> None:
    """What is run next starts in a function, whatever was followed before."""
    machine.entry = frozenset(map(id, operations_in(definition(machine, function))))


def unknown_arguments(machine: Machine, function: Value) -> dict[str, Value]:
    """Every parameter as an unknown named after it, also where it has a default; the first as what decorators give."""
    plain = function.function if type(function) is Bound else function
    define = definition(machine, function)
    parameters = [p for p in define.parameters if not p.kind]
    skipped = parameters[1:] if type(function) is Bound else parameters
    kinds = ["stand-in" if number < plain.stand_ins else "parameter" for number in range(len(skipped))]
    return {p.name: symbol(kind, p.name, plain.code, p.name) for kind, p in zip(kinds, skipped, strict=True)}


def optional_inputs(machine: Machine, function: Value) -> list[str]:
    """The inputs of a forward that are None where they are not given."""
    if type(function) is not Bound or definition(machine, function).name != "forward":
        return []
    return [name for name, default in function.function.defaults if default is None]


def find_object(ends: list[State], cls: Class) -> tuple[State, Ref] | None:
    """An object of a class that the script itself made, and a path that did."""
    for state in ends:
        for address, thing in state.heap.items():
            if type(thing) in (Module, Instance) and thing.cls is not None and thing.cls.code == cls.code:
                return state, Ref(address)
    return None


def make_homes(machine: Machine, ends: list[State], target: Class, followed: list[State]) -> list[tuple[State, Ref]]:
    """Make an object of a class of arguments that nobody knows: paths that did, and the object. Adds to `followed`."""
    machine.entry = None  # what functions followed before did is no part of this
    keywords = {} if machine.defaults else {"**": symbol("arguments", "…")}
    home = ends[0].fork()
    home.facts[MADE_UP] = True
    made = call_value(machine, home, left_to_others(home, target), (), keywords, SITE)
    mark_lost(machine, made)
    followed.extend(made)
    open_ = [state for state in made if not state.ended and type(state.result) is Ref]
    several = bool(open_) and type(open_[0].object(open_[0].result)) is Module
    return [(state, state.result) for state in homes_of(open_, MOST_HOMES if several else 1)]


def left_to_others(state: State, target: Class) -> Class:
    """A class as an object is made of it that the script does not make: what classes derived from it set otherwise may
    only stand for what each of them sets."""
    classes = (value for values in state.globals.values() for value in values.values() if type(value) is Class)
    below = [one for one in classes if one.code != target.code and any(c.code == target.code for c in lineage(one))]
    if not below:
        return target
    above = {one.code for one in lineage(target)}
    names = {k for one in below for each in lineage(one) if each.code not in above for k, v in each.attributes}
    found = {name: class_attribute(target, name) for name in sorted(names)}
    settings = [name for name, each in found.items() if each is not None and is_setting(each[0])]
    own = tuple((name, value) for name, value in target.attributes if name not in settings)
    left = tuple((name, symbol("attribute", f"{target.name}.{name}", target.code, name)) for name in settings)
    return target._replace(attributes=own + left) if settings else target


def is_setting(value: Value) -> bool:
    return is_plain(value) or type(value) in (Library, Tuple)


def homes_of(open_: list[State], most: int) -> list[State]:
    """So many of the paths through an `__init__`, one for each guess at a model before a second for any; to take the
    only one that the script lists is no guess. Where a guess is left without one, what is found on the others may not
    hold for it."""
    if len(open_) <= most:
        return open_
    others = {guess.group for state in open_ for guess in state.guesses if guess.name is None}
    rows: dict[Any, list[State]] = {}
    for state in open_:
        guesses = [g for g in state.guesses if g.kind != "listed" or g.of > 1 or g.group in others]
        rows.setdefault(tuple((guess.group, guess.name) for guess in guesses), []).append(state)
    unlike = [most_unlike(row, most) for row in rows.values()]
    taken = [state for row in itertools.zip_longest(*unlike) for state in row if state is not None][:most]
    if len(rows) > most:
        taken = [state.fork() for state in taken]
        for state in taken:
            state.cut = True
    return taken


def most_unlike(states: list[State], most: int) -> list[State]:
    """So many of some paths, the first and then always the one that took the most branches as none before it did: the
    first ones may all be at odds with what the methods ask for."""
    left = [
        (state, {(test if type(test) is str else id(test), held) for test, held, _ in state.conditions})
        for state in states
    ]
    taken: list[State] = []
    seen: set[Any] = set()
    while left and len(taken) < most:
        best = max(range(len(left)), key=lambda place: len(left[place][1] - seen)) if taken else 0
        state, ways = left.pop(best)
        taken.append(state)
        seen |= ways
    return taken


def code_of(function: Value) -> int:
    plain = function.function if type(function) is Bound else function
    assert type(plain) in (Function, Class)
    return int(plain.code)


def name_of(machine: Machine, target: Value) -> str:
    return target.name if type(target) is Class else definition(machine, target).name


def definition(machine: Machine, function: Value) -> Define:
    define = machine.definitions[code_of(function)]
    assert isinstance(define, Define)
    return define


def size_of(machine: Machine, target: Value) -> int:
    """How many operations a function has, or all methods of a class."""
    if type(target) is Class:
        return 1 + sum(size_of(machine, value) for _, value in target.attributes if type(value) is Function)
    return len(operations_in(definition(machine, target)))


def sizes_of(machine: Machine, targets: list[Value], last: Collection[str]) -> list[int]:
    """How many operations each of some functions and classes has. What is called `last`, and so stands at the end, goes
    with a function before it, too, that names it: ``def worker(rank): run()`` is as long as what it runs, and what it
    runs is not followed for itself then."""
    sizes = [size_of(machine, target) for target in targets]
    named = {name_of(machine, target): size for target, size in zip(targets, sizes, strict=True)}
    ends = {name: named[name] for name in named.keys() & last}
    if not ends:
        return sizes
    return [
        size + sum(ends[name] for name in ends.keys() & scope_of(definition(machine, target)).free)
        if type(target) is Function and name_of(machine, target) not in ends
        else size
        for target, size in zip(targets, sizes, strict=True)
    ]


def shares(sizes: list[int]) -> list[float]:
    """What part of the whole is gone when each of some things is."""
    whole = sum(sizes) or 1
    return [gone / whole for gone in itertools.accumulate(sizes)]


def mark_lost(machine: Machine, states: list[State]) -> None:
    """Where a path was left out, nothing can be said of all paths."""
    for state in states:
        state.cut = state.cut or machine.lost
    machine.lost = False
