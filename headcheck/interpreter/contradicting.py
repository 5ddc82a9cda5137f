"""Branches that contradict what a path has tested before, in other words: ``name == "vgg19"`` where it is known that
``name.lower() == "resnet50"``.

Facts are kept for each test as it stands. What two different tests of one unknown have in common is asked here, by
trying texts: those that the script itself compares the unknown with, one that it does not speak of, and the names of
the library's models.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from headcheck import catalog
from headcheck.catalog.files import library_of
from headcheck.interpreter.choosing import KEPT
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.trying import agreeing, formula, is_same, kept, leaf_of, leaves, speaking_of
from headcheck.interpreter.values import Choice, Condition, Library, Not, Ref, Symbol, Tuple, Value, is_plain, label
from headcheck.ir import UNKNOWN

ANOTHER = "\0another"
MOST_TRIED = 12
CASES = (str, str.lower, str.upper, str.capitalize)


def contradicts(state: State, test: Value, wanted: bool) -> bool:
    """Whether no value of an unknown is left for which a test comes out so, by all that the path knows of it."""
    if asks_library(state, test) or takes_for_another(state, test, wanted):
        return True
    leaf = leaf_of(test)
    if leaf is None or leaf is test:
        return is_emptied(state, test, wanted)
    about = speaking_of(state.facts, leaf)
    return bool(about) and is_ruled_out(leaf, about, test, wanted)


def is_emptied(state: State, test: Value, wanted: bool) -> bool:
    """Whether a branch is that of an empty text, for an argument whose default is another: nobody types that."""
    while type(test) is Not:
        test, wanted = test.of, not wanted
    return not wanted and ("filled", test) in state.facts


@functools.lru_cache(KEPT)
def is_ruled_out(leaf: Symbol, about: tuple[tuple[Any, Any], ...], test: Value, wanted: bool) -> bool:
    allowed = next((known for fact, known in about if fact == ("in", leaf)), None)
    tests = [agreeing(fact, known, leaf) for fact, known in about]
    answer = formula(test, leaf)
    possible = False
    if allowed is None:
        allowed = named(leaf, about, test) if asks_again(leaf, about, test, wanted) else to_try(leaf, about, test)
    for value in allowed:
        if all(agrees(value) for agrees in tests):
            if answer(value) is not (not wanted):
                return False
            possible = True
    return possible


def asks_again(leaf: Symbol, about: tuple[tuple[Any, Any], ...], test: Value, wanted: bool) -> bool:
    """Whether a test looks in a text for what that text was found not to be: ``"vgg11" in name`` behind the branch of
    ``name == "vgg11"``. It is for that name that it asks again, and not for any other that has this one in it."""
    ruled_out = next((known for fact, known in about if fact == ("not", leaf)), ())
    answer = formula(test, leaf)
    return any(isinstance(text, str) and text in ruled_out and answer(text) is wanted for text in constants(test, leaf))


def named(leaf: Symbol, about: tuple[tuple[Any, Any], ...], test: Value) -> Iterator[Any]:
    """The values that a script itself speaks of, and what it has found to be in one text put together."""
    found = dict.fromkeys(constants(test, leaf))
    inside = [text for text in found if isinstance(text, str)]
    for fact, known in about:
        found.update(constants_in(fact, known, leaf))
        inside += [text for text in constants_in(fact, known, leaf) if known is True and isinstance(text, str)]
    yield from found
    yield from put_together(inside[:MOST_TRIED])


def put_together(texts: list[str]) -> Iterator[str]:
    """Two texts in one, but no names of two models: a script that looks for one after the other asks which it is."""
    return ("".join(pair) for pair in itertools.permutations(texts, 2) if not all(map(is_model_name, pair)))


def to_try(leaf: Symbol, about: tuple[tuple[Any, Any], ...], test: Value) -> Iterator[Any]:
    """Values that an unknown may be, those first that are soon found to be possible: what it is not compared with, what
    it is, alone and put together, and the names of models."""
    found = dict.fromkeys(constants(test, leaf))
    for fact, known in about:
        found.update(constants_in(fact, known, leaf))
    texts = [text for text in found if isinstance(text, str)][:MOST_TRIED]
    if is_counted(leaf, [test, *(fact[-1] if type(fact) is tuple else fact for fact, _ in about)]):
        whole = [value for value in found if type(value) is int]
        yield from dict.fromkeys(near for value in (0, *whole) for near in (value, value + 1, value - 1) if near >= 0)
        return
    yield ANOTHER
    yield from found
    yield from {case(text) for text in texts for case in CASES}
    yield from put_together(texts)
    named = [text for text in texts if is_model_name(text)]
    yield from ("".join(text for text in texts if text == name or text not in named) for name in named or [""])
    yield from catalog.registered()


@functools.cache
def is_model_name(text: str) -> bool:
    """Whether models of the library have names that begin so. No name holds two of these but those that the library
    gives: a script that looks for one after the other asks which model it is."""
    return bool(text) and any(name.startswith(text.lower()) for name in catalog.registered())


def is_counted(leaf: Symbol, tests: Iterable[Value]) -> bool:
    """Whether an unknown is how many there are of something, and is compared itself, with numbers alone."""
    if not isinstance(leaf.key, tuple) or leaf.key[:2] not in COUNTS:
        return False
    return all(is_same(test, leaf) or is_compared(leaf, test) for test in map(asked_of, tests))


def is_compared(leaf: Symbol, test: Value) -> bool:
    if type(test) is not Condition:
        return False
    sides = (test.left, test.right)
    return any(is_same(one, leaf) and type(other) is int for one, other in (sides, sides[::-1]))


def asked_of(test: Value) -> Value:
    return test.of if type(test) is Not else test


COUNTS = frozenset([("call", "builtins.len"), ("call", "torch.cuda.device_count")])


def asks_library(state: State, test: Value) -> bool:
    """Whether a test looks for words in what a thing of a library, or one of its models, says of itself:
    ``str(weights)``, ``repr(model)``. What they say is sure, but not known here: no script can choose a branch."""
    asked = test.of if type(test) is Not else test
    if type(asked) is not Condition or not any(isinstance(each, str) for each in constants_of(asked)):
        return False
    return any(map(partial(is_said_by_library, state), asked[1:]))


def is_said_by_library(state: State, value: Value) -> bool:
    """Whether a text is made of a thing of a library, but for what its functions answer."""
    kind = type(value)
    if kind is Library:
        return library_of(value.name) is not None
    if kind is Ref:
        thing = state.object(value)
        return type(thing) is Module and thing.cls is None
    if kind is Choice:
        return True
    if kind is not Symbol or not isinstance(value.key, tuple):
        return False
    made, *made_of = value.key
    if made not in SAYING:
        return False
    return any(is_said_by_library(state, part) for part in made_of[made == "call" and type(made_of[0]) is Library :])


def takes_for_another(state: State, test: Value, wanted: bool) -> bool:
    """Whether a branch is for models of a class that nothing here knows, and that a model of the library is asked for:
    whether it is of it is sure, but not known here. One of the same name may well be it, one of the same library may
    be what it derives from: then it is the other branch that may not be taken."""
    while type(test) is Not:
        test, wanted = test.of, not wanted
    made = test.key if type(test) is Symbol and isinstance(test.key, tuple) else ()
    if made[:2] != ("call", "builtins.isinstance") or len(made) != 5:
        return False
    thing = state.object(made[3])
    if type(thing) is not Module or thing.cls is not None or thing.chosen is not None or thing.build is None:
        return False
    kinds = [
        kind for kind in (made[4].items if type(made[4]) is Tuple else (made[4],)) if type(kind) in (Library, Symbol)
    ]
    named = any(label(kind).rpartition(".")[2] == thing.kind.rpartition(".")[2] for kind in kinds)
    library = thing.kind.partition(".")[0]
    near = any(type(kind) is Library and kind.name.partition(".")[0] == library for kind in kinds)
    return not named if wanted else named or near


# What makes a text of another value: a call, an attribute, a part of it.
SAYING = frozenset(["attribute", "binary", "call", "format", "item"])


@kept
def constants_in(fact: Any, known: Any, leaf: Symbol) -> dict[Any, None]:
    """The constants that a fact speaks of: what is known of it is one, unless that is whether it is true."""
    return dict.fromkeys(constants(fact if type(known) is bool else (fact, known), leaf))


def constants(value: Any, leaf: Symbol | None = None) -> Iterator[Any]:
    """The constants that a value is made of, but for those of an unknown `leaf`: where it stands is no value of it."""
    kind = type(value)
    if kind is Symbol:
        if leaf is None or not is_same(value, leaf):
            yield from constants(value.key, leaf)
    elif kind is Tuple:
        yield from constants(value.items, leaf)
    elif kind in (tuple, Condition, Not):
        for part in value:
            yield from constants(part, leaf)
    elif is_plain(value) and value is not UNKNOWN:
        yield value


def compared_with_texts(test: Value) -> frozenset[Symbol]:
    """The unknowns of a test that texts are in, too: the names by which a script picks one of several things."""
    found = frozenset(leaves(test))
    asked = test.of if type(test) is Not else test
    derived = type(asked) is Symbol and asked not in found  # ``name.startswith("resnet")``
    return found if derived or any(isinstance(each, str) for each in constants_of(test)) else frozenset()


def constants_of(test: Value) -> Iterator[Any]:
    """The constants of a test itself, not those of what its unknowns are made of."""
    if type(test) is Condition:
        yield from constants_of(test.left)
        yield from constants_of(test.right)
    elif type(test) is Not:
        yield from constants_of(test.of)
    elif type(test) is Tuple:
        for part in test.items:
            yield from constants_of(part)
    elif is_plain(test) and test is not UNKNOWN:
        yield test
