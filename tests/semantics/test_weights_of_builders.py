"""Weights that a builder of torchvision has, and those that it refuses."""

import warnings

import pytest

from headcheck import pipeline

SCRIPT = """
from torch import nn
from torchvision import models

model = {}
model.fc = nn.Linear(model.fc.in_features, 10)
"""


def findings(call, script=SCRIPT):
    return [f for f in pipeline.check_text(script.format(call), "script.py") if f.code != "HC501"]


# (the call, what torchvision raises, the message, the help)
REFUSED = [
    ('models.resnet18("IMAGENET1K_V2")', KeyError, "ResNet18_Weights has no weights `IMAGENET1K_V2`", ""),
    (
        'models.resnet18(weights="IMAGENET1K_V2")',
        KeyError,
        "ResNet18_Weights has no weights `IMAGENET1K_V2`",
        "`IMAGENET1K_V1`",
    ),
    ('models.resnet18(weights="default")', KeyError, "ResNet18_Weights has no weights `default`", ""),
    (
        'models.get_model("resnet34", weights="IMAGENET1K_V2")',
        KeyError,
        "ResNet34_Weights has no weights",
        "`IMAGENET1K_V1`",
    ),
    (
        'models.resnet18(weights="ResNet50_Weights.IMAGENET1K_V1")',
        KeyError,
        "ResNet18_Weights has no weights `ResNet50_Weights.IMAGENET1K_V1`",
        "`ResNet18_Weights.IMAGENET1K_V1`",
    ),
    (
        "models.resnet34(weights=models.ResNet50_Weights.DEFAULT)",
        TypeError,
        "ResNet34_Weights has no weights `ResNet50_Weights.DEFAULT`",
        "`ResNet34_Weights.DEFAULT`",
    ),
    (
        'models.resnet34(weights=models.get_weight("ResNet50_Weights.DEFAULT"))',
        TypeError,
        "ResNet34_Weights has no weights `ResNet50_Weights.DEFAULT`",
        "`ResNet34_Weights.DEFAULT`",
    ),
]
TAKEN = [
    'models.resnet50("IMAGENET1K_V2")',
    'models.resnet50(weights="IMAGENET1K_V2")',
    'models.resnet18(weights="DEFAULT")',
    'models.resnet18(weights="legacy")',
    "models.resnet18(weights=models.ResNet18_Weights)",  # as if it were pretrained=True
    'models.resnet18(weights="ResNet18_Weights.IMAGENET1K_V1")',
    "models.resnet18(weights=models.resnet.ResNet18_Weights.DEFAULT)",
    'models.resnet18(pretrained="imagenet")',
    'models.get_model("resnet50", weights="IMAGENET1K_V2")',
    'models.quantization.resnet18(weights="IMAGENET1K_FBGEMM_V1", quantize=True)',
]


@pytest.mark.parametrize(("call", "_", "message", "help_"), REFUSED)
def test_weights_that_the_builder_does_not_have(call, _, message, help_):
    (found,) = findings(call)
    assert (found.code, found.location.row) == ("HC205", 5)
    assert message in found.message and help_ in found.help


@pytest.mark.parametrize("call", TAKEN)
def test_weights_that_it_has(call):
    assert findings(call) == []


TRIED = """
from torch import nn
from torchvision import models

try:
    model = {}
except {}:
    model = models.resnet18(weights=None)
"""


@pytest.mark.parametrize("caught", ["KeyError", "Exception"])
def test_where_a_refusal_is_foreseen(caught):
    call = 'models.resnet18(weights="IMAGENET1K_V2")'
    assert findings(call, TRIED.replace("except {}", f"except {caught}")) == []


def test_torchvision_refuses_the_same(monkeypatch):
    pytest.importorskip("torchvision")
    from torchvision import models
    from torchvision.models import _api

    class Loading(Exception):
        pass

    def loading(*_, **__):
        raise Loading

    monkeypatch.setattr(_api.WeightsEnum, "get_state_dict", loading)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call, raised, *_ in REFUSED:
            with pytest.raises(raised):
                eval(call, {"models": models})
        for call in TAKEN:
            with pytest.raises(Loading):
                eval(call, {"models": models})


def test_every_builder_takes_each_of_its_own():
    pytest.importorskip("torchvision")
    from torchvision import models

    for name in models.list_models(exclude="quantized_*"):
        for member in models.get_model_weights(name):
            assert (
                findings(
                    f'models.get_model("{name}", weights="{member.name}")',
                    "from torchvision import models\nmodel = {}\n",
                )
                == []
            )
