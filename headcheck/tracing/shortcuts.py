"""Leaving out work that changes nothing on the meta device, where tensors have a shape but no values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from torch import Tensor, nn


@contextlib.contextmanager
def no_initial_values() -> Iterator[None]:
    """Let the functions of `torch.nn.init` do nothing: there is no memory to fill."""
    fillers: dict[str, Any] = {name: _same for name in vars(nn.init) if name.endswith("_") and name[0] != "_"}
    with mock.patch.multiple(nn.init, **fillers):
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


def _same(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


def _copy(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor.clone()
