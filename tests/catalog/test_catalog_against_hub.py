"""The catalog's facts on models of torch.hub, tried on those whose code has been fetched before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headcheck.catalog import hub
from headcheck.catalog.entry import NAMES, Entry, Node

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from headcheck.tracing import hub_models  # noqa: E402
from headcheck.tracing.build import on_meta  # noqa: E402

CLASSES = 7


def built(name: str) -> Any:
    repository = hub.repository(name) or pytest.fail(name)
    if not (Path(torch.hub.get_dir()) / f"{repository.replace('/', '_')}_main").is_dir():
        pytest.skip(f"the code of {repository} is not there")
    return on_meta(lambda: hub_models.load(repository, name)).eval()


def found(name: str) -> Entry:
    return hub.find(name) or pytest.fail(name)


def check_names(module: nn.Module, node: Node) -> None:
    assert list(node.children) == [name for name, child in module._modules.items() if child is not None]
    assert list(node.parameters) == [name for name, _ in module.named_parameters(recurse=False)]
    if node.known != NAMES:
        known = {*node.values, *node.parameters, *node.children, *node.attributes}
        numbers = {name for name in node.children if name.isdigit()}  # which `dir` leaves out: they are no attributes
        assert set(dir(module)) - set(dir(nn.Module())) == known - numbers
    for name, child in node.children.items():
        check_names(module.get_submodule(name), child)


def shapes(answer: Any, name: str) -> dict[str, tuple[int, ...]]:
    if isinstance(answer, dict):
        return {f"{name}.{key}": tuple(item.shape[1:]) for key, item in answer.items() if item is not None}
    answers = answer if isinstance(answer, (list, tuple)) else (answer,)
    (shape,) = {tuple(item.shape[1:]) for item in answers}
    return {name: shape}


@pytest.mark.parametrize("name", hub.names())
def test_a_new_head_where_the_catalog_says(name: str) -> None:
    model, entry = built(name), found(name)
    check_names(model, entry.root)
    picture = torch.empty(2, *entry.input, device="meta")
    (head,) = entry.places or (None,)
    if head is None:
        assert "head" in entry.root.children and "head" not in entry.used
        model.head = nn.Linear(3, CLASSES, device="meta")  # which nothing calls
        assert tuple(model(picture).shape[1:]) == entry.answers["forward"]
        return
    assert isinstance(model.get_submodule(head.path), getattr(nn, head.kind.rpartition(".")[2]))
    above, _, last = head.path.rpartition(".")
    setattr(model.get_submodule(above), last, nn.Linear(head.in_features, CLASSES, device="meta"))
    assert model(picture).shape == (2, CLASSES)


@pytest.mark.parametrize("name", [name for name in hub.names() if hub.repository(name) in hub_models.COUNTS])
def test_a_number_of_classes_that_is_listened_to(name: str) -> None:
    usual, (head,) = built(name), found(name).places
    assert usual.get_submodule(head.path).out_features == hub.classes(name) == head.out_features
    repository = hub.repository(name) or pytest.fail(name)
    other = on_meta(lambda: hub_models.load(repository, name, **{hub_models.COUNTS[repository]: CLASSES}))
    check_names(other, (hub.find(name, CLASSES) or pytest.fail(name)).root)
    assert other.get_submodule(head.path).out_features == CLASSES


@pytest.mark.parametrize("name", [name for name in hub.names() if found(name).answers])
def test_what_methods_answer(name: str) -> None:
    model, entry = built(name), found(name)
    picture = torch.empty(2, 3, 112, 112, device="meta")
    real: dict[str, tuple[int, ...]] = {}
    for method in {each.partition(".")[0] for each in entry.answers}:
        real |= shapes(getattr(model, method)(picture), method)
    assert real.keys() == entry.answers.keys()
    for each, shape in entry.answers.items():
        assert len(shape) == len(real[each])
        assert all(known in (None, size) for known, size in zip(shape, real[each], strict=True))
    assert len(model.blocks) >= 12


def test_what_is_asked_of_intermediate_layers() -> None:
    picture = torch.empty(2, 3, 112, 112, device="meta")
    assert [t.shape[-1] for t in built("dino_vits16").get_intermediate_layers(picture, 3)] == [384] * 3
    model = built("dinov2_vits14_reg")
    pairs = model.get_intermediate_layers(picture, n=2, return_class_token=True)
    assert [(patches.shape, token.shape) for patches, token in pairs] == [((2, 64, 384), (2, 384))] * 2
    (map_,) = model.get_intermediate_layers(picture, n=[11], reshape=True)
    assert map_.shape == (2, 384, 8, 8)
    assert set(model(picture, is_training=True)) == set(model.forward_features(picture))
