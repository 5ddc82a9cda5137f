"""What depends on a count: the same model built with two different counts, compared number by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headcheck.tracing.build import TracingError
from headcheck.tracing.tree import Scaled, Tree, Value

#: Two counts that no library model uses as another size by chance, both of at least 10.
COUNTS = (1009, 2003)


def scale(base: Tree, build: Callable[[int], Tree], count: str) -> Tree:
    """Return `base` with every number that follows `count` written as a `Scaled`.

    `build` gives the tree for a value of the count. Each number that differs between two of them must fit a line
    through both, and the number that `base` has must lie on it.

    Raises TracingError where the three trees do not have the same structure.
    """
    return _merge(base, build(COUNTS[0]), build(COUNTS[1]), count, "")


def _merge(base: Tree, first: Tree, second: Tree, count: str, path: str) -> Tree:
    if first == second:
        return base
    trees = (base, first, second)
    for field in ("values", "parameters", "children"):
        if len({tuple(name for name, _ in getattr(tree, field)) for tree in trees}) != 1:
            raise TracingError(f"the {field} of {path or 'the model'} depend on {count}")
    if len({(tree.kind, tree.attributes) for tree in trees}) != 1:
        raise TracingError(f"the class of {path or 'the model'} depends on {count}")
    return Tree(
        kind=base.kind,
        values=tuple(
            (name, _fit(value, one, two, count, path))
            for (name, value), (_, one), (_, two) in zip(base.values, first.values, second.values, strict=True)
        ),
        parameters=tuple(
            (name, tuple(_fit(*sizes, count, path) for sizes in zip(value, one, two, strict=True)))  # type: ignore[misc]
            for (name, value), (_, one), (_, two) in zip(
                base.parameters, first.parameters, second.parameters, strict=True
            )
        ),
        attributes=base.attributes,
        children=tuple(
            (name, _merge(child, one, two, count, f"{path}.{name}" if path else name))
            for (name, child), (_, one), (_, two) in zip(base.children, first.children, second.children, strict=True)
        ),
    )


def _fit(base: Value, first: Value, second: Value, count: str, path: str) -> Value:
    if first == second:
        return base
    if not (type(first) is type(second) is int):
        raise TracingError(f"a value of {path or 'the model'} depends on {count} but is no whole number")
    factor, remainder = divmod(second - first, COUNTS[1] - COUNTS[0])
    scaled = Scaled(count, factor, first - factor * COUNTS[0])
    if remainder or type(base) is not int or (base - scaled.offset) % factor:
        raise TracingError(f"a value of {path or 'the model'} does not follow {count} in a straight line")
    return scaled


def owners(tree: Tree, path: str = "") -> Iterator[str]:
    """Yield the paths of the modules that own a parameter whose shape follows a count."""
    if any(isinstance(size, Scaled) for _, shape in tree.parameters for size in shape):
        yield path
    for name, child in tree.children:
        yield from owners(child, f"{path}.{name}" if path else name)


def default_of(base: Tree, scaled: Tree, count: str) -> int | None:
    """Return the value of `count` that `base` was built with, or None where nothing follows it.

    Raises TracingError where its numbers disagree on that.
    """
    found = set(_defaults(base, scaled, count))
    if len(found) > 1:
        raise TracingError(f"the model has several values for {count}: {sorted(found)}")
    return found.pop() if found else None


def _defaults(base: Tree, scaled: Tree, count: str) -> Iterator[int]:
    pairs = [(a, b) for (_, a), (_, b) in zip(base.values, scaled.values, strict=True)]
    for (_, shape), (_, symbols) in zip(base.parameters, scaled.parameters, strict=True):
        pairs += zip(shape, symbols, strict=True)
    for number, symbol in pairs:
        if isinstance(symbol, Scaled) and symbol.count == count:
            assert isinstance(number, int)
            yield (number - symbol.offset) // symbol.factor
    for (_, child), (_, other) in zip(base.children, scaled.children, strict=True):
        if child is not other:
            yield from _defaults(child, other, count)
