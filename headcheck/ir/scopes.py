"""What operations read, and what the body of a function says of it as a whole."""

from __future__ import annotations

from headcheck.ir import (
    Append,
    Binary,
    Block,
    Call,
    Compare,
    Define,
    DefineClass,
    DeleteAttribute,
    DeleteItem,
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
    Operation,
    Parameter,
    Return,
    SetAttribute,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
    blocks,
)
from headcheck.records import NamedTuple


class Scope(NamedTuple):
    """Of a function and the functions in it: `free` are the names that it reads and does not take as parameters,
    `spoken` the attributes that it reads or sets on anything, `imported` the qualified names that it imports."""

    free: frozenset[str]
    spoken: frozenset[str]
    imported: frozenset[str]


def scope_of(define: Define) -> Scope:
    """Looked up when first asked for: of most functions, nobody does."""
    if define.scope is None:
        define.scope = _look(define)
    return define.scope


def _look(define: Define) -> Scope:
    reads: set[str] = set()
    spoken: set[str] = set()
    imported: set[str] = set()
    stack: list[Block] = [define.body]
    while stack:
        for operation in stack.pop():
            kind = type(operation)
            if kind is End:
                continue
            if isinstance(operation, Define):
                free, inner_spoken, inner_imported = scope_of(operation)
                reads |= free
                spoken |= inner_spoken
                imported |= inner_imported
                continue
            reads.update(variables(operation))
            if kind in NAMING:
                spoken.add(operation.name)  # type: ignore[attr-defined]
            elif kind in OPENING:
                stack += blocks(operation)
            elif isinstance(operation, DefineClass):
                stack.append(operation.body)
            elif isinstance(operation, ImportFrom):
                imported.add(f"{'.' * operation.level}{operation.module}.{operation.name}")
            elif isinstance(operation, Import):
                imported.add(operation.module)
    free = frozenset(reads.difference([parameter.name for parameter in define.parameters]))
    return Scope(free, frozenset(spoken), frozenset(imported))


NAMING = frozenset([GetAttribute, SetAttribute])
OPENING = frozenset([If, Loop, While, With, Try])


def variables(operation: Operation) -> list[str]:
    """The variables an operation reads."""
    if type(operation) is Call:  # most are of these two kinds
        read: list[str] = [operation.function] if type(operation.function) is Variable else []
        for _, operand in (*operation.arguments, *operation.keywords):
            if type(operand) is Variable:
                read.append(operand)
        return read
    if type(operation) is GetAttribute:
        return [operation.of] if type(operation.of) is Variable else []
    found: list[str] = []
    for slot in OPERANDS.get(type(operation), ()):
        value = getattr(operation, slot)
        if type(value) is Variable:
            found.append(value)
        elif type(value) is list:
            for item in value:
                if type(item) is Variable:
                    found.append(item)
                elif type(item) is tuple:
                    found.extend([part for part in item if type(part) is Variable])
                elif type(item) is Parameter and type(item.default) is Variable:
                    found.append(item.default)
    return found


OPERANDS: dict[type, tuple[str, ...]] = {
    Move: ("value",),
    SetAttribute: ("of", "value"),
    DeleteAttribute: ("of",),
    GetItem: ("of", "index"),
    SetItem: ("of", "index", "value"),
    DeleteItem: ("of", "index"),
    MakeSlice: ("start", "stop", "step"),
    MakeSequence: ("items",),
    MakeDict: ("items",),
    Append: ("of", "value", "key"),
    FormatString: ("parts",),
    Binary: ("left", "right"),
    Unary: ("operand",),
    Compare: ("left", "right"),
    If: ("test",),
    Loop: ("iterable",),
    While: ("test",),
    With: ("context",),
    Define: ("parameters", "decorators"),
    DefineClass: ("bases", "decorators"),
    Return: ("value",),
}
