"""Arithmetic, comparison, truth: on constants exact, on unknowns symbolic."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from headcheck import events
from headcheck.interpreter import heap, refusing
from headcheck.interpreter.heap import DELETED, Dictionary, Instance, Module, Sequence, is_state_dict, settle
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    LARGEST_LIST,
    MAX_WEIGHT,
    Bound,
    Class,
    Condition,
    Found,
    Function,
    Identity,
    Library,
    Method,
    Not,
    Own,
    Parameter,
    ParameterName,
    Partial,
    Pattern,
    Ref,
    StateKey,
    Symbol,
    Tensor,
    Tuple,
    Value,
    distinct,
    is_plain,
    is_unknown,
    label,
    pieces_of,
    symbol,
    weight,
)
from headcheck.ir import UNKNOWN, Operation

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "Divide": operator.truediv,
    "FloorDivide": operator.floordiv,
    "Modulo": operator.mod,
    "Power": operator.pow,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
    "LeftShift": operator.lshift,
    "RightShift": operator.rshift,
}
SIGNS = {
    "Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "FloorDivide": "//", "Modulo": "%", "Equal": "==",
    "NotEqual": "!=", "In": "in", "NotIn": "not in", "Is": "is", "IsNot": "is not", "LessThan": "<", "GreaterThan": ">",
    "LessThanEqual": "<=", "GreaterThanEqual": ">=",
}  # fmt: skip
ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEqual": operator.le,
    "GreaterThanEqual": operator.ge,
}
LARGEST = 10**12


def binary(state: State, name: str, left: Value, right: Value, site: Operation) -> Value:
    """`left name right`; numbers and texts are bounded, so that no script makes a huge constant."""
    if is_plain(left) and is_plain(right):
        return plain_binary(name, left, right)
    if name == "Modulo" and isinstance(left, str) and type(right) is Tuple and all(map(is_plain, right.items)):
        return plain_binary(name, left, right.items)
    combine = {"Add": _join, "Multiply": _repeat, **dict.fromkeys(SET_OPERATIONS, _set_operation)}.get(name)
    if combine is not None:
        joined = combine(state, name, left, right, site)
        if joined is not None:
            return joined
    if type(left) is Tensor or type(right) is Tensor:
        from headcheck.semantics import tensors

        product = name == "MatrixMultiply"
        result = tensors.multiply(left, right) if product else tensors.combine(left, right)
        if result is None and tensors.cannot_meet(left, right, product):
            refusing.fail(state)
        return symbol("binary", "…", name, left, right) if result is None else result
    if name == "Modulo" and isinstance(left, str) and type(right) is Symbol and left.count("%") == 1:
        before, _, after = left.partition("%")
        if after[:1] in ("s", "d"):
            return symbol("format", "f'…'", *(part for part in (before, right, after[1:]) if part != ""))
    if is_unknown(left) or is_unknown(right):
        return symbol("binary", f"{label(left)} {SIGNS.get(name, '?')} {label(right)}", name, left, right)
    return UNKNOWN


#: What makes a text as wide as it says, or as an argument says, when it is filled in.
WIDENS = re.compile(r"%[^a-zA-Z%]*(\d{4}|\*)|\{[^{}]*(\d{4}|\{)")
LONGEST = 10_000


def plain_binary(name: str, left: Any, right: Any) -> Value:
    function = BINARY.get(name)
    if function is None or (name == "Modulo" and isinstance(left, str) and WIDENS.search(left)):
        return UNKNOWN
    if name in ("Power", "LeftShift", "Multiply") and not _small(left, right):
        return UNKNOWN
    if name in ("Power", "LeftShift") and (not isinstance(right, (int, float)) or abs(right) > 40):
        return UNKNOWN
    try:
        result = function(left, right)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return UNKNOWN
    if isinstance(result, int) and abs(result) > LARGEST:
        return UNKNOWN
    return result if not isinstance(result, str) or len(result) < LONGEST else UNKNOWN


def _small(left: Any, right: Any) -> bool:
    """Whether a product, power or shift of the two stays small enough to be computed."""
    if all(isinstance(value, (int, float)) for value in (left, right)):
        return bool(abs(left) <= 10**6 and abs(right) <= 10**6)
    return all(not isinstance(value, int) or value < 1000 for value in (left, right))


def _join(state: State, name: str, left: Value, right: Value, site: Operation) -> Value | None:
    if type(left) is Tuple and type(right) is Tuple:
        return Tuple(left.items + right.items) if len(left.items) + len(right.items) <= LARGEST_LIST else UNKNOWN
    first, second = state.object(left), state.object(right)
    if type(first) is Sequence and type(second) is Sequence:
        if "tensor" in (first.kind, second.kind):  # which are added up
            return UNKNOWN
        known = first.items is not None and second.items is not None
        known = known and len(first.items) + len(second.items) <= LARGEST_LIST  # type: ignore[arg-type]
        return state.allocate(Sequence(first.items + second.items if known else None, first.kind), site)  # type: ignore[operator]
    return None


def _repeat(state: State, name: str, left: Value, right: Value, site: Operation) -> Value | None:
    """``[0.5] * 3``, either way round."""
    many, count = (right, left) if type(left) is int else (left, right)
    if type(count) is not int:
        return None
    thing = state.object(many)
    kind = thing.kind if type(thing) is Sequence else "tuple" if type(many) is Tuple else ""
    items = many.items if type(many) is Tuple else thing.items if kind in ("list", "tuple") else None
    if kind not in ("list", "tuple"):
        return None
    repeated = items * count if items is not None and len(items) * count <= LARGEST_LIST else None
    if type(many) is Tuple:
        return UNKNOWN if repeated is None else Tuple(repeated)
    return state.allocate(Sequence(repeated, kind), site)


SET_OPERATIONS = {"Subtract": "difference", "BitOr": "union", "BitAnd": "intersection"}


def _set_operation(state: State, name: str, left: Value, right: Value, site: Operation) -> Value | None:
    first, second = state.object(left), state.object(right)
    if type(first) is Sequence and type(second) is Sequence and first.kind == second.kind == "set":
        found = combined(state, SET_OPERATIONS[name], first.items, second.items, site)
        return state.allocate(Sequence(distinct(found), "set"), site)
    return None


def combined(
    state: State, how: str, one: tuple[Value, ...] | None, other: tuple[Value, ...] | None, site: Operation
) -> tuple[Value, ...] | None:
    """The items of a set's difference, union or intersection with another; None if they are not known."""
    if one is None or other is None:
        return None
    container = Tuple(other)
    held = [contains(state, item, container, site) for item in one]
    if None in held:
        return None
    if how == "union":
        return (*(item for item, inside in zip(one, held, strict=True) if not inside), *other)
    return tuple(item for item, inside in zip(one, held, strict=True) if inside == (how == "intersection"))


