"""Records what a network's forward computes, as a straight line of library calls.

On one path every branch is decided and every loop unrolled, so what the forward does to tensors is a list of steps,
each of which calls a module, a function of torch or a method, with what earlier steps answered: a *program*, plain data
that the confirm worker runs without a line of the script. What a step answers has a number, its *register*; 0 is the
input, and those after it are -1, -2 and so on.

What cannot be recorded has a register, too, and a reason. It only counts if the answer depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter import branches, expressions, loops
from headcheck.interpreter import machine as machines
from headcheck.interpreter.budget import Budget
from headcheck.interpreter.calls import call_object
from headcheck.interpreter.forward import is_stack, own_forward
from headcheck.interpreter.heap import Dictionary, Module, Sequence, child_names, get_child, is_sequential
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.parts import children_of, module_of
from headcheck.interpreter.state import Cell, State, since
from headcheck.interpreter.values import (
    ELLIPSIS,
    UNKNOWN,
    Address,
    Condition,
    Library,
    Method,
    Not,
    Parameter,
    Ref,
    Slice,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_plain,
    label,
)
from headcheck.ir import Binary, Call, Compare, End, GetAttribute, GetItem, If, Loop, Operation, SetItem, Unary
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

STEPS = 20_000  # of the interpreter, for one forward
DEEPEST = 6
INPUT = 0
UNDECIDED = "a branch that is not decided"
DTYPES = frozenset(
    ["bfloat16", "bool", "double", "float", "float16", "float32", "float64", "half", "int", "int32", "int64", "long"]
)
BUILTINS = frozenset(["abs", "float", "int", "len", "list", "max", "min", "sum", "tuple"])


class Program(NamedTuple):
    """`steps` are those that the `answer` depends on, as data; `unknown` says why there is none ("" if there is).
    `taken` is what it takes for granted."""

    steps: tuple[dict[str, Any], ...] = ()
    answer: Any = None
    unknown: str = ""
    taken: tuple[str, ...] = ()


class Unknown(Exception):
    """Something cannot be written down; its text says what it is."""


class Undecided(Exception):
    """The path parts at an operation, the exception's argument."""


def record(
    machine: Machine,
    state: State,
    network: Ref,
    shapes: Iterable[tuple[int, ...] | None],
    number: Callable[[Address], int | None],
    make: Callable[[events.Created, Module], int | None],
    where: Callable[[Operation], tuple[int, str]],
) -> Program:
    """What a network answers to tensors of these shapes (None: of any), as it is in a state.

    `number` gives the number that a module has in the plan, `make` one to a layer that the forward makes itself,
    `where` the line of an operation and its words.
    """
    recorder = Recorder(number, make, where)
    state = state.fork()
    state.end("")
    state.ungraded, state.cast = False, ""
    machine.recorder, machine.handlers = recorder, recorder.handlers
    budget, machine.budget = machine.budget, Budget(STEPS)
    start = recorder.start = state.events
    try:
        given = tuple(Tensor(shape, register=INPUT - index) for index, shape in enumerate(shapes))
        after = call_object(machine, state, network, given, {}, SITE)
        return recorder.program(only(after, SITE), start)
    except Undecided as undecided:
        return Program(unknown=f"{UNDECIDED}{recorder.words(undecided.args[0])}")
    except Unknown as unknown:
        return Program(unknown=str(unknown))
    finally:
        machine.recorder, machine.handlers, machine.budget = None, machines.HANDLERS, budget


SITE = Operation(None)


def only(states: list[State], op: Operation) -> State:
    """The one path that goes on, or else the one there is: those that take a failure for granted are not followed."""
    going = [state for state in states if not state.doubtful and state.ended not in ("raise", "limit")] or states
    if len(going) != 1:
        raise Undecided(op)
    return going[0]


