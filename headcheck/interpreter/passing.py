"""Turns of a loop over the modules of a model that pass without doing anything: all that the loop asks of a module is
its class, and it is of another: ``if isinstance(m, nn.BatchNorm2d): m.eval()``. A model has hundreds of modules."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Library, Ref, Tuple, Value
from headcheck.ir import Block, Call, End, GetAttribute, GetItem, If, Loop, MakeSequence, Move, Operand, Operation
from headcheck.ir.scopes import variables
from headcheck.records import NamedTuple
from headcheck.semantics.registry import CallSite

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


class Tests(NamedTuple):
    """What a loop asks: the classes that `calls` test for, made by `reads`; `of_pairs`: of the second of each pair."""

    reads: Block
    calls: tuple[Call, ...]
    of_pairs: bool


def telling(machine: Machine, op: Loop, state: State, items: tuple[Value, ...]) -> tuple[Value, ...]:
    """The items whose turns may do something, and the last, which stays behind as what the loop's variable holds."""
    tests = class_tests(machine, op)
    if tests is None:
        return items
    trial = state.fork()
    after = machine.run(tests.reads, [trial])
    if len(after) != 1 or after[0].ended:
        return items
    classes = [machine.peek(after[0], operand) for call in tests.calls for _, operand in call.arguments[1:]]
    asked = {machine.peek(state, call.function) for call in tests.calls}
    if asked != {Library("builtins.isinstance")}:
        return items
    flat = [part for found in classes for part in (found.items if type(found) is Tuple else (found,))]
    call = CallSite(machine, state, "isinstance", None, (), {}, op)
    alike: dict[tuple[int, str], bool] = {}
    modules = ((item, module_of_turn(item, tests)) for item in items[:-1])
    return (
        *(item for item, module in modules if module is None or not is_of_none(call, module, flat, alike)),
        items[-1],
    )


def module_of_turn(item: Value, tests: Tests) -> Ref | None:
    """The module that a turn asks for its class, if it is one."""
    if tests.of_pairs:
        item = item.items[1] if type(item) is Tuple and len(item.items) == 2 else None
    return item if type(item) is Ref else None


def is_of_none(call: CallSite, ref: Ref, classes: list[Value], alike: dict[tuple[int, str], bool]) -> bool:
    """Whether a module is surely of none of some classes. `alike` holds the answers so far: the catalog has one node
    for all parts of a model that are the same."""
    from headcheck.semantics.python import is_instance

    module = call.state.object(ref)
    untouched = type(module) is Module and module.node is not None and not (module.values or module.arguments)
    key = (id(module.node), module.kind) if untouched and module.cls is None and module.chosen is None else (0, "")
    answer = alike.get(key) if key[0] else None
    if answer is None:
        answer = alike[key] = all(is_instance(call, ref, kind) is False for kind in classes)
    return answer


def class_tests(machine: Machine, op: Loop) -> Tests | None:
    """What a loop asks if it asks for nothing but classes, until it finds one."""
    if id(op) not in machine.class_tests:
        machine.class_tests[id(op)] = _class_tests(op)
    return machine.class_tests[id(op)]


def _class_tests(op: Loop) -> Tests | None:
    module: set[str] = {op.element}
    names: set[str] = set()  # what else a turn holds: the name of the module
    of_pairs = False
    body = [operation for operation in op.body if type(operation) is not End]
    start = 0
    for operation in body:
        if isinstance(operation, Move) and operation.value in (module | names):
            (module if operation.value in module else names).add(operation.target)
        elif isinstance(operation, GetItem) and operation.of == op.element and operation.index in (0, 1):
            if not of_pairs:
                of_pairs, module = True, set()
            (module if operation.index == 1 else names).add(operation.target)
        else:
            break
        start += 1
    asking = _Asking(module, module | names | {op.element})
    return Tests(asking.reads, tuple(asking.calls), of_pairs) if asking.only(body[start:]) and asking.calls else None


class _Asking:
    """Goes through a loop's body. `module` are the variables that hold the module, `held` all that a turn holds,
    `asked` those that tell whether it is of a class."""

    def __init__(self, module: Set[str], held: Set[str]) -> None:
        self.module = module
        self.held = held
        self.asked: set[Operand] = set()
        self.reads: Block = []
        self.calls: list[Call] = []

    def only(self, block: Block) -> bool:
        """Whether a block does no more than ask for classes, but for what it does where one is found."""
        return all(type(operation) is End or self.passes(operation) for operation in block)

    def passes(self, operation: Operation) -> bool:
        if isinstance(operation, If):
            return (
                operation.test in self.asked
                and (operation.statement or self.is_or(operation))
                and self.only(operation.orelse)
            )
        if isinstance(operation, Move) and operation.value in self.asked:
            self.asked.add(operation.target)
            return True
        if isinstance(operation, Call):
            return self.asks(operation)
        self.reads.append(operation)
        return isinstance(operation, (GetAttribute, MakeSequence)) and self.held.isdisjoint(variables(operation))

    def is_or(self, branch: If) -> bool:
        """Whether a branch is what ``a or b`` does where `a` is true: no more than keep that."""
        return all(isinstance(operation, Move) and operation.value == branch.test for operation in branch.body)

    def asks(self, call: Call) -> bool:
        given = [operand for starred, operand in call.arguments if not starred]
        self.calls.append(call)
        self.asked.add(call.target)
        plain = call.function == "isinstance" and len(given) == len(call.arguments) == 2 and not call.keywords
        return plain and given[0] in self.module and given[1] not in self.held
