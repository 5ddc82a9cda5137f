"""The catalog's facts on timm, transformers and efficientnet_pytorch, tried on the models themselves.

An ordinary run tries some models of each kind and a sample, which HEADCHECK_TEST_SEED=text chooses anew;
HEADCHECK_TEST_ALL=1 in the environment tries all of them.
"""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from headcheck.catalog import efficientnet, timm, timm_features, transformers
from headcheck.catalog.entry import NAMES, NOTHING, Entry, Head, Node

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from headcheck.tracing.build import on_meta  # noqa: E402

#: One of each kind: plain and composite heads, vectors and maps, two heads, a convolution as head.
SAMPLE = (
    "convnext_tiny",
    "deit_tiny_distilled_patch16_224",
    "densenet121",
    "dla34",
    "efficientnet_b0",
    "inception_v3",
    "mobilenetv3_large_100",
    "resnet18",
    "swin_tiny_patch4_window7_224",
    "vgg16",
    "vit_small_patch14_dinov2",
)
CLASSES = 7
EVERY = os.environ.get("HEADCHECK_TEST_ALL") == "1"
SEED = os.environ.get("HEADCHECK_TEST_SEED", "headcheck")


def sample(names: Sequence[str], count: int) -> list[str]:
    """Some names, the same ones in every process of a run; all of them where that is asked for."""
    return list(names) if EVERY else sorted(random.Random(SEED).sample(sorted(names), count))


TRACED = [name for name in timm.architectures() if timm.parameters(name) is not None]
TRIED = list(dict.fromkeys([*SAMPLE, *sample(TRACED, 10)]))


def found(name: str, **keywords: Any) -> Entry:
    named = timm.resolve(name)
    assert named is not None
    entry = timm.find(named, keywords)
    assert entry is not None
    return entry


def built(name: str, **keywords: Any) -> Any:
    library = pytest.importorskip("timm")
    return on_meta(lambda: library.create_model(name, **keywords))


def answer(model: nn.Module, entry: Entry) -> tuple[int, ...]:
    with torch.no_grad():
        output = model.eval()(torch.empty(2, *entry.input, device="meta"))
    assert isinstance(output, Tensor)
    return tuple(output.shape[1:])


def swap(model: nn.Module, head: Head) -> None:
    """Put a layer for `CLASSES` classes where the catalog says the head is, of the size it says reaches it."""
    parent, _, name = head.path.rpartition(".")
    kind = getattr(nn, head.kind.rpartition(".")[2])
    sizes = (head.in_features, CLASSES) if kind is nn.Linear else (head.in_features, CLASSES, 1)
    setattr(model.get_submodule(parent), name, kind(*sizes, device="meta"))


def check_names(module: nn.Module, node: Node) -> None:
    """Children and parameters are all there, in order; where a part is known in full, so are its attributes."""
    if node.known == NOTHING:
        return
    assert list(node.children) == [name for name, child in module._modules.items() if child is not None]
    assert list(node.parameters) == [name for name, _ in module.named_parameters(recurse=False)]
    if node.known != NAMES:
        known = {*node.values, *node.parameters, *node.children, *node.attributes}
        assert set(dir(module)) - set(dir(nn.Module())) - known <= {"_model_args"}
    for name, child in node.children.items():
        check_names(module.get_submodule(name), child)


@pytest.mark.parametrize("name", TRIED)
def test_a_model_of_timm(name: str) -> None:
    classes = 10 if found(name).heads else 1000
    model, entry = built(name, num_classes=classes), found(name, num_classes=classes)
    check_names(model, entry.root)
    if not entry.heads:  # an encoder, which takes no number of classes
        assert model.num_classes == entry.root.values["num_classes"] == 0
        return
    assert entry.root.values["num_classes"] == classes
    for head in entry.heads:
        assert head.shape[0 if "Conv" in head.kind else -1] == head.in_features
        swap(model, head)
    assert answer(model, entry) == (CLASSES,)


def test_nearly_all_heads_of_timm_are_known() -> None:
    assert len(timm.architectures()) >= 1371
    assert len(TRACED) >= 0.995 * len(timm.architectures())


@pytest.mark.parametrize("name", TRIED)
def test_a_model_of_timm_without_a_head(name: str) -> None:
    named = timm.resolve(name)
    assert named is not None
    entry = timm.find(named, {"num_classes": 0})
    if entry is None and name not in SAMPLE:
        pytest.skip("what it is without a head is not known")
    assert entry is not None
    model = built(name, num_classes=0)
    check_names(model, entry.root)
    shape = answer(model, entry)
    if "forward" not in entry.answers and name not in SAMPLE:
        pytest.skip("what it answers without a head is not known")
    assert len(shape) == len(entry.answers["forward"])
    assert all(known in (None, size) for known, size in zip(entry.answers["forward"], shape, strict=True))


@pytest.mark.parametrize("name", TRIED)
def test_a_new_head_where_a_model_of_timm_was_made_without_one(name: str) -> None:
    named = timm.resolve(name)
    assert named is not None
    entry = timm.find(named, {"num_classes": 0})
    if entry is None or not entry.open:
        assert name not in ("resnet18", "efficientnet_b0", "vit_small_patch14_dinov2", "densenet121")
        pytest.skip("there is no place for one, or it is not known")
    (place,) = entry.open
    model = built(name, num_classes=0)
    assert isinstance(model.get_submodule(place.path), nn.Identity)
    swap(model, place._replace(kind="torch.nn.Linear"))
    assert answer(model, entry) == (CLASSES,)


