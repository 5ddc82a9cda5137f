"""Tensors: what their methods and the functions of `torch` and `torch.nn.functional` do to shapes.

A function and the method of the same name are one entry here: `Use` has the tensor apart from the other arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from headcheck import events
from headcheck.interpreter import refusing
from headcheck.interpreter.heap import Sequence
from headcheck.interpreter.products import quotient
from headcheck.interpreter.values import (
    Address,
    Method,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_plain,
    size_of,
    symbol,
)
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple
from headcheck.semantics import devices, layers
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method


class Use(NamedTuple):
    """A function of tensors in use: what it is given beside the tensor."""

    call: CallSite
    tensor: Value
    arguments: tuple[Value, ...]
    keywords: Mapping[str, Value]

    def argument(self, position: int, *names: str, default: Value = UNKNOWN) -> Value:
        if position < len(self.arguments):
            return self.arguments[position]
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return UNKNOWN if "**" in self.keywords else default

    def shape(self) -> tuple[Value, ...] | None:
        return self.tensor.shape if type(self.tensor) is Tensor else None

    def items(self, value: Value) -> tuple[Value, ...] | None:
        """The items of a tuple or list of sizes or dimensions; a number alone is one."""
        if type(value) is int:
            return (value,)
        if type(value) is Tuple:
            return value.items
        thing = self.call.state.object(value)
        return thing.items if type(thing) is Sequence else None

    def unknown(self) -> Value:
        return unknown(self.call)


Rule = Callable[[Use], Value]
RULES: dict[str, Rule] = {}


def function_of(call: CallSite) -> Value:
    """``torch.flatten(x, 1)``: the tensor is the first argument."""
    tensor = call.argument(0, "input", call.keywords.get("x", UNKNOWN))
    if type(tensor) is Symbol and call.name.rsplit(".", 1)[-1] in TELLING:
        tensor = Tensor(None)
    if type(tensor) is not Tensor:
        return unknown(call)
    rest = {name: value for name, value in call.keywords.items() if name != "input"}
    short = call._replace(name=call.name.rsplit(".", 1)[-1])
    return RULES[short.name](Use(short, tensor, call.arguments[1:], rest))


# What these did is worth knowing, whatever they were done to.
TELLING = frozenset({"softmax", "log_softmax", "sigmoid"})
METHODS_ONLY = frozenset({
    "to", "cuda", "cpu", "float", "half", "double", "bfloat16", "type", "type_as", "long", "int", "view", "size",
    "dim", "ndimension", "contiguous", "requires_grad_", "retain_grad", "data", "expand_as", "view_as", "reshape_as",
})  # fmt: skip


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register what functions and methods of these names do."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
            if name not in METHODS_ONLY:
                effect(f"torch.{name}", f"torch.nn.functional.{name}")(function_of)
        return function

    return register


effect("torch.special.softmax", "torch.special.log_softmax")(function_of)


# -- the same shape --------------------------------------------------------------------------------------------------


@rule(
    "to", "cuda", "cpu", "contiguous", "clone", "detach", "requires_grad_", "float", "half", "double", "bfloat16",
    "type", "type_as", "dropout", "dropout2d", "alpha_dropout", "feature_dropout", "data", "retain_grad",
)  # fmt: skip
def same(use: Use) -> Value:
    """Neither shape nor order of the numbers changes."""
    tensor = use.tensor
    if use.call.name in ("detach", "requires_grad_") and type(tensor) is Tensor:
        tensor = tensor._replace(detached=use.call.name == "detach")
    return cast(use, tensor) if type(tensor) is Tensor and use.call.name in CASTS else tensor


CASTS = frozenset({"to", "float", "half", "double", "bfloat16", "type", "type_as"})


def cast(use: Use, tensor: Tensor) -> Tensor:
    """A tensor in the kind of numbers that a method makes of its own; labels speak of classes as long as they are whole
    numbers."""
    kind = kind_asked_for(use)
    if kind is None:
        return tensor
    if kind == "float":
        return tensor._replace(dtype="float", labels=None)
    if kind:
        return tensor._replace(dtype=kind)
    activations = (*tensor.activations[-7:], "cast") if tensor.labels is not None else tensor.activations
    return tensor._replace(dtype="" if tensor.dtype == "float" else tensor.dtype, activations=activations)


def kind_asked_for(use: Use) -> str | None:
    """The kind of numbers that ``x.to(…)`` and its like make of a tensor: "" where that is not known, None where they
    stay as they are."""
    name = use.call.name
    if name not in ("to", "type", "type_as"):
        return "float"
    if name == "type":
        return devices.numbers_of(use.argument(0, "dtype", "dst_type"))
    given = [
        *use.arguments,
        *(v for k, v in use.keywords.items() if k not in ("copy", "memory_format", "non_blocking")),
    ]
    asked = [value for value in given if not is_plain(value) and not devices.is_device(value)]
    kinds = {value.dtype if type(value) is Tensor else devices.numbers_of(value) for value in asked}
    return kinds.pop() if len(kinds) == 1 else "" if kinds else None


@rule("long", "int")
def to_long(use: Use) -> Value:
    return use.tensor._replace(dtype="long") if type(use.tensor) is Tensor else use.tensor


@rule(
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "selu", "gelu", "silu", "mish", "hardswish",
    "hardsigmoid", "hardtanh", "tanh", "sigmoid", "sigmoid_", "softmax", "log_softmax", "logsigmoid", "softplus",
    "softsign", "normalize", "exp", "log", "abs", "neg", "sqrt", "square", "clamp", "clamp_", "round", "pow", "sign",
    "layer_norm", "batch_norm", "group_norm", "instance_norm", "local_response_norm", "softmin", "softshrink",
    "hardshrink", "tanhshrink", "threshold", "prelu", "rrelu", "celu", "masked_fill", "cumsum", "erf",
    "sin", "cos", "rsqrt", "reciprocal", "nan_to_num",
)  # fmt: skip
def element_wise(use: Use) -> Value:
    if type(use.tensor) is not Tensor:
        return use.unknown()
    alone = all(is_plain(value) for value in (*use.arguments, *use.keywords.values()))
    name = use.call.name.rsplit(".", 1)[-1].rstrip("_")
    activations = (*use.tensor.activations[-7:], name)
    return use.tensor._replace(activations=activations, detached=use.tensor.detached and alone, labels=None)


@rule("flip", "roll", "fliplr", "flipud", "sort", "cummax", "cummin")
def in_another_order(use: Use) -> Value:
    if type(use.tensor) is not Tensor:
        return use.unknown()
    if use.call.name.rsplit(".", 1)[-1] in ("sort", "cummax", "cummin"):
        return Tuple((use.tensor, use.tensor._replace(dtype="long", activations=())))
    return use.tensor


@rule("zeros_like", "ones_like", "rand_like", "randn_like", "empty_like", "full_like")
def new_like(use: Use) -> Value:
    return Tensor(dims_of(use.tensor), detached=True) if dims_of(use.tensor) is not None else use.unknown()


@rule(
    "add", "sub", "mul", "div", "subtract", "multiply", "divide", "true_divide",
    "maximum", "minimum", "lerp", "fmod", "remainder",
)  # fmt: skip
def arithmetic(use: Use) -> Value:
    other = use.argument(0, "other", "end")
    found = combine(use.tensor, other)
    if found is None and cannot_meet(use.tensor, other, product=False):
        refusing.fail(use.call.state)
    return use.unknown() if found is None else found


# -- another shape ---------------------------------------------------------------------------------------------------


def dims_of(tensor: Value) -> tuple[Value, ...] | None:
    """Every size of a tensor, the unknown ones as symbols with an identity; None if the rank is unknown."""
    if type(tensor) is not Tensor or tensor.shape is None:
        return None
    return tuple(size_of(tensor, index) for index in range(len(tensor.shape)))


def in_another_shape(use: Use, maker: Address | None = None) -> Value:
    """The numbers of a tensor of which not even the rank is known, in another shape."""
    return use.tensor._replace(shape=None, features=None, maker=maker)


@rule("view", "reshape", "unflatten_view")
def view(use: Use) -> Value:
    whole = dims_of(use.tensor)
    given = use.arguments if len(use.arguments) != 1 else use.items(use.arguments[0])
    if "shape" in use.keywords:
        given = use.items(use.keywords["shape"])
    if whole is None or given is None or not given:
        return in_another_shape(use) if whole is None else use.unknown()
    rest = tuple(size for size in given if size != -1 or type(size) is not int)
    if len(given) - len(rest) > 1 or not all(type(size) in (int, Symbol) for size in rest):
        return use.unknown()
    if holds_another_number(whole, rest, len(rest) < len(given)):
        refusing.fail(use.call.state)
        return use.unknown()
    filled = quotient(whole, rest) if len(rest) < len(given) else None
    shape = tuple(filled if type(size) is int and size == -1 else size for size in given)
    return use.tensor._replace(shape=tuple(size if type(size) in (int, Symbol) else None for size in shape))


def holds_another_number(whole: tuple[Value, ...], asked: tuple[Value, ...], open_: bool) -> bool:
    """Whether a tensor surely does not have as many numbers as sizes ask for, all but one of them where that is left
    open."""
    if not all(type(size) is int for size in (*whole, *asked)):
        return False
    held, wanted = prod(whole), prod(asked)
    return held % wanted != 0 if open_ and wanted else held != wanted


@rule("flatten")
def flatten(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    start, end = use.argument(0, "start_dim", default=0), use.argument(1, "end_dim", default=-1)
    if sizes is None or type(start) is not int or type(end) is not int or not sizes:
        return in_another_shape(use) if sizes is None else use.unknown()
    first, last = start % len(sizes), end % len(sizes)
    if first > last:
        return use.unknown()
    merged = quotient(sizes[first : last + 1], ())
    return use.tensor._replace(shape=(*sizes[:first], merged, *sizes[last + 1 :]))


@rule("squeeze", "squeeze_")
def squeeze(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    if sizes is None:
        return in_another_shape(use, use.tensor.maker)
    if not use.arguments and "dim" not in use.keywords:
        if any(type(size) is not int for size in sizes[1:]):
            return use.unknown()
        return use.tensor._replace(shape=tuple(size for size in sizes if size != 1))
    dims = use.items(use.argument(0, "dim"))
    if dims is None or not all(type(d) is int and -len(sizes) <= d < len(sizes) for d in dims):
        return use.unknown()
    chosen = {d % len(sizes) for d in dims}
    if any(type(sizes[d]) is not int for d in chosen):
        return use.unknown()
    return use.tensor._replace(shape=tuple(s for i, s in enumerate(sizes) if i not in chosen or s != 1))


@rule("unsqueeze", "unsqueeze_")
def unsqueeze(use: Use) -> Value:
    sizes, dim = dims_of(use.tensor), use.argument(0, "dim")
    if sizes is None or type(dim) is not int or not -len(sizes) - 1 <= dim <= len(sizes):
        return use.unknown()
    place = dim % (len(sizes) + 1)
    return use.tensor._replace(shape=(*sizes[:place], 1, *sizes[place:]))


@rule("mean", "sum", "amax", "amin", "std", "var", "prod", "logsumexp", "norm", "all", "any")
def reduce(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    name = use.call.name.rsplit(".", 1)[-1]
    given = use.argument(1 if name == "norm" else 0, "dim", "axis", default=None)
    if sizes is None:
        return use.unknown()
    if given is None:
        return Tensor((), use.tensor.maker, use.tensor.source, (*use.tensor.activations[-7:], name))
    dims = use.items(given)
    keep = use.argument(1, "keepdim", default=False)
    if (
        dims is None
        or type(keep) is not bool
        or not all(type(d) is int and -len(sizes) <= d < len(sizes) for d in dims)
    ):
        return use.unknown()
    chosen = {d % len(sizes) for d in dims}
    if keep:
        shape = tuple(1 if i in chosen else s for i, s in enumerate(sizes))
    else:
        shape = tuple(s for i, s in enumerate(sizes) if i not in chosen)
    return use.tensor._replace(shape=shape, activations=(*use.tensor.activations[-7:], name))


@rule("max", "min", "median", "mode")
def reduce_with_places(use: Use) -> Value:
    if not use.arguments and "dim" not in use.keywords:
        return use.unknown()
    if type(use.argument(0, "other")) is Tensor:
        return arithmetic(use)
    values = reduce(use)
    places = values._replace(dtype="long", activations=()) if type(values) is Tensor else UNKNOWN
    return Tuple((values, places)) if type(values) is Tensor else use.unknown()


def named_item(of: Tuple, name: str) -> Value:
    """``x.max(1).values``: of what answers (values, indices)."""
    pair = len(of.items) == 2 and all(type(item) is Tensor for item in of.items) and of.items[1].dtype == "long"
    return of.items[name == "indices"] if pair else Method(of, name)


@rule("argmax", "argmin")
def places(use: Use) -> Value:
    found = reduce(use)
    return Tensor(found.shape, dtype="long") if type(found) is Tensor else found


@rule("permute")
def permute(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    given = use.arguments if len(use.arguments) != 1 else use.items(use.arguments[0])
    if "dims" in use.keywords:
        given = use.items(use.keywords["dims"])
    if sizes is None or given is None or len(given) != len(sizes):
        return use.unknown()
    if not all(type(d) is int and -len(sizes) <= d < len(sizes) for d in given):
        return use.unknown()
    if sorted(d % len(sizes) for d in given) != list(range(len(sizes))):
        return use.unknown()
    return use.tensor._replace(shape=tuple(sizes[d] for d in given))


@rule("transpose", "swapaxes", "swapdims")
def transpose(use: Use) -> Value:
    sizes, one, other = dims_of(use.tensor), use.argument(0, "dim0"), use.argument(1, "dim1")
    if sizes is None or type(one) is not int or type(other) is not int:
        return use.unknown()
    if not all(-len(sizes) <= d < len(sizes) for d in (one, other)):
        return use.unknown()
    changed = list(sizes)
    changed[one], changed[other] = sizes[other], sizes[one]
    return use.tensor._replace(shape=tuple(changed))


@rule("t")
def t(use: Use) -> Value:
    sizes = dims_of(use.tensor)
    return use.unknown() if sizes is None else use.tensor._replace(shape=sizes[::-1])


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
      "adaptive_max_pool2d", "adaptive_max_pool3d")  # fmt: skip
def adaptive_pool(use: Use) -> Value:
    sizes, dimensions = dims_of(use.tensor), int(use.call.name[-2])
    wanted = use.argument(0, "output_size")
    if sizes is None or len(sizes) != dimensions + 2:
        return use.unknown()
    asked = (wanted,) * dimensions if type(wanted) is int else use.items(wanted)
    if asked is None or len(asked) != dimensions:
        return use.unknown()
    new = tuple(a if type(a) is int else s if a is None else None for a, s in zip(asked, sizes[2:], strict=True))
    return use.tensor._replace(shape=(*sizes[:2], *new))


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d")
def pool(use: Use) -> Value:
    sizes, dimensions = dims_of(use.tensor), int(use.call.name[-2])
    kernel = use.argument(0, "kernel_size")
    if sizes is None or len(sizes) != dimensions + 2:
        return use.unknown()
    window = (kernel,) * dimensions if type(kernel) is int else use.items(kernel)
    if window is not None and tuple(window) == sizes[2:]:  # as large as the map itself
        return use.tensor._replace(shape=(*sizes[:2], *(1,) * dimensions))
    average = "avg" in use.call.name
    names = ("kernel_size", "stride", "padding", *(() if average else ("dilation",)), "ceil_mode")
    defaults = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    given = {name: use.argument(i, name, default=defaults.get(name, UNKNOWN)) for i, name in enumerate(names)}
    kind = f"torch.nn.{'Avg' if average else 'Max'}Pool{dimensions}d"
    plain = tuple(s if type(s) is int else None for s in sizes[1:])
    result = layers.infer(kind, lambda name: settled(use, given.get(name)), plain)
    return (
        use.tensor._replace(shape=(sizes[0], *result))
        if isinstance(result, tuple) and len(result) == len(plain) and not isinstance(result, layers.Mismatch)
        else use.unknown()
    )


def settled(use: Use, value: Value) -> Any:
    """A list of the script as the tuple that the layers' formulas take."""
    items = use.items(value) if value is not None and type(value) is not int else None
    return items if items is not None else value


