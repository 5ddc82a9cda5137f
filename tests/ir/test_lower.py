"""Lowering: what each kind of statement and expression becomes, told in a short text per operation."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest

from headcheck import ir
from headcheck.ir import UNKNOWN, Variable, facts
from headcheck.ir.lower import dotted, lower
from headcheck.ir.scopes import scope_of


def lowered(script):
    return lower(cst.parse_module(textwrap.dedent(script).lstrip("\n")))


def operand(value):
    if value is UNKNOWN:
        return "?"
    return str(value) if type(value) is Variable else repr(value)


def starred(items):
    return ", ".join(("*" if star else "") + operand(value) for star, value in items)


def call(op):
    keywords = [f"{name}={operand(v)}" if name else f"**{operand(v)}" for name, v in op.keywords]
    inside = ", ".join(part for part in (starred(op.arguments), *keywords) if part)
    return f"{op.target} = {operand(op.function)}({inside})"


def define(op):
    parameters = ", ".join(
        ("/" if p.keyword_only else "") + p.kind + p.name + (f"={operand(p.default)}" if p.has_default else "")
        for p in op.parameters
    )
    marks = "".join(f"@{operand(d)} " for d in op.decorators)
    return f"{marks}def {op.target}({parameters}) {told(op.body)}"


def pair(item):
    star, key, value = item
    return f"**{operand(value)}" if star else f"{operand(key)}: {operand(value)}"


TOLD = {
    ir.Move: lambda o: f"{o.target} = {operand(o.value)}",
    ir.GetAttribute: lambda o: f"{o.target} = {operand(o.of)}.{o.name}",
    ir.SetAttribute: lambda o: f"{operand(o.of)}.{o.name} = {operand(o.value)}",
    ir.DeleteAttribute: lambda o: f"del {operand(o.of)}.{o.name}",
    ir.GetItem: lambda o: f"{o.target} = {operand(o.of)}[{operand(o.index)}]",
    ir.SetItem: lambda o: f"{operand(o.of)}[{operand(o.index)}] = {operand(o.value)}",
    ir.DeleteItem: lambda o: f"del {operand(o.of)}[{operand(o.index)}]",
    ir.DeleteName: lambda o: f"del {o.name}",
    ir.MakeSlice: lambda o: f"{o.target} = {operand(o.start)}:{operand(o.stop)}:{operand(o.step)}",
    ir.Call: call,
    ir.MakeSequence: lambda o: f"{o.target} = {o.kind}({starred(o.items)})",
    ir.MakeDict: lambda o: f"{o.target} = dict(" + ", ".join(map(pair, o.items)) + ")",
    ir.Append: lambda o: f"{o.of} << {operand(o.value) if o.key is UNKNOWN else pair((False, o.key, o.value))}",
    ir.FormatString: lambda o: f"{o.target} = f({', '.join(map(operand, o.parts))})",
    ir.Binary: lambda o: f"{o.target} = {operand(o.left)} {o.operator}{'!' if o.in_place else ''} {operand(o.right)}",
    ir.Unary: lambda o: f"{o.target} = {o.operator} {operand(o.operand)}",
    ir.Compare: lambda o: f"{o.target} = {operand(o.left)} {o.operator} {operand(o.right)}"
    + (f" ({o.discarded} discarded)" if o.discarded else ""),
    ir.If: lambda o: f"if {operand(o.test)} {told(o.body)} else {told(o.orelse)}",
    ir.Loop: lambda o: f"for {o.element} in {operand(o.iterable)} {told(o.body)} else {told(o.orelse)}",
    ir.While: lambda o: f"while {told(o.test_block)} {operand(o.test)} {told(o.body)} else {told(o.orelse)}",
    ir.With: lambda o: f"with {operand(o.context)} {told(o.body)}",
    ir.Try: lambda o: f"try {told(o.body)} "
    + "".join(f"except {' '.join(h.names)} {told(h.body)} " for h in o.handlers)
    + f"else {told(o.orelse)} finally {told(o.final)}",
    ir.Define: define,
    ir.DefineClass: lambda o: f"class {o.target}({', '.join(map(operand, o.bases))}) {told(o.body)}",
    ir.Return: lambda o: f"return {operand(o.value)}",
    ir.Raise: lambda o: f"raise {o.name}",
    ir.Break: lambda o: "break",
    ir.Continue: lambda o: "continue",
    ir.Import: lambda o: f"{o.target} = import {o.module}",
    ir.ImportFrom: lambda o: f"{o.target} = from {'.' * o.level}{o.module} import {o.name}",
}  # fmt: skip


def told(block):
    return "{" + "; ".join(TOLD[type(op)](op) for op in block if type(op) is not ir.End) + "}"


CASES = {
    # constants and names
    "x = 1": "x = 1",
    "x = 1_0 + 0x1F": "%1 = 10 Add 31; x = %1",
    "x = -2.5": "x = -2.5",
    "x = None, True, False": "%1 = tuple(None, True, False); x = %1",
    "x = 'a' 'b'": "x = 'ab'",
    "x = y = z": "x = z; y = z",
    "x: int = 1": "x = 1",
    "x: int": "",
    "x = 1j": "x = ?",
    "x = ...": "x = ?",
    # operators
    "x = not y": "%1 = Not y; x = %1",
    "x = -y": "%1 = Minus y; x = %1",
    "x = a @ b": "%1 = a MatrixMultiply b; x = %1",
    "x = a < b": "%1 = a LessThan b; x = %1",
    "x = a not in b": "%1 = a NotIn b; x = %1",
    "x = a is not b": "%1 = a IsNot b; x = %1",
    "x = a < b() < c": "%2 = b(); %1 = a LessThan %2; if %1 {%4 = %2 LessThan c; %3 = %4} else {%3 = %1}; x = %3",
    "m.requires_grad == False": "%1 = m.requires_grad; %2 = %1 Equal False (requires_grad discarded)",
    "a == b": "%1 = a Equal b",
    "x = a and b.c": "if a {%2 = b.c; %1 = %2} else {%1 = a}; x = %1",
    "x = a or b.c": "if a {%1 = a} else {%2 = b.c; %1 = %2}; x = %1",
    "x = a.b if c() else d": "%2 = c(); if %2 {%3 = a.b; %1 = %3} else {%1 = d}; x = %1",
    "f(x := 2)": "x = 2; %1 = f(2)",
    # calls, attributes, items
    "m.fc.weight": "%1 = m.fc; %2 = %1.weight",
    "m.fc = nn.Linear(1, 2)": "%1 = nn.Linear; %2 = %1(1, 2); m.fc = %2",
    "f(a, *b, c=1, **d)": "%1 = f(a, *b, c=1, **d)",
    "m.c[6] = a[-1]": "%1 = a[-1]; %2 = m.c; %2[6] = %1",
    "x = a[1:b:2]": "%1 = 1:b:2; %2 = a[%1]; x = %2",
    "x = a[:]": "%1 = None:None:None; %2 = a[%1]; x = %2",
    "x = a[1, ::2]": "%1 = None:None:2; %2 = tuple(1, %1); %3 = a[%2]; x = %3",
    "x = [a, *b], {c}, {d: e, **f}, ()": "%1 = list(a, *b); %2 = set(c); %3 = dict(d: e, **f); %4 = tuple(); "
    "%5 = tuple(%1, %2, %3, %4); x = %5",
    "x = f'a{{{b}}}{c!r}{d:>3}'": "%1 = f('a{', b, '}', ?, ?); x = %1",
    "x = lambda a, *b, c=d, **e: a.f": "def %2(a, *b, /c=d, **e) {%1 = a.f; return %1}; x = %2",
    "x = await y.z": "%1 = y.z; x = %1",
    # targets
    "a, (b, c) = d": "%1 = d[0]; a = %1; %2 = d[1]; %3 = %2[0]; b = %3; %4 = %2[1]; c = %4",
    "a, *b, c = d": "%1 = d[0]; a = %1; %2 = 1:-1:None; %3 = d[%2]; %4 = list(*%3); b = %4; %5 = d[-1]; c = %5",
    "*a, m.b = d": "%1 = 0:-1:None; %2 = d[%1]; %3 = list(*%2); a = %3; %4 = d[-1]; m.b = %4",
    "[a, b[0]] = d": "%1 = d[0]; a = %1; %2 = d[1]; b[0] = %2",
    "a += 1": "%1 = a Add! 1; a = %1",
    "m.a -= 1": "%1 = m.a; %2 = %1 Subtract! 1; m.a = %2",
    "a[0] //= b": "%1 = a[0]; %2 = %1 FloorDivide! b; a[0] = %2",
    "del a, b.c, d[0], e[:1]": "del a; del b.c; del d[0]; %1 = None:1:None; del e[%1]",
    # comprehensions: variables of their own, the first iterable read outside
    "x = [a for a in b]": "%1 = list(); for %2 in b {%3 = %2; %1 << %3} else {}; x = %1",
    "x = {a: c for a in a}": "%1 = dict(); for %2 in a {%3 = %2; %1 << %3: c} else {}; x = %1",
    "x = {a for a, b in c if a if b}": "%1 = set(); for %2 in c {%5 = %2[0]; %3 = %5; %6 = %2[1]; %4 = %6; "
    "if %3 {if %4 {%1 << %3} else {}} else {}} else {}; x = %1",
    "x = f(a for b in c for a in b)": "%1 = list(); for %2 in c {%3 = %2; for %4 in %3 {%5 = %4; %1 << %5} else {}} "
    "else {}; %6 = f(%1); x = %6",
    "x = [lambda a: a for a in b]": "%1 = list(); for %2 in b {%3 = %2; "
    "def %4(a) {return a}; %1 << %4} else {}; x = %1",
    "x = [(y := a) for a in b]": "%1 = list(); for %2 in b {%3 = %2; y = %3; %1 << %3} else {}; x = %1",
    # imports
    "import a.b.c": "a = import a",
    "import a.b as c, d": "c = import a.b; d = import d",
    "from a.b import c as d, e": "d = from a.b import c; e = from a.b import e",
    "from .. import a": "a = from .. import a",
    "from .a import *": "* = from .a import *",
    # simple statements
    "pass": "",
    "raise a.B('x') from c": "%1 = a.B; %2 = %1('x'); raise B",
    "raise": "raise ",
    "raise ValueError": "raise ValueError",
    "assert a, b": "if a {} else {raise AssertionError}",
    "a; b = 1": "b = 1",
}


@pytest.mark.parametrize("script", CASES)
def test_simple(script):
    assert told(lowered(script)) == "{" + CASES[script] + "}"


COMPOUND = {
    "if a:\n  b = 1\nelif c.d:\n  b = 2\nelse:\n  b = 3": "if a {b = 1} else {%1 = c.d; if %1 {b = 2} else {b = 3}}",
    "for a, b in c:\n  if a: break\n  continue\nelse:\n  d = 1": "for %1 in c {%2 = %1[0]; a = %2; %3 = %1[1]; b = %3; "
    "if a {break} else {}; continue} else {d = 1}",
    "while a.b:\n  c = 1\nelse:\n  d = 2": "while {%1 = a.b} %1 {c = 1} else {d = 2}",
    "with a() as b, c:\n  d = 1": "%1 = a(); %2 = %1.__enter__; %2 = %2(); b = %2; with %1 {with c {d = 1}}",
    "with a() as (b, c): pass": "%1 = a(); %2 = %1.__enter__; %2 = %2(); %3 = %2[0]; "
    "b = %3; %4 = %2[1]; c = %4; with %1 {}",
    "try:\n  a = 1\nexcept (B, c.D) as e:\n  f = 1\nexcept:\n  g = 1\nelse:\n  h = 1\nfinally:\n  i = 1": "try {a = 1} "
    "except B D {e = ?; f = 1} except  {g = 1} else {h = 1} finally {i = 1}",
    "try:\n  a = 1\nexcept* B:\n  c = 1": "try {a = 1} except B {c = 1} else {} finally {}",
    "try: a = 1\nexcept f(): b = 1": "try {a = 1} except ? {b = 1} else {} finally {}",
    "match a:\n  case 'x' | 'y':\n    b = 1\n  case 2:\n    b = 2\n  case c:\n    b = 3": "%1 = tuple('x', 'y'); "
    "%2 = a In %1; if %2 {b = 1} else "
    "{%3 = tuple(2); %4 = a In %3; if %4 {b = 2} else {c = a; if True {b = 3} else {}}}",
    "match a.b:\n  case [c, d]:\n    e = 1\n  case 1 if f.g:\n    e = 2": "%1 = a.b; c = ?; d = ?; if ? {e = 1} else "
    "{%2 = tuple(1); %3 = %1 In %2; %4 = f.g; if ? {e = 2} else {}}",
    "@a.b\n@c(1)\ndef f(x, /, y=z, *w, v=1, **u) -> int:\n  return x": "%1 = a.b; %2 = c(1); "
    "@%1 @%2 def f(x, y=z, *w, /v=1, **u) {return x}",
    "def f(a, *, b): return": "def f(a, /b) {return None}",
    "async def f():\n  async with a as b:\n    async for c in d:\n      pass": "def f() {%1 = a.__enter__; %1 = %1(); "
    "b = %1; "
    "with a {for %2 in d {c = %2} else {}}}",
    "class A(b.C, metaclass=D):\n  x: int = 1\n  def f(self): pass": "%1 = b.C; class A(%1) {x = 1; def f(self) {}}",
    "def f():\n  global g\n  g = 1": "def f() {g = 1}",
}


@pytest.mark.parametrize("script", COMPOUND)
def test_compound(script):
    assert told(lowered(script)) == "{" + COMPOUND[script] + "}"


def only(kind, script):
    (found,) = (op for op in ir.walk(lowered(script)) if type(op) is kind)
    return found


def test_every_statement_ends_and_keeps_its_node():
    block = lowered("a = 1\nif a:\n    b = 2\n")
    assert [type(op) for op in block] == [ir.Move, ir.End, ir.If, ir.End]
    assert all(isinstance(op.node, cst.CSTNode) for op in ir.walk(block))


def test_what_a_branch_or_loop_assigns():
    script = """
        for a in b:
            c, d[0] = e
            if f:
                g += 1
            else:
                del h
            try:
                i = 1
            except A as j:
                pass
        """
    assert {n for n in only(ir.Loop, script).assigned if n[0] != "%"} == {"a", "c", "g", "h", "i", "j"}
    assert {n for n in only(ir.If, script).assigned if n[0] != "%"} == {"g", "h"}


def test_what_a_function_leaves_free():
    define = only(ir.Define, "def f(a, b=x):\n  c = a + d\n  return [e for e in g(c)]")
    assert {"d", "g"} <= scope_of(define).free and not {"a", "b", "x"} & scope_of(define).free


def test_globals_and_generators():
    assert only(ir.Define, "def f():\n  global a, b\n  if c:\n    global d").stores_global == {"a", "b", "d"}
    assert not only(ir.Define, "def f():\n  return 1").generator
    for body in ("yield 1", "x = yield", "yield from y", "for a in b:\n    yield a", "with a:\n    yield",
                 "try:\n    yield\n  finally:\n    pass", "return (yield)",
                 "match a:\n    case 1:\n      yield", "try:\n    pass\n  except* A:\n    yield",
                 "while a:\n    if b:\n      yield c"):  # fmt: skip
        assert only(ir.Define, f"def f():\n  {body}").generator, body


def test_fields_of_a_class():
    assert only(ir.DefineClass, "class A:\n  a: int\n  b: str = 'x'\n  c = 1").fields == ("a", "b")


def test_walk_goes_into_everything():
    script = """
        class A:
            def f(self):
                for a in b:
                    with c:
                        try:
                            d = lambda: e.g
                        finally:
                            h = 1
        """
    kinds = {type(op) for op in ir.walk(lowered(script))}
    assert {ir.DefineClass, ir.Define, ir.Loop, ir.With, ir.Try, ir.GetAttribute, ir.Move} <= kinds


def test_dotted():
    assert dotted(cst.parse_expression("a.b.c")) == "a.b.c"
    assert dotted(cst.parse_expression("a().b")) == dotted(None) == ""


def test_facts_of_a_file():
    block = lowered(
        """
        m.fc = a
        setattr(m, "head", b)
        m.register_buffer("scale", c)
        m.register_parameter(name="shift", param=c)
        y = m.features(x)
        print(m.shown)
        n = m.kept.in_features
        z = getattr(m, "named")
        m.changed[0] = c
        """
    )
    assert {"fc", "head", "scale", "shift"} == set(facts.assigned_attributes(ir.walk(block)))
    used = facts.used_attributes(ir.walk(block)).anywhere
    assert {"features", "named", "in_features"} <= used
    assert not {"shown", "kept", "changed"} & used


def test_what_a_class_reads_of_itself():
    block = lowered(
        """
        class Net:
            def __init__(self):
                self.own = a
                self.late.part = b
            def forward(self, x):
                return self.own(x), self.others(x), self.late(x), x.own_too(x)
        def extract(m, x):
            return m.apart(x)
        """
    )
    used = facts.used_attributes(ir.walk(block))
    assert {"own", "others", "late", "own_too", "apart"} <= used.anywhere
    assert used.anywhere - used.of_others == {"own"}
