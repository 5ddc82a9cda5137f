"""Runs a whole file: the module's body, then what nothing called, once with unknown arguments and once as started."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from headcheck import events
from headcheck.execution import Execution, FileFacts
from headcheck.interpreter import resuming, supposing
from headcheck.interpreter.access import class_attribute
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.changing import Changes, as_left
from headcheck.interpreter.entering import (
    MOST_HOMES,
    SITE,
    call_entry,
    code_of,
    definition,
    enter,
    find_object,
    make_homes,
    mark_lost,
    name_of,
    shares,
    size_of,
    sizes_of,
)
from headcheck.interpreter.heap import LIGHTNING, Module, library_bases, subtree
from headcheck.interpreter.leaving import Sites
from headcheck.interpreter.machine import Machine
from headcheck.interpreter.modules import ROOT, Project
from headcheck.interpreter.quiet import Quiet
from headcheck.interpreter.state import State, since
from headcheck.interpreter.values import Bound, Class, Function, Ref, Value, symbol
from headcheck.ir import Define, GetAttribute, operations_in, walk, walk_here
from headcheck.ir.index import Index
from headcheck.ir.scopes import scope_of
from headcheck.records import NamedTuple
from headcheck.semantics import load_effects

MOST_ENTRIES = 200
STAGES = ("configure_model", "setup")  # what Lightning calls before everything else, in this order
RUNNING = ("forward", "training_step", "configure_optimizers")
LAYERS = ("torch.nn.Linear", "torch.nn.Conv2d")


class Entry(NamedTuple):
    """A function, method or class nothing calls, and where it is called from; `varies`: its defaults can make a
    difference; `supposed`: the script's constants are unknown in it."""

    home: State
    function: Value
    varies: bool
    supposed: bool


def interpret(index: Index, facts: FileFacts, project: Project, patient: bool = False) -> list[Execution]:
    """Every execution of a file that was followed, those "as started without arguments" last.

    `patient`: with more steps, for what is to be confirmed.
    """
    load_effects()
    names = cache(lambda: project.relevant(index))  # only where paths part does it matter which names do
    machine = Machine(names, facts, project, patient=patient)
    states = run_module(machine, index)
    offers, asked = machine.offers, machine.asked
    entries: list[Entry] = []
    states += run_entries(machine, going_on(states), entries)
    asked = asked or (offers and machine.asked)
    executions = [Execution(state, facts, machine, defaults=False) for state in states]
    executions += left_out(executions, machine, facts)
    machine.left.forget()
    supposed = run_supposed(machine, states, facts, executions, entries)
    if asked:
        machine = Machine(names, facts, project, defaults=True, patient=patient)
        again = run_module(machine, index)
        again += run_entries(machine, going_on(again), [])
    else:  # what the module itself does is the same
        machine.defaults = True
        again = run_again(machine, [entry for entry in entries if entry.varies])
    executions += [Execution(state, facts, machine, defaults=True) for state in again]
    executions += [*left_out(executions, machine, facts), *supposed]
    apart = frozenset(id(m.built.site) for e in executions for m in e.models if m.ref.address in e.taken_apart)
    for execution in executions:
        execution.apart_elsewhere = apart
        execution.family = executions
    return executions


def left_out(executions: list[Execution], machine: Machine, facts: FileFacts) -> list[Execution]:
    """Of the paths that were left out on the way, those that came by something that no other path did."""
    new = new_among_left(machine, (execution.state for execution in executions))
    return [Execution(state, facts, machine, machine.defaults) for state in new]


def new_among_left(machine: Machine, states: Iterable[State]) -> list[State]:
    """Of the paths that were left out on the way, those that came by something that none of some paths did."""
    seen = Sites(states) if machine.left.states else Sites()
    return [state for state in machine.left.states if seen.add(state)]


def run_supposed(
    machine: Machine, ends: list[State], facts: FileFacts, executions: list[Execution], entries: list[Entry]
) -> list[Execution]:
    """Follow functions with unknown arguments that the script calls only with values which lead past a new head, and
    the script itself if its own lines lead past one; the script's constants are unknown then, too."""
    heads = {id(operation) for operation, _ in facts.head_sites} - machine.reached
    if not heads:
        return []
    reached = machine.reached | Sites(execution.state for execution in executions).found
    missed = supposing.with_calls(machine.body, heads)
    dead = supposing.dead(machine.body, missed, reached)
    if not dead:
        return []
    entered = {code_of(entry.function) for entry in entries}
    base = going_on(ends)[0]
    own = [value for value in base.globals[ROOT].values() if getattr(value, "module", "") == ROOT]
    passed = list(supposing.leading_past(machine, own, missed & dead))
    found = [p for p in passed if p.function.code not in entered]
    again = [p for p in passed if p.function.code in entered and p.owner is not None and p.owner.code not in entered]
    itself = not dead.isdisjoint(missed.intersection(map(id, walk_here(machine.body))))
    handing = supposing.handing(machine, [each.function for each in found], heads & dead)
    itself = itself or bool(handing)
    machine.budget, machine.supposing = machine.budget.again(), True
    followed: list[State] = []
    sizes = [size_of(machine, function) for function, _ in found + again]
    parts = shares([len(walk(machine.body)) * itself, *sizes])
    machine.switched = supposing.around(machine.body, dead | handing)
    machine.tests = supposing.watched(machine.body, heads & dead)
    if itself:
        machine.budget.share(parts[0])
        followed += machine.run(machine.body, [start()])
    for (function, owner), part in zip(found + again, parts[1:], strict=True):
        machine.budget.share(part)
        follow = suppose if (function, owner) in found else suppose_made
        followed += follow(machine, ends, base, function, owner)
    mark_lost(machine, followed)
    followed += new_among_left(machine, followed)
    machine.left.forget()
    machine.supposing, machine.switched = False, frozenset()
    machine.refused, machine.tests = supposing.refused(machine.body, machine.tests), {}
    return [Execution(state, facts, machine, defaults=False, supposed=dead) for state in followed]


def suppose(machine: Machine, ends: list[State], base: State, function: Function, owner: Class | None) -> list[State]:
    """Call a function, or a method, with no arguments known."""
    if owner is None:
        return call_entry(machine, base, function)
    if definition(machine, function).name == "__init__":
        state = base.fork()
        state.log(events.Entered(SITE, "__init__"))
        enter(machine, function)
        return call_value(machine, state, owner, (), {"**": symbol("arguments", "…")}, SITE)
    there = find_object(ends, owner)
    return call_entry(machine, there[0], Bound(there[1], function, owner)) if there is not None else []


def suppose_made(
    machine: Machine, ends: list[State], base: State, function: Function, owner: Class | None
) -> list[State]:
    """Call a method that nothing calls, of an object that is made of arguments which are not those of the script."""
    followed: list[State] = []
    for home, ref in make_homes(machine, ends, owner, followed) if owner is not None else ():
        followed += call_entry(machine, home, Bound(ref, function, owner))
    return followed


def run_module(machine: Machine, index: Index) -> list[State]:
    """Run a module's body: every path."""
    machine.body = index.block
    machine.read_code(ROOT, index.size)
    finals = list(machine.run(index.block, [start()]))
    mark_lost(machine, finals)
    return finals


def start() -> State:
    """The state in which a script starts."""
    state = State(ROOT)
    state.env["__name__"] = ROOT
    state.env["__file__"] = symbol("global", "__file__", "__file__")
    return state


def going_on(finals: list[State]) -> list[State]:
    """The paths from whose end functions may be called: those that end in nothing, or else the first."""
    return [state for state in finals if not state.ended] or finals[:1]


def run_entries(machine: Machine, ends: list[State], entries: list[Entry]) -> list[State]:
    """Follow what no path called so far, unless it is quiet; adds to `entries` what it was.

    Calls that were left out come first, what the script has calls for last: see `supposing`. Functions are called from
    the end of the first of the module's paths, methods from the first that made the object.
    """
    base = ends[0]
    quiet, skips = Quiet(machine, base), resuming.waiting(machine)
    by_script = frozenset(machine.called).union(skip.function.code for skip in skips)
    machine.reached_at_home = frozenset(machine.reached)
    targets = [t for t in uncalled(ends)[:MOST_ENTRIES] if type(t) is Class or t.code not in by_script]
    targets = [target for target in targets if not is_quiet(quiet, target)]
    named = supposing.named(machine.body) if targets else frozenset()
    targets.sort(key=lambda target: name_of(machine, target) in named)
    parts = shares([resuming.size_of(machine, skip) for skip in skips] + sizes_of(machine, targets, named))
    followed = run_skips(machine, skips, parts)
    for target, part in zip(targets, parts[len(skips) :], strict=True):
        if machine.budget.exhausted:
            break
        machine.budget.share(part)
        machine.supposing = name_of(machine, target) in named and target.code not in machine.called
        if type(target) is not Function:
            followed.extend(run_class(machine, ends, target, entries, by_script))
        elif target.code not in machine.called:
            followed.extend(run_entry(machine, base, target, entries))
    machine.supposing = False
    return followed + run_stacks(machine, base)


def run_skips(machine: Machine, skips: list[resuming.Skip], parts: list[float]) -> list[State]:
    """Follow the calls that were left out, each from where it stands."""
    followed: list[State] = []
    for skip, part in zip(skips, parts, strict=False):
        machine.budget.share(part)
        if skip.function.code not in machine.called and not machine.budget.exhausted:
            followed += resuming.resume(machine, skip)
    mark_lost(machine, followed)
    return followed


def run_stacks(machine: Machine, base: State) -> list[State]:
    """Call each Sequential of the file that stands alone, if it holds a layer that the script made, an optimizer trains
    it, and the script itself does not call it."""
    trained = {p.owner.address for e in base.happened() if type(e) is events.Optimized for p in e.parameters}
    called = {e.module for e in base.happened() if type(e) is events.Called}
    modules = [thing for thing in base.heap.values() if type(thing) is Module]
    called |= {child.address for thing in modules for child in thing.children.values() if type(child) is Ref}
    followed: list[State] = []
    for value in dict.fromkeys(v for v in base.globals[ROOT].values() if type(v) is Ref):
        thing = base.object(value)
        if type(thing) is not Module or thing.kind != "torch.nn.Sequential" or thing.node or thing.home:
            continue
        held = (base.object(child) for child in thing.children.values())
        if not any(type(child) is Module and child.kind in LAYERS and child.node is None for child in held):
            continue
        if value.address not in called and any(part.address in trained for _, part in subtree(base, value)):
            state = base.fork()
            state.log(events.Entered(SITE, "forward"))
            given = symbol("parameter", "x", value.address, "x")
            followed.extend(call_value(machine, state, value, (given,), {}, thing.site))
    return followed


def is_quiet(quiet: Quiet, target: Value) -> bool:
    return quiet.function(target) if type(target) is Function else quiet.class_(target)


def run_again(machine: Machine, entries: list[Entry]) -> list[State]:
    """Follow entries once more, at their defaults."""
    if entries:
        machine.budget = machine.budget.again()
    followed: list[State] = []
    sizes = [size_of(machine, entry.function) for entry in entries]
    for entry, part in zip(entries, shares(sizes), strict=True):
        machine.budget.share(part)
        machine.supposing = entry.supposed
        follow = run_made if type(entry.function) is Class else call_entry
        states = follow(machine, entry.home, entry.function)
        mark_lost(machine, states)
        followed.extend(states)
    machine.supposing = False
    return followed


def uncalled(ends: list[State]) -> list[Value]:
    """The functions and classes of the file, in order, and the classes of other modules whose networks it made."""
    names = ends[0].globals[ROOT].values()
    own = [value for value in names if type(value) in (Function, Class) and value.module == ROOT]
    things = (thing for state in ends for thing in state.heap.values())
    networks = (thing.cls for thing in things if type(thing) is Module and thing.cls is not None)
    return own + list({cls.code: cls for cls in networks if cls.module != ROOT}.values())


def run_class(
    machine: Machine, ends: list[State], target: Class, entries: list[Entry], by_script: frozenset[int]
) -> list[State]:
    """Make an object of a class, unless the script itself did, and follow each of its methods that nothing called.

    What it inherits is followed as its own; `by_script` is what the script called itself. A network is followed from
    the end of every path through its `__init__`; Lightning's from the end of its `setup`. Of a class of another module
    only what runs a network counts: the rest is followed where that module is read. Code that was given a class may
    take its networks apart, as fastai does: nobody knows that their forward runs, unless Lightning runs it.
    """
    made_by_script = target.code in machine.called
    there = find_object(ends, target)
    waiting = [
        (f, owner)
        for f, owner in methods_of(target)
        if f.code not in (machine.called if owner is target else by_script if made_by_script else ())
    ]
    if is_lent(machine, target):
        waiting = [(f, owner) for f, owner in waiting if definition(machine, f).name != "forward"]
    if there is not None and is_held(*there):  # and only the network that holds it may run it, or parts of it
        waiting = [(f, owner) for f, owner in waiting if definition(machine, f).name != "forward"]
    if target.module != ROOT:
        waiting = [(f, owner) for f, owner in waiting if definition(machine, f).name in (*STAGES, *RUNNING)]
    if not waiting and made_by_script:
        return []
    followed: list[State] = []
    passed_over = [pair for pair in waiting if is_passed_over(machine, target, pair[0])]
    waiting = [pair for pair in waiting if pair not in passed_over]
    homes = [there] if there is not None else make_homes(machine, ends, target, followed)
    if there is None:
        entries.append(Entry(ends[0], target, may_vary(machine, ends[0], target, followed), machine.supposing))
    for stage in STAGES:
        for function, owner in [pair for pair in waiting if definition(machine, pair[0]).name == stage]:
            after = [
                (s, ref) for home, ref in homes for s in run_entry(machine, home, Bound(ref, function, owner), entries)
            ]
            followed.extend(state for state, _ in after)
            homes = [pair for pair in after if not pair[0].ended][:MOST_HOMES] or homes
    changes = machine.changes[target.code] = Changes(machine, [f for f, _ in waiting if f.code not in machine.called])
    asked, as_given = supposing.asked_of_itself(machine, target), machine.supposing
    waiting.sort(key=lambda pair: definition(machine, pair[0]).name in asked)
    for function, owner in waiting + passed_over:
        if (function.code in machine.called and owner is target) or machine.budget.exhausted:
            continue
        machine.supposing = as_given or definition(machine, function).name in asked
        if there is not None and (function, owner) in passed_over:
            there, homes = None, make_homes(machine, ends, target, followed)
        for home, ref in homes:
            bound = function if function.wrapper == "staticmethod" else Bound(ref, function, owner)
            followed.extend(run_entry(machine, as_left(home, ref, changes.before(home, function)), bound, entries))
    machine.supposing = as_given
    return followed


def is_lent(machine: Machine, target: Class) -> bool:
    """Whether the parts of a network may be all that is used of it, by code that was given its class."""
    return target.code in machine.handed and not library_bases(target) & LIGHTNING


def may_vary(machine: Machine, home: State, target: Class, made: list[State]) -> bool:
    """Whether an object made at its defaults may be another one: it has defaults, and makes models or changes some."""
    init = class_attribute(target, "__init__")
    if init is None or type(init[0]) is not Function or not init[0].defaults:
        return False
    return any(is_about_models(state, event) for state in made for event in since(state, home.events))


def is_about_models(state: State, event: events.Event) -> bool:
    """Whether something that happened makes a library's model, or puts a new head into something that may be one."""
    if type(event) is events.Created:
        thing = state.heap.get(event.module)
        return type(thing) is Module and thing.chosen is not None
    return type(event) in (events.Built, events.Unresolved)


def run_made(machine: Machine, home: State, target: Class) -> list[State]:
    """Make an object of a class at its defaults, and follow what others call of it."""
    followed: list[State] = []
    homes = make_homes(machine, [home], target, followed)
    running = RUNNING[1:] if is_lent(machine, target) else RUNNING
    for function, owner in methods_of(target):
        if definition(machine, function).name in running and not machine.budget.exhausted:
            before = machine.changes[target.code].before(home, function) if target.code in machine.changes else ()
            for state, ref in homes:
                followed += call_entry(machine, as_left(state, ref, before), Bound(ref, function, owner))
    return followed


def is_passed_over(machine: Machine, target: Class, method: Function) -> bool:
    """Whether a method that nothing called is for another object than those that the script makes: methods of the class
    that were followed could have called it, and did not."""
    name = definition(machine, method).name
    if name in (*STAGES, *RUNNING):  # others call these
        return False
    callers = [value for _, value in target.attributes if type(value) is Function and value.code in machine.called]
    return any(asks_itself(definition(machine, caller), name) for caller in callers)


def asks_itself(define: Define, name: str) -> bool:
    """Whether a method reads an attribute of its own object: ``self.freeze``."""
    own = define.parameters[0].name if define.parameters else None
    return name in scope_of(define).spoken and any(
        type(o) is GetAttribute and o.name == name and o.of == own for o in operations_in(define)
    )


def run_entry(machine: Machine, home: State, function: Value, entries: list[Entry]) -> list[State]:
    """Follow one function nothing called, and note whether it has to be followed at its defaults, too."""
    asked, machine.asked = machine.asked, False
    followed = call_entry(machine, home, function)
    mark_lost(machine, followed)
    has_defaults = any(parameter.has_default for parameter in definition(machine, function).parameters)
    entries.append(Entry(home, function, machine.asked or has_defaults, machine.supposing))
    machine.asked = machine.asked or asked
    return followed


def methods_of(cls: Class) -> list[tuple[Function, Class]]:
    """The methods that a class defines, and what runs a network if it inherits that, each with where it stands."""
    own = [(value, cls) for _, value in cls.attributes if type(value) is Function]
    names = {name for name, _ in cls.attributes}
    inherited = [class_attribute(cls, name) for name in RUNNING if name not in names]
    return own + [found for found in inherited if found is not None and type(found[0]) is Function]


def is_held(state: State, ref: Ref) -> bool:
    """Whether a network is a part of another one of the script's, of which the forward is followed as well."""
    for thing in state.heap.values():
        if type(thing) is not Module or thing.cls is None or class_attribute(thing.cls, "forward") is None:
            continue
        if any(value == ref for value in thing.children.values()):
            return True
    return False
