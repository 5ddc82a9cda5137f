"""`isinstance` on the parts of every kind of model: where headcheck answers, it answers as Python does."""

from __future__ import annotations

import importlib

import pytest

from headcheck.interpreter import heap
from headcheck.interpreter.heap import DELETED
from headcheck.ir import Operation
from headcheck.semantics.python import is_kind
from tests.reading import found, only, raw

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("timm")
pytest.importorskip("transformers")
torch.set_num_threads(1)

NAMES = [
    *[f"torch.nn.{n}" for n in (
        "Module", "Linear", "Conv2d", "Conv3d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "Dropout",
        "ReLU", "ReLU6", "GELU", "SiLU", "Hardswish", "Sigmoid", "Identity", "Flatten", "Sequential", "ModuleList",
        "ModuleDict", "AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d", "MultiheadAttention",
    )],
    "torch.nn.modules.batchnorm._BatchNorm", "torch.nn.modules.conv._ConvNd", "torch.nn.modules.dropout._DropoutNd",
    "torch.nn.modules.linear.Linear", "torchvision.models.ResNet", "torchvision.models.resnet.BasicBlock",
    "torchvision.models.VGG", "torchvision.models.DenseNet", "torchvision.models.googlenet.Inception",
    "torchvision.models.swin_transformer.SwinTransformerBlock", "torchvision.models.detection.FasterRCNN",
    "timm.models.resnet.ResNet", "timm.models.vgg.VGG", "transformers.PreTrainedModel",
    "torch.nn.Parameter", "torch.nn.parameter.Parameter", "torch.Tensor",
    "torchvision.ops.misc.Conv2dNormActivation", "torchvision.ops.misc.ConvNormActivation", "torchvision.ops.MLP",
]  # fmt: skip
MODELS = [
    "resnet18()", "googlenet(init_weights=False)", "densenet121()", "convnext_tiny()", "swin_t()", "vit_b_16()",
    "efficientnet_v2_s()", "mobilenet_v3_small()", "squeezenet1_1()", "video.r3d_18()", "video.mc3_18()",
    "quantization.resnet18()", "quantization.googlenet(init_weights=False)", "swin_v2_t()", "shufflenet_v2_x0_5()",
    "optical_flow.raft_small()", "segmentation.deeplabv3_resnet50(weights_backbone=None)",
    "detection.ssdlite320_mobilenet_v3_large(weights_backbone=None)",
    "detection.maskrcnn_resnet50_fpn(weights_backbone=None)",
]  # fmt: skip
UNSURE = {"torch.nn.ModuleDict", "torch.nn.ModuleList", "torch.nn.Sequential"}


def real(name):
    """The class of a qualified name; a module comes before a function of the same name (`googlenet`)."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("model", MODELS)
def test_python_agrees(model):
    execution = only(f"m = models.{model}")
    with torch.device("meta"):
        built = eval(f"torchvision.models.{model}")
    for path, module in built.named_modules():
        ref = raw(execution, "m")
        for part in path.split(".") if path else ():
            ref = heap.get_child(execution.state, ref, part, Operation(None))
            assert ref is not DELETED, path
        thing = execution.state.object(ref)
        for name in NAMES:
            said, true = is_kind(thing, name), isinstance(module, real(name))
            assert said in (None, true), f"{path} ({thing.kind}): {name}"
            if said is None:
                unsure = true or name in UNSURE or "vision.ops" in name or not list(module.children())
                nested = any(part in thing.kind for part in (".detection.", ".segmentation.", ".optical_flow."))
                derived = name.startswith("torchvision.") and (nested or name.split(".")[-1] in thing.kind)
                assert unsure or derived or not thing.kind.startswith("torchvision.models."), (
                    f"{path} ({thing.kind}): {name} is not told"
                )


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_atto", "resnet26d"])
def test_python_agrees_on_parts_of_which_only_the_names_are_known(name):
    timm = pytest.importorskip("timm")
    execution = only(f"import timm\nm = timm.create_model({name!r})")
    with torch.device("meta"):
        built = timm.create_model(name)
    answers = set()
    for path, module in built.named_modules():
        ref = raw(execution, "m")
        for part in path.split(".") if path else ():
            ref = heap.get_child(execution.state, ref, part, Operation(None))
        thing = execution.state.object(ref)
        if thing.node.known == "names":
            for layer in (n for n in NAMES if n.startswith("torch.nn.")):
                said = is_kind(thing, layer)
                answers.add(said)
                assert said in (None, isinstance(module, real(layer))), f"{path}: {layer}"
    assert answers >= {None, False}


def test_loops_over_the_parts_of_a_model_take_one_path():
    execution = only(
        """
        m = models.resnet18()
        for part in m.modules():
            if isinstance(part, (nn.BatchNorm2d, nn.modules.batchnorm._BatchNorm)):
                part.weight.requires_grad = False
            elif isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)
            elif isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)
            elif isinstance(part, nn.MaxPool2d) and part.kernel_size == (1, 1):
                part.stride = 1
            elif hasattr(part, "bias") and part.bias is not None and part.groups == (1, 2):
                part.bias.requires_grad = False
            elif isinstance(part, models.resnet.BasicBlock):
                part.conv1.weight.requires_grad = False
        """
    )
    frozen = {n for n, p in execution.parameters(raw(execution, "m")).items if not execution.trainable(p)}
    assert "bn1.weight" in frozen and "layer1.0.conv1.weight" in frozen
    assert "conv1.weight" not in frozen and "bn1.bias" not in frozen


TOLD_APART = """
import timm
from torch import nn

model = timm.create_model("vit_base_patch16_224", pretrained=True)
model.requires_grad_(False)
for name in ["norm", "cls_token"]:
    part = getattr(model, name)
    if isinstance(part, {kind}):
        part.requires_grad = True
    else:
        part.requires_grad_(True)
"""


@pytest.mark.parametrize("kind, expected", [("nn.Parameter", []), ("torch.Tensor", []), ("nn.Module", [(11, "HC303")])])
def test_a_layer_is_no_tensor_where_a_script_asks_which_it_has(kind, expected):
    assert found("import torch\n" + TOLD_APART.format(kind=kind), "") == expected
