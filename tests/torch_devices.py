"""An accelerator that is not there: devices are tags on meta tensors, so that any PyTorch shows a device mismatch.

Inside `simulated()` every tensor is made on meta, carries the name of the device where the script wants it, and every
function checks that its tensors agree, as CUDA's do; numbers are never computed. `backward` works. The built-in
FakeTensor cannot do this on a CPU-only wheel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

CPU = "cpu"
# Functions that take tensors of two devices, or only look at one.
FREE = frozenset({
    "__get__", "__set__", "__hash__", "__len__", "__repr__", "__getitem__", "__setitem__", "backward", "copy_", "dim",
    "is_complex", "is_floating_point", "numel", "register_hook", "requires_grad_", "size", "stride",
})  # fmt: skip
FACTORIES = frozenset({
    torch.arange, torch.empty, torch.full, torch.linspace, torch.ones, torch.rand, torch.randint, torch.randn,
    torch.tensor, torch.zeros,
})  # fmt: skip
MOVES = {torch.Tensor.cuda: "cuda", torch.Tensor.cpu: CPU}
DEVICE = torch.Tensor.device.__get__  # type: ignore[attr-defined]


class DeviceMismatch(RuntimeError):
    """Two tensors of one call are on different devices."""


def device_of(tensor: torch.Tensor) -> str:
    """Where the script wants a tensor to be."""
    return getattr(tensor, "_device", CPU)


def _name(device: Any) -> str:
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    return CPU if device.type in ("cpu", "meta") else f"{device.type}:{device.index or 0}"


def _target(args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[str | None, torch.dtype | None]:
    """What ``to(…)`` aims at."""
    if args and isinstance(args[0], torch.Tensor):
        return device_of(args[0]), args[0].dtype
    plain = {k: v for k, v in keywords.items() if k not in ("non_blocking", "copy", "memory_format")}
    device, dtype, *_ = torch._C._nn._parse_to(*args, **plain)
    return None if device is None else _name(device), dtype


class _Tags(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = dict(kwargs or {})
        if function is torch.Tensor.to or function in MOVES:
            return self._move(function, args, keywords)
        if function == DEVICE:
            return torch.device(device_of(args[0]))
        if keywords.get("device") is not None or function in FACTORIES:
            wanted = keywords.pop("device", None)
            made = function(*args, **keywords, device="meta")
            if isinstance(made, torch.Tensor):
                made._device = CPU if wanted is None else _name(wanted)  # type: ignore[attr-defined]
            return made
        tensors = [part for part in tree_flatten((args, keywords))[0] if isinstance(part, torch.Tensor)]
        name = getattr(function, "__name__", "")
        if name not in FREE:
            self._check(tensors, name)
        result = function(*args, **keywords)
        if tensors and name not in ("__get__", "__set__"):
            device = device_of(next((t for t in tensors if t.dim() > 0), tensors[0]))
            tree_map(lambda part: self._mark(part, tensors, device), result)
        return result

    def _move(self, function: Any, args: Any, keywords: dict[str, Any]) -> torch.Tensor:
        tensor: Any = args[0]
        device, dtype = (MOVES[function], None) if function in MOVES else _target(args[1:], keywords)
        device = None if device is None else _name(device)
        moved = tensor if dtype in (None, tensor.dtype) else torch.Tensor.to(tensor, dtype)
        if device is not None and device != device_of(tensor):
            moved = moved.clone() if moved is tensor else moved
        moved._device = device or device_of(tensor)
        return moved

    def _check(self, tensors: list[torch.Tensor], name: str) -> None:
        devices = {device_of(t) for t in tensors if t.dim() > 0} or {device_of(t) for t in tensors}
        if len(devices) > 1:
            both = " and ".join(sorted(devices, reverse=True))
            raise DeviceMismatch(
                f"Expected all tensors to be on the same device, but found at least two devices, {both}! (in {name})"
            )

    def _mark(self, part: Any, given: list[torch.Tensor], device: str) -> Any:
        if isinstance(part, torch.Tensor) and not any(part is tensor for tensor in given):
            part._device = device  # type: ignore[attr-defined]
        return part


def _module_to(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
    device, dtype = _target(args, kwargs)
    for part in module.modules():
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is None:
                continue
            if dtype is not None and tensor.is_floating_point() and tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype)
            if device is not None:
                tensor._device = device  # type: ignore[attr-defined]
    return module


def _module_cuda(module: torch.nn.Module, device: Any = None) -> torch.nn.Module:
    return _module_to(module, _name(device if device is not None else "cuda"))


def _new_parameter(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
    made = NEW_PARAMETER(cls, data, requires_grad)
    if data is not None:
        made._device = device_of(data)
    return made


NEW_PARAMETER = torch.nn.Parameter.__new__


@contextlib.contextmanager
def simulated() -> Iterator[None]:
    """A machine with one CUDA device, for scripts."""
    Module = torch.nn.Module
    with (
        mock.patch.object(Module, "to", _module_to),
        mock.patch.object(Module, "cuda", _module_cuda),
        mock.patch.object(Module, "cpu", lambda module: _module_to(module, CPU)),
        mock.patch.object(torch.nn.Parameter, "__new__", _new_parameter),
        mock.patch.object(torch.cuda, "is_available", lambda: True),
        mock.patch.object(torch.cuda, "device_count", lambda: 1),
        torch.device("meta"),
        _Tags(),
    ):
        yield
