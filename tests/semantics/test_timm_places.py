"""timm: where a head goes that a model was made without, and heads that answer together; the library is not needed."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import timm\nimport torch\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


@pytest.mark.parametrize(
    ("name", "head", "width"),
    [
        ("resnet50", "fc", 2048),
        ("efficientnet_b0", "classifier", 1280),
        ("vit_base_patch16_224", "head", 768),
        ("densenet121", "classifier", 1024),
        ("resnet50d.ra2_in1k", "fc", 2048),
    ],
)
def test_a_new_head_on_a_model_that_was_made_without_one(name: str, head: str, width: int) -> None:
    script = f"m = timm.create_model('{name}', pretrained=True, num_classes=0)\nm.{head} = {{}}"
    assert codes(script.format(f"nn.Linear({width}, 3)")) == []
    assert codes(script.format("nn.Linear(m.num_features, 3)")) == []
    assert codes(script.format(f"nn.Sequential(nn.Dropout(0.2), nn.Linear({width}, 3))")) == []
    assert codes(script.format("nn.Identity()")) == []
    assert codes(script.format(f"nn.Linear({width // 2}, 3)")) == [(5, "HC101")]


@pytest.mark.parametrize(
    "more", ["global_pool=''", "global_pool='max'", "features_only=True", "in_chans=1", "**options"]
)
def test_what_may_be_another(more: str) -> None:
    assert codes(f"m = timm.create_model('resnet50', num_classes=0, {more})\nm.fc = nn.Linear(m.num_features, 3)") == []


def test_what_the_model_answers_then() -> None:
    script = """
    m = timm.create_model("resnet50", num_classes=0)
    m.fc = nn.Linear(2048, {})
    logits = m(torch.rand(2, 3, 224, 224))
    nn.CrossEntropyLoss()(logits, torch.tensor([0, 4]))
    """
    assert codes(script.format(5)) == []
    assert codes(script.format(4)) == [(8, "HC104")]
    bare = script.replace("    m.fc = nn.Linear(2048, {})\n", "").replace(
        "nn.CrossEntropyLoss()(", "nn.Linear(512, 5)("
    )
    assert codes(bare.replace(", torch.tensor([0, 4])", "")) == [(7, "HC101")]


def test_it_is_a_new_head_like_any_other() -> None:
    script = """
    m = timm.create_model("resnet50", pretrained=True, num_classes=0)
    {}
    for p in m.parameters():
        p.requires_grad = False
    {}
    torch.optim.Adam(m.parameters())
    """
    put = "m.fc = nn.Linear(2048, 5)"
    assert codes(script.format(put, "")) == [(8, "HC301")]
    assert codes(script.format("", put)) == []
    assert codes("m = timm.create_model('resnet50', num_classes=0)\nm.classifier = nn.Linear(2048, 5)") == [
        (5, "HC201")
    ]


DISTILLED = "m = timm.create_model('deit_tiny_distilled_patch16_224', pretrained=True)\n"


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("m.head = nn.Linear(192, 10)", [(5, "HC203")]),
        ("m.head_dist = nn.Linear(192, 10)", [(5, "HC203")]),
        ("m.head = nn.Linear(192, 10)\nm.head_dist = nn.Linear(192, 10)", []),
        ("m.head = nn.Linear(192, 1000)", []),
        ("m.head = nn.Linear(192, n)", []),
        ("m.head = m.head_dist = nn.Identity()", []),
        ("m.head = nn.Identity()", []),
        ("m.reset_classifier(10)", []),
        ("m.head = nn.Linear(192, 10)\nm.head(m.forward_features(x)[:, 0])", []),
    ],
)
def test_heads_that_answer_together(rest: str, found: list[tuple[int, str]]) -> None:
    assert codes(DISTILLED + rest) == found
