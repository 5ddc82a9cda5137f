"""libcst → IR. One small method per node type; a node without one is an unknown operand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import libcst as cst

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
    Handler,
    If,
    Import,
    ImportFrom,
    Loop,
    MakeDict,
    MakeSequence,
    MakeSlice,
    Move,
    Operand,
    Parameter,
    Raise,
    Return,
    SetAttribute,
    SetItem,
    Try,
    Unary,
    Variable,
    While,
    With,
    blocks,
    walk,
)
from headcheck.ir.scopes import scope_of

CONSTANTS = {"None": None, "True": True, "False": False}
PLAIN_QUOTES, TRIPLE_QUOTES = ("'", '"'), ("'''", '"""')


def lower(module: cst.Module) -> Block:
    """Lower a parsed file to one block. Nesting is bounded by the guard that ran before parsing."""
    lowering = _Lowering()
    return lowering.block(module.body)


def dotted(node: cst.BaseExpression | None) -> str:
    """``a.b.c`` as text; "" for anything else."""
    names: list[str] = []
    while isinstance(node, cst.Attribute):
        names.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return ""
    return ".".join([node.value, *reversed(names)])


class _Lowering:
    """Holds the block being written and the number of the next temporary."""

    def __init__(self) -> None:
        self.out: Block = []
        self.count = 0
        self.own: dict[str, Variable] = {}  # the variables of the comprehensions around, each with a name of its own
        self.defines: list[Define] = []  # the functions so far
        self.declared = _Declared()  # of the function around

    # -- writing -----------------------------------------------------------------------------------------------------

    def temporary(self) -> Variable:
        self.count += 1
        return Variable(f"%{self.count}")

    def block(self, body: Iterable[cst.CSTNode] | cst.BaseSuite) -> Block:
        """Lower statements into a block of their own."""
        outer, self.out = self.out, []
        statements = body.body if isinstance(body, cst.BaseSuite) else body
        for statement in statements:
            self.statement(statement)
        block, self.out = self.out, outer
        return block

    def aside(self, write: Callable[..., Any], *arguments: Any) -> tuple[Any, Block]:
        """Run `write`, and keep what it wrote apart: (its result, the block)."""
        outer, self.out = self.out, []
        result = write(*arguments)
        block, self.out = self.out, outer
        return result, block

    # -- expressions: each answers an operand ------------------------------------------------------------------------

    def expression(self, node: cst.CSTNode) -> Operand:
        handler = EXPRESSIONS.get(type(node))
        return handler(self, node) if handler else UNKNOWN

    def name(self, node: cst.Name) -> Operand:
        value = node.value
        return CONSTANTS[value] if value in CONSTANTS else self.own.get(value) or Variable(value)

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
            if isinstance(part, cst.FormattedStringText):
                parts.append(part.value.replace("{{", "{").replace("}}", "}"))
            elif isinstance(part, cst.FormattedStringExpression):
                value = self.expression(part.expression)
                parts.append(value if part.format_spec is None and part.conversion is None else UNKNOWN)
        target = self.temporary()
        self.out.append(FormatString(node, target, parts))
        return target

    def attribute(self, node: cst.Attribute) -> Operand:
        of = self.expression(node.value)
        target = self.temporary()
        self.out.append(GetAttribute(node, target, of, node.attr.value))
        return target

    def call(self, node: cst.Call) -> Operand:
        function = self.expression(node.func)
        arguments: list[tuple[bool, Operand]] = []
        keywords: list[tuple[str | None, Operand]] = []
        for argument in node.args:
            value = self.expression(argument.value)
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
        items = [(isinstance(e, cst.StarredElement), self.expression(e.value)) for e in node.elements]
        target = self.temporary()
        self.out.append(MakeSequence(node, target, SEQUENCE_KINDS[type(node)], items))
        return target

    def dictionary(self, node: cst.Dict) -> Operand:
        items: list[tuple[bool, Operand, Operand]] = []
        for element in node.elements:
            if isinstance(element, cst.DictElement):
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
        if not isinstance(index, cst.Slice):
            return self.expression(index.value) if isinstance(index, cst.Index) else UNKNOWN
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
        if isinstance(node.operator, cst.Minus) and type(operand) in (int, float):
            return -operand
        target = self.temporary()
        self.out.append(Unary(node, target, type(node.operator).__name__, operand))
        return target

    def comparison(self, node: cst.Comparison) -> Operand:
        left = self.expression(node.left)
        target = self.temporary()
        if len(node.comparisons) != 1:
            for part in node.comparisons:
                self.expression(part.comparator)
            self.out.append(Move(node, target, UNKNOWN))
            return target
        part = node.comparisons[0]
        right = self.expression(part.comparator)
        self.out.append(Compare(node, target, type(part.operator).__name__, left, right))
        return target

    def boolean(self, node: cst.BooleanOperation) -> Operand:
        target = self.temporary()
        left = self.expression(node.left)
        right, go_on = self.aside(self.expression, node.right)
        go_on.append(Move(node, target, right))
        stop: Block = [Move(node, target, left)]
        sides = (go_on, stop) if isinstance(node.operator, cst.And) else (stop, go_on)
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
        result, body = self.aside(self.expression, node.body)
        self.own = outer
        body.append(Return(node.body, result))
        target = self.temporary()
        self.define(Define(node, target, "<lambda>", parameters, body), inside)
        return target

    def await_(self, node: cst.Await) -> Operand:
        return self.expression(node.expression)

    def yield_(self, node: cst.Yield) -> Operand:
        if isinstance(node.value, cst.From):
            self.expression(node.value.item)
        elif node.value is not None:
            self.expression(node.value)
        return UNKNOWN

    def comprehension(self, node: cst.ListComp | cst.SetComp | cst.GeneratorExp | cst.DictComp) -> Operand:
        result = self.temporary()
        if isinstance(node, cst.DictComp):
            self.out.append(MakeDict(node, result, []))
        else:
            self.out.append(MakeSequence(node, result, "set" if isinstance(node, cst.SetComp) else "list", []))
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
        _, body = self.aside(self.comprehension_loop, node, node.for_in, result, iterable)
        self.own = outer
        body.insert(0, MakeSequence(node, result, "list", []))
        body.append(Return(node, result))
        target = self.temporary()
        self.define(Define(node, target, GENERATOR, parameters, body), inside)
        return target

    def comprehension_loop(self, node: Any, clause: cst.CompFor, result: Variable, given: Operand = None) -> None:
        iterable = self.expression(clause.iter) if given is None else given
        element = self.temporary()
        _, body = self.aside(self.comprehension_body, node, clause, element, result)
        self.branch(Loop(node, element, iterable, body, []))

    def comprehension_body(self, node: Any, clause: cst.CompFor, element: Variable, result: Variable) -> None:
        self.own.update((name, self.temporary()) for name in _stored_names(clause.target))
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
        elif isinstance(node, cst.DictComp):
            key = self.expression(node.key)
            self.out.append(Append(node, result, self.expression(node.value), key))
        else:
            self.out.append(Append(node, result, self.expression(node.elt)))

    # -- statements --------------------------------------------------------------------------------------------------

    def statement(self, node: cst.CSTNode) -> None:
        handler = STATEMENTS.get(type(node))
        if handler:
            handler(self, node)
        self.out.append(End(node))

    def line(self, node: cst.SimpleStatementLine) -> None:
        for part in node.body:
            self.statement(part)

    def value(self, node: cst.BaseExpression) -> Operand:
        """The value that a statement is for: a `yield` there makes the function a generator."""
        if type(node) is cst.Yield:
            self.declared.generator = True
        return self.expression(node)

    def expression_statement(self, node: cst.Expr) -> None:
        self.value(node.value)
        last = self.out[-1] if self.out else None
        if isinstance(last, Compare) and isinstance(node.value, cst.Comparison):
            left = node.value.left
            last.discarded = left.attr.value if isinstance(left, cst.Attribute) else ""
        elif isinstance(last, GetAttribute) and isinstance(node.value, cst.Attribute):
            last.discarded = True

    def assign(self, node: cst.Assign) -> None:
        value = self.lazy(node.value) if isinstance(node.value, cst.GeneratorExp) else self.value(node.value)
        for target in node.targets:
            self.store(target.target, value, node)

    def annotated(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.value(node.value), node)

    def augmented(self, node: cst.AugAssign) -> None:
        left = self.expression(node.target)
        right = self.value(node.value)
        target = self.temporary()
        operator = type(node.operator).__name__.removesuffix("Assign")
        self.out.append(Binary(node, target, operator, left, right, in_place=True))
        self.store(node.target, target, node)

    def store(self, target: cst.CSTNode, value: Operand, node: cst.CSTNode) -> None:
        if isinstance(target, cst.Name):
            own = None if isinstance(node, cst.NamedExpr) else self.own.get(target.value)
            self.out.append(Move(node, own or Variable(target.value), value))
        elif isinstance(target, cst.Attribute):
            self.out.append(SetAttribute(node, self.expression(target.value), target.attr.value, value))
        elif isinstance(target, cst.Subscript):
            of = self.expression(target.value)
            self.out.append(SetItem(node, of, self.index(target.slice), value))
        elif isinstance(target, (cst.Tuple, cst.List)):
            self.unpack(target.elements, value, node)

    def unpack(self, elements: Sequence[cst.BaseElement], value: Operand, node: cst.CSTNode) -> None:
        star = next((i for i, e in enumerate(elements) if isinstance(e, cst.StarredElement)), None)
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

    def delete(self, node: cst.Del) -> None:
        targets = [e.value for e in node.target.elements] if isinstance(node.target, cst.Tuple) else [node.target]
        for target in targets:
            if isinstance(target, cst.Name):
                self.out.append(DeleteName(node, target.value))
            elif isinstance(target, cst.Attribute):
                self.out.append(DeleteAttribute(node, self.expression(target.value), target.attr.value))
            elif isinstance(target, cst.Subscript):
                self.out.append(DeleteItem(node, self.expression(target.value), self.index(target.slice)))

    def if_(self, node: cst.If) -> None:
        test = self.expression(node.test)
        body = self.block(node.body)
        orelse: Block = []
        if isinstance(node.orelse, cst.If):
            _, orelse = self.aside(self.if_, node.orelse)
        elif node.orelse is not None:
            orelse = self.block(node.orelse.body)
        self.branch(If(node.test, test, body, orelse))

    def for_(self, node: cst.For) -> None:
        iterable = self.expression(node.iter)
        element = self.temporary()
        _, unpacking = self.aside(self.store, node.target, element, node)
        body = unpacking + self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        self.branch(Loop(node.iter, element, iterable, body, orelse))

    def while_(self, node: cst.While) -> None:
        test, test_block = self.aside(self.expression, node.test)
        body = self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        self.branch(While(node, test_block, test, body, orelse))

    def with_(self, node: cst.With) -> None:
        contexts: list[Operand] = []
        for item in node.items:
            value = self.expression(item.item)
            contexts.append(value)
            if item.asname is not None:
                entered = self.temporary()
                self.out.append(GetAttribute(item.item, entered, value, "__enter__"))
                self.out.append(Call(item.item, entered, entered, [], []))
                self.store(item.asname.name, entered, node)
        body = self.block(node.body)
        for context in reversed(contexts):
            body = [With(node, context, body)]
        self.out.extend(body)

    def try_(self, node: cst.Try | cst.TryStar) -> None:
        body = self.block(node.body)
        handlers = [self.handler(handler) for handler in node.handlers]
        orelse = self.block(node.orelse.body) if node.orelse else []
        final = self.block(node.finalbody.body) if node.finalbody else []
        self.out.append(Try(node, body, handlers, orelse, final))

    def handler(self, node: cst.ExceptHandler | cst.ExceptStarHandler) -> Handler:
        kinds = node.type
        parts = [e.value for e in kinds.elements] if isinstance(kinds, cst.Tuple) else [kinds] if kinds else []
        names = tuple(dotted(part).rsplit(".", 1)[-1] or "?" for part in parts)
        body = self.block(node.body)
        if node.name is not None and isinstance(node.name.name, cst.Name):
            body.insert(0, Move(node, Variable(node.name.name.value), UNKNOWN))
        return Handler(names, body)

    def match(self, node: cst.Match) -> None:
        subject = self.expression(node.subject)
        self.cases(list(node.cases), subject)

    def cases(self, cases: list[cst.MatchCase], subject: Operand) -> None:
        if not cases:
            return
        case = cases[0]
        test = self.pattern(case.pattern, subject)
        if case.guard is not None and test is not UNKNOWN:
            self.expression(case.guard)
            test = UNKNOWN
        body = self.block(case.body)
        _, orelse = self.aside(self.cases, cases[1:], subject)
        self.branch(If(case, test, body, orelse))

    def pattern(self, pattern: cst.MatchPattern, subject: Operand) -> Operand:
        """The operand that says if a pattern matches: values and alternatives of values, anything else is unknown."""
        if isinstance(pattern, cst.MatchAs) and pattern.pattern is None:
            if pattern.name is not None:
                self.out.append(Move(pattern, Variable(pattern.name.value), subject))
            return True
        values = [pattern] if isinstance(pattern, cst.MatchValue) else []
        if isinstance(pattern, cst.MatchOr):
            alternatives = [element.pattern for element in pattern.patterns]
            if all(isinstance(alternative, cst.MatchValue) for alternative in alternatives):
                values = [a for a in alternatives if isinstance(a, cst.MatchValue)]
        if not values:
            return UNKNOWN
        choices = self.temporary()
        self.out.append(MakeSequence(pattern, choices, "tuple", [(False, self.expression(v.value)) for v in values]))
        target = self.temporary()
        self.out.append(Compare(pattern, target, "In", subject, choices))
        return target

    def function(self, node: cst.FunctionDef) -> None:
        decorators = [self.expression(decorator.decorator) for decorator in node.decorators]
        parameters = self.parameters(node.params)
        inside = len(self.defines)
        outer, self.declared = self.declared, _Declared()
        body = self.block(node.body)
        define = Define(node, Variable(node.name.value), node.name.value, parameters, body, decorators)
        define.generator = self.declared.generator
        define.stores_global = frozenset(self.declared.globals)
        define.stores_outer = frozenset(self.declared.nonlocals)
        self.declared = outer
        self.define(define, inside)

    def define(self, define: Define, inside: int) -> None:
        """Write down a function; those from the number `inside` on are in it."""
        if len(self.defines) > inside:
            _mark_unsteady(define, self.defines[inside:])
        self.defines.append(define)
        self.out.append(define)

    def global_(self, node: cst.Global) -> None:
        self.declared.globals.update(item.name.value for item in node.names)

    def nonlocal_(self, node: cst.Nonlocal) -> None:
        self.declared.nonlocals.update(item.name.value for item in node.names)

    def parameters(self, node: cst.Parameters) -> list[Parameter]:
        found: list[Parameter] = []
        for parameter in (*node.posonly_params, *node.params):
            found.append(self.parameter(parameter))
        if isinstance(node.star_arg, cst.Param):
            found.append(Parameter(node.star_arg.name.value, UNKNOWN, "*"))
        for parameter in node.kwonly_params:
            found.append(self.parameter(parameter, keyword_only=True))
        if node.star_kwarg is not None:
            found.append(Parameter(node.star_kwarg.name.value, UNKNOWN, "**"))
        return found

    def parameter(self, node: cst.Param, keyword_only: bool = False) -> Parameter:
        if node.default is None:
            return Parameter(node.name.value, UNKNOWN, keyword_only=keyword_only)
        return Parameter(node.name.value, self.expression(node.default), "", True, keyword_only)

    def class_(self, node: cst.ClassDef) -> None:
        decorators = [self.expression(decorator.decorator) for decorator in node.decorators]
        bases = [self.expression(base.value) for base in node.bases]
        outer, self.declared = self.declared, _Declared()
        body = self.block(node.body)
        self.declared = outer
        fields = tuple(_annotated_fields(node))
        name = node.name.value
        self.out.append(DefineClass(node, Variable(name), name, bases, body, decorators, fields))

    def return_(self, node: cst.Return) -> None:
        self.out.append(Return(node, None if node.value is None else self.value(node.value)))

    def raise_(self, node: cst.Raise) -> None:
        exception = node.exc.func if isinstance(node.exc, cst.Call) else node.exc
        if node.exc is not None:
            self.expression(node.exc)
        self.out.append(Raise(node, dotted(exception).rsplit(".", 1)[-1]))

    def assert_(self, node: cst.Assert) -> None:
        test = self.expression(node.test)
        self.branch(If(node.test, test, [], [Raise(node, "AssertionError")]))

    def break_(self, node: cst.Break) -> None:
        self.out.append(Break(node))

    def continue_(self, node: cst.Continue) -> None:
        self.out.append(Continue(node))

    def import_(self, node: cst.Import) -> None:
        for alias in node.names:
            name = dotted(alias.name)
            if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
                self.out.append(Import(node, Variable(alias.asname.name.value), name))
            else:
                first = name.split(".")[0]
                self.out.append(Import(node, Variable(first), first, name))

    def import_from(self, node: cst.ImportFrom) -> None:
        module, level = dotted(node.module), len(node.relative)
        if isinstance(node.names, cst.ImportStar):
            self.out.append(ImportFrom(node, Variable("*"), module, "*", level))
            return
        for alias in node.names:
            name = dotted(alias.name)
            has_name = alias.asname is not None and isinstance(alias.asname.name, cst.Name)
            target = alias.asname.name.value if has_name else name  # type: ignore[union-attr]
            self.out.append(ImportFrom(node, Variable(target), module, name, level))

    def branch(self, operation: If | Loop | While) -> None:
        """Write down a branch or loop, with the names that are assigned in it."""
        operation.assigned = frozenset(_assigned(blocks(operation)))
        self.out.append(operation)


