"""Runs IR over a set of states. Each operation has one handler; a handler answers the states that go on, or None for
"the same state"."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from headcheck import catalog, events
from headcheck.interpreter import access, choosing, heap, indexing, merging, modules, operators
from headcheck.interpreter.budget import Budget
from headcheck.interpreter.calls import call_value
from headcheck.interpreter.heap import Dictionary, Module, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.loops import on_loop, on_while
from headcheck.interpreter.relevance import CHANGING
from headcheck.interpreter.state import State, go_back
from headcheck.interpreter.values import (
    LARGEST_LIST,
    Bound,
    Class,
    Device,
    Function,
    Lazy,
    Library,
    Method,
    Parameter,
    Partial,
    Ref,
    Slice,
    Symbol,
    Tuple,
    Value,
    is_invented,
    is_plain,
    is_unknown,
    symbol,
    weight,
)
from headcheck.ir import (
    GENERATOR,
    UNKNOWN,
    Append,
    Binary,
    Block,
    Break,
    Call,
    Compare,
    Continue,
    Define,
    DefineClass,
    DeleteAttribute,
    DeleteItem,
    DeleteName,
    End,
    FormatString,
    GetAttribute,
    GetItem,
    If,
    Import,
    ImportFrom,
    Loop,
    MakeDict,
    MakeSequence,
    MakeSlice,
    Move,
    Operand,
    Operation,
    Raise,
    Return,
    SetAttribute,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
    walk,
)
from headcheck.ir.scopes import scope_of

if TYPE_CHECKING:
    from headcheck.execution import FileFacts
    from headcheck.interpreter.recording import Recorder

MOST_LEFT = 100  # of the paths that are left out, those that are remembered
FEWEST_ENDED = 8  # of the paths that ended early, those that are kept in any case
# Packages whose members are what their names say; any other module may hold anything.
PACKAGES = frozenset(
    [
        *sys.stdlib_module_names, "IPython", "PIL", "accelerate", "apex", "attr", "attrs", "click", "cv2", "easydict",
        "efficientnet_pytorch", "fastai", "hydra", "ignite", "lightning", "matplotlib", "numpy", "omegaconf", "pandas",
        "peft", "pydantic", "pytorch_lightning", "sklearn", "timm", "torch", "torchaudio", "torchinfo", "torchmetrics",
        "torchsummary", "torchvision", "tqdm", "transformers", "typer", "wandb", "yaml",
    ]
)  # fmt: skip
BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__) | {
    "display"  # of every notebook
}


class Machine:
    """What all paths of a file share.

    `names` gives those that can matter to a model (see `relevance`), by module; `facts` what the whole file says, such
    as the attributes that any code of the project assigns; `project` knows which modules are the project's own;
    `defaults` says whether the run is one "as started without arguments"; `entry` holds the operations of the function
    that is followed though nothing calls it; `turns` the conditions at the start of each loop that is followed for one
    turn that stands for all; `asked` is set where the script asks for an argument that has a default;
    `handed` are the classes that code which is not followed was given, to make of them what it likes;
    `body` is the file's own block; `budget` is what the run may cost,
    `lost` whether some paths were left out for it, `left` what some of these did until then; `loaded` the modules whose
    code it came to; `recorder` is there, with `handlers` of its own, while a forward is recorded.
    """

    def __init__(
        self,
        names: Callable[[], Mapping[str, frozenset[str]]],
        facts: FileFacts,
        project: modules.Project,
        defaults: bool = False,
    ) -> None:
        self.names = names
        self.facts = facts
        self.project = project
        self.defaults = defaults
        self.body: Block = []
        self.definitions: dict[int, Define | DefineClass] = {}
        self.changed_in: dict[int, tuple[tuple[Variable, str], ...]] = {}
        self.called: set[int] = set()
        self.handed: set[int] = set()
        self.budget = Budget()
        self.lost = False
        self.left: list[State] = []
        self.handlers = HANDLERS
        self.recorder: Recorder | None = None
        self.loaded: set[str] = set()
        self.entry: frozenset[int] | None = None
        self.asked = False
        self.turns: list[tuple[Any, ...]] = []
        self.speaking: dict[int, bool] = {}  # whether the body of a function speaks of models
        self.reached: set[int] = set()  # the operations that put something somewhere, as far as paths came by them
        self.reached_at_home: frozenset[int] | None = None  # the same when the module's body had run

    def read_code(self, module: str, block: Block) -> None:
        """The run comes to the code of a module."""
        if module not in self.loaded:
            self.loaded.add(module)
            self.budget.add_operations(len(walk(block)))

    def relevant_in(self, module: str) -> frozenset[str]:
        """The names that can matter, as the code of a module sees them."""
        return self.names().get(module, frozenset())

    def matters(self, op: If | Loop) -> bool:
        """Whether any side of a branch can touch a model, or each turn of a loop can do something else to one."""
        self.names()  # which marks every branch and loop, too
        return op.relevant if isinstance(op, If) else op.builds

    def may_be_assigned(self, name: str) -> bool:
        """Whether code that did not run on the way to a function nobody calls may have set an attribute."""
        if self.entry is None:
            return False
        sites = self.facts.assigned_attributes.get(name)
        return sites is not None and not sites <= self.entry

    # -- blocks ------------------------------------------------------------------------------------------------------

    def run(self, block: Block, states: list[State]) -> list[State]:
        """Run a block from each state; what comes back has run to its end or has `ended` early."""
        done: list[State] = []
        count = len(states)
        budget = self.budget
        handlers = self.handlers
        for operation in block:
            if not states:
                break
            budget.spent += len(states)
            if budget.exhausted:
                self.lost = True
                return done + stopped(states)
            handler = handlers[type(operation)]
            if handler is not on_end:
                following: list[State] = []
                for state in states:
                    after = handler(self, operation, state)
                    if after is None:
                        (done if state.ended else following).append(state)
                    else:
                        for one in after:
                            (done if one.ended else following).append(one)
                states = following
                continue
            for state in states:
                drop_temporaries(state)
            if len(states) > count:
                states = self.merge(states)
            count = len(states)
            if len(done) > FEWEST_ENDED and len(done) > 2 * budget.most_paths():
                done = self.cut(done, max(FEWEST_ENDED, 2 * budget.most_paths()))
        return done + states

    def merge(self, states: list[State]) -> list[State]:
        """Join the paths that no longer differ in anything that matters, and cut those that are too many."""
        kept, compared = merging.merge(states, self.relevant_in(states[0].frame.module))
        self.budget.spent += compared
        return self.cut(kept, self.budget.most_paths())

    def cut(self, states: list[State], most: int) -> list[State]:
        """So many of some paths. The others end here."""
        kept, others = merging.cut(states, most)
        if others:
            self.lost = True
            self.left.extend(stopped(others[: MOST_LEFT - len(self.left)]))
        return kept

    def merge_results(self, states: list[State]) -> list[State]:
        """Merge the paths that come back from a call, where they also agree on the result."""
        by_result: dict[Value, list[State]] = {}
        for state in states:
            by_result.setdefault((state.ended, type(state.result), state.result), []).append(state)
        merged = [self.merge(group) if len(group) > 1 else group for group in by_result.values()]
        kept = [state for rank in zip_longest(*merged) for state in rank if state is not None]
        return self.cut(kept, self.budget.most_paths())

    # -- values ------------------------------------------------------------------------------------------------------

    def read(self, state: State, operand: Operand) -> Value:
        if type(operand) is not Variable:
            return operand
        value = state.env.get(operand, UNKNOWN)
        if value is UNKNOWN and operand not in state.env:
            value = self.read_outer(state, operand)
        return state.resolve(value) if type(value) is Symbol else value

    def read_outer(self, state: State, name: str) -> Value:
        if name in state.frame.closure:
            return state.frame.closure[name]
        module = state.globals[state.frame.module]
        if name in module:
            return module[name]
        if name in BUILTINS:
            return Library(f"builtins.{name}")
        return symbol("global", name, name)

    def call_quietly(
        self,
        state: State,
        function: Value,
        arguments: tuple[Value, ...],
        keywords: Mapping[str, Value],
        site: Operation,
    ) -> Value:
        """Call something for its value alone, in this state; unknown if the call would split the path or end it."""
        attempt, left = state.fork(), len(self.left)
        after = call_value(self, attempt, function, arguments, keywords, site)
        del self.left[left:]
        if len(after) != 1 or after[0].ended:
            return UNKNOWN
        result = after[0].result
        restore(state, after[0])
        return result


def stopped(states: list[State]) -> list[State]:
    """Paths that end here because the budget does."""
    for state in states:
        state.cut, state.skipped = True, state.skipped or "what comes after"
        state.end("limit", state.ended)
    return states


def restore(state: State, after: State) -> None:
    """Take over what happened in a fork of `state`, its variables and frame kept."""
    at_home = state.at_home()
    state.globals, state.owned = after.globals, after.owned
    if at_home:
        state.go_home()
    state.heap, state.facts, state.flags = after.heap, after.facts, after.flags
    state.events, state.conditions = after.events, after.conditions
    state.cut, state.skipped = after.cut, after.skipped
    state.guesses = after.guesses


def drop_temporaries(state: State) -> None:
    env = state.env
    for name in [name for name in env if name[0] == "%"]:
        del env[name]


# -- handlers: one per operation -------------------------------------------------------------------------------------


def on_end(machine: Machine, op: End, state: State) -> None:
    return None


def on_move(machine: Machine, op: Move, state: State) -> None:
    value = machine.read(state, op.value)
    if op.target in state.frame.global_names:
        state.set_global(state.frame.module, op.target, value)
    else:
        state.env[op.target] = value


def on_get_attribute(machine: Machine, op: GetAttribute, state: State) -> list[State] | None:
    of = machine.read(state, op.of)
    if type(of) is Ref and op.name not in choosing.COMMON and choosing.is_open(state, of):
        paths = choosing.settle(machine, state, of, op.name)
        for path in paths:
            get_attribute(machine, op, path, of)
        return paths
    get_attribute(machine, op, state, of)
    return None


def get_attribute(machine: Machine, op: GetAttribute, state: State, of: Value) -> None:
    if op.discarded:
        access.log_discarded(state, of, op.name, op)
    value = access.get_attribute(machine, state, of, op.name, op)
    state.env[op.target] = state.resolve(value) if type(value) is Symbol else value


def on_set_attribute(machine: Machine, op: SetAttribute, state: State) -> list[State] | None:
    machine.reached.add(id(op))
    of, value = machine.read(state, op.of), machine.read(state, op.value)
    if type(of) is Ref and (value is None or type(value) is Ref) and choosing.is_open(state, of):
        paths = choosing.settle(machine, state, of, op.name)
        for path in paths:
            access.set_attribute(machine, path, of, op.name, value, op)
        return paths
    if type(of) is Parameter and of.path == "*" and op.name == "requires_grad":
        flag_everything(machine, state, of, value, op)
    else:
        access.set_attribute(machine, state, of, op.name, value, op)
    return None


def flag_everything(machine: Machine, state: State, of: Parameter, value: Value, site: Operation) -> None:
    """The flag of each parameter of something whose parameters are not all known, if no test picks some of them."""
    picked = bool(machine.turns) and state.conditions != machine.turns[-1]
    if type(state.object(of.owner)) is Module and type(value) is bool and not picked:
        heap.set_all_flags(state, of.owner, value)
        state.log(events.Flagged(site, of.owner.address, None, value))
    else:
        state.log(events.FlagMissed(site, "unknown", of.owner, "requires_grad", value))


def on_delete_attribute(machine: Machine, op: DeleteAttribute, state: State) -> None:
    access.delete_attribute(state, machine.read(state, op.of), op.name, op)


def on_get_item(machine: Machine, op: GetItem, state: State) -> list[State] | None:
    of, index = machine.read(state, op.of), machine.read(state, op.index)
    thing = state.object(of)
    if type(thing) in (Dictionary, Sequence) and type(index) is Symbol:
        split = (
            choosing.pick(machine, state, of, thing, index)
            if type(thing) is Dictionary
            else choosing.pick_nth(machine, state, thing, index)
        )
        if split is not None:
            for path, value in split.paths:
                path.env[op.target] = value
            return [path for path, _ in split.paths]
    paths = choosing.settle(machine, state, of, "") if choosing.is_open(state, of) else [state]
    for path in paths:
        value = indexing.get_item(machine, path, of, index, op)
        path.env[op.target] = path.resolve(value) if type(value) is Symbol else value
    return paths


def on_set_item(machine: Machine, op: SetItem, state: State) -> None:
    machine.reached.add(id(op))
    indexing.set_item(
        state, machine.read(state, op.of), machine.read(state, op.index), machine.read(state, op.value), op
    )


def on_delete_item(machine: Machine, op: DeleteItem, state: State) -> None:
    indexing.delete_item(state, machine.read(state, op.of), machine.read(state, op.index), op)


def on_delete_name(machine: Machine, op: DeleteName, state: State) -> None:
    state.env.pop(op.name, None)


def on_make_slice(machine: Machine, op: MakeSlice, state: State) -> None:
    state.env[op.target] = Slice(*(machine.read(state, part) for part in (op.start, op.stop, op.step)))


def on_make_sequence(machine: Machine, op: MakeSequence, state: State) -> None:
    items = spread(machine, state, op.items, op)
    if op.kind == "tuple":
        known = items is not None and weight(items, LARGEST_LIST) <= LARGEST_LIST
        state.env[op.target] = Tuple(items) if known and items is not None else UNKNOWN
    else:
        state.env[op.target] = state.allocate(Sequence(items, op.kind), op)


def spread(
    machine: Machine, state: State, operands: list[tuple[bool, Operand]], site: Operation
) -> tuple[Value, ...] | None:
    """The values of a list of operands, starred ones unpacked; None if one of those is not known."""
    values: list[Value] = []
    for starred, operand in operands:
        value = machine.read(state, operand)
        if not starred:
            values.append(value)
            continue
        items = items_of(machine, state, value, site)
        if items is None:
            return None
        values.extend(items)
    return tuple(values)


def on_make_dict(machine: Machine, op: MakeDict, state: State) -> None:
    pairs: dict[Value, Value] | None = {}
    for starred, key, value in op.items:
        if starred:
            thing = state.object(machine.read(state, value))
            inner = thing.items if type(thing) is Dictionary else None
            pairs = None if pairs is None or inner is None else {**pairs, **dict(inner)}
        elif pairs is not None:
            pairs[machine.read(state, key)] = machine.read(state, value)
    known = None if pairs is None or any(k is UNKNOWN for k in pairs) else tuple(pairs.items())
    state.env[op.target] = state.allocate(Dictionary(known), op)


def on_append(machine: Machine, op: Append, state: State) -> None:
    ref = machine.read(state, op.of)
    thing = state.object(ref)
    if type(thing) is Sequence and thing.items is not None:
        state.heap[ref.address] = thing._replace(items=(*thing.items, machine.read(state, op.value)))
    elif type(thing) is Dictionary and thing.items is not None:
        key, value = machine.read(state, op.key), machine.read(state, op.value)
        kept = tuple((k, v) for k, v in thing.items if k != key)
        state.heap[ref.address] = thing._replace(items=(*kept, (key, value)))


def on_format_string(machine: Machine, op: FormatString, state: State) -> None:
    parts = [machine.read(state, part) for part in op.parts]
    if all(is_plain(part) for part in parts):
        state.env[op.target] = "".join(str(part) for part in parts)[:10_000]
    else:
        state.env[op.target] = symbol("format", "f'…'", *parts)


def on_binary(machine: Machine, op: Binary, state: State) -> None:
    left, right = machine.read(state, op.left), machine.read(state, op.right)
    thing = state.object(left)
    if op.in_place and op.operator == "Add" and type(thing) is Sequence:
        items = items_of(machine, state, right, op)
        known = None if items is None or thing.items is None else thing.items + items
        known = None if known is not None and len(known) > LARGEST_LIST else known
        state.heap[left.address] = thing._replace(items=known)
        state.env[op.target] = left
    else:
        state.env[op.target] = operators.binary(state, op.operator, left, right, op)


def on_unary(machine: Machine, op: Unary, state: State) -> None:
    state.env[op.target] = operators.unary(state, op.operator, machine.read(state, op.operand))


def on_compare(machine: Machine, op: Compare, state: State) -> None:
    left, right = machine.read(state, op.left), machine.read(state, op.right)
    if op.discarded == "requires_grad" and op.operator == "Equal":
        state.log(events.FlagMissed(op, "comparison", left, op.operator, right))
    state.env[op.target] = operators.compare(state, op.operator, left, right, op)


# -- control flow ----------------------------------------------------------------------------------------------------


def on_if(machine: Machine, op: If, state: State) -> list[State]:
    test = machine.read(state, op.test)
    known = operators.truth(state, test)
    if known is not None:
        return machine.run(op.body if known else op.orelse, [state])
    if not machine.matters(op):
        return skip(machine, op, test, state)
    other = state.fork()
    take_branch(state, op, test, True)
    take_branch(other, op, test, False)
    return machine.run(op.body, [state]) + machine.run(op.orelse, [other])


def take_branch(state: State, op: If, test: Value, wanted: bool) -> None:
    state.doubtful = state.doubtful or choosing.disagrees(state, test, wanted)
    operators.assume(state, test, wanted)
    state.conditions = (*state.conditions, (op.node, wanted, is_invented(test)))


def skip(machine: Machine, op: If, test: Value, state: State) -> list[State]:
    """A branch that cannot touch a model: what it assigns becomes unknown; a side that ends the path is not taken."""
    for name in op.assigned:
        if name[0] != "%" or not op.statement:
            state.env[name] = symbol("merged", name, name, id(op))
    for owner, attribute in changed_in(machine, op):
        forget_items(state, machine.read(state, owner), attribute)
    for side, wanted in ((op.body, False), (op.orelse, True)):
        if ends(machine, state, side):
            operators.assume(state, test, wanted)
    return [state]


def changed_in(machine: Machine, op: If) -> tuple[tuple[Variable, str], ...]:
    """The lists and stacks that a branch may change, as (variable, its attribute or ""): ``self.layers.append(…)``."""
    known = machine.changed_in.get(id(op))
    if known is None:
        inside = [operation for side in (op.body, op.orelse) for operation in walk(side)]
        reads = {o.target: o for o in inside if type(o) is GetAttribute}
        calls = (reads.get(o.function) for o in inside if type(o) is Call and type(o.function) is Variable)
        owners = [read.of for read in calls if read is not None and read.name in CHANGING]
        found = [(reads[o].of, reads[o].name) if o in reads else (o, "") for o in owners if type(o) is Variable]
        known = machine.changed_in[id(op)] = tuple(pair for pair in found if type(pair[0]) is Variable)
    return known


def forget_items(state: State, owner: Value, attribute: str) -> None:
    """Nobody knows any more how many items a list or a stack of layers has."""
    thing = state.object(owner)
    if attribute:
        held = thing.children if type(thing) is Module else thing.attributes if type(thing) is heap.Instance else {}
        owner = held.get(attribute)
        thing = state.object(owner)
    if type(thing) in (Sequence, Dictionary):
        state.heap[owner.address] = thing._replace(items=None)
    elif type(thing) is Module and heap.is_sequential(thing):
        state.heap[owner.address] = thing._replace(known=False)


def ends(machine: Machine, state: State, block: Block) -> bool:
    """Whether a block surely ends the path or the loop's turn."""
    last = next((o for o in reversed(block) if type(o) is not End), None)
    return isinstance(last, (Raise, Break, Continue, Return)) or (
        isinstance(last, Call) and leaves(machine, state, block, last.function)
    )


