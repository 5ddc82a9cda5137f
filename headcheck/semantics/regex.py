"""`re` on the names of parameters: patterns that cannot take long are matched, every other answers an unknown."""

from __future__ import annotations

import re

from headcheck import events
from headcheck.interpreter.values import Found, ParameterName, Pattern, Tuple, Value
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method

# Repeated groups, look-around, references, and backslashes that would hide a repeat from `REPEAT`.
REFUSED = r"\(\?|\\[1-9\\]|\)[*+{]|\}[*+?{]|[*+?}][*+]"
REPEAT = r"(?<!\\)[*+?{]"
MOST_STEPS = 300_000
STEPS_PER_OPERATION = 2_000  # as many steps of a match as interpreting one operation takes


def steps(pattern: str, text: str, anchored: bool) -> int:
    """How many steps matching takes at the worst: each repeat is a loop over the text, each group a choice."""
    places = len(text) + 1
    choices = (pattern.count("|") + 1) ** min(pattern.count("("), 20)
    return int(places ** (min(len(re.findall(REPEAT, pattern)), 20) + (not anchored)) * choices)


def find(call: CallSite, pattern: Value, text: Value) -> Value:
    """The answer of ``re.search`` and its like."""
    how = call.name.rsplit(".", 1)[-1]
    if not isinstance(pattern, str) or not isinstance(text, str) or call.keywords or re.search(REFUSED, pattern):
        return unknown(call)
    cost = steps(pattern, text, how != "search")
    if cost > MOST_STEPS:
        return unknown(call)
    call.machine.budget.spent += cost // STEPS_PER_OPERATION
    try:
        found = getattr(re, how)(str(pattern), str(text))
    except (re.error, OverflowError):
        return unknown(call)
    if type(text) is ParameterName:
        call.state.log(events.NameTested(call.site, text.parameter, "match", str(pattern), found is not None))
    return Found((found[0], *found.groups())) if found is not None else None


@effect("re.match", "re.search", "re.fullmatch")
def match(call: CallSite) -> Value:
    return find(call, *call.arguments) if len(call.arguments) == 2 else unknown(call)


@effect("re.compile")
def compiled(call: CallSite) -> Value:
    pattern = call.argument(0, "pattern")
    return Pattern(str(pattern)) if isinstance(pattern, str) and len(call.arguments) == 1 else unknown(call)


@method(Pattern, "match", "search", "fullmatch")
def match_compiled(call: CallSite) -> Value:
    return find(call, call.receiver.text, call.arguments[0]) if len(call.arguments) == 1 else unknown(call)


@method(Found, "group")
def group(call: CallSite) -> Value:
    asked = call.arguments or (0,)
    groups = call.receiver.groups
    if call.keywords or not all(type(number) is int and 0 <= number < len(groups) for number in asked):
        return unknown(call)
    found = tuple(groups[number] for number in asked)
    return found[0] if len(found) == 1 else Tuple(found)


@method(Found, "groups")
def groups(call: CallSite) -> Value:
    return unknown(call) if call.arguments or call.keywords else Tuple(call.receiver.groups[1:])


@method(Found, "*")
@method(Pattern, "*")
def other_method(call: CallSite) -> Value:
    return unknown(call)
