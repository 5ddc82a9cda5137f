"""Everything the catalog keeps of repositories that only `torch.hub.load` knows: what their entry points make.

Their code is looked for where torch.hub keeps it (``facebookresearch_dinov2_main`` in `torch.hub.get_dir()`), and
fetched from there if it is missing. Weights are not. Some of it imports packages of its own, such as fvcore.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import Shape
from headcheck.tracing import autograd, light, write
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.light import same_shape
from headcheck.tracing.model import Look, Traced, arguments_for, ordered_heads, regular, wanted_paths
from headcheck.tracing.observe import Observation, merge, observe
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import describe

_SHAPE = (3, 224, 224)
_BRANCH = "main"
_SIZES = ("vits", "vitb", "vitl", "vitg")
_DINOV2 = tuple(f"dinov2_{size}14{registers}" for size in _SIZES for registers in ("", "_reg"))
REPOSITORIES: Mapping[str, tuple[str, ...]] = {
    "facebookresearch/dino": ("dino_vits16", "dino_vits8", "dino_vitb16", "dino_vitb8"),
    "facebookresearch/dinov2": (*_DINOV2, *(f"{name}_lc" for name in _DINOV2)),
    "facebookresearch/WSL-Images": ("resnext101_32x16d_wsl", "resnext101_32x32d_wsl", "resnext101_32x48d_wsl"),
    "facebookresearch/pytorchvideo": (
        "slow_r50",
        "c2d_r50",
        "i3d_r50",
        "csn_r101",
        "r2plus1d_r50",
        "x3d_xs",
        "x3d_s",
        "x3d_m",
        "x3d_l",
    ),
    "zhanghang1989/ResNeSt": ("resnest50", "resnest101", "resnest200", "resnest269"),
}
#: The keyword for the number of classes, of the repositories whose models listen to one.
COUNTS: Mapping[str, str] = {
    "facebookresearch/WSL-Images": "num_classes",
    "facebookresearch/pytorchvideo": "model_num_class",
    "zhanghang1989/ResNeSt": "num_classes",
}
#: What those take that are given clips: of the size that the others are made for, X3D's of their own.
_CLIP = (3, 32, 224, 224)
_CLIPS = {
    "x3d_xs": (3, 4, 160, 160), "x3d_s": (3, 13, 160, 160), "x3d_m": (3, 16, 224, 224), "x3d_l": (3, 16, 312, 312),
}  # fmt: skip
_VIDEO = "facebookresearch/pytorchvideo"
#: Methods beside forward whose answers are kept.
_METHODS = ("forward_features", "get_intermediate_layers")


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every model and return the parts of the catalog file."""
    homes = {name: repository for repository, names in REPOSITORIES.items() for name in names}
    versions = dict.fromkeys(REPOSITORIES, _BRANCH)

    def entry(table: write.Table, name: str) -> dict[str, Any]:
        return _entry(table, homes[name], name)

    with _quiet():
        return write.by_name("torch_hub", list(homes), entry, progress, versions)


def load(repository: str, name: str, **keywords: object) -> nn.Module:
    """Return what an entry point makes, without weights."""
    place = f"{repository}:{_BRANCH}"
    hub: Any = torch.hub
    settings = {"trust_repo": True, "skip_validation": True, "verbose": False, **keywords}
    with contextlib.ExitStack() as stack:
        if repository in _ALWAYS_LOADED:
            stack.enter_context(mock.patch.object(hub, "load_state_dict_from_url", lambda *_, **__: {}))
            stack.enter_context(mock.patch.object(nn.Module, "load_state_dict", lambda *_, **__: None))
        else:
            settings["pretrained"] = False
        made: nn.Module = hub.load(place, name, **settings)
    return made


