"""Attributes that code which is not read, or a function of torch, puts on the parts of a model."""

import pytest

from headcheck import pipeline

SCRIPT = """
import torch
from torch import nn
from torch.nn.utils import parametrize, parametrizations, prune, spectral_norm, weight_norm
from torchvision import models

import ours

model = models.resnet18(weights="DEFAULT")
layer = model.conv1
{change}
print({read})
"""
CHANGES = {
    "prune.ln_structured(layer, 'weight', 0.5, n=1, dim=0)": "layer.weight_mask",
    "prune.global_unstructured([(layer, 'weight')], prune.L1Unstructured, amount=0.5)": "layer.weight_orig",
    "weight_norm(layer)": "layer.weight_g",
    "spectral_norm(layer)": "layer.weight_u",
    "parametrizations.weight_norm(layer)": "layer.parametrizations",
    "parametrize.register_parametrization(layer, 'weight', nn.Identity())": "layer.parametrizations.weight",
    "torch.ao.quantization.prepare_qat(model, inplace=True)": "layer.weight_fake_quant",
    "ours.prune(model)": "layer.mask",
}


def found(change, read):
    return [f.code for f in pipeline.check_text(SCRIPT.format(change=change, read=read), "script.py")]


@pytest.mark.parametrize("change, read", CHANGES.items())
def test_what_was_put_on_a_part_is_there(change, read):
    assert found(change, read) == []
    assert found("nn.init.zeros_(layer.weight)", read) == ["HC202"]


def test_nobody_gives_a_model_the_head_of_another():
    assert found("ours.prune(model)", "model.classifier") == ["HC202"]
