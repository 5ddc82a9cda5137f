"""The operations that decide where a path goes on, loops apart (see `loops`): one handler each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter import access, choosing, contradicting, heap, operators, options
from headcheck.interpreter.asking import asks_of_a_builder
from headcheck.interpreter.heap import Dictionary, Instance, Module, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.touching import forget_what_code_sets, forget_what_it_sets
from headcheck.interpreter.trying import text_method
from headcheck.interpreter.values import (
    Condition,
    Device,
    Function,
    Library,
    Method,
    Not,
    Ref,
    Symbol,
    Value,
    is_invented,
    is_optional,
    is_plain,
    symbol,
    unknown_item,
)
from headcheck.ir import (
    UNKNOWN,
    Append,
    Block,
    Break,
    Call,
    Compare,
    Continue,
    End,
    GetAttribute,
    Handler,
    If,
    MakeSequence,
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
    With,
    walk,
    walk_here,
)
from headcheck.ir.index import CHANGING

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def on_if(machine: Machine, op: If, state: State) -> list[State]:
    test = machine.read(state, op.test)
    known = operators.truth(state, test)
    if machine.tests and id(op) in machine.tests:
        machine.tests[id(op)].add(known)
    if known is not None:
        return machine.run(op.body if known else op.orelse, [state])
    if not machine.matters(op):
        return skip(machine, op, test, state)
    if not op.statement and tests_class_of_part(test) and asks_another(op):
        return either(machine, op, test, state)
    options.decides(machine, test)
    if puts_in_mode(machine, op, state):
        return [state]
    other = state.fork()
    compared = contradicting.compared_with_texts(test)
    if compared:
        machine.compared.setdefault(id(op.node), set()).update(compared)
    for side, wanted in ((op.body, True), (op.orelse, False)):
        if finds_none(test, wanted):
            machine.without_accelerator[id(op.node), wanted] = frozenset(map(id, walk(side)))
    take_branch(state, op, test, True)
    take_branch(other, op, test, False)
    return machine.run(op.body, [state]) + machine.run(op.orelse, [other])


def tests_class_of_part(test: Value) -> bool:
    """Whether a test is if a module is of a class, which nobody knows: what a library's classes derive from."""
    key: Any = test.key if type(test) is Symbol else ()
    return isinstance(key, tuple) and key[:2] == ("call", "builtins.isinstance") and type(key[3]) is Ref


def asks_another(op: If) -> bool:
    """Whether a branch is ``a or b`` where `b`, too, is no more than whether something is of a class."""
    kept = len(op.body) == 1 and isinstance(op.body[0], Move) and op.body[0].value == op.test
    calls = [operation for operation in op.orelse if isinstance(operation, Call)]
    plain = all(isinstance(operation, (Call, GetAttribute, MakeSequence, Move)) for operation in op.orelse)
    return kept and plain and len(calls) == 1 and calls[0].function == "isinstance"


def either(machine: Machine, op: If, test: Value, state: State) -> list[State]:
    """``isinstance(m, nn.BatchNorm2d) or isinstance(m, nn.LayerNorm)``, as unknown as with a tuple of the two. A loop
    asks this of each of hundreds of modules."""
    target = op.body[0].target  # type: ignore[attr-defined]
    after = machine.run(op.orelse, [state])
    for one in after:
        other = one.env[target]
        known = operators.truth(one, other)
        if not known:
            one.env[target] = test if known is False else symbol("either", "isinstance(…)", test, other)
    return after


def take_branch(state: State, op: If, test: Value, wanted: bool) -> None:
    state.doubtful = (
        state.doubtful or choosing.disagrees(state, test, wanted) or contradicting.contradicts(state, test, wanted)
    )
    operators.assume(state, test, wanted)
    is_open = is_invented(test) or asks_for_input(state, test) or asks_of_a_builder(test)
    state.conditions = (*state.conditions, (op.node, wanted, is_open))


def finds_none(test: Value, wanted: bool) -> bool:
    """Whether a branch is for a machine without an accelerator."""
    while type(test) is Not:
        test, wanted = test.of, not wanted
    return not wanted and called(test)[:1] == ("torch.cuda.is_available",)


def asks_for_input(state: State, test: Value) -> bool:
    """Whether a network asks if it got one of its inputs: ``if mask is not None:``. Nothing here decides that: whoever
    runs the network gives it what it was made for."""
    while type(test) is Not:
        test = test.of
    if type(test) is Condition and test.operator in ("Equal", "Is"):
        test = test.left if test.right is None else test.right if test.left is None else None
    return type(test) is Symbol and test in state.frame.inputs


