"""Branches that the script itself does not take, in functions that it calls only with other values."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.pipeline import check_file
from headcheck.settings import Settings
from tests.reading import PREAMBLE, found, read

BUILD = """
def build(name, classes):
    m = getattr(models, name)()
    if name == "vgg16":
        m.classifier[6] = nn.Linear({vgg}, classes)
    else:
        m.fc = nn.Linear(512, classes)
    return m

build("resnet18", 3)
"""


def test_what_stands_in_a_branch_that_is_not_taken():
    assert found(BUILD.format(vgg=4096)) == []
    assert found(BUILD.format(vgg=512)) == [(4, "HC101")]
    assert read(BUILD.format(vgg=512)).statistics.resolved == 2


def test_what_is_taken_is_not_judged_by_other_values():
    """512 is right for the model that the script makes, and for no more than some of the others."""
    assert found(BUILD.format(vgg=4096).replace("name == 'vgg16'", "name in ('vgg16', 'resnet50')")) == []


SWITCHED = """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.net = getattr(models, {arch})()
        if "densenet" in {arch}:
            self.net.classifier = nn.Linear(self.net.classifier.in_features{more}, classes)
        else:
            self.net.fc = nn.Linear(self.net.fc.in_features, classes)
"""


@pytest.mark.parametrize(
    ("settings", "arch"),
    [
        ("class CFG:\n    arch = 'resnet50'\n", "CFG.arch"),
        ("class CFG:\n    arch = 'resnet50'\ncfg = CFG()\n", "cfg.arch"),
        ("class Config:\n    def __init__(self):\n        self.arch = 'resnet50'\ncfg = Config()\n", "cfg.arch"),
        ("ARCH = 'resnet50'\n", "ARCH"),
    ],
)
def test_constants_that_may_be_switched(settings, arch):
    script = settings + SWITCHED + "net = Net(3)\n"
    assert found(script.format(arch=arch, more="")) == []
    assert found(script.format(arch=arch, more=" + 1")) == [(settings.count("\n") + 7, "HC101")]
    assert read(script.format(arch=arch, more="")).statistics[:2] == (2, 2)


@pytest.mark.parametrize(
    ("settings", "arch", "size"),
    [
        ("class CFG:\n    arch = 'resnet18'\n    size = 512\n", "CFG.arch", "CFG.size"),
        ("CFG = {'arch': 'resnet18', 'size': 512}\n", "CFG['arch']", "CFG['size']"),
        ("ARCH, SIZE = 'resnet18', 512\n", "ARCH", "SIZE"),
        ("ARCH = 'resnet18'\nSIZES = {'resnet18': 512, 'resnet50': 2048}\nSIZE = SIZES[ARCH]\n", "ARCH", "SIZE"),
    ],
)
def test_constants_that_are_changed_together(settings, arch, size):
    script = """
def build(name, classes):
    if name == "resnet18":
        m = models.resnet18()
        m.fc = nn.Linear({size}, classes)
    else:
        m = models.resnet50()
        m.fc = nn.Linear({size}, classes)
    return m
build({arch}, 3)
"""
    assert found(settings + script.format(arch=arch, size=size)) == []
    assert read(settings + script.format(arch=arch, size=size)).statistics[:2] == (2, 2)


def test_what_is_missing_there_is_nobodys_fault():
    """Nothing is trained in the branch that is not taken, and what comes after it is not judged."""
    script = """
    def train(name):
        m = models.resnet18(weights="DEFAULT")
        if name == "probe":
            for p in m.parameters():
                p.requires_grad = False
            m.fc = nn.Linear(512, 3)
        else:
            m.fc = nn.Linear(512, 5)
        return torch.optim.SGD(m.conv1.parameters(), lr=0.1)

    train("all")
    """
    assert found(script) == [(9, "HC402")]


CHAIN = """
if {arch} == "resnet18":
    m = models.resnet18()
    m.fc = nn.Linear({size}, 3)
elif {arch} == "vgg16":
    m = models.vgg16()
    m.classifier[6] = nn.Linear({vgg}, 3)
