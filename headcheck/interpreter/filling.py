"""Functions that do no more to a module than put other numbers into its tensors, whichever module it is: they call
``nn.init``, ask for classes and sizes, print. They need not be followed for each of the hundreds that a model has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck.interpreter.passing import ASKED
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Bound, Function, Library, Own, Partial, Value
from headcheck.ir import (
    Append,
    Binary,
    Break,
    Call,
    Compare,
    Continue,
    Define,
    DeleteName,
    End,
    FormatString,
    GetAttribute,
    GetItem,
    If,
    Loop,
    MakeDict,
    MakeSequence,
    MakeSlice,
    Move,
    Operand,
    Operation,
    Raise,
    Return,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
    operations_in,
)
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

DEEPEST = 4  # functions that call each other


class Use(NamedTuple):
    """What a function does that only puts numbers into tensors, as far as its own operations say: it calls `functions`,
    by the variables around it and the paths from there that lead to them, and `methods`; it reads the attributes
    `read`, and `writes` into tensors by itself."""

    functions: frozenset[tuple[Variable, str]]
    methods: frozenset[str]
    read: frozenset[str]
    writes: bool


def fills(machine: Machine, state: State, function: Value) -> bool | None:
    """Whether a function that only puts numbers into tensors writes others there than ``nn.init`` and the like draw;
    None if it does more than that, or nobody knows."""
    return _Question(machine, state).value(function, DEEPEST)


class _Question:
    """Each answer is as that of `fills`."""

    def __init__(self, machine: Machine, state: State) -> None:
        self.machine = machine
        self.globals = state.globals

    def value(self, function: Value, depth: int) -> bool | None:
        while type(function) in (Bound, Partial):
            function = function.function
        if type(function) is not Function:
            return None
        return self.code(function.code, function.module, dict(function.closure), depth)

    def code(self, code: int, module: str, closure: Mapping[str, Value], depth: int) -> bool | None:
        define = self.machine.definitions[code]
        use = use_of(self.machine, define) if type(define) is Define and depth else None
        if use is None:
            return None
        around = {**self.globals.get(module, {}), **closure}
        found = [self.called(around.get(of), of, path, depth) for of, path in use.functions]
        found += [self.method(name, depth) for name in use.methods]
        found += [self.property(name, depth) for name in use.read]
        return None if None in found else use.writes or True in found

    def called(self, value: Value, variable: str, path: str, depth: int) -> bool | None:
        """Of a function that is called by a name from around, or of a method of what has such a name."""
        names = path.split(".")[1:]
        if value is None:
            value = Library(f"builtins.{variable}")
        for place, name in enumerate(names):
            if type(value) is Own:
                value = self.globals.get(value.key, {}).get(name)
            elif type(value) is Library:
                value = Library(f"{value.name}.{name}")
            elif place == len(names) - 1:
                return self.method(name, depth) if name in ASKING or self.defined(name) else None
            else:
                value = None
        return of_library(value.name) if type(value) is Library else self.value(value, depth - 1)

    def method(self, name: str, depth: int) -> bool | None:
        """Of a method of a module, a tensor or a text; of all that the script has of that name, it may be any."""
        own = self.defined(name)
        if own:
            found = [
                self.code(id(define), self.machine.home_of.get(id(define), ""), EMPTY, depth - 1) for define in own
            ]
            return None if None in found else True in found
        if name in ASKING or name in DRAWING:
            return False
        return True if name[-1:] == "_" and name[:1] != "_" and name not in SHAPING else None

    def property(self, name: str, depth: int) -> bool | None:
        """Of reading an attribute, for which the script may have code of its own."""
        return self.method(name, depth) if any(define.decorators for define in self.defined(name)) else False

    def defined(self, name: str) -> list[Define]:
        count, named = self.machine.named_functions
        if count != len(self.machine.definitions):
            named = {}
            for define in self.machine.definitions.values():
                if type(define) is Define:
                    named.setdefault(define.name, []).append(define)
            self.machine.named_functions = len(self.machine.definitions), named
        return named.get(name, [])


def use_of(machine: Machine, define: Define) -> Use | None:
    """Each function is looked at once."""
    code = id(define)
    if code not in machine.uses:
        machine.uses[code] = None if define.generator else _Look(define).use(operations_in(define))
    return machine.uses[code]


def of_library(name: str) -> bool | None:
    """Of a function of a library; as with torch's own, the last letter tells those that change the tensor they get."""
    if PURE.match(name):
        return False
    last = name.rpartition(".")[2]
    return False if last[-1:] == "_" and last not in SHAPING and name[:9] != "builtins." else None


