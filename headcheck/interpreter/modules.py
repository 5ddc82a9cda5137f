"""The project's own modules: an import runs the module's body once on a path, with variables of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headcheck.catalog.known import Builders
from headcheck.interpreter import relevance
from headcheck.interpreter.heap import Dictionary, Sequence
from headcheck.interpreter.state import Frame, State, go_back
from headcheck.interpreter.values import Own, Tuple, Value, symbol
from headcheck.ir import UNKNOWN, Block, Import, ImportFrom, Operation, walk
from headcheck.ir.index import Index
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

ROOT = "__main__"
#: Versions of a library from a first one and before an end, None for no bound.
Span = tuple["tuple[int, ...] | None", "tuple[int, ...] | None"]


class Source(NamedTuple):
    """A module that an import runs. `key` tells it from all others, `name` is its dotted one."""

    key: str
    name: str
    block: Block
    filename: str = ""


class Found(NamedTuple):
    """What an import runs: the packages on the way first. `whole` says if the module that was asked for is the last."""

    sources: tuple[Source, ...]
    whole: bool


class Project(Protocol):
    """Which modules are the project's own, as seen from the module with the key `importer`.

    `builders` are those that are known beside the libraries' own.
    """

    builders: Builders

    def is_local(self, module: str, level: int, importer: str) -> bool:
        """Whether a module name, with so many leading dots, is not a library's."""

    def find(self, module: str, level: int, importer: str) -> Found | None:
        """The sources behind a name; None if the interpreter is not to follow it."""

    def data(self, name: str) -> Any:
        """What the JSON or YAML file that the script opens by this name holds, `UNKNOWN` if that is not known."""

    def required(self, package: str) -> tuple[Span, ...]:
        """The versions of a library that the project asks for, none if it does not say."""

    def relevant(self, index: Index) -> Mapping[str, frozenset[str]]:
        """The names that can matter to a model in each module, the script's `index` among them (see `relevance`)."""

    def names_of(self, key: str) -> tuple[str, ...]:
        """The dotted names under which the module with a key can be imported."""

    def names_for(self, module: str, level: int, importer: str) -> tuple[str, ...]:
        """The same for a module of the project as `importer` names it."""

    def file_of(self, module: str) -> str | None:
        """The file of a module of the project by its dotted name; None if there is none."""


class Alone:
    """The project of a script whose own modules cannot be read."""

    def __init__(self, local_modules: Callable[[str, int], bool]) -> None:
        self.local_modules = local_modules
        self.builders = Builders({}, ())

    def is_local(self, module: str, level: int, importer: str) -> bool:
        return self.local_modules(module, level)

    def find(self, module: str, level: int, importer: str) -> Found | None:
        return None

    def data(self, name: str) -> Any:
        return UNKNOWN

    def required(self, package: str) -> tuple[Span, ...]:
        return ()

    def relevant(self, index: Index) -> Mapping[str, frozenset[str]]:
        return {ROOT: relevance.analyse(index)}

    def names_of(self, key: str) -> tuple[str, ...]:
        return ()

    def names_for(self, module: str, level: int, importer: str) -> tuple[str, ...]:
        return ()

    def file_of(self, module: str) -> str | None:
        return None


def run_import(machine: Machine, state: State, op: Import) -> list[State] | None:
    """``import a.b``; None if the module is not the project's, or is not followed."""
    found = machine.project.find(op.loaded, 0, state.frame.module)
    if found is None or not found.sources:
        return None
    states = load(machine, state, found.sources, op)
    for one in states:
        if one.ended:
            continue
        if op.loaded != op.module:
            one.env[op.target] = own(found.sources[0])
        else:
            one.env[op.target] = own(found.sources[-1]) if found.whole else symbol("module", op.module, op.module)
    return states


