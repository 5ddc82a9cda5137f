"""The small intermediate representation that scripts are lowered to.

A-normal form: operands are constants or variables, every intermediate result has a variable of its own (``%1``, …).
Short circuits, conditional expressions and comprehensions are `If` and `Loop`, so no later layer knows of them.
Every operation keeps its libcst node; a position is computed from it only when a finding needs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class Variable(str):
    """An operand that is read from a variable; every other operand is a constant."""

    __slots__ = ()


class _Unknown:
    """The operand and the value of which nothing is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
Operand: TypeAlias = Any
Block: TypeAlias = "list[Operation]"


@dataclass(slots=True, eq=False)
class Operation:
    """One step. `node` is the libcst node it was lowered from."""

    node: Any


@dataclass(slots=True, eq=False)
class End(Operation):
    """The end of a source statement: temporaries die here and equal states are merged."""


@dataclass(slots=True, eq=False)
class Move(Operation):
    target: Variable
    value: Operand


@dataclass(slots=True, eq=False)
class GetAttribute(Operation):
    target: Variable
    of: Operand
    name: str


@dataclass(slots=True, eq=False)
class SetAttribute(Operation):
    of: Operand
    name: str
    value: Operand


@dataclass(slots=True, eq=False)
class DeleteAttribute(Operation):
    of: Operand
    name: str


@dataclass(slots=True, eq=False)
class GetItem(Operation):
    target: Variable
    of: Operand
    index: Operand


@dataclass(slots=True, eq=False)
class SetItem(Operation):
    of: Operand
    index: Operand
    value: Operand


@dataclass(slots=True, eq=False)
class DeleteItem(Operation):
    of: Operand
    index: Operand


@dataclass(slots=True, eq=False)
class DeleteName(Operation):
    name: str


@dataclass(slots=True, eq=False)
class MakeSlice(Operation):
    target: Variable
    start: Operand
    stop: Operand
    step: Operand


@dataclass(slots=True, eq=False)
class Call(Operation):
    """`arguments` are (is starred, operand); `keywords` are (name or None for ``**``, operand)."""

    target: Variable
    function: Operand
    arguments: list[tuple[bool, Operand]]
    keywords: list[tuple[str | None, Operand]]


@dataclass(slots=True, eq=False)
class MakeSequence(Operation):
    """`kind` is list, tuple or set; `items` are (is starred, operand)."""

    target: Variable
    kind: str
    items: list[tuple[bool, Operand]]


@dataclass(slots=True, eq=False)
class MakeDict(Operation):
    """`items` are (key, value); the key of ``**value`` is None with `starred` at the same index."""

    target: Variable
    items: list[tuple[bool, Operand, Operand]]


@dataclass(slots=True, eq=False)
class Append(Operation):
    """One element of a comprehension joins its list, set or (with a key) dict."""

    of: Variable
    value: Operand
    key: Operand = UNKNOWN


@dataclass(slots=True, eq=False)
class FormatString(Operation):
    target: Variable
    parts: list[Operand]


@dataclass(slots=True, eq=False)
class Binary(Operation):
    target: Variable
    operator: str
    left: Operand
    right: Operand
    in_place: bool = False


@dataclass(slots=True, eq=False)
class Unary(Operation):
    target: Variable
    operator: str
    operand: Operand


@dataclass(slots=True, eq=False)
class Compare(Operation):
    """`discarded` is the attribute compared in a comparison that is a statement of its own: nothing can come of it."""

    target: Variable
    operator: str
    left: Operand
    right: Operand
    discarded: str = ""


@dataclass(slots=True, eq=False)
class If(Operation):
    """`relevant` is filled in by `interpreter.relevance`: whether any side can touch a model."""

    test: Operand
    body: Block
    orelse: Block
    statement: bool = True
    relevant: bool = True
    assigned: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Loop(Operation):
    """A ``for``: `element` is set to each item, `body` starts with its unpacking into the script's own names."""

    element: Variable
    iterable: Operand
    body: Block
    orelse: Block
    assigned: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class While(Operation):
    test_block: Block
    test: Operand
    body: Block
    orelse: Block
    assigned: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class With(Operation):
    context: Operand
    body: Block


@dataclass(slots=True, eq=False)
class Handler:
    """One ``except``: the names of the exceptions it takes (none: all) and its block."""

    names: tuple[str, ...]
    body: Block


@dataclass(slots=True, eq=False)
class Try(Operation):
    body: Block
    handlers: list[Handler]
    orelse: Block
    final: Block


@dataclass(slots=True, eq=False)
class Parameter:
    """One parameter; `kind` is ``""``, ``"*"`` or ``"**"``, `default` UNKNOWN if there is none."""

    name: str
    default: Operand
    kind: str = ""
    has_default: bool = False
    keyword_only: bool = False


@dataclass(slots=True, eq=False)
class Define(Operation):
    """A function or lambda. `free` are the names its body reads; those in `stores_global` it declares global."""

    target: Variable
    name: str
    parameters: list[Parameter]
    body: Block
    decorators: list[Operand] = field(default_factory=list)
    free: frozenset[str] = frozenset()
    stores_global: frozenset[str] = frozenset()
    generator: bool = False


@dataclass(slots=True, eq=False)
class DefineClass(Operation):
    target: Variable
    name: str
    bases: list[Operand]
    body: Block
    decorators: list[Operand] = field(default_factory=list)
    fields: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Return(Operation):
    value: Operand


@dataclass(slots=True, eq=False)
class Raise(Operation):
    name: str = ""


@dataclass(slots=True, eq=False)
class Break(Operation):
    pass


@dataclass(slots=True, eq=False)
class Continue(Operation):
    pass


@dataclass(slots=True, eq=False)
class Import(Operation):
    """``import a.b`` (target a, module a), ``import a.b as c`` (target c, module a.b)."""

    target: Variable
    module: str


@dataclass(slots=True, eq=False)
class ImportFrom(Operation):
    """``from module import name as target``; `level` counts the leading dots. `name` is ``*`` for a star import."""

    target: Variable
    module: str
    name: str
    level: int


def blocks(operation: Operation) -> tuple[Block, ...]:
    """The blocks an operation holds that run in the same scope (a function's body is not one of them)."""
    if isinstance(operation, If):
        return operation.body, operation.orelse
    if isinstance(operation, Loop):
        return operation.body, operation.orelse
    if isinstance(operation, While):
        return operation.test_block, operation.body, operation.orelse
    if isinstance(operation, With):
        return (operation.body,)
    if isinstance(operation, Try):
        return (operation.body, *(handler.body for handler in operation.handlers), operation.orelse, operation.final)
    return ()


def walk(block: Block) -> Iterator[Operation]:
    """Every operation of a block, those of nested blocks, functions and classes included."""
    stack = [iter(block)]
    while stack:
        operation = next(stack[-1], None)
        if operation is None:
            stack.pop()
            continue
        yield operation
        if isinstance(operation, (Define, DefineClass)):
            stack.append(iter(operation.body))
        else:
            stack.extend(iter(inner) for inner in reversed(blocks(operation)) if inner)
