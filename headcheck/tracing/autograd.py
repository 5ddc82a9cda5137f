"""Finding heads by walking the autograd graph backwards from a model's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

#: Operations that multiply by a weight; others that take a parameter (norms, scales, added tokens) are passed through.
_MULTIPLIES = ("AddmmBackward", "MmBackward", "BmmBackward", "LinearBackward", "ConvolutionBackward")
#: A parameter may pass through a few operations of its own (a transpose, a reshape) before it is used.
_DEPTH = 12


def heads(model: nn.Module, answer: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """Return, for the path of each head, the keys of the outputs it makes.

    `answer` holds the outputs of a forward pass with gradients on, of parameters and inputs alike, or else what is
    computed from an input looks like a weight. A head is the module that owns the weight of the
    nearest multiplication (matrix product or convolution) on the way back from an output.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, set[str]] = {}
    for key, tensor in answer.items():
        if tensor.grad_fn is None:
            continue
        for name in _nearest_weights(tensor.grad_fn, names):
            found.setdefault(name.rpartition(".")[0], set()).add(key)
    return found


def _nearest_weights(start: Any, names: Mapping[int, str]) -> set[str]:
    found: set[str] = set()
    seen, queue = {start}, [start]
    memo: dict[Any, tuple[int, ...] | None] = {}
    while queue:
        function = queue.pop()
        weights: list[str] = []
        sources = []
        for source, _ in function.next_functions:
            if source is None:
                continue
            parameters = _only_parameters(source, names, memo, _DEPTH)
            if parameters is None:
                sources.append(source)
            else:
                weights += [names[item] for item in parameters]
        if weights and type(function).__name__.startswith(_MULTIPLIES):
            found.update(weights)
            continue
        queue += [source for source in sources if source not in seen]
        seen.update(sources)
    return found


def _only_parameters(
    function: Any, names: Mapping[int, str], memo: dict[Any, tuple[int, ...] | None], depth: int
) -> tuple[int, ...] | None:
    """Return the parameters that `function` is computed from, or None if anything else goes into it."""
    if function not in memo:
        memo[function] = _parameters_of(function, names, memo, depth)
    return memo[function]


def _parameters_of(
    function: Any, names: Mapping[int, str], memo: dict[Any, tuple[int, ...] | None], depth: int
) -> tuple[int, ...] | None:
    if hasattr(function, "variable"):
        return (id(function.variable),) if id(function.variable) in names else None
    if not depth:
        return None
    gathered: list[int] = []
    for source, _ in function.next_functions:
        if source is None:
            continue
        parameters = _only_parameters(source, names, memo, depth - 1)
        if parameters is None:
            return None
        gathered += parameters
    return tuple(gathered)