@rule("interpolate", "upsample")
def interpolate(use: Use) -> Value:
    sizes, size = dims_of(use.tensor), use.argument(0, "size", default=None)
    if sizes is None or len(sizes) < 3:
        return use.unknown()
    asked = (size,) * (len(sizes) - 2) if type(size) is int else use.items(size) if size is not None else None
    new = tuple(a if type(a) is int else None for a in asked) if asked is not None else (None,) * (len(sizes) - 2)
    return use.tensor._replace(shape=(*sizes[:2], *new)) if len(new) == len(sizes) - 2 else use.unknown()


@rule("expand_as", "view_as", "reshape_as")
def as_other(use: Use) -> Value:
    other = use.argument(0, "other")
    if type(other) is Tensor and type(use.tensor) is Tensor and other.shape is not None:
        return use.tensor._replace(shape=other.shape)
    return use.unknown()


@rule("topk")
def topk(use: Use) -> Value:
    count, dim = use.argument(0, "k"), use.argument(1, "dim", default=-1)
    sizes = dims_of(use.tensor)
    if type(count) is not int:
        return use.unknown()
    last = type(dim) is int and (dim == -1 or (sizes is not None and dim == len(sizes) - 1))
    if type(use.tensor) is Tensor and (last or (sizes is None and dim == 1)):
        use.call.state.log(events.TopTaken(use.call.site, count, use.tensor))
    if sizes is None or not last:
        return use.unknown()
    values = use.tensor._replace(shape=(*sizes[:-1], count))
    return Tuple((values, values._replace(dtype="long", activations=())))


