"""OmegaConf and Hydra: settings that are put together from dicts and from the YAML files of the project.

Facts of Hydra 1.3: what the defaults list of a file names is merged in its order, the file itself last where the list
does not say `_self_`; a file of a group goes under the name of the group; the folder is relative to the script.
"""

from __future__ import annotations

from typing import Any

from headcheck.interpreter.heap import Instance
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Function, Library, Partial, Ref, Value
from headcheck.ir import UNKNOWN, Define
from headcheck.records import NamedTuple
from headcheck.semantics import files
from headcheck.semantics.configs import of_dict
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

OWN = "_self_"
UNSET = "???"  # a value that the user has to give
DEEPEST = 5  # files that name files


@effect("omegaconf.OmegaConf.create", "omegaconf.DictConfig")
def create(call: CallSite) -> Value:
    entries = of_dict(call, call.arguments[0]) if call.arguments else {}
    if entries is None or "**" in call.keywords:
        return unknown(call)
    return call.state.allocate(
        Instance(None, {key: plain(each) for key, each in entries.items()}, call.site), call.site
    )


@effect("omegaconf.OmegaConf.load")
def load(call: CallSite) -> Value:
    file = call.state.resolve(call.argument(0, "file_"))
    data = files.held(call, file if isinstance(file, str) else files.opened(file))
    return settings(call, data) if isinstance(data, dict) else unknown(call)


@effect("omegaconf.OmegaConf.from_cli")
def from_cli(call: CallSite) -> Value:
    """What the user sets on the command line: nothing, in the run that takes defaults."""
    call.machine.asked = True
    return settings(call, {}) if call.machine.defaults else unknown(call)


@effect("omegaconf.OmegaConf.merge", "omegaconf.OmegaConf.unsafe_merge")
def merge(call: CallSite) -> Value:
    if not call.arguments or not all(is_settings(call.state, each) for each in call.arguments):
        return unknown(call)
    first, *others = call.arguments
    merged: Value = first
    for each in others:
        merged = joined(call, merged, each)
    return merged


def is_settings(state: State, value: Value) -> bool:
    thing = state.object(value)
    return type(thing) is Instance and thing.cls is None


def joined(call: CallSite, first: Value, second: Value) -> Value:
    """One object of settings with the entries of two, those of the second where both have one."""
    if not (is_settings(call.state, first) and is_settings(call.state, second)):
        return second
    attributes = dict(call.state.object(first).attributes)
    for name, value in call.state.object(second).attributes.items():
        attributes[name] = joined(call, attributes[name], value) if name in attributes else value
    return call.state.allocate(Instance(None, attributes, call.site), call.site)


def settings(call: CallSite, data: dict[Any, Any]) -> Ref:
    """The object that a dict of a file becomes, those in it as well."""
    held = {str(key): entry(call, each) for key, each in data.items()}
    found: Ref = call.state.allocate(Instance(None, held, call.site), call.site)
    return found


def entry(call: CallSite, data: Any) -> Value:
    return settings(call, data) if isinstance(data, dict) else plain(files.value_of(call, data))


def plain(value: Value) -> Value:
    """A value as it is read: one that stands for another (``${model.size}``) or is still to be given is not known."""
    return UNKNOWN if isinstance(value, str) and ("${" in value or value == UNSET) else value


# -- Hydra -----------------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a file of settings goes: under which names, from the whole."""

    names: tuple[str, ...]
    data: dict[Any, Any]


@effect("hydra.main")
def main(call: CallSite) -> Value:
    """A decorator that hands a function its settings."""
    folder, name = call.argument(0, "config_path", None), call.argument(1, "config_name", None)
    if not isinstance(folder, str) or not isinstance(name, str):
        return unknown(call)
    return Partial(Library("hydra.given"), (folder, name), ())


@effect("hydra.given")
def given(call: CallSite) -> Value:
    folder, name, function = call.arguments
    define = call.machine.definitions.get(function.code) if type(function) is Function else None
    if not isinstance(define, Define) or not define.parameters:
        return function
    composed = compose(call, folder, name.removesuffix(".yaml"), ())
    if composed is None:
        return function
    call.machine.asked = True
    if not call.machine.defaults:
        return function
    call.state.facts[files.READ, f"{folder}/{name}"] = True
    return function._replace(defaults=(*function.defaults, (define.parameters[0].name, settings(call, composed))))


def compose(call: CallSite, folder: str, name: str, group: tuple[str, ...], depth: int = 0) -> dict[Any, Any] | None:
    """What a file of settings and those that its defaults list names hold together; None if that is not known."""
    data = files.content(call, "/".join((folder, *group, f"{name}.yaml")))
    if not isinstance(data, dict) or depth > DEEPEST:
        return None
    own = {key: value for key, value in data.items() if key != "defaults"}
    listed = data.get("defaults", [])
    if not isinstance(listed, list):
        return None
    whole: dict[Any, Any] = {}
    for each in listed if OWN in listed else [*listed, OWN]:
        place = Place((), own) if each == OWN else named(call, folder, each, group, depth)
        if place is None:
            return None
        put(whole, place)
    return whole


def named(call: CallSite, folder: str, each: Any, group: tuple[str, ...], depth: int) -> Place | None:
    """The file that an entry of a defaults list names: ``{"model": "resnet"}``, ``"model/resnet"`` or ``"base"``."""
    if isinstance(each, str):
        *path, name = each.split("/")
    elif isinstance(each, dict) and len(each) == 1:
        ((key, name),) = each.items()
        words = str(key).split()
        path = words[-1].split("/")
        if path[0] == "hydra" or name is None:
            return Place((), {})
        if "override" in words:
            return None
    else:
        return None
    if not isinstance(name, str) or not all((name, *path)) or "@" in "/".join((*path, name)):
        return None
    data = compose(call, folder, name.removesuffix(".yaml"), (*group, *path), depth + 1)
    return None if data is None else Place(tuple(path), data)


def put(whole: dict[Any, Any], place: Place) -> None:
    for name in place.names:
        inner = whole.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = whole[name] = {}
        whole = inner
    update(whole, place.data)


def update(whole: dict[Any, Any], data: dict[Any, Any]) -> None:
    for key, value in data.items():
        known = whole.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            update(known, value)
        else:
            whole[key] = dict(value) if isinstance(value, dict) else value
