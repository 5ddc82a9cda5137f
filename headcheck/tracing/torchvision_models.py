"""Everything the catalog keeps of torchvision."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torchvision
from torch import nn
from torchvision import models

from headcheck.tracing import names, write
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.model import Traced, trace

#: Frames of a video clip: what torchvision's own video weights were trained with, or half of it.
_FRAMES = 16
#: Height and width of an image where neither the model nor its weights say.
_SIDE = 224
_COUNTS = ("num_classes", "num_keypoints")
_NAMESPACES = ("torchvision", "torchvision.datasets", "torchvision.ops", "torchvision.transforms", "torchvision.utils")


class Builder:
    """One registered builder: its function, its canonical name, its task, and the keywords that keep it offline."""

    def __init__(self, registered: str) -> None:
        self.registered = registered
        self.function: Callable[..., nn.Module] = models.get_model_builder(registered)
        self.module = self.function.__module__
        package = self.module.split(".")[2]
        self.task = package if package in _TASKS else "classification"
        namespace = "torchvision.models" if self.task == "classification" else f"torchvision.models.{package}"
        self.name = f"{namespace}.{self.function.__name__}"
        parameters = inspect.signature(self.function).parameters
        # Never a weight: both defaults would be fetched.
        self.offline = {name: None for name in ("weights", "weights_backbone") if name in parameters}
        self.counts = [] if self.task == "optical_flow" else ["num_classes"]
        self.counts += [name for name in _COUNTS[1:] if name in parameters]
        self.weights = models.get_model_weights(registered)

    def __call__(self, keywords: Mapping[str, object]) -> nn.Module:
        return self.function(**{**keywords, **self.offline})

    def shapes(self, keywords: Mapping[str, object]) -> list[tuple[int, ...]]:
        """Return the shapes of the tensors the model expects: an image, a clip, or two images."""
        side = getattr(on_meta(lambda: self(keywords)), "image_size", None) or crop_size(self.weights.DEFAULT)
        if self.task == "video":
            return [(3, _FRAMES, side, side)]
        return [(3, side, side)] * (2 if self.task == "optical_flow" else 1)


_TASKS = ("detection", "optical_flow", "quantization", "segmentation", "video")


def crop_size(member: Any) -> int:
    """Return the height and width that a weights member's transforms crop images to."""
    crop = getattr(member.transforms(), "crop_size", [_SIDE])
    return int(crop[-1])


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every registered builder and return the parts of the catalog file."""
    table = write.Table()
    builders, entries, weights = {}, {}, {}
    registered = models.list_models()
    for number, name in enumerate(registered):
        progress(number, len(registered), name)
        builder = Builder(name)
        weights[_weights_name(builder.weights)] = members(builder.weights)
        try:
            entries[builder.name] = write.entry(table, _trace(builder, {}))
        except TracingError as error:
            raise TracingError(f"{builder.name}: {error}") from error
        parameters, variadic = names.signature(builder.function)
        builders[builder.name] = {
            "registered": name,
            "task": builder.task,
            "module": builder.module,
            "signature": [parameters, variadic],
            "weights": _weights_name(builder.weights),
            "keywords": {},
            "members": {},
            "variants": [[{}, builder.name]],
        }
    modules = [*names.submodules("torchvision.models"), *map(importlib.import_module, _NAMESPACES)]
    found = names.layers([module for module in modules if module.__name__.startswith(_WITH_LAYERS)])
    layers = {}
    for kind, item in found.items():
        parameters, variadic = names.signature(item)
        layers[kind] = [parameters, variadic, table.names(sorted(names.attributes(item)))]
    namespaces = {module.__name__: table.names(names.public(module)) for module in modules}
    return {
        "format": write.FORMAT,
        "library": "torchvision",
        "versions": {"torchvision": torchvision.__version__.partition("+")[0]},
        "builders": builders,
        "weights": weights,
        "layers": layers,
        "namespaces": namespaces,
        "entries": entries,
        **table.data(),
    }


_WITH_LAYERS = ("torchvision.models", "torchvision.ops")


def _trace(builder: Builder, keywords: Mapping[str, object]) -> Traced:
    def build(more: Mapping[str, object]) -> nn.Module:
        return builder({**keywords, **more})

    return trace(build, builder.shapes(keywords), builder.counts, builder.task)


def members(weights: Any) -> dict[str, int]:
    """Return the number of classes of each member of a weights enum (0 where its output is not classes)."""
    found = {member.name: len(member.meta.get("categories") or ()) for member in weights}
    return {**found, "DEFAULT": found[weights.DEFAULT.name]}


def _weights_name(weights: Any) -> str:
    """Return a weights enum under the namespace of the builders it belongs to."""
    package = weights.__module__.split(".")[2]
    namespace = f"torchvision.models.{package}" if package in _TASKS else "torchvision.models"
    return f"{namespace}.{weights.__name__}"