def compare(state: State, name: str, left: Value, right: Value, site: Operation) -> Value:
    """A comparison: True, False, or a condition that a branch can assume."""
    if name in ("In", "NotIn"):
        found = contains(state, left, right, site)
        if type(found) is bool:
            return found == (name == "In")
        return condition(name, "In", left, right)
    if name in ("Equal", "NotEqual", "Is", "IsNot"):
        held = held_by(state, left), held_by(state, right)
        if name in ("Equal", "NotEqual") and None not in held:
            return (held[0] == held[1]) == (name == "Equal")
        same = equal(state, left, right, site)
        if type(same) is bool:
            return same == (name in ("Equal", "Is"))
        return condition("Equal" if name in ("Equal", "Is") else name, "Equal", left, right)
    if is_plain(left) and is_plain(right) and name in ORDER:
        return compare_plain(name, left, right)
    if name in ORDER and type(left) is Tuple and type(right) is Tuple and all(map(is_plain, left.items + right.items)):
        return compare_plain(name, left.items, right.items)
    return condition(name, name, left, right) if is_unknown(left) or is_unknown(right) else UNKNOWN


def held_by(state: State, value: Value) -> Any:
    """What a list or dict holds, if it is known and all of it constants."""
    thing = state.heap.get(value.address) if type(value) is Ref else None
    if type(thing) is Sequence and thing.kind == "list" and thing.items is not None:
        return [*thing.items] if all(map(is_plain, thing.items)) else None
    if type(thing) is Dictionary and thing.view is None and thing.items is not None:
        return dict(thing.items) if all(is_plain(k) and is_plain(v) for k, v in thing.items) else None
    return None


