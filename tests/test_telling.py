"""How the conditions of a finding are said: each once, taken apart, and without what another one says already."""

from __future__ import annotations

import libcst as cst
import pytest

from headcheck import settle, telling


def code(node):
    return cst.Module([]).code_for_node(node)


def said(*conditions):
    nodes = [each if isinstance(each, str) else cst.parse_expression(each[0]) for each in conditions]
    sides = {code(node.left): node.left for node in nodes if isinstance(node, cst.BooleanOperation)}
    tests = [node if isinstance(node, str) else sides.get(code(node), node) for node in nodes]
    pairs = zip(tests, conditions, strict=True)
    return telling.words([test if isinstance(test, str) else (test, each[1], False) for test, each in pairs], code)


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ((), ()),
        ((("a == 1", True),), ("a == 1",)),
        ((("a", False),), ("not a",)),
        ((("a == 1", False),), ("not (a == 1)",)),
        ((("not a", False),), ("a",)),
        ((("a", False), ("b", True)), ("not a", "b")),
        ((("b", True), ("b", True), settle.AT_DEFAULTS), ("b", settle.AT_DEFAULTS)),
        # The parts of a test.
        ((("a and b", True),), ("a", "b")),
        ((("a", True), ("a and b", True)), ("a", "b")),
        ((("a", True), ("a and b", False)), ("a", "not b")),
        ((("a", False), ("a and b", False)), ("not a",)),
        ((("a and b", False),), ("not (a and b)",)),
        ((("a or b", False),), ("not a", "not b")),
        ((("a", False), ("a or b", True)), ("not a", "b")),
        ((("a or b", True),), ("a or b",)),
        ((("(a or b)", True), ("c", True)), ("(a or b)", "c")),
        ((("not (a and b)", True), ("c", True)), ("not (a and b)", "c")),
        ((("1 if a else b", True), ("c", True)), ("(1 if a else b)", "c")),
        # One of several names.
        ((("n == 'a'", False), ("n == 'b'", True)), ("n == 'b'",)),
        ((("n == 'a'", False), ("n in ('b', 'c')", True)), ("n in ('b', 'c')",)),
        ((("n == 'a'", False), ("n in ('a', 'c')", True)), ("not (n == 'a')", "n in ('a', 'c')")),
        ((("n == 'a'", False), ("m == 'b'", True)), ("not (n == 'a')", "m == 'b'")),
        ((("'vgg' in n", False), ("'res' in n", True)), ("'res' in n",)),
        ((("'wide_res' in n", False), ("'res' in n", True)), ("not ('wide_res' in n)", "'res' in n")),
        ((("n.startswith('res')", True), ("n == 'res18'", True)), ("n == 'res18'",)),
        ((("n == 'a'", True), ("n in ('a', 'b')", True)), ("n == 'a'",)),
        ((("n is None", False), ("n", True)), ("n",)),
        ((("n > 5", False), ("n > 2", True)), ("not (n > 5)", "n > 2")),
        ((("n == 1", False), ("n == 2", True)), ("n == 2",)),
        ((("n == 1", True), ("1 == n", True)), ("n == 1",)),
    ],
)
def test_words(conditions, words):
    assert said(*conditions) == words
