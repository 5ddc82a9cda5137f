"""The small intermediate representation that scripts are lowered to.

A-normal form: operands are constants or variables, every intermediate result has a variable of its own (``%1``, …).
Short circuits, conditional expressions and comprehensions are `If` and `Loop`, so no later layer knows of them.
The classes are written out, for making thirty dataclasses takes longer than reading an ordinary script.
Every operation keeps its libcst node; a position is computed from it only when a finding needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from headcheck.ir.scopes import Scope


class Variable(str):
    """An operand that is read from a variable; every other operand is a constant."""

    __slots__ = ()


class _Unknown:
    """The operand and the value of which nothing is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
GENERATOR = "<generator>"  # the name of the function that makes the items of a generator expression
Operand: TypeAlias = Any
Block: TypeAlias = "list[Operation]"


class Operation:
    """One step. `node` is the libcst node it was lowered from."""

    __slots__ = ("node",)

    def __init__(self, node: Any) -> None:
        self.node = node


class End(Operation):
    """The end of a source statement: temporaries die here and equal states are merged.

    `temporaries` are those that the statement made; None where there may be others.
    """

    __slots__ = ("temporaries",)

    def __init__(self, node: Any, temporaries: list[Variable] | None) -> None:
        self.node = node
        self.temporaries = temporaries


class Move(Operation):
    __slots__ = ("target", "value")

    def __init__(self, node: Any, target: Variable, value: Operand) -> None:
        self.node = node
        self.target = target
        self.value = value


class GetAttribute(Operation):
    """`discarded`: the attribute is a statement of its own, so that nothing can come of reading it."""

    __slots__ = ("discarded", "name", "of", "target")

    def __init__(self, node: Any, target: Variable, of: Operand, name: str) -> None:
        self.node = node
        self.target = target
        self.of = of
        self.name = name
        self.discarded = False


class SetAttribute(Operation):
    __slots__ = ("name", "of", "value")

    def __init__(self, node: Any, of: Operand, name: str, value: Operand) -> None:
        self.node = node
        self.of = of
        self.name = name
        self.value = value


class DeleteAttribute(Operation):
    __slots__ = ("name", "of")

    def __init__(self, node: Any, of: Operand, name: str) -> None:
        self.node = node
        self.of = of
        self.name = name


class GetItem(Operation):
    __slots__ = ("index", "of", "target")

    def __init__(self, node: Any, target: Variable, of: Operand, index: Operand) -> None:
        self.node = node
        self.target = target
        self.of = of
        self.index = index


class SetItem(Operation):
    __slots__ = ("index", "of", "value")

    def __init__(self, node: Any, of: Operand, index: Operand, value: Operand) -> None:
        self.node = node
        self.of = of
        self.index = index
        self.value = value


class DeleteItem(Operation):
    __slots__ = ("index", "of")

    def __init__(self, node: Any, of: Operand, index: Operand) -> None:
        self.node = node
        self.of = of
        self.index = index


class DeleteName(Operation):
    __slots__ = ("name",)

    def __init__(self, node: Any, name: str) -> None:
        self.node = node
        self.name = name


class MakeSlice(Operation):
    __slots__ = ("start", "step", "stop", "target")

    def __init__(self, node: Any, target: Variable, start: Operand, stop: Operand, step: Operand) -> None:
        self.node = node
        self.target = target
        self.start = start
        self.stop = stop
        self.step = step


class Call(Operation):
    """`arguments` are (is starred, operand); `keywords` are (name or None for ``**``, operand)."""

    __slots__ = ("arguments", "function", "keywords", "target")

    def __init__(
        self,
        node: Any,
        target: Variable,
        function: Operand,
        arguments: list[tuple[bool, Operand]],
        keywords: list[tuple[str | None, Operand]],
    ) -> None:
        self.node = node
        self.target = target
        self.function = function
        self.arguments = arguments
        self.keywords = keywords


class MakeSequence(Operation):
    """`kind` is list, tuple or set; `items` are (is starred, operand)."""

    __slots__ = ("items", "kind", "target")

    def __init__(self, node: Any, target: Variable, kind: str, items: list[tuple[bool, Operand]]) -> None:
        self.node = node
        self.target = target
        self.kind = kind
        self.items = items


class MakeDict(Operation):
    """`items` are (key, value); the key of ``**value`` is None with `starred` at the same index."""

    __slots__ = ("items", "target")

    def __init__(self, node: Any, target: Variable, items: list[tuple[bool, Operand, Operand]]) -> None:
        self.node = node
        self.target = target
        self.items = items


