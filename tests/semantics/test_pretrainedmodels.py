"""What calls of pretrainedmodels mean to a model; the library is not needed."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import pretrainedmodels\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


SE = "se_resnext50_32x4d"


@pytest.mark.parametrize(
    "built",
    [
        f"pretrainedmodels.__dict__[{SE!r}](num_classes=1000, pretrained='imagenet')",
        f"pretrainedmodels.{SE}()",
        f"getattr(pretrainedmodels, {SE!r})(pretrained=None)",
        f"pretrainedmodels.models.senet.{SE}(num_classes=4, pretrained=None)",
        f"pretrainedmodels.models.{SE}(num_classes=n, pretrained=None)",
    ],
)
def test_a_builder_however_it_is_named(built: str) -> None:
    assert codes(f"m = {built}\nm.last_linear = nn.Linear(2048, 3)\nm.fc = nn.Linear(2048, 3)") == [(5, "HC201")]
    assert codes(f"m = {built}\nm.last_linear = nn.Linear(512, 3)") == [(4, "HC101")]


@pytest.mark.parametrize(
    "built",
    [
        "pretrainedmodels.resnet50(num_classes=10)",  # raises: its weights have 1000 classes
        "pretrainedmodels.resnet50(1000, 'imagenet', 3)",
        "pretrainedmodels.bninception()",
        "pretrainedmodels.models.senet.SENet(block, [3, 4, 6, 3])",
        "pretrainedmodels.utils.something(name)",
    ],
)
def test_what_is_not_known(built: str) -> None:
    assert codes(f"m = {built}\nm.last_linear = nn.Linear(5, 3)") == []


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ("m.classifier", [(4, "HC202")]),
        ("m.fc", []),
        ("m.input_size", []),
        ("m.last_linear.in_features", []),
        ("m.logits(x)", []),
    ],
)
def test_what_a_model_has(read: str, found: list[tuple[int, str]]) -> None:
    assert codes(f"m = pretrainedmodels.resnet50()\nprint({read})") == found


def test_a_model_by_a_name_that_is_not_known() -> None:
    script = (
        "m = pretrainedmodels.__dict__[arch](pretrained='imagenet')\nm.fc = nn.Linear(m.last_linear.in_features, 3)"
    )
    assert codes(script) == [(4, "HC201")]
    assert codes(script.replace("m.fc =", "m.last_linear =")) == []


NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = pretrainedmodels.{name}()
        self.head = nn.Linear({size}, 3)

    def forward(self, x):
        x = self.base.features(x)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

net = Net()
"""


@pytest.mark.parametrize(("name", "size"), [("xception", 2048), ("resnet18", 512), ("nasnetalarge", 4032)])
def test_features_feeds_the_scripts_own_head(name: str, size: int) -> None:
    assert codes(NET.format(name=name, size=size)) == []
    assert codes(NET.format(name=name, size=size + 1)) == [(8, "HC101")]
