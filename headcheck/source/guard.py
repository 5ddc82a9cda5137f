"""Keeps from libcst what would kill the process or take minutes, and runs it where it has room.

`ast.parse` is an order of magnitude faster than libcst and places a syntax error exactly. libcst 1.9 dies without an
exception on 1,500 nested brackets, 5,000 lambdas or 20,000 elifs, takes quadratic time on long chains of operators,
about 4 KB of memory for each node, and time exponential in the brackets of a `del` statement and of a `case` pattern
(measured: twelve nested mapping patterns take 29 s). So depth, size and those brackets are measured first, on the `ast`
tree, without recursion. In 8,900 files of Python and well-known packages, only generated tables and help texts pass
these limits.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
import threading
import tokenize
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Final, TypeVar

from headcheck.source.reading import Unreadable

if TYPE_CHECKING:
    import libcst

T = TypeVar("T")

MAX_DEPTH: Final = 200
MAX_ELIFS: Final = 500
MAX_STRINGS: Final = 400
MAX_NODES: Final = 200_000
ORDINARY_DEPTH: Final = 16
MAX_EXCESS: Final = 100_000
MAX_BRACKET_WORK: Final = 2**16
# A thousand, Python's own limit, is too few for libcst's visitors on what these limits allow. Ten thousand frames take
# less than the smaller stack.
RECURSION_LIMIT: Final = 10_000
STACK_SIZES: Final = (512 * 2**20, 64 * 2**20)

# Fields that hold no node below which anything could nest.
_WITHOUT_CHILDREN: Final = frozenset(
    {"ctx", "op", "ops", "id", "attr", "arg", "type_comment", "conversion", "is_async"}
)
_LITERALS: Final = frozenset({ast.Constant, ast.JoinedStr})
_STRING_STARTS: Final = frozenset({tokenize.STRING, getattr(tokenize, "FSTRING_START", -1)})
_CHILD_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {}
_DEL_BRACKETS: Final = {"(": 1, "[": 1, ")": -1, "]": -1}
_CASE_BRACKETS: Final = {"(": 1, "[": 1, "{": 2, ")": -1, "]": -1, "}": -2}


def check(text: str, filename: str = "<text>") -> ast.Module | Unreadable:
    r"""The `ast` tree of `text` (with ``\n`` line ends), or why it cannot be read, with the true place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on invalid escapes and the like: no business of headcheck's
            tree = ast.parse(text)
    except SyntaxError as error:
        place = max(error.lineno or 1, 1), max(error.offset or 1, 1)
        return Unreadable(filename, in_words(error), *place, valid=may_be_newer(error))
    except (RecursionError, MemoryError):  # what Python's own parser says to too much nesting
        return Unreadable(filename, "nested too deeply for Python's own parser")
    except ValueError as error:  # a NUL, a lone surrogate
        return Unreadable(filename, f"not Python source: {error}")
    return _measured(tree, text, filename) or tree


NEWER = re.compile(r"\s*(async\s+def|class|def)\s+\w+\s*\[|\s*type\s+\w+\s*(\[.*\]\s*)?=[^=]")


def may_be_newer(error: SyntaxError) -> bool:
    """Whether Python 3.12 may read what the Python that headcheck runs under does not: type parameters, f-strings with
    anything inside."""
    return sys.version_info < (3, 12) and bool(error.msg.startswith("f-string") or NEWER.match(error.text or ""))


def in_words(error: SyntaxError) -> str:
    newer = ", which may be fine in a Python that is newer than headcheck's" if may_be_newer(error) else ""
    return f"syntax error: {error.msg}{newer}"


def parse(text: str, filename: str = "<text>") -> libcst.Module | Unreadable:
    """The libcst tree of a text that `check` accepted; Unreadable where libcst's grammar lacks what Python's has."""
    import libcst

    collecting = gc.isenabled()
    gc.disable()  # a tree makes no garbage: looking for some while it grows costs a tenth of the time
    try:
        return on_large_stack(lambda: libcst.parse_module(text))
    except libcst.ParserSyntaxError as error:
        reason = f"libcst cannot parse this: {error.message}"
        return Unreadable(filename, reason, error.raw_line, error.raw_column + 1, valid=True)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, which has no public name and is no Exception
            raise
        return Unreadable(filename, f"libcst failed on this: {error}", valid=True)
    finally:
        if collecting:
            gc.enable()


