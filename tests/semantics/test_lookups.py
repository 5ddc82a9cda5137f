"""Builders looked up by their names as text."""

from __future__ import annotations

import pytest

from tests.reading import found, paths, read, variable

HEAD = "m.fc = nn.Linear(7, 3)\n"


def built(script):
    return {variable(e, "m").rsplit(".", 1)[-1] for e in paths(script)} - {"?"}


@pytest.mark.parametrize(
    "build",
    [
        'eval("models.resnet18")()',
        'eval("models.resnet18(weights=None)")',
        'eval("models.{}(weights={})".format("resnet18", None))',
        'eval(f"models.resnet18(progress={sys.argv[1]})")',
        '[eval("models.resnet18(weights=kept)") for kept in [None]][0]',
        'locate("torchvision.models.resnet18")()',
        'importlib.import_module("torchvision.models").resnet18()',
        'getattr(importlib.import_module("torchvision.models"), "resnet18")()',
        'instantiate({"_target_": "torchvision.models.resnet18", "weights": None, "_recursive_": False})',
        'torch.hub.load("facebookresearch/semi-supervised-ImageNet1K-models", "resnet18_swsl")',
        "models.resnet.ResNet(models.resnet.BasicBlock, [2, 2, 2, 2])",
        "models.ResNet(models.resnet.BasicBlock, layers=(2, 2, 2, 2), num_classes=5)",
    ],
)
def test_a_name_that_is_known(build):
    script = f"import importlib, sys\nfrom pydoc import locate\nfrom hydra.utils import instantiate\nm = {build}\n"
    assert built(script) == {"resnet18"}
    assert found(script + HEAD) == [(5, "HC101")]


@pytest.mark.parametrize(
    "build",
    [
        'eval("models." + arch)()',
        'eval("models.resnet" + depth + "(weights=None)")',
        'eval(f"models.{arch}(weights=None)")',
        'eval("models.%s" % arch)()',
        'eval("models.{}".format(arch))()',
        'eval("models.{}(progress={})".format(arch, depth))',
        'locate("torchvision.models.{}".format(arch))()',
        'locate(f"torchvision.models.{arch}")()',
    ],
)
def test_a_name_that_is_not_known(build):
    script = f"import sys\nfrom pydoc import locate\narch, depth = sys.argv[1], sys.argv[2]\nm = {build}\n{HEAD}"
    assert "resnet50" in built(script) and not built(script) & {"vgg16", "densenet121"}
    assert found(script) == [(5, "HC101")]


@pytest.mark.parametrize(
    "build",
    [
        'eval("other." + arch)()',
        'eval(arch + ".resnet18")()',
        'eval("models.resnet18(" + arch + ")")',
        'eval("models.resnet18(weights=\'" + arch + "x\', num_classes=" + arch + ", **{})")',
        'eval("models.resnet18(")',
        'locate("lab.nets.resnet18")()',
        'instantiate({"_target_": arch})',
        "models.ResNet(Block, [2, 2, 2, 2])",
        "models.ResNet(models.resnet.BasicBlock, [1, 2, 2, 2])",
        'torch.hub.load("somebody/something:main", "a_vit")',
    ],
)
def test_what_stays_unknown(build):
    script = (
        f"import sys\nfrom pydoc import locate\nfrom hydra.utils import instantiate\narch = sys.argv[1]\nm = {build}\n"
    )
    assert found(script + HEAD) == []
    assert [finding.code for finding in read(script + HEAD).findings] == ["HC902"]


def test_other_weights_are_weights():
    script = """
    m = torch.hub.load("facebookresearch/WSL-Images", "resnext101_32x8d_wsl")
    for p in m.parameters():
        p.requires_grad = False
    m.fc = nn.Linear(2048, 3)
    torch.optim.SGD(m.fc.parameters(), lr=0.1)
    """
    assert found(script) == []


def test_a_network_of_its_own_blocks():
    script = """
    m = models.ResNet(models.resnet.Bottleneck, [3, 4, 6, 3], num_classes=10)
    m.fc = nn.Linear(2048, 3)
    """
    assert found(script) == []


def test_models_at_a_place_that_is_not_known():
    script = """
    import sys
    nets = [models.resnet18(), models.resnet50()]
    m = nets[int(sys.argv[1])]
    m.fc = nn.Linear(512, 3)
    """
    assert built(script) == {"resnet18", "resnet50"}
    assert found(script) == [(4, "HC101")]


STAGES = """
class Net(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.stage1, self.stage2 = [nn.Conv2d(3, 8, 3)], []
        for number in range(2):
            eval("self.stage" + str({})).append(nn.Conv2d(8, 8 * (number + 1), 3))
        self.stage1, self.stage2 = nn.Sequential(*self.stage1), nn.Sequential(*self.stage2)
        self.norm = nn.BatchNorm2d(7)
    def forward(self, x):
        return self.norm(self.stage2(self.stage1(x)))
"""


@pytest.mark.parametrize(("number", "wrong"), [("number + 1", True), ("number + first", False), ("first", False)])
def test_a_list_reached_as_text(number, wrong):
    assert found(STAGES.format(number)) == ([(8, "HC105")] if wrong else [])
