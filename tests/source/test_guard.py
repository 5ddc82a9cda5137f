"""Whatever text it is given, headcheck comes back with a tree or a reason, soon, and alive."""

import ast
import subprocess
import sys
import threading
import time

import libcst
import pytest

from headcheck.source import guard
from headcheck.source.reading import Unreadable

SHAPES = {
    "parentheses": lambda n: f"x = {'(' * n}1{')' * n}\n",
    "lists": lambda n: f"x = {'[' * n}1{']' * n}\n",
    "calls": lambda n: f"x = {'f(' * n}1{')' * n}\n",
    "dicts": lambda n: "x = " + "{1: " * n + "1" + "}" * n + "\n",
    "lambdas": lambda n: f"x = {'lambda: ' * n}1\n",
    "operators": lambda n: f"x = {' + '.join(['1'] * n)}\n",
    "ands": lambda n: f"x = {' and '.join(['a'] * n)}\n",
    "nots": lambda n: f"x = {'not ' * n}1\n",
    "powers": lambda n: f"x = {' ** '.join(['1'] * n)}\n",
    "ternaries": lambda n: f"x = {'1 if a else ' * n}2\n",
    "attributes": lambda n: f"x = a{'.b' * n}\n",
    "method chain": lambda n: f"x = a{'.b()' * n}\n",
    "subscripts": lambda n: f"x = a{'[0]' * n}\n",
    "elifs": lambda n: "if a:\n  pass\n" + "elif b:\n  pass\n" * n,
    "indents": lambda n: "".join(f"{' ' * i}if a:\n" for i in range(n)) + " " * n + "pass\n",
    "clauses": lambda n: f"x = [a {'for a in b ' * n}]\n",
    "dotted import": lambda n: f"import a{'.b' * n}\n",
    "dotted from": lambda n: f"from a{'.b' * n} import c\n",
    "strings": lambda n: f"x = ({repr('a') * n})\n",
    "f-strings": lambda n: "x = (" + "f'{a}' " * n + ")\n",
    "elements": lambda n: f"x = [{'1, ' * n}]\n",
    "one line": lambda n: "del a;" * n + "\n",
    "del": lambda n: f"del {'(' * n}a, {'b), ' * n}\n",
    "pattern": lambda n: f"match a:\n case {'[' * n}b{']' * n}: pass\n",
    "pattern parentheses": lambda n: f"match a:\n case (\n{'(' * n}\nb{')' * n}): pass\n",
    "mapping pattern": lambda n: "match a:\n case " + "{1: " * n + "b" + "}" * n + ": pass\n",
    "bytes": lambda n: "\x7f\x01" * n,
    "backslashes": lambda n: "\\\n" * n,
    "open brackets": lambda n: "(" * n,
    "digits": lambda n: "x = " + "9" * n + "\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_hostile_texts(shape):
    """One process for each shape: what is tested is that it survives."""
    program = f"""
import sys
sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
from test_guard import SHAPES
from headcheck.source import guard
for n in (10, 60, 199, 1000, 3000, 5000, 20000):
    text = SHAPES[{shape!r}](n)
    tree = guard.check(text)
    if not isinstance(tree, guard.Unreadable):
        guard.parse(text)
print("alive")
"""
    started = time.monotonic()
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert run.stdout == "alive\n", (run.returncode, run.stderr[-2000:])
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "shape, limit", [("lambdas", 190), ("operators", 190), ("elifs", 500), ("ands", 190), ("strings", 390)]
)
def test_limits(shape, limit):
    assert isinstance(guard.check(SHAPES[shape](limit)), ast.Module)
    said = guard.check(SHAPES[shape](limit + 20))
    assert isinstance(said, Unreadable)
    assert said.row >= 1 and said.column >= 1


def test_a_long_ordinary_file_is_read():
    text = "def f(a, b=1):\n    return a.b(c)[0] + {'d': b}\n" * 10_000
    assert isinstance(guard.check(text), ast.Module)
    assert isinstance(guard.parse(text), libcst.Module)


def test_ordinary_match_and_del_are_read():
    case = "    case {'a': {'b': [A(c=D(1)), *_]}} if f((1)): pass\n"
    text = f"match x:\n{case * 200}\n" + "del a[f((1, 2))], (b)\n" * 2000
    assert isinstance(guard.check(text), ast.Module)


@pytest.mark.parametrize(
    "text, row, column, reason",
    [
        ("x = 1\ny = (\n", 2, 5, "'(' was never closed"),
        ("é = 'é' +\n", 1, 10, "invalid syntax"),
        ("def f():\nreturn 1\n", 2, 1, "expected an indented block"),
        ("print 'a'\n", 1, 1, "Missing parentheses"),
        ("x = 'a\n", 1, 5, "unterminated string literal"),
        ("%matplotlib inline\n", 1, 1, "invalid syntax"),
        ("\0", 1, 1, "null byte"),
        ("x = '\udc80'\n", 1, 1, "surrogates not allowed"),
    ],
)
def test_syntax_errors_are_placed_as_python_places_them(text, row, column, reason):
    said = guard.check(text, "a.py")
    assert (said.filename, said.row, said.column) == ("a.py", row, column)
    assert reason in said.reason


def test_long_literals_are_read():
    lines = '"""' + 'it\'s "quoted"\n' * 5000 + '"""\n'
    assert isinstance(guard.check(f"x = {lines}y = f{lines}"), ast.Module)
    assert isinstance(guard.check(f"x = [{', '.join([repr('a')] * 5000)}]\n"), ast.Module)
    one_line = "f'{a}" + "b{c}" * 20_000 + "'\n"
    assert isinstance(guard.check(one_line), ast.Module)


def test_the_column_of_what_is_too_much_counts_characters():
    said = guard.check("é = é and " + " and ".join(["a"] * 300))
    assert (said.row, said.column) == (1, 5)


def test_warnings_are_not_shown(recwarn):
    guard.check(r"x = '\d'; assert (1, 2); 1 is 1")
    assert not recwarn.list


def test_what_only_libcst_refuses_is_unreadable(monkeypatch):
    class PanicException(BaseException):  # what Rust's panics look like
        pass

    def panics(text):
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(libcst, "parse_module", panics)
    assert "unwrap" in guard.parse("x = 1").reason
    monkeypatch.undo()
    said = guard.parse("x = = 1\n", "a.py")
    assert (said.filename, said.row) == ("a.py", 1)


def test_large_stack_passes_results_and_errors_on_and_leaves_the_setting():
    before = threading.stack_size()
    assert guard.on_large_stack(lambda: 42) == 42
    with pytest.raises(KeyboardInterrupt):
        guard.on_large_stack(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert threading.stack_size() == before


def test_recursion_is_deep_on_the_large_stack_and_nowhere_else():
    def count(number):
        return 0 if number == 0 else 1 + count(number - 1)

    before = sys.getrecursionlimit()
    assert guard.on_large_stack(lambda: count(5000)) == 5000
    with pytest.raises(RecursionError):
        guard.on_large_stack(lambda: count(1_000_000))
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize("shape, number", [("elifs", 490), ("strings", 390), ("lambdas", 190), ("ternaries", 190)])
def test_the_positions_of_what_is_allowed_can_be_found(shape, number):
    """Of libcst's own visitors this is the one that recurses deepest."""
    from libcst.metadata import MetadataWrapper, PositionProvider

    def positions():
        tree = libcst.parse_module(SHAPES[shape](number))
        return MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)

    assert len(guard.on_large_stack(positions)) > number