def compare_plain(name: str, left: Any, right: Any) -> Value:
    """Which of two constants, or tuples of them, comes first."""
    try:
        return bool(ORDER[name](left, right))
    except TypeError:
        return UNKNOWN


def condition(name: str, positive: str, left: Value, right: Value) -> Value:
    """A comparison that is not decided: that `positive` holds, or for any other name that it does not."""
    if weight(left) + weight(right) > MAX_WEIGHT:
        return symbol("compare", f"{label(left)} … {label(right)}", name, left, right)
    found = Condition(positive, left, right)
    return found if name == positive else Not(found)


def equal(state: State, left: Value, right: Value, site: Operation) -> bool | None:
    """Whether two values are equal, if that is sure."""
    for one, other in ((left, right), (right, left)):
        if type(one) is ParameterName and isinstance(other, str):
            result = str(one) == str(other)
            state.log(events.NameTested(site, one.parameter, "==", str(other), result))
            return result
    if is_plain(left) and is_plain(right):
        return bool(left == right)
    if is_unknown(left) or is_unknown(right):
        known = _is_class_of(state, left, right)
        return _equal_by_facts(state, left, right) if known is None else known
    if type(left) in IDENTITY and type(right) in IDENTITY:
        if type(left) is Ref and type(right) is Ref:
            return True if left == right else _equal_objects(state, left, right)
        if type(left) is Library and type(right) is Library:
            return public_name(left.name) == public_name(right.name)
        return bool(left == right) if type(left) is type(right) else False
    if type(left) is Tuple and type(right) is Tuple:
        if len(left.items) != len(right.items):
            return False
        parts = [equal(state, a, b, site) for a, b in zip(left.items, right.items, strict=False)]
        return False if False in parts else None if None in parts else True
    if (is_plain(left) or is_plain(right)) and (type(left) is Tuple or type(right) is Tuple):
        return False
    if type(left) is Parameter and type(right) is Parameter:
        return _same_parameter(state, left, right)
    if type(left) is Identity and type(right) is Identity:
        return equal(state, left.of, right.of, site)
    if any(is_plain(one) and type(state.object(other)) is Module for one, other in ((left, right), (right, left))):
        return False
    if (left is None or right is None) and (type(left) in NEVER_NONE or type(right) in NEVER_NONE):
        return False
    return None


def _is_class_of(state: State, left: Value, right: Value) -> bool | None:
    """``type(model) == models.ResNet``: classes of a library's models go by several names, all of which end alike."""
    for one, other in ((left, right), (right, left)):
        made = one.key if type(one) is Symbol and isinstance(one.key, tuple) else ()
        thing = state.object(made[1]) if made[:1] == ("class of",) else None
        if type(thing) is not Module or thing.build is None or thing.cls is not None or thing.chosen is not None:
            continue
        if type(other) is Class:
            return False
        if type(other) is Library and thing.kind:
            if other.name.rpartition(".")[2] != thing.kind.rpartition(".")[2]:
                return False
            return True if other.name.partition(".")[0] == thing.kind.partition(".")[0] else None
    return None


def public_name(name: str) -> str:
    """``torch.nn.modules.linear.Linear`` is ``torch.nn.Linear``, and so with wrappers."""
    several = name.startswith(("torch.nn.modules.", "torch.nn.parallel."))
    return "torch.nn." + name.rsplit(".", 1)[-1] if several else name


TEXT = frozenset({str, StateKey})  # whose sameness needs no asking, for state dicts have a thousand keys
IDENTITY = frozenset({Ref, Library, Own, Function, Class, Bound, Method, Partial})
NEVER_NONE = IDENTITY | {Found, Parameter, Pattern, Tensor}


