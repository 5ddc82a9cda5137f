"""Everything the catalog keeps of efficientnet_pytorch: its models by name, as `EfficientNet.from_name` makes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from headcheck.tracing import light, write
from headcheck.tracing.build import on_meta

#: As a value without types, so that this file can be checked where the library is not installed.
efficientnet: Any = importlib.import_module("efficientnet_pytorch")
_METHODS = ("extract_features",)


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every model and return the parts of the catalog file."""
    names = sorted(efficientnet.VALID_MODELS)
    return write.by_name("efficientnet_pytorch", names, _entry, progress)


def _entry(table: write.Table, name: str) -> dict[str, Any]:
    def build(keywords: Mapping[str, object]) -> nn.Module:
        model: nn.Module = efficientnet.EfficientNet.from_name(name, **keywords)
        # One that TorchScript can follow, which the meta device can too: the other keeps numbers of its own.
        model.set_swish(memory_efficient=False)  # type: ignore[operator]
        return model

    side = efficientnet.EfficientNet.get_image_size(name)
    made = on_meta(lambda: build({"num_classes": light.CLASSES}))
    traced, answers = light.trace(made, build, (3, side, side), _METHODS)
    kept = {head.path.partition(".")[0] for head in traced.heads}
    outlined = frozenset(n for n, child in traced.tree.children if n not in kept and child.children)
    return {
        **write.entry(table, traced, outlined, answers),
    }
