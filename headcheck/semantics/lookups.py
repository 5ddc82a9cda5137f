"""Things looked up by their names as text: ``eval("models." + arch)``, ``pydoc.locate``, `importlib`, Hydra."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from headcheck.interpreter import access
from headcheck.interpreter.forgetting import forget_items
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.modules import namespace
from headcheck.interpreter.picking import pick
from headcheck.interpreter.values import Choice, Library, Own, Split, Symbol, Value, is_plain, label, symbol
from headcheck.ir import UNKNOWN, Variable
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.variables import globals_

LONGEST = 400
Given = tuple[tuple[Value, ...], dict[str, Value]]
NO_HOLES: Mapping[str, Value] = MappingProxyType({})


@effect("builtins.eval")
def eval_(call: CallSite) -> Value:
    """An expression of names, attributes and calls with plain arguments; the last name may not be known.

    Of any other, what it answers may be a list that stands in a variable, or in an object's attribute.
    """
    text = call.argument(0, "source")
    found = evaluated(call, str(text)) if isinstance(text, str) else by_open_name(call, text, evaluated)
    if found is UNKNOWN:
        forget_lists(call)
    return unknown(call) if found is UNKNOWN else found


def forget_lists(call: CallSite) -> None:
    """The lists and dicts at hand may come to hold something else through another name."""
    for value in list(call.state.env.values()):
        thing = call.state.object(value)
        inside = thing.attributes if type(thing) is Instance else thing.values if type(thing) is Module else {}
        for one in (value, *inside.values()):
            if type(call.state.object(one)) in (Sequence, Dictionary):
                forget_items(call.state, one)


@effect("pydoc.locate", "hydra.utils.get_class", "hydra.utils.get_method", "hydra.utils.get_object")
def locate(call: CallSite) -> Value:
    path = call.argument(0, "path")
    found = of_library(call, str(path)) if isinstance(path, str) else by_open_name(call, path, of_library)
    return unknown(call) if found is UNKNOWN else found


@effect("importlib.import_module")
def import_module(call: CallSite) -> Value:
    name = call.argument(0, "name")
    found = of_library(call, str(name)) if isinstance(name, str) else UNKNOWN
    return unknown(call) if found is UNKNOWN else found


@effect("hydra.utils.instantiate", "hydra.utils.call")
def instantiate(call: CallSite) -> Value:
    """The call that a dict describes: ``{"_target_": "torchvision.models.resnet18", "weights": None}``."""
    thing = call.state.object(call.argument(0, "config"))
    items = dict(thing.items) if type(thing) is Dictionary and thing.items is not None else {}
    target = items.pop("_target_", None)
    found = of_library(call, str(target)) if isinstance(target, str) else UNKNOWN
    if found is UNKNOWN or not all(isinstance(key, str) for key in items):
        return unknown(call)
    given = {str(key): value for key, value in items.items() if key[:1] != "_"}
    return called(call, found, ((), {**given, **{k: v for k, v in call.keywords.items() if k != "config"}}))


def of_library(call: CallSite, path: str) -> Value:
    """What stands at a dotted path of a library that headcheck knows."""
    top = path.partition(".")[0]
    known = top in ("timm", "torch", "torchvision", "transformers")
    return Library(path) if known and not call.machine.project.is_local(top, 0, call.state.frame.module) else UNKNOWN


def by_open_name(call: CallSite, text: Value, resolve: Callable[[CallSite, str], Value]) -> Value:
    """A member, by an open name, of what the start of a text names: ``"models." + arch + "(weights=None)"``; without a
    dot, a variable of the module."""
    names, given = parted(call, flat(text))
    if given is UNKNOWN or not names:
        return UNKNOWN
    before = names[0] if isinstance(names[0], str) else ""
    if len(names) == 1 and before:
        function = resolve(call, before)
        return UNKNOWN if function is UNKNOWN or given is None else called(call, function, given)
    path, dot, start = before.rpartition(".")
    of = resolve(call, path) if dot else globals_(call) if resolve is evaluated else UNKNOWN
    rest = [part for part in (start, *names[bool(before) :]) if part != ""]
    key = rest[0] if len(rest) == 1 else symbol("format", "f'…'", *rest)
    found = member(call, of, key) if type(key) is Symbol else None
    if found is None:
        return UNKNOWN
    if given is None:
        return found
    if type(found) is not Split:
        return called(call, found, given)
    return Split(tuple((state, called(call._replace(state=state), each, given)) for state, each in found.paths))


def parted(call: CallSite, parts: tuple[Value, ...]) -> tuple[tuple[Value, ...], Any]:
    """The parts of a text before a call, and the call's arguments: None if there is none, UNKNOWN if they are."""
    for place, part in enumerate(parts):
        if isinstance(part, str) and "(" in part:
            end, _, arguments = str(part).partition("(")
            given = open_arguments(call, (arguments, *parts[place + 1 :]))
            return (*parts[:place], *([end] if end else [])), UNKNOWN if given is None else given
    return parts, None


