"""The catalog's facts on segmentation_models_pytorch, tried on the models themselves."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from headcheck.catalog import smp

torch = pytest.importorskip("torch")
pytest.importorskip("segmentation_models_pytorch")

from torch import nn  # noqa: E402

from headcheck.tracing.build import on_meta  # noqa: E402

CLASSES = 7
#: Encoders of several kinds: what reaches the head is the same with each that an architecture takes.
ENCODERS = ("resnet34", "efficientnet-b0", "mobilenet_v2", "mit_b0")
OWN = {"DPT": ("tu-vit_base_patch16_224.augreg_in21k",)}


def built(name: str, **keywords: Any) -> Any:
    library: Any = importlib.import_module("segmentation_models_pytorch")
    return on_meta(lambda: getattr(library, name)(encoder_weights=None, **keywords))


@pytest.mark.parametrize("name", smp.names())
def test_a_new_head_where_the_catalog_says(name: str) -> None:
    entry = smp.find(name, 4, False) or pytest.fail(name)
    (head,) = entry.heads
    sides, tried = {"DPT": 224}, 0
    for encoder in OWN.get(name, ENCODERS):
        try:
            model = built(name, encoder_name=encoder, classes=4)
        except ValueError:  # the library itself says that these do not go together
            continue
        tried += 1
        assert list(entry.root.children) == [child for child, part in model._modules.items() if part is not None]
        layer = model.get_submodule(head.path)
        assert (type(layer), layer.in_channels, layer.out_channels) == (nn.Conv2d, head.in_features, 4)
        assert list(entry.root.children["segmentation_head"].children) == list(model.segmentation_head._modules)
        parent, _, last = head.path.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Conv2d(head.in_features, CLASSES, 1, device="meta"))
        side = sides.get(name, 128)
        with torch.no_grad():
            answer = model.eval()(torch.empty(2, 3, side, side, device="meta"))
        assert answer.shape[:2] == (2, CLASSES)
    assert tried >= min(2, len(OWN.get(name, ENCODERS)))


def test_every_architecture_is_there() -> None:
    library: Any = importlib.import_module("segmentation_models_pytorch")
    assert set(smp.names()) == {each.__name__ for each in library.MODEL_ARCHITECTURES_MAPPING.values()}
