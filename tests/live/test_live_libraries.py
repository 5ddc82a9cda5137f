"""Heads of torchvision's models and of timm's, compared with the catalog: found and replaced.

An ordinary run asks about a sample of both; HEADCHECK_TEST_ALL=1 in the environment asks about all of torchvision and
three hundred of timm.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")

from torch import nn  # noqa: E402

import headcheck  # noqa: E402
from headcheck.catalog import timm as timm_catalog  # noqa: E402
from headcheck.catalog.entry import Entry  # noqa: E402
from headcheck.catalog.models import find  # noqa: E402
from headcheck.live.answers import ForwardFailed, NoExampleInput, NoHead  # noqa: E402
from headcheck.tracing.build import on_meta  # noqa: E402
from headcheck.tracing.torchvision_models import Builder  # noqa: E402

CLASSES = 7
TIMM = [name for name in sorted(timm.list_models()) if not name.endswith("_enc")]
#: So many of timm's, evenly over the alphabet and with it over the families: a few on each run of the suite, three
#: hundred where they are asked for (`HEADCHECK_TEST_ALL=1`), which takes a quarter of an hour.
COUNT = 300 if os.environ.get("HEADCHECK_TEST_ALL") else 20
SOME = [TIMM[number * len(TIMM) // COUNT] for number in range(COUNT)]
EVERY = torchvision.models.list_models()


def smallest_of_each_kind() -> list[str]:
    """Of the modules that every fourth model is from, the model with the fewest parameters, which is the quickest; and
    of two of these modules one that is built of other blocks. The detection models are dear; some are among them."""
    builders = [Builder(name) for name in EVERY]
    modules = {builder.module for builder in builders[::4]}
    builders.sort(key=lambda builder: builder.weights.DEFAULT.meta["num_params"], reverse=True)
    chosen = {builder.module: builder.registered for builder in builders}
    kept = {*(chosen[module] for module in modules), "efficientnet_v2_s", "swin_v2_t"}
    return [name for name in EVERY if name in kept]


TORCHVISION = EVERY if os.environ.get("HEADCHECK_TEST_ALL") else smallest_of_each_kind()


def facts(entry: Entry) -> dict[str, tuple[Any, ...]]:
    return {
        head.path: (head.in_features, head.out_features, head.auxiliary, head.train, head.eval) for head in entry.heads
    }


def found(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    heads = headcheck.find_heads(model)
    return {head.path: (head.in_features, head.out_features, head.auxiliary, head.train, head.eval) for head in heads}


def confirmed(model: nn.Module) -> None:
    """The model is right as it is, and every head of it learns."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    verdict = headcheck.confirm(model, num_classes=CLASSES, optimizer=torch.optim.SGD(parameters, 0.1))
    verdict.raise_if_wrong()
    for head in verdict.heads:
        assert "keypoint" in head.path or any(name.startswith(f"{head.path}.") for name in verdict.gradient), head.path


def modes(model: nn.Module) -> set[bool]:
    return {module.training for module in model.modules()}


@pytest.mark.parametrize("registered", TORCHVISION)
def test_a_torchvision_model(registered: str) -> None:
    builder = Builder(registered)
    with contextlib.nullcontext() if builder.task == "detection" else torch.device("cpu"):
        model = builder({}) if builder.task == "detection" else on_meta(lambda: builder({}))
    if builder.task == "optical_flow":
        with pytest.raises(NoExampleInput, match="image1, image2"):
            headcheck.find_heads(model)
        return
    entry, other = (find(builder.name, keywords, False) for keywords in ({}, {"num_classes": CLASSES}))
    assert entry is not None and other is not None
    assert found(model) == facts(entry)
    if entry.heads:
        assert not headcheck.confirm(model, num_classes=CLASSES).ok
    headcheck.replace_head(model.eval(), CLASSES, freeze=True)
    assert modes(model) == {False}
    for path, (_, out, *_) in facts(other).items():
        layer = model.get_submodule(path)
        assert getattr(layer, "out_features", getattr(layer, "out_channels", None)) == out
        assert "keypoint" in path or all(parameter.shape[0] == out for parameter in layer.parameters())
    confirmed(model)


