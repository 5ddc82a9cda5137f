"""Everything the catalog keeps of repositories that only `torch.hub.load` knows: what their entry points make.

Their code is looked for where torch.hub keeps it (``facebookresearch_dinov2_main`` in `torch.hub.get_dir()`), and
fetched from there if it is missing. Weights are not.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import Shape
from headcheck.tracing import autograd, write
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
}
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


def load(repository: str, name: str) -> nn.Module:
    """Return what an entry point makes, without weights."""
    place = f"{repository}:{_BRANCH}"
    hub: Any = torch.hub
    made: nn.Module = hub.load(place, name, pretrained=False, trust_repo=True, skip_validation=True, verbose=False)
    return made


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _entry(table: write.Table, repository: str, name: str) -> dict[str, Any]:
    model = on_meta(lambda: load(repository, name))
    traced, passes = _traced(model)
    kept = {head.path.partition(".")[0] for head in traced.heads}
    outlined = frozenset(each for each, child in traced.tree.children if each not in kept and child.children)
    return {
        **write.entry(table, traced, outlined, {} if traced.heads else _answers(model)),
        "repository": repository,
        "open": [] if traced.heads else passes,
    }


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
