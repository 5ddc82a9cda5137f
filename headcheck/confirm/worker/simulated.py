"""Devices that are not there: every tensor is on meta, which holds no numbers, and says where it would be.

A tensor without a word of its own is on the CPU. Each call of torch is looked at: tensors that would be on two devices
are refused as PyTorch refuses them, and what comes out is where the arguments are.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from . import norms

CPU, ACCELERATOR = "cpu", "cuda:0"
PLACE = "_headcheck_place"
#: Calls that read or write a tensor wherever the others are.
FREE = frozenset(
    "__get__ __getitem__ __hash__ __len__ __repr__ __set__ __setitem__ backward copy_ dim is_complex is_floating_point"
    " numel register_hook requires_grad_ size stride".split()
)
FACTORIES = frozenset("arange empty full linspace ones rand randint randn tensor zeros".split())
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
SAME_DTYPE = frozenset([*CONVOLUTIONS, *TRANSPOSED, "linear", "matmul", "mm"])

# What PyTorch's errors call a dtype.
SCALARS = {
    "torch.float16": "Half", "torch.bfloat16": "BFloat16", "torch.float32": "Float", "torch.float64": "Double",
}  # fmt: skip

NAMES = {
    "torch.float16": "c10::Half", "torch.bfloat16": "c10::BFloat16", "torch.float32": "float",
    "torch.float64": "double",
}  # fmt: skip


def place(tensor: Any) -> str:
    """Where a tensor would be."""
    return str(getattr(tensor, PLACE, CPU))


def put(tensor: Any, where: str) -> Any:
    """Say where a tensor would be; gives the tensor. One that nothing is said of is on the CPU."""
    if where != place(tensor):
        setattr(tensor, PLACE, where)
    return tensor


def move(module: Any, where: str) -> None:
    """Move a module's parameters and buffers, which stay the same objects."""
    for tensor in (*module.parameters(), *module.buffers()):
        put(tensor, where)


def convert(module: Any, dtype: Any) -> None:
    """Give a module another dtype; its buffers become new tensors, which are where the old ones were."""
    places = {name: place(buffer) for name, buffer in module.named_buffers()}
    module.to(dtype)
    for name, buffer in module.named_buffers():
        put(buffer, places[name])


BUILDING = [False]  # whether what runs makes its tensors for real


@contextlib.contextmanager
def real(torch: Any) -> Iterator[None]:
    """Within this, tensors are what they are without simulated devices: building may read numbers back."""
    BUILDING.append(True)
    try:
        with torch.device("cpu"):
            yield
    finally:
        BUILDING.pop()


READING = [False]  # whether numbers may be made beside what is on meta


@contextlib.contextmanager
def reading(torch: Any) -> Iterator[None]:
    """Within this, tensors are made for real unless they are asked for on meta, and may be given beside those."""
    READING.append(True)
    try:
        with torch.device("cpu"):
            yield
    finally:
        READING.pop()


MIXING = [False]  # whether autocast brings numbers of several dtypes together


@contextlib.contextmanager
def mixing() -> Iterator[None]:
    """Within this, dtypes may be mixed, as under autocast."""
    MIXING.append(True)
    try:
        yield
    finally:
        MIXING.pop()


