"""Finding heads by walking the autograd graph backwards from a model's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

#: Operations that multiply by a weight; others that take a parameter (norms, scales, added tokens) are passed through.
_MULTIPLIES = ("AddmmBackward", "MmBackward", "BmmBackward", "LinearBackward", "ConvolutionBackward")
#: Activations between layers. Softmax, Sigmoid and Tanh are not among them, for they also end a model.
_ACTIVATES = ("Relu", "LeakyRelu", "Elu", "Gelu", "Hardswish", "Hardtanh", "Mish", "Prelu", "Silu", "Softplus")
#: Operations that let one feature through as far as another says, where both are computed.
_GATES = ("Mul", "Div")
#: A parameter may pass through a few operations of its own (a transpose, a reshape) before it is used.
_DEPTH = 12


class Layer(NamedTuple):
    """The parameters of one multiplication nearest to an output.

    `direct`: on some way from it to the output nothing happens that features go through and scores do not: no norm, no
    activation such as ReLU or GELU, no gate.
    """

    function: Any
    weights: tuple[str, ...]
    direct: bool


def heads(model: nn.Module, answer: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """Return, for the path of each head, the keys of the outputs it makes.

    `answer` holds the outputs of a forward pass with gradients on, of parameters and inputs alike, or else what is
    computed from an input looks like a weight. A head is the module that owns the weight of the
    nearest multiplication (matrix product or convolution) on the way back from an output.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, set[str]] = {}
    for key, tensor in answer.items():
        for layer in nearest(tensor, names):
            for name in layer.weights:
                found.setdefault(name.rpartition(".")[0], set()).add(key)
    return found


def nearest(output: Tensor, names: Mapping[int, str]) -> list[Layer]:
    """Return the multiplications nearest to `output`, none if it has no graph; `names` are those of the parameters."""
    start = output.grad_fn
    if start is None:
        return []
    found: dict[Any, Layer] = {}
    # Each function is looked at once for either way there.
    seen, queue = {(start, True)}, [(start, True)]
    memo: dict[Any, tuple[int, ...] | None] = {}
    while queue:
        function, direct = queue.pop()
        weights, sources = _inputs(function, names, memo)
        if weights and type(function).__name__.startswith(_MULTIPLIES):
            direct = direct or (function in found and found[function].direct)
            found[function] = Layer(function, tuple(weights), direct)
            continue
        for source in sources:
            way = (source, direct and not _bends(type(function).__name__, sources))
            if way not in seen:
                seen.add(way)
                queue.append(way)
    return list(found.values())


def _bends(name: str, sources: list[Any]) -> bool:
    return "Norm" in name or name.startswith(_ACTIVATES) or (name.startswith(_GATES) and len(sources) > 1)


def feeds(one: Any, other: Any) -> bool:
    """Whether the function `other` is computed from what the function `one` answers."""
    seen, queue = {other}, [other]
    while queue:
        for source, _ in queue.pop().next_functions:
            if source is one:
                return True
            if source is not None and source not in seen:
                seen.add(source)
                queue.append(source)
    return False


def _inputs(
    function: Any, names: Mapping[int, str], memo: dict[Any, tuple[int, ...] | None]
) -> tuple[list[str], list[Any]]:
    """Return the names of the parameters that go into `function`, and the functions of what else does."""
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
    return weights, sources


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
    # What is looked up by number is no weight, though nothing but a parameter has a gradient there.
    if not depth or type(function).__name__.startswith("Embedding"):
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
