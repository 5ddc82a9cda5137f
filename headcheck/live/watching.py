"""One forward pass of a live model, and where it stopped if it did."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headcheck.live.inputs import Call, tensors
from headcheck.tracing.observe import Observation, observe
from headcheck.tracing.shortcuts import quick_batch_norm


@dataclass(frozen=True)
class Failure:
    """Where a forward pass stopped: the innermost module that was entered and not left, what reached it, whether no
    layer with a weight had been left before (`first`), and the error."""

    path: str
    module: nn.Module
    arrived: tuple[Tensor, ...]
    first: bool
    error: Exception


def watch(model: nn.Module, call: Call, train: bool | None) -> Observation | Failure:
    """Run one forward pass with gradients, in a mode or (None) as the model is."""
    entered: list[tuple[str, nn.Module, tuple[Tensor, ...]]] = []
    left: set[nn.Module] = set()

    def enter(path: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
            reached = tuple(tensor.detach() for tensor in tensors([list(arguments), keywords]))
            entered.append((path, module, reached))

        return hook

    def leave(module: nn.Module, *_: object) -> None:
        left.add(module)
        # A module that raised and was caught is never left; those above it are.
        while entered and entered.pop()[1] is not module:
            pass

    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(path), with_kwargs=True))
        handles.append(module.register_forward_hook(leave))
    try:
        with quick_batch_norm():
            return observe(model, call.arguments, train, call.keywords, names=False)
    except Exception as error:  # A forward pass may fail in any way at all; what it was is kept.
        path, module, arrived = entered[-1] if entered else ("", model, ())
        # The frames that it came through hold every feature map on the way.
        traceback.clear_frames(error.__traceback__)
        first = not any(parameter.dim() > 1 for item in left for parameter in item.parameters(recurse=False))
        return Failure(path, module, arrived, first, error)
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Let parts that are compiled run as they were written: a run on stand-ins must not compile anything."""
    compiled = any(type(module).__name__ == "OptimizedModule" for module in model.modules())
    stance = getattr(torch.compiler, "set_stance", None) if compiled else None
    with stance("force_eager") if stance is not None else contextlib.nullcontext():
        yield
