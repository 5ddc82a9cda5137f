"""`argparse`: what `parse_args` answers, with the choices, and the defaults in a run that takes them.

Where the script lists choices, that run takes each of them: all of its models are to be seen with the other arguments
at their defaults, such as the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from headcheck.interpreter import choosing, options
from headcheck.interpreter.heap import Commands, Exclusive, Instance, Parser
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Library, Ref, Tuple, Value, is_plain, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics.registry import CallSite, effect, method

Argument: TypeAlias = tuple[str, Value, tuple[Value, ...], bool]


@effect("argparse.ArgumentParser")
def parser(call: CallSite) -> Value:
    """A parser, with the arguments of its `parents` as they are by then."""
    parents = items_of(call.machine, call.state, call.keywords.get("parents", Tuple(())), call.site) or ()
    things = (call.state.object(parent) for parent in parents)
    inherited = [argument for thing in things if type(thing) is Parser for argument in thing.arguments]
    return call.state.allocate(Parser(tuple(inherited)), call.site)


@method(Parser, "add_subparsers")
def add_subparsers(call: CallSite) -> Value:
    dest = call.keywords.get("dest")
    thing = call.state.heap[call.receiver.address]
    call.state.heap[call.receiver.address] = thing._replace(command=dest if isinstance(dest, str) else "")
    return call.state.allocate(Commands(call.receiver.address), call.site)


@method(Commands, "add_parser")
def add_parser(call: CallSite) -> Value:
    made = parser(call)
    above = call.state.object(call.receiver).parser
    thing = call.state.heap[above]
    commands = (*thing.commands, (call.argument(0, "name"), made))
    call.state.heap[above] = thing._replace(commands=commands)
    return made


@method(Parser, "add_argument")
def add_argument(call: CallSite) -> Value:
    names = [a for a in call.arguments if isinstance(a, str)]
    target = call.keywords.get("dest")
    if not isinstance(target, str):
        long = [n for n in names if n.startswith("--")] or names
        target = long[0].lstrip("-").replace("-", "_") if long else ""
    action = call.keywords.get("action")
    absent = {"store_true": False, "store_false": True}.get(action if isinstance(action, str) else "")
    default = converted(call.keywords.get("default", absent), call.keywords.get("type"))
    positional = bool(names) and not names[0].startswith("-")
    required = call.keywords.get("required") is True  # its default is never used
    has_default = not required and ("default" in call.keywords or not positional)
    choices = (
        items_of(call.machine, call.state, call.keywords["choices"], call.site) if "choices" in call.keywords else None
    )
    known = choices if choices and all(is_plain(c) for c in choices) else ()
    thing = call.state.heap[call.receiver.address]
    arguments = (*thing.arguments, (target, default, known, has_default))
    call.state.heap[call.receiver.address] = thing._replace(arguments=arguments)
    return UNKNOWN


CONVERTERS: dict[str, Callable[[str], Value]] = {f"builtins.{t.__name__}": t for t in (bool, float, int, str)}


def converted(default: Value, kind: Value) -> Value:
    """A default as the script gets it: one that is a text goes through the argument's `type`, as the user's would."""
    if not isinstance(default, str) or kind is None:
        return default
    convert = CONVERTERS.get(kind.name) if type(kind) is Library else None
    try:
        return convert(default) if convert is not None else UNKNOWN
    except ValueError:
        return UNKNOWN


@method(Parser, "add_argument_group")
def group(call: CallSite) -> Value:
    return call.receiver


@method(Parser, "add_mutually_exclusive_group")
def exclusive_group(call: CallSite) -> Value:
    made: Ref = call.state.allocate(Exclusive(call.receiver.address), call.site)
    thing = call.state.heap[call.receiver.address]
    call.state.heap[call.receiver.address] = thing._replace(exclusive=(*thing.exclusive, made.address))
    return made


@method(Exclusive, "add_argument")
def add_to_group(call: CallSite) -> Value:
    thing = call.state.heap[call.receiver.address]
    add_argument(call._replace(receiver=Ref(thing.parser)))
    name = call.state.heap[thing.parser].arguments[-1][0]
    call.state.heap[call.receiver.address] = thing._replace(names=(*thing.names, name))
    return UNKNOWN


@method(Parser, "set_defaults")
def set_defaults(call: CallSite) -> Value:
    thing = call.state.heap[call.receiver.address]
    added = tuple((name, value, (), True) for name, value in call.keywords.items() if name != "**")
    before = thing.arguments
    if "**" in call.keywords:  # any of them may have another
        before = tuple((name, UNKNOWN, choices, False) for name, _, choices, _ in before)
    call.state.heap[call.receiver.address] = thing._replace(arguments=before + added)
    return None


@method(Parser, "error", "exit")
def error(call: CallSite) -> Value:
    call.state.end("exit")
    return None


@method(Parser, "parse_args", "parse_known_args")
def parse_args(call: CallSite) -> Value:
    attributes: dict[str, Value] = {}
    told, filled = told_in(call), call.argument(1, "namespace", None) is not None
    for name, default, choices, has_default in arguments_of(call.state, call.receiver):
        has_default = has_default and not filled and not any(map(name.startswith, told))
        unknown = symbol("argument", f"args.{name}", name, id(call.site))
        if has_default and is_plain(default):
            if call.machine.defaults and len(choices) < 2:
                attributes[name] = default
                choosing.settled_on(call.state, unknown, default)
                continue
            if len(choices) < 2:
                unknown = options.offer(call.machine, unknown, default)
        attributes[name] = unknown
        if has_default and isinstance(default, str) and default:
            call.state.facts["filled", unknown] = True
        if choices:
            call.state.facts["in", unknown] = choices
            truths = {bool(value) for value in choices} | ({bool(default)} if has_default else set())
            if len(truths) == 1 and (not has_default or is_plain(default)):
                call.state.facts["truth", unknown] = truths.pop()
    for address in call.state.heap[call.receiver.address].exclusive:
        asked = [attributes.get(name) for name in call.state.heap[address].names]
        for one in asked:
            call.state.facts["apart", one] = tuple(other for other in asked if other != one)
    args: Ref = call.state.allocate(Instance(None, attributes, call.site), call.site)
    return Tuple((args, UNKNOWN)) if call.name == "parse_known_args" else args


def told_in(call: CallSite) -> tuple[str, ...]:
    """How the names of the arguments begin that are not at their defaults, where the script itself gives a command
    line: what stands there."""
    given = call.argument(0, "args", None)
    items = items_of(call.machine, call.state, given, call.site) if given is not None else ()
    texts = [item for item in items or () if isinstance(item, str) and item[:1] == "-"]
    if any(len(text) < 2 or text[1] != "-" for text in texts):  # ``-b 16``: a short name may be that of any
        return ("",)
    return tuple(text[2:].split("=", 1)[0].replace("-", "_") for text in texts)


def arguments_of(state: State, parser: Ref) -> list[Argument]:
    """The arguments of a parser and of its sub-parsers, whichever of these is chosen: one under a name that two of them
    have in two ways has no default."""
    thing: Parser = state.heap[parser.address]
    found: dict[str, Argument] = {argument[0]: argument for argument in thing.arguments}
    below: dict[str, set[Argument]] = {}
    for _, command in thing.commands:
        for argument in arguments_of(state, command):
            below.setdefault(argument[0], set()).add(argument)
    for name, ways in below.items():
        found[name] = ways.pop() if len(ways) == 1 and name not in found else (name, UNKNOWN, (), False)
    if thing.command:
        names = tuple(name for name, _ in thing.commands)
        found[thing.command] = (thing.command, None, names if all(map(is_plain, names)) else (), False)
    return list(found.values())


@method(Exclusive, "*")
@method(Parser, "*")
def other(call: CallSite) -> Value:
    return UNKNOWN
