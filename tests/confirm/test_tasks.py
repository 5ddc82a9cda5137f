"""What models of each task are given, lose by and learn: with boxes, masks and points, maps of labels, clips, pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from confirm_plans import layer, needs_torch, plan

from headcheck import pipeline
from headcheck.confirm.runner import confirm
from headcheck.findings import FileResult
from headcheck.settings import Settings

pytestmark = needs_torch

START = """
import torch
from torch import nn
from torchvision import models
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead
"""
BOXES = """
optimizer = torch.optim.SGD({learning}, lr=0.01)
for images, targets in loader:
    loss = sum(model(images, targets).values())
    loss.backward()
    optimizer.step()
"""
MAPS = """
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD({learning}, lr=0.01)
for x, y in loader:
    out = model(x)
    loss = criterion(out["out"], y) + 0.4 * criterion(out["aux"], y)
    loss.backward()
    optimizer.step()
"""
PAIRS = """
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD({learning}, lr=0.01)
for one, other, y in loader:
    loss = criterion(model(one, other), y)
    loss.backward()
    optimizer.step()
"""
LABELS = """
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD({learning}, lr=0.01)
for x, y in loader:
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
"""


class Task(NamedTuple):
    """A right script, what makes it wrong, and what shows: what learns, the losses, and how the wrong one fails."""

    model: str
    train: str
    wrong: tuple[str, str]
    error: str
    changed: tuple[str, ...]
    loss: str = ""
    learning: str = "model.parameters()"


TASKS = {
    "boxes": Task(
        "model = models.detection.fasterrcnn_mobilenet_v3_large_fpn(weights='DEFAULT')\n"
        "model.roi_heads.box_predictor = FastRCNNPredictor(1024, 3)",
        BOXES,
        ("FastRCNNPredictor(1024", "FastRCNNPredictor(512"),
        "mat1 and mat2 shapes cannot be multiplied (32x1024 and 512x3)",
        ("roi_heads",),
        learning="model.roi_heads.parameters()",
    ),
    "masks": Task(
        "model = models.detection.maskrcnn_resnet50_fpn(weights='DEFAULT')\n"
        "model.roi_heads.box_predictor = FastRCNNPredictor(1024, 2)\n"
        "model.roi_heads.mask_predictor = MaskRCNNPredictor(256, 256, 2)",
        BOXES,
        ("MaskRCNNPredictor(256", "MaskRCNNPredictor(512"),
        "Given transposed=1, weight of size [512, 256, 2, 2], expected input[8, 256, 14, 14] to have 512 channels",
        ("backbone", "rpn", "roi_heads"),
    ),
    "points": Task(
        "model = models.detection.keypointrcnn_resnet50_fpn(weights='DEFAULT')\n"
        "model.roi_heads.keypoint_predictor = KeypointRCNNPredictor(512, 4)",
        BOXES,
        ("KeypointRCNNPredictor(512", "KeypointRCNNPredictor(256"),
        "Given transposed=1, weight of size [256, 4, 4, 4], expected input[8, 512, 14, 14] to have 256 channels",
        ("backbone", "rpn", "roi_heads"),
    ),
    "boxes of one stage": Task(
        "model = models.detection.retinanet_resnet50_fpn(weights='DEFAULT')\n"
        "model.head.classification_head = models.detection.retinanet.RetinaNetClassificationHead(256, 9, 3)",
        BOXES,
        ("ClassificationHead(256", "ClassificationHead(512"),
        "Given groups=1, weight of size [512, 512, 3, 3], expected input[2, 256, 16, 16] to have 512 channels",
        ("head",),
        learning="model.head.parameters()",
    ),
    "maps": Task(
        "model = models.segmentation.deeplabv3_resnet50(weights='DEFAULT')\n"
        "model.classifier = DeepLabHead(2048, 5)\nmodel.aux_classifier = FCNHead(1024, 5)",
        MAPS,
        ("DeepLabHead(2048", "DeepLabHead(512"),
        "Given groups=1, weight of size [256, 512, 1, 1], expected input[2, 2048, 28, 28] to have 512 channels",
        ("classifier", "aux_classifier"),
        loss="CrossEntropyLoss",
        learning="[*model.classifier.parameters(), *model.aux_classifier.parameters()]",
    ),
    "maps, all of them into the loss": Task(
        "model = models.segmentation.fcn_resnet50(weights='DEFAULT')\nmodel.aux_classifier = None",
        LABELS.replace("model(x)", "model(x)['out']"),
        ("model(x)['out']", "model(x)"),
        "argument 'input' (position 1) must be Tensor, not collections.OrderedDict",
        ("backbone", "classifier"),
        loss="CrossEntropyLoss",
    ),
    "clips": Task(
        "model = models.video.r3d_18(weights='DEFAULT')\nmodel.fc = nn.Linear(512, 5)",
        LABELS,
        ("nn.Linear(512", "nn.Linear(2048"),
        "mat1 and mat2 shapes cannot be multiplied (2x512 and 2048x5)",
        ("fc",),
        loss="CrossEntropyLoss",
        learning="model.fc.parameters()",
    ),
}


NETWORK = """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.trunk = models.resnet18(weights="DEFAULT")
        self.trunk.fc = nn.Identity()
        {layers}
    def forward(self, {given}):
        {body}
