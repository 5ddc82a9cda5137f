"""One of the things in a list or dict, where nobody knows which: what is done to it, may be done to any of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headcheck.interpreter.forgetting import constants, forget_constants, forget_every_constant, forget_items
from headcheck.interpreter.heap import Dictionary, Instance, Sequence
from headcheck.interpreter.reaching import held_in
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Method, Ref, Symbol, Tuple, Value


def forget_alike(state: State, of: Value, why: Value) -> None:
    """Something is put into it."""
    for value in things_like(state, of):
        forget_items(state, value)
        forget_every_constant(state, value, why)


def forget_items_alike(state: State, of: Value) -> None:
    """It is a list or dict, and holds something else from here on."""
    for value in things_like(state, of):
        forget_items(state, value)


def forget_attribute_alike(state: State, of: Value, name: str, why: Value) -> None:
    """It is an object of which an attribute is set."""
    for value in things_like(state, of):
        if type(state.object(value)) is Instance and name in constants(state.object(value)):
            forget_constants(state, value.address, (name,), why)


def are_data(state: State, values: Iterable[Value]) -> bool:
    """Whether one of some values is a list, a dict or an object that is no part of a model."""
    return any(type(value) is Ref and type(state.object(value)) in DATA for value in values)


def things_like(state: State, of: Value) -> list[Value]:
    """The things one of which an unknown is: those in what it was taken from."""
    if type(of) is not Symbol or not isinstance(of.key, tuple) or of.key[0] not in TAKEN:
        return []
    holders = [value for value in _holders(of) if type(state.object(value)) in DATA]
    return [value for value in held_in(state, holders) if value not in holders] if holders else []


def _holders(of: Symbol) -> Iterator[Value]:
    """What an unknown was taken from, also on the way through ``zip``, ``enumerate`` or ``steps.values()``."""
    key: Any = of.key
    kind = key[0]
    if kind in ("element", "item"):
        yield from _in_all(key[1:2])
    elif kind == "call":
        if isinstance(key[1], str) and key[1].startswith("builtins."):
            yield from _in_all(key[2:])
        elif isinstance(key[1], str) or type(key[1]) is Method:
            yield from _in_all((getattr(key[1], "receiver", None), *key[2:3]))


def _in_all(values: Iterable[Value]) -> Iterator[Value]:
    for value in values:
        kind = type(value)
        if kind is Ref:
            yield value
        elif kind is Tuple:
            yield from _in_all(value.items)
        elif kind is Symbol and isinstance(value.key, tuple):
            yield from _holders(value)


DATA = frozenset([Dictionary, Instance, Sequence])
TAKEN = frozenset(["call", "element", "item"])
