"""What the catalog keeps of timm's feature extractors (``features_only=True``): how many channels each map has.

A model whose maps are no plain pictures (channels last, a sequence) or that has no extractor is left out, as are the
families that are not looked at.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

from headcheck.catalog.files import FORMAT
from headcheck.tracing import write
from headcheck.tracing.build import on_meta

#: As a value without types, so that this file can be checked where the library is not installed.
timm: Any = importlib.import_module("timm")
#: The families that scripts take maps from, by timm's modules.
_FAMILIES = (
    *("convnext", "densenet", "efficientnet", "mobilenetv3", "regnet", "resnest", "resnet", "vgg"),
    *("byobnet", "cspnet", "dla", "edgenext", "ghostnet", "hrnet", "inception_next", "inception_v3", "inception_v4"),
    *("maxxvit", "mobilevit", "nfnet", "pvt_v2", "repvit", "res2net", "resnetv2", "rexnet", "senet", "sknet"),
    *("tresnet", "vovnet", "xception", "xception_aligned", "xcit"),
)


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace the extractors of the families that are looked at, and return the parts of the file."""
    names = [name for family in _FAMILIES for name in timm.list_models(module=family)]
    kinds: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for number, name in enumerate(names):
        progress(number, len(names), name)
        found = maps(name)
        if found is not None:
            kinds.setdefault(found, []).append(name)
    return {
        "format": FORMAT,
        "library": "timm_features",
        "versions": {"timm": timm.__version__},
        "namespaces": {},
        "layers": {},
        "kinds": [[list(channels), list(chosen), " ".join(alike)] for (channels, chosen), alike in kinds.items()],
        **write.Table().data(),
    }


def maps(name: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the channels of all maps of a model, and which of them its extractor answers untold; None for none."""
    try:
        model: Any = on_meta(lambda: timm.create_model(name, features_only=True)).eval()
        shape = model.default_cfg["input_size"]
        with torch.no_grad():
            found = model(torch.zeros((2, *shape), device="meta"))
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        return None
    channels = tuple(int(info["num_chs"]) for info in model.feature_info.info)
    chosen = tuple(model.feature_info.out_indices)
    plain = len(found) == len(chosen) and all(
        each.dim() == 4 and each.shape[1] == channels[place] and each.shape[2] > 1
        for each, place in zip(found, chosen, strict=True)
    )
    return (channels, chosen) if plain else None
