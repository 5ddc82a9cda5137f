"""Methods of unknowns: those whose meaning does not depend on what they are called on, and those of state dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headcheck import events
from headcheck.interpreter import heap, parts, writing
from headcheck.interpreter.alike import forget_items_alike
from headcheck.interpreter.deriving import needs_object
from headcheck.interpreter.forgetting import forget_every_constant, forget_variables
from headcheck.interpreter.refusing import running_forward
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Class,
    Method,
    Parameters,
    Ref,
    Symbol,
    Tensor,
    Value,
    label,
    merged_size,
    pieces_of,
    size_of,
    symbol,
)
from headcheck.ir import UNKNOWN, Operation, effects


def method(
    state: State, function: Symbol, arguments: tuple[Value, ...], keywords: Mapping[str, Value], site: Operation
) -> Value | None:
    """Methods whose meaning does not depend on what they are called on: ``something.parameters()``."""
    key: Any = function.key
    if not (isinstance(key, tuple) and key[0] == "attribute" and len(key) == 3):
        return None
    owner, name = key[1], key[2]
    if name in CHANGING and (whose := namespace_of(owner)) is not None:
        forget_every_constant(state, whose, id(site))
        may_be_rebound(state, whose)
    if name in CHANGING and are_variables(owner):
        forget_variables(state, id(site))
    if name in effects.FILLING:
        forget_items_alike(state, owner)
    if name in FILLING and (optimizer := optimizer_of(state, owner)) is not None:
        blur_groups(state, optimizer)
    if heap.is_state_dict(state, owner):
        return state_dict_method(state, owner, name, arguments, site)
    if type(owner) is Class and not arguments and not keywords and not state.guards and needs_object(owner, name):
        state.log(events.Uncalled(site, owner.name, "network"))
        state.end("raise", "TypeError")
        return UNKNOWN
    if name in ("parameters", "named_parameters") and not arguments and not keywords:
        return Parameters(owner, name == "named_parameters")
    if name == "startswith" and len(arguments) == 1:
        return starts(owner, arguments[0])
    if name in ("add_module", "register_module") and len(arguments) == 2:
        writing.log_unresolved(state, owner, arguments[0], arguments[1], site)
    if name == "requires_grad_":
        from headcheck.semantics.gradients import is_loss

        receiver = "loss" if is_loss(state, owner) else "unknown"
        state.log(events.FlagMissed(site, receiver, owner, name, arguments[0] if arguments else True))
        return owner
    if name == "backward":
        state.log(events.Backward(site, owner))
    if name == "size" and len(arguments) + len(keywords) <= 1:
        dimension = arguments[0] if arguments else keywords.get("dim")
        if type(dimension) is int:
            return size_of(owner, dimension)
        return symbol("shape", f"{label(owner)}.shape", owner) if dimension is None else None
    if name == "flatten" and arguments == (0, 1) and type(owner) is Symbol:
        return symbol("merged", f"{owner.label}.flatten(0, 1)", owner)
    if name == "view" or (name == "reshape" and running_forward(state) is not None):
        return seen_otherwise(owner, arguments)
    if name in ("to", "cuda", "cpu", "float", "contiguous") and type(owner) is Symbol:
        return owner  # the same tensor, elsewhere or in another type
    return None


def seen_otherwise(owner: Value, sizes: tuple[Value, ...]) -> Tensor | None:
    """What nobody knows in a shape: ``clips.view(batch * frames, c, h, w)``."""
    if len(sizes) < 2 or not all(type(size) in (int, Symbol) for size in sizes):
        return None
    left = tuple(size_of(owner, place) for place in (2, 3, 4))
    open_ = merged_size(owner) if sizes == (-1, *left) else None  # the frames of all clips
    return Tensor(tuple(open_ if type(size) is int and size < 0 else size for size in sizes))


CHANGING = frozenset(["__setitem__", "clear", "pop", "popitem", "setdefault", "update"])  # a dict


FILLING = frozenset(["__setitem__", "append", "clear", "extend", "insert", "pop", "remove", "update"])  # a list, too


def optimizer_of(state: State, of: Value) -> Ref | None:
    """The optimizer whose ``param_groups``, or what is in them, an unknown is."""
    while type(of) is Symbol and isinstance(of.key, tuple):
        if of.key[0] == "groups":
            return of.key[1] if type(state.object(of.key[1])) is heap.Optimizer else None
        of = of.key[1] if of.key[0] in ("element", "item") else None
    return None


def blur_groups(state: State, optimizer: Ref) -> None:
    """Other parameters went into the groups of an optimizer, or came out of them."""
    state.heap[optimizer.address] = state.heap[optimizer.address]._replace(complete=False)


def namespace_of(of: Value) -> Ref | None:
    """The object of which an unknown is the ``__dict__``."""
    if type(of) is Method and of.name == "__dict__":
        return of.receiver if type(of.receiver) is Ref else None
    key: Any = of.key if type(of) is Symbol else None
    found = isinstance(key, tuple) and key[0] == "attribute" and key[2:] == ("__dict__",) and type(key[1]) is Ref
    return key[1] if found else None


def may_be_rebound(state: State, of: Ref) -> None:
    """Something was put into the ``__dict__`` of an object: into a layer, or a library's model, it may be anything."""
    thing = state.object(of)
    if type(thing) is heap.Module and thing.cls is None:
        parts.rebind(state, of)


def are_variables(of: Value) -> bool:
    """Whether an unknown is what `globals` or `locals` answers."""
    key: Any = of.key if type(of) is Symbol else None
    return isinstance(key, tuple) and key[:2] in (("call", "builtins.globals"), ("call", "builtins.locals"))


def starts(text: Value, start: Value) -> Value:
    """Whether a text starts with another, where its first piece tells; None if not."""
    first = next(iter(pieces_of(text)), None)
    if not isinstance(first, str) or not isinstance(start, str) or (start.startswith(first) and start != first):
        return None
    return first.startswith(start)


def state_dict_method(
    state: State, owner: Symbol, name: str, arguments: tuple[Value, ...], site: Operation
) -> Value | None:
    """A method of what `state_dict()` answered."""
    from headcheck.semantics import statedicts

    if name in ("items", "keys", "values"):
        return statedicts.view(state, owner, name, site)
    if name == "get":
        return statedicts.item(state, owner, arguments[0]) if arguments else None
    if name == "update" and len(arguments) == 1:
        statedicts.take_over(state, owner, arguments[0], site)
        return None
    if name == "pop" and arguments:
        found = statedicts.item(state, owner, arguments[0])
        statedicts.without(state, owner, arguments[0], site, must=len(arguments) == 1)
        return found
    if name != "copy":
        statedicts.changed(state, owner, site)
        return None
    return owner
