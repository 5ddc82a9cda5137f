"""Attributes that come to the parts of a model otherwise than by an assignment of their name."""

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


COMPUTED = [
    "setattr(model, ours.name, 3)",
    "for name in ours.names: setattr(model, name + '_aux', 3)",
    "for name in ours.names: model.add_module(name, nn.Linear(3, 4))",
    "for name in ours.names: model._modules[name] = nn.Linear(3, 4)",
    "for name in ours.names: model.register_buffer(name, ours.masks[name])",
    "vars(model)['seg_aux'] = 3",
    "model.__dict__.update(ours.names)",
]


@pytest.mark.parametrize("change", COMPUTED)
def test_a_name_that_is_computed_may_be_any(change):
    assert found(change, "model.seg_aux") == []
    assert found(change, "model.classifier") == []
    assert found(change.replace("model", "models.vgg11()"), "model.classifier") == ["HC202"]


@pytest.mark.parametrize("change", ["if ours.wanted: model.seg_aux = 3", "nn.Module.seg_aux = 3"])
def test_a_name_that_no_model_of_the_library_has_is_somebodys_own(change):
    assert found(change, "model.seg_aux") == []
    assert found(change, "model.other_aux") == (["HC202"] if change[0] == "i" else [])
    assert found(change, "model.classifier") == ["HC202"]


SETTINGS = [
    "torch.backends.cudnn.benchmark = True",
    "from torch.backends import cudnn\ncudnn.deterministic = True",
    "from PIL import ImageFile\nImageFile.LOAD_TRUNCATED_IMAGES = True",
    "import pandas\npandas.options.mode.chained_assignment = None",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_set_of_a_library_without_modules_is_no_part_of_one(setting):
    assert found(setting, "model.other_aux") == ["HC202"]
    assert found(setting, "model.training") == []


LATER = [
    "size = model.fc2.in_features\nmodel.fc2 = nn.Linear(size, 4)",
    "model.fc2 = nn.Linear(model.fc2.in_features, 4)",
    "def change():\n    model.fc2 = nn.Linear(model.fc2.in_features, 4)\nchange()",
    "if True:\n    size = model.fc2.in_features\nmodel.fc2 = nn.Linear(size, 4)",
    "model.cut = nn.Linear(model.fc2.in_features, 4)\nwhile ours.wanted():\n    model.fc2 = nn.Linear(4, 4)",
]
EARLIER = [
    "for i in range(2):\n    if i: print(model.fc2)\n    model.fc2 = 3",
    "if ours.wanted: model.fc2 = 3\nprint(model.fc2)",
    "def change():\n    model.fc2 = 3\nours.each(change)\nprint(model.fc2)",
]


@pytest.mark.parametrize("change", LATER)
def test_what_is_put_in_after_a_name_was_read_was_not_there(change):
    assert found(change, "model") == ["HC202"]


@pytest.mark.parametrize("change", EARLIER)
def test_what_may_be_put_in_before_a_name_is_read_may_be_there(change):
    assert found(change, "model") == []


def test_what_is_kept_of_a_parameter_is_a_tensor_of_its_own():
    kept = "weight = layer.weight.data\nweight.requires_grad = {}"
    assert found(kept.format(True), "torch.autograd.grad(weight.sum(), weight)") == []
    assert found(kept.format(False), "weight") == ["HC303"]
    assert found("layer.weight.data.requires_grad = True", "layer") == ["HC303"]


PRUNED = [
    "layer.weight.data = layer.weight.data[ours.kept]",
    "layer.weight = nn.Parameter(layer.weight[:256])\nlayer.out_channels = 256",
    "pruned = nn.Conv2d(256, len(ours.kept), 3)\npruned.weight.data = layer.weight.data[ours.kept]\n"
    "model.layer4[1].conv2 = pruned",
    "for one in model.modules():\n    if isinstance(one, nn.Conv2d):\n        one.weight.data = one.weight[ours.kept]",
]
NEW_HEAD = "\nmodel.fc = nn.Linear(256, 2)\nmodel(ours.pictures)"


@pytest.mark.parametrize("change", PRUNED)
def test_a_pruned_layer_answers_nobody_knows_how_much(change):
    assert found("layer = model.layer4[1].conv2\n" + change + NEW_HEAD, "model") == []


def test_a_stem_for_other_pictures_answers_as_much_as_before():
    change = "layer.weight = nn.Parameter(layer.weight.sum(1, keepdim=True))"
    assert found(change + NEW_HEAD, "model") == ["HC101"]
    assert found(NEW_HEAD, "model") == ["HC101"]


def test_a_layer_put_in_under_a_computed_name_says_nothing_of_sizes():
    text = """
from torch import nn
from torchvision import models

def change_head(model, n):
    name, layer = list(model.named_children())[-1]
    setattr(model, name, nn.Linear(layer.in_features, n))
    return model

change_head(models.{name}(weights="DEFAULT"), 7)
"""
    findings = [pipeline.check_text(text.format(name=name), "script.py") for name in ("vgg11", "resnet18")]
    assert [[(f.location.row, f.code) for f in each] for each in findings] == [[(7, "HC202")], []]
