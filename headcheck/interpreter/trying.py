"""What a value is where an unknown in it is taken for a text: is it the name of this model, or of that one?

Facts are about values that are made of an unknown (``arch.lower().startswith("resnet")``), and what the unknown may be
is found by trying.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from headcheck.interpreter.operators import ORDER, plain_binary
from headcheck.interpreter.values import Condition, Not, Slice, Symbol, Tuple, Value, is_plain, whole
from headcheck.ir import UNKNOWN

MOST_KEPT = 4_000  # facts


Answer = TypeVar("Answer")


def kept(function: Callable[[Any, Any, Symbol], Answer]) -> Callable[[Any, Any, Symbol], Answer]:
    """The same function of (a fact, what is known of it, an unknown in it), which keeps what it answered: paths share
    their facts, and to hash one takes about as long as to look at it."""
    answers: dict[tuple[int, int, Symbol], tuple[Answer, Any, Any]] = {}  # the facts are kept beside, for their ids

    @functools.wraps(function)
    def answer(fact: Any, known: Any, leaf: Symbol) -> Answer:
        key = id(fact), id(known), leaf
        found = answers.get(key)
        if found is None:
            if len(answers) >= MOST_KEPT:
                answers.clear()
            found = answers[key] = function(fact, known, leaf), fact, known
        return found[0]

    return answer


@kept
def agreeing(fact: Any, known: Any, leaf: Symbol) -> Callable[[Any], bool]:
    """A test of whether a fact of a path can be true if `leaf` is what is tested."""
    rule: Callable[[Any, Any], bool] | None = None if type(known) is Symbol else operator.eq
    of = fact
    if type(fact) is tuple:
        kind, of = fact if len(fact) == 2 else ("", None)
        rule = FACTS.get(kind)
    if rule is None:
        return lambda text: True
    says, answer = rule, formula(of, leaf)

    def test(text: Any) -> bool:
        value = answer(text)
        return value is UNKNOWN or says(value, known)

    return test


#: What a fact of each kind says of a value, given what it was found to be; of one that has no kind, that it is equal.
FACTS: dict[str, Callable[[Any, Any], bool]] = {
    "truth": lambda value, known: bool(value) is known,
    "in": lambda value, known: value in known,
    "not": lambda value, known: value not in known,
}


def speaking_of(facts: Mapping[Any, Any], leaf: Symbol) -> tuple[tuple[Any, Any], ...]:
    """What a path knows about values that are made of an unknown."""
    unknown = hash(whole(leaf))
    found = []
    for pair in facts.items():
        kept = _found.get(id(pair[0])) or look_into(pair[0])
        if unknown in kept[1]:
            found.append(pair)
    return tuple(found)


def look_into(fact: Any) -> tuple[Any, frozenset[int]]:
    """The unknowns that a fact is made of, each taken as a whole, by their hashes, which take long to find. Paths share
    their facts, and ask again and again."""
    if len(_found) >= MOST_KEPT:
        _found.clear()
    found = _found[id(fact)] = (fact, frozenset(hash(whole(unknown)) for unknown in _unknowns_in(fact)))
    return found


_found: dict[int, tuple[Any, frozenset[int]]] = {}  # by the id of a fact, which is kept beside


def _unknowns_in(fact: Any) -> Iterator[Symbol]:
    todo = [fact]
    while todo:
        part = todo.pop()
        if type(part) is Symbol:
            yield part
            if isinstance(part.key, tuple):
                todo.extend(part.key)
        elif type(part) in PARTED:
            todo.extend(part)


PARTED = frozenset([tuple, Condition, Not, Slice])


def is_same(value: Value, leaf: Symbol) -> bool:
    """Whether a value is an unknown, maybe taken as a whole."""
    return bool(value == leaf) or (type(value) is Symbol and whole(value) == whole(leaf))


def leaf_of(key: Value) -> Symbol | None:
    """The one unknown that a text, or a test of one, is made of: ``arch`` of ``"resnet" + arch.lower()``."""
    found = {*leaves(key)}
    return found.pop() if len(found) == 1 else None


def leaves(key: Value) -> Iterator[Symbol]:
    """The unknowns that a text, or a test, is made of."""
    if type(key) in (Not, Condition):
        for part in key:
            yield from leaves(part)
    if type(key) is not Symbol:
        return
    parts = inner(key)
    if parts is None:
        yield key
    else:
        for part in parts:
            yield from leaves(part)


def inner(key: Symbol) -> tuple[Value, ...] | None:
    """What a derived text is made of; None if the unknown is not a derived text."""
    made = key.key
    if not isinstance(made, tuple):
        return None
    if made[0] in ("format", "or", "and"):
        return made[1:]
    if made[0] == "binary" and made[1] == "Add":
        return made[2:]
    method = text_method(key)
    return (method[0],) if method is not None else None


def text_method(key: Symbol) -> tuple[Value, str, tuple[Value, ...]] | None:
    """(text, method, arguments) if an unknown is what a method of a text answered: ``arch.lower()``."""
    made = key.key
    if not isinstance(made, tuple) or made[0] != "call" or type(made[1]) is not Symbol:
        return None
    function = made[1].key
    if not isinstance(function, tuple) or function[0] != "attribute" or len(function) != 3:
        return None
    from headcheck.semantics.methods import TEXT_METHODS

    return (function[1], function[2], made[2:]) if function[2] in TEXT_METHODS else None


def formula(value: Any, leaf: Symbol) -> Callable[[Any], Any]:
    """What a value is, as plain data, for each text that an unknown in it is taken for; UNKNOWN if something else in it
    is not known. What it is made of is looked at once, however many texts are tried."""
    if is_same(value, leaf):
        return lambda text: text
    if is_plain(value) or value is UNKNOWN:
        return lambda text: value
    rule, parts = _made_of(value)
    if rule is None:
        return lambda text: UNKNOWN
    inner = [formula(part, leaf) for part in parts]

    def answer(text: Any) -> Any:
        found = [part(text) for part in inner]
        return UNKNOWN if UNKNOWN in found else _try(rule, *found)

    return answer


def _made_of(value: Any) -> tuple[Callable[..., Any] | None, tuple[Any, ...]]:
    """How plain data for a value is made of that for its parts, and these parts; None if that is not known."""
    kind = type(value)
    if kind is Tuple:
        return lambda *items: items, value.items
    if kind is Slice:
        return slice, value
    if kind is Not:
        return operator.not_, (value.of,)
    if kind is Condition:
        return COMPARED.get(value.operator), (value.left, value.right)
    if kind is not Symbol or not isinstance(value.key, tuple):
        return None, ()
    method = text_method(value)
    if method is not None:
        of, name, arguments = method
        return functools.partial(_call, name), (of, *arguments)
    return EVALUATED.get(value.key[0]), value.key[1:]


def _try(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function answers; UNKNOWN if it does not take these arguments, as the script's own call would not."""
    try:
        return function(*arguments)
    except (TypeError, ValueError, LookupError, AttributeError, ZeroDivisionError):
        return UNKNOWN


def _call(name: str, of: Any, *arguments: Any) -> Any:
    return getattr(of, name)(*arguments) if isinstance(of, str) else UNKNOWN


def _binary(name: str, left: Any, right: Any) -> Any:
    return plain_binary(name, left, right) if isinstance(left, str) and len(left) < 1000 else UNKNOWN


COMPARED: dict[str, Callable[..., Any]] = {
    **ORDER,
    "Equal": operator.eq,
    "In": lambda one, other: one in other,
}
EVALUATED: dict[Any, Callable[..., Any]] = {
    "format": lambda *parts: "".join(map(str, parts)),
    "binary": _binary,
    "item": operator.getitem,
    "or": lambda one, other: one or other,
    "and": lambda one, other: one and other,
}
