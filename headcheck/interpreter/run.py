"""Runs a whole file: the module's body, then what nothing called, once with unknown arguments and once as started."""

from __future__ import annotations

from headcheck.execution import Execution, FileFacts
from headcheck.interpreter import relevance
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.heap import Instance, Module
from headcheck.interpreter.machine import Machine
from headcheck.interpreter.modules import ROOT, Project
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Bound, Class, Function, Ref, Value, symbol
from headcheck.ir import Block, Define, Operation, walk
from headcheck.semantics import load_effects

MOST_ENTRIES = 200


def interpret(block: Block, facts: FileFacts, project: Project) -> list[Execution]:
    """Every execution of a file that was followed, those "as started without arguments" last."""
    load_effects()
    relevant = {ROOT: relevance.analyse(block)}
    executions: list[Execution] = []
    for defaults in (False, True) if facts.has_defaults else (False,):
        machine = Machine(relevant, facts.assigned_attributes, project, defaults)
        for state in run_file(machine, block):
            executions.append(Execution(state, facts, machine, defaults))
    apart = frozenset(id(m.built.site) for e in executions for m in e.models if m.ref.address in e.taken_apart)
    for execution in executions:
        execution.apart_elsewhere = apart
        execution.family = executions
    return executions


def run_file(machine: Machine, block: Block) -> list[State]:
    start = State(ROOT)
    start.env["__name__"] = ROOT
    start.env["__file__"] = symbol("global", "__file__", "__file__")
    finals = machine.run(block, [start])
    base = next((state for state in finals if not state.ended), finals[0])
    followed = list(finals)
    site = Operation(None)
    for number, target in enumerate(uncalled(machine, base)):
        if number >= MOST_ENTRIES or machine.exhausted:
            break
        followed.extend(run_entry(machine, base, target, site))
    return followed


def uncalled(machine: Machine, base: State) -> list[Value]:
    """The functions and classes of the file, in order, that no path called so far."""
    return [value for value in base.globals[ROOT].values() if type(value) in (Function, Class) and value.module == ROOT]


def run_entry(machine: Machine, base: State, target: Value, site: Operation) -> list[State]:
    """Follow one function with unknown arguments; of a class, make an object and follow each of its methods."""
    if type(target) is Function:
        return [] if target.code in machine.called else call_entry(machine, base, target, site)
    waiting = [m for m in methods_of(machine, target) if m.code not in machine.called]
    if not waiting and target.code in machine.called:
        return []
    followed: list[State] = []
    home, ref = base, find_object(base, target)
    if ref is None:
        made = call_value(machine, base.fork(), target, (), {"**": symbol("arguments", "…")}, site)
        followed.extend(made)
        home = next((state for state in made if not state.ended), made[0])
        ref = home.result if type(home.result) is Ref else None
    for function in waiting:
        if ref is None or function.code in machine.called or machine.exhausted:
            continue
        bound = function if function.wrapper == "staticmethod" else Bound(ref, function, target)
        followed.extend(call_entry(machine, home, bound, site))
    return followed


def call_entry(machine: Machine, base: State, function: Value, site: Operation) -> list[State]:
    """Call with no arguments known; with their defaults only in the run that takes defaults."""
    machine.entry = frozenset(id(operation) for operation in walk(definition(machine, function).body))
    state = base.fork()
    state.end("")
    state.result = None
    keywords: dict[str, Value] = {} if machine.defaults else unknown_arguments(machine, function)
    return call_value(machine, state, function, (), keywords, site)


def definition(machine: Machine, function: Value) -> Define:
    plain = function.function if type(function) is Bound else function
    define = machine.definitions[plain.code]
    assert isinstance(define, Define)
    return define


def unknown_arguments(machine: Machine, function: Value) -> dict[str, Value]:
    """Every parameter as an unknown named after it, also where it has a default."""
    plain = function.function if type(function) is Bound else function
    define = definition(machine, function)
    parameters = [p for p in define.parameters if not p.kind]
    skipped = parameters[1:] if type(function) is Bound else parameters
    return {p.name: symbol("parameter", p.name, plain.code, p.name) for p in skipped}


def methods_of(machine: Machine, cls: Class) -> list[Function]:
    return [v for _, v in cls.attributes if type(v) is Function and v.code in machine.definitions]


def find_object(base: State, cls: Class) -> Ref | None:
    """An object of a class that the script itself made."""
    for address, thing in base.heap.items():
        if type(thing) in (Module, Instance) and thing.cls is not None and thing.cls.code == cls.code:
            return Ref(address)
    return None
