"""The allowlist: a name is resolved first, then the object it gives is judged."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

from .state import MAX_TEXT, Refused, Run

# Heads and blocks of torchvision that scripts build themselves. Everything else of torchvision is reached by a builder.
TORCHVISION_LAYERS = ("torchvision.ops.misc", "torchvision.ops.feature_pyramid_network", "torchvision.models.")
#: What is in the heads that fastai makes.
LAYERS_OF_FASTAI = ("fastai.layers.AdaptiveConcatPool2d", "fastai.layers.Flatten")


def installed(library: str) -> Any:
    """A library of models, imported when a plan asks for it."""
    name = library.partition(".")[0]
    if importlib.util.find_spec(name) is None:
        raise Refused(f"there is no {name} in {sys.executable}")
    try:
        return importlib.import_module(library)
    except Exception as error:
        raise Refused(f"{name} does not import in {sys.executable}: {error!r:.200}") from None


def resolve(run: Run, name: Any, roots: tuple[str, ...]) -> Any:
    """The library object of a dotted name that starts with one of `roots`; nothing is imported for it."""
    if not isinstance(name, str) or len(name) > MAX_TEXT or not name.startswith(roots):
        raise Refused(f"name {name!r:.60}")
    library, *parts = name.split(".")
    found = run.torch if library == "torch" else run.libraries.torchvision
    if found is None:
        raise Refused(f"{name} needs torchvision, which is not there")
    for part in parts:
        found = None if part.startswith("_") else getattr(found, part, None)
        if found is None:
            raise Refused(f"this {library} has no {name}")
    return found


def defined_in(found: Any, prefixes: tuple[str, ...]) -> bool:
    """Whether a class or function comes from a module under `prefixes` and is the one that stands there by its name."""
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or not (home + ".").startswith(prefixes):
        return False
    return getattr(sys.modules.get(home), found.__name__, None) is found


def layer_class(run: Run, name: Any) -> Any:
    """A layer class: an nn.Module subclass that torch.nn or torchvision's blocks and models define."""
    if name in LAYERS_OF_FASTAI:
        return getattr(installed("fastai.layers"), name.rpartition(".")[2])
    found = resolve(run, name, ("torch.nn.", "torchvision.ops.", "torchvision.models."))
    if not (isinstance(found, type) and issubclass(found, run.torch.nn.Module)):
        raise Refused(f"{name} is not a layer class")
    if not defined_in(found, ("torch.nn.modules.", *TORCHVISION_LAYERS)):
        raise Refused(f"{name} is not on the list of layers")
    return found


def builder_function(run: Run, name: Any) -> Any:
    """A model builder: registered with torchvision, or a public function of torchvision.models that takes `weights`.

    Taking `weights` is what makes a builder one that can be told not to load any.
    """
    found = resolve(run, name, ("torchvision.models.",))
    registry = getattr(importlib.import_module("torchvision.models._api"), "BUILTIN_MODELS", {})
    if not isinstance(found, types.FunctionType):
        raise Refused(f"{name} is not a builder")
    if any(found is registered for registered in registry.values()):
        return found
    if not defined_in(found, ("torchvision.models.",)) or "weights" not in parameters_of(found):
        raise Refused(f"{name} is not on the list of builders")
    return found


def parameters_of(function: Any) -> Any:
    import inspect  # torch has imported it already

    return inspect.signature(function).parameters


def optimizer_class(run: Run, name: Any) -> Any:
    found = resolve(run, name, ("torch.optim.",))
    if not (isinstance(found, type) and issubclass(found, run.torch.optim.Optimizer)):
        raise Refused(f"{name} is not an optimizer")
    if not defined_in(found, ("torch.optim.",)):
        raise Refused(f"{name} is not on the list of optimizers")
    return found
