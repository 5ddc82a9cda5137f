"""Tensors that are changed where they are: labels that are made fewer, and shapes that are others from there on."""

import pytest

from headcheck import pipeline

SCRIPT = """
import torch
from torch import nn
from torchvision import datasets, models, transforms

dataset = datasets.CIFAR10("data", transform=transforms.ToTensor())
model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(512, {outputs})
for pictures, labels in torch.utils.data.DataLoader(dataset, batch_size=8):
    {change}
    {loss}
"""
CLASSES = "nn.functional.cross_entropy(model(pictures), labels).backward()"
PAIRS = "nn.functional.binary_cross_entropy_with_logits(model(pictures), labels).backward()"


def found(change, loss=CLASSES, outputs=2):
    text = SCRIPT.format(change=change, loss=loss, outputs=outputs)
    return [finding.code for finding in pipeline.check_text(text, "script.py") if finding.severity == "error"]


@pytest.mark.parametrize(
    "change",
    [
        "labels[labels > 1] = 1",
        "labels[0] = 1",
        "labels.clamp_(max=1)",
        "labels.remainder_(2)",
        "labels.copy_(labels > 4)",
        "labels = labels.cuda(); labels[labels == 9] = 0",
        "for i in range(len(labels)): labels[i] = int(labels[i] > 4)",
    ],
)
def test_labels_that_were_changed_are_not_those_of_the_dataset(change):
    assert found(change) == []


@pytest.mark.parametrize("change", ["pictures[0] = 1", "pictures.mul_(2)", "others = labels % 2; others[0] = 1"])
def test_labels_that_were_left_alone_are(change):
    assert found(change) == ["HC104"]


def test_a_shape_is_another_one():
    assert found("labels = labels.float()", PAIRS, 1) == ["HC109"]
    assert found("labels = labels.float(); labels.unsqueeze_(1)", PAIRS, 1) == []
    assert found("labels = labels.float().unsqueeze(1); labels.squeeze_(1)", PAIRS, 1) == ["HC109"]
    assert found("labels = labels.float(); labels.resize_(8, 1)", PAIRS, 1) == []
    assert found("labels = labels.float(); labels.data = labels.view(8, 1)", PAIRS, 1) == []


def test_numbers_are_others_in_the_same_shape():
    assert found("labels = labels.float(); labels.sub_(1)", PAIRS, 1) == ["HC109"]
