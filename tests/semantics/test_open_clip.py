"""What calls of open_clip mean to a model; the library is not needed."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import open_clip\nimport torch\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


NETWORK = """
{made}


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.clip = model
        self.head = nn.Linear({width}, classes)

    def forward(self, images):
        features = {features}
        features = features / features.norm(dim=-1, keepdim=True)
        return self.head(features)


net = Net(5)
torch.optim.Adam(net.parameters())
"""


def network(
    made: str, width: object, features: str = "self.clip.encode_image(images).float()"
) -> list[tuple[int, str]]:
    return codes(NETWORK.format(made=made, width=width, features=features))


B32 = "model, _, preprocess = open_clip.create_model_and_transforms('ViT-B-32', pretrained='laion2b_s34b_b79k')"


@pytest.mark.parametrize(
    ("made", "width"),
    [
        (B32, 512),
        ("model, _, _ = open_clip.create_model_and_transforms(model_name='ViT-L-14', device=d)", 768),
        ("model = open_clip.create_model('RN50', 'openai')", 1024),
        ("model, preprocess = open_clip.create_model_from_pretrained('ViT-B/16', pretrained='openai')", 512),
        ("model = open_clip.create_model_from_pretrained('ViT-H-14', 'x', return_transform=False)", 1024),
        ("model = open_clip.create_model('convnext_base_w', pretrained=None)", 640),
        ("model = open_clip.create_model('coca_ViT-B-32')", 512),
        ("model, _, _ = open_clip.create_model_and_transforms('hf-hub:laion/CLIP-ViT-H-14-laion2B-s32B-b79K')", 1024),
    ],
)
def test_the_features_of_a_picture(made: str, width: int) -> None:
    assert network(made, width) == []
    assert network(made, width + 256) == [(12, "HC101")]


@pytest.mark.parametrize("width", ["512", "model.visual.output_dim", "width"])
@pytest.mark.parametrize("features", ["self.clip.visual(images)", "self.clip.encode_image(images, normalize=True)"])
def test_what_is_right(width: str, features: str) -> None:
    assert network(B32, width, features) == []


def test_the_tower_alone() -> None:
    assert network(B32, 768, "self.clip.visual(images)") == [(12, "HC101")]
    assert network(f"{B32}\nmodel = model.visual", 768, "self.clip(images)") == [(13, "HC101")]
    assert network(f"{B32}\nmodel = model.visual", 512, "self.clip(images)") == []


@pytest.mark.parametrize(
    "made",
    [
        f"{B32}\nmodel.visual.proj = None",
        f"{B32}\nmodel.visual = nn.Sequential(model.visual, nn.Linear(512, 3))",
        "model = open_clip.create_model('convnext_base')\nmodel.visual.head = nn.Identity()",
        "model = open_clip.create_model('convnext_base')\nmodel.visual.trunk.head = nn.Identity()",
        "model, _, _ = open_clip.create_model_and_transforms('hf-hub:somebody/CLIP-ViT-B-32')",
        "model, _, _ = open_clip.create_model_and_transforms('local-dir:ViT-B-32')",
        "model, _, _ = open_clip.create_model_and_transforms(name)",
        "model = open_clip.create_model('ViT-B-32', embed_dim=7)",
        "model = open_clip.create_model('ViT-B-32', **options)",
        "model = open_clip.create_model('ViT-B-32', jit=True)",
        "model = open_clip.create_model('ViT-B-99')",
    ],
)
def test_what_may_be_another(made: str) -> None:
    assert network(made, 3) == []


def test_only_the_features_of_coca_are_a_vector() -> None:
    coca = "model = open_clip.create_model('coca_ViT-B-32')"
    assert network(coca, 3, "self.clip.visual(images)[0]") == []


def test_a_name_among_those_that_the_script_lists() -> None:
    script = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", required=True, choices=["ViT-B-32", "ViT-L-14"])
    args = parser.parse_args()
    model, _, _ = open_clip.create_model_and_transforms(args.arch, pretrained="openai")
    head = nn.Linear({}, 5)
    head(model.encode_image(torch.rand(2, 3, 224, 224)))
    """
    assert codes(script.format("model.visual.output_dim")) == []
    assert codes(script.format(768)) == [(10, "HC101")]


SOUND = """
model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32", pretrained="openai")
tokenizer = open_clip.get_tokenizer("ViT-B-32")
for parameter in model.parameters():
    parameter.requires_grad = False
for name, parameter in model.visual.named_parameters():
    if "resblocks.11" in name:
        parameter.requires_grad = True
model.visual.fc = nn.Linear(3, 3)
print(model.visual.image_size, model.logit_scale.exp(), model.visual.anything)
head = nn.Linear(512, 10)
optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()])
text = model.encode_text(tokenizer(["a", "b"]))
logits = head(model.encode_image(torch.rand(2, 3, 224, 224)))
nn.CrossEntropyLoss()(logits, torch.tensor([0, 9])).backward()
image_features, text_features, scale = model(torch.rand(2, 3, 224, 224), text)
"""


def test_nothing_is_said_of_what_is_right() -> None:
    assert codes(SOUND) == []