LEAVING = frozenset(["builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort"])


def leaves(machine: Machine, state: State, block: Block, function: Operand) -> bool:
    """Whether calling this, at the end of a block that was not run, ends the script: ``sys.exit``, ``parser.error``."""
    read = next((o for o in block if isinstance(o, GetAttribute) and o.target == function), None)
    if read is None:
        value = machine.read(state, function)
        return type(value) is Library and value.name in LEAVING
    of = machine.read(state, read.of)
    if type(of) is Library:
        return f"{of.name}.{read.name}" in LEAVING
    return type(state.object(of)) is heap.Parser and read.name in ("error", "exit")


def on_with(machine: Machine, op: With, state: State) -> list[State]:
    context, before = machine.read(state, op.context), state.ungraded
    if may_be_device(context):
        state.log(events.Ambient(op, "with"))
    state.ungraded = GRADES.get(called(context), before)
    after = machine.run(op.body, [state])
    for one in after:
        one.ungraded = before
    return after


# Whether what is computed inside a context has no gradients, by the context.
GRADES: dict[tuple[Value, ...], bool] = {
    ("torch.no_grad",): True,
    ("torch.autograd.no_grad",): True,
    ("torch.inference_mode",): True,
    ("torch.set_grad_enabled", False): True,
    ("torch.set_grad_enabled", True): False,
    ("torch.enable_grad",): False,
}


