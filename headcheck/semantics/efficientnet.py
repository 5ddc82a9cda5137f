"""efficientnet_pytorch: `EfficientNet.from_pretrained` and `from_name`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import efficientnet
from headcheck.interpreter import choosing, shapes
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Choice, Chosen, Ref, Symbol, Tensor, Value, batch_of, symbol
from headcheck.semantics.registry import CallSite, effect, family, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, build_by_choice, log_built, opaque

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State

OWNER = "efficientnet_pytorch.EfficientNet"
#: Keywords that leave the structure as it is.
INERT = frozenset({"model_name", "num_classes", "weights_path", "advprop", "dropout_rate", "drop_connect_rate"})


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
    return tuple(one_builder(namespace, name) for name in efficientnet.names())


def one_builder(namespace: str, name: str) -> choosing.Builder:
    entry = efficientnet.find(name, efficientnet.CLASSES)
    assert entry is not None
    heads = tuple((head.path, head.kind, head.in_features) for head in entry.heads)
    attributes = frozenset((*entry.root.children, *entry.root.values, *entry.root.attributes))

    def put(machine: Machine, state: State, ref: Ref, chosen: Chosen) -> bool:
        call = CallSite(machine, state, namespace, None, chosen.arguments, dict(chosen.keywords), chosen.site)
        made = make(call, name) if not call.arguments else None
        if made is None:
            return False
        choosing.put_in_place(state, ref, made)
        log_built(call, ref, made)
        return True

    return choosing.Builder(name, heads, attributes, put)


choosing.LIBRARIES["efficientnet_pytorch"] = builders


@method(Module, "extract_features")
def extract_features(call: CallSite) -> Value:
    """The map before the pooling: the library's head does not answer, whatever comes after does."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    module, given = call.state.object(call.receiver), call.argument(0, "inputs")
    entry = module.build.entry if type(module) is Module and module.build is not None else None
    shape = entry.answers.get(call.name) if entry is not None else None
    if entry is None or shape is None or not shapes.trunk_is_intact(call.state, call.receiver, entry, ""):
        return symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    return Tensor((batch_of(given), *shape), call.receiver.address, call.receiver.address)