@contextlib.contextmanager
def devices(torch: Any) -> Iterator[None]:
    """Within this, tensors are made on meta, and where they would be is looked at in each call."""
    from torch.overrides import TorchFunctionMode

    device_of = torch.Tensor.device.__get__

    class Places(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if BUILDING[-1]:
                return function(*args, **kwargs)
            name = getattr(function, "__name__", "")
            if READING[-1]:
                return beside_numbers(torch, function, name, args, kwargs)
            if function in (torch.Tensor.to, torch.Tensor.cuda, torch.Tensor.cpu):
                return moved(torch, name, args[0], args[1:], kwargs)
            if function == device_of and isinstance(args[0], torch.Tensor):
                return torch.device(place(args[0]))
            if name in FACTORIES or kwargs.get("device") is not None:
                wanted = kwargs.pop("device", None)
                return stamped(torch, function(*args, **kwargs, device="meta"), named(torch, wanted), ())
            return computed(torch, function, name, args, kwargs, list(tensors_in(torch, (args, kwargs))))

    with torch.device("meta"), Places():
        yield


def computed(torch: Any, function: Any, name: str, args: Any, kwargs: Any, given: list[Any]) -> Any:
    """What a call of torch answers to the tensors that it is given, unless PyTorch would refuse them."""
    if name not in FREE:
        refuse(name, given)
    if name in CONVOLUTIONS or name in TRANSPOSED:
        refuse_channels(torch, name in TRANSPOSED, args, kwargs)
    if MIXING[-1] and name in SAME_DTYPE:
        args = alike(torch, args)
    if function is torch.nn.functional.batch_norm:
        answer = norms.batch_norm(torch, function, args, kwargs)
    else:
        answer = function(*args, **kwargs)
    if given and name not in ("__get__", "__set__"):
        first = next((tensor for tensor in given if tensor.dim() > 0), given[0])
        stamped(torch, answer, place(first), given)
    return answer


def beside_numbers(torch: Any, function: Any, name: str, args: Any, kwargs: Any) -> Any:
    """What a call answers where there are numbers, too: only tensors on meta have a place that is simulated."""
    given = [tensor for tensor in tensors_in(torch, (args, kwargs)) if torch.Tensor.is_meta.__get__(tensor)]
    if not given or name in FREE or name in FACTORIES:
        return function(*args, **kwargs)
    return computed(torch, function, name, args, kwargs, given)


def named(torch: Any, device: Any) -> str:
    """The place of a device by name; meta itself is what the script's default device is here."""
    kind = torch.device(device).type if device is not None else CPU
    return CPU if kind in ("cpu", "meta") else ACCELERATOR


def moved(torch: Any, how: str, tensor: Any, arguments: Any, kwargs: Any) -> Any:
    """What ``tensor.to(…)``, ``cuda()`` or ``cpu()`` answers."""
    where, dtype = (CPU if how == "cpu" else ACCELERATOR), None
    if how == "to":
        if arguments and isinstance(arguments[0], torch.Tensor):
            where, dtype = place(arguments[0]), arguments[0].dtype
        else:
            known = {key: kwargs[key] for key in ("device", "dtype") if key in kwargs}
            device, dtype, *_ = torch._C._nn._parse_to(*arguments, **known)
            where = named(torch, device) if device is not None else place(tensor)
    changed = torch.Tensor.type(tensor, dtype) if dtype not in (None, tensor.dtype) else tensor
    if changed is tensor and where == place(tensor):
        return tensor
    return put(changed.clone() if changed is tensor else changed, where)


def refuse(name: str, given: list[Any]) -> None:
    """Raise what PyTorch raises for tensors on two devices, or of two dtypes, in one call."""
    places = {place(tensor) for tensor in given if tensor.dim() > 0} or {place(tensor) for tensor in given}
    if len(places) > 1:
        both = " and ".join(sorted(places, reverse=True))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {both}!")
    dtypes = [tensor.dtype for tensor in given[:2] if tensor.is_floating_point()]
    if name in SAME_DTYPE and len(set(dtypes)) > 1 and not MIXING[-1]:
        raise RuntimeError(apart(name, given))
    if name == "linear" and len(given) > 1 and given[0].dim() > 1 and given[0].shape[-1] != given[1].shape[-1]:
        # In the CPU's words: those of meta have no sizes in older versions.
        rows, (outputs, inputs) = given[0].numel() // given[0].shape[-1], given[1].shape
        shapes = f"({rows}x{given[0].shape[-1]} and {inputs}x{outputs})"
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied {shapes}")


def apart(name: str, given: list[Any]) -> str:
    """The CPU's words for numbers of two dtypes in one call."""
    first, second = (str(tensor.dtype) for tensor in given[:2])
    bias = str(given[2].dtype) if len(given) > 2 else ""
    if name in CONVOLUTIONS + TRANSPOSED and bias not in ("", first):
        return f"Input type ({NAMES.get(first, first)}) and bias type ({NAMES.get(bias, bias)}) should be the same"
    if name == "linear" and bias:
        return f"mat1 and mat2 must have the same dtype, but got {SCALARS.get(first)} and {SCALARS.get(second)}"
    if name in CONVOLUTIONS + TRANSPOSED or given[0].dim() > 2:
        return f"expected scalar type {SCALARS.get(first)} but found {SCALARS.get(second)}"
    return f"expected m1 and m2 to have the same dtype, but got: {NAMES.get(first)} != {NAMES.get(second)}"


def refuse_channels(torch: Any, transposed: bool, args: Any, kwargs: Any) -> None:
    """Raise what PyTorch raises on the CPU for a picture of other channels than a convolution takes; on meta it says no
    sizes, and nothing where the convolution is transposed."""
    given, weight = [*args, *(kwargs[name] for name in ("input", "weight") if name in kwargs)][:2]
    groups = args[6] if len(args) > 6 else kwargs.get("groups", 1)
    if not isinstance(given, torch.Tensor) or not isinstance(weight, torch.Tensor):
        return
    shape = list(given.shape) if given.dim() == weight.dim() else [1, *given.shape]
    takes = weight.shape[0] if transposed else weight.shape[1] * groups
    how = f"transposed={groups}" if transposed else f"groups={groups}"
    if len(shape) == weight.dim() and shape[1] != takes:
        raise RuntimeError(
            f"Given {how}, weight of size {list(weight.shape)}, expected input{shape} to have {takes} "
            f"channels, but got {shape[1]} channels instead"
        )


def alike(torch: Any, arguments: Any) -> Any:
    """Arguments of a call whose floating tensors are all float32."""
    return tuple(
        put(torch.Tensor.type(value, torch.float32), place(value))
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float32
        else value
        for value in arguments
    )


def tensors_in(torch: Any, value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors_in(torch, inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from tensors_in(torch, inner)


def stamped(torch: Any, answer: Any, where: str, given: Any) -> Any:
    """Say where the tensors of an answer would be, those that were given left out."""
    for tensor in tensors_in(torch, answer):
        if not any(tensor is one for one in given):
            put(tensor, where)
    return answer


def _matrices(found: Any) -> str:
    a, b, c, d = found.groups()
    return f"mat1 and mat2 shapes cannot be multiplied ({a}x{b} and {c}x{d})"


def _broadcast(found: Any) -> str:
    length, place, other, expected = found.groups()
    sizes = [[int(size) for size in re.findall(r"\d+", shape)] for shape in (expected, other)]
    rank, last = max(map(len, sizes)), int(place)
    if last >= 0 or any(len(shape) < -last for shape in sizes):
        return str(found.group())
    return (
        f"The size of tensor a ({sizes[0][last]}) must match the size of tensor b ({length}) at non-singleton "
        f"dimension {rank + last}"
    )


def _normalised(found: Any) -> str:
    sizes, given = found.groups()
    return f"normalized_shape=[{sizes}], expected input with shape [*, {sizes}], but got input of size[{given}]"


#: Errors that meta words otherwise than the CPU does, and the CPU's words.
WORDINGS = (
    (
        re.compile(
            r"normalized_shape=\[([\d, ]+)\], expected input with shape \[[\d, ]+\], but got input of size "
            r"torch\.Size\(\[([\d, ]+)\]\)"
        ),
        _normalised,
    ),
    (re.compile(r"a and b must have same reduction dim, but got \[(\d+), (\d+)\] X \[(\d+), (\d+)\]\.?"), _matrices),
    (
        re.compile(
            r"Attempting to broadcast a dimension of length (\d+) at (-?\d+)! Mismatching argument at index 1 had "
            r"torch.Size\((\[[\d, ]*\])\); but expected shape should be broadcastable to (\[[\d, ]*\])"
        ),
        _broadcast,
    ),
)


def as_on_cpu(text: str) -> str:
    """An error of meta in the words of the CPU."""
    for pattern, words in WORDINGS:
        text = pattern.sub(words, text)
    return text
