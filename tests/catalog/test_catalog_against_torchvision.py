"""The catalog's facts, tried on the models themselves: a new head at the recorded path changes the output."""

from __future__ import annotations

import importlib

import pytest

from headcheck import catalog
from headcheck.catalog.entry import Entry, Head, Node, map_size

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from headcheck.tracing import detection  # noqa: E402
from headcheck.tracing.build import on_meta  # noqa: E402
from headcheck.tracing.observe import observe  # noqa: E402
from headcheck.tracing.shortcuts import no_arithmetic  # noqa: E402

BUILDERS = [str(catalog.model_builder(name)) for name in catalog.registered()]
CLASSES = 7


def entry_of(builder: str, weights: bool = False) -> Entry:
    found = catalog.find(builder, {}, weights)
    assert found is not None
    return found


def built(builder: str, weights: bool = False, **keywords: object) -> nn.Module:
    module, _, name = builder.rpartition(".")
    parameters = catalog.signature(builder).parameters
    offline = {item: None for item in ("weights", "weights_backbone") if item in parameters}
    passed = {**catalog.worker_keywords(builder, {}, weights), **keywords}
    function = getattr(importlib.import_module(module), name)
    return function(**passed, **offline)  # type: ignore[no-any-return]


def swap(model: nn.Module, head: Head) -> None:
    """Put a layer for `CLASSES` classes where the catalog says the head is, of the size it says reaches it."""
    parent, _, name = head.path.rpartition(".")
    kind = getattr(nn, head.kind.rpartition(".")[2])
    sizes = (head.in_features, CLASSES) if kind is nn.Linear else (head.in_features, CLASSES, 1)
    setattr(model.get_submodule(parent), name, kind(*sizes, device="meta"))


def with_a_head() -> list[str]:
    return [builder for builder in BUILDERS if ".detection." not in builder and entry_of(builder).heads]


def test_how_many_models_have_a_head() -> None:
    assert len(BUILDERS) == 121
    assert len(with_a_head()) == 107


@pytest.mark.parametrize("builder", with_a_head())
def test_a_new_head_changes_the_output(builder: str) -> None:
    check_swap(builder, False)
    if entry_of(builder, True).heads != entry_of(builder).heads:
        check_swap(builder, True)


def check_swap(builder: str, weights: bool) -> None:
    entry = entry_of(builder, weights)
    model = on_meta(lambda: built(builder, weights))
    check_attributes(model, entry.root)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.root.total
    for head in entry.heads:
        assert head.shape[0 if "Conv" in head.kind else -1] == head.in_features
        swap(model, head)
    images = torch.empty(2, *entry.input, device="meta")
    for train in (True, False):
        with no_arithmetic():
            seen = observe(model, (images,), train)
        used = [head for head in entry.heads if (head.train if train else head.eval)]
        # Keys of heads that make an output in one mode only are those of that mode.
        changed = {key for key, tensor in seen.answer.items() if tensor.shape[1] == CLASSES}
        assert changed == set(seen.answer)
        assert len(seen.answer) == len({head.path for head in used if ".low_" not in head.path})
        for head in used:
            assert changed & set(head.outputs)
            assert head.path in seen.called


def put_on_modules_by_others() -> set[str]:
    """What libraries beside torch set on `torch.nn.Module` itself (transformers does), if they were imported before."""
    return {n for n, value in vars(nn.Module).items() if getattr(value, "__module__", "torch").split(".")[0] != "torch"}


def check_attributes(module: nn.Module, node: Node) -> None:
    """The names of an instance are complete: nothing is missing, nothing is invented."""
    known = node.values.keys() | node.parameters.keys() | node.children.keys() | node.attributes
    named = {name for name in known if not name[0].isdigit()}  # As dir() has it.
    has = frozenset(dir(module)) - put_on_modules_by_others()
    assert named | catalog.module_attributes() == has | catalog.module_attributes()
    assert not known & catalog.module_attributes()
    for name, child in node.children.items():
        check_attributes(module.get_submodule(name), child)


DETECTORS = [builder for builder in BUILDERS if ".detection." in builder]


def test_how_many_detectors_there_are() -> None:
    assert len(DETECTORS) == 12


@pytest.mark.parametrize("builder", DETECTORS)
def test_a_detector(builder: str) -> None:
    counts = {"num_classes": CLASSES, **({"num_keypoints": 5} if "keypoint" in builder else {})}
    entry = catalog.find(builder, counts, False)
    assert entry is not None
    seen = detection.train(lambda keywords: built(builder, **keywords), counts)
    losses = set(seen.answer)
    assert {key for head in entry.heads for key in head.outputs} <= losses
    expected = {"loss_classifier", "loss_box_reg"} if "rcnn" in builder else {"classification"}
    expected |= {"loss_mask"} if "mask" in builder else set()
    expected |= {"loss_keypoint"} if "keypoint" in builder else set()
    assert {key for head in entry.heads for key in head.outputs} == expected
    model = on_meta(lambda: built(builder, **counts))
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.root.total
    check_attributes(model, entry.root)
    for head in entry.heads:
        layer = model.get_submodule(head.path)
        assert (head.in_features, head.out_features) == tuple(
            getattr(layer, f"{way}_{'features' if isinstance(layer, nn.Linear) else 'channels'}")
            for way in ("in", "out")
        )
        given = seen.inputs[head.path]
        assert given is not None and len(given) == len(head.shape)
        assert all(size is None or size == other for size, other in zip(head.shape, given, strict=True))


@pytest.mark.parametrize("builder", [b for b in with_a_head() if entry_of(b).maps])
def test_maps_are_as_large_as_the_rules_say(builder: str) -> None:
    entry = entry_of(builder)
    model = on_meta(lambda: built(builder))
    for sides in ((entry.input[1] + 5, entry.input[1] + 22), (entry.input[1] * 2 - 1, entry.input[1] + 58)):
        with no_arithmetic():
            seen = observe(model, (torch.zeros(1, 3, *sides, device="meta"),), False)
        for path, rule in entry.maps.items():
            taken, given = seen.inputs[path], seen.outputs[path]
            assert given is not None and taken is not None
            assert given[1:] == tuple(map_size(rule, size) for size in taken[1:]), path


def test_most_models_have_rules_for_their_maps() -> None:
    assert entry_of("torchvision.models.resnet18").maps["layer4"] == (1, 2)
    assert entry_of("torchvision.models.vgg16").maps == {"features": (0, 32)}
    assert entry_of("torchvision.models.densenet121").maps == {"features": (3, 32)}  # rounded up twice, down thrice
    assert entry_of("torchvision.models.alexnet").maps == {"features": (-31, 32)}
    assert sum(bool(entry_of(builder).maps) for builder in with_a_head()) > 60
