"""Paths that no longer differ in anything that matters become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress, islice
from operator import is_, is_not, itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck.events import SOFT, LossTaken, Missing, UnknownName
from headcheck.interpreter import picking
from headcheck.interpreter.choosing import MOST_LISTED
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence, StateDict
from headcheck.interpreter.state import Sides, State, Way, sides, tails, ways_of
from headcheck.interpreter.values import (
    Address,
    Device,
    Parameter,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_optional,
    is_plain,
    symbol,
)

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

LONGEST_TAIL = 12
MOST_COMPARED = 16  # of the paths that may be one with a path, the last that came
MOST_WAYS = 16  # on which paths came, that are looked at where they meet
MOST_CONDITIONS = 24  # of one of them
MISSING = object()
# Of things, by their ids: an answer, and the thing, which keeps its id.
Known: TypeAlias = "dict[int, tuple[bool, Any]]"
GOING = ("", "return", "break", "continue")


def merge(machine: Machine, states: list[State], relevant: frozenset[str]) -> tuple[list[State], int]:
    """Join what can be joined. Also tells how many pairs were compared."""
    kept: list[State] = []
    alike: dict[Any, list[State]] = {}
    compared = 0
    # Only paths that agree on every variable that matters, and that did the same as far as it cannot be left out, can
    # be joined: those are compared, not all with all.
    done = [(id(state.events[4]) if state.events is not None else 0, len(state.flags)) for state in states]
    telling = _telling([state.env for state in states], relevant)
    data: Known = {}
    for state, did in zip(states, done, strict=True):
        if done.count(did) == 1:
            kept.append(state)
            continue
        env = state.env
        held = [(name, DEVICE if is_device(env[name]) else env[name]) for name in telling if name in env]
        key = (did, tuple(held))
        group = alike.setdefault(key, [])
        for other in group[-MOST_COMPARED:]:
            compared += 1
            if join(machine, other, state, relevant, data):
                break
        else:
            group.append(state)
            kept.append(state)
    return kept, compared


def _telling(envs: list[dict[str, Value]], relevant: frozenset[str]) -> list[str]:
    """The variables that matter and are not the same object on all of some paths."""
    first, *others = envs
    names = relevant.intersection(first.keys() if len(envs) == 1 else set().union(*envs))
    return [name for name in names if any(env.get(name, MISSING) is not first.get(name, MISSING) for env in others)]


def cut(states: list[State], most: int) -> tuple[list[State], list[State]]:
    """(so many of some paths, the others): rather those that assumed no failure, that went on or have a fault, and that
    did much. Of those that did the same last, one comes before a second of any."""
    if len(states) <= most:
        return states, []
    before: dict[Any, int] = {}
    ranked: list[tuple[bool, bool, int, State]] = []
    for state in sorted(states, key=worth):
        doubtful, failed, _ = worth(state)
        did = doubtful, failed, id(state.events[4].site) if state.events is not None and state.events[4] else 0
        before[did] = before.get(did, -1) + 1
        ranked.append((doubtful, failed, before[did], state))
        state.cut = True
    ranked.sort(key=itemgetter(0, 1, 2))
    kept = [state for *_, state in ranked]
    return kept[:most], kept[most:]


def worth(state: State) -> tuple[bool, bool, int]:
    """What a path is worth to be followed further; less comes first."""
    if state.events is None:
        return state.doubtful, state.ended not in GOING, 0
    failed = state.ended not in GOING and type(state.events[0]) not in (Missing, UnknownName)
    return state.doubtful, failed, -state.events[2]


def join(machine: Machine, one: State, other: State, relevant: frozenset[str], data: Known | None = None) -> bool:
    """Fold `other` into `one` if nothing that matters sets them apart.

    `relevant` are the names of variables, and of attributes with a dot before, whose values can matter to a model;
    `data` keeps which lists and dicts (by id) hold none of its parts.
    """
    if one.frame is not other.frame or one.doubtful != other.doubtful or one.flags != other.flags:
        return False
    joined = _joined_events(one, other)
    if joined is None:
        return False
    # First, for what sets paths apart is mostly there.
    changed = _joined_heap(one, other, relevant, {} if data is None else data)
    if changed is None:
        return False
    imported = _joined_globals(one, other)
    if imported is None:
        return False
    variables = _joined_values(one.env, other.env, relevant)
    if variables is None:
        return False
    if any(_is_model(machine, state, state.env.get(name)) for state in (one, other) for name in variables):
        return False
    one.globals.update(imported)
    if not other.heap.keys() <= one.heap.keys():
        one.heap = {**one.heap, **{a: thing for a, thing in other.heap.items() if a not in one.heap}}
    one.heap.update(changed)
    one.env.update(variables)
    for event in joined:
        one.log(event)
    one.facts = _joined_facts(one.facts, other.facts)
    one.refused = one.refused if one.refused is other.refused else None
    if one.conditions != other.conditions or one.ways != other.ways:
        one.ways = _joined_ways(one, other)
        one.conditions = tuple(c for c in one.conditions if c in other.conditions)
    one.guesses = tuple(g for g in one.guesses if g in other.guesses)
    one.cut = one.cut or other.cut
    one.skipped = one.skipped or other.skipped
    return True


def _joined_ways(one: State, other: State) -> tuple[Way, ...]:
    """The ways on which a path came where others meet it. Which side of a branch it took is left out where both sides
    lead here; none are kept of too many, nor of those on which too much was decided."""
    if not one.ways and not other.ways and _is_last(one.conditions, other.conditions):
        return ()
    given = (*ways_of(one), *ways_of(other))
    if len(given) > MOST_WAYS or max(map(len, given)) > MOST_CONDITIONS:
        return ()
    ways: list[Sides] = []
    for way in given:
        left: Sides | None = sides(way)
        while left is not None:
            match, whole = next(((n, m) for n, w in enumerate(ways) if (m := _as_one(w, left)) is not None), (0, None))
            if whole is None:
                ways.append(left)
            else:
                del ways[match]
            left = whole
    return tuple(tuple(way.values()) for way in ways) if len(ways) > 1 else ()


def _is_last(one: Way, other: Way) -> bool:
    """Whether two ways are the sides of one branch, as most are that meet."""
    return len(one) == len(other) > 0 and one[-1][0] is other[-1][0] and one[:-1] == other[:-1]


def _as_one(one: Sides, other: Sides) -> Sides | None:
    """What two ways have in common if one of them goes where the other does, or both are one but for a branch of which
    they take both sides; None if it is not so."""
    left, right = one.keys() - other.keys(), other.keys() - one.keys()
    if not left or not right:
        return other if left else one
    if len(left) > 1 or len(right) > 1:
        return None
    (test, held), (match, not_held) = left.pop(), right.pop()
    if test != match or held is not_held:
        return None
    return {side: condition for side, condition in one.items() if side in other}


def _joined_facts(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """What two paths both know. Where an unknown is one text on the one and another on the other, it is one of the two,
    and none that only a third path has."""
    facts, told = {}, []
    for fact, known in one.items():
        if fact in other and same(known, other[fact]):
            facts[fact] = known
        elif type(fact) is Symbol and isinstance(known, str):
            told.append(fact)
        elif type(fact) is tuple and fact[0] == "in":
            told.append(fact[1])
    for unknown in told:
        texts = [_texts(known, unknown) for known in (one, other)]
        both = tuple(dict.fromkeys(texts[0] + texts[1]))
        if all(texts) and len(both) <= MOST_LISTED:
            facts["in", unknown] = both
    return facts


def _texts(facts: Mapping[Any, Any], unknown: Symbol) -> tuple[str, ...]:
    """The texts one of which an unknown is on a path; nothing if it may be another."""
    known = facts.get(unknown)
    texts = (known,) if known is not None else facts.get(("in", unknown), ())
    return tuple(texts) if all(isinstance(text, str) for text in texts) else ()


def _joined_globals(one: State, other: State) -> dict[str, dict[str, Value]] | None:
    """The modules that only `other` imported; None if the two left something else in a module's variables.

    The variables of the code that runs are not looked at.
    """
    if one.at_home() != other.at_home():
        return None
    running = one.frame.module if one.at_home() else None
    imported = {}
    for module, env in other.globals.items():
        known = one.globals.get(module)
        if known is None:
            imported[module] = env
        elif known is not env and module != running and known != env:
            return None
    return imported


def same(one: Value, other: Value) -> bool:
    """Equal, and of one type: True is not 1 here."""
    return one is other or (type(one) is type(other) and bool(one == other))


def _differing(one: Mapping[Any, Value], other: Mapping[Any, Value]) -> list[Any]:
    """The names under which two mappings do not hold the same."""
    found = []
    for name, value in one.items():
        match = other.get(name, MISSING)
        if match is not value and not same(value, match):
            found.append(name)
    return found + [name for name in other if name not in one]


def _joined_values(
    one: Mapping[str, Value], other: Mapping[str, Value], relevant: frozenset[str], prefix: str = ""
) -> dict[str, Value] | None:
    """What two paths hold under the names under which they differ; None if one of them may matter to a model."""
    found = {}
    for name in _differing(one, other):
        values = one.get(name), other.get(name)
        device = _either_device(*values)
        if device is None and prefix + name in relevant:
            return None
        found[name] = _merged(name, *values) if device is None else device
    return found


def _is_model(machine: Machine, state: State, value: Value) -> bool:
    """Whether a variable holds a whole model of a library, or what makes one: which one matters, whatever its name."""
    if type(value) in picking.CALLABLE:
        return picking.makes_model(machine, state, value)
    thing = state.object(value)
    return type(thing) is Module and thing.build is not None


DEVICE = object()


def is_device(value: Value) -> bool:
    """Whether a value is a device by its name: ``torch.device("cuda")``, ``"cpu"``."""
    return value.partition(":")[0] in DEVICES if type(value) is str else type(value) is Device


DEVICES = frozenset(["cpu", "cuda", "mps", "xpu"])


def _either_device(one: Value, other: Value) -> Device | None:
    """``"cuda" if torch.cuda.is_available() else "cpu"``: what goes there goes to an accelerator if there is one."""
    if not (is_device(one) and is_device(other)):
        return None
    devices = [Device(value) if type(value) is str else value for value in (one, other)]
    usual = [device for device in devices if device.name != "cpu"]
    return usual[0]._replace(unless=True) if usual else None


def _merged(name: str, one: Value, other: Value, *where: Value) -> Value:
    made = symbol("merged", name, name, *where, *(v if is_plain(v) else repr(type(v)) for v in (one, other)))
    return made._replace(optional=True) if is_optional(one) or is_optional(other) else made


def _joined_events(one: State, other: State) -> list[Any] | None:
    """The events of `other` that `one` has to take over, oldest first; None if the two did different things."""
    if one.events is other.events:
        return []
    since = tails(one.events, other.events, LONGEST_TAIL)
    if since is None or not all(type(e) in SOFT for e in (*since[0], *since[1])):
        return None
    if any(_activated(e) for tail, match in (since, since[::-1]) for e in tail if e not in match):
        return None
    return since[1][::-1]


def _activated(event: Any) -> bool:
    """Whether a loss takes what went through an activation, which may be so on one path and not on the other."""
    return type(event) is LossTaken and type(event.output) is Tensor and bool(event.output.activations)


def _joined_heap(one: State, other: State, relevant: frozenset[str], data: Known) -> dict[Any, Any] | None:
    """What of the heap changes in the joined path; None if modules or optimizers differ."""
    changed: dict[Any, Any] = {}
    for address in _replaced(one.heap, other.heap):
        thing, match = one.heap[address], other.heap.get(address)
        if match is None or match == thing:
            continue
        kind = type(thing)
        if kind is not type(match):
            return None
        if kind is Instance and thing.cls == match.cls:
            attributes = _joined_attributes(thing.attributes, match.attributes, relevant)
            if attributes is None:
                return None
            changed[address] = thing._replace(attributes=attributes)
        elif kind is Module:
            values = _joined_attributes(thing.values, match.values, relevant)
            if values is None or match._replace(values=thing.values, training=thing.training) != thing:
                return None
            changed[address] = thing._replace(values=values, training=thing.training or match.training)
        elif kind is StateDict:
            changed[address] = thing._replace(shapes=None)
        elif kind in (Sequence, Dictionary) and _is_data(one, thing, data) and _is_data(other, match, data):
            if kind is Dictionary and not BUILDING.isdisjoint(
                _differing(dict(thing.items or ()), dict(match.items or ()))
            ):
                return None
            changed[address] = thing._replace(items=_joined_items(address, thing, match))
        else:
            return None
    return changed


def _joined_items(address: Address, one: Any, other: Any) -> tuple[tuple[Value, Value], ...] | None:
    """The items of a dict that two paths left with the same names; None of a list, or where nobody knows the names."""
    if type(one) is not Dictionary or not one.items or not other.items:
        return None
    values = dict(other.items)
    if dict(one.items).keys() != values.keys():
        return None
    pairs = ((key, value, values[key]) for key, value in one.items)
    return tuple((k, v if same(v, w) else _merged(f"…[{k!r}]", v, w, address)) for k, v, w in pairs)


def _replaced(one: dict[Any, Any], other: dict[Any, Any]) -> Iterable[Any]:
    """The addresses at which two heaps do not hold the same object. Mostly both list what they share first."""
    if all(map(is_, one, other)):
        return [*compress(one, map(is_not, one.values(), other.values())), *islice(one, len(other), None)]
    return [*compress(one, map(is_not, map(other.get, one), one.values()))]


# Keywords of builders, which scripts collect in a dict: ``kwargs["weights" if is_new else "pretrained"] = …``.
BUILDING = frozenset(["aux_logits", "num_classes", "pretrained", "weights"])


def _joined_attributes(one: Any, other: Any, relevant: frozenset[str]) -> dict[str, Value] | None:
    joined = _joined_values(one, other, relevant, ".")
    return None if joined is None else {**one, **other, **joined}


def _is_data(state: State, thing: Any, known: Known) -> bool:
    """Whether a list or dict holds nothing that could be a part of a model."""
    kept = known.get(id(thing))
    if kept is None:
        items = thing.items or ()
        flat = [part for item in items for part in (item if type(thing) is Dictionary else (item,))]
        is_data = not any(type(part) in (Parameter, Tuple) or type(state.object(part)) is Module for part in flat)
        kept = known[id(thing)] = (is_data, thing)
    return kept[0]
