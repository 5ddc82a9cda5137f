"""What a library offers besides models: names, layers, weights."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from headcheck.catalog.entry import Signature
from headcheck.catalog.files import library_of, load, name_set, shared
from headcheck.catalog.models import canonical


def names(namespace: str) -> frozenset[str]:
    """Return every public name of a library namespace such as ``torchvision.models``; none if it is not catalogued."""
    library = library_of(namespace)
    if library is None:
        return frozenset()
    if library == "fastai":
        from headcheck.catalog import fastai  # which asks for the names of others

        return fastai.starred(namespace)
    data = load(library)
    index = data["namespaces"].get(namespace)
    return frozenset() if index is None else name_set(library, index) | _implied(library).get(namespace, frozenset())


@functools.cache
def _implied(library: str) -> Mapping[str, frozenset[str]]:
    return implied(load(library))


def implied(data: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the names of namespaces that other parts of a file have already, so that ``namespaces`` leaves them out:
    those of layers, of builders where they are called and where they are defined, and of weights beside both."""
    if "deprecated" in data:  # timm's builders are all in one namespace
        return {"timm.models": frozenset(data["builders"]).union(data["deprecated"])}
    dotted = [*data["layers"], *data.get("weights", ()), *data.get("builders", ())]
    for name, facts in data.get("builders", {}).items():
        dotted += [f"{facts['module']}.{each.rpartition('.')[2]}" for each in (name, facts["weights"])]
    found: dict[str, set[str]] = {}
    for each in dotted:
        namespace, _, name = each.rpartition(".")
        found.setdefault(namespace, set()).add(name)
    return {namespace: frozenset(names) for namespace, names in found.items()}


@functools.cache
def layer(kind: str) -> Signature | None:
    """Return the constructor's signature of a Module class of torch.nn or torchvision, or None if it is not one."""
    found = _layer(kind)
    if found is None:
        return None
    library, (signature, _) = found
    parameters, variadic = shared(library, signature)
    return Signature(parameters={name: _plain(value) for name, value in parameters.items()}, variadic=variadic)


def layer_attributes(kind: str) -> frozenset[str]:
    """Return every name an instance of a Module class may have beyond `module_attributes`; none if it is not known."""
    found = _layer(kind)
    if found is None:
        return frozenset()
    library, (_, attributes) = found
    return name_set(library, attributes)


def module_attributes() -> frozenset[str]:
    """Return every name that all modules have."""
    return name_set("torch", load("torch")["module_attributes"])


def weights(enum: str) -> Mapping[str, int] | None:
    """Return the number of classes of each member of a weights enum (0 where it does not predict classes), or None."""
    if library_of(enum) is None:
        return None
    data = load("torchvision")
    matches = [enum] if enum in data["weights"] else _by_last_name("weights").get(enum.rpartition(".")[2], [])
    if len(matches) != 1:
        return None
    counts: dict[str, int] = shared("torchvision", data["weights"][matches[0]])
    return counts


def weights_of(builder: str) -> str | None:
    """Return the weights enum of a builder, or None for one that is not catalogued."""
    name = canonical(builder)
    return None if name is None else str(load("torchvision")["builders"][name]["weights"])


def nearest(name: str, among: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Return at most `n` names that look like `name`, the likest first."""
    import difflib

    return tuple(difflib.get_close_matches(name, list(among), n))


def is_misspelt(namespace: str, name: str) -> bool:
    """Whether a catalogued namespace lacks a name that is nearly one of its builders'."""
    known = names(namespace) if namespace.startswith("torchvision.models") else frozenset()
    if not known or name in known or not name[:1].islower() or canonical(f"{namespace}.{name}"):
        return False
    return bool(nearest(name, [other for other in known if canonical(f"{namespace}.{other}")]))


def _layer(kind: str) -> tuple[str, Any] | None:
    library = library_of(kind)
    if library is None:
        return None
    layers = load(library)["layers"]
    if kind in layers:
        return library, layers[kind]
    # Under the defining module (torch.nn.modules.linear.Linear) or one that imports it.
    matches = _by_last_name("layers", library).get(kind.rpartition(".")[2], ())
    return (library, layers[matches[0]]) if len(matches) == 1 else None


@functools.cache
def _by_last_name(part: str, library: str = "torchvision") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in load(library)[part]:
        found.setdefault(name.rpartition(".")[2], []).append(name)
    return found


def _plain(value: object) -> object:
    return tuple(map(_plain, value)) if isinstance(value, list) else value