@rule("size")
def size(use: Use) -> Value:
    if not use.arguments and "dim" not in use.keywords:
        sizes = dims_of(use.tensor)
        return Tuple(sizes) if sizes is not None else symbol("shape", "shape", use.tensor)
    dim = use.argument(0, "dim")
    return size_of(use.tensor, dim) if type(dim) is int else use.unknown()


@rule("dim", "ndimension")
def rank(use: Use) -> Value:
    shape = use.shape()
    return use.unknown() if shape is None else len(shape)


# -- several tensors -------------------------------------------------------------------------------------------------


def combine(one: Value, other: Value) -> Value | None:
    """Arithmetic on a tensor: the shape as broadcasting gives it, None where it is not known."""
    tensor, second = (one, other) if type(one) is Tensor else (other, one)
    changed = tensor._replace(activations=(*tensor.activations[-7:], "arithmetic"), labels=None)
    if isinstance(second, (int, float)):
        return changed
    if type(second) is not Tensor or tensor.shape is None or second.shape is None:
        return None
    changed = changed._replace(detached=tensor.detached and second.detached)
    shape = broadcast(tensor.shape, second.shape)
    if shape and tensor.shape[-1:] != shape[-1:] == second.shape[-1:]:  # as wide as the other one is
        changed = changed._replace(maker=second.maker, source=second.source)
    return None if shape is None else changed._replace(shape=shape)


