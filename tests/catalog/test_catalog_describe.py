"""What `headcheck model` prints, and that the lines it offers really replace the heads."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import pytest

from headcheck import catalog
from headcheck.catalog.describe import describe, matching
from headcheck.catalog.snippet import snippet

BUILDERS = [str(catalog.model_builder(name)) for name in catalog.registered()]


def test_a_model_in_words() -> None:
    assert describe("resnet50") == (
        "torchvision.models.resnet50\n"
        "  classification, ResNet, 25,557,032 parameters, expects (N, 3, 224, 224)\n"
        "  Images are normalised with mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225.\n"
        "\n"
        "Head\n"
        "  model.fc  Linear, 2048 → 1000  gets (N, 2048)\n"
        "\n"
        "Weights (ResNet50_Weights)\n"
        "  IMAGENET1K_V1  1000 classes\n"
        "  IMAGENET1K_V2  1000 classes\n"
        "  DEFAULT        1000 classes\n"
        "\n"
        "To give it other classes\n"
        "  from torch import nn\n"
        "  from torchvision import models\n"
        "\n"
        '  model = models.resnet50(weights="DEFAULT")\n'
        "  model.fc = nn.Linear(model.fc.in_features, num_classes)\n"
        "\n"
        "There is another one: headcheck model timm.models.resnet50\n"
        "There is another one: headcheck model pretrainedmodels.resnet50\n"
    )


def test_a_model_of_timm_in_words() -> None:
    assert describe("swin_base_patch4_window7_224") == (
        "timm.models.swin_base_patch4_window7_224\n"
        "  classification, SwinTransformer, 87.8 M parameters, expects (N, 3, 224, 224)\n"
        "  get_classifier() answers model.head.fc.\n"
        "  Images are normalised with mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225.\n"
        "\n"
        "Head\n"
        "  model.head.fc  Linear, 1024 → 1000  gets (N, 1024)\n"
        "\n"
        "What holds them\n"
        "  model.head  ClassifierHead  gets (N, 7, 7, 1024)\n"
        "\n"
        "Weights, as the tag of the name\n"
        "  ms_in1k           1000 classes\n"
        "  ms_in22k          21841 classes\n"
        "  ms_in22k_ft_in1k  1000 classes\n"
        "\n"
        "To give it other classes\n"
        "  import timm\n"
        "\n"
        '  model = timm.create_model("swin_base_patch4_window7_224", pretrained=True, num_classes=num_classes)\n'
        "\n"
        "There is another one: headcheck model open_clip.swin_base_patch4_window7_224\n"
    )


def test_a_checkpoint_in_words() -> None:
    assert describe("google/vit-base-patch16-224") == (
        "google/vit-base-patch16-224\n"
        "  a checkpoint for transformers, vit, 768 features reach a head\n"
        "  It was saved with the head of ViTForImageClassification, 1000 labels.\n"
        "\n"
        "Head\n"
        "  model.classifier  Linear, 768 → 1000  gets (N, 768); makes logits\n"
        "\n"
        "Classes that put a head on it\n"
        "  AutoModelForImageClassification  ViTForImageClassification\n"
        "\n"
        "To give it other classes\n"
        "  from transformers import AutoModelForImageClassification\n"
        "\n"
        '  model = AutoModelForImageClassification.from_pretrained("google/vit-base-patch16-224", '
        "num_labels=num_labels, ignore_mismatched_sizes=True)\n"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vgg16", "model.classifier  Sequential  gets (N, 25088)"),
        ("squeezenet1_0", "nn.Conv2d(model.classifier[1].in_channels, num_classes, kernel_size=1)"),
        ("googlenet", "model.aux1.fc2 is there only without weights"),
        ("deeplabv3_resnet50", "model.aux_classifier[4] is there only with weights"),
        ("inception_v3", "auxiliary, in train mode only; makes aux_logits"),
        ("maskrcnn_resnet50_fpn", "MaskRCNNPredictor(masks.in_channels, masks.out_channels, num_classes)"),
        ("raft_small", "It has no classifier head."),
        ("quantized_resnet18", 'models.quantization.resnet18(weights="DEFAULT")'),
        ("detection.retinanet_resnet50_fpn", "model.head.classification_head.num_classes = num_classes"),
        ("torchvision.models.resnet.resnet18", "model.fc"),
        ("tv_resnet50", "tv_resnet50 is the former name of resnet50.tv_in1k."),
        ("timm/resnet50.a1_in1k", 'create_model("resnet50.a1_in1k", pretrained=True, num_classes=num_classes)'),
        ("vit_small_patch14_dinov2", "model.head  Linear, 384 → num_classes"),
        ("deit_tiny_distilled_patch16_224", "get_classifier() answers model.head and model.head_dist."),
        ("BertForTokenClassification", "model.classifier  Linear, ? → 2"),
        ("bert-base-uncased", "It was saved without a head"),
        ("pretrainedmodels.senet154", "model.last_linear = nn.Linear(model.last_linear.in_features, num_classes)"),
        ("segmentation_models_pytorch.Unet", 'smp.Unet(encoder_name="resnet34"'),
        ("ViT-B-32", "encode_image(…) answers (N, 512)."),
        ("open_clip.RN50", "head = nn.Linear(1024, num_classes)"),
        ("dinov2_vitb14", "model.head = nn.Linear(768, num_classes)"),
        ("dinov2_vitb14", 'forward_features(…)["x_norm_patchtokens"] answers (N, ?, 768).'),
        ("dinov2_vits14_lc", "model.linear_head = nn.Linear(model.linear_head.in_features, num_classes)"),
        ("dino_vits16", 'model = nn.Sequential(torch.hub.load("facebookresearch/dino", "dino_vits16"), nn.Linear(384'),
        ("efficientnet-b3", 'EfficientNet.from_pretrained("efficientnet-b3", num_classes=num_classes)'),
    ],
)
def test_what_is_said_of_models(name: str, words: str) -> None:
    assert words in describe(name)


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(KeyError, match="no model is called resnet55; did you mean resnet50 or"):
        describe("resnet55")
    with pytest.raises(KeyError, match=r"did you mean timm\.swin_base_patch4_window7_224 or"):
        describe("timm.swin_bse_patch4_window7_224")
    with pytest.raises(KeyError, match="did you mean bert-base-uncased or"):
        describe("bert-bse-uncased")
    with pytest.raises(KeyError, match="no model is called zzzzzzzz'"):
        describe("zzzzzzzz")


def test_matching() -> None:
    found = matching("resnet*")
    assert found[:5] == ("resnet101", "resnet152", "resnet18", "resnet34", "resnet50")
    assert found[5] == "timm.resnet101"
    assert "s3d" in matching("torchvision.models.video.*")
    assert "timm.resnet50" not in matching("torchvision.models.*")
    assert "transformers.BertForSequenceClassification" in matching("transformers.Bert*")
    assert matching("bert-base-unc*") == ("bert-base-uncased",)
    assert len(matching("*")) > 1_800
    assert matching("nothing*") == ()


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_lines_offered_give_the_model_other_classes(builder: str) -> None:
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision").models
    from headcheck.tracing.build import on_meta

    code = snippet(builder)
    if not code:
        assert ".optical_flow." in builder
        return
    namespace, _, name = builder.removeprefix("torchvision.models").rpartition(".")
    home = getattr(models, namespace.strip(".")) if namespace.strip(".") else models
    variables = {"num_classes": 7, "num_keypoints": 5}
    with mock.patch.object(home, name, _without_weights(getattr(home, name), builder)):
        exec(compile(code, builder, "exec"), variables)
    keywords = {"num_classes": 7, **({"num_keypoints": 5} if "num_keypoints" in code else {})}
    expected = catalog.find(builder, keywords, "DEFAULT")
    assert expected is not None
    model = variables["model"]
    assert isinstance(model, torch.nn.Module)
    for head in expected.heads:
        given, wanted = dict(model.get_submodule(head.path).named_parameters()), expected.root
        for part in head.path.split("."):
            wanted = wanted.children[part]
        assert {key: tuple(value.shape) for key, value in given.items()} == wanted.parameters
    rebuilt = on_meta(
        lambda: getattr(home, name)(**catalog.worker_keywords(builder, keywords, "DEFAULT"), **_offline(builder))
    )
    assert _numbers(model, expected) == _numbers(rebuilt, expected)


def _without_weights(function: Callable[..., object], builder: str) -> Callable[..., object]:
    """Return a builder that gives, whatever the weights asked for, the structure that they would give."""
    from headcheck.tracing.build import on_meta

    def build(weights: str) -> object:
        keywords = catalog.worker_keywords(builder, {}, weights)
        return on_meta(lambda: function(**keywords, **_offline(builder)))  # type: ignore[arg-type, return-value]

    return build


def _offline(builder: str) -> dict[str, None]:
    parameters = catalog.signature(builder).parameters
    return {name: None for name in ("weights", "weights_backbone") if name in parameters}


def _numbers(model: object, entry: catalog.Entry) -> dict[str, dict[str, object]]:
    """Return the plain attributes of every module above a head but the model itself, where they count classes."""
    above = {head.path[:place] for head in entry.heads for place, sign in enumerate(head.path) if sign == "."}
    return {
        path: {name: value for name, value in vars(model.get_submodule(path)).items() if type(value) is int}  # type: ignore[attr-defined]
        for path in sorted(above)
    }