"""


@pytest.mark.parametrize(
    ("settings", "arch"),
    [
        ("ARCH = 'resnet18'\n", "ARCH"),
        ("ARCH, OLD = 'resnet18', False\n", "ARCH"),
        ("ARCH = 'resnet18'\nCHOSEN = ARCH.lower()\n", "CHOSEN"),
        ("class CFG:\n    arch = 'resnet18'\n", "CFG.arch"),
        ("CFG = {'arch': 'resnet18'}\n", "CFG['arch']"),
    ],
)
def test_the_lines_of_the_script_itself(settings, arch):
    right, wrong = (settings + CHAIN.format(arch=arch, size=512, vgg=size) for size in (4096, 512))
    assert found(right) == []
    assert found(wrong) == [(settings.count("\n") + 7, "HC101")]
    assert read(wrong).statistics[:2] == (2, 2)


def test_a_constant_within_a_function():
    body = textwrap.indent(CHAIN.format(arch="arch", size=512, vgg=512), "    ")
    assert found("def main():\n    arch = 'resnet18'\n" + body + "\nmain()\n") == [(9, "HC101")]


def test_a_constant_of_another_module(tmp_path):
    (tmp_path / "settings.py").write_text("ARCH = 'resnet18'\n")
    script = tmp_path / "script.py"
    script.write_text(PREAMBLE + "from settings import ARCH\n" + CHAIN.format(arch="ARCH", size=512, vgg=512))
    assert [f.code for f in check_file(str(script), None, Settings(confirm=False)).findings] == ["HC101"]


@pytest.mark.parametrize(
    "settings",
    ["ARCH = 'resnet18'\nSIZE = 512\n", "ARCH, SIZE = 'resnet18', 512\n", "ARCH, N = 'resnet18', 9\nSIZE = 2**N\n"],
)
def test_numbers_beside_a_name_are_changed_with_it(settings):
    assert found(settings + CHAIN.format(arch="ARCH", size="SIZE", vgg="SIZE")) == []


def test_a_function_that_hands_the_model_on():
    script = """
    def swap(name, model):
        if name == "vgg16":
            model.classifier[6] = nn.Linear({vgg}, 3)
        else:
            model.fc = nn.Linear(512, 3)

    def build(name):
        if name == "vgg16":
            model = models.vgg16()
            swap(name, model)
        else:
            model = models.resnet18()
            swap(name, model)
        return model

    build("resnet18")
    """
    assert found(script.format(vgg=4096)) == []
    assert found(script.format(vgg=512)) == [(3, "HC101")]
    assert read(script.format(vgg=4096)).statistics[:2] == (2, 2)


def test_help_speaks_of_the_model_as_the_function_does():
    script = """
    def build(name):
        net = models.vgg16() if name == "vgg16" else models.alexnet()
        if name == "vgg16":
            net.classifier[6] = nn.Linear(512, 3)
        return net

    build("alexnet")
    """
    (finding,) = [f for f in read(script).findings if f.code == "HC101"]
    assert finding.help == "nn.Linear(net.classifier[6].in_features, 3)"


def test_a_model_that_the_script_hands_on():
    """Which branch is taken goes with the model, which a constant names."""
    script = """
def change(m, classes):
    if hasattr(m, "fc") and "resnet" in m.__class__.__name__.lower():
        m.fc = nn.Linear(m.fc.in_features, classes)
    elif hasattr(m, "heads") and "vision" in m.__class__.__name__.lower():
        m.heads.head = nn.Linear(m.heads.head.in_features, classes)
    elif isinstance(m.classifier, nn.Sequential) and "vgg" in m.__class__.__name__.lower():
        m.classifier[-1] = nn.Linear(m.classifier[-1].in_features, classes)
    return m

name = "resnet18"
m = {build}
m = change(m, 3)
"""
    for build in ("models.__dict__[name]()", "eval(f'models.{name}(weights=None)')"):
        assert found(script.format(build=build)) == []
        assert read(script.format(build=build)).statistics[:2] == (3, 3)
    assert read(script.format(build="models.resnet18()")).statistics[:2] == (3, 1)


MADE = """
class Net(nn.Module):
    def __init__(self, classes, name="vgg16"):
        super().__init__()
        if name == "vgg16":
            self.net = models.vgg16(weights="DEFAULT")
        elif name == "resnet18":
            self.net = models.resnet18(weights="DEFAULT")
        else:
            raise ValueError(name)

    def forward(self, x):
        return self.net(x)

    def new_head(self, classes):
        if isinstance(self.net, models.VGG):
            self.net.classifier[6] = nn.Linear({vgg}, classes)
        elif isinstance(self.net, models.ResNet):
            self.net.fc = nn.Linear(512, classes)

net = Net(5, name="{name}")
"""


@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_methods_that_nothing_calls_of_an_object_made_otherwise(name):
    assert found(MADE.format(vgg=4096, name=name)) == []
    assert found(MADE.format(vgg=512, name=name)) == [(16, "HC101")]
    assert read(MADE.format(vgg=512, name=name)).statistics.resolved == 2
