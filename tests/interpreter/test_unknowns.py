"""An unknown is itself, and what it is made of stays bounded, however long a script goes on."""

from __future__ import annotations

from headcheck.interpreter.values import MAX_WEIGHT, Ref, Tensor, symbol
from tests.reading import UNKNOWN_VALUE, only, variable


def test_an_unknown_is_itself():
    execution = only(
        """
        import sys
        a = sys.argv[1] == sys.argv[1]
        b = sys.argv[1] == sys.argv[2]
        c = int(sys.argv[1]) == int(sys.argv[1])
        """,
        preamble="",
    )
    assert [variable(execution, name) for name in "abc"] == [True, UNKNOWN_VALUE, True]


def test_keys_do_not_grow_without_bound():
    execution = only("x = undefined\n" + "x = x + 1\n" * 300, preamble="")
    assert len(repr(raw_of(execution))) < 5000


def raw_of(execution):
    return execution.state.globals["__main__"]["x"]


def real_weight(value, known):
    """All that a value is made of, each part as often as it is there."""
    if not isinstance(value, tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = 1 + sum(real_weight(part, known) for part in value)
    return known[id(value)]


def test_what_an_unknown_is_made_of_is_bounded():
    image = symbol("parameter", "x", 1, "x")
    for number in range(60):  # each turn a residual block: the picture twice, with the sizes of the one before
        sizes = tuple(symbol("size", f"x.size({place})", image, place) for place in range(4))
        answer = symbol("output", "output", Ref((number, 0)), Tensor(sizes))
        image = symbol(
            "binary", "output + x", "Add", answer, symbol("output", "output", Ref((number, 1)), Tensor(sizes))
        )
        assert real_weight(image, {}) < 20 * MAX_WEIGHT
