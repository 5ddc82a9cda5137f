"""How many classes labels speak of: what becomes of it where others are made of them, or some are taken."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(512, 7)
pictures, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 19])
nn.functional.cross_entropy(model(pictures{taken}), {given}).backward()
"""


@pytest.mark.parametrize(
    "given",
    ["labels.clamp(max=6)", "torch.clamp(labels, max=6)", "labels % 7", "labels.remainder(7)", "labels.sign()",
     "labels.abs().fmod(7)", "torch.where(labels > 6, 0, labels)", "(labels > 3).long()", "torch.zeros_like(labels)"],
)  # fmt: skip
def test_labels_that_are_made_of_others_are_others(given):
    assert found(SCRIPT.format(given=given, taken="")) == []


@pytest.mark.parametrize("given", ["labels[:1]", "labels[:-1].long()", "labels[0].unsqueeze(0)"])
def test_some_of_the_labels_need_not_be_the_largest(given):
    assert found(SCRIPT.format(given=given, taken="[:1]")) == []


@pytest.mark.parametrize("given", ["labels", "labels.long()", "labels.view(-1)", "labels[:]", "labels.to('cpu')"])
def test_the_same_labels_are_those(given):
    assert found(SCRIPT.format(given=given, taken="")) == [(4, "HC104")]
