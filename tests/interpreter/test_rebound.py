"""Parts of a model that do something else than their class does: set, patched or hooked by the script, or replaced
beside the head. What reaches the head is unknown then, or another size; what only looks on leaves it as it was."""

import pytest

from headcheck.pipeline import check_text

IMPORTS = """
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
import types

"""
SCRIPT = """
model = models.resnet18()
{change}
model.fc = nn.Linear({size}, 3)
model(torch.randn(2, 3, 64, 64))
"""
TWICE = "lambda x: torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)"
DEEP = """
def shallow(self, x):
    x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
    return self.fc(self.layer1(x).mean((2, 3)))

"""
# What is done to a ResNet-18, and what reaches its head then.
CHANGES = {
    "model.layer4.register_forward_hook(lambda m, given, answer: torch.cat([answer, answer], 1))": 1024,
    "model.avgpool.register_forward_pre_hook(lambda m, given: (given[0][:, :256],))": 256,
    "def half(m, given, answer):\n    return answer[:, :256]\nmodel.avgpool.register_forward_hook(half)": 256,
    f"model.avgpool.forward = {TWICE}": 1024,
    f"model.layer4[1].forward = {TWICE}\nmodel.avgpool = nn.Identity()": 1024,
    DEEP + "model._forward_impl = types.MethodType(shallow, model)": 64,
    DEEP + "model.forward = shallow.__get__(model)": 64,
    DEEP + "class Shallow(models.ResNet):\n    forward = shallow\nmodel.__class__ = Shallow": 64,
    "model.avgpool.output_size = (2, 2)": 2048,
    "model.avgpool.__dict__['output_size'] = (2, 2)": 2048,
    "vars(model.avgpool).update(output_size=(2, 2))": 2048,
    "model.avgpool.__init__((2, 2))": 2048,
    "model._modules.update(avgpool=nn.AdaptiveAvgPool2d(2))": 2048,
    "def widen(m):\n    if isinstance(m, nn.AdaptiveAvgPool2d):\n        m.output_size = 2\nmodel.apply(widen)": 2048,
}
# What changes nothing for the head, which 512 features reach.
LOOKING = [
    "seen = []\nmodel.layer4.register_forward_hook(lambda m, given, answer: seen.append(answer))",
    "seen = {}\ndef keep(m, given, answer):\n    seen[m] = answer.detach()\nmodel.avgpool.register_forward_hook(keep)",
    "model.layer4[0].conv1.stride = (1, 1)\nmodel.layer4[0].downsample[0].stride = (1, 1)",
    "model.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)",
    "def quiet(m):\n    if isinstance(m, nn.BatchNorm2d):\n        m.momentum = 0.01\nmodel.apply(quiet)",
]


def codes(body):
    return [finding.code for finding in check_text(IMPORTS + body, "script.py") if finding.code != "HC501"]


@pytest.mark.parametrize("change, size", CHANGES.items())
def test_what_may_reach_the_head(change, size):
    assert codes(SCRIPT.format(change=change, size=size)) == []


@pytest.mark.parametrize("change", LOOKING)
def test_what_only_looks_on(change):
    assert codes(SCRIPT.format(change=change, size=512)) == []
    assert codes(SCRIPT.format(change=change, size=256)) == ["HC101"]


@pytest.mark.parametrize("change, size", [*CHANGES.items(), *((change, 512) for change in LOOKING)])
def test_pytorch_agrees(change, size):
    pytest.importorskip("torchvision")
    exec(compile(IMPORTS + SCRIPT.format(change=change, size=size), "script.py", "exec"), {"__name__": "__main__"})


PATCHED = [
    DEEP + "models.ResNet.forward = shallow",
    DEEP + "setattr(models.resnet.ResNet, '_forward_impl', shallow)",
]


@pytest.mark.parametrize("patch", PATCHED)
def test_the_class_of_a_library_does_something_else(patch):
    assert codes(patch + SCRIPT.format(change="", size=64)) == []
    assert codes("models.ResNet.note = 3" + SCRIPT.format(change="", size=64)) == ["HC101"]


OWN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)
        {change}
        self.head = nn.Linear({size}, 3)

    def forward(self, x):
        {forward}

net = Net()
net(torch.randn(2, 3, 8, 8))
"""
PLAIN = "return self.head(self.body(x).mean((2, 3)))"


def test_a_hook_on_a_layer_of_the_scripts_own():
    twice = "self.body.register_forward_hook(lambda m, given, answer: torch.cat([answer, answer], 1))"
    assert codes(OWN.format(change=twice, size=16, forward=PLAIN)) == []
    looks = "self.body.register_forward_hook(lambda m, given, answer: print(answer.shape))"
    assert codes(OWN.format(change=looks, size=16, forward=PLAIN)) == ["HC105"]


RESCUED = """try:
            return self.head(self.body(x))
        except RuntimeError:
            {handler}"""


def test_a_refusal_for_which_there_is_another_way():
    flat = RESCUED.format(handler="return self.head(self.body(x).flatten(1))")
    assert codes(OWN.format(change="", size=288, forward=flat)) == []
    told = RESCUED.format(handler="print('does not fit'); raise")
    assert codes(OWN.format(change="", size=288, forward=told)) == ["HC102"]


VGG = """
class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4096, 512)

    def forward(self, x):
        return eval("self.layer(x)")

model = models.vgg11()
model.classifier[3] = {layer}
model.classifier[6] = nn.Linear(512, 3)
"""


def test_what_comes_before_the_head_in_its_classifier():
    assert codes(VGG.format(layer="Odd()")) == []
    assert codes(VGG.format(layer="nn.Linear(4096, 512)")) == []
    assert codes(VGG.format(layer="nn.Linear(4096, 4096)")) == ["HC105"]


DETECTOR = """
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
{head}
model.roi_heads.box_predictor = FastRCNNPredictor(512, 3)
"""


def test_what_comes_before_a_predictor():
    assert codes(DETECTOR.format(head="model.roi_heads.box_head = TwoMLPHead(256 * 7 * 7, 512)")) == []
    assert codes(DETECTOR.format(head="model.roi_heads.box_head.fc7 = nn.Linear(1024, 512)")) == []
    assert codes(DETECTOR.format(head="")) == ["HC101"]


EXTRA = """
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 11))
for x, y in DataLoader(datasets.MNIST(".", transform=transforms.ToTensor()), 4):
    loss = F.cross_entropy(net(x), y)
    {other}
"""


def test_one_more_class_for_what_is_made_up():
    assert (
        codes(EXTRA.format(other="loss += F.cross_entropy(net(torch.rand_like(x)), torch.full((len(x),), 10))")) == []
    )
    assert codes(EXTRA.format(other="loss.backward()")) == ["HC104"]


def test_sizes_that_a_permutation_does_not_have():
    body = "return self.head(self.body(x).permute(8, 2, 3, 1))"
    assert codes(OWN.format(change="", size=16, forward=body)) == []


PATCHED_OWN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 2)

    def forward(self, x):
        return self.head(self.twice(x))

def twice(self, x):
    return torch.cat([x, x], 1)

{patch}
Net()(torch.randn(2, 10))
"""


def test_a_method_that_a_class_is_given_from_outside():
    assert codes(PATCHED_OWN.format(patch="Net.twice = twice")) == []
    assert codes(PATCHED_OWN.format(patch="Net.thrice = twice")) == ["HC202"]