class Append(Operation):
    """One element of a comprehension joins its list, set or (with a key) dict."""

    __slots__ = ("key", "of", "value")

    def __init__(self, node: Any, of: Variable, value: Operand, key: Operand = UNKNOWN) -> None:
        self.node = node
        self.of = of
        self.value = value
        self.key = key


class FormatString(Operation):
    __slots__ = ("parts", "target")

    def __init__(self, node: Any, target: Variable, parts: list[Operand]) -> None:
        self.node = node
        self.target = target
        self.parts = parts


class Binary(Operation):
    __slots__ = ("in_place", "left", "operator", "right", "target")

    def __init__(
        self, node: Any, target: Variable, operator: str, left: Operand, right: Operand, in_place: bool = False
    ) -> None:
        self.node = node
        self.target = target
        self.operator = operator
        self.left = left
        self.right = right
        self.in_place = in_place


class Unary(Operation):
    __slots__ = ("operand", "operator", "target")

    def __init__(self, node: Any, target: Variable, operator: str, operand: Operand) -> None:
        self.node = node
        self.target = target
        self.operator = operator
        self.operand = operand


class Compare(Operation):
    """`discarded` is the attribute compared in a comparison that is a statement of its own: nothing can come of it."""

    __slots__ = ("discarded", "left", "operator", "right", "target")

    def __init__(
        self, node: Any, target: Variable, operator: str, left: Operand, right: Operand, discarded: str = ""
    ) -> None:
        self.node = node
        self.target = target
        self.operator = operator
        self.left = left
        self.right = right
        self.discarded = discarded


class If(Operation):
    """`relevant` is filled in by `interpreter.relevance`: whether any side can touch a model."""

    __slots__ = ("assigned", "body", "orelse", "relevant", "statement", "test")

    def __init__(
        self,
        node: Any,
        test: Operand,
        body: Block,
        orelse: Block,
        statement: bool = True,
        relevant: bool = True,
        assigned: frozenset[str] = frozenset(),
    ) -> None:
        self.node = node
        self.test = test
        self.body = body
        self.orelse = orelse
        self.statement = statement
        self.relevant = relevant
        self.assigned = assigned


class Loop(Operation):
    """A ``for``: `element` is set to each item, `body` starts with its unpacking into the script's own names.

    `builds` is filled in by `interpreter.relevance`: whether each turn can do something else to a model; so is `packs`:
    whether each puts something into a list that a container of layers is made of; `alike` by `interpreter.flagging`:
    whether each turn does the same to one of a module's parameters.
    """

    __slots__ = ("alike", "assigned", "body", "builds", "element", "iterable", "orelse", "packs")

    def __init__(
        self,
        node: Any,
        element: Variable,
        iterable: Operand,
        body: Block,
        orelse: Block,
        assigned: frozenset[str] = frozenset(),
    ) -> None:
        self.node = node
        self.element = element
        self.iterable = iterable
        self.body = body
        self.orelse = orelse
        self.assigned = assigned
        self.builds = True
        self.packs = False
        self.alike: bool | None = None


class While(Operation):
    __slots__ = ("assigned", "body", "orelse", "test", "test_block")

    def __init__(
        self,
        node: Any,
        test_block: Block,
        test: Operand,
        body: Block,
        orelse: Block,
        assigned: frozenset[str] = frozenset(),
    ) -> None:
        self.node = node
        self.test_block = test_block
        self.test = test
        self.body = body
        self.orelse = orelse
        self.assigned = assigned


class With(Operation):
    __slots__ = ("body", "context")

    def __init__(self, node: Any, context: Operand, body: Block) -> None:
        self.node = node
        self.context = context
        self.body = body


class Handler:
    """One ``except``: the names of the exceptions it takes (none: all) and its block."""

    __slots__ = ("body", "names")

    def __init__(self, names: tuple[str, ...], body: Block) -> None:
        self.names = names
        self.body = body


class Try(Operation):
    __slots__ = ("body", "final", "handlers", "orelse")

    def __init__(self, node: Any, body: Block, handlers: list[Handler], orelse: Block, final: Block) -> None:
        self.node = node
        self.body = body
        self.handlers = handlers
        self.orelse = orelse
        self.final = final


class Parameter:
    """One parameter; `kind` is ``""``, ``"*"`` or ``"**"``, `default` UNKNOWN if there is none."""

    __slots__ = ("default", "has_default", "keyword_only", "kind", "name")

    def __init__(
        self, name: str, default: Operand, kind: str = "", has_default: bool = False, keyword_only: bool = False
    ) -> None:
        self.name = name
        self.default = default
        self.kind = kind
        self.has_default = has_default
        self.keyword_only = keyword_only


