"""What an older version of timm makes of the models that this one has: run with that version on the path.

    python -m headcheck.tracing.timm_older GROUPS OUTPUT

GROUPS is a file with a line for each group of architectures that this version makes alike; OUTPUT gets what was seen of
the first and the last of each, for `headcheck.tracing.timm_versions`.
"""

from __future__ import annotations

import collections.abc
import importlib
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from headcheck.catalog.entry import Shape
from headcheck.tracing import light
from headcheck.tracing.build import on_meta
from headcheck.tracing.light import CLASSES
from headcheck.tracing.model import SizedShape, TracedHead
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import Tree

_METHODS = ("forward_features",)


class Seen(NamedTuple):
    """One architecture in one version; the fields are those of `headcheck.tracing.model.Traced`, and what
    `get_classifier` answers, and the shapes of what the methods answer."""

    tree: Tree
    heads: tuple[TracedHead, ...]
    inputs: Mapping[str, SizedShape]
    outputs: Mapping[str, SizedShape]
    used: frozenset[str]
    classes: int
    input: tuple[int, ...]
    classifier: tuple[str, ...]
    answers: Mapping[str, Shape]


def main(groups: str, output: str) -> None:
    """Look at some of the architectures of each group and write what was seen."""
    sys.modules["torch._six"] = _six()
    timm: Any = importlib.import_module("timm")
    had = set(timm.list_models())
    found: dict[str, Seen | None] = {}
    for line in Path(groups).read_text(encoding="utf-8").splitlines():
        there = [name for name in line.split() if name in had]
        found |= {name: look(timm, name) for name in {*there[:1], *there[-1:]}}
    Path(output).write_bytes(pickle.dumps(found))


def _six() -> ModuleType:
    """What timm before 0.4 uses of ``torch._six``, which PyTorch no longer has: names for what is Python's own."""
    module = ModuleType("torch._six")
    vars(module).update(container_abcs=collections.abc, string_classes=(str, bytes), int_classes=int)
    return module


def look(timm: Any, name: str) -> Seen | None:
    """Build and trace one architecture; None where that does not work."""
    made: Any
    try:
        made = on_meta(lambda: timm.create_model(name, num_classes=CLASSES))
    except Exception:
        return None  # An old version may fail under a new PyTorch in any way at all.
    config = made.default_cfg
    config = config if isinstance(config, dict) else vars(config)
    shape = tuple(config.get("input_size") or (3, 224, 224))

    def build(keywords: Mapping[str, object]) -> nn.Module:
        model: nn.Module = timm.create_model(name, **keywords)
        return model

    try:
        traced, answers = light.trace(made, build, shape, _METHODS)
    except Exception:
        return None
    for key, keywords in (("bare", {"num_classes": 0}), ("map", {"num_classes": 0, "global_pool": ""})):
        shape_of = answered(build, keywords, shape)
        if shape_of is not None:
            answers[key] = shape_of
    return Seen(
        tree=traced.tree,
        heads=traced.heads,
        inputs=traced.inputs,
        outputs=traced.outputs,
        used=traced.used,
        classes=int(config.get("num_classes") or 0),
        input=shape,
        classifier=tuple(classifier(made)),
        answers=answers,
    )


def answered(build: Any, keywords: Mapping[str, object], shape: tuple[int, ...]) -> Shape | None:
    """Return the shape of the one tensor that a model without a head answers; a size that follows the image's is
    None."""
    try:
        made = on_meta(lambda: build(keywords)).eval()
    except Exception:
        return None
    found = [one for scale in (1, 2) if (one := _answer(made, shape, scale)) is not None]
    if not found or len({len(one) for one in found}) > 1:
        return found[0] if found else None
    return (
        found[0]
        if len(found[0]) == 1
        else tuple(a if a == b else None for a, b in zip(found[0], found[-1], strict=True))
    )


def _answer(model: nn.Module, shape: tuple[int, ...], scale: int) -> Shape | None:
    image = torch.zeros(2, shape[0], *(size * scale for size in shape[1:]), device="meta")
    try:
        with torch.no_grad(), no_arithmetic():
            answer = model(image)
    except Exception:
        return None
    return tuple(answer.shape[1:]) if isinstance(answer, torch.Tensor) else None


def classifier(made: Any) -> list[str]:
    """Return the paths of what `get_classifier` answers."""
    answer = made.get_classifier() if hasattr(made, "get_classifier") else None
    paths = {id(part): path for path, part in made.named_modules()}
    parts = answer if isinstance(answer, tuple) else (answer,)
    return [paths[id(part)] for part in parts if id(part) in paths]


if __name__ == "__main__":
    # Under its own name: what is pickled says where its class is from.
    importlib.import_module("headcheck.tracing.timm_older").main(*sys.argv[1:])
