"""What no path comes to because the script's own values lead past it.

Where these are arguments, the function that leads past a branch is followed once more, with unknown arguments as if
nothing called it, and unknowns in the place of the script's constants: a user switches to these branches by changing
some of them. What is found on the way counts only for what stands in them. Functions and classes that the script has
calls for, none of which a path came to, are followed in the same way: when they are called, the constants are others.
So is the script itself, where its own lines hold such a branch, or a call that hands a model on to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from headcheck.interpreter.machine import Machine
from headcheck.interpreter.values import Class, Function, Value
from headcheck.ir import (
    Block,
    Call,
    Define,
    DefineClass,
    GetAttribute,
    GetItem,
    If,
    Import,
    ImportFrom,
    MakeDict,
    Move,
    Operand,
    Operation,
    SetAttribute,
    SetItem,
    Variable,
    blocks,
    operations_in,
    walk,
    walk_here,
)
from headcheck.ir.scopes import variables
from headcheck.records import NamedTuple


class Passed(NamedTuple):
    """A function that leads past some operations, and the class that it is a method of."""

    function: Function
    owner: Class | None


def with_calls(block: Block, sites: Set[int]) -> frozenset[int]:
    """Some operations, and the calls of functions that hold one of them, by id."""
    operations = walk(block)
    defines = [(operation.name, walk(operation.body)) for operation in operations if type(operation) is Define]
    holding = {name: frozenset(map(id, body)) for name, body in defines}
    reads = {operation.target: operation.name for operation in operations if type(operation) is GetAttribute}
    calls = [(id(call), reads.get(call.function, call.function)) for call in operations if type(call) is Call]
    found, before = frozenset(sites), -1
    while len(found) > before:
        before = len(found)
        names = {name for name, body in holding.items() if not body.isdisjoint(found)}
        found |= {site for site, name in calls if isinstance(name, str) and name in names}
    return found


def dead(block: Block, wanted: Set[int], reached: Set[int]) -> frozenset[int]:
    """The operations of the branches in which nothing was reached, and which hold some that are wanted (by id)."""
    found: set[int] = set()
    pending = [block]
    while pending:
        for operation in pending.pop():
            for side in inside(operation):
                held = {id(each) for each in walk(side)}
                if held.isdisjoint(wanted):
                    continue
                if type(operation) is If and held.isdisjoint(reached):
                    found |= held
                else:
                    pending.append(side)
    return frozenset(found)


def watched(block: Block, sites: Set[int]) -> dict[int, set[bool | None]]:
    """The branches that ask what a thing is and hold some operations, by id, each with what its test was found to be so
    far: nothing."""
    defines = [operation.body for operation in walk(block) if isinstance(operation, Define)]
    found: dict[int, set[bool | None]] = {}
    for scope in (walk_here(each) for each in (block, *defines)):
        asking = asking_things(scope) if not sites.isdisjoint(map(id, scope)) else ()
        branches = [operation for operation in scope if type(operation) is If and operation.test in asking]
        found |= {id(branch): set() for branch in branches if not sites.isdisjoint(map(id, walk([branch])))}
    return found


def asking_things(scope: Sequence[Operation]) -> set[Operand]:
    """What tells of a thing what it is, or is made of that: ``build.__name__``, ``isinstance(model.classifier, X)``."""
    found: set[Operand] = set()
    for operation in scope:
        asks = isinstance(operation, GetAttribute) and operation.name in ("__name__", "__class__")
        asks = asks or (isinstance(operation, Call) and operation.function in ("isinstance", "hasattr", "type"))
        if hasattr(operation, "target") and (asks or not found.isdisjoint(variables(operation))):
            found.add(operation.target)
    return found


def refused(block: Block, tests: Mapping[int, Set[bool | None]]) -> frozenset[int]:
    """The operations (by id) on the sides of branches that every path turned away from, whatever the script's constants
    are: a model is not of another class, nor a builder of another name."""
    found: set[int] = set()
    for branch in walk(block):
        told = tests.get(id(branch), frozenset())
        if type(branch) is If and len(told) == 1 and None not in told:
            found.update(map(id, walk(branch.orelse if True in told else branch.body)))
    return frozenset(found)


def inside(operation: object) -> tuple[Block, ...]:
    """The blocks of an operation, the body of a function or class among them."""
    return (operation.body,) if isinstance(operation, (Define, DefineClass)) else blocks(operation)  # type: ignore[arg-type]


def around(block: Block, dead: Set[int]) -> frozenset[int]:
    """Where the scopes that hold some branches set a variable of the script, outside of them (by id)."""
    each = [walk_here(operation.body) for operation in walk(block) if isinstance(operation, Define)]
    holding = [scope for scope in (walk_here(block), *each) if not dead.isdisjoint(map(id, scope))]
    names = {target for scope in holding for target in names_of_things(scope)}
    moves = [operation for scope in holding for operation in scope if type(operation) is Move]
    return frozenset(id(move) for move in moves if move.target[0] != "%" and move.value not in names) - dead


def names_of_things(scope: Iterable[object]) -> set[Operand]:
    """What holds a thing's own name, or is made of it: ``build.__name__.lower()``. Nobody switches that: it is another
    only with another thing."""
    found: set[Operand] = set()
    for operation in scope:
        if isinstance(operation, GetAttribute):
            made = operation.name == "__name__" or operation.of in found
        else:
            made = isinstance(operation, Call) and operation.function in found
        if made:
            found.add(operation.target)  # type: ignore[attr-defined]
    return {target for target in found if isinstance(target, str) and target[0] == "%"}


def leading_past(machine: Machine, names: Iterable[Value], sites: Set[int]) -> Iterator[Passed]:
    """Those of some functions, and of the methods of some classes, that were called and hold some operations."""
    for value in names:
        functions = [value] if type(value) is Function else methods(value) if type(value) is Class else []
        for function in functions:
            define = machine.definitions.get(function.code)
            if function.code not in machine.called or not isinstance(define, Define):
                continue
            if any(id(operation) in sites for operation in operations_in(define)):
                yield Passed(function, value if type(value) is Class else None)


def handing(machine: Machine, functions: Iterable[Function], heads: Set[int]) -> frozenset[int]:
    """The calls in the script's own lines (by id) of those functions that put new heads, some of these, into what they
    are given: which head it is goes with the model that the script makes."""
    defines = [machine.definitions[function.code] for function in functions]
    names = {define.name for define in defines if isinstance(define, Define) and puts_into_given(define, heads)}
    calls = walk_here(machine.body) if names else []
    return frozenset(id(call) for call in calls if type(call) is Call and call.function in names)


def puts_into_given(define: Define, heads: Set[int]) -> bool:
    """Whether a function puts a new head into an argument, or a part of one."""
    given = {parameter.name for parameter in define.parameters}
    for operation in operations_in(define):
        if isinstance(operation, (GetAttribute, GetItem)) and operation.of in given:
            given.add(operation.target)
        elif isinstance(operation, (SetAttribute, SetItem)) and operation.of in given and id(operation) in heads:
            return True
    return False


def methods(cls: Class) -> list[Function]:
    return [value for _, value in cls.attributes if type(value) is Function and value.module == cls.module]


def named(block: Block) -> frozenset[str]:
    """The names that a file calls, or keeps in a dict to call them, but for those that only their own code calls."""
    found = set(_registered(block))
    plain: Block = []
    for operation in block:
        if isinstance(operation, (Define, DefineClass)):
            inside = operations_in(operation) if isinstance(operation, Define) else walk(operation.body)
            found.update(name for name in _called(inside) if name != operation.name)
        else:
            plain.append(operation)
    return frozenset(found.union(_called(walk(plain))))


def _called(operations: Sequence[Operation]) -> Iterator[str]:
    reads = {operation.target: operation.name for operation in operations if type(operation) is GetAttribute}
    for operation in operations:
        if type(operation) is Call and type(operation.function) is Variable:
            yield operation.function
        elif type(operation) is MakeDict:
            yield from (reads.get(value, value) for _, _, value in operation.items if type(value) is Variable)
        elif type(operation) is SetItem and type(operation.value) is Variable:
            yield reads.get(operation.value, operation.value)


def _registered(block: Block) -> Iterator[str]:
    """What a decorator of the file itself is given, to be called by who asks for its name."""
    made: dict[Operand, Operand] = {}
    imported = {operation.target for operation in block if isinstance(operation, (Import, ImportFrom))}
    for operation in block:
        if type(operation) is GetAttribute:
            made[operation.target] = operation.of
        elif type(operation) is Call:
            made[operation.target] = operation.function
        elif isinstance(operation, (Define, DefineClass)) and operation.decorators:
            roots = (_root(decorator, made) for decorator in operation.decorators)
            if any(type(root) is Variable and root not in imported and root not in BUILTINS for root in roots):
                yield operation.name


def _root(operand: Operand, made: Mapping[Operand, Operand]) -> Operand:
    """The variable that something is read from, or made by."""
    while operand in made:
        operand = made[operand]
    return operand


BUILTINS = frozenset(["classmethod", "property", "staticmethod"])


def asked_of_itself(machine: Machine, cls: Class) -> frozenset[str]:
    """The methods of a class that others of its methods ask their own object for, and those without an object that code
    asks the class for, or keeps to call them."""
    found: set[str] = set()
    if any(function.wrapper in BUILTINS - {"property"} for function in methods(cls)):
        everywhere = walk(machine.body)
        found |= {o.name for o in everywhere if type(o) is GetAttribute and o.of == cls.name}
    for function in methods(cls):
        define = machine.definitions[function.code]
        if isinstance(define, Define) and define.parameters:
            own = define.parameters[0].name
            read = {o.name for o in operations_in(define) if type(o) is GetAttribute and o.of == own}
            found |= read - {define.name}
    return frozenset(found)
