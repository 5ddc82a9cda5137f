"""Tensors that are repeated, padded, taken apart, or have their dimensions moved."""

from __future__ import annotations

from headcheck.interpreter.values import Symbol, Tensor, Tuple, Value
from headcheck.semantics.tensors import Use, dims_of, rule

MOST_PARTS = 64


def place_of(use: Use, dim: Value) -> int | None:
    """A dimension counted from the first one; None if it is not known, or there is no such."""
    sizes = dims_of(use.tensor)
    return dim % len(sizes) if sizes and type(dim) is int and -len(sizes) <= dim < len(sizes) else None


def with_size(use: Use, place: int, *size: Value) -> Tensor:
    """The tensor with another size at a dimension, or without that."""
    sizes = dims_of(use.tensor)
    assert sizes is not None
    changed: Tensor = use.tensor._replace(shape=(*sizes[:place], *size, *sizes[place + 1 :]), labels=None)
    return changed


@rule("chunk", "split", "tensor_split")
def parts_of(use: Use) -> Value:
    """The parts of a tensor, where all are as large as the others."""
    sizes, place = dims_of(use.tensor), place_of(use, use.argument(1, "dim", default=0))
    name = use.call.name.rsplit(".", 1)[-1]
    count = use.argument(0, "split_size_or_sections" if name == "split" else "chunks", "split_size", "sections")
    if sizes is None or place is None:
        return use.unknown()
    whole = sizes[place]
    if type(count) is not int or type(whole) is not int or count < 1 or whole % count:
        return use.unknown()
    size, times = (count, whole // count) if name == "split" else (whole // count, count)
    if times > MOST_PARTS:
        return use.unknown()
    return Tuple((with_size(use, place, size),) * times)


@rule("unbind")
def unbind(use: Use) -> Value:
    sizes, place = dims_of(use.tensor), place_of(use, use.argument(0, "dim", default=0))
    if sizes is None or place is None:
        return use.unknown()
    count = sizes[place]
    if type(count) is not int or count > MOST_PARTS:
        return use.unknown()
    return Tuple((with_size(use, place),) * count)


@rule("select")
def select(use: Use) -> Value:
    place = place_of(use, use.argument(0, "dim"))
    return use.unknown() if place is None else with_size(use, place)


@rule("narrow")
def narrow(use: Use) -> Value:
    place, length = place_of(use, use.argument(0, "dim")), use.argument(2, "length")
    return use.unknown() if place is None or type(length) not in (int, Symbol) else with_size(use, place, length)


@rule("movedim", "moveaxis")
def move(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    source, target = place_of(use, use.argument(0, "source")), place_of(use, use.argument(1, "destination"))
    if sizes is None or source is None or target is None:
        return use.unknown()
    rest = [size for place, size in enumerate(sizes) if place != source]
    return use.tensor._replace(shape=(*rest[:target], sizes[source], *rest[target:]))


def sizes_given(use: Use, name: str) -> tuple[Value, ...] | None:
    """Numbers as a method takes them, one by one or all in one list."""
    given = use.arguments if len(use.arguments) != 1 else use.items(use.arguments[0])
    return use.items(use.keywords[name]) if name in use.keywords else given


@rule("repeat", "tile")
def repeat(use: Use) -> Value:
    sizes, times = dims_of(use.tensor), sizes_given(use, "dims" if use.call.name.endswith("tile") else "repeats")
    if sizes is None or not times or (len(times) < len(sizes) and not use.call.name.endswith("tile")):
        return use.unknown()
    rank = max(len(sizes), len(times))
    padded, factors = (1,) * (rank - len(sizes)) + sizes, (1,) * (rank - len(times)) + times
    pairs = zip(padded, factors, strict=True)
    shape = tuple(
        size if factor == 1 else factor if size == 1 else size * factor if type(size) is type(factor) is int else None
        for size, factor in pairs
    )
    return use.tensor._replace(shape=shape, labels=None)


@rule("repeat_interleave")
def interleave(use: Use) -> Value:
    sizes, times, place = dims_of(use.tensor), use.argument(0, "repeats"), place_of(use, use.argument(1, "dim"))
    if sizes is None or type(times) is not int or place is None:
        return use.unknown()
    size = sizes[place]
    return with_size(use, place, size * times if type(size) is int else None)


@rule("expand")
def expand(use: Use) -> Value:
    sizes, wanted = dims_of(use.tensor), sizes_given(use, "size")
    if sizes is None or not wanted or len(wanted) < len(sizes):
        return use.unknown()
    padded = (None,) * (len(wanted) - len(sizes)) + sizes
    shape = tuple(
        size if type(new) is int and new == -1 else new if type(new) in (int, Symbol) else None
        for size, new in zip(padded, wanted, strict=True)
    )
    return use.tensor._replace(shape=shape)


@rule("pad")
def pad(use: Use) -> Value:
    sizes, given = dims_of(use.tensor), use.items(use.argument(0, "pad"))
    if sizes is None or given is None or len(given) % 2 or len(given) > 2 * len(sizes):
        return use.unknown()
    shape = list(sizes)
    for count in range(len(given) // 2):
        size, before, after = shape[-1 - count], given[2 * count], given[2 * count + 1]
        known = type(size) is type(before) is type(after) is int
        shape[-1 - count] = size + before + after if known else size if before == after == 0 else None
    return use.tensor._replace(shape=tuple(shape), labels=None)


@rule("glu")
def glu(use: Use) -> Value:
    sizes, place = dims_of(use.tensor), place_of(use, use.argument(0, "dim", default=-1))
    if sizes is None or place is None:
        return use.unknown()
    size = sizes[place]
    if type(size) is int and size % 2:
        return use.unknown()
    return with_size(use, place, size // 2 if type(size) is int else None)