def test_a_replaced_model_is_the_one_that_its_builder_makes() -> None:
    """Not a number differs, those that a model keeps beside its head included."""
    for registered in (
        "googlenet",
        "fcn_resnet50",
        "r3d_18",
        "retinanet_resnet50_fpn",
        "ssdlite320_mobilenet_v3_large",
    ):
        builder = Builder(registered)
        model, wanted = builder({}), builder({"num_classes": CLASSES})
        headcheck.replace_head(model, CLASSES)
        assert repr(model) == repr(wanted)
        assert [tuple(p.shape) for p in model.parameters()] == [tuple(p.shape) for p in wanted.parameters()]
        assert numbers(model) == numbers(wanted)


def numbers(model: nn.Module) -> dict[str, int]:
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if type(value) is int
    }


@pytest.mark.parametrize("start", range(0, COUNT, 10))
def test_ten_timm_models(start: int) -> None:
    for name in SOME[start : start + 10]:
        model = on_meta(lambda name=name: timm.create_model(name, num_classes=1000))  # type: ignore[misc]
        named = timm_catalog.resolve(name)
        assert named is not None
        entry = timm_catalog.find(named, {"num_classes": 1000})
        heads = found(model)
        if entry is not None:  # Those without weights are not in the catalog.
            assert {path: sizes[:2] for path, sizes in heads.items()} == {
                path: sizes[:2] for path, sizes in facts(entry).items()
            }, name
        answering = {(*sizes[1:2], *sizes[3:]) for sizes in heads.values()}
        assert heads and answering == {(1000, True, True)}, name  # VOLO's auxiliary head, too
        assert any(not auxiliary for _, _, auxiliary, *_ in heads.values()), name
        headcheck.replace_head(model, CLASSES)
        wanted = on_meta(lambda name=name: timm.create_model(name, num_classes=CLASSES))  # type: ignore[misc]
        assert {n: p.shape for n, p in model.named_parameters()} == {
            n: p.shape for n, p in wanted.named_parameters()
        }, name
        assert model.num_classes == CLASSES, name  # type: ignore[comparison-overlap]
        confirmed(model)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "vgg11", "deit_tiny_distilled_patch16_224", "efficientnet_b0"]
)
def test_timm_models_without_a_head(name: str) -> None:
    model = on_meta(lambda: timm.create_model(name, num_classes=0))
    assert headcheck.find_heads(model) == ()
    with pytest.raises(NoHead, match="reset_classifier"):
        headcheck.replace_head(model, CLASSES)


def test_a_headless_library_model_in_a_network_of_ones_own() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = timm.create_model("resnet10t", num_classes=0)
            self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(self.backbone.num_features, 5))

        def forward(self, x: torch.Tensor) -> Any:
            return self.classifier(self.backbone(x))

    (head,) = headcheck.find_heads(Net())
    assert (head.path, head.in_features, head.out_features) == ("classifier.1", 512, 5)


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg16", "mobilenet_v2", "vit_b_16", "densenet121", "swin_t", "convnext_tiny"]
)
def test_torchvision_models_whose_head_was_taken_out(name: str) -> None:
    model = on_meta(lambda: torchvision.models.get_model(name, weights=None))
    for head in headcheck.find_heads(model):
        parent, _, last = head.path.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Identity())
    paths = [head.path for head in headcheck.find_heads(model)]
    # Of VGG's three layers one is left, behind which comes an activation: no scores.
    assert paths == []


