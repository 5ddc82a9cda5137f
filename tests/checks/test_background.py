"""HC104, HC111, HC114: the classes of a detection model, of which the background is one."""

from __future__ import annotations

import pytest

from headcheck.analysis import analyse

START = """
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

target = {"boxes": torch.tensor([[10.0, 10.0, 50.0, 50.0]]), "labels": torch.tensor([3])}
model = detection.BUILDER
"""
ROWS = START.count("\n")


def found(builder: str, *lines: str) -> list[tuple[int, str]]:
    text = START.replace("BUILDER", builder) + "\n".join(lines)
    result = analyse(text, "train.py")
    return [
        (each.location.row - ROWS, each.code) for each in result.findings if each.code in ("HC104", "HC111", "HC114")
    ]


RCNN, MASKS = 'fasterrcnn_resnet50_fpn(weights="DEFAULT")', 'maskrcnn_resnet50_fpn(weights="DEFAULT")'
CALL = "model([torch.rand(3, 64, 64)], [target])"
BOXES = "model.roi_heads.box_predictor = FastRCNNPredictor(1024, {})"
PICTURES = "model.roi_heads.mask_predictor = MaskRCNNPredictor(256, 256, {})"


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        ("ssd300_vgg16(num_classes=1)", [(0, "HC114")]),
        ("ssdlite320_mobilenet_v3_large(num_classes=1)", [(0, "HC114")]),
        ("keypointrcnn_resnet50_fpn(num_classes=1)", [(0, "HC114")]),
        ("keypointrcnn_resnet50_fpn(num_classes=2)", []),
        ("retinanet_resnet50_fpn(num_classes=1)", []),
        ("fcos_resnet50_fpn(num_classes=1)", []),
    ],
)
def test_a_single_class(builder: str, expected: list[tuple[int, str]]) -> None:
    assert found(builder) == expected


def test_a_part_of_the_scripts_own_may_count_otherwise() -> None:
    assert found(RCNN, BOXES.format(1)) == [(1, "HC114")]
    assert found(RCNN, BOXES.format(1), "model.roi_heads.forward = lambda *given: given") == []
    own = ("class Own(nn.Module):", "    def __init__(self):", "        super().__init__()")
    own = (*own, "        self.cls_score = nn.Linear(1024, 1)", "model.roi_heads.box_predictor = Own()")
    assert found(RCNN, *own) == []


@pytest.mark.parametrize("classes", [3, 4, 91])
@pytest.mark.parametrize("builder", ["ssd300_vgg16", "retinanet_resnet50_fpn", "fcos_resnet50_fpn"])
def test_labels_in_the_targets(builder: str, classes: int) -> None:
    assert found(f"{builder}(num_classes={classes})", CALL) == ([(1, "HC104")] if classes == 3 else [])


def test_targets_count_in_train_mode_only() -> None:
    assert found(RCNN, BOXES.format(3), "model.eval()", CALL, "model.train()", CALL) == [(5, "HC104")]
    assert found(RCNN, BOXES.format(3), CALL.replace("[target]", "targets=[target, target]")) == [(2, "HC104")]
    assert found(RCNN, BOXES.format(3), CALL.replace("[target]", "load()")) == []


def test_masks_for_fewer_classes_than_boxes() -> None:
    assert found(MASKS, BOXES.format(4), PICTURES.format(3)) == [(2, "HC111")]
    assert found(MASKS, PICTURES.format(3)) == []
    assert found(MASKS, BOXES.format(4), PICTURES.format(4)) == found(MASKS, BOXES.format(4)) == []
