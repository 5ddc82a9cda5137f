"""fastai's vision models: a body cut from one of torchvision's classifiers, and a head that is worked out.

Each of the file's ``kinds`` is ``[kept, channels, names]``: how many children of a model are its body, how many
channels the map has that they answer, and the models of which that holds.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from headcheck.catalog import models, namespaces
from headcheck.catalog.entry import REQUIRED, Entry, Head, Node, Plain, Shape
from headcheck.catalog.files import load
from headcheck.records import NamedTuple

LIBRARY = "fastai"
CONCAT_POOL = f"{LIBRARY}.layers.AdaptiveConcatPool2d"
FLATTEN = f"{LIBRARY}.layers.Flatten"
#: The first versions of ranges in which vision models are made alike: the first fastai, its second edition, and since
#: when `create_head` itself doubles the features for a pooling that answers two of each.
FIRST = ((1, 0), (2, 0), (2, 2))
EDITION_TWO, DOUBLING = 1, 2
#: Models whose bodies were cut elsewhere in the first edition.
_CUT_ELSEWHERE = ("alexnet", "vgg")
#: What ``import *`` of fastai brings beside fastai's own names.
_MODELS = f"{LIBRARY}.vision.models"
_STARRED = {"nn": "torch.nn", "torch": "torch", "F": "torch.nn.functional", "models": _MODELS}
#: The modules that are meant for it; the first edition has the second of them.
_STARS = (f"{LIBRARY}.vision.all", f"{LIBRARY}.vision", f"{LIBRARY}.basics")
#: Names of its own, and those of them that torch or torchvision have as well.
_OWN = frozenset(
    """
    AdaptiveConcatPool2d Adam CSVLogger CrossEntropyLossFlat CutMix DataLoader EarlyStoppingCallback Embedding Flatten
    GradientAccumulation GradientClip Identity Learner LinBnDrop MixUp Module Optimizer RAdam ReduceLROnPlateau SGD
    SaveModelCallback ShowGraphCallback cnn_learner create_body create_cnn_model create_head create_vision_model
    default_split get_model num_features_model vision_learner
    """.split()
)
_Span = tuple["tuple[int, ...] | None", "tuple[int, ...] | None"]


# -- names and versions ----------------------------------------------------------------------------------------------


def member(module: str, name: str) -> str:
    """Return what a member of one of fastai's modules is called where it comes from."""
    if module == _MODELS or module == _STARS[0]:
        found = models.canonical(f"torchvision.models.{name}")
        if found is not None or name.endswith("_Weights") or is_class_of_models(name):
            return found or f"torchvision.models.{name}"
    return _STARRED.get(name, f"{module}.{name}") if module in _STARS else f"{module}.{name}"


def is_class_of_models(name: str) -> bool:
    return name[:1].isupper() and name in namespaces.names("torchvision.models")


@functools.cache
def starred(module: str) -> frozenset[str]:
    """Return the names that ``from module import *`` brings and of which something is known."""
    if module != _STARS[0]:
        return (_OWN if module == _STARS[1] else frozenset()) | _STARRED.keys() if module in _STARS else frozenset()
    offered = namespaces.names("torchvision.models")
    builders = {name for name in offered if models.canonical(f"torchvision.models.{name}")}
    return _OWN | _STARRED.keys() | builders | {name for name in offered if name.endswith("_Weights")}


def holding(spans: Iterable[_Span]) -> frozenset[int]:
    """Return the ranges (by their places in `FIRST`) of the versions that a project asks for; all if it does not."""
    asked = tuple(spans) or ((None, None),)
    return frozenset(place for span in asked for place in range(len(FIRST)) if _overlap(span, place))


def _overlap(span: _Span, place: int) -> bool:
    low, end = span
    after = FIRST[place + 1] if place + 1 < len(FIRST) else None
    return (end is None or FIRST[place] < end) and (low is None or after is None or low < after)


# -- heads -----------------------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    """A layer of a head: its class, and the arguments that are not its defaults."""

    kind: str
    arguments: Mapping[str, Any]


class Form(NamedTuple):
    """How a head is made: `hidden` are the sizes between the features and the classes, `dropouts` the probabilities
    before each Linear, `bias` says whether these have one, None where the versions differ in that."""

    hidden: tuple[int, ...] = (512,)
    dropouts: tuple[float, ...] = (0.25, 0.5)
    pool: bool = True
    concat_pool: bool = True
    first_bn: bool = True
    bias: bool | None = False


#: The head that is made untold.
USUAL = Form()


def head(features: Any, classes: Any, form: Form) -> list[Layer]:
    """Return the layers of a head for so many `features`, after the pooling, and so many classes."""
    found: list[Layer] = []
    if form.pool:
        plain = Layer("torch.nn.AdaptiveAvgPool2d", {"output_size": 1})
        found = [Layer(CONCAT_POOL, {"size": 1}) if form.concat_pool else plain, Layer(FLATTEN, {"full": False})]
    sizes = (features, *form.hidden, classes)
    for place, (takes, gives) in enumerate(itertools.pairwise(sizes)):
        if place or form.first_bn:
            found.append(Layer("torch.nn.BatchNorm1d", {"num_features": takes}))
        if form.dropouts[place]:
            found.append(Layer("torch.nn.Dropout", {"p": form.dropouts[place]}))
        bias = form.bias if place or form.first_bn else True
        found.append(Layer("torch.nn.Linear", {"in_features": takes, "out_features": gives, "bias": bias}))
        if place < len(form.hidden):
            found.append(Layer("torch.nn.ReLU", {"inplace": True}))
    return found


