"""Looking up what calling a builder gives."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from headcheck.catalog.entries import decode
from headcheck.catalog.entry import Entry, Plain, Shape, Signature
from headcheck.catalog.files import library_of, load, name_set, shared
from headcheck.catalog.forms import names_below
from headcheck.catalog.nodes import Decoder

#: Keywords that choose weights or say how to fetch them; what they do to the model comes in as `weights`.
_WEIGHTS = frozenset({"weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress"})


def canonical(name: str) -> str | None:
    """Return the name under which a builder is catalogued, or None if it is not a catalogued builder.

    Builders are catalogued under the namespace of their task: ``torchvision.models.resnet50`` (also for
    ``torchvision.models.resnet.resnet50``), ``torchvision.models.detection.fasterrcnn_resnet50_fpn``.
    """
    return _canonical(name) if library_of(name) == "torchvision" else None


def is_module(name: str) -> bool:
    """Whether a name is that of a module of torchvision's that defines builders, and of no builder."""
    return name.startswith("torchvision.models.") and canonical(name) is None and name in _modules()


@functools.cache
def _modules() -> frozenset[str]:
    return frozenset(str(facts["module"]) for facts in load("torchvision")["builders"].values())


@functools.cache
def registered(library: str = "torchvision") -> tuple[str, ...]:
    """Return the names that the library's registry knows (``get_model``, ``list_models``)."""
    return tuple(builder["registered"] for builder in load(library)["builders"].values())


def model_builder(name: str) -> str | None:
    """Return the builder that torchvision registers under `name`, whatever its case, or None."""
    return _registry().get(name.lower())


@functools.cache
def part_names(library: str = "torchvision") -> frozenset[str]:
    """Return the names that the models of a library give to their parts: ``fc``, ``features``, ``layer4``."""
    roots = (entry["model"] for entry in load(library)["entries"].values())
    return frozenset(name for root in roots for name in names_below(library, root))


@functools.cache
def head_names() -> frozenset[str]:
    """Return what torchvision's models call their heads, or what holds them: ``fc``, ``classifier``."""
    entries = (find(builder, {}, False) for builder in load("torchvision")["builders"])
    heads = (head for entry in entries if entry is not None for head in entry.places if not head.auxiliary)
    return frozenset(head.path.partition(".")[0] for head in heads)


def signature(builder: str) -> Signature:
    """Return the signature of a catalogued builder. Raises KeyError for any other."""
    parameters, variadic = _shared(_facts(builder)["signature"])
    return Signature(parameters=parameters, variadic=variadic)


