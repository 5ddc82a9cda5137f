"""Settings: objects that hold them, and the defaults of command lines, of fields and of the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headcheck.interpreter import choosing, options
from headcheck.interpreter.handing import forget_settings, is_configuration
from headcheck.interpreter.heap import Dictionary, Instance
from headcheck.interpreter.indexing import ITEMS
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.operators import narrow
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Function, Library, Partial, Ref, Symbol, Value, is_plain, symbol
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


@effect("types.SimpleNamespace", "argparse.Namespace")
def namespace(call: CallSite) -> Value:
    if call.arguments or "**" in call.keywords:
        return unknown(call)
    return call.state.allocate(Instance(None, dict(call.keywords), call.site), call.site)


@effect("easydict.EasyDict", "munch.Munch", "addict.Dict", "ml_collections.ConfigDict", "yacs.config.CfgNode")
def settings(call: CallSite) -> Value:
    """A dict whose entries are attributes, too, those of the dicts in it as well."""
    if "**" in call.keywords or len(call.arguments) > 1:
        return unknown(call)
    entries = of_dict(call, call.arguments[0]) if call.arguments else {}
    if entries is None:
        return unknown(call)
    return call.state.allocate(Instance(None, {**entries, **call.keywords}, call.site), call.site)


def of_dict(call: CallSite, value: Value) -> dict[str, Value] | None:
    thing = call.state.object(value)
    if type(thing) is not Dictionary or thing.items is None or not all(isinstance(key, str) for key, _ in thing.items):
        return None
    found: dict[str, Value] = {}
    for key, entry in thing.items:
        inner = of_dict(call, entry)
        found[str(key)] = entry if inner is None else call.state.allocate(Instance(None, inner, call.site), call.site)
    return found


def entry_of(state: State, ref: Ref, thing: Instance, index: Value, site: Operation) -> Value:
    """``settings["arch"]``: of an object of no class of the script, the same as its attribute."""
    if thing.cls is None and isinstance(index, str) and index in thing.attributes:
        return thing.attributes[index]
    return symbol("item", f"…[{index!r}]" if isinstance(index, str) else "…[…]", ref, index)


ITEMS[Instance] = entry_of


def cloned(machine: Machine, state: State, ref: Ref, site: Operation) -> bool:
    """``settings.clone()``: the same entries in an object of its own."""
    state.result = copy_of(state, ref, site)
    return True


def copy_of(state: State, ref: Ref, site: Operation) -> Ref:
    held = {
        name: copy_of(state, value, site) if is_configuration(state, value) else value
        for name, value in state.heap[ref.address].attributes.items()
    }
    return state.allocate(Instance(None, held, site), site)


def locked(machine: Machine, state: State, ref: Ref, site: Operation) -> bool:
    """``settings.freeze()``: nothing that is in it changes."""
    state.result = None
    return True


def overridden(machine: Machine, state: State, ref: Ref, site: Operation) -> bool:
    """``settings.merge_from_list(opts)``: what the script has set before are the defaults."""
    machine.asked = True
    state.result = None
    return machine.defaults


def read_from_file(machine: Machine, state: State, ref: Ref, site: Operation) -> bool:
    """``settings.merge_from_file(name)``: names and switches are the defaults, but the file has numbers of its own."""
    forget_settings(state, ref)
    return overridden(machine, state, ref, site)


#: What methods of settings do; each says whether that is known in this run, and leaves its result with the state.
METHODS_OF_SETTINGS: dict[str, Callable[[Machine, State, Ref, Operation], bool]] = {
    "clone": cloned,
    "copy": cloned,
    "defrost": locked,
    "freeze": locked,
    "merge_from_file": read_from_file,
    "merge_from_list": overridden,
}


# -- defaults --------------------------------------------------------------------------------------------------------


def at_default(call: CallSite, unknown_: Symbol, default: Value) -> Value:
    """What the user may set: not known, or the default in the run that takes those."""
    if not is_plain(default):
        return unknown_
    if not call.machine.defaults:
        return options.offer(call.machine, unknown_, default)
    choosing.settled_on(call.state, unknown_, default)
    return default


@effect("os.environ.get", "os.getenv")
def environment(call: CallSite) -> Value:
    found = unknown(call)
    return at_default(call, found, call.argument(1, "default", None)) if type(found) is Symbol else found


@effect("typer.Option", "typer.Argument", "attr.ib", "attrs.field", "pydantic.Field", "pydantic.fields.Field")
@effect("dataclasses.field", "fastapi.Query")
def default(call: CallSite) -> Value:
    """What declares an argument or a field holds its default."""
    is_field = call.name == "dataclasses.field"
    found = call.keywords.get("default", UNKNOWN) if is_field else call.argument(0, "default")
    factory = call.keywords.get("default_factory", UNKNOWN)
    if factory is not UNKNOWN:
        found = call.machine.call_quietly(call.state, factory, (), {}, call.site)
    return found if is_plain(found) or type(found) is Ref else unknown(call)


@effect("click.option", "click.argument")
def option(call: CallSite) -> Value:
    """A decorator that gives a function an argument."""
    names = [str(name) for name in call.arguments if isinstance(name, str)]
    own = [name for name in names if name.isidentifier()]
    long = own or [name for name in names if name.startswith("--")]
    if not long:
        return unknown(call)
    name = long[0].lstrip("-").partition("/")[0].replace("-", "_").lower()
    flag = False if call.keywords.get("is_flag") is True else None
    given = (name, call.keywords.get("default", flag), call.keywords.get("type"))
    return Partial(Library("click.given"), given, ())


@effect("click.Choice")
def choice(call: CallSite) -> Value:
    return Partial(Library("click.Choice"), call.arguments[:1], ())


@effect("click.given")
def given(call: CallSite) -> Value:
    name, value, kind, function = call.arguments
    if type(function) is not Function:
        return function
    own = symbol("argument", name, name, function.code)
    listed = kind.arguments if type(kind) is Partial else ()
    names = items_of(call.machine, call.state, listed[0], call.site) if listed else None
    found = own if value is None else at_default(call, own, value)
    if names and all(is_plain(each) for each in names):
        narrow(call.state, found if type(found) is Symbol else own, names)
    return function._replace(defaults=(*function.defaults, (name, found)))
