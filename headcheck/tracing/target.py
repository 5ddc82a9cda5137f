"""Tracing one's own builder."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from headcheck.catalog.entry import Entry, Head, Node, Plain, Shape
from headcheck.tracing.build import TracingError
from headcheck.tracing.model import SizedShape, Traced, TracedHead, sizes, trace
from headcheck.tracing.tree import Scaled, Tree, Value, lookup, total

#: Keywords that keep builders from fetching weights.
_OFFLINE: Mapping[str, object] = {"weights": None, "weights_backbone": None, "pretrained": False}
_COUNTS = ("num_classes",)
_SIDE = 224


def trace_target(target: str, input_shape: tuple[int, ...] | None) -> Entry:
    """Trace what the user's own builder makes.

    `target` is ``package.module:builder``, where the builder is a function or a Module class that needs no arguments;
    it is imported with the current folder on the path, and called. Keywords it has by the names of `_OFFLINE` are
    passed so that it fetches no weights. `input_shape` is the shape of one input, by default an image of the model's
    own ``image_size`` or of 224 pixels.

    Raises TracingError when the target is not such a builder, cannot be traced, or is traced in two ways that
    disagree; and whatever its own code raises.
    """
    builder = _resolve(target)
    parameters = inspect.signature(builder).parameters
    offline = {name: value for name, value in _OFFLINE.items() if name in parameters}

    def build(keywords: Mapping[str, object]) -> nn.Module:
        model = builder(**{**keywords, **offline})
        if not isinstance(model, nn.Module):
            raise TracingError(f"{target} makes a {type(model).__name__}, not a torch.nn.Module")
        return model

    def shapes(model: nn.Module) -> list[tuple[int, ...]]:
        side = getattr(model, "image_size", _SIDE)
        return [input_shape or ((3, side, side) if isinstance(side, int) else (3, *side))]

    counts = [name for name in _COUNTS if name in parameters]
    return _entry(target.replace(":", "."), trace(build, shapes, counts, "classification"))


def _resolve(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    if not module or not name:
        raise TracingError(f"{target!r} is not of the form package.module:builder")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise TracingError(f"{module} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise TracingError(f"{target} is not a function or class")
    builder: Callable[..., Any] = found
    return builder


def _entry(name: str, traced: Traced) -> Entry:
    counts = traced.counts
    return Entry(
        builder=name,
        task="classification",
        root=_node(traced.tree, counts),
        heads=tuple(_head(traced.tree, head, counts) for head in traced.heads),
        inputs={path: _shape(shape, counts) for path, shape in traced.inputs.items()},
        outputs={path: _shape(shape, counts) for path, shape in traced.outputs.items()},
        used=traced.used,
        input=traced.input,
        method=traced.method,
    )


def _node(tree: Tree, counts: Mapping[str, int]) -> Node:
    return Node(
        kind=tree.kind,
        values={name: _plain(value, counts) for name, value in tree.values},
        children={name: _node(child, counts) for name, child in tree.children},
        parameters={name: tuple(_size(size, counts) for size in shape) for name, shape in tree.parameters},
        attributes=tree.attributes,
        total=total(tree, counts),
    )


def _head(tree: Tree, head: TracedHead, counts: Mapping[str, int]) -> Head:
    layer = lookup(tree, head.path)
    found = sizes(layer)
    if found is None:
        raise TracingError(f"{head.path} makes the output, but a {layer.kind} does not say its sizes")
    return Head(
        path=head.path,
        kind=layer.kind,
        in_features=_size(found[0], counts),
        out_features=_size(found[1], counts),
        shape=head.shape,
        auxiliary=head.auxiliary,
        train=head.train,
        eval=head.eval,
        outputs=head.outputs,
    )


def _shape(shape: SizedShape, counts: Mapping[str, int]) -> Shape:
    return tuple(None if size is None else _size(size, counts) for size in shape)


def _plain(value: Value, counts: Mapping[str, int]) -> Plain:
    if isinstance(value, tuple):
        return tuple(_plain(item, counts) for item in value)
    return value.at(counts) if isinstance(value, Scaled) else value


def _size(size: int | Scaled, counts: Mapping[str, int]) -> int:
    return size.at(counts) if isinstance(size, Scaled) else size