class Define(Operation):
    """A function or lambda. The names in `stores_global` it declares global, those in `stores_outer` nonlocal; `scope`
    is what `scopes.scope_of` found in its body, `reads` what
    `facts.is_read` did, `operations` what `operations_in` did.

    Those in `unsteady` belong to a function around it that sets them more than once, so what they hold when it is
    called is not what they hold when it is made. `settles` are those that it sets itself (see `Declared`).
    """

    __slots__ = (
        "body",
        "decorators",
        "generator",
        "name",
        "operations",
        "parameters",
        "reads",
        "scope",
        "settles",
        "stores_global",
        "stores_outer",
        "target",
        "unsteady",
    )

    def __init__(
        self,
        node: Any,
        target: Variable,
        name: str,
        parameters: list[Parameter],
        body: Block,
        decorators: Sequence[Operand] = (),
    ) -> None:
        self.node = node
        self.target = target
        self.name = name
        self.parameters = parameters
        self.body = body
        self.decorators = decorators
        self.stores_global: frozenset[str] = frozenset()
        self.stores_outer: frozenset[str] = frozenset()
        self.generator = False
        self.unsteady: frozenset[str] = frozenset()
        self.scope: Scope | None = None
        self.reads: frozenset[str] | None = None
        self.operations: list[Operation] | None = None
        self.settles: frozenset[str] = frozenset()


class DefineClass(Operation):
    __slots__ = ("bases", "body", "decorators", "fields", "name", "target")

    def __init__(
        self,
        node: Any,
        target: Variable,
        name: str,
        bases: list[Operand],
        body: Block,
        decorators: Sequence[Operand] = (),
        fields: tuple[str, ...] = (),
    ) -> None:
        self.node = node
        self.target = target
        self.name = name
        self.bases = bases
        self.body = body
        self.decorators = decorators
        self.fields = fields


class Return(Operation):
    __slots__ = ("value",)

    def __init__(self, node: Any, value: Operand) -> None:
        self.node = node
        self.value = value


class Raise(Operation):
    __slots__ = ("name",)

    def __init__(self, node: Any, name: str = "") -> None:
        self.node = node
        self.name = name


class Break(Operation):
    __slots__ = ()


class Continue(Operation):
    __slots__ = ()


class Import(Operation):
    """``import a.b`` (target a, module a), ``import a.b as c`` (target c, module a.b). `loaded` is a.b in both."""

    __slots__ = ("loaded", "module", "target")

    def __init__(self, node: Any, target: Variable, module: str, loaded: str = "") -> None:
        self.node = node
        self.target = target
        self.module = module
        self.loaded = loaded or module


class ImportFrom(Operation):
    """``from module import name as target``; `level` counts the leading dots. `name` is ``*`` for a star import."""

    __slots__ = ("level", "module", "name", "target")

    def __init__(self, node: Any, target: Variable, module: str, name: str, level: int) -> None:
        self.node = node
        self.target = target
        self.module = module
        self.name = name
        self.level = level


def blocks(operation: Operation) -> tuple[Block, ...]:
    """The blocks an operation holds that run in the same scope (a function's body is not one of them)."""
    inner = _BLOCKS.get(type(operation))
    return inner(operation) if inner else ()


_BLOCKS: dict[type, Callable[[Any], tuple[Block, ...]]] = {
    If: lambda o: (o.body, o.orelse),
    Loop: lambda o: (o.body, o.orelse),
    While: lambda o: (o.test_block, o.body, o.orelse),
    With: lambda o: (o.body,),
    Try: lambda o: (o.body, *(handler.body for handler in o.handlers), o.orelse, o.final),
}
_INSIDE: dict[type, Callable[[Any], tuple[Block, ...]]] = {
    **_BLOCKS,
    Define: lambda o: (o.body,),
    DefineClass: lambda o: (o.body,),
}


def walk(block: Block) -> list[Operation]:
    """Every operation of a block in order, those of nested blocks, functions and classes included."""
    found: list[Operation] = []
    _walk(block, found)
    return found


def operations_in(define: Define) -> list[Operation]:
    """Every operation of the body of a function, which is asked for again and again and changes no more."""
    if define.operations is None:
        define.operations = walk(define.body)
    return define.operations


def walk_here(block: Block) -> list[Operation]:
    """The same without what stands in functions."""
    found: list[Operation] = []
    _walk(block, found, functions=False)
    return found


def _walk(block: Block, found: list[Operation], functions: bool = True) -> None:
    taken = 0
    for place, operation in enumerate(block):
        kind = type(operation)
        if kind in _INSIDE and (functions or kind is not Define):
            found += block[taken : place + 1]
            taken = place + 1
            for inner in _INSIDE[kind](operation):
                if inner:
                    _walk(inner, found, functions)
    found += block[taken:] if taken else block
