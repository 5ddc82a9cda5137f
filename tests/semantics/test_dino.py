"""What DINO's and DINOv2's models mean, which only `torch.hub.load` knows; nothing is fetched."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import torch\nfrom torch import nn\n"
V1 = "torch.hub.load('facebookresearch/dino:main', 'dino_vits16')"
V2 = "torch.hub.load('facebookresearch/dinov2', 'dinov2_vitb14')"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


@pytest.mark.parametrize(
    ("name", "width"),
    [("vits14", 384), ("vitb14", 768), ("vitl14", 1024), ("vitg14", 1536), ("vits14_reg", 384), ("vitl14_reg", 1024)],
)
def test_a_head_in_the_place_that_is_left_for_one(name: str, width: int) -> None:
    script = f"m = torch.hub.load('facebookresearch/dinov2', 'dinov2_{name}', pretrained=True)\nm.head = {{}}"
    assert codes(script.format(f"nn.Linear({width}, 3)")) == []
    assert codes(script.format("nn.Linear(m.embed_dim, 3)")) == []
    assert codes(script.format(f"nn.Sequential(nn.LayerNorm({width}), nn.Linear({width}, 3))")) == []
    assert codes(script.format(f"nn.Linear({width + 1}, 3)")) == [(4, "HC101")]
    assert codes(script.format("nn.Linear(m.head.in_features, 3)")) == [(4, "HC202")]


def test_the_linear_classifiers() -> None:
    script = "m = torch.hub.load('facebookresearch/dinov2', 'dinov2_vits14_lc'{})\nm.linear_head = nn.Linear({}, 3)"
    assert codes(script.format("", 5 * 384)) == []
    assert codes(script.format("", 384)) == [(4, "HC101")]
    assert codes(script.format(", layers=1", 2 * 384)) == []


def test_a_part_that_forward_passes_by() -> None:
    assert codes(f"m = {V1}\nm.head = nn.Linear(384, 3)") == [(4, "HC201")]
    assert codes(f"m = {V1}\nm.head = nn.Identity()") == []
    assert codes(f"m = {V2}\nm.fc = nn.Linear(768, 3)") == [(4, "HC201")]
    assert codes(f"m = {V2}\nm.classifier.in_features") == [(4, "HC202")]


NETWORK = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = {made}
        self.head = nn.Linear({width}, 5)

    def forward(self, x):
        return self.head({features})


net = Net()
torch.optim.Adam(net.parameters())
"""
LAYERS = "self.backbone.get_intermediate_layers"


@pytest.mark.parametrize(
    ("made", "features", "width"),
    [
        (V1, "self.backbone(x)", 384),
        (V1, "self.backbone.get_intermediate_layers(x)[0][:, 0]", 384),
        (V1, "torch.cat([t[:, 0] for t in self.backbone.get_intermediate_layers(x, 4)], dim=-1)", 4 * 384),
        (V2, "self.backbone(x)", 768),
        (V2, "self.backbone.forward_features(x)['x_norm_clstoken']", 768),
        (V2, "self.backbone.forward_features(x)['x_norm_patchtokens'].mean(dim=1)", 768),
        (V2, "self.backbone(x, is_training=True)['x_norm_clstoken']", 768),
        (V2, f"torch.cat([c for _, c in {LAYERS}(x, n=2, return_class_token=True)], 1)", 1536),
        (V2, "self.backbone.get_intermediate_layers(x, n=[8, 11], reshape=True)[-1].mean((2, 3))", 768),
    ],
)
def test_the_features_of_an_own_network(made: str, features: str, width: int) -> None:
    assert codes(NETWORK.format(made=made, features=features, width=width)) == []
    assert codes(NETWORK.format(made=made, features=features, width=width + 1)) == [(8, "HC101")]


@pytest.mark.parametrize(
    "features",
    [
        "self.backbone(x, masks=m)",
        "self.backbone(x, is_training=flag)",
        "self.backbone.forward_features(x, m)['x_norm_clstoken']",
        "self.backbone.forward_features([x, x])[0]['x_norm_clstoken']",
        "self.backbone.get_intermediate_layers(x, n)[0]",
        "self.backbone.get_last_selfattention(x)",
        "self.backbone.prepare_tokens_with_masks(x)",
    ],
)
def test_what_is_not_known(features: str) -> None:
    assert codes(NETWORK.format(made=V2, features=features, width=5)) == []


def test_a_name_among_those_that_the_script_lists() -> None:
    script = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", required=True, choices=["dinov2_vits14", "dinov2_vitb14"])
    args = parser.parse_args()
    m = torch.hub.load("facebookresearch/dinov2", args.arch)
    m.head = nn.Linear({}, 5)
    """
    assert codes(script.format("m.embed_dim")) == []
    assert codes(script.format(400)) == [(9, "HC101")]
    assert codes(script.format(400).replace("dinov2_vit", "another_")) == []
    open_ = "def f(arch, n):\n    m = torch.hub.load('facebookresearch/dinov2', arch)\n    m.head = nn.Linear(5, n)"
    assert codes(open_) == []


FROZEN = """
m = {made}
m.head = nn.Linear(768, 4)
for p in m.parameters():
    p.requires_grad = False
torch.optim.Adam(m.parameters())
"""


def test_a_new_head_is_a_head_where_there_was_none() -> None:
    assert codes(FROZEN.format(made=V2)) == [(7, "HC301")]
    early = f"m = {V2}\no = torch.optim.Adam(m.parameters())\nm.head = nn.Linear(768, 3)"
    assert codes(early) == [(4, "HC401")]
    lost = f"m = nn.DataParallel({V1})\nm.blocks = nn.Linear(3, 3)"
    assert codes(lost) == [(4, "HC204")]


def test_the_methods_of_other_libraries_keep_their_meaning() -> None:
    script = f"""
    import timm
    dino, other = {V2}, timm.create_model("resnet18")
    a, b = dino.forward_features(x)["x_norm_clstoken"], other.forward_features(x)
    nn.Linear({{}}, 3)(a), nn.Conv2d({{}}, 3, 1)(b)
    """
    assert codes(script.format(768, 512)) == []
    assert codes(script.format(512, 768)) == [(7, "HC101"), (7, "HC101")]
