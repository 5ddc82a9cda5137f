"""Running somebody's model so that afterwards it is as it was.

Every tensor that a module holds is replaced by a stand-in for the time of the run, so neither a gradient nor a step nor
a statistic reaches the model's own; everything else that modules hold is noted before and put back after.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

Make = Callable[[Tensor], Tensor]
#: Containers whose contents are put back.
_CONTAINERS = (dict, OrderedDict, defaultdict, list, set)


def modules_of(model: nn.Module) -> dict[nn.Module, str]:
    """Return every module that `model` holds, with its path, those in plain lists and dicts included.

    These are hidden from `parameters()`; their path is that of the expression: ``layers[0]``.
    """
    found = {model: ""}
    queue = [model]
    while queue:
        module = queue.pop(0)
        start = f"{found[module]}." if found[module] else ""
        others = ((name, value) for name, value in vars(module).items() if name != "_modules")
        for name, value in [*module._modules.items(), *others]:
            for key, item in _held(value, nn.Module):
                if item not in found:
                    found[item] = f"{start}{name}{key}"
                    queue.append(item)
    return found


def _held(value: object, kind: type) -> list[tuple[str, Any]]:
    """Return what is of a kind in an attribute: the value itself, or the items of a plain list, tuple or dict."""
    if isinstance(value, kind):
        return [("", value)]
    if type(value) in (list, tuple):
        return [(f"[{index}]", item) for index, item in enumerate(value) if isinstance(item, kind)]  # type: ignore[arg-type, var-annotated]
    if type(value) is dict:
        return [(f"[{key!r}]", item) for key, item in value.items() if isinstance(item, kind)]
    return []


@contextlib.contextmanager
def stand_ins(model: nn.Module, make: Make) -> Iterator[dict[int, Tensor]]:
    """Let the modules of `model` hold what `make` makes of each of their tensors, and put everything back at the end.

    Gives the stand-ins by the id of what they stand for; a tensor held twice has one.
    """
    modules = list(modules_of(model))
    before = [(module, _noted(vars(module))) for module in modules]
    made: dict[int, Tensor] = {}
    kept: list[Tensor] = []  # so that no id is used again

    def stand_in(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            made[id(tensor)] = make(tensor)
            kept.append(tensor)
        return made[id(tensor)]

    try:
        with same_random_state():
            for module in modules:
                for held in (module._parameters, module._buffers, vars(module)):
                    _exchange(held, stand_in)
                vars(module).pop("_compiled_call_impl", None)
            yield made
    finally:
        for module, noted in before:
            _put_back(vars(module), noted)


def _exchange(held: dict[str, Any], stand_in: Make) -> None:
    for name, value in list(held.items()):
        if isinstance(value, Tensor):
            held[name] = stand_in(value)
        elif type(value) in (list, tuple) and _held(value, Tensor):
            held[name] = type(value)(stand_in(item) if isinstance(item, Tensor) else item for item in value)
        elif type(value) is dict and name not in ("_parameters", "_buffers", "_modules") and _held(value, Tensor):
            held[name] = {key: stand_in(item) if isinstance(item, Tensor) else item for key, item in value.items()}


_Noted = list[tuple[str, Any, Any]]


def _noted(attributes: dict[str, Any]) -> _Noted:
    return [(name, value, value.copy() if type(value) in _CONTAINERS else None) for name, value in attributes.items()]


def _put_back(attributes: dict[str, Any], noted: _Noted) -> None:
    attributes.clear()
    for name, value, contents in noted:
        if isinstance(contents, list):
            value[:] = contents
        elif contents is not None:
            value.clear()
            value.update(contents)
        attributes[name] = value


@contextlib.contextmanager
def same_random_state() -> Iterator[None]:
    """Start from a fixed state of all random generators, and put theirs back at the end."""
    states = random.getstate()
    numpy = sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy is not None else None
    cuda: Any = torch.cuda
    devices = list(range(cuda.device_count())) if cuda.is_initialized() else []
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            yield
    finally:
        random.setstate(states)
        if numpy is not None:
            numpy.random.set_state(drawn)
        if metal is not None:
            torch.mps.set_rng_state(metal)


@contextlib.contextmanager
def gradients() -> Iterator[None]:
    """Record gradients, whatever the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def on_meta(tensor: Tensor) -> Tensor:
    """Return a stand-in without memory, that can get a gradient if any tensor of its dtype can."""
    return _like(tensor, torch.empty_like(tensor, device="meta", requires_grad=False), _can_learn(tensor))


def sharing(tensor: Tensor) -> Tensor:
    """Return a stand-in with the same memory for a parameter, with a copy for anything else."""
    values = tensor.detach()
    return _like(tensor, values if isinstance(tensor, nn.Parameter) else values.clone(), _can_learn(tensor))


def copied(tensor: Tensor) -> Tensor:
    """Return a copy that can get a gradient if `tensor` can."""
    return _like(tensor, tensor.detach().clone(), tensor.requires_grad)


def _like(tensor: Tensor, values: Tensor, learns: bool) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        made: Tensor = nn.Parameter(values, requires_grad=learns)
        made.__dict__.update(tensor.__dict__)
        return made
    return values.requires_grad_(tensor.requires_grad)


def _can_learn(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