def called(value: Value) -> tuple[Value, ...]:
    """The function of a library that answered an unknown, and what it was given; () for anything else."""
    key: Any = value.key if type(value) is Symbol else None
    is_call = isinstance(key, tuple) and key[0] == "call" and isinstance(key[1], str)
    return (key[1], *key[3:]) if is_call else ()


def may_be_device(context: Value) -> bool:
    """Whether entering a context may set the device on which new tensors are made: ``with torch.device("cuda"):``."""
    if type(context) is not Symbol or not isinstance(context.key, tuple):
        return context is UNKNOWN or type(context) is Device
    made = context.key[0] in ("call", "call at")
    return not made or context.key[1] == "torch.device" or context.label.startswith("device(")


def on_try(machine: Machine, op: Try, state: State) -> list[State]:
    """The body; then the handlers for what it raised for sure, and once for a failure that cannot be ruled out."""
    failing = state.fork()
    catches = any(not h.names or set(h.names) & ATTRIBUTE_CATCHERS for h in op.handlers)
    refusals = any(not h.names or set(h.names) & REFUSAL_CATCHERS for h in op.handlers)
    state.guards += catches
    state.caught += refusals
    after = machine.run(op.body, [state])
    out: list[State] = []
    normal = [one for one in after if not one.ended]
    for one in after:
        one.guards -= catches
        one.caught -= refusals
        if one.ended == "raise" and op.handlers:
            out.extend(handle(machine, op, one))
        elif one.ended:
            out.append(one)
    out.extend(machine.run(op.orelse, normal) if op.orelse else normal)
    if op.handlers and any(type(o) is Call for o in op.body):
        failing.doubtful = True
        failing.end("raise", "Exception")
        out.extend(handle(machine, op, failing))
    return run_final(machine, op, out) if op.final else out


