"""The catalog's facts on timm, transformers and efficientnet_pytorch, tried on the models themselves."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from headcheck.catalog import efficientnet, timm, transformers
from headcheck.catalog.entry import NAMES, Entry, Head, Node

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
    assert list(node.children) == [name for name, _ in module.named_children()]
    assert list(node.parameters) == [name for name, _ in module.named_parameters(recurse=False)]
    if node.known != NAMES:
        known = {*node.values, *node.parameters, *node.children, *node.attributes}
        assert set(dir(module)) - set(dir(nn.Module())) - known <= {"_model_args"}
    for name, child in node.children.items():
        check_names(module.get_submodule(name), child)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_model_of_timm(name: str) -> None:
    classes = 10 if found(name).heads else 1000
    model, entry = built(name, num_classes=classes), found(name, num_classes=classes)
    check_names(model, entry.root)
    assert entry.root.values["num_classes"] == classes
    for head in entry.heads:
        assert head.shape[0 if "Conv" in head.kind else -1] == head.in_features
        swap(model, head)
    assert answer(model, entry) == (CLASSES,)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_model_of_timm_without_a_head(name: str) -> None:
    model, entry = built(name, num_classes=0), found(name, num_classes=0)
    check_names(model, entry.root)
    shape = answer(model, entry)
    assert len(shape) == len(entry.answers["forward"])
    assert all(known in (None, size) for known, size in zip(entry.answers["forward"], shape, strict=True))


@pytest.mark.parametrize("name", SAMPLE)
def test_what_get_classifier_answers(name: str) -> None:
    model = built(name, num_classes=10)
    answered = model.get_classifier()
    parts = answered if isinstance(answered, tuple) else (answered,)
    assert [model.get_submodule(path) for path in timm.classifier(name)] == list(parts)


def test_every_name_is_registered() -> None:
    library = pytest.importorskip("timm")
    if library.__version__ != timm.version():
        pytest.skip(f"the catalog is of timm {timm.version()}")
    assert list(timm.architectures()) == sorted(library.list_models())
    assert all(timm.resolve(name) is not None for name in library.list_pretrained())


CLASSES_OF_TRANSFORMERS = (
    "BertForSequenceClassification",
    "DistilBertForSequenceClassification",
    "ResNetForImageClassification",
    "RobertaForTokenClassification",
    "SwinForImageClassification",
    "ViTForImageClassification",
    "XLMRobertaForSequenceClassification",
)


@pytest.mark.parametrize("name", CLASSES_OF_TRANSFORMERS)
def test_a_class_of_transformers(name: str) -> None:
    library = pytest.importorskip("transformers")
    kind = getattr(library, name)
    config = kind.config_class(num_labels=CLASSES)
    model = on_meta(lambda: kind(config))
    path = (transformers.find(name, CLASSES, None) or pytest.fail(name)).heads[0].path
    layer = model.get_submodule(path)
    entry = transformers.find(name, CLASSES, layer.in_features)
    assert entry is not None
    (head,) = entry.heads
    assert (layer.in_features, layer.out_features) == (head.in_features, head.out_features)
    assert list(entry.root.children) == [child for child, _ in model.named_children()]
    top = path.partition(".")[0]
    check_names(model.get_submodule(top), entry.root.children[top])


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
