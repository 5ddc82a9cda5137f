"""The catalog's facts on fastai's vision models, tried on the models themselves."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import pytest

from headcheck.catalog import fastai
from headcheck.catalog.entry import Node

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("fastai")

from torch import nn  # noqa: E402

from headcheck.tracing.build import on_meta  # noqa: E402

CLASSES = 7
#: One of each kind of body: cut by the table and at a pooling, of one child and of many, behind a norm.
SAMPLE = ("alexnet", "convnext_tiny", "densenet121", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t")
FORMS: Mapping[str, tuple[fastai.Form, dict[str, Any]]] = {
    "usual": (fastai.Form(), {}),
    "one pooling": (fastai.Form(concat_pool=False), {"concat_pool": False}),
    "one layer": (fastai.Form((), (0.5,)), {"lin_ftrs": []}),
    "three layers": (fastai.Form((256, 128), (0.1, 0.1, 0.2)), {"lin_ftrs": [256, 128], "ps": 0.2}),
    "no dropout": (fastai.Form(dropouts=(0.0, 0.0)), {"ps": 0.0}),
    "no first norm": (fastai.Form(first_bn=False), {"first_bn": False}),
}


def learner() -> Any:
    return importlib.import_module("fastai.vision.learner")


def built(name: str, **keywords: Any) -> Any:
    builder = torchvision.models.get_model_builder(name)
    return on_meta(lambda: learner().create_vision_model(builder, 4, pretrained=False, **keywords))


def public(part: Any) -> str:
    """The class of a module as the catalog has it."""
    home, kind = type(part).__module__, type(part).__name__
    return f"torch.nn.{kind}" if home.startswith("torch.nn.") else f"{home}.{kind}"


def compared(node: Node, part: Any) -> None:
    """Whether a tree of the catalog has the kinds, the children and the sizes of a module, and all its attributes."""
    assert list(node.children) == list(part._modules)
    own = {name: tuple(parameter.shape) for name, parameter in part._parameters.items() if parameter is not None}
    if node.whole:
        assert node.kind == public(part) or node.kind.startswith("torchvision."), (node.kind, public(part))
        assert dict(node.parameters) == own
        mine = {name for name in vars(part) if name[0] != "_" and name != "training"}
        assert mine <= {*node.values, *node.attributes}, mine
    for name, child in node.children.items():
        compared(child, getattr(part, name))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_new_head_where_the_catalog_says(name: str) -> None:
    entry = fastai.find(name, 4) or pytest.fail(name)
    (head,), model = entry.heads, built(name).eval()
    compared(entry.root, model)
    assert entry.root.total == sum(parameter.numel() for parameter in model.parameters())
    parent, _, last = head.path.rpartition(".")
    layer = model.get_submodule(head.path)
    assert (layer.in_features, layer.out_features, layer.bias) == (head.in_features, 4, None)
    setattr(model.get_submodule(parent), last, nn.Linear(head.in_features or 0, CLASSES, device="meta"))
    flowing = torch.empty(2, *entry.input, device="meta")
    with torch.no_grad():
        for path in ("0", *(f"1.{place}" for place in range(len(model[1])))):
            flowing = model.get_submodule(path)(flowing)
            shape = entry.outputs[path] if path != head.path else (CLASSES,)
            assert len(shape) == flowing.dim() - 1
            assert all(size in (None, real) for size, real in zip(shape, flowing.shape[1:], strict=True))
        assert model(torch.empty(2, *entry.input, device="meta")).shape == (2, CLASSES)


@pytest.mark.parametrize("form", FORMS)
def test_heads_of_every_form(form: str) -> None:
    made, keywords = FORMS[form]
    entry = fastai.find("resnet18", 4, made) or pytest.fail(form)
    model = built("resnet18", **keywords)
    compared(entry.root, model)
    assert entry.heads[0].path == f"1.{len(model[1]) - 1}"


@pytest.mark.parametrize("module", ["fastai.vision.all", "fastai.basics"])
def test_what_import_star_brings(module: str) -> None:
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    brought = names.keys() - {"models"} if module == "fastai.basics" else names.keys()
    known = {name for name in fastai.starred(module) if not name.startswith("Quantized") and "_Quantized" not in name}
    assert known - brought <= {"models"}
    for name in known & brought:
        home, _, last = fastai.member(module, name).rpartition(".")
        if home == module:
            continue
        meant = importlib.import_module(last) if not home else getattr(importlib.import_module(home), last)
        assert names[name] is meant, name


def test_what_a_learner_freezes() -> None:
    vision: Any = importlib.import_module("fastai.vision.all")
    data = torch.utils.data.TensorDataset(torch.rand(4, 3, 64, 64), torch.randint(0, 4, (4,)))
    loaders = vision.DataLoaders.from_dsets(data, data, bs=2, device=torch.device("cpu"))
    learn = vision.Learner(
        loaders, built("resnet18").to_empty(device="cpu"), nn.CrossEntropyLoss(), splitter=learner().default_split
    )
    learn.freeze()
    frozen = {name for name, parameter in learn.model.named_parameters() if not parameter.requires_grad}
    entry = fastai.find("resnet18", 4) or pytest.fail("resnet18")
    norms = {name for name, part in learn.model.named_modules() if "Norm" in type(part).__name__}
    assert frozen == {
        name for name, _ in learn.model.named_parameters() if name[0] == "0" and name.rpartition(".")[0] not in norms
    }
    assert entry.root.total is not None
