"""Expressions → IR: one small method per node type, each answers an operand; a node without one is unknown.

Nodes are told by their exact type: libcst's are all abstract base classes, over which `isinstance` takes its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from headcheck.ir import (
    GENERATOR,
    UNKNOWN,
    Append,
    Binary,
    Block,
    Call,
    Compare,
    Define,
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
    Parameter,
    Return,
    SetAttribute,
    SetItem,
    Unary,
    Variable,
    While,
    blocks,
)
from headcheck.ir.assigned import assigned, mark_unsteady, stored_names

CONSTANTS = {"None": None, "True": True, "False": False}
PLAIN_QUOTES, TRIPLE_QUOTES = ("'", '"'), ("'''", '"""')


def dotted(node: cst.BaseExpression | None) -> str:
    """``a.b.c`` as text; "" for anything else."""
    names: list[str] = []
    while type(node) is cst.Attribute:
        names.append(node.attr.value)
        node = node.value
    if type(node) is not cst.Name:
        return ""
    return ".".join([node.value, *reversed(names)])


class Declared:
    """What the statements of a function, or of a class, say of it.

    `stored` are the names that it sets itself, `looped` those that it, or what is defined in it, sets in a loop,
    `shared` those that functions in it set; `loops` is how many loops are around what is being written.
    """

    __slots__ = ("generator", "globals", "looped", "loops", "nonlocals", "shared", "stored")

    def __init__(self) -> None:
        self.generator = False
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.stored: set[str] = set()
        self.looped: set[str] = set()
        self.shared: set[str] = set()
        self.loops = 0

    def settles(self) -> frozenset[str]:
        """The names that a function sets itself and only where one can see it: not in a loop, of which another turn may
        have set them, and not in a function inside. Where there is no such variable, reading it raises."""
        return frozenset(self.stored.difference(self.looped, self.globals, self.nonlocals, self.shared))


class Names(dict[str, Operand]):
    """What the names of a file stand for as operands: each is one variable, wherever it is written."""

    def __missing__(self, name: str) -> Operand:
        variable = self[name] = Variable(name)
        return variable


#: The temporaries that every file has, ``%1`` first.
TEMPORARIES: list[Variable] = []
MOST_KEPT = 5_000


