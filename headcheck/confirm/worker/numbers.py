"""Numbers that the script leaves open: a plan has ``{"open": 7}`` where one stands in for what is not known.

What a run shows must not depend on the number that was chosen. So what raises is run again with another one, and only
counts if it then raises the same way. Nor should it depend on the size of the input, which a plan seldom knows.
"""

from __future__ import annotations

import re
from typing import Any

from .state import MAX_INT

#: The other number: what embeddings are divided by, and groups are made of, divides it.
OTHER = 960

#: Errors that name several sizes, and the two of them that disagree.
AT_ODDS = (
    re.compile(r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)"),
    re.compile(r"expected input\[.*?\] to have (\d+) channels, but got (\d+) channels"),
)


def has_open(value: Any) -> bool:
    """Whether some number of a plan is open."""
    if isinstance(value, dict):
        return list(value) == ["open"] or any(has_open(inner) for inner in value.values())
    return isinstance(value, list) and any(has_open(inner) for inner in value)


def filled(value: Any, other: bool = False) -> Any:
    """A plan with numbers where they are open: those it proposes, or others."""
    if isinstance(value, dict):
        if list(value) == ["open"] and type(value["open"]) is int and 0 < value["open"] <= MAX_INT:
            return OTHER if other else value["open"]
        return {key: filled(inner, other) for key, inner in value.items()}
    return [filled(inner, other) for inner in value] if isinstance(value, list) else value


def told(answer: dict[str, Any]) -> Any:
    """What an answer says went wrong, without what may differ from number to number."""
    error = str(answer.get("error"))
    sizes = next((found.groups() for found in (pattern.search(error) for pattern in AT_ODDS) if found), error)
    return answer["status"], answer.get("at"), answer.get("step"), answer.get("line"), sizes


def larger(shapes: Any) -> Any:
    """Pictures of twice the size: all but the first two sizes of each; what is no picture stays as it is."""
    return [resized(shape) if isinstance(shape, list) and len(shape) > 3 else shape for shape in shapes]


def resized(shape: list[int]) -> list[int]:
    """A clip gets half as many pictures: eight times its numbers would take too long."""
    batch, channels, *frames, height, width = shape
    return [batch, channels, *(max(1, count // 2) for count in frames), 2 * height, 2 * width]
