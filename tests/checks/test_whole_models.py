"""Models of which not every parameter is known by name: what an optimizer gets of them, and whether that is frozen."""

from headcheck import pipeline

MADE = """
from torch import optim
from transformers import ViTForImageClassification

model = ViTForImageClassification.from_pretrained("google/vit-base-patch16-224-in21k", num_labels=2)
{}
optimizer = optim.AdamW(model.parameters())
"""
SPARE = "for name, p in model.named_parameters():\n    p.requires_grad = {} in name"


def found(text):
    return [finding.code for finding in pipeline.check_text(MADE.format(text), "script.py")]


def test_a_model_that_was_never_frozen_learns():
    assert found("") == []
    assert "HC302" not in found("model.classifier.requires_grad_(False)")
    assert found("model.vit.requires_grad_(False)") == []


def test_one_that_is_frozen_whole_does_not():
    assert found("model.requires_grad_(False)") == ["HC302"]
    assert found("model.vit.requires_grad_(False)\nmodel.classifier.requires_grad_(False)") == ["HC302"]
    assert found(SPARE.format("'classifier'")) == []
    assert found(SPARE.format("'fc'")) != []
