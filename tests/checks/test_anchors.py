"""HC113: the heads of a detection model answer for the same anchors."""

from __future__ import annotations

import pytest

from headcheck.analysis import analyse

PREAMBLE = """\
from functools import partial
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.models.detection.retinanet import RetinaNetClassificationHead, RetinaNetRegressionHead
from torchvision.models.detection.ssd import SSDClassificationHead
from torchvision.models.detection.ssdlite import SSDLiteClassificationHead
"""
MAPS = "[512, 1024, 512, 256, 256, 256]"
LITE = "[672, 480, 512, 256, 256, 128]"


def found(builder: str, *lines: str) -> list[tuple[int, str]]:
    script = "\n".join(
        [f"m = detection.{builder}()", "classes, boxes = m.head.classification_head, m.head.regression_head"]
    )
    result = analyse(PREAMBLE + "\n".join([script, *lines]), "train.py")
    return [(each.location.row - 9, each.code) for each in result.findings if each.code == "HC113"]


RETINANET = "m.head.classification_head = RetinaNetClassificationHead(256, {}, 5)"
SSD = f"m.head.classification_head = SSDClassificationHead({MAPS}, {{}}, 5)"
SSDLITE = f"m.head.classification_head = SSDLiteClassificationHead({LITE}, {{}}, 5, partial(nn.BatchNorm2d))"


@pytest.mark.parametrize(
    ("builder", "line", "right", "wrong"),
    [
        ("retinanet_resnet50_fpn", RETINANET, ["9", "classes.num_anchors", "n"], ["3", "1"]),
        ("retinanet_resnet50_fpn_v2", RETINANET, ["9"], ["3"]),
        ("fcos_resnet50_fpn", "m.head.classification_head = FCOSClassificationHead(256, {}, 5)", ["1"], ["9"]),
        (
            "ssd300_vgg16",
            SSD,
            ["[4, 6, 6, 6, 4, 4]", "m.anchor_generator.num_anchors_per_location()"],
            ["[4, 4, 4, 4, 4, 4]"],
        ),
        ("ssdlite320_mobilenet_v3_large", SSDLITE, ["[6, 6, 6, 6, 6, 6]"], ["[4, 6, 6, 6, 4, 4]"]),
    ],
)
def test_a_new_head_for_the_classes(builder: str, line: str, right: list[str], wrong: list[str]) -> None:
    for anchors in right:
        assert found(builder, line.format(anchors)) == []
    for anchors in wrong:
        assert found(builder, line.format(anchors)) == [(1, "HC113")]


def test_both_heads_are_new() -> None:
    boxes = "m.head.regression_head = RetinaNetRegressionHead(256, {})"
    assert found("retinanet_resnet50_fpn", RETINANET.format(3), boxes.format(3)) == []
    assert found("retinanet_resnet50_fpn", RETINANET.format(3), boxes.format(9)) == [(1, "HC113")]
    assert found("retinanet_resnet50_fpn", boxes.format(3)) == [(1, "HC113")]


WHOLE = """\
from functools import partial
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.ssd import SSDHead
"""


@pytest.mark.parametrize(
    ("builder", "right", "wrong"),
    [
        ("retinanet_resnet50_fpn", "RetinaNetHead(256, 9, 5)", "RetinaNetHead(128, 9, 5)"),
        ("fcos_resnet50_fpn", "FCOSHead(256, 1, 5)", "FCOSHead(64, 1, 5)"),
        ("ssd300_vgg16", f"SSDHead({MAPS}, [4, 6, 6, 6, 4, 4], 5)", f"SSDHead({LITE}, [4, 6, 6, 6, 4, 4], 5)"),
    ],
)
def test_the_whole_head_is_new(builder: str, right: str, wrong: str) -> None:
    def all_of(head: str) -> list[tuple[int, str]]:
        result = analyse(f"{WHOLE}m = detection.{builder}()\nm.head = {head}", "train.py")
        return sorted({(each.location.row, each.code) for each in result.findings})

    assert all_of(right) == []
    assert all_of(wrong) == [(8, "HC101")]


def test_a_head_of_the_scripts_own() -> None:
    assert found("retinanet_resnet50_fpn", "m.head.classification_head = MyHead(256, 3, 5)") == []
    assert found("fasterrcnn_resnet50_fpn", "m.roi_heads.box_predictor = nn.Linear(3, 4)") == []