class _Declared:
    """What the statements of a function say of it."""

    __slots__ = ("generator", "globals", "nonlocals")

    def __init__(self) -> None:
        self.generator = False
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()


def _stored_names(target: cst.CSTNode) -> Iterable[str]:
    """The plain names that assigning to a target sets."""
    if isinstance(target, cst.Name):
        yield target.value
    elif isinstance(target, (cst.Tuple, cst.List)):
        for element in target.elements:
            yield from _stored_names(element.value)


def _annotated_fields(node: cst.ClassDef) -> Iterable[str]:
    for statement in node.body.body:
        for part in getattr(statement, "body", ()) if isinstance(statement, cst.SimpleStatementLine) else ():
            if isinstance(part, cst.AnnAssign) and isinstance(part.target, cst.Name):
                yield part.target.value


def _assigned(inner: Iterable[Block]) -> set[str]:
    names: set[str] = set()
    for block in inner:
        for operation in block:
            if isinstance(operation, (If, Loop, While)):
                names |= operation.assigned
                if isinstance(operation, Loop):
                    names.add(operation.element)
            elif isinstance(operation, (With, Try)):
                names |= _assigned(blocks(operation))
            elif isinstance(operation, DeleteName):
                names.add(operation.name)
            else:
                target = getattr(operation, "target", None)
                if target is not None:
                    names.add(target)
    return names