def puts_in_mode(machine: Machine, op: If, state: State) -> bool:
    """Follow a branch that only puts modules in evaluation mode, as ``if isinstance(m, nn.BatchNorm2d): m.eval()``
    does for each of hundreds: what that leaves behind is there where the paths of both sides have met."""
    evaluated = evaluated_in(machine, op)
    modules = [(site, machine.peek(state, variable)) for site, variable in evaluated]
    for _, value in modules:
        thing = state.object(value)
        if type(value) is not Symbol and (type(thing) is not Module or thing.cls is not None):
            return False
    for site, value in modules:
        if type(value) is Ref:
            state.log(events.ModeSet(site, value.address, False))
    return bool(evaluated)


def evaluated_in(machine: Machine, op: If) -> tuple[tuple[Call, Variable], ...]:
    """The calls of ``x.eval()`` that a branch consists of, each with its variable; none if there is anything else."""
    known = machine.evaluated_in.get(id(op))
    if known is None:
        inside = [operation for operation in op.body if type(operation) is not End]
        reads, calls = inside[::2], inside[1::2]
        known = tuple(
            (call, read.of)
            for read, call in zip(reads, calls, strict=False)
            if isinstance(read, GetAttribute) and read.name == "eval" and type(read.of) is Variable
            if isinstance(call, Call) and call.function == read.target and not call.arguments and not call.keywords
        )
        if 2 * len(known) != len(inside) or any(type(operation) is not End for operation in op.orelse):
            known = ()
        machine.evaluated_in[id(op)] = known
    return known


def skip(machine: Machine, op: If, test: Value, state: State) -> list[State]:
    """A branch that cannot touch a model: what it assigns becomes unknown; a side that ends the path is not taken."""
    machine.skipped[id(op)] = op
    forget_what_code_sets(machine, state, id(op), partial(walk_both, op))
    if not op.statement and type(op.body[-1]) is Move:
        put_together(machine, op, op.body[-1].target, test, state)
    for name in op.assigned:
        if name[0] != "%" or not op.statement:
            unknown = symbol("merged", name, name, id(op))._replace(optional=is_optional(test))
            if name in state.frame.global_names:
                state.set_global(state.frame.module, name, unknown)
            else:
                state.env[name] = unknown
    for owner, attribute in changed_in(machine, op):
        options.decides(machine, test)
        forget_items(state, held_in(state, machine.peek(state, owner), attribute))
    for owner, attribute, index in put_in(machine, op):
        key = UNKNOWN if index in op.assigned else machine.peek(state, index)
        put_unknown(state, held_in(state, machine.peek(state, owner), attribute), key)
    for side, wanted in ((op.body, False), (op.orelse, True)):
        if ends(machine, state, side):
            operators.assume(state, test, wanted)
    return [state]


def walk_both(op: If) -> list[Operation]:
    """Every operation of both sides of a branch."""
    return [operation for side in (op.body, op.orelse) for operation in walk(side)]


def put_together(machine: Machine, op: If, target: Variable, test: Value, state: State) -> None:
    """What ``a or b`` is where paths do not part for it: an unknown made of both tests, from which it is told what it
    leaves of a name. Of anything else, it is an unknown of its own."""
    short, long = (op.body, op.orelse) if len(op.body) == 1 else (op.orelse, op.body)
    made = symbol("merged", "…", target, id(op))._replace(optional=is_optional(test))
    if len(short) == 1 and type(short[0]) is Move and short[0].value == op.test and set(map(type, long)) <= PLAIN:
        after = machine.run(long, [state.fork()])
        other = after[0].env.get(target) if len(after) == 1 and not after[0].ended else None
        if is_test(test) and is_test(other):
            made = symbol("or" if short is op.body else "and", "…", test, other)
    state.env[target] = made


def is_test(value: Value) -> bool:
    """Whether a value is true or false, and made of what was compared or asked of a text."""
    if type(value) is not Symbol:
        return type(value) in (Condition, Not)
    method = text_method(value)
    return (
        method[1] in ("startswith", "endswith")
        if method is not None
        else isinstance(value.key, tuple) and value.key[0] in ("or", "and")
    )


# What asks, and changes nothing.
PLAIN = frozenset([Call, Compare, GetAttribute, MakeSequence, Move, Unary])


def changed_in(machine: Machine, op: If) -> tuple[tuple[Variable, str], ...]:
    """The lists and stacks that a branch may change, as (variable, its attribute or ""): ``self.layers.append(…)``, or
    what a comprehension makes of the items that pass its test."""
    known = machine.changed_in.get(id(op))
    if known is None:
        inside = walk_both(op)
        reads = {o.target: o for o in inside if type(o) is GetAttribute}
        calls = (reads.get(o.function) for o in inside if type(o) is Call and type(o.function) is Variable)
        owners = [read.of for read in calls if read is not None and read.name in CHANGING]
        found = [(reads[o].of, reads[o].name) if o in reads else (o, "") for o in owners if type(o) is Variable]
        found += [(operation.of, "") for operation in inside if type(operation) is Append]
        known = machine.changed_in[id(op)] = tuple(pair for pair in found if type(pair[0]) is Variable)
    return known