class Expressions:
    """Writes expressions. Holds the block being written and the number of the next temporary."""

    def __init__(self) -> None:
        self.out: Block = []
        self.count = 0
        self.names = Names(CONSTANTS)
        self.own: dict[str, Variable] = {}  # the variables of the comprehensions around, each with a name of its own
        self.defines: list[Define] = []  # the functions so far
        self.declared = Declared()  # of the function around

    # -- writing -----------------------------------------------------------------------------------------------------

    def temporary(self) -> Variable:
        count = self.count
        self.count = count + 1
        if count < len(TEMPORARIES):
            return TEMPORARIES[count]
        made = Variable(f"%{count + 1}")
        if count < MOST_KEPT:
            TEMPORARIES.append(made)
        return made

    def variable(self, name: str) -> Variable:
        """A variable of the script that is set here."""
        (self.declared.looped if self.declared.loops else self.declared.stored).add(name)
        return self.names[name]  # type: ignore[no-any-return]

    def aside(self, write: Callable[..., Any], *arguments: Any) -> tuple[Any, Block]:
        """Run `write`, and keep what it wrote apart: (its result, the block)."""
        outer, self.out = self.out, []
        result = write(*arguments)
        block, self.out = self.out, outer
        return result, block

    def within(self, write: Callable[..., Any], *arguments: Any) -> tuple[Any, Declared]:
        """Run `write` for the body of a function or class: (its result, what is declared there)."""
        outer, self.declared = self.declared, Declared()
        result = write(*arguments)
        inner, self.declared = self.declared, outer
        outer.looped |= inner.looped
        outer.shared |= inner.shared | inner.nonlocals
        return result, inner

    # -- expressions: each answers an operand ------------------------------------------------------------------------

    def expression(self, node: cst.CSTNode) -> Operand:
        return EXPRESSIONS[type(node)](self, node)

    def unknown(self, node: cst.CSTNode) -> Operand:
        return UNKNOWN

    def name(self, node: cst.Name) -> Operand:
        name = node.value
        return self.own.get(name) or self.names[name] if self.own else self.names[name]

    def integer(self, node: cst.Integer) -> Operand:
        return int(node.value.replace("_", ""), 0)

    def floating(self, node: cst.Float) -> Operand:
        return float(node.value.replace("_", ""))

    def string(self, node: cst.SimpleString | cst.ConcatenatedString) -> Operand:
        text = node.value if type(node) is cst.SimpleString else ""
        if text[:1] in PLAIN_QUOTES and "\\" not in text and "\r" not in text:
            return text[3:-3] if text[:3] in TRIPLE_QUOTES else text[1:-1]
        value = node.evaluated_value
        return UNKNOWN if value is None else value

    def formatted(self, node: cst.FormattedString) -> Operand:
        parts: list[Operand] = []
        for part in node.parts:
            if type(part) is cst.FormattedStringText:
                parts.append(part.value.replace("{{", "{").replace("}}", "}"))
            elif type(part) is cst.FormattedStringExpression:
                value = self.expression(part.expression)
                parts.append(value if part.format_spec is None and part.conversion is None else UNKNOWN)
        target = self.temporary()
        self.out.append(FormatString(node, target, parts))
        return target

    def attribute(self, node: cst.Attribute) -> Operand:
        of = EXPRESSIONS[type(node.value)](self, node.value)
        target = self.temporary()
        self.out.append(GetAttribute(node, target, of, node.attr.value))
        return target

    def call(self, node: cst.Call) -> Operand:
        function = EXPRESSIONS[type(node.func)](self, node.func)
        arguments: list[tuple[bool, Operand]] = []
        keywords: list[tuple[str | None, Operand]] = []
        for argument in node.args:
            value = EXPRESSIONS[type(argument.value)](self, argument.value)
            if argument.keyword is not None:
                keywords.append((argument.keyword.value, value))
            elif argument.star == "**":
                keywords.append((None, value))
            else:
                arguments.append((argument.star == "*", value))
        target = self.temporary()
        self.out.append(Call(node, target, function, arguments, keywords))
        return target

    def sequence(self, node: cst.List | cst.Tuple | cst.Set) -> Operand:
        items = [(type(e) is cst.StarredElement, self.expression(e.value)) for e in node.elements]
        target = self.temporary()
        self.out.append(MakeSequence(node, target, SEQUENCE_KINDS[type(node)], items))
        return target

    def dictionary(self, node: cst.Dict) -> Operand:
        items: list[tuple[bool, Operand, Operand]] = []
        for element in node.elements:
            if type(element) is cst.DictElement:
                items.append((False, self.expression(element.key), self.expression(element.value)))
            else:
                items.append((True, None, self.expression(element.value)))
        target = self.temporary()
        self.out.append(MakeDict(node, target, items))
        return target

    def subscript(self, node: cst.Subscript) -> Operand:
        of = self.expression(node.value)
        index = self.index(node.slice)
        target = self.temporary()
        self.out.append(GetItem(node, target, of, index))
        return target

    def index(self, elements: Sequence[cst.SubscriptElement]) -> Operand:
        if len(elements) == 1:
            return self.one_index(elements[0])
        items = [(False, self.one_index(element)) for element in elements]
        target = self.temporary()
        self.out.append(MakeSequence(elements[0], target, "tuple", items))
        return target

    def one_index(self, element: cst.SubscriptElement) -> Operand:
        index = element.slice
        if type(index) is cst.Index:
            return Variable("Ellipsis") if type(index.value) is cst.Ellipsis else self.expression(index.value)
        if type(index) is not cst.Slice:
            return UNKNOWN
        start, stop, step = (None if p is None else self.expression(p) for p in (index.lower, index.upper, index.step))
        target = self.temporary()
        self.out.append(MakeSlice(element, target, start, stop, step))
        return target

    def binary(self, node: cst.BinaryOperation) -> Operand:
        left = self.expression(node.left)
        right = self.expression(node.right)
        target = self.temporary()
        self.out.append(Binary(node, target, type(node.operator).__name__, left, right))
        return target

    def unary(self, node: cst.UnaryOperation) -> Operand:
        operand = self.expression(node.expression)
        if type(node.operator) is cst.Minus and type(operand) in (int, float):
            return -operand
        target = self.temporary()
        self.out.append(Unary(node, target, type(node.operator).__name__, operand))
        return target

    def comparison(self, node: cst.Comparison) -> Operand:
        return self.comparisons(node, self.expression(node.left), node.comparisons)

    def comparisons(self, node: cst.Comparison, left: Operand, parts: Sequence[cst.ComparisonTarget]) -> Operand:
        """``a < b < c`` is ``a < b and b < c``, with `b` evaluated once."""
        target = self.temporary()
        right = self.expression(parts[0].comparator)
        self.out.append(Compare(node, target, type(parts[0].operator).__name__, left, right))
        if len(parts) == 1:
            return target
        whole = self.temporary()
        rest, go_on = self.aside(lambda more: self.comparisons(node, right, more), parts[1:])
        go_on.append(Move(node, whole, rest))
        self.out.append(If(node, target, go_on, [Move(node, whole, target)], statement=False))
        return whole

    def boolean(self, node: cst.BooleanOperation) -> Operand:
        target = self.temporary()
        left = self.expression(node.left)
        right, go_on = self.aside(self.expression, node.right)
        go_on.append(Move(node, target, right))
        stop: Block = [Move(node, target, left)]
        sides = (go_on, stop) if type(node.operator) is cst.And else (stop, go_on)
        self.out.append(If(node.left, left, *sides, statement=False))
        return target

    def conditional(self, node: cst.IfExp) -> Operand:
        target = self.temporary()
        test = self.expression(node.test)
        yes, body = self.aside(self.expression, node.body)
        no, orelse = self.aside(self.expression, node.orelse)
        body.append(Move(node, target, yes))
        orelse.append(Move(node, target, no))
        self.out.append(If(node.test, test, body, orelse, statement=False))
        return target

    def walrus(self, node: cst.NamedExpr) -> Operand:
        value = self.expression(node.value)
        self.store(node.target, value, node)
        return value

    def lambda_(self, node: cst.Lambda) -> Operand:
        parameters = self.parameters(node.params)
        inside = len(self.defines)
        outer = self.own
        self.own = {name: own for name, own in outer.items() if all(p.name != name for p in parameters)}
        (result, body), declared = self.within(self.aside, self.expression, node.body)
        self.own = outer
        body.append(Return(node.body, result))
        target = self.temporary()
        self.define(Define(node, target, "<lambda>", parameters, body), declared, inside)
        return target

    def await_(self, node: cst.Await) -> Operand:
        return self.expression(node.expression)

    def yield_(self, node: cst.Yield) -> Operand:
        """What a generator hands out goes to code that nobody knows, and that answers what nobody knows."""
        self.declared.generator = True
        value = node.value.item if type(node.value) is cst.From else node.value
        if value is not None:
            handed = self.expression(value)
            self.out.append(Call(node, self.temporary(), UNKNOWN, [(False, handed)], []))
        return UNKNOWN

    def comprehension(self, node: cst.ListComp | cst.SetComp | cst.GeneratorExp | cst.DictComp) -> Operand:
        result = self.temporary()
        if type(node) is cst.DictComp:
            self.out.append(MakeDict(node, result, []))
        else:
            self.out.append(MakeSequence(node, result, "set" if type(node) is cst.SetComp else "list", []))
        outer, self.own = self.own, self.own.copy()
        self.comprehension_loop(node, node.for_in, result)
        self.own = outer
        return result

    def lazy(self, node: cst.GeneratorExp) -> Operand:
        """A generator expression that is kept: a function that makes its list, with its iterable as it is now."""
        iterable = self.temporary()
        parameters = [Parameter(iterable, self.expression(node.for_in.iter), "", True)]
        inside = len(self.defines)
        result = self.temporary()
        outer, self.own = self.own, self.own.copy()
        (_, body), declared = self.within(self.aside, self.comprehension_loop, node, node.for_in, result, iterable)
        self.own = outer
        body.insert(0, MakeSequence(node, result, "list", []))
        body.append(Return(node, result))
        target = self.temporary()
        self.define(Define(node, target, GENERATOR, parameters, body), declared, inside)
        return target

    def comprehension_loop(self, node: Any, clause: cst.CompFor, result: Variable, given: Operand = None) -> None:
        iterable = self.expression(clause.iter) if given is None else given
        element = self.temporary()
        self.declared.loops += 1
        _, body = self.aside(self.comprehension_body, node, clause, element, result)
        self.declared.loops -= 1
        self.branch(Loop(node, element, iterable, body, []))

    def comprehension_body(self, node: Any, clause: cst.CompFor, element: Variable, result: Variable) -> None:
        self.own.update((name, self.temporary()) for name in stored_names(clause.target))
        self.store(clause.target, element, node)
        tests = list(clause.ifs)
        if tests:
            self.comprehension_tests(node, clause, tests, result)
        else:
            self.comprehension_element(node, clause, result)

    def comprehension_tests(self, node: Any, clause: cst.CompFor, tests: list[cst.CompIf], result: Variable) -> None:
        test = self.expression(tests[0].test)
        if len(tests) > 1:
            _, body = self.aside(self.comprehension_tests, node, clause, tests[1:], result)
        else:
            _, body = self.aside(self.comprehension_element, node, clause, result)
        self.branch(If(tests[0].test, test, body, [], statement=False))

    def comprehension_element(self, node: Any, clause: cst.CompFor, result: Variable) -> None:
        if clause.inner_for_in is not None:
            self.comprehension_loop(node, clause.inner_for_in, result)
        elif type(node) is cst.DictComp:
            key = self.expression(node.key)
            self.out.append(Append(node, result, self.expression(node.value), key))
        else:
            self.out.append(Append(node, result, self.expression(node.elt)))

    # -- parts that statements write, too ------------------------------------------------------------------------------

    def parameters(self, node: cst.Parameters) -> list[Parameter]:
        found: list[Parameter] = []
        for parameter in (*node.posonly_params, *node.params):
            found.append(self.parameter(parameter))
        if type(node.star_arg) is cst.Param:
            found.append(Parameter(self.names[node.star_arg.name.value], UNKNOWN, "*"))
        for parameter in node.kwonly_params:
            found.append(self.parameter(parameter, keyword_only=True))
        if node.star_kwarg is not None:
            found.append(Parameter(self.names[node.star_kwarg.name.value], UNKNOWN, "**"))
        return found

    def parameter(self, node: cst.Param, keyword_only: bool = False) -> Parameter:
        if node.default is None:
            return Parameter(self.names[node.name.value], UNKNOWN, keyword_only=keyword_only)
        return Parameter(self.names[node.name.value], self.expression(node.default), "", True, keyword_only)

    def define(self, define: Define, declared: Declared, inside: int) -> None:
        """Write down a function; those from the number `inside` on are in it."""
        define.settles = declared.settles()
        if len(self.defines) > inside:
            mark_unsteady(define, self.defines[inside:])
        self.defines.append(define)
        self.out.append(define)

    def branch(self, operation: If | Loop | While) -> None:
        """Write down a branch or loop, with the names that are assigned in it."""
        operation.assigned = frozenset(assigned(blocks(operation)))
        self.out.append(operation)

    def store(self, target: cst.CSTNode, value: Operand, node: cst.CSTNode) -> None:
        store = STORES.get(type(target))
        if store:
            store(self, target, value, node)

    def store_name(self, target: cst.Name, value: Operand, node: cst.CSTNode) -> None:
        own = None if type(node) is cst.NamedExpr else self.own.get(target.value)
        self.out.append(Move(node, own or self.variable(target.value), value))

    def store_attribute(self, target: cst.Attribute, value: Operand, node: cst.CSTNode) -> None:
        self.out.append(SetAttribute(node, self.expression(target.value), target.attr.value, value))

    def store_item(self, target: cst.Subscript, value: Operand, node: cst.CSTNode) -> None:
        of = self.expression(target.value)
        self.out.append(SetItem(node, of, self.index(target.slice), value))

    def store_each(self, target: cst.Tuple | cst.List, value: Operand, node: cst.CSTNode) -> None:
        self.unpack(target.elements, value, node)

    def unpack(self, elements: Sequence[cst.BaseElement], value: Operand, node: cst.CSTNode) -> None:
        if any(value in stored_names(element.value) for element in elements):  # ``outputs, extra = outputs``
            kept = self.temporary()
            self.out.append(Move(node, kept, value))
            value = kept
        star = next((i for i, e in enumerate(elements) if type(e) is cst.StarredElement), None)
        for position, element in enumerate(elements):
            index: Operand = position
            if star is not None and position > star:
                index = position - len(elements)
            if position == star:
                index = self.temporary()
                rest = len(elements) - position - 1
                self.out.append(MakeSlice(node, index, position, -rest if rest else None, None))
            part = self.temporary()
            self.out.append(GetItem(node, part, value, index))
            if position == star:
                items, part = [(True, part)], self.temporary()
                self.out.append(MakeSequence(node, part, "list", items))
            self.store(element.value, part, node)


