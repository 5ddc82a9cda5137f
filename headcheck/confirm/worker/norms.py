"""Batch normalisation on meta, where PyTorch's own takes twenty times as long as a convolution.

There are no numbers to normalise: a tensor of the input's shape is the answer, and gradients go to whatever has them.
What does not fit together is left to PyTorch, and with that the words of its errors.
"""

from __future__ import annotations

from typing import Any

FUNCTIONS: dict[Any, Any] = {}


def batch_norm(torch: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """What `torch.nn.functional.batch_norm` answers."""
    with torch._C.DisableTorchFunction():
        given = arguments(*args, **kwargs)
        if fits(torch, *given):
            input, _, _, weight, bias, _ = given
            return without_numbers(torch).apply(input, weight, bias)
    return function(*args, **kwargs)


def arguments(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, ...]:
    return input, running_mean, running_var, weight, bias, training


def fits(torch: Any, input: Any, mean: Any, var: Any, weight: Any, bias: Any, training: Any) -> bool:
    """Whether these, on meta, are what batch normalisation takes."""
    kinds = (torch.Tensor, torch.nn.Parameter)
    if type(input) not in kinds or not input.is_meta or input.dim() < 2 or not input.is_floating_point():
        return False
    if (mean is None) != (var is None) or (weight is None) != (bias is None) or not (training or mean is not None):
        return False
    channels = input.shape[1]
    if training and input.numel() <= channels:
        return False
    return all(
        type(other) in kinds and other.is_meta and other.dtype is input.dtype and tuple(other.shape) == (channels,)
        for other in (mean, var, weight, bias)
        if other is not None
    )


def without_numbers(torch: Any) -> Any:
    """The one class for it, which is made when there is torch."""
    if torch not in FUNCTIONS:

        class BatchNorm(torch.autograd.Function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, input: Any, weight: Any, bias: Any) -> Any:
                ctx.save_for_backward(input, weight, bias)
                return torch.empty_like(input, memory_format=order(torch, input))

            @staticmethod
            def backward(ctx: Any, *_: Any) -> Any:
                with torch._C.DisableTorchFunction():
                    saved = enumerate(ctx.saved_tensors)
                    return tuple(torch.empty_like(t) if ctx.needs_input_grad[at] else None for at, t in saved)

        FUNCTIONS[torch] = BatchNorm
    return FUNCTIONS[torch]


def order(torch: Any, input: Any) -> Any:
    """The order in memory that the answer has on a processor."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    if last is not None and input.is_contiguous(memory_format=last) and not input.is_contiguous():
        return last
    return torch.contiguous_format
