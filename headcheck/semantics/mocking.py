"""`unittest.mock`: what it makes stands for something else, and what is put there goes into no model."""

from __future__ import annotations

from headcheck.interpreter.values import Value, symbol
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

# What each patcher takes before the thing that it puts in the place of another.
PATCHERS = {"unittest.mock.patch": 1, "unittest.mock.patch.object": 2}


@effect(
    "unittest.mock.AsyncMock",
    "unittest.mock.MagicMock",
    "unittest.mock.Mock",
    "unittest.mock.NonCallableMagicMock",
    "unittest.mock.NonCallableMock",
    "unittest.mock.create_autospec",
)
def stand_in(call: CallSite) -> Value:
    return symbol("stand-in", f"{call.name.rsplit('.', 1)[-1]}(…)", id(call.site))


@effect(*PATCHERS)
def patch(call: CallSite) -> Value:
    """What puts a stand-in in the place of another thing, unless it is given what to put there: entered it answers the
    stand-in, as a decorator it hands it to the function."""
    if "new" in call.keywords or call.is_open() or len(call.arguments) > PATCHERS[call.name]:
        return unknown(call)
    return symbol("stand-in", "patch(…)", id(call.site))
