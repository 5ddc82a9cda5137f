"""Everything the catalog keeps of pretrainedmodels: its models by name, as its builders make them."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import Shape
from headcheck.tracing import compare, light, write
from headcheck.tracing.build import on_meta
from headcheck.tracing.model import Traced, trace

#: As a value without types, so that this file can be checked where the library is not installed.
library: Any = importlib.import_module("pretrainedmodels")
_COUNT = "num_classes"
#: Models of so many modules side by side that their names alone would be a quarter of the file.
_LEFT_OUT = frozenset(["bninception"])
#: What builders set on a model that has weights.
_SETTINGS = frozenset(["input_space", "input_size", "input_range", "mean", "std"])


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every model and return the parts of the catalog file."""
    names = sorted(set(library.model_names) - _LEFT_OUT)
    return write.by_name("pretrainedmodels", names, _entry, progress, unknown=sorted(_LEFT_OUT))


def _entry(table: write.Table, name: str) -> dict[str, Any]:
    builder = getattr(library, name)
    weights = library.pretrained_settings[name]
    default = inspect.signature(builder).parameters
    size = weights[default["pretrained"].default]["input_size"]

    def build(keywords: Mapping[str, object]) -> nn.Module:
        model: nn.Module = builder(**keywords, pretrained=None)
        return model

    # The library's versions of torchvision's models do not listen to the number of classes.
    other = on_meta(lambda: build({_COUNT: light.CLASSES}))
    counted = any(compare.COUNTS[0] in shape for _, shape in _parameters(other))
    traced = light.trace(other, build, tuple(size), ())[0] if counted else _whole(build, tuple(size))
    tree = replace(traced.tree, attributes=traced.tree.attributes | (_SETTINGS - dict(traced.tree.values).keys()))
    kept = {head.path.partition(".")[0] for head in traced.heads}
    outlined = frozenset(n for n, child in tree.children if n not in kept and child.children)
    answer = None if "features" in dict(tree.children) else _features(build, tuple(size))
    return {
        **write.entry(table, replace(traced, tree=tree), outlined, {} if answer is None else {"features": answer}),
        "module": builder.__module__,
        "weights": table.share({each: settings["num_classes"] for each, settings in weights.items()}),
        "usual": [default[_COUNT].default, default["pretrained"].default],
    }


def _parameters(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(parameter.shape)) for name, parameter in model.named_parameters()]


def _whole(build: Callable[[Mapping[str, object]], nn.Module], size: tuple[int, ...]) -> Traced:
    """Trace a model of which nothing follows a count. Its forward is its own, so a plain pair is all that says which
    output is for training alone."""
    traced = trace(build, lambda _: [size], (), "classification")
    return replace(traced, heads=tuple(replace(head, auxiliary=not head.eval) for head in traced.heads))


def _features(build: Callable[[Mapping[str, object]], nn.Module], size: tuple[int, ...]) -> Shape | None:
    """Return what the method `features` answers to an image of the usual size, and of twice that if it takes it."""
    model: Any = on_meta(lambda: build({})).eval()
    found: list[Shape] = []
    # A model that refuses takes one image size only, so every size it has is fixed.
    with contextlib.suppress(RuntimeError):
        for scale in (1, 2):
            answer = model.features(torch.zeros((2, size[0], size[1] * scale, size[2] * scale), device="meta"))
            found += [tuple(answer.shape[1:])] if isinstance(answer, Tensor) else []
    if not found or len({len(shape) for shape in found}) > 1:
        return None
    if len(found) == 1 and len(found[0]) == 3:  # the map is of one size for this image, which says nothing of another
        return (found[0][0], None, None)
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*found, strict=True))
