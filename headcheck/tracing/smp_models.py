"""Everything the catalog keeps of segmentation_models_pytorch: the head of each architecture.

What reaches the head is the decoder's doing, whichever encoder there is, so one encoder stands for all; of it and of
the decoder no more is kept than that they are there.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from headcheck.tracing import light, write
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.tree import Tree

#: As a value without types, so that this file can be checked where the library is not installed.
library: Any = importlib.import_module("segmentation_models_pytorch")
_OPEN = ("encoder", "decoder")
_SIDE = 224


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every architecture and return the parts of the catalog file."""
    names = sorted(name for name, item in vars(library).items() if _is_architecture(item))
    return write.by_name("segmentation_models_pytorch", names, _entry, progress)


def _is_architecture(item: object) -> bool:
    return (
        isinstance(item, type) and issubclass(item, nn.Module) and "encoder_name" in inspect.signature(item).parameters
    )


def _entry(table: write.Table, name: str) -> dict[str, Any]:
    architecture = getattr(library, name)

    def build(keywords: Mapping[str, object]) -> nn.Module:
        model: nn.Module = architecture(encoder_weights=None, classes=keywords["num_classes"])
        return model

    made = on_meta(lambda: build({"num_classes": light.CLASSES}))
    traced = light.trace(made, build, (3, _SIDE, _SIDE), ())[0]
    if {head.path.partition(".")[0] for head in traced.heads} & set(_OPEN):
        raise TracingError(f"the head of {name} is in its encoder or decoder")
    children = tuple((each, _only_there(child) if each in _OPEN else child) for each, child in traced.tree.children)
    shown = {path: shape for path, shape in traced.inputs.items() if path not in _OPEN}
    given = {path: shape for path, shape in traced.outputs.items() if path not in _OPEN}
    kept = replace(traced, tree=replace(traced.tree, children=children), inputs=shown, outputs=given)
    parameters = [each for each in inspect.signature(architecture).parameters if each != "kwargs"]
    return {**write.entry(table, kept), "parameters": table.names(parameters)}


def _only_there(child: Tree) -> Tree:
    return Tree(child.kind, (), (), frozenset(), ())
