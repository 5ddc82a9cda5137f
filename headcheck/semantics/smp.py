"""segmentation_models_pytorch: an architecture by its class or by `create_model`."""

from __future__ import annotations

from headcheck.catalog import smp
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Ref, Value
from headcheck.ir import UNKNOWN
from headcheck.semantics.registry import CallSite, effect, family, hand_over, maker
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

#: What does not change what reaches the head.
INERT = frozenset({"encoder_name", "encoder_weights", "in_channels", "classes", "activation"})


@maker(smp.LIBRARY)
def makes_model(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last == "create_model" or last in smp.names()


@family(f"{smp.LIBRARY}.")
def member(call: CallSite) -> Value:
    """An architecture, whatever module it is imported from; anything else may do anything."""
    name = call.name.rpartition(".")[2]
    return build(call, name, call.arguments) if name in smp.names() else hand_over(call)


@effect(f"{smp.LIBRARY}.create_model")
def create_model(call: CallSite) -> Value:
    arch = call.argument(0, "arch")
    name = smp.named(arch) if isinstance(arch, str) else None
    rest = {key: value for key, value in call.keywords.items() if key != "arch"}
    return opaque(call) if name is None else build(call._replace(keywords=rest), name, call.arguments[1:])


def build(call: CallSite, name: str, arguments: tuple[Value, ...]) -> Value:
    """A model of an architecture; keywords beside the encoder and the classes may change what reaches its head."""
    given = {**dict(zip(smp.parameters(name), arguments, strict=False)), **call.keywords}
    if given.keys() - INERT:
        return opaque(call)
    classes = given.get("classes", 1)
    count = classes if type(classes) is int else UNKNOWN_CLASSES
    entry = smp.find(name, count, given.get("activation") is not None)
    assert entry is not None
    built = Build(entry.builder, {"num_classes": classes}, UNKNOWN, entry)
    made = Module(entry.root.kind, call.site, node=entry.root, build=built)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref
