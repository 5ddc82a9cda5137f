"""What code that is not followed may have set on the way: numbers, and what lists, dicts and objects hold.

Such code is a side of a branch that cannot touch a model, or a function that something else may call. Which functions
of the script run in it is not known, but which can: those that it can come by, through a variable, a list of functions,
an object whose methods it names, or which Python itself calls (``len(steps)``). What any of them may set is forgotten.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headcheck.interpreter.access import class_attribute, lineage
from headcheck.interpreter.forgetting import (
    constants,
    forget_constants,
    forget_every_constant,
    forget_items,
    forget_variables,
)
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Address,
    Bound,
    Class,
    Filtered,
    Function,
    Lazy,
    Library,
    Method,
    Own,
    Partial,
    Ref,
    Symbol,
    Tuple,
    Value,
    symbol,
)
from headcheck.ir import Define, Operation, Variable
from headcheck.ir.effects import ANY, FILLERS, FILLING, GIVEN, Effects, effects_of, effects_of_branch
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

MOST_LOOKED_AT = 256  # items of one list
MAKING = ("__init__", "__new__", "__post_init__")


class Code(NamedTuple):
    """Something that may run: what it does, what stands in the variables that it reads, the class that it is a method
    of, whether it runs on an object that is being made, and whether it may fill what it hands to a library."""

    effects: Effects
    values: Mapping[str, Value]
    module: str
    owner: Class | None = None
    fresh: bool = False
    fills: bool = False


def forget_what_code_sets(machine: Machine, state: State, key: int, operations: Callable[[], list[Operation]]) -> None:
    """Some code in the middle of other code is not followed. `key` says which."""
    effects = machine.effects.get(key)
    if effects is None:
        effects = machine.effects[key] = effects_of_branch(operations())
    read = {name: machine.peek(state, Variable(name)) for name in effects.reads}
    values = {name: value for name, value in read.items() if _may_hold(state, value)}
    given = list(values.items())
    if given or effects.outer:
        found = _known(machine, state, key, given)
        if found is None:
            found = machine.reached_from[key] = Reach(machine, state, given)
            found.add_code(Code(effects, values, state.frame.module, fills=_names_filler(read, effects.spoken)))
            found.look()
        found.forget(state, key, ())


def forget_what_it_sets(machine: Machine, state: State, function: Function, given: list[Value]) -> None:
    """A function, called with these values, is not followed."""
    holding = [function, *(value for value in given if _may_hold(state, value))]
    found = _known(machine, state, function.code, holding)
    if found is None:
        found = machine.reached_from[function.code] = Reach(machine, state, holding)
        found.todo += holding
        found.add_function(function, _class_of(state, function, given))
        found.look(bounded=True)
    found.forget(state, function.code, holding)


def forget_what_python_calls(machine: Machine, state: State, value: Value) -> None:
    """Something is asked for an item, for its length or for a text that shows it, or is given to code that may do so:
    if it is an object of the script, methods of its class may run that nothing calls by name."""
    thing = state.object(value)
    if type(thing) is not Instance or thing.cls is None or not _has_special(machine, thing.cls):
        return
    found = _known(machine, state, thing.cls.code, [value])
    if found is None:
        found = machine.reached_from[thing.cls.code] = Reach(machine, state, [value])
        found.todo.append(value)
        found.look()
    found.forget(state, thing.cls.code, [value])


def _known(machine: Machine, state: State, key: int, given: list[Value]) -> Reach | None:
    """What some code came by when it was last asked for, if it is the same."""
    found = machine.reached_from.get(key)
    return found if found is not None and found.holds(state, given) else None


def _names_filler(values: Mapping[str, Value], spoken: frozenset[str]) -> bool:
    """Whether one of some variables is a function of a library that fills what it is given, or is spoken of there."""
    names = [value.name for value in values.values() if type(value) is Library]
    modules = FILLING_MODULES.intersection(names)
    return not FILLERS.isdisjoint(names) or any(f"{of}.{name}" in FILLERS for of in modules for name in spoken)


FILLING_MODULES = frozenset(name.rpartition(".")[0] for name in FILLERS if name[:9] != "builtins.")


def _may_hold(state: State, value: Value) -> bool:
    """Whether a value is a function or an object, or may hold such: no unknown, and no layer of a library."""
    kind = type(value)
    if kind is Symbol:
        return _is_one_of_a_list(value)
    return kind in HANDLERS and (kind is not Ref or not _is_layer(state.heap.get(value.address)))


def _is_layer(thing: Any) -> bool:
    return type(thing) is Module and thing.cls is None and not thing.values and not thing.children


def _is_one_of_a_list(value: Symbol) -> bool:
    key: Any = value.key
    return isinstance(key, tuple) and key[0] in ("element", "item") and type(key[1]) is Ref


def _class_of(state: State, function: Function, given: list[Value]) -> Class | None:
    """The class that a function is a method of, called on the first of some values."""
    cls: Class | None = getattr(state.object(given[0]), "cls", None) if given else None
    classes = lineage(cls) if cls is not None else ()
    return next((each for each in classes if any(value is function for _, value in each.attributes)), None)


class Reach:
    """What some code can come by, from what it is `given`. Attributes count where they are `spoken` of somewhere in it.

    It is asked for again and again, on path after path, of code for which all is as it was: `asked` and `met` tell.
    Where it is `settled`, all that it may set is unknown already.
    """

    def __init__(self, machine: Machine, state: State, given: list[Value]) -> None:
        self.machine = machine
        self.state = state
        self.given = given
        self.codes: list[Code] = []
        self.seen: set[Any] = set()
        self.todo: list[Value] = []
        self.spoken: dict[str, None] = {}  # in the order in which it came to them
        self.objects: dict[Any, Value] = {}  # by their addresses
        self.classes: dict[Any, Value] = {}
        self.modules: dict[Any, Value] = {}
        self.defaults: list[Value] = []  # of their parameters
        self.methods: list[Value] = []  # what those belong to that fill a list or dict
        self.settled = False
        self.asked: list[tuple[str, Mapping[str, Value]]] = []
        self.met: dict[Address, Any] = {}

    def holds(self, state: State, given: list[Value]) -> bool:
        """Whether there is nothing else to be come by on a path, from these values."""
        if given != self.given or any(state.heap.get(address) is not thing for address, thing in self.met.items()):
            return False
        for module, values in self.asked:
            around = state.globals.get(module, {})
            if any(around.get(name) is not value for name, value in values.items()):
                return False
        return True

    def add_code(self, code: Code) -> None:
        self.codes.append(code)
        self.spoken.update(dict.fromkeys(code.effects.spoken))
        self.todo += [value for value in code.values.values() if type(value) in HANDLERS]

    def add_function(self, function: Function, owner: Class | None, fresh: bool = False) -> None:
        define = self.machine.definitions.get(function.code)
        key = (function.code, id(function.closure), fresh)
        if not isinstance(define, Define) or key in self.seen:
            return
        self.seen.add(key)
        known = self.machine.effects.get(function.code)
        if known is None:
            known = self.machine.effects[function.code] = effects_of(define)
        closure, around = dict(function.closure), self.state.globals.get(function.module, {})
        outside = {name: around.get(name) for name in known.reads if name not in closure}
        self.asked.append((function.module, outside))
        static = function.wrapper == "staticmethod"
        fills = _names_filler(outside, known.spoken)
        self.add_code(Code(known, {**closure, **outside}, function.module, None if static else owner, fresh, fills))
        self.defaults += [value for _, value in function.defaults if type(value) in HANDLERS]
        self.todo += [value for _, value in function.defaults]

    def look(self, bounded: bool = False) -> None:
        """Find all that can be come by. The more attributes are spoken of, the more there is in each object. `bounded`:
        of calls for which there are no steps left, all but what goes by its own name is left out when they are many."""
        looked: dict[Any, int] = {}
        while self.todo:
            while self.todo:
                self.add(self.todo.pop())
            if bounded and not self.machine.budget.may_look_at(len(self.codes)):
                break
            spoken = list(self.spoken)
            for things in (self.objects, self.classes, self.modules):
                for key, thing in list(things.items()):
                    before = looked.get(key, -1)
                    if before != len(spoken):
                        looked[key] = len(spoken)
                        self.todo += self.attributes_of(thing, {*spoken[max(before, 0) :]}, before < 0)
        if bounded:
            self.machine.budget.functions += len(self.codes)

    def add(self, value: Value) -> None:
        handler = HANDLERS.get(type(value))
        if handler is not None:
            handler(self, value)

    def add_bound(self, value: Bound) -> None:
        self.add_function(value.function, value.owner)
        self.todo.append(value.receiver)

    def add_partial(self, value: Partial) -> None:
        self.todo += [value.function, *value.arguments, *(held for _, held in value.keywords)]

    def add_class(self, cls: Class) -> None:
        if cls.code not in self.classes:
            self.classes[cls.code] = cls
            for each in lineage(cls):
                for name, value in each.attributes:
                    if name in MAKING and type(value) is Function:
                        self.add_function(value, each, True)

    def add_ref(self, value: Ref) -> None:
        if value.address in self.objects:
            return
        thing: Any = self.state.heap.get(value.address)
        self.met[value.address] = thing
        kind = type(thing)
        if kind is Instance or (kind is Module and not _is_layer(thing)):
            self.objects[value.address] = value
        elif (kind is Sequence or kind is Dictionary) and value.address not in self.seen:
            self.seen.add(value.address)
            self.todo += _items_of(thing)

    def add_module(self, value: Own) -> None:
        self.modules[value.key] = value

    def add_symbol(self, value: Symbol) -> None:
        """One of the things in a list is unknown only as to which it is."""
        if _is_one_of_a_list(value):
            key: Any = value.key
            self.add_ref(key[1])

    def add_method(self, value: Method) -> None:
        if value.name in FILLING:
            self.methods.append(value.receiver)
        self.todo.append(value.receiver)

    def attributes_of(self, thing: Value, names: set[str], anew: bool) -> Iterator[Value]:
        """The attributes of an object, a class or a module that go by some names; those of an object that is looked at
        `anew` with the methods that Python calls by itself."""
        if type(thing) is Own:
            around = self.state.globals.get(thing.key, {})
            self.asked.append((thing.key, {name: around.get(name) for name in names}))
            return self.named(around, names)
        if type(thing) is Class:
            return self.members_of(thing, names, anew)
        held = self.state.heap[thing.address]
        mappings = [constants(held), held.children] if type(held) is Module else [constants(held)]
        found = (value for mapping in mappings if mapping for value in self.named(mapping, names))
        return itertools.chain(found, self.members_of(held.cls, names, anew) if held.cls is not None else ())

    def members_of(self, cls: Class, names: set[str], anew: bool) -> Iterator[Value]:
        every, members = ANY in names, _members(self.machine, cls)
        for name in members if every else names & members.keys():
            yield from members[name]
        if anew:
            for name in members:
                if _is_special(name):
                    yield from members[name]

    def named(self, mapping: Mapping[str, Value], names: set[str]) -> Iterator[Value]:
        taken = mapping if ANY in names else names & mapping.keys()
        return (mapping[name] for name in taken if type(mapping[name]) in HANDLERS)

    # -- what is forgotten -----------------------------------------------------------------------------------------

    def forget(self, state: State, why: Value, given: Iterable[Value]) -> None:
        """What any of it may set is not known any more."""
        if self.settled:
            return
        self.state = state
        for code in self.codes:
            if code.effects.outer:
                self.forget_outer(code, why)
        filled = self.filled_by(given)
        if any(code.effects.sets or code.effects.own for code in self.codes):
            names: dict[int, frozenset[str]] = {}
            for ref in self.objects.values():
                self.forget_attributes(ref, names, why)
            for own in self.modules.values():
                for name in self.sets_of(None) & state.globals.get(own.key, {}).keys():
                    self.forget_variable(own.key, name, why)
        for value in filled:
            if not _is_forgotten(state, value):
                forget_items(state, value)
        self.settled = not any(code.effects.outer for code in self.codes) and self.holds(state, self.given)
        del self.state  # which is kept by no one else

    def forget_outer(self, code: Code, why: Value) -> None:
        """The variables of its module that it declares global."""
        outer = code.effects.outer
        if ANY in outer:
            forget_variables(self.state, why, code.module)
        for name in outer & self.state.globals.get(code.module, {}).keys():
            self.forget_variable(code.module, name, why)

    def forget_variable(self, module: str, name: str, why: Value) -> None:
        """A variable may hold something else. A model stays: what touches one is followed."""
        if self.is_other(self.state.globals[module][name]):
            self.state.set_global(module, name, symbol("global", name, module, name, why))

    def is_other(self, value: Value) -> bool:
        """Whether a variable or attribute may hold another thing, where it is set."""
        return type(value) is not Symbol and (type(value) is not Ref or type(self.state.object(value)) in DATA)

    def forget_attributes(self, ref: Ref, known: dict[int, frozenset[str]], why: Value) -> None:
        """`known`: what may be set of objects of a class."""
        thing = self.state.heap[ref.address]
        code = thing.cls.code if thing.cls is not None else 0
        if code not in known:
            known[code] = self.sets_of(thing.cls)
        names, held = known[code], constants(thing)
        if ANY in names:
            forget_every_constant(self.state, ref, why)
        elif not names.isdisjoint(held):
            forget_constants(self.state, ref.address, names, why, self.is_other)

    def sets_of(self, cls: Class | None) -> frozenset[str]:
        """The attributes that may be set of an object of a class."""
        names: set[str] = set()
        codes = {each.code for each in lineage(cls)} if cls is not None else set()
        for code in self.codes:
            names |= code.effects.sets
            if code.owner is None or (code.owner.code in codes and not code.fresh):
                names |= code.effects.own
        if cls is not None and any(_is_property(cls, name) for name in names):
            names.add(ANY)
        return frozenset(names)

    def at(self, wanted: list[tuple[Code, frozenset[str]]], given: Iterable[Value] = ()) -> list[Value]:
        """What the roots may stand for that some codes have."""
        found: list[Value] = []
        names: set[str] = set()
        handed = False
        for code, roots in wanted:
            for root in roots:
                if root == GIVEN:
                    handed = True
                elif root[0] == ".":
                    names.add(root[1:])
                else:
                    found.append(code.values.get(root))
        if names:
            found += self.held_as(names)
        if handed:
            found += [*given, *self.defaults]
            found += self.at([(code, code.effects.handed() - {GIVEN}) for code in self.codes])
        return found

    def filled_by(self, given: Iterable[Value]) -> list[Value]:
        """The lists and dicts that may hold something else, also those in others, or that a function answers."""
        filled = self.at([(code, code.effects.filled) for code in self.codes], given)
        holders = self.at([(code, code.effects.within) for code in self.codes], given)
        if any(type(value) in CALLED for value in (*filled, *holders)):
            answers = self.at([(code, code.effects.answers()) for code in self.codes], given)
            filled, holders = filled + answers, holders + answers
        filled += self.at([(code, code.effects.handed() - {GIVEN}) for code in self.codes if code.fills])
        return [*self.methods, *filled, *_held_in(self.state, holders)]

    def held_as(self, names: set[str]) -> Iterator[Value]:
        """What attributes of some names hold."""
        state = self.state
        for address in self.objects:
            held = constants(state.heap[address])
            yield from (held[name] for name in names & held.keys())
        for key in self.modules:
            around = state.globals.get(key, {})
            yield from (around[name] for name in names & around.keys())
        for cls in {*self.classes.values(), *filter(None, (state.heap[address].cls for address in self.objects))}:
            members = _members(self.machine, cls)
            yield from (value for name in names & members.keys() for value in members[name])


def _is_forgotten(state: State, value: Value) -> bool:
    """Whether nothing is known any more of a list or dict."""
    thing = state.object(value)
    known = thing is not None and any((fact, value.address) in state.facts for fact in ("as long", "each"))
    return not known and getattr(thing, "items", None) is None


def _items_of(thing: Any) -> list[Value]:
    """What a list or dict holds that is more than a constant."""
    items = thing.items or ()
    held = (pair[1] for pair in items) if type(thing) is Dictionary else items[:MOST_LOOKED_AT]
    return [value for value in held if type(value) in HANDLERS]


def _held_in(state: State, values: list[Value]) -> list[Value]:
    """What is in some lists, dicts and tuples, and in those in them."""
    found: list[Value] = []
    todo, seen = [value for value in values if type(value) in HOLDING], set[Address]()
    while todo:
        one = todo.pop()
        thing = state.object(one)
        if type(one) is Tuple:
            inside = [held for held in one.items if type(held) in HOLDING]
        elif type(thing) in (Sequence, Dictionary) and one.address not in seen:
            seen.add(one.address)
            inside = [held for held in _items_of(thing) if type(held) in HOLDING]
        else:
            continue
        found += inside
        todo += inside
    return found


def _members(machine: Machine, cls: Class) -> dict[str, list[Value]]:
    """All that a class and its bases have under each name, of what may run or hold something."""
    known = machine.members.get(cls.code)
    if known is None or known[0] is not cls:
        members: dict[str, list[Value]] = {}
        for each in lineage(cls):
            for name, value in each.attributes:
                if type(value) in HANDLERS:
                    members.setdefault(name, []).append(Bound(None, value, each) if type(value) is Function else value)
        known = machine.members[cls.code] = cls, members
    return known[1]


def _has_special(machine: Machine, cls: Class) -> bool:
    return any(map(_is_special, _members(machine, cls)))


def _is_special(name: str) -> bool:
    """Whether a method is one that Python calls by itself, and not while an object is made."""
    return name[:2] == "__" and name not in MAKING


def _is_property(cls: Class, name: str) -> bool:
    found = class_attribute(cls, name)
    return found is not None and type(found[0]) is Function and found[0].wrapper == "property"


HOLDING = frozenset([Ref, Tuple])
DATA = frozenset([Dictionary, Instance, Sequence])
CALLED = frozenset([Bound, Class, Function, Partial])
HANDLERS: dict[type, Callable[[Reach, Any], None]] = {
    Bound: Reach.add_bound,
    Class: Reach.add_class,
    Filtered: lambda reach, value: reach.todo.extend((value.function, value.iterable)),
    Function: lambda reach, value: reach.add_function(value, None),
    Lazy: lambda reach, value: reach.todo.append(value.function),
    Method: Reach.add_method,
    Own: Reach.add_module,
    Partial: Reach.add_partial,
    Ref: Reach.add_ref,
    Symbol: Reach.add_symbol,
    Tuple: lambda reach, value: reach.todo.extend(value.items),
}
