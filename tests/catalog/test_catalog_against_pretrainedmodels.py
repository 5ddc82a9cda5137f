"""The catalog's facts on pretrainedmodels, tried on the models themselves."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

from headcheck.catalog import pretrainedmodels
from headcheck.catalog.entry import NAMES, Entry, Node

torch = pytest.importorskip("torch")
pytest.importorskip("pretrainedmodels")

from torch import nn  # noqa: E402

from headcheck.tracing.build import on_meta  # noqa: E402

CLASSES = 7
ALWAYS = ("dpn68b", "inceptionv3", "nasnetamobile", "se_resnext50_32x4d", "squeezenet1_1", "vgg16", "xception")
SAMPLE = sorted({*ALWAYS, *random.Random(0).sample(pretrainedmodels.names(), 8)})


def built(name: str, **keywords: Any) -> Any:
    library: Any = importlib.import_module("pretrainedmodels")
    return on_meta(lambda: getattr(library, name)(**keywords, pretrained=None))


def found(name: str, classes: int) -> Entry:
    return pretrainedmodels.find(name, classes) or pytest.fail(name)


def check_names(module: nn.Module, node: Node, extra: frozenset[str] = frozenset()) -> None:
    assert list(node.children) == [name for name, child in module._modules.items() if child is not None]
    assert list(node.parameters) == [name for name, _ in module.named_parameters(recurse=False)]
    if node.known != NAMES:
        known = {*node.values, *node.parameters, *node.children, *node.attributes}
        assert set(dir(module)) - set(dir(nn.Module())) <= known
        assert known - set(dir(module)) <= extra
    for name, child in node.children.items():
        check_names(module.get_submodule(name), child)


SETTINGS = frozenset(["input_space", "input_size", "input_range", "mean", "std"])


@pytest.mark.parametrize("name", SAMPLE)
def test_a_new_head_where_the_catalog_says(name: str) -> None:
    facts = pretrainedmodels.facts(name)
    model, entry = built(name, num_classes=10), found(name, 10)
    check_names(model, entry.root, SETTINGS)
    for head in entry.heads:
        layer = model.get_submodule(head.path)
        sizes = (
            (layer.in_channels, layer.out_channels) if "Conv" in head.kind else (layer.in_features, layer.out_features)
        )
        assert sizes == (head.in_features, head.out_features)
        assert head.out_features == (10 if facts.counted else 1000)
        kind = getattr(nn, head.kind.rpartition(".")[2])
        new = kind(head.in_features, CLASSES, *([1] if "Conv" in head.kind else []), device="meta")
        parent, _, last = head.path.rpartition(".")
        setattr(model.get_submodule(parent), last, new)
    with torch.no_grad():
        answer = model.eval()(torch.empty(2, *entry.input, device="meta"))
    assert answer.flatten(1).shape == (2, CLASSES)


@pytest.mark.parametrize("name", SAMPLE)
def test_what_features_answers(name: str) -> None:
    entry = found(name, 1000)
    assert ("features" in entry.answers) != ("features" in entry.root.children)
    if "features" in entry.answers:
        shape = built(name).eval().features(torch.empty(2, *entry.input, device="meta")).shape[1:]
        assert len(shape) == len(entry.answers["features"])
        assert all(known in (None, size) for known, size in zip(entry.answers["features"], shape, strict=True))


def test_every_name_is_there() -> None:
    library: Any = importlib.import_module("pretrainedmodels")
    assert all(map(pretrainedmodels.exists, library.model_names))
    for name in pretrainedmodels.names():
        settings = library.pretrained_settings[name]
        assert {each: facts["num_classes"] for each, facts in settings.items()} == pretrainedmodels.facts(name).classes