def put_in(machine: Machine, op: If) -> tuple[tuple[Variable, str, Operand], ...]:
    """The items that a branch may set, as (variable, its attribute or "", index): ``counts[name] = 1``."""
    known = machine.put_in.get(id(op))
    if known is None:
        inside = walk_both(op)
        reads = {o.target: o for o in inside if type(o) is GetAttribute}
        puts = [o for o in inside if type(o) is SetItem]
        found = [(reads[o.of].of, reads[o.of].name, o.index) if o.of in reads else (o.of, "", o.index) for o in puts]
        known = machine.put_in[id(op)] = tuple(put for put in found if type(put[0]) is Variable)
    return known


def held_in(state: State, owner: Value, attribute: str) -> Value:
    """An attribute of an object as it was set; the object itself where none is asked for."""
    if not attribute:
        return owner
    thing = state.object(owner)
    held = thing.children if type(thing) is Module else thing.attributes if type(thing) is heap.Instance else {}
    return held.get(attribute)


def forget_items(state: State, owner: Value) -> None:
    """Nobody knows any more how many items a list or a stack of layers has."""
    thing = state.object(owner)
    if type(thing) in (Sequence, Dictionary):
        state.heap[owner.address] = thing._replace(items=None)
    elif type(thing) is Module and heap.is_sequential(thing):
        state.heap[owner.address] = thing._replace(known=False)


def put_unknown(state: State, owner: Value, key: Value) -> None:
    """An item may be another one; where nobody knows which, any may be. One that was not there is left out, unless the
    dict would be empty without it."""
    thing = state.object(owner)
    if type(thing) is Sequence and thing.items is not None:
        named = type(key) is int and -len(thing.items) <= key < len(thing.items)
        place = key % len(thing.items) if named else None
        items = (unknown_item(owner, at) if place in (None, at) else item for at, item in enumerate(thing.items))
        state.heap[owner.address] = thing._replace(items=tuple(items))
    elif type(thing) is Dictionary and thing.view is None and thing.items is not None:
        if thing.items and is_plain(key):
            pairs = ((name, unknown_item(owner, name) if name == key else value) for name, value in thing.items)
            state.heap[owner.address] = thing._replace(items=tuple(pairs))
        else:
            state.heap[owner.address] = thing._replace(items=None)


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
        value = machine.peek(state, function)
        return type(value) is Library and value.name in LEAVING
    of = machine.peek(state, read.of)
    if type(of) is Library:
        return f"{of.name}.{read.name}" in LEAVING
    return type(state.object(of)) is heap.Parser and read.name in ("error", "exit")


def on_with(machine: Machine, op: With, state: State) -> list[State]:
    context, before = machine.read(state, op.context), state.ungraded
    options.decides(machine, context)
    if expects_failure(context):
        failing = state.fork()
        failing.doubtful = True
        machine.run(op.body, [failing])
        forget_what_code_sets(machine, state, id(op), partial(walk, op.body))
        return [state]  # how far the body came is not known
    if called(context)[:1] == ("contextlib.suppress",):
        names = [of.name.rsplit(".", 1)[-1] if type(of) is Library else "?" for of in called(context)[1:]]
        return on_try(machine, Try(op.node, op.body, [Handler(tuple(names), [])] if names else [], [], []), state)
    if may_be_device(context):
        state.log(events.Ambient(op, "with"))
    state.ungraded = GRADES.get(called(context), before)
    outer, cast = state.cast, cast_in(context)
    if cast is not None:
        state.log(events.Casting(op, *cast))
        state.cast = cast[0]
    around = own_context(state, context)
    if around and not all(item.asname for item in op.node.items):  # which is called where what it answers is kept
        forget_what_it_sets(machine, state, around[0], [context])
    after = machine.run(op.body, [state])
    for one in after:
        if around:
            forget_what_it_sets(machine, one, around[1], [context])
        one.ungraded = before
        if cast is not None:
            one.cast = outer
            one.log(events.Casting(op, outer, cast[1]))
    return after


def own_context(state: State, context: Value) -> list[Function]:
    """What runs before and after the body, where the context is an object of the script."""
    thing = state.object(context)
    if type(thing) is not Instance or thing.cls is None:
        return []
    found = [access.class_attribute(thing.cls, name) for name in ("__enter__", "__exit__")]
    functions = [each[0] for each in found if each is not None and type(each[0]) is Function]
    return functions if len(functions) == len(found) else []


