"""Turns of a loop over the modules of a model that pass without doing anything: all that the loop asks of a module is
its class, and it is of another: ``if isinstance(m, nn.BatchNorm2d): m.eval()``. A model has hundreds of modules."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from headcheck.catalog.entry import Node
from headcheck.interpreter import heap, taking
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Library, Modules, Ref, Tuple, Value
from headcheck.ir import (
    Binary,
    Block,
    Call,
    Compare,
    End,
    FormatString,
    GetAttribute,
    GetItem,
    If,
    Loop,
    MakeSequence,
    Move,
    Operand,
    Operation,
    Unary,
    Variable,
    walk,
)
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


def changes_nothing(machine: Machine, op: Loop, state: State) -> bool:
    """Whether a loop over the parts of a model does no more than print what they are, or fill their tensors anew, and
    leaves nothing behind that may matter: ``for name, p in model.named_parameters(): print(name, p.shape)``."""
    if id(op) not in machine.idle:
        machine.idle[id(op)] = called_only(op)
    functions = machine.idle[id(op)]
    return functions is not None and all(is_harmless(machine.peek(state, of), path) for of, path in functions)


def is_harmless(of: Value, path: str) -> bool:
    """Whether a function of a library, by what it is read from, does nothing that anything here asks for."""
    name = f"{of.name}{path}" if type(of) is Library else ""
    return name.startswith("torch.nn.init.") or name in SHOWING


def called_only(op: Loop) -> frozenset[tuple[Variable, str]] | None:
    """The functions that a loop calls, by the variables and the paths from there that lead to them, if all else that it
    does is to ask for things; None if it does more."""
    called: set[tuple[Variable, str]] = set()
    around: dict[Operand, tuple[Variable, str]] = {}  # ``nn.Conv2d``
    methods: set[Operand] = set()
    of_turn: set[Operand] = {op.element}
    assigned = {getattr(part, "target", None) for part in walk(op.body)} | {op.element}
    for part in walk(op.body):
        if (isinstance(part, GetItem) and part.of in of_turn) or (isinstance(part, Move) and part.value in of_turn):
            of_turn.add(part.target)
        if isinstance(part, GetAttribute):
            if type(part.of) is Variable and (part.of in around or part.of not in assigned):
                base, path = around.get(part.of, (part.of, ""))
                around[part.target] = base, f"{path}.{part.name}"
            elif part.name in ASKED:
                methods.add(part.target)
            else:
                return None
        elif isinstance(part, Call) and part.function not in methods:
            if type(part.function) is not Variable or (part.function in assigned and part.function not in around):
                return None
            called.add(around.get(part.function, (part.function, "")))
        elif type(part) not in ASKING:
            return None
    left = {name for name in op.assigned if name[0] != "%" and name not in of_turn}
    return None if left or op.orelse else frozenset(called)


ASKING = frozenset([Binary, Call, Compare, End, FormatString, GetAttribute, GetItem, If, MakeSequence, Move, Unary])
#: What is asked of a parameter, a module or a text, and changes none of them.
ASKED = frozenset(
    [
        "__class__", "__name__", "abs", "bias", "data", "device", "dim", "dtype", "endswith", "format", "grad",
        "is_leaf", "item", "max", "mean", "min", "ndim", "norm", "numel", "requires_grad", "shape", "size", "split",
        "startswith", "std", "sum", "type", "weight",
    ]
)  # fmt: skip
SHOWING = frozenset(
    f"builtins.{name}" for name in ("float", "int", "isinstance", "len", "print", "repr", "str", "type")
)


def telling(machine: Machine, op: Loop, state: State, items: tuple[Value, ...]) -> tuple[Value, ...]:
    """The items whose turns may do something, and the last, which stays behind as what the loop's variable holds."""
    asked = classes_asked_for(machine, op, state)
    if asked is None:
        return items
    modules = ((item, module_of_turn(item, asked.of_pairs)) for item in items[:-1])
    return (*(item for item, module in modules if module is None or asked.module(module)), items[-1])


def telling_below(machine: Machine, op: Loop, state: State, value: Modules) -> tuple[Value, ...] | None:
    """The same of a loop over all modules below one, all of which are known; those that pass stay in the catalog's
    tree. None where the loop asks for something else."""
    of_pairs = value.kind == "named_modules"
    asked = classes_asked_for(machine, op, state)
    if asked is None or asked.of_pairs != of_pairs:
        return None
    found = taking.take_all(state, value.owner, op, asked)
    return tuple(map(Tuple, found)) if of_pairs else tuple(ref for _, ref in found)


def module_of_turn(item: Value, of_pairs: bool) -> Ref | None:
    """The module that a turn asks for its class, if it is one."""
    if of_pairs:
        item = item.items[1] if type(item) is Tuple and len(item.items) == 2 else None
    return item if type(item) is Ref else None


def classes_asked_for(machine: Machine, op: Loop, state: State) -> Classes | None:
    """The classes that a loop asks for, as they are called at its start; None if it asks for anything else."""
    tests = class_tests(machine, op)
    if tests is None or {machine.peek(state, call.function) for call in tests.calls} != {ISINSTANCE}:
        return None
    after = machine.run(tests.reads, [state.fork()]) if tests.reads else [state]
    if len(after) != 1 or after[0].ended:
        return None
    classes = [machine.peek(after[0], operand) for call in tests.calls for _, operand in call.arguments[1:]]
    flat = [part for found in classes for part in (found.items if type(found) is Tuple else (found,))]
    asked = Classes(CallSite(machine, state, "isinstance", None, (), {}, op), flat, tests.of_pairs)
    if all(type(part) is Library for part in flat):  # path after path and loop after loop asks for the same
        asked.answers = machine.class_answers.setdefault(asked.key, asked.answers)
    return asked


ISINSTANCE = Library("builtins.isinstance")


class Answers:
    """Which modules of the catalog's trees may be of one of some classes, and in which parts there are such."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[Node, str], bool] = {}
        self.trees: dict[Node, bool] = {}
        self.rows: dict[tuple[Node, bool], list[taking.Row]] = {}


class Classes:
    """Some classes, and which modules may be of one. The catalog has one node for all parts of a model that are the
    same, and so the answers are kept by the node."""

    def __init__(self, call: CallSite, classes: list[Value], of_pairs: bool) -> None:
        self.call = call
        self.classes = classes
        self.of_pairs = of_pairs
        self.answers = Answers()

    def module(self, ref: Ref) -> bool:
        """Whether a module may be of one of the classes."""
        from headcheck.semantics.python import is_instance

        thing = self.call.state.object(ref)
        if type(thing) is Module and thing.node is not None and heap.is_untouched(thing):
            return self.node(thing.node, thing.kind)
        return any(is_instance(self.call, ref, kind) is not False for kind in self.classes)

    def node(self, node: Node, kind: str = "") -> bool:
        """The same of a part of the catalog's tree, or one that is as that has it."""
        from headcheck.semantics.python import is_of_class

        key, known = (node, kind or node.kind), self.answers.nodes
        if key not in known:
            module = Module(key[1], self.call.site, node=node)
            known[key] = any(is_of_class(module, each) is not False for each in self.classes)
        return known[key]

    @property
    def key(self) -> tuple[Value, ...]:
        return tuple(self.classes)

    def within(self, node: Node) -> bool:
        """Whether a part of the catalog's tree, or one below it, may be of one of the classes."""
        known = self.answers.trees
        if node not in known:
            known[node] = self.node(node) or any(map(self.within, node.children.values()))
        return known[node]

    @property
    def rows(self) -> dict[tuple[Node, bool], list[taking.Row]]:
        return self.answers.rows


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