REFUSAL_CATCHERS = frozenset(["RuntimeError", "Exception", "BaseException", "?"])
ATTRIBUTE_CATCHERS = frozenset(
    ["AttributeError", "IndexError", "TypeError", "LookupError", "ImportError", "Exception", "BaseException", "?"]
)


def handle(machine: Machine, op: Try, state: State) -> list[State]:
    for handler in op.handlers:
        general = not handler.names or set(handler.names) & {"Exception", "BaseException", "?"}
        if general or state.raised in handler.names or state.doubtful:
            state.end("")
            return machine.run(handler.body, [state])
    return [state]


def run_final(machine: Machine, op: Try, states: list[State]) -> list[State]:
    out: list[State] = []
    for state in states:
        ended, raised, result = state.ended, state.raised, state.result
        state.end("")
        for one in machine.run(op.final, [state]):
            if not one.ended:
                one.end(ended, raised)
                one.result = result
            out.append(one)
    return out


def on_return(machine: Machine, op: Return, state: State) -> None:
    state.result = machine.read(state, op.value)
    state.end("return")


def on_raise(machine: Machine, op: Raise, state: State) -> None:
    state.end("raise", op.name or "Exception")


def on_break(machine: Machine, op: Break, state: State) -> None:
    state.end("break")


def on_continue(machine: Machine, op: Continue, state: State) -> None:
    state.end("continue")


