"""Products of sizes, some of which are not known: what a map has when it is flattened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod

from headcheck.interpreter.values import Symbol, Value, symbol


def product_of(sizes: tuple[Value, ...]) -> tuple[int, Counter[Value]] | None:
    """A product of sizes: (the known part, the unknown ones)."""
    factors = [factor for size in sizes for factor in factors_of(size)]
    known = prod(size for size in factors if type(size) is int)
    unknown_ones = [size for size in factors if type(size) is not int]
    return (known, Counter(unknown_ones)) if all(type(size) is Symbol for size in unknown_ones) else None


def factors_of(size: Value) -> Iterator[Value]:
    """A size, or the two and more that the script multiplied to get it: ``batch * frames``."""
    if type(size) is Symbol and isinstance(size.key, tuple) and size.key[:2] == ("binary", "Multiply"):
        for factor in size.key[2:]:
            yield from factors_of(factor)
    else:
        yield size


def known_factor(size: Value) -> int:
    """A number that surely divides a size."""
    found = product_of((size,)) if type(size) is Symbol else None
    return found[0] if found is not None else 1


def quotient(whole: tuple[Value, ...], part: tuple[Value, ...]) -> Value:
    """How often a product of sizes goes into another: an int, an unknown (which may be a product), or None."""
    above, below = product_of(whole), product_of(part)
    if above is None or below is None or not below[0]:
        return None
    left = above[1] - below[1]
    if below[1] - above[1] or above[0] % below[0]:
        return None
    return multiplied(above[0] // below[0], list(left.elements()))


def multiplied(known: int, unknown_ones: list[Value]) -> Value:
    """The product of a number and of unknown sizes."""
    factors: list[Value] = [known] if known != 1 or not unknown_ones else []
    first, *others = factors + unknown_ones
    for factor in others:
        first = symbol("binary", "a product of sizes", "Multiply", first, factor)
    return first