def run_import_from(machine: Machine, state: State, op: ImportFrom) -> list[State] | None:
    """``from a import b``, where b may be a variable of the module or a module below it, and ``from a import *``."""
    importer = state.frame.module
    found = machine.project.find(op.module, op.level, importer)
    if found is None or not found.whole:
        below = machine.project.find(name_below(op), op.level, importer)
        return None if below is None or not below.whole else import_below(machine, state, op, importer)
    states = load(machine, state, found.sources, op)
    key = found.sources[-1].key
    done: list[State] = []
    for one in states:
        if one.ended:
            done.append(one)
        elif op.name == "*":
            one.env.update(public(one, key))
            done.append(one)
        elif op.name in one.globals[key]:
            one.env[op.target] = machine.setting(op.name, one.globals[key][op.name], key, op.name)
            done.append(one)
        else:
            done.extend(import_below(machine, one, op, importer))
    return done


def import_below(machine: Machine, state: State, op: ImportFrom, importer: str) -> list[State]:
    """The module `name` below a package; a name that is neither is unknown."""
    found = machine.project.find(name_below(op), op.level, importer)
    if found is None or not found.whole:
        state.env[op.target] = unknown_member(op, importer)
        return [state]
    states = load(machine, state, found.sources, op)
    for one in states:
        if not one.ended:
            one.env[op.target] = own(found.sources[-1])
    return states


def name_below(op: ImportFrom) -> str:
    return f"{op.module}.{op.name}" if op.module else op.name


def unknown_member(op: ImportFrom, importer: str) -> Value:
    """What is known of a name of a module that is not followed: that it is the same wherever it is imported."""
    seen_from = (importer,) if op.level else ()
    return symbol("module", op.name, op.module, op.level, op.name, *seen_from)


def own(source: Source) -> Own:
    return Own(source.key, source.name)


def load(machine: Machine, state: State, sources: tuple[Source, ...], site: Operation) -> list[State]:
    """Run the bodies of modules that were not imported on this path yet, a package before what is in it."""
    states = [state]
    above: Source | None = None
    for source in sources:
        following: list[State] = []
        for one in states:
            if one.ended or source.key in one.globals:
                following.append(one)
            else:
                following.extend(run_body(machine, one, source, site))
        states = following
        for one in states:
            if above is not None and not one.ended and above.key != source.key:
                one.set_global(above.key, source.name.rsplit(".", 1)[-1], own(source))
        above = source
    return states


def run_body(machine: Machine, state: State, source: Source, site: Operation) -> list[State]:
    frame, env, at_home = state.frame, state.env, state.at_home()
    state.globals[source.key] = {"__name__": source.name, "__file__": symbol("global", "__file__", source.key)}
    state.owned |= {source.key}
    if not source.block:
        return [state]
    machine.read_code(source.key, len(walk(source.block)))
    state.frame = Frame(source.key, {}, frame.depth, call=site, above=frame)
    state.env = state.globals[source.key]
    after = machine.run(source.block, [state])
    for one in after:
        one.frame = frame
        go_back(one, at_home, env, len(after))
        if one.ended in ("return", "break", "continue"):
            one.end("")
    ended = [one for one in after if one.ended]
    going = [one for one in after if not one.ended]
    return ended + (machine.merge(going) if len(going) > 1 else going)


def member(state: State, of: Own, name: str) -> Value:
    """``module.name``; what the module does not have (yet) is unknown."""
    variables = state.globals.get(of.key, {})
    if name in variables:
        return variables[name]
    return symbol("attribute", f"{of.name}.{name}", of, name)


def namespace(state: State, of: Own, site: Operation) -> Value:
    """``module.__dict__``, as it is now."""
    variables = state.globals.get(of.key, {})
    return state.allocate(Dictionary(tuple((k, v) for k, v in variables.items() if k[0] != "%")), site)


def public(state: State, key: str) -> dict[str, Value]:
    """What ``from module import *`` brings."""
    variables = state.globals[key]
    value: Any = variables.get("__all__")
    listed = state.object(value) or value
    names = listed.items if type(listed) in (Sequence, Tuple) else None
    if names is not None and all(isinstance(name, str) for name in names):
        return {str(name): variables[name] for name in names if name in variables}
    return {name: value for name, value in variables.items() if name[0] not in "_%*"}