# -- definitions and imports -----------------------------------------------------------------------------------------


def on_define(machine: Machine, op: Define, state: State) -> None:
    machine.definitions[id(op)] = op
    defaults = tuple((p.name, machine.read(state, p.default)) for p in op.parameters if p.has_default)
    closure: tuple[tuple[str, Value], ...] = ()
    if not state.at_home():
        names = [n for n in scope_of(op).free if n in state.env or n in state.frame.closure]
        closure = tuple(
            (n, symbol("closure", n, id(op), n) if n in op.unsteady else machine.read(state, Variable(n)))
            for n in sorted(names)
        )
    function = Function(id(op), defaults, closure, state.frame.module, wrapper_of(machine, state, op))
    value: Value = Lazy(function) if op.name == GENERATOR else function
    state.env[op.target] = decorated(machine, state, op, value)


def decorated(machine: Machine, state: State, op: Define | DefineClass, value: Value) -> Value:
    """What the script's own decorators make of a function or class; others are taken to leave it as it is."""
    for operand in reversed(op.decorators):
        decorator = machine.read(state, operand)
        if type(decorator) in (Bound, Function, Partial):
            made = machine.call_quietly(state, decorator, (value,), {}, op)
            value = value if is_unknown(made) and type(decorator) is not Function else made
    return value