#: Classes whose inputs differ, with their configuration and what makes them small.
_WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
TRANSFORMERS: list[tuple[str, str, dict[str, Any], str]] = [
    ("BertForSequenceClassification", "BertConfig", _WIDTH, "classifier"),
    ("BertForTokenClassification", "BertConfig", _WIDTH, "classifier"),
    ("RobertaForSequenceClassification", "RobertaConfig", _WIDTH, "classifier.out_proj"),
    ("LlamaForSequenceClassification", "LlamaConfig", _WIDTH, "score"),
    (
        "BartForSequenceClassification",
        "BartConfig",
        {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
        "classification_head.out_proj",
    ),
    ("ViTForImageClassification", "ViTConfig", _WIDTH, "classifier"),
    (
        "WhisperForAudioClassification",
        "WhisperConfig",
        {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2},
        "classifier",
    ),
    ("ASTForAudioClassification", "ASTConfig", _WIDTH, "classifier.dense"),
]


@pytest.mark.parametrize(("name", "config", "settings", "path"), TRANSFORMERS, ids=[row[0] for row in TRANSFORMERS])
def test_a_transformers_model(name: str, config: str, settings: dict[str, Any], path: str) -> None:
    transformers = pytest.importorskip("transformers")
    model = getattr(transformers, name)(getattr(transformers, config)(**settings))
    before = model.config.num_labels
    (head,) = headcheck.find_heads(model)
    assert (head.path, head.out_features) == (path, before)
    assert headcheck.replace_head(model, CLASSES, freeze=True).counts[-1] == "config.num_labels"
    assert getattr(model, "num_labels", CLASSES) == model.config.num_labels == len(model.config.id2label) == CLASSES
    confirmed(model)


def test_a_transformers_model_whose_count_is_stale() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**_WIDTH))
    model.classifier = nn.Linear(32, CLASSES)
    batch = {"input_ids": torch.ones(2, 8, dtype=torch.long), "labels": torch.tensor([0, 6])}
    (problem,) = headcheck.confirm(model, num_classes=CLASSES, example_input=batch).problems
    assert (problem.code, problem.where, problem.instead) == ("HC111", "classifier", f"model.num_labels = {CLASSES}")


def test_a_detection_model_whose_count_is_stale() -> None:
    model = torchvision.models.get_model("retinanet_resnet50_fpn", weights=None, weights_backbone=None)
    model.head.classification_head.cls_logits = nn.Conv2d(256, 9 * CLASSES, 3, padding=1)
    (problem,) = headcheck.confirm(model, num_classes=CLASSES).problems
    assert problem.code == "HC111" and problem.instead == f"model.head.classification_head.num_classes = {CLASSES}"


def test_adapters() -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")

    def adapted(**settings: Any) -> Any:
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**_WIDTH))
        return peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"], **settings))

    kept = adapted(modules_to_save=["classifier"])
    done = headcheck.replace_head(kept, CLASSES)
    assert [head.path for head in done.heads] == ["base_model.model.classifier.modules_to_save.default"]
    confirmed(kept)
    frozen = adapted()
    (problem,) = headcheck.confirm(frozen, num_classes=2).problems
    assert problem.code == "HC309" and 'modules_to_save=["classifier"]' in problem.instead
    wrapped = peft.get_peft_model(
        transformers.BertForSequenceClassification(transformers.BertConfig(**_WIDTH)),
        peft.LoraConfig(target_modules=["classifier"]),
    )
    (head,) = headcheck.find_heads(wrapped)
    assert (head.path, head.in_features, head.out_features) == ("base_model.model.classifier", 32, 2)
    assert headcheck.confirm(wrapped, num_classes=2).ok
    assert "modules_to_save" in headcheck.replace_head(wrapped, CLASSES).notes[0]
    confirmed(wrapped)


class ByValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, CLASSES)

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(x * (1 if float(x.sum()) > 0 else 2))


def test_a_model_on_meta_that_looks_at_values() -> None:
    for ask in (headcheck.find_heads, headcheck.confirm):
        with pytest.raises(ForwardFailed, match="where nothing has a value"):
            ask(ByValue().to("meta"), example_input=torch.zeros(2, 3))
