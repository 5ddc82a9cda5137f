"""What a whole file says, whatever path is taken: found by one look over its operations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from itertools import chain
from typing import Any, TypeGuard

from headcheck.ir import (
    Binary,
    Block,
    Break,
    Call,
    Continue,
    Define,
    DefineClass,
    DeleteName,
    FormatString,
    GetAttribute,
    GetItem,
    Loop,
    Operand,
    Operation,
    Raise,
    Return,
    SetAttribute,
    SetItem,
    Variable,
    While,
    blocks,
    operations_in,
    walk,
)
from headcheck.ir.index import Index
from headcheck.ir.scopes import variables
from headcheck.records import NamedTuple
from headcheck.source.outline import HEAD_LAYERS

# Reading these off a part says nothing of its use in forward.
ADMINISTRATIVE = frozenset({"hasattr", "isinstance", "print", "len", "type", "id"})
# How the names begin of torch's layers that give as many features as they are given.
PLAIN_LAYERS = (
    "Adaptive",
    "Avg",
    "BatchNorm",
    "Dropout",
    "Flatten",
    "GroupNorm",
    "Identity",
    "LayerNorm",
    "Max",
    "ReLU",
)
ANY = "*"  # the attribute that `setattr` sets under a name that is computed
#: Methods that set an attribute under the name they are given first.
REGISTERING = frozenset({"__setattr__", "register_buffer", "register_parameter"})


def assigned_attributes(operations: Sequence[Operation]) -> dict[str, frozenset[int]]:
    """The names of all attributes that some code sets, with the ids of the operations that do."""
    sites: dict[str, set[int]] = defaultdict(set)
    registering: set[str] = set()
    for operation in operations:
        if isinstance(operation, SetAttribute):
            sites[operation.name].add(id(operation))
        elif isinstance(operation, GetAttribute):
            if operation.name in REGISTERING:
                registering.add(operation.target)
        elif isinstance(operation, Call) and (operation.function == "setattr" or operation.function in registering):
            for operand in _name_given(operation):
                is_written = isinstance(operand, str) and not isinstance(operand, Variable)
                sites[operand if is_written else ANY].add(id(operation))
    return {name: frozenset(found) for name, found in sites.items()}


def _name_given(call: Call) -> list[Any]:
    """What a call that sets an attribute is given as its name."""
    place = 1 if call.function == "setattr" else 0
    given = [operand for _, operand in call.arguments[place : place + 1]]
    return given or [operand for key, operand in call.keywords if key == "name"]


# What hands out the layers of a container, which may then be called one by one.
HAND_OUT = ("children", "named_children", "_modules", "values", "items")


class Used(NamedTuple):
    """The names of attributes whose value some code calls, hands on or keeps; `of_others` without those that a class
    reads of its own objects and sets on them itself."""

    anywhere: frozenset[str]
    of_others: frozenset[str]


def used_attributes(operations: Sequence[Operation]) -> Used:
    """The names of all attributes whose value some code uses; sizes and parameters do not count."""
    readers: dict[str, list[Operation]] = defaultdict(list)
    reads: list[GetAttribute] = []
    own: set[int] = set()
    for operation in operations:
        for name in variables(operation):
            if name[0] == "%":
                readers[name].append(operation)
        if isinstance(operation, GetAttribute):
            reads.append(operation)
        elif isinstance(operation, DefineClass):
            own.update(_own_reads(operation))
    used = [read for read in reads if _is_used(read.target, readers)]
    by_name = _named_in_calls(operations, "getattr")
    return Used(
        frozenset(by_name.union(read.name for read in used)),
        frozenset(by_name.union(read.name for read in used if id(read) not in own)),
    )


def _own_reads(cls: DefineClass) -> set[int]:
    """The reads, in the methods of a class, of what they set on the object itself."""
    methods = [(o.parameters[0].name, operations_in(o)) for o in cls.body if isinstance(o, Define) and o.parameters]
    of_self = [
        o for me, body in methods for o in body if isinstance(o, (GetAttribute, SetAttribute)) and str(o.of) == me
    ]
    names = {o.name for o in of_self if isinstance(o, SetAttribute)}
    return {id(o) for o in of_self if isinstance(o, GetAttribute) and o.name in names}


def asks_itself(method: Define, name: str) -> bool:
    """Whether a method reads an attribute of the object that it is one of."""
    me = method.parameters[0].name if method.parameters else ""
    reads = (o for o in operations_in(method) if isinstance(o, GetAttribute) and o.name == name)
    return any(str(read.of) == me for read in reads)


def _is_used(temporary: str, readers: dict[str, list[Operation]]) -> bool:
    for reader in readers.get(temporary, ()):
        if isinstance(reader, GetAttribute):
            if reader.name in ("forward", "__call__", *HAND_OUT):
                return True
        elif isinstance(reader, GetItem) and reader.of == temporary:
            if _is_used(reader.target, readers):
                return True
        elif (isinstance(reader, (SetAttribute, SetItem)) and reader.of == temporary and reader.value != temporary) or (
            isinstance(reader, Call) and reader.function in ADMINISTRATIVE
        ):
            continue
        else:
            return True
    return False


def asks_by_computed_name(method: Define) -> bool:
    """Whether a method asks its object for an attribute whose name is computed, or a forward for all of its parts."""
    me = method.parameters[0].name if method.parameters else ""
    parts = HAND_OUT if method.name == "forward" else ()
    for operation in operations_in(method):
        if isinstance(operation, GetAttribute) and operation.of == me and operation.name in parts:
            return True
        if isinstance(operation, Call) and operation.function == "getattr":
            given = [operand for _, operand in operation.arguments[:2]]
            if given[:1] == [me] and isinstance(given[-1], Variable):
                return True
    return False


def _named_in_calls(operations: Sequence[Operation], function: str) -> set[str]:
    """The texts given as names to `getattr` and its kin."""
    return {
        operand
        for operation in operations
        if isinstance(operation, Call) and operation.function == function
        for _, operand in operation.arguments[1:2]
        if isinstance(operand, str) and not isinstance(operand, Variable)
    }


def head_sites(index: Index) -> list[tuple[Operation, str]]:
    """What looks like a new head put into a model that is not `self`, each with the name it goes under."""
    reads = index.reads
    plain: set[Any] = set()
    stacks: list[Call] = []
    layers: set[Operand] = set()
    for call in index.calls:
        name = call.function
        if type(name) is not Variable:
            continue
        if name in reads:
            name = reads[name].name
        if name in HEAD_LAYERS:
            if name == "Sequential":
                stacks.append(call)
            else:
                layers.add(call.target)
        elif name.startswith(PLAIN_LAYERS):
            plain.add(call.target)
    # A Sequential of nothing takes a head out, one of norms and poolings alone is none.
    layers.update(call.target for call in stacks if not plain.issuperset(a for _, a in call.arguments))
    found: list[tuple[Operation, str]] = [(o, o.name) for o in index.sets if o.value in layers and o.of != "self"]
    for put in index.set_items:
        if put.value in layers:
            computed = isinstance(put.index, Variable) and put.index[0] == "%"
            found.append((put, "…" if computed else str(put.index)))
    return found


def after_an_end(block: Block) -> frozenset[int]:
    """The ids of the operations that stand behind a ``return``, ``raise``, ``break`` or ``continue`` of their block."""
    found: set[int] = set()
    pending = [block]
    while pending:
        current = pending.pop()
        for place, operation in enumerate(current):
            if isinstance(operation, (Define, DefineClass)):
                pending.append(operation.body)
            elif isinstance(operation, (Return, Raise, Break, Continue)):
                found.update(map(id, walk(current[place + 1 :])))
                break
            else:
                pending.extend(blocks(operation))
    return frozenset(found)


def defined_anew(block: Block) -> frozenset[int]:
    """The ids of the operations of functions and classes in whose place the same lines put another one of that name,
    before anything could have used the first."""
    found: set[int] = set()
    pending = [block]
    while pending:
        last: dict[str, tuple[int, Define | DefineClass]] = {}
        current = pending.pop()
        for place, operation in enumerate(current):
            if not isinstance(operation, (Define, DefineClass)):
                continue
            start, before = last.get(operation.name, (place, None))
            between = [*walk(current[start + 1 : place]), operation]
            if (
                before is not None
                and not before.decorators
                and not any(operation.name in variables(each) for each in between)
            ):
                found.update(map(id, walk(before.body)))
            last[operation.name] = place, operation
            pending.append(operation.body)
    return frozenset(found)


def come_to_after(block: Block, site: Operation) -> frozenset[int]:
    """The ids of the operations of a block that nobody comes to before one of it: those behind it, and behind what it
    stands in. Where it stands in a loop, another turn may have come by those of the loop."""
    for place, operation in enumerate(block):
        if operation is site:
            return frozenset(map(id, walk(block[place + 1 :])))
        for inner in () if isinstance(operation, (Define, DefineClass)) else blocks(operation):
            if any(each is site for each in walk(inner)):
                behind = frozenset(map(id, walk(block[place + 1 :])))
                looped = isinstance(operation, (Loop, While))
                return behind if looped else behind | come_to_after(inner, site)
    return frozenset()


def text_keys(operations: Sequence[Operation]) -> frozenset[int]:
    """The ids of the operations that set an item under a text, not in ``_modules``: ``layers["fc"] = …``, or under one
    that is made there: ``layers[str(i)] = …``, ``layers[kind + str(i)] = …``."""
    texts: set[str] = set()
    modules: set[str] = set()
    found: set[int] = set()
    for operation in operations:
        if makes_text(operation, texts):
            texts.add(operation.target)
        elif isinstance(operation, GetAttribute) and operation.name == "_modules":
            modules.add(operation.target)
        elif isinstance(operation, SetItem) and operation.of not in modules:
            index = operation.index
            if index in texts if isinstance(index, Variable) else isinstance(index, str):
                found.add(id(operation))
    return frozenset(found)


def makes_text(operation: Operation, texts: Set[str]) -> TypeGuard[Binary | Call | FormatString]:
    """Whether an operation makes a text, for sure: `texts` are the variables that hold one."""
    if isinstance(operation, Binary) and operation.operator == "Add":
        sides = (operation.left, operation.right)
        return any(side in texts if isinstance(side, Variable) else isinstance(side, str) for side in sides)
    return isinstance(operation, FormatString) or (isinstance(operation, Call) and operation.function == "str")


def adds_members(operations: Sequence[Operation]) -> bool:
    """Whether code puts something under a name into a module or an object: ``models.__dict__[name] = build``."""
    dicts: set[str] = set()
    changing: set[str] = set()
    for operation in operations:
        if isinstance(operation, GetAttribute):
            if operation.name == "__dict__":
                dicts.add(operation.target)
            elif operation.name in ("update", "setdefault") and operation.of in dicts:
                changing.add(operation.target)
        elif isinstance(operation, Call) and operation.function == "vars":
            dicts.add(operation.target)
        elif isinstance(operation, SetItem):
            if operation.of in dicts:
                return True
        elif isinstance(operation, Call) and operation.function in changing:
            return True
    return False


def loads(index: Index) -> bool:
    """Whether code reads or imports anything called `load`, as it takes to read a file back with `torch.load`."""
    return "load" in index.imported or any(type(o) is GetAttribute for o in index.spoken.get("load", ()))


def is_read(define: Define, name: str) -> bool:
    """Whether the body of a function reads a parameter, deletes it, or may read it by way of `locals`."""
    if define.reads is None:
        inside = operations_in(define)
        deleted = any(isinstance(operation, DeleteName) for operation in inside)
        define.reads = frozenset(chain.from_iterable(map(variables, inside))).union([ANY] if deleted else [])
    return not define.reads.isdisjoint((name, "locals", ANY))