class Recorder:
    """Stands between the machine and its handlers while one forward is recorded."""

    def __init__(
        self,
        number: Callable[[Address], int | None],
        make: Callable[[events.Created, Module], int | None],
        where: Callable[[Operation], tuple[int, str]],
    ) -> None:
        self.number = number
        self.make = make
        self.taken: list[str] = []
        self.where = where
        self.registers = INPUT
        self.start: Cell = None
        self.attributes: dict[int, dict[str, Any]] = {}  # of what has a register: the steps that read them
        self.reasons: dict[int, str] = {}
        self.running = False  # a call of the library, which is one step whatever it does
        self.handlers: dict[type[Operation], Any] = {
            **{kind: self.undivided(handler) for kind, handler in machines.HANDLERS.items()},
            End: machines.HANDLERS[End],
            Call: self.on_call,
            Loop: self.on_loop,
            If: self.on_if,
            **{kind: self.leaf(kind) for kind in LEAVES},
            SetItem: self.on_set_item,
        }

    # -- handlers ----------------------------------------------------------------------------------------------------

    def undivided(self, handler: Any) -> Any:
        def handle(machine: Machine, op: Operation, state: State) -> list[State] | None:
            after = handler(machine, op, state)
            return None if after is None else [only(after, op)] if after else after

        return handle

    def leaf(self, kind: type[Operation]) -> Any:
        operands, write = LEAVES[kind]
        plain = machines.HANDLERS[kind]

        def handle(machine: Machine, op: Any, state: State) -> list[State] | None:
            values = [machine.read(state, operand) for operand in operands(op)]
            touched = any(touches(state, value) for value in values)
            after = plain(machine, op, state)
            one = state if after is None else only(after, op)
            if touched and not one.ended:
                step = self.written(op, lambda: write(self, one, op, values))
                one.env[op.target] = self.made(one, one.env.get(op.target, UNKNOWN), step, op)
            return [one]

        return handle

    def on_set_item(self, machine: Machine, op: SetItem, state: State) -> None:
        of, index, value = (machine.read(state, operand) for operand in (op.of, op.index, op.value))
        expressions.on_set_item(machine, op, state)
        if register_of(of) is not None:
            parts = {"of": self.encode(state, of), "index": self.encode(state, index)}
            self.log(state, {"op": "set_item", **parts, "value": self.encode(state, value)}, op)

    def on_call(self, machine: Machine, op: Call, state: State) -> list[State]:
        function = machine.read(state, op.function)
        before = state.events
        given = [machine.read(state, value) for _, value in (*op.arguments, *op.keywords)]
        touched = touches(state, function) or any(touches(state, value) for value in given)
        one = only(expressions.on_call(machine, op, state), op)
        if one.ended or not touched or self.running or type(function) not in (Library, Method, Symbol):
            return [one]
        if any(type(event) is events.Computed for event in since(one, before)):
            return [one]  # it called the modules or functions that it was given, which are recorded
        result = one.env.get(op.target, UNKNOWN)
        step = self.written(op, lambda: self.call_step(machine, one, function, op))
        one.env[op.target] = self.made(one, result, step, op)
        return [one]

    def on_loop(self, machine: Machine, op: Loop, state: State) -> list[State]:
        """A loop over a stack that has nobody knows how many layers goes through those that are known; one over a few
        things is gone through one by one, whatever it makes of them."""
        iterable = machine.read(state, op.iterable)
        module = module_of(state, iterable)
        if module is None or module.known or not is_sequential(module) or not module.children:
            items = items_of(machine, state, iterable, op)
            if items and len(items) <= loops.LONG:
                return [only(self.go_over(machine, op, state, items), op)]
            return [only(loops.on_loop(machine, op, state), op)]
        layers = tuple(get_child(state, iterable, name, op) for name in child_names(module))
        return [only(self.go_over(machine, op, state, layers), op)]

    def go_over(self, machine: Machine, op: Loop, state: State, items: tuple[Value, ...]) -> list[State]:
        return loops.loop_over(machine, op, state, items, UNKNOWN, len(items) > loops.MOST_TURNS_APART)

    def on_if(self, machine: Machine, op: If, state: State) -> list[State]:
        before = state.env.copy()
        one = only(branches.on_if(machine, op, state), op)
        for name in op.assigned:  # what paths that met here do not agree on
            value = one.env.get(name)
            parts = value.key if type(value) is Symbol and value is not before.get(name) else ()
            if type(parts) is tuple and parts[:1] == ("merged",):
                one.env[name] = Symbol(("register", self.new_register(f"{UNDECIDED}{self.words(op)}")), name)
        return [one]

    def call_step(self, machine: Machine, state: State, function: Value, op: Call) -> dict[str, Any]:
        arguments = expressions.spread(machine, state, op.arguments, op)
        if arguments is None or any(name is None for name, _ in op.keywords):
            raise Unknown("arguments that are not known")
        keywords = {str(name): machine.read(state, value) for name, value in op.keywords}
        called = self.callee(state, function)
        try:
            return {**called, **self.given(state, arguments, keywords)}
        except Unknown:
            if called["op"] != "method" or called["name"] != "to" or "dtype" in keywords:
                raise
        self.taken.append(f"`to` moves a tensor to where the model is{self.words(op)}")
        return {**called, "name": "contiguous", "args": [], "kwargs": {}}  # which leaves it as it is

    def callee(self, state: State, function: Value) -> dict[str, Any]:
        if type(function) is Library:
            space, _, name = function.name.rpartition(".")
            if function.name.startswith("torch.") or (space == "builtins" and name in BUILTINS):
                return {"op": "function", "name": function.name}
        if type(function) is Method:
            return {"op": "method", "of": self.encode(state, function.receiver), "name": function.name}
        register = register_of(function)
        if register in self.reasons:  # why what it was read off is not known
            raise Unknown(self.reasons[register])
        read = self.attributes.get(register) if register is not None else None
        if read is not None:
            return {"op": "method", "of": read["of"], "name": read["name"]}
        raise Unknown(f"`{label(function)}`, which is not followed")

    def given(self, state: State, arguments: tuple[Value, ...], keywords: Mapping[str, Value]) -> dict[str, Any]:
        return {
            "args": [self.encode(state, value) for value in arguments],
            "kwargs": {name: self.encode(state, value) for name, value in keywords.items()},
        }

    # -- modules -----------------------------------------------------------------------------------------------------

    def goes_into(self, state: State, part: Any) -> bool:
        """Whether a module is no step of its own: a network of the script, or what holds one and only calls it."""
        if self.running:
            return True
        return holds_network(state, part)

    def module_call(
        self,
        state: State,
        part: Any,
        arguments: tuple[Value, ...],
        keywords: Mapping[str, Value],
        site: Operation,
        run: Callable[[], list[State]],
    ) -> list[State]:
        """A module of the library is called: one step."""

        def write() -> dict[str, Any]:
            return {"op": "module", "of": self.encode(state, part), **self.given(state, arguments, keywords)}

        step = self.written(site, write)
        self.running = True
        try:
            after = run()
        finally:
            self.running = False
        one = only(after, site)
        if not one.ended:
            one.result = self.made(one, one.result, step, site)
        return [one]

    # -- registers ---------------------------------------------------------------------------------------------------

    def written(self, op: Operation, write: Callable[[], dict[str, Any]]) -> dict[str, Any] | str:
        """A step, or why it cannot be written down."""
        try:
            return write()
        except Unknown as unknown:
            said = str(unknown)
            return said if said.endswith(")") else f"{said}{self.words(op)}"

    def words(self, op: Operation) -> str:
        return f" ({self.where(op)[1]})" if op.node is not None else ""

    def log(self, state: State, step: dict[str, Any], op: Operation) -> None:
        line = self.where(op)[0] if op.node is not None else None
        ungraded = {"ungraded": True} if state.ungraded else {}
        cast = {"cast": state.cast} if state.cast else {}
        state.log(events.Computed(op, {**step, **ungraded, **cast, "line": line}))

    def new_register(self, reason: str = "") -> int:
        self.registers += 1
        if reason:
            self.reasons[self.registers] = reason
        return self.registers

    def made(self, state: State, value: Value, step: dict[str, Any] | str, op: Operation) -> Value:
        """The result of a step, with its register; what is no tensor and is known is none."""
        if is_plain(value) or type(value) in (Method, Library):
            return value
        if type(value) is Tuple and all(is_plain(item) for item in value.items):
            return value
        told_apart = isinstance(step, str) or str(step.get("name")).startswith("builtins.")
        if told_apart and type(value) in (Ref, Tuple) and touches(state, value):
            return value  # a list or tuple of what has registers
        if isinstance(step, str):
            return Symbol(("register", self.new_register(step)), "…")
        register = self.new_register()
        if step["op"] == "attribute":
            self.attributes[register] = step
        self.log(state, {**step, "out": register}, op)
        return self.stamped(state, value, register, op)

    def stamped(self, state: State, value: Value, register: int, op: Operation) -> Value:
        if type(value) is Tensor:
            return value._replace(register=register)
        thing = state.object(value)
        items = value.items if type(value) is Tuple else thing.items if type(thing) is Sequence else None
        if items is None:
            return Symbol(("register", register), "…")
        parts = []
        for index, item in enumerate(items):
            out = self.new_register()
            self.log(state, {"op": "item", "of": {"reg": register}, "index": index, "out": out}, op)
            parts.append(self.stamped(state, item, out, op))
        if type(value) is Tuple:
            return Tuple(tuple(parts))
        state.heap[value.address] = thing._replace(items=tuple(parts))
        return value

    # -- writing -----------------------------------------------------------------------------------------------------

    def encode(self, state: State, value: Value, depth: int = 0) -> Any:
        """A value as data; raises Unknown."""
        register = register_of(value)
        if register is not None:
            if register in self.reasons:
                raise Unknown(self.reasons[register])
            return {"reg": register}
        if depth > DEEPEST:
            raise Unknown("a value that is nested too deeply")
        if is_plain(value) and not isinstance(value, bytes):
            return value
        kind = type(value)
        if kind is Tuple:
            return {"tuple": [self.encode(state, item, depth + 1) for item in value.items]}
        if kind is Slice:
            return {"slice": [self.encode(state, part, depth + 1) for part in value]}
        if value == ELLIPSIS:
            return {"ellipsis": True}
        if kind is Library and value.name.startswith("torch.") and value.name[6:] in DTYPES:
            return {"dtype": value.name[6:]}
        if kind is Parameter and type(value.owner) is Ref:
            owner = self.number(value.owner.address)
            if owner is not None and value.path and "*" not in value.path:
                return {"parameter": [owner, value.path]}
        if kind is Ref:
            return self.encode_thing(state, value, depth)
        raise Unknown(f"`{label(value)}`, which is not known" if label(value) != "…" else "a value that is not known")

    def encode_thing(self, state: State, ref: Ref, depth: int) -> Any:
        thing = state.object(ref)
        if type(thing) is Module:
            number = self.number(ref.address)
            if number is None:
                made = (event for event in since(state, self.start) if type(event) is events.Created)
                event = next((event for event in made if event.module == ref.address), None)
                number = self.make(event, thing) if event is not None else None
            return {"ref": number} if number is not None else self.part_of(state, ref, depth)
        if type(thing) is Sequence and thing.items is not None and thing.kind == "list":
            return [self.encode(state, item, depth + 1) for item in thing.items]
        if type(thing) is Dictionary and thing.items is not None and all(isinstance(k, str) for k, _ in thing.items):
            return {"dict": {str(k): self.encode(state, v, depth + 1) for k, v in thing.items}}
        raise Unknown("a value that is not known")

    def part_of(self, state: State, ref: Ref, depth: int) -> Any:
        """A part of one of the library's modules that the forward itself reads: a step that reads it."""
        taken = (event for event in since(state, self.start) if type(event) is events.Taken)
        read = next((event for event in taken if event.module == ref.address), None)
        if read is None or depth > DEEPEST:
            raise Unknown("a value that is not known")
        found = self.encode(state, Ref(read.owner), depth + 1)
        for name in read.name.split("."):
            step = {"op": "attribute", "of": found, "name": name, "out": self.new_register()}
            self.log(state, step, SITE)
            found = {"reg": step["out"]}
        return found

    def program(self, state: State, start: Cell) -> Program:
        """The steps since `start` and what they answer."""
        if state.ended:
            return Program(unknown=f"its forward, which ends in {state.raised or state.ended}")
        answer = self.encode(state, state.result)
        if not registers_in(answer):
            return Program(unknown="what its forward answers, which is not known")
        steps = [event.step for event in since(state, start) if type(event) is events.Computed]
        return Program(tuple(needed(steps, answer)), answer, taken=tuple(self.taken))


