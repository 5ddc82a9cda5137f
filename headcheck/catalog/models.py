"""Looking up what calling a builder gives."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from headcheck.catalog.entry import Entry, Head, Node, Plain, Shape, Signature
from headcheck.catalog.files import library_of, load, name_set
from headcheck.catalog.nodes import Decoder

#: Keywords that choose weights or say how to fetch them; what they do to the model comes in as `weights`.
_WEIGHTS = frozenset({"weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress"})


def canonical(name: str) -> str | None:
    """Return the name under which a builder is catalogued, or None if it is not a catalogued builder.

    Builders are catalogued under the namespace of their task: ``torchvision.models.resnet50`` (also for
    ``torchvision.models.resnet.resnet50``), ``torchvision.models.detection.fasterrcnn_resnet50_fpn``.
    """
    return _canonical(name) if library_of(name) == "torchvision" else None


def registered(library: str = "torchvision") -> tuple[str, ...]:
    """Return the names that the library's registry knows (``get_model``, ``list_models``)."""
    return tuple(builder["registered"] for builder in load(library)["builders"].values())


def model_builder(name: str) -> str | None:
    """Return the builder that torchvision registers under `name`, whatever its case, or None."""
    return _registry().get(name.lower())


def signature(builder: str) -> Signature:
    """Return the signature of a catalogued builder. Raises KeyError for any other."""
    parameters, variadic = _facts(builder)["signature"]
    return Signature(parameters=parameters, variadic=variadic)


def find(builder: str, keywords: Mapping[str, Plain], weights: bool | str) -> Entry | None:
    """Return what calling `builder` with these arguments gives, or None where the catalog cannot tell.

    `keywords` are those passed besides the weights: ``{"num_classes": 10}``. `weights` is False for none, True for
    some, or the name of an enum member. Keywords without effect on the structure are accepted; the values they
    change are left out of the nodes.
    """
    name = canonical(builder)
    if name is None:
        return None
    call = _resolve(name, keywords, weights)
    if call is None:
        return None
    settings, counts, unknown = call
    variant = _variant(_facts(name), settings)
    if variant is None:
        return None
    member = weights if isinstance(weights, str) else ""
    return _entry(name, variant, tuple(sorted(counts.items())), unknown, member)


def worker_keywords(builder: str, keywords: Mapping[str, Plain], weights: bool | str) -> dict[str, Plain]:
    """Return the keywords that build the same structure without weights.

    Raises KeyError for a builder that is not catalogued.
    """
    facts = _facts(builder)
    passed = {name: value for name, value in keywords.items() if name not in _WEIGHTS}
    return {**_implied(facts, weights), **passed}


def _resolve(
    name: str, keywords: Mapping[str, Plain], weights: bool | str
) -> tuple[dict[str, Plain], dict[str, int], frozenset[str]] | None:
    """Sort keywords into those that choose a variant, the counts, and the values that are no longer known."""
    facts = _facts(name)
    counted = _counted(name)
    settings, counts, unknown = dict(_implied(facts, weights)), {}, frozenset[str]()
    for keyword, value in keywords.items():
        if keyword in _WEIGHTS:
            continue
        if keyword in counted and value is not None:
            if not isinstance(value, int) or isinstance(value, bool):
                return None
            counts[keyword] = value
            continue
        fact = facts["keywords"].get(keyword)
        if fact is None:
            return None
        default, affected = fact
        if affected is not None:
            unknown |= name_set("torchvision", affected) if value != default else frozenset()
        elif value is not None or default is not None:
            settings[keyword] = value
    defaults = {keyword: default for keyword, (default, _) in facts["keywords"].items()}
    return {key: value for key, value in settings.items() if value != defaults[key]}, counts, unknown


def _implied(facts: Mapping[str, Any], weights: bool | str) -> Mapping[str, Plain]:
    """Return the keywords that having these weights amounts to."""
    members: dict[str, dict[str, Plain]] = facts["members"]
    if weights is False or not members:
        return {}
    return members.get(weights if isinstance(weights, str) else "DEFAULT", {})


def _variant(facts: Mapping[str, Any], settings: Mapping[str, Plain]) -> str | None:
    for known, entry in facts["variants"]:
        if known == settings:
            return str(entry)
    return None


def _counted(name: str) -> Mapping[str, int]:
    counts: Mapping[str, int] = load("torchvision")["entries"][_facts(name)["variants"][0][1]]["counts"]
    return counts


@functools.lru_cache(maxsize=1024)
def _entry(
    name: str, variant: str, passed: tuple[tuple[str, int], ...], unknown: frozenset[str], member: str
) -> Entry:
    data = load("torchvision")["entries"][variant]
    counts = {**data["counts"], **dict(passed)}
    decoder = Decoder("torchvision", counts, unknown)
    root = decoder.node(data["root"])
    return Entry(
        builder=name,
        task=_facts(name)["task"],
        root=root,
        heads=tuple(_head(decoder, root, *head) for head in data["heads"]),
        inputs={path: _shape(decoder, shape) for path, shape in data["inputs"].items()},
        outputs={path: _shape(decoder, shape) for path, shape in data["outputs"].items()},
        used=name_set("torchvision", data["used"]),
        input=tuple(data["input"]),
        method=data["method"],
    )


def _head(
    decoder: Decoder, root: Node, path: str, shape: Any, auxiliary: bool, train: bool, evaluated: bool, outputs: Any
) -> Head:
    node = root
    for part in path.split("."):
        node = node.children[part]
    taken, given = _sizes(node)
    return Head(
        path=path,
        kind=node.kind,
        in_features=taken,
        out_features=given,
        shape=_shape(decoder, shape),
        auxiliary=auxiliary,
        train=train,
        eval=evaluated,
        outputs=tuple(outputs),
    )


def _sizes(node: Node) -> tuple[int, int]:
    prefix = "features" if "in_features" in node.values else "channels"
    taken, given = node.values[f"in_{prefix}"], node.values[f"out_{prefix}"]
    assert isinstance(taken, int) and isinstance(given, int)
    return taken, given


def _shape(decoder: Decoder, shape: list[Any]) -> Shape:
    return tuple(map(decoder.size, shape))


def _facts(builder: str) -> Mapping[str, Any]:
    name = canonical(builder)
    if name is None:
        raise KeyError(builder)
    facts: Mapping[str, Any] = load("torchvision")["builders"][name]
    return facts


def _canonical(name: str) -> str | None:
    return _aliases().get(name)


@functools.cache
def _aliases() -> dict[str, str]:
    builders = load("torchvision")["builders"]
    defining = {f"{facts['module']}.{name.rpartition('.')[2]}": name for name, facts in builders.items()}
    return {**defining, **{name: name for name in builders}}


@functools.cache
def _registry() -> dict[str, str]:
    return {facts["registered"]: name for name, facts in load("torchvision")["builders"].items()}