def multiply(one: Value, other: Value) -> Value | None:
    """``one @ other``, of matrices and stacks of them; None where the shape is not known."""
    if type(one) is not Tensor or type(other) is not Tensor:
        return None
    first, second = dims_of(one), dims_of(other)
    if first is None or second is None or min(len(first), len(second)) < 2:
        return None
    inner = first[-1], second[-2]
    stacks = broadcast(first[:-2], second[:-2])
    if stacks is None or (inner[0] != inner[1] and all(type(size) is int for size in inner)):
        return None
    activations, detached = (*one.activations[-7:], "matmul"), one.detached and other.detached
    source = other.source if other.source is not None else one.source
    return Tensor((*stacks, first[-2], second[-1]), other.maker, source, activations, detached=detached)


def cannot_meet(one: Value, other: Value, product: bool) -> bool:
    """Whether the sizes of two tensors surely disagree, in a matrix product or in other arithmetic."""
    if type(one) is not Tensor or type(other) is not Tensor or one.shape is None or other.shape is None:
        return False
    first, second = one.shape, other.shape
    if product:
        if min(len(first), len(second)) < 2:
            return False
        if all(type(size) is int for size in (first[-1], second[-2])) and first[-1] != second[-2]:
            return True
        first, second = first[:-2], second[:-2]
    pairs = zip(reversed(first), reversed(second), strict=False)
    return any(type(a) is int and type(b) is int and a != b and 1 not in (a, b) for a, b in pairs)


