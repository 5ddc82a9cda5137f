"""Every head of torchvision that is taken apart against the real one: the same parts with the same parameters."""

from __future__ import annotations

import importlib

import pytest

from headcheck.interpreter import access, heap
from headcheck.semantics.layers import COMPOSITES
from headcheck.semantics.predictors import RECIPES
from tests.reading import only, raw

torch = pytest.importorskip("torch")

SSD_LISTS = "[672, 480, 512], [6, 6, 4]"
CALLS = {
    "FCNHead": ["2048, 7", "in_channels=40, channels=3"],
    "DeepLabHead": ["2048, 7", "960, 7, (6, 12)"],
    "LRASPPHead": ["40, 960, 7, 128"],
    "FastRCNNPredictor": ["1024, 7", "num_classes=3, in_channels=8"],
    "TwoMLPHead": ["256 * 7 * 7, 64"],
    "MaskRCNNPredictor": ["256, 64, 7"],
    "KeypointRCNNPredictor": ["512, 11"],
    "RetinaNetClassificationHead": [
        "256, 9, 7",
        "in_channels=64, num_anchors=3, num_classes=2, norm_layer=partial(nn.GroupNorm, 32)",
    ],
    "RetinaNetRegressionHead": ["256, 9"],
    "FCOSClassificationHead": ["256, 1, 7", "64, 2, 7, num_convs=2", "64, 1, 5, norm_layer=partial(nn.GroupNorm, 16)"],
    "FCOSRegressionHead": ["256, 1"],
    "SSDClassificationHead": [f"{SSD_LISTS}, 7"],
    "SSDRegressionHead": [SSD_LISTS],
    "SSDLiteClassificationHead": [
        f"{SSD_LISTS}, 7, nn.BatchNorm2d",
        f"{SSD_LISTS}, 7, partial(nn.BatchNorm2d, eps=0.001)",
    ],
    "SSDLiteRegressionHead": [f"{SSD_LISTS}, nn.BatchNorm2d"],
    "RetinaNetHead": ["256, 9, 7", "64, 3, 2, norm_layer=partial(nn.GroupNorm, 32)"],
    "FCOSHead": ["256, 1, 7", "64, num_anchors=2, num_classes=7, num_convs=2"],
    "SSDHead": [f"{SSD_LISTS}, 7"],
    "SSDLiteHead": [f"{SSD_LISTS}, 7, nn.BatchNorm2d"],
}
HOMES = {kind.rsplit(".", 1)[-1]: kind.rsplit(".", 1)[0] for kind in COMPOSITES}
CASES = [(name, call) for name in RECIPES for call in CALLS[name]]


@pytest.mark.parametrize("name, call", CASES)
def test_parts_are_those_of_the_real_head(name, call):
    script = f"from functools import partial\nfrom {HOMES[name]} import {name}\nhead = {name}({call})\n"
    execution = only(script)
    ref = raw(execution, "head")
    listing = heap.list_parameters(execution.state, ref)
    assert listing.complete
    ours = [(path, access.shape_of(execution.state, parameter)) for path, parameter in listing.items]
    names = {}
    with torch.device("meta"):
        exec(f"from torch import nn\n{script}", names)
    assert ours == [(path, tuple(parameter.shape)) for path, parameter in names["head"].named_parameters()]
    parts = {path: execution.kind(part) for path, part in heap.subtree(execution.state, ref)}
    for path, module in names["head"].named_modules():
        kind = type(module)
        assert parts[path].rsplit(".", 1)[-1] == kind.__name__
        assert getattr(importlib.import_module(parts[path].rsplit(".", 1)[0]), kind.__name__) is kind
    assert len(parts) == len(list(names["head"].named_modules()))


def test_an_unknown_number_of_classes_is_left_open():
    execution = only(
        "from torchvision.models.detection.faster_rcnn import FastRCNNPredictor\nhead = FastRCNNPredictor(8, n)\n"
    )
    listing = heap.list_parameters(execution.state, raw(execution, "head"))
    assert [path for path, _ in listing.items] == [
        "cls_score.weight",
        "cls_score.bias",
        "bbox_pred.weight",
        "bbox_pred.bias",
    ]


def test_unknown_lists_leave_the_parts_open():
    script = """
        from torchvision.models.detection.ssd import SSDClassificationHead
        head = SSDClassificationHead(sizes, anchors, 3)
    """
    execution = only(script)
    assert not heap.list_parameters(execution.state, raw(execution, "head")).complete
