"""The methods of strings, lists, dicts and parameters, as far as scripts use them on models."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from headcheck import events
from headcheck.interpreter import access, heap, indexing, picking, writing
from headcheck.interpreter.flagging import flag_everything
from headcheck.interpreter.forgetting import forget_items
from headcheck.interpreter.heap import DELETED, Dictionary, Sequence
from headcheck.interpreter.operators import LONGEST, WIDENS, combined, equal
from headcheck.interpreter.values import (
    Address,
    Function,
    Method,
    Modules,
    Namespace,
    Parameter,
    ParameterName,
    Parameters,
    Ref,
    Symbol,
    Tuple,
    Value,
    distinct,
    is_plain,
    label,
    symbol,
)
from headcheck.ir import UNKNOWN
from headcheck.semantics.python import items, make_list, unknown
from headcheck.semantics.registry import CallSite, method

TEXT_METHODS = frozenset(
    [
        "startswith",
        "endswith",
        "lower",
        "upper",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "replace",
        "join",
        "format",
        "title",
        "capitalize",
        "find",
        "count",
        "isdigit",
        "removeprefix",
        "removesuffix",
        "partition",
        "rpartition",
        "index",
    ]
)


#: Those whose answer may be far longer than all they are given, and again when they are given that.
GROWING = frozenset(["format", "join", "replace"])


def is_large(text: str, arguments: Iterable[object]) -> bool:
    """Whether a text put together may be too long: no script makes a huge constant."""
    each = (item for given in arguments for item in (given if isinstance(given, tuple) else (given,)))
    added = sum(len(item) + 1 for item in each if isinstance(item, str))
    return (len(text) + 1) * added > 100 * LONGEST or WIDENS.search(text) is not None


@method(str, "*")
def text_method(call: CallSite) -> Value:
    """A string's own method, run on constants; a tested parameter name is logged."""
    arguments = [plain_argument(call, argument) for argument in call.arguments]
    if call.name == "format" and any(type(argument) is Symbol for argument in call.arguments):
        pieces = str(call.receiver).split("{}")
        if len(pieces) == len(call.arguments) + 1 and not set("{}").intersection(*pieces):
            return filled(pieces, call.arguments)
    if call.name not in TEXT_METHODS or call.keywords or any(a is UNKNOWN for a in arguments):
        return symbol("call", f"{call.receiver}.{call.name}(…)", str(call.receiver), call.name, *call.arguments)
    if call.name in GROWING and is_large(str(call.receiver), arguments):
        return UNKNOWN
    try:
        result = getattr(str(call.receiver), call.name)(*arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        return UNKNOWN
    if isinstance(result, str) and len(result) > LONGEST:
        return UNKNOWN
    if type(call.receiver) is ParameterName:
        if isinstance(result, bool) or call.name in ("find", "count"):
            tested = arguments[0] if arguments else ""
            found = result if isinstance(result, bool) else result == (-1 if call.name == "find" else 0)
            call.state.log(events.NameTested(call.site, call.receiver.parameter, call.name, tested, found))
        part = call.receiver.part
        result = type(result)(map(part, result)) if isinstance(result, (list, tuple)) else part(result)
    if isinstance(result, list):
        return make_list(call, tuple(result))
    return Tuple(result) if isinstance(result, tuple) else result


def filled(pieces: list[str], values: Iterable[Value]) -> Value:
    """A text with values between its pieces: ``"resnet{}".format(depth)``."""
    parts = [part for pair in zip_longest(pieces, values, fillvalue="") for part in pair if part != ""]
    return symbol("format", "f'…'", *parts)


def plain_argument(call: CallSite, value: Value) -> Value:
    if isinstance(value, str):
        return str(value)
    if is_plain(value):
        return value
    if type(value) is Tuple or type(call.state.object(value)) is Sequence:
        found = items(call, value)
        return UNKNOWN if found is None or not all(isinstance(i, str) for i in found) else tuple(map(str, found))
    return UNKNOWN


def sequence(call: CallSite) -> Sequence:
    found = call.state.heap[call.receiver.address]
    assert type(found) is Sequence
    return found


def put(call: CallSite, found: tuple[Value, ...] | None, sample: tuple[Value, ...] | None = None) -> None:
    kept = distinct(found) if sequence(call).kind == "set" else found
    call.state.heap[call.receiver.address] = sequence(call)._replace(items=kept, sample=sample)


@method(Sequence, "append", "add")
def append(call: CallSite) -> Value:
    known, sample, more = sequence(call).items, sequence(call).sample, call.argument(0, "object")
    put(call, None if known is None else (*known, more), None if sample is None else (*sample, more))
    return None


@method(Sequence, "extend", "update")
def extend(call: CallSite) -> Value:
    known, more = sequence(call).items, items(call, call.argument(0, "iterable"))
    sample = sequence(call).sample
    sampled = None if sample is None or more is None else sample + more
    put(call, None if known is None or more is None else known + more, sampled)
    return None


@method(Sequence, "insert")
def insert(call: CallSite) -> Value:
    known, index = sequence(call).items, call.argument(0, "index")
    if known is None or type(index) is not int:
        put(call, None)
    else:
        changed = list(known)
        changed.insert(index, call.argument(1, "object"))
        put(call, tuple(changed))
    return None


@method(Sequence, "pop")
def pop(call: CallSite) -> Value:
    known, index = sequence(call).items, call.argument(0, "index", -1)
    if known is None or type(index) is not int or not -len(known) <= index < len(known):
        put(call, None)
        return UNKNOWN
    changed = list(known)
    taken = changed.pop(index)
    put(call, tuple(changed))
    return taken


@method(Sequence, "remove", "discard", "sort", "clear", "difference_update")
def changed_somehow(call: CallSite) -> Value:
    put(call, () if call.name == "clear" else None)
    return None


@method(Sequence, "reverse")
def reverse(call: CallSite) -> Value:
    known = sequence(call).items
    put(call, None if known is None else known[::-1])
    return None


@method(Sequence, "difference", "union", "intersection")
def set_method(call: CallSite) -> Value:
    found = None if call.is_open() else sequence(call).items
    for other in call.arguments:
        found = combined(call.state, call.name, found, items(call, other), call.site)
    return make_list(call, found, "set")


@method(Sequence, "copy")
def copy_list(call: CallSite) -> Value:
    return make_list(call, sequence(call).items)


@method(Sequence, "*")
def other_sequence_method(call: CallSite) -> Value:
    if call.name not in READING:
        put(call, None)
    return unknown(call)


@method(Tuple, "*")
def tuple_method(call: CallSite) -> Value:
    return unknown(call)


#: Methods of lists, sets and dicts that leave them as they are.
READING = frozenset(
    [
        "__contains__", "__getitem__", "__iter__", "__len__", "copy", "count", "fromkeys", "index", "isdisjoint",
        "issubset", "issuperset", "symmetric_difference",
    ]
)  # fmt: skip


@method(Dictionary, "get")
def dictionary_get(call: CallSite) -> Value:
    thing, key = call.state.heap[call.receiver.address], call.argument(0, "key")
    if thing.view is None and thing.items is not None:
        answers = [(equal(call.state, k, key, call.site), v) for k, v in thing.items]
        found = next((v for same, v in answers if same), UNKNOWN)
        if found is not UNKNOWN:
            return found
        if all(same is False for same, _ in answers):
            return call.argument(1, "default", None)
        split = picking.pick(call.machine, call.state, call.receiver, thing, key, call.argument(1, "default", None))
        if split is not None:
            return split
    return symbol("item", f"…[{label(key)}]", call.receiver, key)


@method(Dictionary, "items", "keys", "values")
def dictionary_views(call: CallSite) -> Value:
    thing = call.state.heap[call.receiver.address]
    pairs = thing.items
    if thing.view is not None:
        named = items(call, Modules(Ref(thing.view), "named_children"))
        pairs = None if named is None else tuple(pair.items for pair in named)
    if pairs is None:
        return make_list(call, None)
    chosen = {"items": [Tuple(p) for p in pairs], "keys": [k for k, _ in pairs], "values": [v for _, v in pairs]}
    return make_list(call, tuple(chosen[call.name]))


@method(Dictionary, "update")
def dictionary_update(call: CallSite) -> Value:
    thing = call.state.heap[call.receiver.address]
    other = call.state.object(call.argument(0, "other")) if call.arguments else Dictionary(())
    if thing.view is not None:
        put_into_view(call, thing.view, other)
        return None
    changes: tuple[tuple[Value, Value], ...] | None = None
    if type(other) is Dictionary and other.items is not None and "**" not in call.keywords:
        changes = (*other.items, *call.keywords.items())
    indexing.changed_through(call.state, call.receiver, call.site, changes or ((UNKNOWN, UNKNOWN),))
    merged = tuple(dict((*thing.items, *changes)).items()) if changes is not None and thing.items is not None else None
    call.state.heap[call.receiver.address] = thing._replace(items=merged)
    return None


def put_into_view(call: CallSite, model: Address, other: Any) -> None:
    """``model._modules.update(avgpool=…)``."""
    if type(other) is not Dictionary or other.items is None or "**" in call.keywords:
        writing.blur(call.state, Ref(model))
        return
    for name, value in (*other.items, *call.keywords.items()):
        if isinstance(name, str):
            heap.set_child(call.state, Ref(model), name, value, call.site, "item")


@method(Dictionary, "pop", "popitem", "setdefault", "clear")
def dictionary_change(call: CallSite) -> Value:
    indexing.changed_through(call.state, call.receiver, call.site)
    thing, key = call.state.heap[call.receiver.address], call.argument(0, "key")
    if thing.view is not None:
        if call.name == "pop" and isinstance(key, str):
            found = heap.get_child(call.state, Ref(thing.view), key, call.site)
            heap.delete_child(call.state, Ref(thing.view), key, call.site)
            return UNKNOWN if found is DELETED else found
        writing.blur(call.state, Ref(thing.view))
        return UNKNOWN
    found = indexing.dictionary_item(call.state, call.receiver, thing, key, call.site)
    if call.name == "pop" and thing.items is not None and is_plain(key):
        call.state.heap[call.receiver.address] = thing._replace(items=tuple(p for p in thing.items if p[0] != key))
    else:
        call.state.heap[call.receiver.address] = thing._replace(items=None)
    return found


@method(Dictionary, "*")
def other_dictionary_method(call: CallSite) -> Value:
    if call.name not in READING:
        forget_items(call.state, call.receiver)
    return unknown(call)


@method(Namespace, "get")
def namespace_get(call: CallSite) -> Value:
    return indexing.get_item(call.machine, call.state, call.receiver, call.argument(0, "key"), call.site)


@method(Parameter, "requires_grad_")
def parameter_requires_grad(call: CallSite) -> Value:
    value = call.argument(0, "requires_grad", True)
    if call.receiver.path == "*":
        flag_everything(call.machine, call.state, call.receiver, value, call.site)
    else:
        writing.flag_parameter(call.state, call.receiver, value, call.site)
    return call.receiver


@method(Parameter, "add_", "addcdiv_", "addcmul_", "copy_", "div_", "lerp_", "mul_", "set_", "sub_")
def parameter_overwritten(call: CallSite) -> Value:
    writing.overwritten(call.state, call.receiver, call.site)
    return call.receiver


@method(Parameter, "numel", "nelement")
def parameter_numel(call: CallSite) -> Value:
    shape = access.shape_of(call.state, call.receiver)
    if shape is None:
        return unknown(call)
    total = 1
    for size in shape:
        total *= size
    return total


@method(Parameter, "size")
def parameter_size(call: CallSite) -> Value:
    shape = access.shape_of(call.state, call.receiver)
    if shape is None:
        return unknown(call)
    return indexing.tuple_item(shape, call.arguments[0]) if call.arguments else Tuple(shape)


@method(Parameter, "*")
@method(Parameters, "*")
@method(Modules, "*")
@method(Function, "*")
@method(Method, "*")
def other_method(call: CallSite) -> Value:
    return unknown(call)