model = Net(4)
"""


def network(layers: str, given: str, body: str) -> str:
    return NETWORK.format(layers=layers.replace("\n", "\n        "), given=given, body=body.replace("\n", "\n        "))


RECURRENT = "self.memory = nn.LSTM(512, 64, batch_first=True)\nself.head = nn.Linear(64, classes)"
TASKS |= {
    "clips, picture by picture": Task(
        network(
            RECURRENT,
            "clip",
            "b, t, c, h, w = clip.shape\n"
            "told, _ = self.memory(self.trunk(clip.view(b * t, c, h, w)).view(b, t, -1))\n"
            "return self.head(told[:, -1])",
        ),
        LABELS,
        ("nn.Linear(64", "nn.Linear(128"),
        "mat1 and mat2 shapes cannot be multiplied (2x64 and 128x4)",
        ("trunk", "memory", "head"),
        loss="CrossEntropyLoss",
    ),
    "clips, one after another": Task(
        network(
            RECURRENT,
            "clip",
            "seen = []\nfor place in range(clip.size(1)):\n    seen.append(self.trunk(clip[:, place]))\n"
            "told, _ = self.memory(torch.stack(seen, dim=1))\nreturn self.head(told[:, -1])",
        ),
        LABELS,
        ("nn.LSTM(512", "nn.LSTM(1000"),
        "Expected 1000, got 512",
        ("memory", "head"),
        loss="CrossEntropyLoss",
        learning="[{'params': model.memory.parameters()}, {'params': model.head.parameters(), 'lr': 0.1}]",
    ),
    "pairs": Task(
        network(
            "self.head = nn.Linear(1024, 1)",
            "one, other",
            "return self.head(torch.cat([self.trunk(one), self.trunk(other)], dim=1))",
        ),
        PAIRS,
        ("nn.Linear(1024", "nn.Linear(512"),
        "mat1 and mat2 shapes cannot be multiplied (2x1024 and 512x1)",
        ("head",),
        loss="BCEWithLogitsLoss",
        learning="model.head.parameters()",
    ),
    "a picture with words": Task(
        network(
            "self.words = nn.Embedding(1000, 32)\nself.memory = nn.GRU(32, 16, batch_first=True)\n"
            "self.head = nn.Linear(512 + 16, classes)",
            "picture, words",
            "_, told = self.memory(self.words(words))\n"
            "return self.head(torch.cat([self.trunk(picture), told[-1]], dim=1))",
        ),
        LABELS.replace("x, y in", "x, words, y in").replace("model(x)", "model(x, words)"),
        ("nn.Linear(512 + 16", "nn.Linear(512 + 32"),
        "mat1 and mat2 shapes cannot be multiplied (2x528 and 544x4)",
        ("trunk", "words", "memory", "head"),
        loss="CrossEntropyLoss",
    ),
}


def script(task: Task, wrong: bool) -> str:
    text = START + task.model + task.train.format(learning=task.learning)
    assert task.wrong[0] in text
    return text.replace(*task.wrong) if wrong else text


@pytest.fixture(scope="module", params=["cpu", "meta"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileResult]:
    folder = tmp_path_factory.mktemp("tasks")
    for name, task in TASKS.items():
        for kind in ("right", "wrong"):
            (folder / f"{name}_{kind}.py").write_text(script(task, kind == "wrong"))
    settings = Settings(confirm=True, python=sys.executable, device=request.param)
    run = pipeline.run([str(folder)], settings, models=True)
    return {Path(result.filename).stem: result for result in run.files}


@pytest.mark.parametrize("name", TASKS)
def test_the_right_one_learns(name: str, results: dict[str, FileResult]) -> None:
    result, task = results[f"{name}_right"], TASKS[name]
    assert result.findings == ()
    (verdict,) = [model.verdict for model in result.models]
    assert verdict is not None
    assert (verdict.status, verdict.changed, verdict.loss) == ("clean", task.changed, task.loss)


@pytest.mark.parametrize("name", TASKS)
def test_the_wrong_one_is_confirmed(name: str, results: dict[str, FileResult]) -> None:
    (finding,) = results[f"{name}_wrong"].findings
    assert finding.verdict is not None
    assert finding.verdict.status == "confirmed"
    assert TASKS[name].error in finding.verdict.detail


def test_an_argument_of_another_version_proves_nothing() -> None:
    seen = confirm([plan(layer(1, "Linear", 2, 3, later=True))], python=sys.executable, device="cpu").observations[0]
    assert seen.status == "refused"
    assert seen.error.endswith("got an unexpected keyword argument 'later'")
