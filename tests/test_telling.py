"""How the conditions of a finding are said: each once, taken apart, and without what another one says already."""

from __future__ import annotations

from types import SimpleNamespace

import libcst as cst
import pytest

from headcheck import settle, telling
from headcheck.interpreter.merging import MOST_CONDITIONS, MOST_WAYS, _joined_ways
from headcheck.interpreter.state import State


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


def path(*conditions, open_=(), cut=False):
    """A path that took these branches; `not a` is the other side of `a`."""
    taken = tuple((c.removeprefix("not "), not c.startswith("not "), c in open_) for c in conditions)
    return SimpleNamespace(conditions=taken, ways=(taken,), guesses=(), cut=cut)


def names(conditions):
    return [("" if held else "not ") + test for test, held, _ in conditions]


@pytest.mark.parametrize(
    ("failing", "right", "told"),
    [
        (["a", "b"], [["not a"], ["a", "not b"]], ["a", "b"]),
        (["a", "b"], [["not a", "b"], ["a", "b"]], ["a"]),  # one of them came less far
        (["a", "b"], [["not a", "not b"]], ["a"]),
        (["a", "not b"], [["not a"], ["a", "b"]], ["a", "not b"]),
        (["a", "b", "not b"], [["a", "b"], ["not a", "b"]], ["a"]),  # in the turns of a loop
        (["a"], [["b"], ["not b"]], []),
    ],
)
def test_what_rules_out_the_others(failing, right, told):
    assert names(telling.deciding(path(*failing), [path(*each) for each in right], [])) == told


def test_where_paths_were_left_out_nobody_knows_which_of_two_it_takes():
    assert names(telling.deciding(path("a", "b", cut=True), [path("not a", "not b")], [])) == ["a", "b"]


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ([["not a", "b", "c"]], ["a"]),
        ([["not a", "not b", "c"]], []),  # either of them may do it
        ([["not a", "b", "not c"]], ["a"]),  # others fail without c
        ([["a", "b"]], []),  # came less far
        ([["a", "b", "c", "not d"]], []),  # of which nobody knows if it can be
    ],
)
def test_of_paths_beside_which_others_were_left_out_one_condition_has_to_tell(right, told):
    failing, alike = path("a", "b", "c", "d", open_=("d",)), [path("a", "b", "not c", "d")]
    assert names(telling.decided_alone(failing, [path(*each) for each in right], [failing, *alike])) == told


def met(one, other):
    """The ways of a path in which two met, the conditions as (test, whether it holds)."""
    states = []
    for conditions, ways in (one, other):
        state = State("script")
        state.conditions, state.ways = tuple(conditions), tuple(ways)
        states.append(state)
    return [[(test, held) for test, held, _ in way] for way in _joined_ways(*states)]


def test_where_both_sides_of_a_branch_lead_to_one_path_it_is_not_told():
    a, b, not_b = ("a", True, False), ("b", True, False), ("b", False, False)
    assert met(([a, b], []), ([a, not_b], [])) == []
    assert met(([a], []), ([b], [])) == [[("a", True)], [("b", True)]]
    assert met(([], [[a], [b]]), ([not_b], [])) == []  # with `b` or without it


def test_of_many_ways_or_long_ones_none_are_kept():
    """What there is to compare stays bounded, however many branches meet."""
    many = [[(str(n), True, False)] for n in range(MOST_WAYS)]
    assert met(([], many), ([("a", True, False)], [])) == []
    assert met(([], many[1:]), ([("a", True, False)], [])) != []
    long = [(str(n), True, False) for n in range(MOST_CONDITIONS + 1)]
    assert met((long, []), ([("a", True, False)], [])) == []
    assert met((long[1:], []), ([("a", True, False)], [])) != []
