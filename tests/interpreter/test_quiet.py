"""What nothing calls is followed only where it can come by a model."""

from __future__ import annotations

import pytest

from headcheck.semantics import registry
from tests.reading import follow

WORLD = """
import numpy as np
import torch.nn.functional as F
from torchvision import transforms
from elsewhere import helper

net = models.resnet18()
names = ["a", "b"]
both = (1, net)

class Settings:
    rate = 0.1

settings = Settings()

class Holder:
    def __init__(self):
        self.model = models.resnet18()

holder = Holder()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
    def forward(self, x):
        return x

built = Net()
built(1)

def loud_helper():
    return nn.Linear(1, 1)

loud_helper()
"""


def followed(function: str) -> bool:
    """Whether a function at the end of the world is followed."""
    return len(follow(WORLD + function)) > len(follow(WORLD))


@pytest.mark.parametrize(
    "body",
    [
        "return np.mean(x) + len(names) + settings.rate",
        "return F.log_softmax(x, 1)",
        "return transforms.Compose([transforms.ToTensor()])",
        "with torch.no_grad():\n        return torch.argmax(x).item()",
        "x.train()\n    for p in x.parameters():\n        p.zero_()",
        "return helper(x)",
        "return f(x)",
        "import matplotlib.pyplot as plt\n    plt.plot(x)",
        "class Average:\n        def update(self, n):\n            self.n += n\n    return Average()",
    ],
)
def test_quiet(body):
    assert not followed(f"def f(x):\n    {body}\n")


@pytest.mark.parametrize(
    "body",
    [
        "return net(x)",
        "return F.cross_entropy(x, x)",
        "return both[1](x)",
        "return nn.Linear(1, 1)",
        "return torch.nn.Linear(1, 1)",
        "return torch.optim.SGD(x, 1)",
        "return torch.hub.load('a', 'b')",
        "return loud_helper()",
        "return (lambda: loud_helper())()",
        "return holder.model.fc",
        "return Net()",
        "x.requires_grad = False",
        "x.requires_grad_(False)",
        "setattr(x, 'a', 1)",
        "from torchvision.models import resnet\n    return resnet.resnet18()",
        "import torchvision\n    return torchvision.models.resnet18()",
        "def inner():\n        return net\n    return inner()",
        "class Inner(nn.Module):\n        pass\n    return Inner()",
    ],
)
def test_loud(body):
    assert followed(f"def f(x):\n    {body}\n")


def test_a_class_all_of_whose_methods_are_quiet_is_not_made():
    assert not followed(
        "class Meter:\n    def __init__(self):\n        self.n = 0\n    def add(self, n):\n        self.n += n\n"
    )


def test_a_class_with_a_loud_method_is_made():
    assert followed(
        "class Trainer:\n    def __init__(self):\n        self.n = 0\n    def build(self, n):\n        return net\n"
    )


def test_what_a_script_asks_for_by_argparse_makes_the_module_run_twice():
    script = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', default=2)\nargs = p.parse_args()\n"
    script += "nn.Linear(1, args.n)\n"
    assert [e.defaults for e in follow(script)] == [False, True]
    assert [e.defaults for e in follow(script.replace("default=2", "required=True"))] == [False]


def test_a_function_that_asks_by_argparse_is_followed_twice():
    script = """
    import argparse

    def main():
        p = argparse.ArgumentParser()
        p.add_argument('--n', default=2)
        args = p.parse_args()
        return nn.Linear(1, args.n)
    """
    assert [e.defaults for e in follow(script)] == [False, False, True]


@pytest.mark.parametrize(
    ("library", "call"),
    [
        ("import timm", "timm.create_model('resnet18')"),
        ("from transformers import AutoModel", "AutoModel.from_pretrained(x)"),
        ("import pretrainedmodels as p", "p.__dict__[x](pretrained=None)"),
        ("from efficientnet_pytorch import EfficientNet", "EfficientNet.from_name('efficientnet-b0')"),
        ("import segmentation_models_pytorch as smp", "smp.Unet('resnet34')"),
        ("import open_clip", "open_clip.create_model('ViT-B-32')"),
    ],
)
def test_libraries_whose_effects_wait_for_a_call(library, call):
    """They are loud before any call was met, too."""
    assert library.split()[1] in registry.MODEL_LIBRARIES
    assert len(follow(f"{library}\ndef f(x):\n    return {call}\n")) == 2
    assert len(follow(f"{library}\ndef f(x):\n    return len(x)\n")) == 1
