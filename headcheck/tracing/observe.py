"""Watching one forward pass: what reaches every module, what it answers, and what forward reads of the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import Shape

#: Stands for a module that is called with, or answers, something else than one tensor of one rank.
IRREGULAR = None


@dataclass
class Observation:
    """One or several forward passes.

    `inputs` and `outputs` map a module's path to the shape without the batch size, or to `IRREGULAR`; `called` holds
    the paths of all modules called, `read` the names forward read of the model itself; `answer` maps the key of each
    output tensor ("" for a plain one) to the tensor of the last pass.
    """

    inputs: dict[str, Shape | None] = field(default_factory=dict)
    outputs: dict[str, Shape | None] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    answer: dict[str, Tensor] = field(default_factory=dict)


def observe(
    model: nn.Module,
    arguments: tuple[object, ...],
    train: bool | None,
    keywords: Mapping[str, object] = MappingProxyType({}),
    names: bool = True,
) -> Observation:
    """Run one forward pass of `model`, with gradients, and return what happened. Raises what forward raises.

    `train` is the mode, None for the one that each module is in. Without `names`, what forward reads of the model is
    not noted, and its class stays what it is meanwhile.
    """
    seen = Observation()
    if train is not None:
        model.train(train)
    handles = []
    for path, module in model.named_modules(remove_duplicate=False):
        handles.append(module.register_forward_hook(_hook(seen, path), with_kwargs=True))
    original = type(model)
    if names:
        model.__class__ = _reading(original, seen.read)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            answer = model(*arguments, **keywords)
    finally:
        if names:
            model.__class__ = original
        for handle in handles:
            handle.remove()
    seen.answer = dict(tensors(answer))
    return seen


def merge(one: Observation, other: Observation) -> Observation:
    """Return what two observations say together: sizes that differ between them become None."""
    return Observation(
        inputs=_merge_shapes(one.inputs, other.inputs),
        outputs=_merge_shapes(one.outputs, other.outputs),
        called=one.called | other.called,
        read=one.read | other.read,
        answer=other.answer,
    )


def tensors(answer: object, key: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a model's answer with its key: the keys of dicts and the field names of named tuples."""
    if isinstance(answer, Tensor):
        yield key, answer
        return
    if isinstance(answer, dict):
        items = [(str(name), item) for name, item in answer.items()]
    elif isinstance(answer, tuple) and hasattr(answer, "_fields"):
        items = [(name, getattr(answer, name)) for name in answer._fields]
    elif isinstance(answer, list | tuple):
        items = [(str(index), item) for index, item in enumerate(answer)]
    else:
        return
    for name, item in items:
        yield from tensors(item, f"{key}.{name}" if key else name)


def _hook(seen: Observation, path: str):  # type: ignore[no-untyped-def]
    def hook(_: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object], answer: object) -> None:
        single = arguments[0] if len(arguments) == 1 and not keywords else None
        _note(seen.inputs, path, single)
        _note(seen.outputs, path, answer)
        seen.called.add(path)

    return hook


def _note(shapes: dict[str, Shape | None], path: str, item: object) -> None:
    shape = tuple(item.shape[1:]) if isinstance(item, Tensor) and item.dim() else IRREGULAR
    shapes[path] = _merge_shape(shapes[path], shape) if path in shapes else shape


def _merge_shapes(one: dict[str, Shape | None], other: dict[str, Shape | None]) -> dict[str, Shape | None]:
    merged = one | other
    for path in one.keys() & other.keys():
        merged[path] = _merge_shape(one[path], other[path])
    return merged


def _merge_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is IRREGULAR or other is IRREGULAR or len(one) != len(other):
        return IRREGULAR
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _reading(original: type[nn.Module], read: set[str]) -> type[nn.Module]:
    """Return a class that behaves as `original` and notes the names read of its instances."""

    def __getattribute__(self: nn.Module, name: str) -> object:
        read.add(name)
        return object.__getattribute__(self, name)

    return type(original.__name__, (original,), {"__getattribute__": __getattribute__})
