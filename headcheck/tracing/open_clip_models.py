"""Everything the catalog keeps of open_clip: how wide the features of a picture are, model by model.

Some text towers come from another hub, so only the towers for pictures are made; they say all that is kept.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from headcheck.catalog.files import FORMAT
from headcheck.tracing import write
from headcheck.tracing.build import TracingError, on_meta

#: As a value without types, so that this file can be checked where the library is not installed.
library: Any = importlib.import_module("open_clip")


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace the tower for pictures of every model and return the parts of the catalog file."""
    table, found, names = write.Table(), {}, sorted(library.list_models())
    for number, name in enumerate(names):
        progress(number, len(names), name)
        found[name] = _row(table, name)
    return {
        "format": FORMAT,
        "library": "open_clip",
        "versions": {"open_clip_torch": library.__version__},
        "namespaces": {},
        "layers": {},
        "towers": found,
        "repositories": repositories(found),
        **table.data(),
    }


def repositories(rows: Mapping[str, list[Any]]) -> dict[str, str]:
    """Return the repositories on the hub that the library itself lists, by the first of the models that they hold; but
    for those that several models name of which not the same is known."""
    table: Any = importlib.import_module("open_clip.pretrained")._PRETRAINED
    holders: dict[str, list[str]] = {}
    for name, weights in table.items():
        for each in weights.values():
            if each.get("hf_hub"):
                holders.setdefault("/".join(each["hf_hub"].split("/")[:2]), []).append(name)
    found: dict[str, list[str]] = {}
    for repository, names in sorted(holders.items()):
        if all(name in rows and rows[name] == rows[names[0]] for name in names):
            found.setdefault(min(names), []).append(repository)
    return {name: " ".join(listed) for name, listed in sorted(found.items())}


def tower(name: str) -> nn.Module:
    """Return the tower for pictures of a model, without weights."""
    config: Mapping[str, Any] = library.get_model_config(name)
    build: Any = importlib.import_module("open_clip.model")._build_vision_tower
    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    made: nn.Module = build(config["embed_dim"], vision, config.get("quick_gelu", False))
    return made


def side(model: nn.Module) -> int:
    """Return how large the pictures of a tower are."""
    size: Any = model.image_size
    return int(size if isinstance(size, int) else size[0])


def _row(table: write.Table, name: str) -> list[Any]:
    """Return the width of the features, that which the tower says itself, the side of a picture, the names of the
    tower's parts, and whether the features are all that it answers."""
    model = on_meta(lambda: tower(name)).eval()
    pixels = side(model)
    with torch.no_grad():
        answer = model(torch.zeros((2, 3, pixels, pixels), device="meta"))
    alone = not isinstance(answer, tuple)  # else with the tokens that a decoder of texts takes
    answer = answer if alone else answer[0]
    if answer.dim() != 2:
        raise TracingError(f"the features of {name} are no vector")
    parts = [each for each, child in model._modules.items() if child is not None]
    return [answer.shape[1], getattr(model, "output_dim", None), pixels, table.names(parts), alone]
