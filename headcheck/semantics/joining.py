"""Several tensors that are joined at one of their sizes, or put beside each other."""

from __future__ import annotations

from typing import Any

from headcheck.interpreter import refusing
from headcheck.interpreter.iterate import each_of, items_of
from headcheck.interpreter.values import Tensor, Value, last_size
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

# What stands for the activations of several tensors, each of which may have gone through others.
JOINED = ("joined",)


@effect("torch.cat", "torch.concat", "torch.concatenate", "torch.hstack")
def concatenate(call: CallSite) -> Value:
    found = items_of(call.machine, call.state, call.argument(0, "tensors"), call.site)
    dim = 1 if call.name.endswith("hstack") else call.argument(1, "dim", call.keywords.get("axis", 0))
    if found is None:
        return one_after_another(call, dim, new=False)
    if not found or type(dim) is not int or not all(type(t) is Tensor and t.shape is not None for t in found):
        return joined_elsewhere(found, dim) or joined_last(call, found, dim)
    ranks = {len(t.shape) for t in found}
    if len(ranks) != 1 or not -min(ranks) <= dim < min(ranks):
        return unknown(call)
    place = dim % min(ranks)
    if any(differ(sizes) for at, sizes in enumerate(zip(*(t.shape for t in found), strict=True)) if at != place):
        refusing.fail(call.state)
        return unknown(call)
    sizes = [t.shape[place] for t in found]
    total = sum(sizes) if all(type(s) is int for s in sizes) else None
    return found[0]._replace(
        shape=(*found[0].shape[:place], total, *found[0].shape[place + 1 :]),
        activations=JOINED,
        maker=mutual(found),
        detached=all(t.detached for t in found),
    )


def differ(sizes: tuple[Value, ...]) -> bool:
    """Whether two of some sizes are known not to be the same."""
    return len({size for size in sizes if type(size) is int}) > 1


def joined_elsewhere(found: tuple[Value, ...], dim: Value) -> Tensor | None:
    """Tensors of some of which nothing is known, joined at another size than the last: all others are the same in all
    of them. ``torch.cat((features.unsqueeze(1), embeddings), 1)``"""
    known = next((t for t in found if type(t) is Tensor and t.shape is not None), None)
    sizes = known.shape if known is not None else None
    if known is None or sizes is None or type(dim) is not int or not 0 <= dim < len(sizes) - 1:
        return None
    shape = (*sizes[:dim], None, *sizes[dim + 1 :])
    return known._replace(shape=shape, activations=JOINED, detached=False, dtype="", labels=None)


def joined_last(call: CallSite, found: tuple[Value, ...] | None, dim: Value) -> Value:
    """Tensors joined at their last size, of some of which no more than that is known: all have as many sizes."""
    if not found or type(dim) is not int or not all(type(t) is Tensor for t in found):
        return unknown(call)
    shapes = [t.shape for t in found if t.shape is not None]
    last = [last_size(t) for t in found]
    at_the_end = dim == -1 or (bool(shapes) and all(dim == len(shape) - 1 for shape in shapes))
    if not at_the_end or not all(type(size) is int for size in last) or len({len(shape) for shape in shapes}) > 1:
        return unknown(call)
    joined = found[0]._replace(activations=JOINED, maker=mutual(found), detached=all(t.detached for t in found))
    if not shapes:
        return joined._replace(features=sum(last))
    return joined._replace(shape=(*shapes[0][:-1], sum(last)), features=None)


def one_after_another(call: CallSite, dim: Value, new: bool) -> Value:
    """Nobody knows how many tensors of one shape, joined at a size that they have or at a `new` one."""
    each = each_of(call.state, call.argument(0, "tensors"))
    if type(each) is not Tensor or each.shape is None or type(dim) is not int:
        return unknown(call)
    rank = len(each.shape) + new
    if not -rank <= dim < rank:
        return unknown(call)
    place = dim % rank
    return each._replace(
        shape=(*each.shape[:place], None, *each.shape[place if new else place + 1 :]), activations=JOINED
    )


def mutual(tensors: tuple[Value, ...]) -> Any:
    """The last module that fixed a size of several joined tensors."""
    return next((t.maker for t in reversed(tensors) if t.maker is not None), None)


@effect("torch.stack")
def stack(call: CallSite) -> Value:
    found = items_of(call.machine, call.state, call.argument(0, "tensors"), call.site)
    dim = call.argument(1, "dim", 0)
    if found is None:
        return one_after_another(call, dim, new=True)
    if not found or type(dim) is not int or not all(type(t) is Tensor and t.shape is not None for t in found):
        return unknown(call)
    shape = found[0].shape
    if any(len(t.shape) != len(shape) or any(map(differ, zip(t.shape, shape, strict=True))) for t in found):
        refusing.fail(call.state)
        return unknown(call)
    place = dim % (len(shape) + 1)
    shape = (*shape[:place], len(found), *shape[place:])
    return found[0]._replace(shape=shape, detached=all(t.detached for t in found))
