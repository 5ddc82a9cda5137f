"""Everything the catalog keeps of torchvision."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import torchvision  # type: ignore[import-untyped, unused-ignore]
from torch import nn
from torchvision import models  # type: ignore[import-untyped, unused-ignore]

from headcheck.catalog.files import FORMAT
from headcheck.tracing import names, write
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.fixed import fixed
from headcheck.tracing.keywords import Facts, candidates, probe
from headcheck.tracing.model import Traced, trace
from headcheck.tracing.tree import Tree, Value, total

#: Frames of a video clip: what torchvision's own video weights were trained with, or half of it.
_FRAMES = 16
#: Height and width of an image where neither the model nor its weights say.
_SIDE = 224
_COUNTS = ("num_classes", "num_keypoints")
_WITH_LAYERS = ("torchvision.models", "torchvision.ops")
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

    def shapes(self, model: nn.Module) -> list[tuple[int, ...]]:
        """Return the shapes of the tensors a model of this builder expects: an image, a clip, or two images."""
        side = getattr(model, "image_size", None) or crop_size(self.weights.DEFAULT)
        if self.task == "video":
            return [(3, _FRAMES, side, side)]
        return [(3, side, side)] * (2 if self.task == "optical_flow" else 1)


_TASKS = ("detection", "optical_flow", "quantization", "segmentation", "video")


def crop_size(member: Any) -> int:
    """Return the height and width that a weights member's transforms crop images to."""
    crop = getattr(member.transforms(), "crop_size", [_SIDE])
    return int(crop[-1])


def normal(member: Any) -> list[list[float]] | None:
    """Return the mean and the deviation that a weights member's transforms normalise images with, None for none."""
    transforms = member.transforms()
    found = [getattr(transforms, name, None) for name in ("mean", "std")]
    return [list(map(float, numbers)) for numbers in found if numbers] if all(found) else None


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every registered builder and return the parts of the catalog file."""
    table = write.Table()
    builders, entries, weights = {}, {}, {}
    siblings: dict[type, Facts] = {}
    registered = models.list_models()
    for number, name in enumerate(registered):
        progress(number, len(registered), name)
        builder = Builder(name)
        weights[_weights_name(builder.weights)] = table.share(members(builder.weights))
        try:
            facts, variants = _variants(builder, siblings)
            builders[builder.name] = _builder(table, builder, facts, variants)
        except TracingError as error:
            raise TracingError(f"{builder.name}: {error}") from error
        entries.update({key: write.entry(table, traced) for key, (_, traced) in variants.items()})
    modules = [*names.submodules("torchvision.models"), *map(importlib.import_module, _NAMESPACES)]
    found = names.layers([module for module in modules if module.__name__.startswith(_WITH_LAYERS)])
    layers = {kind: write.layer(table, item) for kind, item in found.items()}
    rest = names.rest(modules, {"builders": builders, "weights": weights, "layers": layers})
    return {
        "format": FORMAT,
        "library": "torchvision",
        "versions": {"torchvision": torchvision.__version__.partition("+")[0]},
        "builders": builders,
        "weights": weights,
        "layers": layers,
        "namespaces": {module: table.names(found) for module, found in rest.items()},
        "entries": entries,
        **table.data(),
    }


#: Traced structures by key, each with the keywords that give it.
Variants = dict[str, tuple[dict[str, Value], Traced]]


def _variants(builder: Builder, siblings: dict[type, Facts]) -> tuple[Facts, Variants]:
    """Return what a builder's keywords do, and the structures it is known to give."""
    base = _trace(builder, {})
    sides = sorted({crop_size(member) for member in builder.weights})
    facts = probe(
        build=builder,
        candidates=candidates(builder.function, base.kind),
        base=base.plain,
        skip=frozenset({*builder.offline, *builder.counts, "progress"}),
        more={"image_size": [base.input[-1], *sides]},
        known=next((siblings[kind] for kind in base.kind.__mro__ if kind in siblings), None),
    )
    siblings.setdefault(base.kind, facts)
    variants: Variants = {builder.name: ({}, base)}
    for settings in facts.variants:
        key = ", ".join(f"{name}={value}" for name, value in settings.items())
        variants[f"{builder.name}({key})"] = (settings, _trace(builder, settings))
    return facts, variants