@pytest.mark.parametrize("name", TRIED)
def test_the_maps_of_an_extractor_of_timm(name: str) -> None:
    channels = timm_features.channels(name)
    if channels is None:
        assert name not in ("resnet18", "efficientnet_b0", "convnext_tiny", "vgg16")
        pytest.skip("they are not known, or no plain maps")
    model = built(name, features_only=True)
    assert tuple(model.feature_info.channels()) == channels
    with torch.no_grad():
        maps = model.eval()(torch.empty(2, *model.default_cfg["input_size"], device="meta"))
    assert [each.shape[1] for each in maps] == list(channels) and all(each.dim() == 4 for each in maps)
    last = len(model.feature_info.info) - 1
    (only,) = built(name, features_only=True, out_indices=(last,)).feature_info.channels()
    assert timm_features.channels(name, (last,)) == (only,)
    assert timm_features.channels(name, (last + 1,)) is None


@pytest.mark.parametrize("name", TRIED)
def test_what_get_classifier_answers(name: str) -> None:
    model = built(name, num_classes=10)
    known = timm.classifier(name)
    assert known or name not in SAMPLE
    if not hasattr(model, "get_classifier"):  # an encoder
        assert not known
        return
    answered = model.get_classifier()
    parts = answered if isinstance(answered, tuple) else (answered,)
    assert not known or [model.get_submodule(path) for path in known] == list(parts)


def test_every_name_is_registered() -> None:
    library = pytest.importorskip("timm")
    if library.__version__ != timm.version():
        pytest.skip(f"the catalog is of timm {timm.version()}")
    assert list(timm.architectures()) == sorted(library.list_models())
    assert all(timm.resolve(name) is not None for name in library.list_pretrained())


CLASSES_OF_TRANSFORMERS = (
    "BertForSequenceClassification",
    "DistilBertForSequenceClassification",
    "LlamaForSequenceClassification",
    "ResNetForImageClassification",
    "RobertaForTokenClassification",
    "SwinForImageClassification",
    "VideoMAEForVideoClassification",
    "ViTForImageClassification",
    "WhisperForAudioClassification",
    "XLMRobertaForSequenceClassification",
)


def test_the_heads_of_transformers_are_known() -> None:
    assert len(transformers.classes()) >= 270


@pytest.mark.parametrize("name", list(dict.fromkeys([*CLASSES_OF_TRANSFORMERS, *sample(transformers.classes(), 10)])))
def test_a_class_of_transformers(name: str) -> None:
    library = pytest.importorskip("transformers")
    from headcheck.tracing import transformers_models

    model_type = getattr(library, name).config_class.model_type
    path = (transformers.find(name, CLASSES, None) or pytest.fail(name)).heads[0].path
    model, _ = transformers_models.build(name, model_type, 10)
    layer = model.get_submodule(path)
    width = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    entry = transformers.find(name, 10, width)
    assert entry is not None
    (head,) = entry.heads
    given = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    assert (width, given) == (head.in_features, head.out_features)
    assert list(entry.root.children) == [child for child, _ in model.named_children()]
    top = path.partition(".")[0]
    if entry.root.children[top].children or "." not in path:
        check_names(model.get_submodule(top), entry.root.children[top])
    # With a layer for other labels in its place the model answers so many.
    assert transformers_models.seen(model, name, model_type, path) is not None


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-b3"])
def test_a_model_of_efficientnet_pytorch(name: str) -> None:
    pytest.importorskip("efficientnet_pytorch")
    library = importlib.import_module("efficientnet_pytorch")
    entry = efficientnet.find(name, 10)
    assert entry is not None
    model = library.EfficientNet.from_name(name, num_classes=10)
    check_names(model, entry.root)
    (head,) = entry.heads
    layer = model.get_submodule(head.path)
    assert (layer.in_features, layer.out_features) == (head.in_features, head.out_features)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra", "vit"])
def test_what_a_model_of_transformers_without_a_head_answers(kind: str) -> None:
    library = pytest.importorskip("transformers")
    usual = library.AutoConfig.for_model(kind)
    small = {"num_hidden_layers": 1, "n_layers": 1, "intermediate_size": 16, "hidden_dim": 16, "vocab_size": 64}
    config = library.AutoConfig.for_model(kind, **{name: n for name, n in small.items() if hasattr(usual, name)})
    model = library.AutoModel.from_config(config).eval()
    pictures = model.main_input_name == "pixel_values"
    with torch.no_grad():
        answer = model(torch.zeros(2, 3, 224, 224) if pictures else torch.ones(2, 5, dtype=torch.long))
    known = transformers.base(kind, config.hidden_size)
    assert known is not None and known.kind == type(model).__name__
    assert known.names == tuple(sorted(type(answer).__dataclass_fields__))
    assert [name for name, _ in known.answers] == [name for name, part in answer.items() if part is not None]
    for name, shape in known.answers:
        assert len(shape) == answer[name].dim()
        assert all(size in (None, real) for size, real in zip(shape, answer[name].shape, strict=True))
        assert config.hidden_size in shape


@pytest.mark.parametrize("name", ["hiera_small_abswin_256", "vit_small_patch16_rope_mixed_224", "vitamin_xlarge_256"])
def test_a_model_for_pictures_of_another_size(name: str) -> None:
    """Each has a sibling with other parameters of its own, of which another size makes others."""
    model, entry = built(name, num_classes=4, img_size=128), found(name, num_classes=4, img_size=128)
    (head,) = entry.heads
    swap(model, head)
    with torch.no_grad():
        assert model.eval()(torch.empty(2, 3, 128, 128, device="meta")).shape == (2, CLASSES)