def _mark_unsteady(define: Define, inner: list[Define]) -> None:
    """Tell the functions inside a function which of its names change; forget those that they set themselves."""
    shared = frozenset(name for nested in inner for name in nested.stores_outer)
    if shared:
        given = [Move(define.node, Variable(p.name), Variable(p.name)) for p in define.parameters if p.name in shared]
        define.body[:0] = given
        _forget(define.body, shared)
    times = Counter(parameter.name for parameter in define.parameters)
    times.update(str(o.target) for o in walk(define.body) if isinstance(o, Move))
    changing = frozenset(name for name, count in times.items() if count > 1)
    for nested in inner:
        nested.unsteady |= scope_of(nested).free & changing


def _forget(block: Block, shared: frozenset[str]) -> None:
    """Make what is assigned to names that two functions share unknown, and out of sight: either may set them later."""
    position = 0
    while position < len(block):
        operation = block[position]
        for inner in (operation.body,) if isinstance(operation, (Define, DefineClass)) else blocks(operation):
            _forget(inner, shared)
        if isinstance(operation, Move) and operation.target in shared and operation.value is not UNKNOWN:
            given = [(False, operation.value)]
            block.insert(position, Call(operation.node, Variable("%shared"), UNKNOWN, given, []))
            operation.value = UNKNOWN
            position += 1
        position += 1


