"""Where the head of each library model is, read off the model that PyTorch builds."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torchvision

from headcheck.tracing.shortcuts import quick_batch_norm
from tests import torch_proof


@dataclass(frozen=True)
class Site:
    """Where the head of a builder's model is. Shapes leave out the batch; `container` is None if there is none."""

    builder: str
    namespace: str
    head: str
    container: str | None
    input: tuple[int, ...]
    head_gets: tuple[int, ...]
    container_gets: tuple[int, ...]
    kind: str
    auxiliary: tuple[str, ...]
    children: tuple[str, ...]

    @property
    def size(self) -> int:
        """The feature size of the head."""
        return self.head_gets[-1] if self.kind == "Linear" else self.head_gets[0]


HEADS = {
    "classifier.6": ("alexnet", "vgg"),
    "classifier.1": ("mobilenet_v2", "mnasnet", "efficientnet", "squeezenet", "s3d"),
    "classifier.2": ("convnext",),
    "classifier.3": ("mobilenet_v3",),
    "classifier.5": ("maxvit",),
    "classifier.4": ("deeplabv3", "fcn"),
    "classifier": ("densenet",),
    "heads.head": ("vit",),
    "head.1": ("mvit",),
    "head": ("swin",),
    "fc": ("res", "wide", "regnet", "shufflenet", "googlenet", "inception", "r3d", "mc3", "r2plus1d"),
}


@contextlib.contextmanager
def on_meta() -> Iterator[set[int]]:
    """Tensors are made on the meta device: shapes without numbers, which is all that is asked for here.

    Yields the ids of the parameters that weights would have been loaded into.
    """
    blocks = torchvision.models.regnet.BlockParams
    real = blocks.from_init_params.__func__

    def with_numbers(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):  # RegNet computes its widths with tensors
            return real(cls, *args, **kwargs)

    with (
        torch_proof.without_weights() as loaded,
        torch.device("meta"),
        quick_batch_norm(),
        mock.patch.object(blocks, "from_init_params", classmethod(with_numbers)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield loaded


def head_of(builder: str) -> str:
    return max(
        ((prefix, path) for path, prefixes in HEADS.items() for prefix in prefixes if builder.startswith(prefix)),
        key=lambda pair: len(pair[0]),
    )[1]


@functools.cache
def site(name: str) -> Site:
    """The facts on a builder (`resnet18`, `quantization.resnet18`, `segmentation.fcn_resnet50`), read off a model."""
    namespace, _, builder = name.rpartition(".")
    module = getattr(torchvision.models, namespace) if namespace else torchvision.models
    path = head_of(builder)
    container = path.rpartition(".")[0] or None
    gets: dict[str, tuple[int, ...]] = {}
    with on_meta():
        model = getattr(module, builder)(weights="DEFAULT").train()
        for part in filter(None, (path, container)):
            model.get_submodule(part).register_forward_pre_hook(
                lambda _, args, part=part: gets.setdefault(part, tuple(args[0].shape[1:])) and None
            )
        side = torch_proof.image_size(model)
        size = (3, 16, side, side) if namespace == "video" else (3, side, side)
        model(torch.zeros(2, *size))
    candidates = ("AuxLogits.fc", "aux1.fc2", "aux2.fc2", "aux_classifier.4")
    modules = {found for found, part in model.named_modules() if part is not None}
    kind = type(model.get_submodule(path)).__name__
    return Site(
        builder, namespace, path, container, size, gets[path], gets.get(container or "", ()), kind,
        tuple(c for c in candidates if c in modules), tuple(n for n, _ in model.named_children()),
    )  # fmt: skip


def builders() -> list[str]:
    """Every builder of torchvision whose head these scripts know how to replace."""
    found = []
    for registered in torchvision.models.list_models():
        builder = torchvision.models.get_model_builder(registered)
        namespace = builder.__module__.removeprefix("torchvision.models.").rpartition(".")[0]
        if namespace not in ("detection", "optical_flow") and not registered.startswith("lraspp"):
            found.append(f"{namespace}.{builder.__name__}" if namespace else builder.__name__)
    return found
