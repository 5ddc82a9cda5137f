"""What was known of an object and is not any more, because code that is not followed may have set it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headcheck.interpreter.heap import EMPTY, Instance, Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Ref, Tuple, Value, is_plain, symbol


def constants(thing: Any) -> Mapping[str, Value]:
    """What the script set as attributes of an object or a module that is no part of one."""
    kind = type(thing)
    return thing.attributes if kind is Instance else thing.values if kind is Module else EMPTY


def is_constant(value: Value) -> bool:
    return is_plain(value) or (type(value) is Tuple and all(map(is_plain, value.items)))


def forget_constants(state: State, address: Address, names: Iterable[str], why: Value) -> None:
    """Attributes of these names that were constants are not known any more."""
    thing = state.heap[address]
    known = constants(thing)
    gone = {
        name: symbol("changed", name, Ref(address), name, why)
        for name in names
        if name in known and is_constant(known[name])
    }
    if gone:
        field = "attributes" if type(thing) is Instance else "values"
        state.heap[address] = thing._replace(**{field: {**known, **gone}})
