"""What the catalog keeps of fastai: how much of each of torchvision's classifiers is the body of a vision model, and
how many channels that answers. The head is worked out (see `headcheck.catalog.fastai`).

What is kept is proven: with fastai's head for seven classes behind it, a body answers seven.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from headcheck.catalog.files import FORMAT
from headcheck.tracing import write
from headcheck.tracing.build import on_meta

#: As values without types, so that this file can be checked where the library is not installed.
fastai: Any = importlib.import_module("fastai")
torchvision: Any = importlib.import_module("torchvision")
_learner: Any = importlib.import_module("fastai.vision.learner")
#: For how many classes the heads are that prove what is kept.
CLASSES = 7


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace the body of each classifier of torchvision, and return the parts of the file."""
    names = torchvision.models.list_models(module=torchvision.models)
    kinds: dict[tuple[int, int], list[str]] = {}
    for number, name in enumerate(names):
        progress(number, len(names), name)
        found = body(name)
        if found is not None:
            kinds.setdefault(found, []).append(name)
    return {
        "format": FORMAT,
        "library": "fastai",
        "versions": {"fastai": fastai.__version__},
        "namespaces": {},
        "layers": {},
        "kinds": [[kept, channels, " ".join(alike)] for (kept, channels), alike in sorted(kinds.items())],
        **write.Table().data(),
    }


def body(name: str) -> tuple[int, int] | None:
    """Return how many children of a model are its body, and how many channels the map has that they answer; None where
    fastai can make nothing of it."""
    builder: Any = torchvision.models.get_model_builder(name)
    cut = _learner.model_meta.get(builder, {}).get("cut")
    model = on_meta(lambda: builder(**quick(name))).eval()
    try:
        part: Any = _learner.create_body(model, pretrained=False, cut=cut).eval()
        features = _learner.num_features_model(nn.Sequential(*part.children()))
        whole: Any = on_meta(lambda: _learner.add_head(part, features, CLASSES)).eval()
        picture = torch.zeros(2, 3, 224, 224, device="meta")
        with torch.no_grad():
            found, answer = part(picture), whole(picture)
    except (AttributeError, RuntimeError, StopIteration, TypeError, ValueError):
        return None  # It has no pooling to be cut at, or what is left does not run in a row.
    proven = found.dim() == 4 and found.shape[1] == features and tuple(answer.shape) == (2, CLASSES)
    assert all(one is other for one, other in zip(part.children(), model.children(), strict=False)), name
    return (len(part), int(features)) if proven else None


def quick(name: str) -> dict[str, bool]:
    """What spares a model the random numbers that take it seconds."""
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