@rule("matmul", "bmm", "mm")
def product_with(use: Use) -> Value:
    other = use.argument(0, "other", "mat2")
    found = multiply(use.tensor, other)
    if found is None and cannot_meet(use.tensor, other, product=True):
        refusing.fail(use.call.state)
    return use.unknown() if found is None else found


@effect("torch.where")
def where(call: CallSite) -> Value:
    one, other = call.argument(1, "input"), call.argument(2, "other")
    found = combine(one, other) if Tensor in (type(one), type(other)) else None
    return unknown(call) if found is None else found


def broadcast(one: tuple[Value, ...], other: tuple[Value, ...]) -> tuple[Value, ...] | None:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    padded = (*(1,) * (len(longer) - len(shorter)), *shorter)
    sizes: list[Value] = []
    for first, second in zip(longer, padded, strict=True):
        if first == second or second == 1:
            sizes.append(first)
        elif first == 1:
            sizes.append(second)
        elif type(first) is int and type(second) is int:
            return None
        else:
            sizes.append(first if type(first) is int else second if type(second) is int else None)
    return tuple(sizes)


# -- where they are looked up ----------------------------------------------------------------------------------------


@method(Tensor, "*")
def tensor_method(call: CallSite) -> Value:
    function = RULES.get(call.name)
    return unknown(call) if function is None else function(Use(call, call.receiver, call.arguments, call.keywords))


def attribute_of(tensor: Tensor, name: str) -> Value | None:
    """An attribute of a tensor that is no method; None for everything else."""
    if name == "shape":
        sizes = dims_of(tensor)
        return Tuple(sizes) if sizes is not None else symbol("shape", "shape", tensor)
    if name in ("data", "real"):
        return tensor
    if name == "T":
        sizes = dims_of(tensor)
        return tensor._replace(shape=sizes[::-1]) if sizes is not None else UNKNOWN
    if name == "ndim":
        return UNKNOWN if tensor.shape is None else len(tensor.shape)
    if name in ("device", "dtype", "grad", "grad_fn", "requires_grad", "is_cuda", "layout", "names"):
        return symbol("attribute", f"tensor.{name}", tensor, name)
    return None