STORES: dict[type, Callable[[Expressions, Any, Operand, cst.CSTNode], None]] = {
    cst.Name: Expressions.store_name,
    cst.Attribute: Expressions.store_attribute,
    cst.Subscript: Expressions.store_item,
    cst.Tuple: Expressions.store_each,
    cst.List: Expressions.store_each,
}
SEQUENCE_KINDS: dict[type, str] = {cst.List: "list", cst.Tuple: "tuple", cst.Set: "set"}


class Writers(dict[type, "Callable[[Expressions, Any], Operand]"]):
    """How each type of node is written. What is not among them has a value that is unknown."""

    def __missing__(self, kind: type) -> Callable[[Expressions, Any], Operand]:
        return Expressions.unknown


EXPRESSIONS = Writers(
    {
        cst.Name: Expressions.name,
        cst.Integer: Expressions.integer,
        cst.Float: Expressions.floating,
        cst.SimpleString: Expressions.string,
        cst.ConcatenatedString: Expressions.string,
        cst.FormattedString: Expressions.formatted,
        cst.Attribute: Expressions.attribute,
        cst.Call: Expressions.call,
        cst.List: Expressions.sequence,
        cst.Tuple: Expressions.sequence,
        cst.Set: Expressions.sequence,
        cst.Dict: Expressions.dictionary,
        cst.Subscript: Expressions.subscript,
        cst.BinaryOperation: Expressions.binary,
        cst.UnaryOperation: Expressions.unary,
        cst.Comparison: Expressions.comparison,
        cst.BooleanOperation: Expressions.boolean,
        cst.IfExp: Expressions.conditional,
        cst.NamedExpr: Expressions.walrus,
        cst.Lambda: Expressions.lambda_,
        cst.Await: Expressions.await_,
        cst.Yield: Expressions.yield_,
        cst.ListComp: Expressions.comprehension,
        cst.SetComp: Expressions.comprehension,
        cst.GeneratorExp: Expressions.comprehension,
        cst.DictComp: Expressions.comprehension,
    }
)
