"""Scripts read by headcheck: their executions, what their variables hold, and what is found in them."""

from __future__ import annotations

import textwrap

import libcst as cst

from headcheck.analysis import analyse, gather, only_relative
from headcheck.execution import Execution
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.modules import Alone
from headcheck.interpreter.run import interpret
from headcheck.interpreter.values import Class, Library, Symbol, Tuple, is_plain
from headcheck.ir import UNKNOWN
from headcheck.units import Places, Unit

PREAMBLE = "import torch\nfrom torch import nn\nfrom torchvision import models\n"
UNKNOWN_VALUE = "?"


def whole(script: str, preamble: str = PREAMBLE) -> str:
    return preamble + textwrap.dedent(script).lstrip("\n")


def follow(script: str, preamble: str = PREAMBLE, local=only_relative) -> list[Execution]:
    """Every execution of a script, doubtful ones and those at the defaults included. `local` may be a whole project."""
    text = whole(script, preamble)
    unit = Unit("script.py", "script.py", text, cst.parse_module(text))
    return interpret(unit.index, gather(Places([unit])), local if hasattr(local, "find") else Alone(local))


def paths(script: str, **how) -> list[Execution]:
    """The executions with unknown arguments that assumed no failure."""
    return [e for e in follow(script, **how) if not e.doubtful and not e.defaults]


def only(script: str, **how) -> Execution:
    """The one path of a script."""
    (execution,) = paths(script, **how)
    return execution


def raw(execution: Execution, name: str):
    """What a global variable of the script holds at the end."""
    return execution.state.resolve(execution.state.globals["__main__"].get(name, UNKNOWN))


def plain(execution: Execution, value):
    """A value as Python data: library members as ``<name>``, modules as ``kind``, what is unknown as "?"."""
    state = execution.state
    value = state.resolve(value)
    if value is UNKNOWN or type(value) is Symbol:
        return UNKNOWN_VALUE
    if type(value) is Tuple:
        return tuple(plain(execution, item) for item in value.items)
    if type(value) is Library:
        return f"<{value.name}>"
    if type(value) is Class:
        return f"<class {value.name}>"
    thing = state.object(value)
    if type(thing) is Sequence:
        if thing.items is None:
            return UNKNOWN_VALUE
        items = [plain(execution, item) for item in thing.items]
        return set(items) if thing.kind == "set" else items
    if type(thing) is Dictionary:
        if thing.items is None:
            return UNKNOWN_VALUE
        return {plain(execution, k): plain(execution, v) for k, v in thing.items}
    if type(thing) is Module:
        return thing.build.builder if thing.build is not None else thing.kind
    if type(thing) is Instance:
        return {name: plain(execution, v) for name, v in thing.attributes.items()}
    if isinstance(value, str):
        return str(value)
    return value if is_plain(value) else UNKNOWN_VALUE


def variable(execution: Execution, name: str):
    return plain(execution, raw(execution, name))


def found(script: str, preamble: str = PREAMBLE) -> list[tuple[int, str]]:
    """(row in the script without its preamble, code) of every finding, remarks on style and blind spots left out."""
    above = preamble.count("\n")
    findings = read(script, preamble).findings
    return [(f.location.row - above, f.code) for f in findings if f.code not in ("HC501", "HC902")]


def read(script: str, preamble: str = PREAMBLE):
    """The whole result for a script."""
    return analyse(whole(script, preamble), "script.py")
