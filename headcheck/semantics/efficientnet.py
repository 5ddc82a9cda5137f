"""efficientnet_pytorch: `EfficientNet.from_pretrained` and `from_name`."""

from __future__ import annotations

from headcheck import events
from headcheck.catalog import efficientnet
from headcheck.interpreter import shapes
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Ref, Tensor, Value, batch_of, symbol
from headcheck.semantics.registry import CallSite, effect, family, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

OWNER = "efficientnet_pytorch.EfficientNet"
#: Keywords that leave the structure as it is.
INERT = frozenset({"model_name", "num_classes", "weights_path", "advprop", "dropout_rate", "drop_connect_rate"})


@family("efficientnet_pytorch.")
def other(call: CallSite) -> Value:
    return opaque(call)


@effect(f"{OWNER}.from_pretrained", f"{OWNER}.from_name")
def build(call: CallSite) -> Value:
    """A model by name; keywords beside the number of classes may change its stem or its blocks."""
    name = call.argument(0, "model_name")
    classes = call.keywords.get("num_classes", efficientnet.CLASSES)
    known = not call.keywords.keys() - INERT and len(call.arguments) < 2
    count = classes if type(classes) is int else UNKNOWN_CLASSES
    entry = efficientnet.find(str(name), count) if isinstance(name, str) and known else None
    if entry is None:
        return opaque(call)
    weights = call.name.endswith("from_pretrained")
    built = Build(entry.builder, {"num_classes": classes}, weights, entry)
    made = Module(entry.root.kind, call.site, node=entry.root, build=built)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


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