OPEN = "_open_{}_"  # stands in a text for a part that is not known


def open_arguments(call: CallSite, parts: tuple[Value, ...]) -> Given | None:
    """The arguments of a call, each of which is plain or not known as a whole: ``"pretrained=" + flag + ")"``."""
    holes = {OPEN.format(i): symbol("eval", label(p), p) for i, p in enumerate(parts) if not isinstance(p, str)}
    text = "".join(part if isinstance(part, str) else OPEN.format(i) for i, part in enumerate(parts))
    tree = parsed(f"f({text}")
    return arguments_of(call, tree, holes) if isinstance(tree, ast.Call) else None


def member(call: CallSite, of: Value, key: Symbol) -> Value:
    """What a library's module, one of the project's or a dict of variables has under an open name; None if that is
    nothing known."""
    if type(of) is Library:
        return Choice(of.name, key)
    variables = namespace(call.state, of, call.site) if type(of) is Own else of
    thing = call.state.object(variables)
    return pick(call.machine, call.state, variables, thing, key) if type(thing) is Dictionary else None


def flat(text: Value) -> tuple[Value, ...]:
    """The known and unknown parts that a text is put together from; those that are known side by side are one."""
    if type(text) is not Symbol or not isinstance(text.key, tuple) or len(text.key) > 10:
        return (text,)
    made = text.key
    inner = made[1:] if made[0] == "format" else made[2:] if made[:2] == ("binary", "Add") else None
    if inner is None:
        return (text,)
    found: list[Value] = []
    for part in inner:
        for piece in flat(str(part) if made[0] == "format" and is_plain(part) else part):
            if found and isinstance(piece, str) and isinstance(found[-1], str):
                found[-1] += piece
            else:
                found.append(piece)
    return tuple(found)


def evaluated(call: CallSite, text: str) -> Value:
    """The value of an expression of the script's own names."""
    tree = parsed(text)
    return UNKNOWN if tree is None else value_of(call, tree)


def parsed(text: str) -> ast.expr | None:
    if len(text) > LONGEST:
        return None
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def value_of(call: CallSite, tree: ast.expr) -> Value:
    if isinstance(tree, ast.Name):
        return call.machine.read(call.state, Variable(tree.id))
    if isinstance(tree, ast.Constant):
        return tree.value if isinstance(tree.value, (int, float, str, type(None))) else UNKNOWN
    if isinstance(tree, ast.Attribute):
        of = value_of(call, tree.value)
        known = type(of) in (Library, Own) or type(call.state.object(of)) in (Instance, Module)
        return access.get_attribute(call.machine, call.state, of, tree.attr, call.site) if known else UNKNOWN
    if isinstance(tree, ast.Call):
        function, given = value_of(call, tree.func), arguments_of(call, tree)
        return UNKNOWN if function is UNKNOWN or given is None else called(call, function, given)
    return UNKNOWN


def arguments_of(call: CallSite, tree: ast.Call, holes: Mapping[str, Value] = NO_HOLES) -> Given | None:
    """The arguments of a call, if all of them are plain, or stand for something in `holes` under a name of their own:
    without one, several may be meant."""
    values = [argument_of(call, each, NO_HOLES) for each in tree.args]
    values += [argument_of(call, keyword.value, holes) for keyword in tree.keywords]
    if UNKNOWN in values or any(keyword.arg is None for keyword in tree.keywords):
        return None
    count = len(tree.args)
    return tuple(values[:count]), {str(k.arg): value for k, value in zip(tree.keywords, values[count:], strict=True)}


def argument_of(call: CallSite, tree: ast.expr, holes: Mapping[str, Value]) -> Value:
    """A constant, a variable, or an unknown that stands in a text for itself."""
    if isinstance(tree, ast.Name):
        is_open = OPEN.partition("{")[0] in tree.id
        return holes.get(tree.id, UNKNOWN) if is_open else call.machine.peek(call.state, Variable(tree.id))
    if not isinstance(tree, ast.Constant) or any(hole in str(tree.value) for hole in holes):
        return UNKNOWN
    return tree.value


def called(call: CallSite, function: Value, given: Given) -> Value:
    return call.machine.call_quietly(call.state, function, *given, call.site)
