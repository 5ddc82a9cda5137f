"""Arguments of torchvision's builders whose values nobody knows: those that change no part of a model are let pass, and
one that may change its parts leaves nothing to say."""

from __future__ import annotations

import pytest

from headcheck import pipeline

START = """
from torch import nn
from torchvision import models
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from settings import value, values
"""


def found(build: str, replace: str) -> list[str]:
    text = f"{START}\nmodel = models.{build}\n{replace}\n"
    return [finding.code for finding in pipeline.check_text(text, "train.py")]


@pytest.mark.parametrize(
    "build",
    [
        "efficientnet_b0(weights='DEFAULT', dropout=value)",
        "efficientnet_b0(weights='DEFAULT', stochastic_depth_prob=values[0], dropout=0.3)",
        "efficientnet_b0(weights='DEFAULT', num_classes=1000, dropout=value.rate)",
        "get_model('efficientnet_b0', weights='DEFAULT', dropout=value)",
    ],
)
def test_arguments_that_change_no_part(build: str) -> None:
    assert found(build, "model.classifier[1] = nn.Linear(512, 3)") == ["HC101"]
    assert found(build, "model.classifier[1] = nn.Linear(1280, 3)") == []


@pytest.mark.parametrize("argument", ["min_size=value", "box_score_thresh=value", "image_mean=[value, value, value]"])
def test_arguments_of_detectors(argument: str) -> None:
    build = f"detection.fasterrcnn_resnet50_fpn(weights='DEFAULT', {argument})"
    place = "model.roi_heads.box_predictor"
    assert found(build, f"{place} = FastRCNNPredictor(512, 3)") == ["HC101"]
    assert found(build, f"{place} = FastRCNNPredictor({place}.cls_score.in_features, 3)") == []


@pytest.mark.parametrize(
    "build, replace",
    [
        ("resnet18(norm_layer=value)", "model.fc = nn.Linear(7, 3)"),
        ("resnet50(width_per_group=value)", "model.fc = nn.Linear(7, 3)"),
        ("vit_b_16(representation_size=value)", "model.heads.head = nn.Linear(7, 3)"),
        ("efficientnet_b0(dropout=value, **values)", "model.classifier[1] = nn.Linear(7, 3)"),
        (
            "detection.fasterrcnn_resnet50_fpn(box_head=value)",
            "model.roi_heads.box_predictor = FastRCNNPredictor(7, 3)",
        ),
    ],
)
def test_arguments_that_may_change_parts(build: str, replace: str) -> None:
    assert found(build, replace) == []