#: The repositories whose entry points fetch weights whatever they are told.
_ALWAYS_LOADED = frozenset(["facebookresearch/WSL-Images"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _entry(table: write.Table, repository: str, name: str) -> dict[str, Any]:
    if repository in COUNTS:
        return _counted(table, repository, name)
    model = on_meta(lambda: load(repository, name))
    traced, passes = _traced(model)
    kept = {head.path.partition(".")[0] for head in traced.heads}
    outlined = frozenset(each for each, child in traced.tree.children if each not in kept and child.children)
    return {
        **write.entry(table, traced, outlined, {} if traced.heads else _answers(model)),
        "repository": repository,
        "open": [] if traced.heads else passes,
    }


def _counted(table: write.Table, repository: str, name: str) -> dict[str, Any]:
    def build(keywords: Mapping[str, object]) -> nn.Module:
        return load(repository, name, **dict(zip([COUNTS[repository]], keywords.values(), strict=False)))

    shape = _CLIPS.get(name, _CLIP) if repository == _VIDEO else _SHAPE
    traced = light.trace(on_meta(lambda: build({"num_classes": light.CLASSES})), build, shape, ())[0]
    kept = {head.path.partition(".")[0] for head in traced.heads}
    outlined = frozenset(each for each, child in traced.tree.children if each not in kept and child.children)
    usual = on_meta(lambda: load(repository, name)).get_submodule(traced.heads[0].path)
    more = {"repository": repository, "classes": usual.out_features}
    return {**write.entry(table, traced, outlined, {}), **more}


def _traced(model: nn.Module) -> tuple[Traced, list[str]]:
    """Trace a model, and return with it the paths of the modules that pass on their input as the model's answer.

    It has a head where a Linear is what makes its answer, and nothing comes after that.
    """
    model.requires_grad_(True)
    tree = describe(model)
    first, second = _observed(model, 1), _observed(model, 2)
    seen = merge(first, second)
    found = autograd.heads(model, second.answer)
    answer = tuple(second.answer[""].shape[1:])
    last = all(isinstance(model.get_submodule(path), nn.Linear) and second.outputs[path] == answer for path in found)
    heads = ordered_heads([Look(seen, found, "autograd")] * 2, seen) if last else ()
    taken, given = wanted_paths(heads, tree)
    known = {name for name, _ in (*tree.values, *tree.parameters, *tree.children)} | tree.attributes
    traced = Traced(
        kind=type(model),
        plain=tree,
        tree=tree,
        counts={},
        heads=heads,
        inputs=regular(seen.inputs, taken),
        outputs=regular(seen.outputs, given),
        used=frozenset(seen.read & known),
        input=_SHAPE,
        method="autograd",
    )
    idle = (each for each, child in model.named_children() if isinstance(child, nn.Identity) and each in seen.called)
    return traced, [each for each in idle if seen.outputs[each] == answer]


def _observed(model: nn.Module, scale: int) -> Observation:
    with no_arithmetic():
        return observe(model, arguments_for(model, [_SHAPE], scale), train=False)


def _answers(model: nn.Module) -> dict[str, list[int | None]]:
    """Return the shapes that methods answer: of one tensor by the method's name, of those of a dict by its keys too,
    and of one of a list that are all alike."""
    found: dict[str, Shape | None] = {}
    for scale in (1, 2):
        (picture,) = arguments_for(model, [_SHAPE], scale)
        for method in ("forward", *_METHODS):
            function = getattr(model, method, None)
            for key, shape in _shapes(function(picture), method) if function is not None else ():
                found[key] = same_shape(found.get(key, shape), shape)
    return {key: list(shape) for key, shape in found.items() if shape is not None}


def _shapes(answer: object, key: str) -> Iterator[tuple[str, Shape]]:
    if isinstance(answer, Tensor):
        yield key, tuple(answer.shape[1:])
    elif isinstance(answer, dict):
        for name, item in answer.items():
            yield from _shapes(item, f"{key}.{name}")
    elif isinstance(answer, (list, tuple)):
        shapes = {tuple(item.shape[1:]) for item in answer}
        if len(shapes) != 1:
            raise TracingError(f"{key} answers tensors of several shapes")
        yield key, shapes.pop()
