"""New tensors: ``torch.rand(2, 3, 64, 64)``; ``torch.tensor([0, 2])`` also says how many classes there are at least."""

from __future__ import annotations

from headcheck.interpreter.heap import Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import Symbol, Tensor, Value
from headcheck.ir import UNKNOWN
from headcheck.semantics.devices import numbers_of
from headcheck.semantics.gradients import forced, is_loss
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method


@effect("torch.rand", "torch.randn", "torch.zeros", "torch.ones", "torch.empty", "torch.full")
def made(call: CallSite) -> Value:
    given = call.arguments[:1] if call.name.endswith("full") else call.arguments
    if len(given) == 1 and type(given[0]) is not int:
        items = items_of(call.machine, call.state, given[0], call.site)
        given = items if items is not None else (UNKNOWN,)
    if "size" in call.keywords:
        given = items_of(call.machine, call.state, call.keywords["size"], call.site) or (UNKNOWN,)
    if not given or not all(type(size) in (int, Symbol) for size in given):
        return unknown(call)
    kind = DTYPES.get(type(call.argument(1, "fill_value")), "") if call.name.endswith("full") else "float"
    return Tensor(tuple(given), dtype=dtype_of(call, kind))


DTYPES: dict[type, str] = {int: "long", float: "float"}  # of numbers that a tensor is filled with
LONGEST = 400


@effect("torch.linspace")
def numbers_between(call: CallSite) -> Value:
    """Numbers that are taken out one by one: ``[x.item() for x in torch.linspace(0, rate, sum(depths))]``."""
    first, last, count = call.argument(0, "start"), call.argument(1, "end"), call.argument(2, "steps")
    plain = isinstance(first, (int, float)) and isinstance(last, (int, float))
    if not plain or type(count) is not int or not 0 < count <= LONGEST:
        return unknown(call)
    numbers = (first + (last - first) * step / max(count - 1, 1) for step in range(count))
    return call.state.allocate(Sequence(tuple(map(float, numbers)), "tensor"), call.site)


@method(Sequence, "tolist")
def as_list(call: CallSite) -> Value:
    return call.state.allocate(call.state.object(call.receiver)._replace(kind="list"), call.site)


@method(float, "item")
def as_number(call: CallSite) -> Value:
    return call.receiver


@effect("torch.randint")
def random_integers(call: CallSite) -> Value:
    bounds = [a for a in call.arguments if type(a) is int]
    shape = call.keywords.get("size", call.arguments[-1] if call.arguments else UNKNOWN)
    sizes = items_of(call.machine, call.state, shape, call.site)
    if sizes is None or not all(type(size) in (int, Symbol) for size in sizes):
        return unknown(call)
    high = bounds[1] if len(bounds) > 1 else bounds[0] if bounds else call.keywords.get("high")
    labels = (high, False) if type(high) is int else None
    return Tensor(tuple(sizes), dtype=dtype_of(call, "long"), labels=labels)


@effect("torch.tensor", "torch.as_tensor", "torch.LongTensor", "torch.FloatTensor", "torch.Tensor")
def from_data(call: CallSite) -> Value:
    data = call.argument(0, "data")
    if call.keywords.get("requires_grad") is True and is_loss(call.state, data):
        return forced(call, data)
    if isinstance(data, (bool, int, float)) and call.name in ("torch.tensor", "torch.as_tensor"):
        return Tensor((), dtype=dtype_of(call, "float" if isinstance(data, float) else "long"))
    rows = items_of(call.machine, call.state, data, call.site) if not isinstance(data, (int, float, str)) else None
    if not rows:
        return unknown(call)
    dtype = {"torch.LongTensor": "long", "torch.FloatTensor": "float", "torch.Tensor": "float"}.get(call.name, "")
    if all(isinstance(row, (bool, int, float)) for row in rows):
        whole = all(isinstance(row, int) for row in rows)
        dtype = dtype or dtype_of(call, "long" if whole else "float")
        labels = (max(rows) + 1, False) if whole and dtype == "long" and min(rows) >= 0 else None
        return Tensor((len(rows),), dtype=dtype, labels=labels)
    inner = [items_of(call.machine, call.state, row, call.site) for row in rows]
    lengths = {len(row) if row is not None else -1 for row in inner}
    if len(lengths) != 1 or -1 in lengths or not all(isinstance(x, (int, float)) for row in inner for x in row or ()):
        return unknown(call)
    fraction = any(isinstance(x, float) for row in inner for x in row or ())
    return Tensor((len(rows), lengths.pop()), dtype=dtype or dtype_of(call, "float" if fraction else "long"))


def dtype_of(call: CallSite, default: str) -> str:
    given = call.keywords.get("dtype")
    if given is None:
        return default if "dtype" not in call.keywords else ""
    return numbers_of(given)
