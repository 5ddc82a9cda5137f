"""The names that statements set: those of a target, of a block, and those that functions share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import libcst as cst

from headcheck.ir import (
    UNKNOWN,
    Block,
    Call,
    Define,
    DefineClass,
    DeleteName,
    End,
    If,
    Loop,
    Move,
    Try,
    Variable,
    While,
    With,
    blocks,
    walk,
)
from headcheck.ir.scopes import scope_of


def stored_names(target: cst.CSTNode) -> Iterable[str]:
    """The plain names that assigning to a target sets."""
    if type(target) is cst.Name:
        yield target.value
    elif isinstance(target, (cst.Tuple, cst.List)):
        for element in target.elements:
            yield from stored_names(element.value)


def annotated_fields(node: cst.ClassDef) -> Iterable[str]:
    for statement in node.body.body:
        for part in getattr(statement, "body", ()) if type(statement) is cst.SimpleStatementLine else ():
            if type(part) is cst.AnnAssign and type(part.target) is cst.Name and not is_of_class(part.annotation):
                yield part.target.value


def is_of_class(annotation: cst.Annotation) -> bool:
    """Whether an annotation says that a name is no field: ``ClassVar[int]``, and what `KW_ONLY` stands for."""
    node = annotation.annotation
    node = node.value if type(node) is cst.Subscript else node
    name = node.attr if type(node) is cst.Attribute else node
    return type(name) is cst.Name and name.value in ("ClassVar", "KW_ONLY")


BRANCHES = frozenset([If, Loop, While])
NESTING = frozenset([With, Try])


def assigned(inner: Iterable[Block]) -> set[str]:
    names: set[str] = set()
    for block in inner:
        for operation in block:
            kind = type(operation)
            if kind is End:
                continue
            if kind in BRANCHES:
                names |= operation.assigned  # type: ignore[attr-defined]
                if kind is Loop:
                    names.add(operation.element)  # type: ignore[attr-defined]
            elif kind in NESTING:
                names |= assigned(blocks(operation))
            elif kind is DeleteName:
                names.add(operation.name)  # type: ignore[attr-defined]
            else:
                target = getattr(operation, "target", None)
                if target is not None:
                    names.add(target)
    return names


def mark_unsteady(define: Define, inner: list[Define]) -> None:
    """Tell the functions inside a function which of its names change; forget those that they set themselves."""
    shared = frozenset(name for nested in inner for name in nested.stores_outer)
    if shared:
        given = [Move(define.node, Variable(p.name), Variable(p.name)) for p in define.parameters if p.name in shared]
        define.body[:0] = given
        forget(define.body, shared)
    times = Counter(parameter.name for parameter in define.parameters)
    times.update(str(o.target) for o in walk(define.body) if isinstance(o, Move))
    changing = frozenset(name for name, count in times.items() if count > 1)
    for nested in inner:
        nested.unsteady |= scope_of(nested).free & changing


def forget(block: Block, shared: frozenset[str]) -> None:
    """Make what is assigned to names that two functions share unknown, and out of sight: either may set them later."""
    position = 0
    while position < len(block):
        operation = block[position]
        for inner in (operation.body,) if isinstance(operation, (Define, DefineClass)) else blocks(operation):
            forget(inner, shared)
        if isinstance(operation, Move) and operation.target in shared and operation.value is not UNKNOWN:
            given = [(False, operation.value)]
            block.insert(position, Call(operation.node, Variable("%shared"), UNKNOWN, given, []))
            operation.value = UNKNOWN
            position += 1
        position += 1