def normal(builder: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the mean and the deviation that the images of a builder's default weights are normalised with, None if
    the model does that itself. Raises KeyError for a builder that is not catalogued."""
    found = _facts(builder)["normal"]
    return None if found is None else (tuple(found[0]), tuple(found[1]))


def fixed(builder: str, weights: str) -> Mapping[str, Plain]:
    """Return the keywords for which a builder takes one value only beside a member of its weights' enum (``DEFAULT``),
    with that: ``{"aux_logits": True}``. It raises ValueError for any other. None for what is not catalogued."""
    name = canonical(builder)
    facts = _facts(name) if name is not None else {}
    found: Mapping[str, Plain] = _shared(facts["fixed"]).get(weights, {}) if "fixed" in facts else {}
    return found


def find(builder: str, keywords: Mapping[str, Plain], weights: bool | str) -> Entry | None:
    """Return what calling `builder` with these arguments gives, or None where the catalog cannot tell.

    `keywords` are those passed besides the weights: ``{"num_classes": 10}``. `weights` is False for none, True for
    some, or the name of an enum member. Keywords without effect on the structure are accepted; the values they
    change are left out of the nodes. Sizes in which the models of several possible weights differ are None.
    """
    name = canonical(builder)
    if name is None:
        return None
    call = _sort(name, keywords)
    if call is None:
        return None
    settings, counts, unknown = call
    facts = _facts(name)
    variants = [_variant(name, {**implied, **settings}) for implied in _implied(facts, weights)]
    entries = [
        _entry(name, variant, tuple(sorted(counts.items())), unknown) for variant in variants if variant is not None
    ]
    if not entries or len(entries) < len(variants):
        return None
    return _at_size(_merge(entries), facts, weights)


def is_inert(builder: str, keyword: str) -> bool:
    """Return whether a keyword has no effect on the structure, whatever its value: `dropout`, a detector's `min_size`.

    False for a builder that is not catalogued.
    """
    name = canonical(builder)
    return name is not None and keyword in _shared(_facts(name)["keywords"])[0]


def worker_keywords(builder: str, keywords: Mapping[str, Plain], weights: bool | str) -> dict[str, Plain]:
    """Return the keywords that build the same structure without weights, quickly.

    Raises KeyError for a builder that is not catalogued.
    """
    facts = _facts(builder)
    inert, _ = _shared(facts["keywords"])
    # Filling GoogLeNet and Inception with their own random values takes seconds, and nothing depends on them.
    quick = {"init_weights": False} if "init_weights" in inert else {}
    passed = {name: value for name, value in keywords.items() if name not in _WEIGHTS}
    return {**quick, **_implied(facts, weights)[0], **passed}


def _sort(name: str, keywords: Mapping[str, Plain]) -> tuple[dict[str, Plain], dict[str, int], frozenset[str]] | None:
    """Sort keywords into settings that may choose a variant, counts, and names of values that are no longer known.

    None if there are no facts on one of them.
    """
    inert, same = _shared(_facts(name)["keywords"])
    counted = load("torchvision")["entries"][name]["counts"]
    settings: dict[str, Plain] = {}
    counts: dict[str, int] = {}
    unknown: frozenset[str] = frozenset()
    for keyword, value in keywords.items():
        if keyword in _WEIGHTS or (keyword in counted and value is None):
            continue
        if keyword in counted:
            if not isinstance(value, int) or isinstance(value, bool):
                return None
            counts[keyword] = value
        elif keyword in inert:
            unknown |= name_set("torchvision", inert[keyword])
        elif value is not None or None not in same.get(keyword, [None]):
            settings[keyword] = value
    return settings, counts, unknown


def _implied(facts: Mapping[str, Any], weights: bool | str) -> list[dict[str, Plain]]:
    """Return the settings that having these weights amounts to; several where it is not known which they are."""
    members: dict[str, tuple[dict[str, Plain], int]] = _shared(facts["members"])
    if weights is False:
        return [{}]
    if isinstance(weights, str):
        return [members[weights][0]] if weights in members else [{}]
    # The settings that most scripts mean come first: those of the default weights.
    found: list[dict[str, Plain]] = []
    for settings, _ in (members["DEFAULT"], *members.values()):
        if settings not in found:
            found.append(settings)
    return found


def _variant(name: str, settings: Mapping[str, Plain]) -> str | None:
    """Return the key of the structure that `settings` give, or None if it was not traced."""
    facts = _facts(name)
    _, same = _shared(facts["keywords"])
    chosen = {key: value for key, value in settings.items() if value not in same.get(key, ())}
    return next((entry for known, entry in ([{}, name], *facts["variants"]) if known == chosen), None)


def _merge(entries: list[Entry]) -> Entry:
    first = entries[0]
    if len(entries) == 1:
        return first
    return first._replace(
        inputs=_merge_shapes([entry.inputs for entry in entries]),
        outputs=_merge_shapes([entry.outputs for entry in entries]),
    )


def _merge_shapes(shapes: list[Mapping[str, Shape]]) -> dict[str, Shape]:
    merged = {}
    for path in shapes[0]:
        found = [each.get(path, ()) for each in shapes]
        if len({len(shape) for shape in found}) == 1:
            merged[path] = tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*found, strict=True))
    return merged


def _at_size(entry: Entry, facts: Mapping[str, Any], weights: bool | str) -> Entry:
    """Return `entry` with the image size that the weights were trained at, if the model takes any size."""
    members = _shared(facts["members"])
    if not isinstance(weights, str) or weights not in members or "image_size" in entry.root.values:
        return entry
    side = members[weights][1]
    expected = (*entry.input[:-2], side, side)
    return entry if expected == entry.input else entry._replace(input=expected)


@functools.lru_cache(maxsize=1024)
def _entry(name: str, variant: str, passed: tuple[tuple[str, int], ...], unknown: frozenset[str]) -> Entry:
    data = load("torchvision")["entries"][variant]
    decoder = Decoder("torchvision", {**data["counts"], **dict(passed)}, unknown)
    return decode(decoder, name, _facts(name)["task"], data["model"], data["method"])


def _facts(builder: str) -> Mapping[str, Any]:
    name = canonical(builder)
    if name is None:
        raise KeyError(builder)
    facts: Mapping[str, Any] = load("torchvision")["builders"][name]
    return facts


def _shared(item: Any) -> Any:
    return shared("torchvision", item)


def _canonical(name: str) -> str | None:
    # Most are asked for under that name; the others take reading all of them.
    return name if name in load("torchvision")["builders"] else _aliases().get(name)


@functools.cache
def _aliases() -> dict[str, str]:
    builders = load("torchvision")["builders"]
    defining = {f"{facts['module']}.{name.rpartition('.')[2]}": name for name, facts in builders.items()}
    return {**defining, **{name: name for name in builders}}


@functools.cache
def _registry() -> dict[str, str]:
    return {facts["registered"]: name for name, facts in load("torchvision")["builders"].items()}