class _Look:
    """Goes through a function. `assigned` are its own variables, `around` those that hold what it has from around it,
    `named` those that hold an attribute of something of its own, `tensors` those that hold tensors of a module."""

    def __init__(self, define: Define) -> None:
        self.assigned = {parameter.name for parameter in define.parameters}
        self.around: dict[Operand, tuple[Variable, str]] = {}
        self.named: dict[Operand, str] = {}
        self.tensors: set[Operand] = set()
        self.inner: set[Operand] = set()  # functions of its own
        self.copies: set[Operand] = set()  # of tensors: what changes one where it is, changes nothing of a module
        self.of_copies: set[Operand] = set()  # methods that do so
        self.functions: set[tuple[Variable, str]] = set()
        self.methods: set[str] = set()
        self.read: set[str] = set()
        self.writes = False

    def use(self, operations: list[Operation]) -> Use | None:
        for operation in operations:
            if isinstance(operation, Define):
                self.assigned.update(parameter.name for parameter in operation.parameters)
                self.inner.add(operation.target)
            self.assigned.update(
                name for name in (getattr(operation, "target", None), getattr(operation, "element", None)) if name
            )
        if not all(map(self.passes, operations)):
            return None
        return Use(frozenset(self.functions), frozenset(self.methods), frozenset(self.read), self.writes)

    def passes(self, op: Operation) -> bool:
        """Whether an operation does no more than ask, go on somewhere, call something or write into a tensor."""
        if isinstance(op, GetAttribute):
            self.note_attribute(op)
        elif isinstance(op, Call):
            if op.function in self.of_copies or self.named.get(op.function) == "clone":
                self.copies.add(op.target)
            return op.function in self.of_copies or self.may_call(op.function)
        elif isinstance(op, SetItem):
            self.writes = True
            return op.of in self.tensors
        elif isinstance(op, Define):
            return not op.decorators and not op.generator
        elif isinstance(op, (Move, GetItem)):
            if (op.value if isinstance(op, Move) else op.of) in self.tensors:
                self.tensors.add(op.target)
        elif isinstance(op, Binary) and op.in_place:
            self.writes = True
        else:
            return type(op) in PASSING
        return True

    def note_attribute(self, op: GetAttribute) -> None:
        if type(op.of) is Variable and (op.of in self.around or op.of not in self.assigned):
            base, path = self.around.get(op.of, (op.of, ""))
            self.around[op.target] = base, f"{path}.{op.name}"
            return
        if op.of in self.copies and op.name[-1:] == "_" and op.name[:1] != "_":
            self.of_copies.add(op.target)
            return
        self.named[op.target] = op.name
        self.read.add(op.name)
        if op.name in TENSORS:
            self.tensors.add(op.target)

    def may_call(self, function: Operand) -> bool:
        if type(function) is not Variable:
            return False
        if function in self.named:
            self.methods.add(self.named[function])
        elif function in self.around:
            self.functions.add(self.around[function])
        elif function not in self.assigned:
            self.functions.add((function, ""))
        else:
            return function in self.inner
        return True


EMPTY: Mapping[str, Value] = {}
TENSORS = frozenset(["bias", "data", "weight"])
PASSING = frozenset(
    [
        Append, Binary, Break, Compare, Continue, DeleteName, End, FormatString, If, Loop, MakeDict, MakeSequence,
        MakeSlice, Raise, Return, Try, Unary, While, With,
    ]
)  # fmt: skip
PURE = re.compile(
    r"builtins\.(abs|all|any|bool|callable|dict|enumerate|float|getattr|hasattr|id|int|isinstance|issubclass|len|list|max"
    r"|min|print|range|repr|reversed|round|set|sorted|str|sum|tuple|type|zip|\w+(Error|Exception|Warning))$"
    r"|(logging|math|numpy|random|warnings)\.|torch\.\w+$|torch\.(cuda|nn\.functional|nn\.init|random)\."
)
#: Methods that change nothing of a text, a tensor, a dict or a module.
ASKING = ASKED | frozenset(
    [
        "buffers", "children", "chunk", "clone", "count", "debug", "detach", "exp", "fan_in", "find", "get", "index",
        "info", "items", "join", "keys", "log", "lower", "lstrip", "modules", "named_buffers", "named_children",
        "named_modules", "named_parameters", "narrow", "nelement", "new", "parameters", "pow", "prod", "replace",
        "reshape", "rsplit", "rstrip", "select", "sqrt", "strip", "t", "tolist", "unbind", "upper", "values", "view",
        "warning",
    ]
)  # fmt: skip
#: Methods that fill a tensor, or those of a layer, with numbers drawn anew, or all with the same.
DRAWING = frozenset(
    [
        "_reset_parameters", "bernoulli_", "cauchy_", "exponential_", "fill_", "geometric_", "log_normal_", "normal_",
        "random_", "reset_parameters", "reset_running_stats", "uniform_", "zero_",
    ]
)  # fmt: skip
#: Methods by whose names torch says that they change a tensor, and that do more than put other numbers into it.
SHAPING = frozenset(
    [
        "apply_", "as_strided_", "detach_", "map_", "rename_", "requires_grad_", "resize_", "resize_as_", "set_",
        "share_memory_", "squeeze_", "swapaxes_", "swapdims_", "t_", "transpose_", "unsqueeze_",
    ]
)  # fmt: skip