def needed(steps: list[dict[str, Any]], answer: Any) -> list[dict[str, Any]]:
    """Those of some steps (newest first) that an answer depends on or that write into a tensor, oldest first."""
    wanted = registers_in(answer)
    kept = []
    for step in steps:
        writes = "out" not in step or step.get("in_place") or str(step.get("name", "")).endswith("_")
        if writes or step["out"] in wanted:
            kept.append(step)
            wanted |= registers_in({key: value for key, value in step.items() if key != "out"})
    return kept[::-1]


def registers_in(value: Any) -> set[int]:
    if isinstance(value, dict):
        if list(value) == ["reg"]:
            return {value["reg"]}
        return set().union(*(registers_in(inner) for inner in value.values()))
    return set().union(*(registers_in(inner) for inner in value)) if isinstance(value, list) else set()


def register_of(value: Value) -> int | None:
    if type(value) is Tensor:
        return value.register
    if type(value) is Symbol and type(value.key) is tuple and value.key[0] == "register":
        return int(value.key[1])
    return None


def touches(state: State, value: Value, depth: int = 0) -> bool:
    """Whether a value is or holds what a step answered."""
    if register_of(value) is not None:
        return True
    kind = type(value)
    if depth > DEEPEST or kind not in HOLDERS:
        return False
    if kind is Ref:
        thing = state.heap.get(value.address)
        if type(thing) is Sequence:
            return any(touches(state, item, depth + 1) for item in thing.items or ())
        if type(thing) is Dictionary:
            return any(touches(state, item, depth + 1) for _, item in thing.items or ())
        return False
    if kind is Method:
        return touches(state, value.receiver, depth + 1)
    return any(touches(state, part, depth + 1) for part in (value.items if kind is Tuple else value))


