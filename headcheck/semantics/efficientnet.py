"""efficientnet_pytorch: `EfficientNet.from_pretrained` and `from_name`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from headcheck.catalog import efficientnet
from headcheck.interpreter import choosing
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Choice, Ref, Symbol, Value
from headcheck.semantics import named
from headcheck.semantics.registry import CallSite, effect, family, maker, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, build_by_choice, log_built, opaque

if TYPE_CHECKING:
    pass

OWNER = "efficientnet_pytorch.EfficientNet"
#: Keywords that leave the structure as it is.
INERT = frozenset({"model_name", "num_classes", "weights_path", "advprop", "dropout_rate", "drop_connect_rate"})


@maker("efficientnet_pytorch")
def makes_model(name: str) -> bool:
    return name in (OWNER, f"{OWNER}.from_pretrained", f"{OWNER}.from_name")


@family("efficientnet_pytorch.")
def other(call: CallSite) -> Value:
    return opaque(call)


@effect(f"{OWNER}.from_pretrained", f"{OWNER}.from_name")
def build(call: CallSite) -> Value:
    """A model by name, which may not be known yet."""
    name = call.argument(0, "model_name")
    if type(name) is Symbol:
        keywords = {key: value for key, value in call.keywords.items() if key != "model_name"}
        return build_by_choice(call._replace(arguments=call.arguments[1:], keywords=keywords), Choice(call.name, name))
    made = make(call, name) if isinstance(name, str) and len(call.arguments) < 2 else None
    if made is None:
        return opaque(call)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


def make(call: CallSite, name: str) -> Module | None:
    """The module that a name and the keywords give; those beside the number of classes may change stem or blocks."""
    classes = call.keywords.get("num_classes", efficientnet.CLASSES)
    known = not call.keywords.keys() - INERT
    entry = efficientnet.find(name, classes if type(classes) is int else UNKNOWN_CLASSES) if known else None
    if entry is None:
        return None
    built = Build(entry.builder, {"num_classes": classes}, call.name.endswith("from_pretrained"), entry)
    return Module(entry.root.kind, call.site, node=entry.root, build=built)


@functools.cache
def builders(namespace: str) -> tuple[choosing.Builder, ...]:
    """The models that a name may stand for in a call of `namespace`, which makes them."""
    found = {name: efficientnet.find(name, efficientnet.CLASSES) for name in efficientnet.names()}
    return tuple(named.builder(n, entry, namespace, make_alone) for n, entry in found.items() if entry is not None)


def make_alone(call: CallSite, name: str) -> Module | None:
    """The same where the name is all that may be given without its own name."""
    return None if call.arguments else make(call, name)


choosing.LIBRARIES["efficientnet_pytorch"] = builders


@method(Module, "extract_features")
def extract_features(call: CallSite) -> Value:
    return named.before_pooling(call, "inputs")