SEQUENCE_KINDS: dict[type, str] = {cst.List: "list", cst.Tuple: "tuple", cst.Set: "set"}

EXPRESSIONS: dict[type, Callable[[_Lowering, Any], Operand]] = {
    cst.Name: _Lowering.name,
    cst.Integer: _Lowering.integer,
    cst.Float: _Lowering.floating,
    cst.SimpleString: _Lowering.string,
    cst.ConcatenatedString: _Lowering.string,
    cst.FormattedString: _Lowering.formatted,
    cst.Attribute: _Lowering.attribute,
    cst.Call: _Lowering.call,
    cst.List: _Lowering.sequence,
    cst.Tuple: _Lowering.sequence,
    cst.Set: _Lowering.sequence,
    cst.Dict: _Lowering.dictionary,
    cst.Subscript: _Lowering.subscript,
    cst.BinaryOperation: _Lowering.binary,
    cst.UnaryOperation: _Lowering.unary,
    cst.Comparison: _Lowering.comparison,
    cst.BooleanOperation: _Lowering.boolean,
    cst.IfExp: _Lowering.conditional,
    cst.NamedExpr: _Lowering.walrus,
    cst.Lambda: _Lowering.lambda_,
    cst.Await: _Lowering.await_,
    cst.Yield: _Lowering.yield_,
    cst.ListComp: _Lowering.comprehension,
    cst.SetComp: _Lowering.comprehension,
    cst.GeneratorExp: _Lowering.comprehension,
    cst.DictComp: _Lowering.comprehension,
}

STATEMENTS: dict[type, Callable[[_Lowering, Any], None]] = {
    cst.SimpleStatementLine: _Lowering.line,
    cst.Expr: _Lowering.expression_statement,
    cst.Assign: _Lowering.assign,
    cst.AnnAssign: _Lowering.annotated,
    cst.AugAssign: _Lowering.augmented,
    cst.Del: _Lowering.delete,
    cst.If: _Lowering.if_,
    cst.For: _Lowering.for_,
    cst.While: _Lowering.while_,
    cst.With: _Lowering.with_,
    cst.Try: _Lowering.try_,
    cst.TryStar: _Lowering.try_,
    cst.Match: _Lowering.match,
    cst.FunctionDef: _Lowering.function,
    cst.ClassDef: _Lowering.class_,
    cst.Return: _Lowering.return_,
    cst.Raise: _Lowering.raise_,
    cst.Assert: _Lowering.assert_,
    cst.Break: _Lowering.break_,
    cst.Continue: _Lowering.continue_,
    cst.Import: _Lowering.import_,
    cst.ImportFrom: _Lowering.import_from,
    cst.Global: _Lowering.global_,
    cst.Nonlocal: _Lowering.nonlocal_,
}
