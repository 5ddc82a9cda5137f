"""Data of the project: what a script reads from a JSON, YAML or TOML file that lies in it.

The files may be others when the script runs, so what they hold is known only in the run that takes defaults, too.
"""

from __future__ import annotations

from typing import Any

from headcheck.interpreter.heap import Dictionary, Sequence
from headcheck.interpreter.values import Symbol, Value, is_plain, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics.registry import CallSite, effect

MOST_VALUES = 2_000
DEEPEST = 20
FILE = "file"
READ = "read file"
WRITTEN = "written file"
# What is called on a file without its becoming another thing: ``with open(…) as f``, ``f.read()``.
SAME = ("__enter__", "read")


@effect("builtins.open", "io.open")
def open_(call: CallSite) -> Value:
    name, mode = call.state.resolve(call.argument(0, "file")), call.argument(1, "mode", "r")
    if isinstance(name, str) and isinstance(mode, str):
        if not set(mode) & set("wax+"):
            return symbol(FILE, f"open({name!r})", name, id(call.site))
        call.state.facts[WRITTEN, name] = True
    return symbol("call at", "open(…)", id(call.site), call.name)


@effect("json.load", "json.loads", "yaml.safe_load", "yaml.full_load", "yaml.unsafe_load", "yaml.load")
@effect("tomllib.load", "tomllib.loads", "tomli.load", "tomli.loads", "toml.load", "toml.loads")
def load(call: CallSite) -> Value:
    file = call.state.resolve(call.argument(0, "fp"))
    named = call.name == "toml.load" and isinstance(file, str)
    data = held(call, file if named else opened(file))
    return symbol("call at", f"{call.name}(…)", id(call.site), call.name) if data is UNKNOWN else value_of(call, data)


def held(call: CallSite, name: Value) -> Any:
    """What a file holds in the run that takes defaults, UNKNOWN in any other, or where nobody knows."""
    data = content(call, name)
    if data is UNKNOWN:
        return UNKNOWN
    call.machine.asked = True
    if not call.machine.defaults:
        return UNKNOWN
    call.state.facts[READ, name] = True
    return data


def content(call: CallSite, name: Value) -> Any:
    """What a file of the project holds as it lies there, UNKNOWN where the script writes it or it holds too much."""
    if not isinstance(name, str) or (WRITTEN, name) in call.state.facts:
        return UNKNOWN
    data = call.machine.project.data(name)
    return data if data is not UNKNOWN and count(data) <= MOST_VALUES else UNKNOWN


def opened(value: Value) -> str | None:
    """The name under which a file was opened, if that is what a value is, or is read from."""
    while type(value) is Symbol and isinstance(value.key, tuple):
        kind, *parts = value.key
        if kind == FILE:
            return str(parts[0])
        method = parts[0] if kind == "call" and len(parts) == 1 else None
        if type(method) is not Symbol or not isinstance(method.key, tuple) or method.key[0] != "attribute":
            return None
        value = method.key[1] if method.key[2] in SAME else UNKNOWN
    return None


def count(data: Any, depth: int = 0) -> int:
    """How many values data hold, as often as they are in it; too many if they are nested too deeply."""
    if depth > DEEPEST:
        return MOST_VALUES + 1
    inner = list(data.values()) if isinstance(data, dict) else data if isinstance(data, list) else ()
    total = 1
    for each in inner:
        total += count(each, depth + 1)
        if total > MOST_VALUES:
            break
    return total


def value_of(call: CallSite, data: Any) -> Value:
    if isinstance(data, dict):
        known = all(is_plain(key) for key in data)
        pairs = tuple((key, value_of(call, each)) for key, each in data.items()) if known else None
        return call.state.allocate(Dictionary(pairs), call.site)
    if isinstance(data, list):
        return call.state.allocate(Sequence(tuple(value_of(call, each) for each in data)), call.site)
    return data if is_plain(data) else UNKNOWN