def on_large_stack(function: Callable[[], T]) -> T:
    """What `function` returns, run with half a gigabyte of stack (only what is used takes memory) and deep recursion.

    Raises what the function raises, and the RuntimeError of a system that gives not even the smaller stack.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        _started(work).join()
    finally:
        sys.setrecursionlimit(before)
    if errors:
        raise errors[0]
    return results[0]


def _started(work: Callable[[], None]) -> threading.Thread:
    for size in STACK_SIZES:
        before = threading.stack_size(size)
        try:
            thread = threading.Thread(target=work)
            thread.start()
            return thread
        except RuntimeError:  # the address space is limited
            if size == STACK_SIZES[-1]:
                raise
        finally:
            threading.stack_size(before)
    raise AssertionError("unreachable")


def _measured(tree: ast.Module, text: str, filename: str) -> Unreadable | None:
    """What is too much in `tree`, if anything is.

    Depth counts statements and expressions alike, and what libcst nests although `ast` does not (`_HIDDEN_DEPTH`). The
    elifs of one `if` and the strings of one literal, which libcst nests too, are counted on their own.
    """
    lines = text.split("\n")
    nodes = excess = bracket_work = 0
    pending: list[tuple[ast.AST, int, int]] = [(tree, 0, 0)]
    while pending:
        node, depth, elifs = pending.pop()
        kind = type(node)
        nodes += 1
        if kind in _HIDDEN_DEPTH:
            depth += _HIDDEN_DEPTH[kind](node)
        elif kind in _LITERALS and _adjacent_strings(node, lines) > MAX_STRINGS:
            return _too(f"more than {MAX_STRINGS} strings side by side", node, lines, filename)
        if depth > ORDINARY_DEPTH:
            excess += depth - ORDINARY_DEPTH
            if depth > MAX_DEPTH or excess > MAX_EXCESS:
                return _too("nested too deeply", node, lines, filename)
        if nodes > MAX_NODES:
            return _too(f"too large: more than {MAX_NODES:,} syntax nodes", node, lines, filename)
        if kind is ast.Delete or kind is ast.Match:
            bracket_work += _bracket_work(node, lines)
            if bracket_work > MAX_BRACKET_WORK:
                return _too("too many nested brackets in 'del' or 'case'", node, lines, filename)
        for name in child_fields(kind):
            child = getattr(node, name, None)
            if child.__class__ is not list:
                if isinstance(child, ast.AST):
                    pending.append((child, depth + 1, 0))
            elif name == "orelse" and _is_elif(node, child):
                if elifs == MAX_ELIFS:
                    return _too(f"more than {MAX_ELIFS} elif in a row", child[0], lines, filename)
                pending.append((child[0], depth, elifs + 1))
            elif kind is ast.JoinedStr:
                # Its texts are left out: until Python 3.11 they have the place of the whole string.
                pending += [(each, depth + 1, 0) for each in child if not isinstance(each, ast.Constant)]
            else:
                pending += [(each, depth + 1, 0) for each in child if isinstance(each, ast.AST)]
    return None


def child_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes."""
    known = _CHILD_FIELDS.get(kind)
    if known is None:
        known = () if kind is ast.Constant else tuple(name for name in kind._fields if name not in _WITHOUT_CHILDREN)
        _CHILD_FIELDS[kind] = known
    return known


def _operands(node: ast.AST) -> int:
    return len(node.values) - 2 if isinstance(node, ast.BoolOp) else 0


def _clauses(node: ast.AST) -> int:
    return len(getattr(node, "generators", ())) - 1


def _dots(node: ast.AST) -> int:
    name = node.module if isinstance(node, ast.ImportFrom) else getattr(node, "name", None)
    return (name or "").count(".")


_HIDDEN_DEPTH: Final[dict[type[ast.AST], Callable[[ast.AST], int]]] = {
    ast.BoolOp: _operands,
    ast.ListComp: _clauses,
    ast.SetComp: _clauses,
    ast.DictComp: _clauses,
    ast.GeneratorExp: _clauses,
    ast.alias: _dots,
    ast.ImportFrom: _dots,
}


def _adjacent_strings(node: ast.AST, lines: list[str]) -> int:
    """How many strings stand side by side in a literal: exact if there could be too many, else 1."""
    first, last = getattr(node, "lineno", 1) - 1, getattr(node, "end_lineno", None) or 1
    start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", None) or 0
    if last - first == 1 and end - start < 2 * MAX_STRINGS:
        return 1
    rows = [line.encode("utf-8", "replace") for line in lines[first:last]]
    rows[-1] = rows[-1][:end]
    rows[0] = rows[0][start:]
    literal = b"\n".join(rows)
    if literal.count(b"'") + literal.count(b'"') < 2 * MAX_STRINGS:
        return 1
    tokens = tokenize.tokenize(BytesIO(b"(" + literal + b")").readline)
    return sum(token.type in _STRING_STARTS for token in tokens)


def _is_elif(node: ast.AST, orelse: list[ast.AST]) -> bool:
    if not isinstance(node, ast.If) or len(orelse) != 1:
        return False
    below = orelse[0]
    return isinstance(below, ast.If) and below.col_offset == node.col_offset


def _bracket_work(node: ast.AST, lines: list[str]) -> int:
    """How often libcst goes over the innermost brackets of a `del` statement, or of all patterns of a `match`.

    Redundant parentheses count and are not in the tree, so whole lines are searched; brackets in strings count too.
    The search itself counts, lest a thousand statements on one line be searched a thousand times.
    """
    if isinstance(node, ast.Delete):
        return _deepest_work(lines[node.lineno - 1 : node.end_lineno], _DEL_BRACKETS)
    assert isinstance(node, ast.Match)
    work = 0
    end = node.subject.end_lineno or node.lineno
    for case in node.cases:
        work += _deepest_work(lines[end - 1 : case.body[0].lineno], _CASE_BRACKETS)
        end = case.body[-1].end_lineno or case.body[-1].lineno
    return work


def _deepest_work(lines: list[str], brackets: dict[str, int]) -> int:
    depth = deepest = 0
    for line in lines:
        for character in line:
            if character in brackets:
                depth = max(depth + brackets[character], 0)
                deepest = max(deepest, depth)
    return (1 << min(deepest, 20)) + sum(map(len, lines)) // 100


def _too(reason: str, node: ast.AST, lines: list[str], filename: str) -> Unreadable:
    row = getattr(node, "lineno", 1)
    before = lines[row - 1].encode("utf-8", "replace")[: getattr(node, "col_offset", 0)]
    return Unreadable(filename, reason, row, len(before.decode("utf-8", "replace")) + 1)