def cast_in(context: Value) -> tuple[str, int] | None:
    """What is computed to inside a context, if that is an autocast or nobody knows, and the call that made it (0)."""
    key: Any = context.key if type(context) is Symbol else ()
    if isinstance(key, tuple) and key[:1] == ("autocast",):
        return key[1], key[2]
    by_library = isinstance(key, tuple) and any(isinstance(name, str) for name in key[1:3])
    return ("any", 0) if type(context) is Symbol and not by_library else None


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


def expects_failure(context: Value) -> bool:
    """Whether a test asks here that something fails: ``with pytest.raises(ValueError):``."""
    made: Any = context.key if type(context) is Symbol else None
    if not isinstance(made, tuple) or made[0] not in ("call", "call at"):
        return False
    function = made[1] if made[0] == "call" else made[2]
    if type(function) is Method:
        return function.name in EXPECTING
    name = function.key[-1] if type(function) is Symbol and isinstance(function.key, tuple) else ""
    return isinstance(name, str) and name.rpartition(".")[2] in EXPECTING


EXPECTING = frozenset(["raises", "assertRaises", "assertRaisesRegex"])


def may_be_device(context: Value) -> bool:
    """Whether entering a context may set the device on which new tensors are made: ``with torch.device("cuda"):``."""
    if type(context) is not Symbol or not isinstance(context.key, tuple):
        return context is UNKNOWN or type(context) is Device
    if context.key[0] == "autocast":
        return False
    made = context.key[0] in ("call", "call at")
    return not made or context.key[1] == "torch.device" or context.label.startswith("device(")


def on_try(machine: Machine, op: Try, state: State) -> list[State]:
    """The body; then the handlers for what it raised for sure, and once for a failure that cannot be ruled out."""
    failing = state.fork()
    handlers = [h for h in op.handlers if not (is_general(h) and gives_up(machine, state, h.body))]
    catches = any(not h.names or set(h.names) & ATTRIBUTE_CATCHERS for h in handlers)
    refusals = any(not h.names or set(h.names) & REFUSAL_CATCHERS for h in handlers)
    rescues = refusals and any(is_another_way(op, handler) for handler in handlers)
    state.guards += catches
    state.caught += refusals
    state.rescued += rescues
    after = machine.run(op.body, [state])
    out: list[State] = []
    normal = [one for one in after if not one.ended]
    for one in after:
        one.guards -= catches
        one.caught -= refusals
        one.rescued -= rescues
        if one.ended == "raise" and op.handlers:
            out.extend(handle(machine, op, one))
        elif one.ended:
            out.append(one)
    out.extend(machine.run(op.orelse, normal) if op.orelse else normal)
    if op.handlers and any(type(o) is Call for o in walk_here(op.body)):
        failing.doubtful = True
        failing.end("raise", "Exception")
        out.extend(handle(machine, op, failing))
    return run_final(machine, op, out) if op.final else out


def is_another_way(op: Try, handler: Handler) -> bool:
    """Whether a handler does what the body does in another way, and so its failure is foreseen: it answers something,
    or fills a variable that the body fills. One that only tells of the failure, or raises it again, does not."""
    inside = walk_here(handler.body)
    if any(type(o) is Raise for o in inside) or not (not handler.names or set(handler.names) & REFUSAL_CATCHERS):
        return False
    if any(type(o) is Return and o.value is not None for o in inside):
        return True
    return not filled(walk_here(op.body)).isdisjoint(filled(inside))


def filled(operations: list[Operation]) -> set[Any]:
    """The variables, by their names, and the attributes, that some operations fill."""
    named = {getattr(o, "target", None) for o in operations}
    return {name for name in named if name and name[0] != "%"} | {
        ("attribute", o.name) for o in operations if type(o) is SetAttribute
    }


REFUSAL_CATCHERS = frozenset(["RuntimeError", "KeyError", "LookupError", "Exception", "BaseException", "?"])
ATTRIBUTE_CATCHERS = frozenset(
    ["AttributeError", "IndexError", "TypeError", "LookupError", "ImportError", "Exception", "BaseException", "?"]
)


def is_general(handler: Handler) -> bool:
    """Whether an ``except`` takes whatever may go wrong."""
    return not handler.names or bool(set(handler.names) & {"Exception", "BaseException", "?"})


def gives_up(machine: Machine, state: State, block: Block) -> bool:
    """Whether what follows a failure only says that there was one: nothing is saved by it."""
    last = next((o for o in reversed(block) if type(o) is not End), None)
    return isinstance(last, Raise) or (isinstance(last, Call) and leaves(machine, state, block, last.function))


def handle(machine: Machine, op: Try, state: State) -> list[State]:
    for handler in op.handlers:
        if is_general(handler) or state.raised in handler.names or state.doubtful:
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
