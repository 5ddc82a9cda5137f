"""What is said of timm's models depends on the version that the project asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcheck import pipeline
from headcheck.catalog import timm, timm_versions
from headcheck.settings import Settings

#: timm 0.9 moved the last layer of Swin into `head.fc`, and what reaches `head` is a map since then.
SWIN = """\
import timm
from torch import nn

model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=True)
model.head = nn.Linear(model.num_features, 10)
"""
#: So before that `head.fc` is only a new attribute.
NOW = """\
import timm
from torch import nn

model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=True)
model.head.fc = nn.Linear(768, 10)
"""
#: And in all versions the same.
RESNET = """\
import timm
from torch import nn

model = timm.create_model("resnet50", pretrained=True)
model.fc = nn.Linear(512, 10)
"""

#: These it had before 0.9; `fc` it never had.
PARTS = """\
import timm

model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=True)
parts = [model.pos_drop, model.layers, model.avgpool]
"""


def codes(folder: Path, text: str, requirements: str | None) -> list[str]:
    (folder / "train.py").write_text(text, encoding="utf-8")
    if requirements is not None:
        (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    run = pipeline.run([str(folder / "train.py")], Settings(confirm=False), None)
    return [finding.code for result in run.files for finding in result.findings]


@pytest.mark.parametrize(
    ("requirements", "found"),
    [
        (None, ["HC102"]),
        ("timm\n", ["HC102"]),
        ("timm==1.0.9\n", ["HC102"]),
        ("timm>=0.9\n", ["HC102"]),
        ("timm==0.6.13\n", []),
        ("timm>=0.6,<1.0\n", []),
        ("timm>=0.6\n", []),
        ("timm==0.1.26\n", []),
    ],
)
def test_a_finding_holds_in_all_versions_that_the_project_may_have(
    requirements: str | None, found: list[str], tmp_path: Path
) -> None:
    assert codes(tmp_path, SWIN, requirements) == found


@pytest.mark.parametrize(("requirements", "found"), [("timm==1.0.9\n", []), ("timm>=0.6\n", [])])
def test_what_is_right_now_is_right(requirements: str, found: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, NOW, requirements) == found


@pytest.mark.parametrize("requirements", [None, "timm==0.6.12\n", "timm>=0.6\n", "timm==1.0.3\n"])
def test_what_never_changed_is_known_in_every_version(requirements: str | None, tmp_path: Path) -> None:
    assert codes(tmp_path, RESNET, requirements) == ["HC101"]


#: `num_features` was what reaches the last layer until timm 1.0, and is what reaches the layer before it since.
WIDTH = """\
import timm
from torch import nn

model = timm.create_model("{}", pretrained=True)
model.classifier = nn.Linear(model.num_features, 10)
"""


@pytest.mark.parametrize(
    ("name", "requirements", "found"),
    [
        ("mobilenetv4_conv_small", None, ["HC101"]),  # no older version has it
        ("mobilenetv3_large_100", None, []),
        ("mobilenetv3_large_100", "timm>=1.0.3\n", ["HC101"]),
        ("mobilenetv3_large_100", "timm==0.9.16\n", []),
    ],
)
def test_a_width_that_moved(name: str, requirements: str | None, found: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, WIDTH.format(name), requirements) == found


def test_an_older_head() -> None:
    named = timm.resolve("swin_tiny_patch4_window7_224")
    assert named is not None
    six = timm_versions.holding([((0, 6, 12), (0, 6, 13))])
    entry = timm.find(named, {"num_classes": 10}, six)
    assert entry is not None
    (head,) = entry.heads
    assert (head.path, head.in_features, head.out_features, head.shape) == ("head", 768, 10, (768,))
    assert entry.root.children["head"].kind == "torch.nn.Linear"
    assert entry.inputs["head"] == (768,)
    assert timm.classifier("swin_tiny_patch4_window7_224", six) == ("head",)
    assert timm.find(named, {}, (*six, *timm_versions.USUAL)) is None


def test_the_earliest() -> None:
    three = timm_versions.holding([((0, 3, 4), (0, 3, 5))])
    heads = {}
    for name in ("resnet34", "tf_efficientnet_b4_ns", "vit_small_patch16_224", "swin_tiny_patch4_window7_224"):
        named = timm.resolve(name)
        assert named is not None
        entry = timm.find(named, {"num_classes": 10}, three)
        heads[name] = entry and (entry.heads[0].path, entry.heads[0].in_features)
    assert heads == {
        "resnet34": ("fc", 512),
        "tf_efficientnet_b4_ns": ("classifier", 1792),
        "vit_small_patch16_224": None,  # it was twice as wide
        "swin_tiny_patch4_window7_224": None,  # it was not there
    }


def test_versions() -> None:
    assert timm_versions.holding([]) == timm_versions.USUAL
    assert timm_versions.holding([((0, 3, 4), (0, 4))]) == (0,)
    assert timm_versions.holding([((0, 4, 12), (0, 4, 13))]) == (1,)
    assert timm_versions.holding([((0, 5), None)]) == (2, 3, 4, 5)
    assert timm_versions.holding([((0, 6, 12), (0, 6, 12, 0)), ((1, 0), None)]) == (3, 5)
    assert timm_versions.holding([(None, (0, 3))]) == ()


@pytest.mark.parametrize(("part", "found"), [("avgpool", []), ("fc", ["HC202"])])
def test_what_a_model_once_had_is_not_missing_where_the_project_says_no_version(tmp_path, part, found):
    assert codes(tmp_path, PARTS.replace("avgpool", part), None) == found
