"""What is unknown only because of how a script is read is never held against it."""

import pytest

from headcheck.pipeline import check_text

COUNTED = """
from torch import nn
from torchvision import models

i = 0
model = models.resnet18()
while i < 3:
    i += 1
model.fc = nn.Linear(512 if i == 3 else 1, 2)
"""
REBOUND = """
from torch import nn
from torchvision import models


def main():
    size = 512

    def head():
        return nn.Linear(size, 10)

    size = 2048
    model = models.resnet50()
    model.fc = head()


main()
"""


@pytest.mark.parametrize("script", [COUNTED, REBOUND], ids=["a loop's counter", "a closure's rebound name"])
def test_silent(script):
    assert check_text(script, "train.py") == ()


def test_a_closure_over_a_steady_name_is_followed():
    (finding,) = check_text(REBOUND.replace("    size = 2048\n", ""), "train.py")
    assert finding.code == "HC101"


TABLE = """
from pydoc import locate
from torch import nn

HEADS = {"resnet50": {"head": "fc"}, "mobilenet_v2": {"head": ["classifier", 1]}}


def build(name, classes):
    head = HEADS[name]["head"]
    model = locate("torchvision.models.{}".format(name))()
    if isinstance(head, list):
        model.classifier[head[1]] = nn.Linear(model.classifier[head[1]].in_features, classes)
    return model
"""
LOADER = """
from pydoc import locate
import torch
from kinds import Kind


class Loader:
    def __init__(self, name, kind):
        self.name = name
        self.kind = Kind.named(kind)

    def load(self):
        if self.kind == Kind.TORCHVISION:
            return locate("torchvision.models.{}".format(self.name))()
        elif self.kind == Kind.HUB:
            return torch.hub.load("a/b", self.name)


def encoder(name):
    model = Loader(name, "bert").load()
    return model.bert
"""


@pytest.mark.parametrize("script", [TABLE, LOADER], ids=["what a table says of a name", "one of several libraries"])
def test_a_name_that_is_guessed_does_not_go_with_every_branch(script):
    assert check_text(script, "train.py") == ()


def test_what_no_model_has_is_missing_whatever_its_name():
    script = "from torchvision import models\ndef f(name):\n    return getattr(models, name)().last_linear\n"
    assert [finding.code for finding in check_text(script, "train.py")] == ["HC202"]


@pytest.mark.parametrize(
    "place, codes",
    [("head.classifier[-1]", []), ("head.fc", []), ("conv1.weight", [])],  # EfficientViT, ConvNeXt, ResNet
)
def test_a_few_models_of_a_library_do_not_stand_for_all(place, codes):
    script = f"import timm\ndef f(name):\n    return timm.create_model(name).{place}\n"
    assert [finding.code for finding in check_text(script, "train.py")] == codes


def test_a_keyword_that_asks_for_the_whole_model_changes_nothing():
    script = "import timm\nfrom torch import nn\nm = timm.create_model('resnet18', features_only=False)\n"
    (finding,) = check_text(script + "m.fc = nn.Linear(1000, 2)\n", "train.py")
    assert finding.code == "HC101"
