"""How large a map comes out of the parts of a model, for the size that goes in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headcheck.catalog.entry import MapRule, Shape
from headcheck.tracing.observe import Observation

#: Beside the sizes of small pictures, so many from the one that a model expects on: all remainders of what divides it.
_MORE = 33
_SMALL = (32, 48, 64, 65, 96, 127)
#: Every model of torchvision halves a map at most so often: 2 ** 6.
_STRIDES = tuple(2**power for power in range(7))
_FEWEST = 6


@dataclass(frozen=True)
class _Pair:
    taken: int
    given: int


def rules(seen: Iterable[Observation], paths: Iterable[str]) -> dict[str, MapRule]:
    """Return for each part that makes a square map of a square map its rule (see `catalog.entry.map_size`).

    `seen` are passes over pictures of several sizes. A part is left out that follows no rule, or was seen too seldom.
    """
    pairs: dict[str, list[_Pair]] = {path: [] for path in paths}
    for one in seen:
        for path, found in pairs.items():
            before, after = _side(one.inputs.get(path)), _side(one.outputs.get(path))
            if before is not None and after is not None:
                found.append(_Pair(before, after))
    each = {path: _rule(found) for path, found in pairs.items()}
    return {path: rule for path, rule in each.items() if rule is not None}


def _side(shape: Shape | None) -> int | None:
    """How high and wide a square map or picture is."""
    return shape[1] if shape is not None and len(shape) == 3 and shape[1] == shape[2] else None


def _rule(pairs: list[_Pair]) -> MapRule | None:
    """The smallest stride by which all pairs can be had, with the one number that goes with it."""
    if len({pair.taken for pair in pairs}) < _FEWEST or len({pair.given for pair in pairs}) == 1:
        return None
    for stride in _STRIDES:
        least = max(pair.given * stride - pair.taken for pair in pairs)
        most = min(pair.given * stride - pair.taken for pair in pairs) + stride - 1
        if least == most:
            return least, stride
    return None


def sizes(expected: int) -> list[int]:
    """The sizes of the pictures that a model is shown."""
    return [*_SMALL, *range(expected, expected + _MORE)]


def is_picture(shapes: Iterable[Shape]) -> bool:
    """Whether a model is called with one square picture."""
    (first, *others) = shapes
    return not others and _side(first) is not None