def wrapper_of(machine: Machine, state: State, op: Define) -> str:
    """Which of the built-in decorators a function wears; any other leaves the function as it is."""
    for operand in op.decorators:
        value = machine.read(state, operand)
        name = value.name.rsplit(".", 1)[-1] if type(value) is Library else ""
        if name in ("staticmethod", "classmethod"):
            return name
        if name in ("property", "cached_property"):
            return "property"
        if type(value) is Method and value.name in ("setter", "deleter"):
            return "property"
    return ""


def on_define_class(machine: Machine, op: DefineClass, state: State) -> list[State]:
    machine.definitions[id(op)] = op
    bases = tuple(machine.read(state, base) for base in op.bases)
    outer, at_home = state.env, state.at_home()
    frame = state.frame
    closure = frame.closure if at_home else {**frame.closure, **outer}
    state.env = {}
    state.frame = frame._replace(closure=closure)
    after = machine.run(op.body, [state])
    for one in after:
        attributes = tuple((k, v) for k, v in one.env.items() if k[0] != "%")
        one.frame = frame
        go_back(one, at_home, outer, len(after))
        made = Class(id(op), op.name, bases, attributes, frame.module, op.fields)
        one.env[op.target] = decorated(machine, one, op, made) if op.decorators and not one.ended else made
        if one.ended in ("return", "break", "continue"):
            one.end("")
    return after