HOLDERS = frozenset([Ref, Tuple, Slice, Method, Condition, Not])


def holds_network(state: State, part: Any, depth: int = 0) -> bool:
    """Whether a module is a network of the script, or holds one (in a stack, whose call is that of its parts)."""
    module = module_of(state, part) if type(part) is Ref else None
    if module is not None and own_forward(module) is not None:
        return True
    if depth > DEEPEST or not is_stack(state, part):
        return False
    return any(holds_network(state, child, depth + 1) for _, child in children_of(state, part) or [])


def _attribute(recorder: Recorder, state: State, op: Any, values: list[Value]) -> dict[str, Any]:
    if type(values[0]) is Tuple and op.name in ("values", "indices"):  # of what torch answers, kept as a plain tuple
        return {"op": "item", "of": recorder.encode(state, values[0]), "index": int(op.name == "indices")}
    return {"op": "attribute", "of": recorder.encode(state, values[0]), "name": op.name}


def _item(recorder: Recorder, state: State, op: Any, values: list[Value]) -> dict[str, Any]:
    register = register_of(values[0])
    if register is not None and register <= INPUT and type(values[1]) in (int, str):
        raise Unknown("what its forward is given, which is no tensor")
    of, index = (recorder.encode(state, value) for value in values)
    return {"op": "item", "of": of, "index": index}


def _binary(recorder: Recorder, state: State, op: Any, values: list[Value]) -> dict[str, Any]:
    left, right = (recorder.encode(state, value) for value in values)
    return {"op": "binary", "operator": op.operator, "left": left, "right": right, "in_place": op.in_place}


def _compare(recorder: Recorder, state: State, op: Any, values: list[Value]) -> dict[str, Any]:
    left, right = (recorder.encode(state, value) for value in values)
    return {"op": "binary", "operator": op.operator, "left": left, "right": right}


def _unary(recorder: Recorder, state: State, op: Any, values: list[Value]) -> dict[str, Any]:
    return {"op": "unary", "operator": op.operator, "of": recorder.encode(state, values[0])}


LEAVES: dict[type[Operation], tuple[Callable[[Any], tuple[Any, ...]], Callable[..., dict[str, Any]]]] = {
    GetAttribute: (lambda op: (op.of,), _attribute),
    GetItem: (lambda op: (op.of, op.index), _item),
    Binary: (lambda op: (op.left, op.right), _binary),
    Compare: (lambda op: (op.left, op.right), _compare),
    Unary: (lambda op: (op.operand,), _unary),
}