def _same_parameter(state: State, left: Parameter, right: Parameter) -> bool | None:
    """Whether two names are those of one parameter. Different modules may hold one, but none of the library's does."""
    if "*" in (left.path, right.path) or any(type(state.object(p.owner)) is not Module for p in (left, right)):
        return None
    return settle(state, left) == settle(state, right)


def _equal_objects(state: State, left: Ref, right: Ref) -> bool | None:
    first, second = state.object(left), state.object(right)
    return False if type(first) is Module or type(second) is Module else None


def _equal_by_facts(state: State, left: Value, right: Value) -> bool | None:
    from headcheck.interpreter import choosing

    if left == right and type(left) is Symbol:
        return True
    for one, other in ((left, right), (right, left)):
        if type(one) is Symbol and is_plain(other):
            if other in state.facts.get(("not", one), ()):
                return False
            allowed = state.facts.get(("in", one))
            if allowed is not None and other not in allowed:
                return False
            if isinstance(other, str) and not choosing.consistent(state, one, [other]):
                return False
    return state.facts.get(Condition("Equal", left, right))


def contains(state: State, item: Value, container: Value, site: Operation) -> bool | None:
    """`item in container`, if that is sure."""
    if type(container) is ParameterName and isinstance(item, str):
        result = item in str(container)
        state.log(events.NameTested(site, container.parameter, "in", item, result))
        return result
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    if isinstance(item, str) and any(isinstance(piece, str) and item in piece for piece in pieces_of(container)):
        return True
    if type(container) is int and type(item) is int:  # members of an enum.Flag
        return item & container == item
    if type(state.object(container)) is Dictionary and isinstance(item, str):
        held_there = holds_part(state, state.object(container), item)
        if held_there is not None:
            return held_there
    if is_state_dict(state, container):
        from headcheck.semantics import statedicts

        held = statedicts.holds(state, container, item)
        return state.facts.get(Condition("In", item, container)) if held is None else held
    items = known_items(state, container)
    if items is not None:
        if type(item) in (Identity, Parameter) and item in items:
            return True
        if type(item) is ParameterName and all(isinstance(i, str) for i in items):
            result = str(item) in [str(i) for i in items]
            state.log(events.NameTested(site, item.parameter, "in list", tuple(items), result))
            return result
        if type(item) in TEXT and TEXT.issuperset(map(type, items)):
            return item in items
        parts = [equal(state, item, other, site) for other in items]
        if True in parts:
            return True
        if None not in parts:
            return False
    return state.facts.get(Condition("In", item, container))


def holds_part(state: State, thing: Dictionary, name: str) -> bool | None:
    """Whether a module whose parts a dict gives has one of a name; None if that is not known, or it is another dict."""
    module = state.heap[thing.view] if thing.view is not None else None
    if type(module) is not Module or not module.known:
        return None
    if name in module.children:
        return module.children[name] is not DELETED
    return module.node is not None and name in module.node.children


def known_items(state: State, container: Value) -> tuple[Value, ...] | None:
    """The items of a tuple, list, set, or the keys of a dict, where they are known."""
    if type(container) is Tuple:
        return container.items
    thing = state.object(container)
    if type(thing) is Sequence:
        return None if thing.kind == "iterator" else thing.items  # asking an iterator consumes it
    if type(thing) is Dictionary and thing.items is not None:
        return tuple(key for key, _ in thing.items)
    return None


def truth(state: State, value: Value) -> bool | None:
    """The truth of a value on this path, or None."""
    value = state.resolve(value)
    if is_plain(value):
        return bool(value)
    kind = type(value)
    if kind is Not:
        inner = truth(state, value.of)
        return None if inner is None else not inner
    if kind is Condition:
        return _condition_truth(state, value)
    if kind is Symbol:
        return state.facts.get(("truth", value))
    if kind is Tuple:
        return bool(value.items)
    if kind in (Found, Pattern):
        return True
    if kind is Ref:
        thing = state.object(value)
        if type(thing) in (Sequence, Dictionary):
            return is_filled(state, value, thing) if thing.items is None else bool(thing.items)
        return truth_of(thing)
    return True if kind in IDENTITY else None


