"""What only looks at a model: which class it is of, what a record says of it, a summary."""

from __future__ import annotations

import pytest

from tests.reading import found

ASKED = """
from backbones import {name}

def new_head(model):
    if {test}:
        model.fc = nn.Linear(4096, 5)
    return model

new_head(models.vgg16(weights="DEFAULT"))
"""


@pytest.mark.parametrize(
    ("name", "test", "rows"),
    [
        ("ResNet", "isinstance(model, ResNet)", []),
        ("ResNet", "isinstance(model, (ResNet, models.ResNet))", []),
        ("ResNet", "not isinstance(model, ResNet)", [5]),
        ("VGG", "isinstance(model, VGG)", [5]),
        ("VGG", "isinstance(model, models.ResNet)", []),
        ("VGG", "isinstance(model, models.VGG)", [5]),
    ],
)
def test_a_model_is_asked_for_a_class_that_nobody_knows(name, test, rows):
    assert found(ASKED.format(name=name, test=test)) == [(row, "HC201") for row in rows]


OWN_CLASS = """
{imports}

model = {built}
if isinstance(model, {asked}):
    model.{right} = nn.Linear({size}, 5)
else:
    model.other = nn.Linear({size}, 5)
"""


@pytest.mark.parametrize(
    ("imports", "built", "asked", "right", "size"),
    [
        ("import timm", "timm.create_model('resnet18')", "timm.models.ResNet", "fc", 512),
        ("import timm", "timm.create_model('resnet18')", "timm.models.resnet.ResNet", "fc", 512),
        ("import timm", "timm.create_model('deit_base_patch16_224')", "timm.models.VisionTransformer", "head", 768),
        (
            "from efficientnet_pytorch import EfficientNet",
            "EfficientNet.from_name('efficientnet-b0')",
            "EfficientNet",
            "_fc",
            1280,
        ),
        (
            "from transformers import PreTrainedModel, ViTForImageClassification",
            "ViTForImageClassification.from_pretrained('google/vit-base-patch16-224')",
            "PreTrainedModel",
            "classifier",
            768,
        ),
    ],
)
def test_a_model_is_asked_for_its_own_class(imports, built, asked, right, size):
    assert found(OWN_CLASS.format(imports=imports, built=built, asked=asked, right=right, size=size)) == []


RECORDED = """
import smdebug.pytorch as smd
import thop, wandb
from torch.utils.tensorboard import SummaryWriter

hook, run, writer = smd.Hook.create_from_json_file(), wandb.init(), SummaryWriter()
model = models.resnet18(weights="DEFAULT")
model.requires_grad_(False)
model.fc = nn.Linear(512, 3)
{call}
optimizer = torch.optim.SGD(model.layer4.parameters(), lr=0.1)
"""


@pytest.mark.parametrize(
    ("call", "rows"),
    [
        ("wandb.watch(model, log='all')", [10]),
        ("run.watch(models=[model])", [10]),
        ("hook.register_hook(model)", [10]),
        ("writer.add_graph(model, torch.rand(1, 3, 64, 64))", [10]),
        ("print(thop.profile(model, inputs=(torch.rand(1, 3, 64, 64),)))", [10]),
        ("improve(model)", []),
    ],
)
def test_what_only_keeps_a_record_of_a_model(call, rows):
    """Nothing that is handed to other code can be said to have missed the optimizer."""
    assert found(RECORDED.format(call=call)) == [(row, "HC402") for row in rows]


SUMMARY = """
from torchinfo import summary

model = models.efficientnet_b0()
for p in model.parameters():
    p.requires_grad = False
model.classifier[1] = nn.Linear(1280, 5)
{use}
"""


@pytest.mark.parametrize(
    ("use", "rows"),
    [
        ("summary(model, (1, 3, 224, 224))", []),
        ("", [5]),
        ("summary(model, (1, 3, 224, 224))\nmodel(torch.rand(1, 3, 224, 224)).sum().backward()", [5]),
        ("optimizer = torch.optim.Adam(model.classifier.parameters())\nsummary(model)", [5]),
    ],
)
def test_a_model_of_which_no_more_than_a_summary_is_wanted(use, rows):
    assert found(SUMMARY.format(use=use)) == [(row, "HC307") for row in rows]


SUMMARISED = """
from {library} import summary

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = models.resnet18(weights="DEFAULT").to(device)
model.fc = nn.Linear(512, 3)
summary(model, {given})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for images, labels in loader:
    nn.CrossEntropyLoss()(model(images.to(device)), labels.to(device)).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("library", "given", "rows"),
    [
        ("torchinfo", "(1, 3, 224, 224)", []),
        ("torchinfo", "input_size=(1, 3, 224, 224), device=device", []),
        ("torchinfo", "input_data=pictures", [5]),
        ("torchsummary", "(3, 224, 224)", [5]),
    ],
)
def test_torchinfo_moves_a_model_to_run_it(library, given, rows):
    """Seen in its source: `forward_pass` moves the model to what `get_device` answers, which is None for input_data."""
    moved = [row for row, code in found(SUMMARISED.format(library=library, given=given)) if code == "HC403"]
    assert moved == rows


BY_TYPE = """
def new_head(model):
    if {test}:
        model.fc = nn.Linear(512, 5)
    else:
        model.head = nn.Linear(768, 5)

new_head(models.{name}(weights="DEFAULT"))
"""


@pytest.mark.parametrize(
    ("name", "test", "rows"),
    [
        ("resnet18", "type(model) == models.ResNet", []),
        ("swin_t", "type(model) == models.ResNet", []),
        ("swin_t", "type(model) is models.resnet.ResNet", []),
        ("swin_t", "type(model) in (models.ResNet, models.GoogLeNet)", []),
        ("swin_t", "type(model) != models.ResNet", [3]),
        ("resnet18", "type(model) == models.SwinTransformer", [5]),
        ("resnet18", "type(model) in (models.VGG, models.ResNet)", []),
    ],
)
def test_the_class_of_a_model_is_compared_with_one_of_its_library(name, test, rows):
    assert found(BY_TYPE.format(name=name, test=test)) == [(row, "HC201") for row in rows]
