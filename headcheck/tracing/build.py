"""Building models that occupy no memory."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import nn

from headcheck.tracing.shortcuts import no_initial_values


class TracingError(Exception):
    """The model cannot be traced, or two ways of tracing it disagree."""


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the model that `build` makes, with all its parameters and buffers on the meta device.

    Most builders work with meta as the default device. Those that read values back from a tensor they make (the
    RegNets call ``.tolist()``) do not: for them only the parameters are moved, each as it is registered.

    Raises whatever `build` raises when it works neither way.
    """
    with warnings.catch_warnings(), no_initial_values():
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                model = build()
        except RuntimeError:  # NotImplementedError is one too.
            with _parameters_on_meta():
                model = build()
    tensors = itertools.chain(model.parameters(), model.buffers())
    return model if all(tensor.is_meta for tensor in tensors) else model.to("meta")


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    register = nn.Module.register_parameter

    def register_on_meta(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and param.device.type != "meta":
            param = nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
        register(self, name, param)

    nn.Module.register_parameter = register_on_meta  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