def _trace(builder: Builder, keywords: Mapping[str, object]) -> Traced:
    def build(more: Mapping[str, object]) -> nn.Module:
        return builder({**keywords, **more})

    return trace(build, builder.shapes, builder.counts, builder.task)


def _builder(table: write.Table, builder: Builder, facts: Facts, variants: Variants) -> dict[str, Any]:
    inert = {name: table.names(sorted(values)) for name, values in sorted(facts.inert.items())}
    implied = {
        member.name: [_implied(builder, member, list(variants.values())), crop_size(member)]
        for member in builder.weights
    }
    kind, asked = variants[builder.name][1].kind, sorted([*facts.inert, *facts.same, *builder.counts[1:]])
    fixing = {member.name: fixed(builder.function, kind, member, asked) for member in builder.weights}
    fixing["DEFAULT"] = fixing[builder.weights.DEFAULT.name]
    return {
        "registered": builder.registered,
        "task": builder.task,
        "module": builder.module,
        "signature": table.share(names.signature(builder.function)),
        "keywords": table.share([inert, dict(sorted(facts.same.items()))]),
        "weights": _weights_name(builder.weights),
        "members": table.share({**implied, "DEFAULT": implied[builder.weights.DEFAULT.name]}),
        **({"fixed": table.share(fixing)} if any(fixing.values()) else {}),
        "variants": [[settings, key] for key, (settings, _) in variants.items() if settings],
        "normal": normal(builder.weights.DEFAULT),
    }


def _implied(builder: Builder, member: Any, variants: list[tuple[dict[str, Value], Traced]]) -> dict[str, Value]:
    """Return the keywords that give, without weights, the structure a member of a weights enum gives.

    The library states how many parameters the model with these weights has, which tells the structures apart (those of
    a model that is to be quantized, and is not yet, are counted: it may lose a head after loading). The one exception:
    with weights, detection backbones have frozen normalisation, whose parameters are no parameters; theirs
    stay as they are without weights, which changes no other module.

    Raises TracingError if no known structure has so many parameters.
    """
    classes = len(member.meta.get("categories") or ())
    expected = _unquantized(builder) if builder.task == "quantization" else member.meta["num_params"]
    for frozen in (False, True):
        for settings, traced in variants:
            counts = {**traced.counts, **({"num_classes": classes} if classes else {})}
            normalising = _normalising(traced.tree) if frozen else 0
            if total(traced.tree, counts) - normalising == expected:
                return settings
    raise TracingError(f"no known structure has the {expected} parameters of {member.name}")


def _unquantized(builder: Builder) -> int:
    """Return how many parameters a model has that may be quantized later, built with weights that are not loaded."""
    with (
        mock.patch.object(models.WeightsEnum, "get_state_dict", lambda member, *args, **kwargs: {}),
        mock.patch.object(nn.Module, "load_state_dict"),
    ):
        model = on_meta(lambda: builder.function(weights="DEFAULT", progress=False))
    return sum(parameter.numel() for parameter in model.parameters())


def _normalising(tree: Tree) -> int:
    own = total(tree, {}) if tree.kind == "torch.nn.BatchNorm2d" else 0
    return own + sum(_normalising(child) for _, child in tree.children)


def members(weights: Any) -> dict[str, int]:
    """Return the number of classes of each member of a weights enum (0 where its output is not classes)."""
    found = {member.name: len(member.meta.get("categories") or ()) for member in weights}
    return {**found, "DEFAULT": found[weights.DEFAULT.name]}


def _weights_name(weights: Any) -> str:
    """Return a weights enum under the namespace of the builders it belongs to."""
    package = weights.__module__.split(".")[2]
    namespace = f"torchvision.models.{package}" if package in _TASKS else "torchvision.models"
    return f"{namespace}.{weights.__name__}"
