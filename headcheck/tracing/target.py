"""Tracing one's own builder."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import nn

from headcheck.catalog import own
from headcheck.catalog.entry import REQUIRED
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.model import Traced, TracedHead, sizes, trace
from headcheck.tracing.own import Table, encode
from headcheck.tracing.tree import describe, is_plain, lookup

#: Keywords that keep builders from fetching weights, with what stands for none and what for some.
_WEIGHTS: Mapping[str, tuple[object, object]] = {
    "weights": (None, "DEFAULT"),
    "weights_backbone": (None, "DEFAULT"),
    "pretrained": (False, True),
    "pretrained_backbone": (False, True),
}
#: What the number of classes is called.
_COUNTS = ("num_classes", "n_classes", "nb_classes", "num_class", "num_labels", "number_of_classes")
#: The number of classes of a builder that has to be told it.
_CLASSES = 10
_SIDE = 224


def trace_target(target: str, input_shape: tuple[int, ...] | None, table: Table) -> tuple[str, dict[str, Any]]:
    """Trace what the user's own builder makes: its name and what a catalog file says of it, its modules in `table`.

    `target` is ``package.module:builder``, where the builder is a function or a Module class that needs no arguments
    but a number of classes; it is imported with the current folder on the path, and called. Keywords it has by the
    names of `_WEIGHTS` are passed so that it fetches no weights. `input_shape` is the shape of one input, by default an
    image of the model's own ``image_size`` or of 224 pixels.

    Raises TracingError when the target is not such a builder, cannot be traced, or is traced in two ways that
    disagree; and whatever its own code raises.
    """
    builder = _resolve(target)
    parameters = inspect.signature(builder).parameters
    counts = [name for name in _COUNTS if name in parameters]
    needed = {name: _CLASSES for name in counts if parameters[name].default is inspect.Parameter.empty}
    offline = {name: none for name, (none, _) in _WEIGHTS.items() if name in parameters}

    def build(keywords: Mapping[str, object]) -> nn.Module:
        model = builder(**{**needed, **offline, **keywords})
        if not isinstance(model, nn.Module):
            raise TracingError(f"{target} makes a {type(model).__name__}, not a torch.nn.Module")
        return model

    def shapes(model: nn.Module) -> list[tuple[int, ...]]:
        side = getattr(model, "image_size", _SIDE)
        return [input_shape or ((3, side, side) if isinstance(side, int) else (3, *side))]

    traced = trace(build, shapes, counts, "classification")
    model = on_meta(lambda: build({}))
    name = target.replace(":", ".")
    home = f"{builder.__module__}.{builder.__qualname__}"
    return name, {
        "target": target,
        "aliases": [home] if home != name else [],
        "parameters": {item.name: _default(item) for item in parameters.values() if item.kind not in _STARRED},
        "weights": [keyword for keyword in offline if _leaves_structure(build, keyword, model)],
        "offline": list(offline),
        "counts": dict(traced.counts),
        "sources": _sources(),
        "frozen": not all(parameter.requires_grad for parameter in model.parameters()),
        "training": model.training,
        **_facts(traced, table),
    }


_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _resolve(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    if not module or not name:
        raise TracingError(f"{target!r} is not of the form package.module:builder")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise TracingError(f"{module} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise TracingError(f"{target} is not a function or class")
    builder: Callable[..., Any] = found
    return builder


def _default(parameter: inspect.Parameter) -> object:
    return encode(parameter.default) if is_plain(parameter.default) else REQUIRED


def _sources() -> dict[str, str]:
    """Return a digest of each module of the user's own that tracing came to: those below the current folder."""
    here = os.path.join(os.path.realpath(os.getcwd()), "")
    found = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    # Some of torch's say that they are files beside the script.
    files = {name: os.path.realpath(file) for name, file in found.items() if os.path.isabs(file)}
    return {
        name: own.digest(file)
        for name, file in sorted(files.items())
        if file.startswith(here) and file.endswith(".py") and "site-packages" not in file[len(here) :].split(os.sep)
    }


# -- weights ---------------------------------------------------------------------------------------------------------


def _leaves_structure(build: Callable[[Mapping[str, object]], nn.Module], keyword: str, model: nn.Module) -> bool:
    """Whether the builder makes the same modules when it is asked for weights. None are fetched: it gets empty ones.

    One that does something else with them than to load them raises, and then it is not known.
    """
    try:
        with _empty_weights():
            other = on_meta(lambda: build({keyword: _WEIGHTS[keyword][1]}))
    except Exception:  # of the user's own code, or of what it asks of weights that are not there
        return False
    flags = [parameter.requires_grad for parameter in model.parameters()]
    same = describe(other) == describe(model) and other.training == model.training
    return same and flags == [parameter.requires_grad for parameter in other.parameters()]


#: What libraries load weights with.
_LOADERS = (("torchvision.models._api", "WeightsEnum.get_state_dict"), ("timm.models._builder", "load_pretrained"))


@contextlib.contextmanager
def _empty_weights() -> Iterator[None]:
    def nothing(*_: object, **__: object) -> dict[str, Any]:
        return {}

    def loaded(*_: object, **__: object) -> object:
        return nn.modules.module._IncompatibleKeys([], [])

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.hub, "load_state_dict_from_url", nothing))
        stack.enter_context(mock.patch.object(nn.Module, "load_state_dict", loaded))
        for module, name in _LOADERS:
            if module in sys.modules:
                stack.enter_context(mock.patch(f"{module}.{name}", nothing))
        yield


# -- what is written -------------------------------------------------------------------------------------------------


def _facts(traced: Traced, table: Table) -> dict[str, Any]:
    return {
        "root": table.node(traced.tree),
        "heads": [_head(traced, head) for head in traced.heads],
        "inputs": {path: encode(shape) for path, shape in traced.inputs.items()},
        "outputs": {path: encode(shape) for path, shape in traced.outputs.items()},
        "used": sorted(traced.used),
        "input": list(traced.input),
        "method": traced.method,
    }


def _head(traced: Traced, head: TracedHead) -> dict[str, Any]:
    layer = lookup(traced.tree, head.path)
    if not head.path or sizes(layer) is None:
        raise TracingError(f"{head.path} makes the output, but a {layer.kind} does not say its sizes")
    return {
        "path": head.path,
        "shape": encode(head.shape),
        "auxiliary": head.auxiliary,
        "train": head.train,
        "eval": head.eval,
        "outputs": list(head.outputs),
    }
