"""libcst → IR. One small method per statement; `expressions` has those of expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from headcheck.ir import (
    UNKNOWN,
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
    GetAttribute,
    Handler,
    If,
    Import,
    ImportFrom,
    Loop,
    MakeSequence,
    Move,
    Operand,
    Raise,
    Return,
    Try,
    Variable,
    While,
    With,
)
from headcheck.ir.assigned import annotated_fields
from headcheck.ir.expressions import MOST_KEPT, TEMPORARIES, Expressions, dotted


def lower(module: cst.Module) -> Block:
    """Lower a parsed file to one block. Nesting is bounded by the guard that ran before parsing."""
    lowering = _Lowering()
    return lowering.block(module, [])


def captured(pattern: cst.CSTNode) -> list[str]:
    """The names that a pattern gives to what it finds."""
    names = [captured(child) for child in pattern.children if type(child) is not cst.Name]
    own = pattern.name if isinstance(pattern, (cst.MatchAs, cst.MatchStar)) else None
    rest = pattern.rest if isinstance(pattern, cst.MatchMapping) else None
    return [name.value for name in (own, rest) if name is not None] + [name for inner in names for name in inner]


def tells_by_class(pattern: cst.MatchClass) -> bool:
    """Whether a pattern asks for a class alone, and gives names to what it finds there."""
    inner = [*(element.value for element in pattern.patterns), *(element.pattern for element in pattern.kwds)]
    return all(type(part) is cst.MatchAs and part.pattern is None for part in inner)


#: Temporaries that may be left of a statement; None where nobody knows: a loop, or what catches, is come to by jumps,
#: which go past the end of statements.
Left = list[Variable] | None
NONE_LEFT: list[Variable] = []


class _Lowering(Expressions):
    """Writes statements, and with them a whole file."""

    around: Left = None  # those of what is around the block, where its first statement is written

    def block(self, body: cst.Module | cst.BaseSuite, around: Left = None) -> Block:
        """Lower statements into a block of their own. `around`: the temporaries that the first of them is to drop."""
        outer, self.out = self.out, []
        above, self.around = self.around, around
        for statement in body.body:
            if type(statement) is cst.SimpleStatementLine:
                for part in statement.body:
                    self.statement(part)
            else:
                self.statement(statement)
        block, self.out, self.around = self.out, outer, above
        return block

    def statement(self, node: cst.CSTNode) -> None:
        """Write a statement and its end, where its temporaries are dropped: those that its writer says are left, or all
        that it made. Where a block starts, there are those of what is around it, too."""
        around, self.around = self.around, NONE_LEFT
        kind, before = type(node), self.count
        handler = STATEMENTS.get(kind)
        left = handler(self, node) if handler else None
        if around is None or self.count > MOST_KEPT:
            left = None
        elif kind not in COMPOUND:
            left = TEMPORARIES[before : self.count]
        if left is not None and around:
            left = around + left
        self.out.append(End(node, left))

    def expression_statement(self, node: cst.Expr) -> None:
        self.expression(node.value)
        last = self.out[-1] if self.out else None
        if isinstance(last, Compare) and type(node.value) is cst.Comparison:
            left = node.value.left
            last.discarded = left.attr.value if type(left) is cst.Attribute else ""
        elif isinstance(last, GetAttribute) and type(node.value) is cst.Attribute:
            last.discarded = True

    def assign(self, node: cst.Assign) -> None:
        value = self.lazy(node.value) if type(node.value) is cst.GeneratorExp else self.expression(node.value)
        for target in node.targets:
            self.store(target.target, value, node)

    def annotated(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.expression(node.value), node)

    def augmented(self, node: cst.AugAssign) -> None:
        left = self.expression(node.target)
        right = self.expression(node.value)
        target = self.temporary()
        operator = type(node.operator).__name__.removesuffix("Assign")
        self.out.append(Binary(node, target, operator, left, right, in_place=True))
        self.store(node.target, target, node)

    def delete(self, node: cst.Del) -> None:
        targets = [e.value for e in node.target.elements] if type(node.target) is cst.Tuple else [node.target]
        for target in targets:
            if type(target) is cst.Name:
                self.out.append(DeleteName(node, self.variable(target.value)))
            elif type(target) is cst.Attribute:
                self.out.append(DeleteAttribute(node, self.expression(target.value), target.attr.value))
            elif type(target) is cst.Subscript:
                self.out.append(DeleteItem(node, self.expression(target.value), self.index(target.slice)))

    def if_(self, node: cst.If, above: list[Variable] = NONE_LEFT) -> Left:
        """`above`: the temporaries of the tests before this one."""
        before = self.count
        test = self.expression(node.test)
        left = above + TEMPORARIES[before : self.count]
        body = self.block(node.body, left)
        orelse: Block = []
        every: Left = left
        if type(node.orelse) is cst.If:
            every, orelse = self.aside(self.if_, node.orelse, left)
        elif node.orelse is not None:
            orelse = self.block(node.orelse.body, left)
        self.branch(If(node.test, test, body, orelse))
        return every

    def for_(self, node: cst.For) -> None:
        iterable = self.expression(node.iter)
        element = self.temporary()
        self.declared.loops += 1
        _, unpacking = self.aside(self.store, node.target, element, node)
        body = unpacking + self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        self.declared.loops -= 1
        self.branch(Loop(node.iter, element, iterable, body, orelse))

    def while_(self, node: cst.While) -> None:
        self.declared.loops += 1
        test, test_block = self.aside(self.expression, node.test)
        body = self.block(node.body)
        orelse = self.block(node.orelse.body) if node.orelse else []
        self.declared.loops -= 1
        self.branch(While(node, test_block, test, body, orelse))

    def with_(self, node: cst.With) -> Left:
        before = self.count
        contexts: list[Operand] = []
        for item in node.items:
            value = self.expression(item.item)
            contexts.append(value)
            if item.asname is not None:
                entered = self.temporary()
                self.out.append(GetAttribute(item.item, entered, value, "__enter__"))
                self.out.append(Call(item.item, entered, entered, [], []))
                self.store(item.asname.name, entered, node)
        body = self.block(node.body, TEMPORARIES[before : self.count])
        for context in reversed(contexts):
            body = [With(node, context, body)]
        self.out.extend(body)
        return None  # it may catch what is raised in it

    def try_(self, node: cst.Try | cst.TryStar) -> None:
        body = self.block(node.body, NONE_LEFT)
        handlers = [self.handler(handler) for handler in node.handlers]
        orelse = self.block(node.orelse.body) if node.orelse else []
        final = self.block(node.finalbody.body) if node.finalbody else []
        self.out.append(Try(node, body, handlers, orelse, final))

    def handler(self, node: cst.ExceptHandler | cst.ExceptStarHandler) -> Handler:
        kinds = node.type
        parts = [e.value for e in kinds.elements] if type(kinds) is cst.Tuple else [kinds] if kinds else []
        names = tuple(dotted(part).rsplit(".", 1)[-1] or "?" for part in parts)
        body = self.block(node.body)
        if node.name is not None and type(node.name.name) is cst.Name:
            body.insert(0, Move(node, self.variable(node.name.name.value), UNKNOWN))
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
            guard = self.expression(case.guard)
            test = guard if test is True else UNKNOWN
        body = self.block(case.body)
        _, orelse = self.aside(self.cases, cases[1:], subject)
        self.branch(If(case, test, body, orelse))

    def pattern(self, pattern: cst.MatchPattern, subject: Operand) -> Operand:
        """The operand that says if a pattern matches: values and alternatives of values, anything else is unknown."""
        if type(pattern) is cst.MatchAs and pattern.pattern is None:
            if pattern.name is not None:
                self.out.append(Move(pattern, self.variable(pattern.name.value), subject))
            return True
        alternatives = [e.pattern for e in pattern.patterns] if type(pattern) is cst.MatchOr else [pattern]
        for name in captured(pattern):
            self.out.append(Move(pattern, self.variable(name), UNKNOWN))
        classes = [a.cls for a in alternatives if type(a) is cst.MatchClass and tells_by_class(a)]
        if len(classes) == len(alternatives):
            return self.of_classes(pattern, classes, subject)
        values = [a for a in alternatives if type(a) is cst.MatchValue]
        if len(values) < len(alternatives):
            return UNKNOWN
        choices = self.temporary()
        self.out.append(MakeSequence(pattern, choices, "tuple", [(False, self.expression(v.value)) for v in values]))
        target = self.temporary()
        self.out.append(Compare(pattern, target, "In", subject, choices))
        return target

    def of_classes(self, node: cst.MatchPattern, classes: list[cst.BaseExpression], subject: Operand) -> Operand:
        """``case ResNet() | VGG():`` asks as ``isinstance(subject, (ResNet, VGG))`` does."""
        choices, target = self.temporary(), self.temporary()
        self.out.append(MakeSequence(node, choices, "tuple", [(False, self.expression(cls)) for cls in classes]))
        given: list[tuple[bool, Operand]] = [(False, subject), (False, choices)]
        self.out.append(Call(node, target, self.names["isinstance"], given, []))
        return target

    def function(self, node: cst.FunctionDef) -> Left:
        before = self.count
        decorators = [self.expression(decorator.decorator) for decorator in node.decorators]
        parameters = self.parameters(node.params)
        inside = len(self.defines)
        left = TEMPORARIES[before : self.count]
        body, declared = self.within(self.block, node.body, NONE_LEFT)
        define = Define(node, self.variable(node.name.value), node.name.value, parameters, body, decorators)
        define.generator = declared.generator
        define.stores_global = frozenset(declared.globals)
        define.stores_outer = frozenset(declared.nonlocals)
        self.define(define, declared, inside)
        return left

    def global_(self, node: cst.Global) -> None:
        self.declared.globals.update(item.name.value for item in node.names)

    def nonlocal_(self, node: cst.Nonlocal) -> None:
        self.declared.nonlocals.update(item.name.value for item in node.names)

    def class_(self, node: cst.ClassDef) -> Left:
        before = self.count
        decorators = [self.expression(decorator.decorator) for decorator in node.decorators]
        bases = [self.expression(base.value) for base in node.bases]
        left = TEMPORARIES[before : self.count]
        body, _ = self.within(self.block, node.body, NONE_LEFT)
        fields = tuple(annotated_fields(node))
        name = node.name.value
        self.out.append(DefineClass(node, self.variable(name), name, bases, body, decorators, fields))
        return left

    def return_(self, node: cst.Return) -> None:
        self.out.append(Return(node, None if node.value is None else self.expression(node.value)))

    def raise_(self, node: cst.Raise) -> None:
        exception = node.exc.func if type(node.exc) is cst.Call else node.exc
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
            if alias.asname is not None and type(alias.asname.name) is cst.Name:
                self.out.append(Import(node, self.variable(alias.asname.name.value), name))
            else:
                first = name.split(".")[0]
                self.out.append(Import(node, self.variable(first), first, name))

    def import_from(self, node: cst.ImportFrom) -> None:
        module, level = dotted(node.module), len(node.relative)
        if isinstance(node.names, cst.ImportStar):
            self.out.append(ImportFrom(node, self.variable("*"), module, "*", level))
            return
        for alias in node.names:
            name = dotted(alias.name)
            has_name = alias.asname is not None and type(alias.asname.name) is cst.Name
            target = alias.asname.name.value if has_name else name  # type: ignore[union-attr]
            self.out.append(ImportFrom(node, self.variable(target), module, name, level))


STATEMENTS: dict[type, Callable[[_Lowering, Any], Left | None]] = {
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
COMPOUND = frozenset(
    [cst.If, cst.For, cst.While, cst.With, cst.Try, cst.TryStar, cst.Match, cst.FunctionDef, cst.ClassDef]
)