def _node(layer: Layer) -> Node:
    if layer.kind == CONCAT_POOL:
        children = {name: _node(Layer(f"torch.nn.Adaptive{kind}Pool2d", {"output_size": 1})) for name, kind in _POOLS}
        return Node(layer.kind, {}, children, {}, frozenset({"size", "output_size"}), 0)
    if layer.kind == FLATTEN:
        return Node(layer.kind, dict(layer.arguments), {}, {}, frozenset(), 0)
    signature = namespaces.layer(layer.kind)
    assert signature is not None
    defaults = {n: v for n, v in signature.parameters.items() if n not in ("bias", "device", "dtype") and v != REQUIRED}
    values: dict[str, Plain] = {**defaults, **{n: v for n, v in layer.arguments.items() if n != "bias"}}  # type: ignore[dict-item]
    sizes = _parameters(layer)
    attributes = namespaces.layer_attributes(layer.kind) - values.keys() - sizes.keys()
    total = sum(functools.reduce(int.__mul__, shape) for shape in sizes.values())
    return Node(layer.kind, values, {}, sizes, attributes, total)


_POOLS = (("ap", "Avg"), ("mp", "Max"))


def _parameters(layer: Layer) -> dict[str, tuple[int, ...]]:
    if layer.kind == "torch.nn.BatchNorm1d":
        size = (layer.arguments["num_features"],)
        return {"weight": size, "bias": size}
    if layer.kind != "torch.nn.Linear":
        return {}
    takes, gives = layer.arguments["in_features"], layer.arguments["out_features"]
    return {"weight": (gives, takes), **({"bias": (gives,)} if layer.arguments["bias"] else {})}


# -- models ----------------------------------------------------------------------------------------------------------


class Body(NamedTuple):
    """How many children of a model of torchvision are kept, and how many channels they answer."""

    kept: int
    channels: int


@functools.cache
def _bodies() -> dict[str, Body]:
    kinds = load(LIBRARY)["kinds"]
    return {name: Body(kept, channels) for kept, channels, names in kinds for name in names.split()}


def names() -> tuple[str, ...]:
    """Return the models of torchvision that fastai makes vision models of."""
    return tuple(sorted(_bodies()))


def body(name: str, versions: frozenset[int] = frozenset({DOUBLING})) -> Body | None:
    """Return the body that a vision model has of a model of torchvision, None where the versions differ in it."""
    moved = min(versions) < EDITION_TWO and name.startswith(_CUT_ELSEWHERE)
    return None if moved else _bodies().get(name)


def cut_at_pool(root: Node) -> int | None:
    """Return where `create_body` cuts a model untold: at the last child that has a pooling in it."""
    return next((place for place, part in reversed([*enumerate(root.children.values())]) if _has_pool(part)), None)


def _has_pool(node: Node) -> bool:
    return re.search(r"Pool[123]d$", node.kind) is not None or any(map(_has_pool, node.children.values()))


@functools.lru_cache(maxsize=64)
def find(name: str, classes: int, form: Form = USUAL, versions: frozenset[int] = frozenset({DOUBLING})) -> Entry | None:
    """Return the vision model that is made of a model of torchvision, None for one that is not known."""
    kept, whole = body(name, versions), models.find(f"torchvision.models.{name}", {}, False)
    if kept is None or whole is None or form.bias is None or not form.pool:
        return None
    parts = list(whole.root.children.items())[: kept.kept]
    trunk = _stack({str(place): node for place, (_, node) in enumerate(parts)})
    layers = head(kept.channels * (2 if form.concat_pool else 1), classes, form)
    tops = {"0": trunk, "1": _stack({str(place): _node(layer) for place, layer in enumerate(layers)})}
    renamed = {old: f"0.{place}" for place, (old, _) in enumerate(parts)}
    inputs, outputs = (
        {renamed[path]: shape for path, shape in shapes.items() if path in renamed}
        for shapes in (whole.inputs, whole.outputs)
    )
    feature_map: Shape = (kept.channels, None, None)
    inputs |= {"0": (3, None, None), "1": feature_map}
    outputs |= {"0": feature_map, "1": (classes,)}
    flowing = feature_map
    for place, layer in enumerate(layers):
        inputs[f"1.{place}"] = flowing
        flowing = outputs[f"1.{place}"] = _answer(layer, flowing)
    path, takes = f"1.{len(layers) - 1}", layers[-1].arguments["in_features"]
    last = Head(path, layers[-1].kind, takes, classes, (takes,), False, True, True, ("",))
    root = _stack(tops)
    builder = f"{LIBRARY}.{name}"
    used = frozenset(tops)
    return Entry(builder, "classification", root, (last,), inputs, outputs, used, whole.input, whole.method)


def _stack(children: dict[str, Node]) -> Node:
    kind, totals = "torch.nn.Sequential", [node.total for node in children.values()]
    total = None if None in totals else sum(each for each in totals if each is not None)
    return Node(kind, {}, children, {}, namespaces.layer_attributes(kind), total)


def _answer(layer: Layer, shape: Shape) -> Shape:
    if layer.kind == CONCAT_POOL:
        return (2 * (shape[0] or 0), 1, 1)
    if layer.kind.endswith("Pool2d"):
        return (shape[0], 1, 1)
    return (layer.arguments["out_features"],) if layer.kind.endswith("Linear") else shape[:1]