def on_import(machine: Machine, op: Import, state: State) -> list[State] | None:
    followed = modules.run_import(machine, state, op)
    if followed is not None:
        return followed
    if machine.project.is_local(op.module, 0, state.frame.module) or is_foreign(op.module):
        state.env[op.target] = symbol("module", op.module, op.module)
    else:
        state.env[op.target] = Library(op.module)
    return None


def on_import_from(machine: Machine, op: ImportFrom, state: State) -> list[State] | None:
    followed = modules.run_import_from(machine, state, op)
    if followed is not None:
        return followed
    local = machine.project.is_local(op.module, op.level, state.frame.module) or is_foreign(op.module)
    if op.name == "*":
        if not local:
            for name in catalog.names(op.module):
                state.env[name] = Library(f"{op.module}.{name}")
        else:
            state.env[f"*{op.module}"] = symbol("module", op.module, op.module)
        return None
    if local:
        state.env[op.target] = modules.unknown_member(op, state.frame.module)
    elif catalog.is_misspelt(op.module, op.name):
        if not state.guards:
            state.log(events.UnknownName(op, op.module, op.name))
        state.end("raise", "ImportError")
    else:
        state.env[op.target] = Library(access.member_name(op.module, op.name))
    return None


def is_foreign(module: str) -> bool:
    return module.split(".", 1)[0] not in PACKAGES


def on_call(machine: Machine, op: Call, state: State) -> list[State]:
    function = machine.read(state, op.function)
    arguments = spread(machine, state, op.arguments, op)
    keywords: dict[str, Value] = {}
    complete = arguments is not None
    for name, operand in op.keywords:
        value = machine.read(state, operand)
        if name is not None:
            keywords[name] = value
            continue
        thing = state.object(value)
        if type(thing) is Dictionary and thing.items is not None and all(isinstance(k, str) for k, _ in thing.items):
            keywords.update(thing.items)
        else:
            complete = False
    if not complete:
        keywords["**"] = UNKNOWN
    after = call_value(machine, state, function, arguments or (), keywords, op)
    for one in after:
        if not one.ended:
            result = one.result
            one.env[op.target] = one.resolve(result) if type(result) is Symbol else result
    return after


HANDLERS: dict[type[Operation], Callable[[Machine, Any, State], list[State] | None]] = {
    End: on_end,
    Move: on_move,
    GetAttribute: on_get_attribute,
    SetAttribute: on_set_attribute,
    DeleteAttribute: on_delete_attribute,
    GetItem: on_get_item,
    SetItem: on_set_item,
    DeleteItem: on_delete_item,
    DeleteName: on_delete_name,
    MakeSlice: on_make_slice,
    MakeSequence: on_make_sequence,
    MakeDict: on_make_dict,
    Append: on_append,
    FormatString: on_format_string,
    Binary: on_binary,
    Unary: on_unary,
    Compare: on_compare,
    If: on_if,
    Loop: on_loop,
    While: on_while,
    With: on_with,
    Try: on_try,
    Return: on_return,
    Raise: on_raise,
    Break: on_break,
    Continue: on_continue,
    Define: on_define,
    DefineClass: on_define_class,
    Import: on_import,
    ImportFrom: on_import_from,
    Call: on_call,
}