def truth_of(thing: Any) -> bool | None:
    """The truth of an object or a module: false is only what says so itself, and what can be empty."""
    if type(thing) not in (Module, Instance) or says_itself(thing.cls):
        return None
    return None if type(thing) is Module and thing.kind in heap.CONTAINERS and not thing.children else True


def says_itself(cls: Class | None) -> bool:
    """Whether the objects of a class of the script say themselves if they are true, or how long they are."""
    bases = (base for base in cls.bases if type(base) is Class) if cls is not None else ()
    own = cls is not None and any(name in ("__bool__", "__len__") for name, _ in cls.attributes)
    return own or any(map(says_itself, bases))


def is_filled(state: State, ref: Ref, thing: Sequence | Dictionary) -> bool | None:
    """Whether a list, of whose items nothing is known, was filled by the turns of a loop."""
    filled, by = state.facts.get(("as long", ref.address), (None, None))
    return True if filled is thing and type(by) is int else None


def _condition_truth(state: State, value: Condition) -> bool | None:
    known = state.facts.get(value)
    if known is not None:
        return bool(known)
    left, right = state.resolve(value.left), state.resolve(value.right)
    if value.operator == "Equal":
        return equal(state, left, right, NOWHERE)
    if value.operator == "In":
        return contains(state, left, right, NOWHERE)
    if is_plain(left) and is_plain(right):
        result = compare(state, value.operator, left, right, NOWHERE)
        return result if type(result) is bool else None
    return None


NOWHERE = Operation(None)


def assume(state: State, value: Value, wanted: bool) -> None:
    """Narrow a path by a branch it takes."""
    kind = type(value)
    if kind is Not:
        assume(state, value.of, not wanted)
    elif kind is Symbol:
        state.facts["truth", value] = wanted
        for other in state.facts.get(("apart", value), ()) if wanted else ():
            state.facts.setdefault(("truth", other), False)
    elif kind is Condition:
        state.facts[value] = wanted
        _assume_condition(state, value, wanted)


def _assume_condition(state: State, value: Condition, wanted: bool) -> None:
    left, right = value.left, value.right
    if value.operator == "Equal":
        if not (type(left) is Symbol and is_plain(right)):
            left, right = right, left
        if type(left) is Symbol and is_plain(right):
            if wanted:
                state.pin(left, right)
            else:
                state.facts["not", left] = (*state.facts.get(("not", left), ()), right)
                _pin_last(state, left)
    elif value.operator == "In" and type(left) is Symbol:
        items = known_items(state, right)
        if items is not None and all(is_plain(item) for item in items):
            if wanted:
                allowed = state.facts.get(("in", left), items)
                state.facts["in", left] = tuple(i for i in allowed if i in items)
            else:
                state.facts["not", left] = (*state.facts.get(("not", left), ()), *items)
            _pin_last(state, left)


def narrow(state: State, unknown: Symbol, names: tuple[Value, ...]) -> None:
    """A path goes on only if an unknown is one of these, as an entry of a dict that it is looked up in."""
    left = tuple(name for name in state.facts.get(("in", unknown), names) if name in names)
    if left:
        state.facts["in", unknown] = left
        _pin_last(state, unknown)


def _pin_last(state: State, unknown: Symbol) -> None:
    """A symbol of which one candidate is left is that constant."""
    allowed = state.facts.get(("in", unknown))
    if allowed is None:
        return
    left = [item for item in allowed if item not in state.facts.get(("not", unknown), ())]
    if len(left) == 1:
        state.pin(unknown, left[0])


def unary(state: State, name: str, operand: Value) -> Value:
    if name == "Not":
        known = truth(state, operand)
        if known is not None:
            return not known
        return operand.of if type(operand) is Not else Not(operand)
    if type(operand) is Tensor and name in ("Minus", "Plus"):
        from headcheck.semantics import tensors

        return tensors.combine(operand, -1)
    if type(operand) in (int, float, bool):
        if name == "Minus":
            return -operand
        return operand if name == "Plus" else ~operand if type(operand) is int else UNKNOWN
    return symbol("unary", f"{name} {label(operand)}", name, operand) if is_unknown(operand) else UNKNOWN
