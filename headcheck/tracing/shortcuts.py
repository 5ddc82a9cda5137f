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


@contextlib.contextmanager
def no_normalisation() -> Iterator[None]:
    """Let normalisation copy its input: its shape stays, and on meta the real one takes milliseconds a call."""
    with mock.patch.multiple(nn.functional, batch_norm=_copy, layer_norm=_copy, group_norm=_copy):
        yield


def _same(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


def _copy(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor.clone()
