"""Leaving out work that changes nothing on the meta device, where tensors have a shape but no values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def no_initial_values() -> Iterator[None]:
    """Let the functions of `torch.nn.init` do nothing: there is no memory to fill."""
    fillers: dict[str, Any] = {name: _same for name in vars(nn.init) if name.endswith("_") and name[0] != "_"}
    with mock.patch.multiple(nn.init, **fillers):
        yield


@contextlib.contextmanager
def no_convolutions() -> Iterator[None]:
    """Let convolutions answer zeros in the shape that they have on meta: for what looks at sizes alone."""
    real = nn.functional.conv2d

    def conv2d(*args: Any, **kwargs: Any) -> Tensor:
        answer: Tensor = real(*map(_on_meta, args), **{name: _on_meta(value) for name, value in kwargs.items()})
        return torch.zeros_like(answer, device=args[0].device)

    with mock.patch.object(nn.functional, "conv2d", conv2d):
        yield


#: Functions that answer a tensor of their input's shape.
_ELEMENTWISE = (
    "batch_norm",
    "dropout",
    "gelu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "layer_norm",
    "relu",
    "relu6",
    "silu",
)


@contextlib.contextmanager
def no_arithmetic() -> Iterator[None]:
    """Let functions that keep their input's shape copy it: on meta the real ones take up to milliseconds a call."""
    copies: dict[str, Any] = dict.fromkeys(_ELEMENTWISE, _copy)
    with mock.patch.multiple(nn.functional, **copies):
        yield


@contextlib.contextmanager
def quick_batch_norm() -> Iterator[None]:
    """Let batch normalisation on meta answer a tensor of its input's shape, with gradients for whatever has them.

    PyTorch's own takes there twenty times as long as a convolution. What does not fit together is left to it, and with
    that the words of its errors.
    """
    real = nn.functional.batch_norm

    def batch_norm(input: Tensor, running_mean: Any, running_var: Any, *args: Any, **kwargs: Any) -> Tensor:
        weight, bias, training = _norm_arguments(*args, **kwargs)
        if not _fits(input, training, running_mean, running_var, weight, bias):
            return real(input, running_mean, running_var, *args, **kwargs)
        try:
            answer: Tensor = _QuickBatchNorm.apply(input, weight, bias)
        except Exception:  # Within transforms of functions that a class of gradients does not take part in.
            return real(input, running_mean, running_var, *args, **kwargs)
        return answer

    with mock.patch.object(nn.functional, "batch_norm", batch_norm):
        yield


def _norm_arguments(
    weight: Any = None, bias: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5
) -> tuple[Any, Any, bool]:
    return weight, bias, training


def _fits(input: Tensor, training: bool, *others: Any) -> bool:
    """Whether these, on meta, are what batch normalisation takes: the running mean and variance, weight and bias."""
    if not input.is_meta or input.dim() < 2 or not input.is_floating_point():
        return False
    channels, pairs = input.shape[1], (others[:2], others[2:])
    if any((one is None) != (other is None) for one, other in pairs) or not (training or others[0] is not None):
        return False
    if training and input.numel() <= channels:
        return False
    kinds = (Tensor, nn.Parameter)
    return type(input) in kinds and all(
        type(other) in kinds and other.is_meta and other.dtype is input.dtype and tuple(other.shape) == (channels,)
        for other in others
        if other is not None
    )


class _QuickBatchNorm(torch.autograd.Function):
    """Named for what it stands for: the walk over the graph goes by the names of functions."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight, bias)
        # In the order of the memory that a processor's has; the one on meta has that of the input.
        return torch.empty_like(input, memory_format=_order(input))

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        pairs = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True)
        return tuple(torch.empty_like(tensor) if needed else None for tensor, needed in pairs)


def _order(input: Tensor) -> torch.memory_format:
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    if last is not None and input.is_contiguous(memory_format=last) and not input.is_contiguous():
        return last
    return torch.contiguous_format


def _same(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


def _on_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _copy(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor.clone()
