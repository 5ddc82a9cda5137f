"""pretrainedmodels: builders by name and by choice, and the methods `features` and `logits` that all models have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import pretrainedmodels
from headcheck.interpreter import choosing, shapes
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Chosen, Ref, Tensor, Value, batch_of, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, family, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State

LIBRARY = "pretrainedmodels"
KEYWORDS = frozenset({"num_classes", "pretrained"})


@family(f"{LIBRARY}.")
def member(call: CallSite) -> Value:
    """A builder, a class, or one of the library's utilities."""
    name = pretrainedmodels.canonical(call.name)
    if name is not None:
        made = make(call, name)
        if made is None:
            return opaque(call)
        ref: Ref = call.state.allocate(made, call.site)
        log_built(call, ref, made)
        return ref
    last = call.name.rpartition(".")[2]
    return opaque(call) if last[:1].isupper() or pretrainedmodels.exists(last) else unknown(call)


def make(call: CallSite, name: str) -> Module | None:
    """The model that a call makes; None where that is not known, or where it raises."""
    facts = pretrainedmodels.facts(name)
    usual_classes, usual_weights = facts.usual
    classes, weights = call.argument(0, "num_classes", usual_classes), call.argument(1, "pretrained", usual_weights)
    if call.keywords.keys() - KEYWORDS or len(call.arguments) > len(KEYWORDS):
        return None
    fixed = facts.classes.get(weights) if isinstance(weights, str) else None
    if weights is not None:  # it has as many classes as its weights, whatever it is told: it raises for another number
        known = {fixed} if fixed is not None else set(facts.classes.values())
        if len(known) > 1 or (
            type(classes) is int and classes not in known and len(call.arguments) + len(call.keywords)
        ):
            return None
        (classes,) = known
    count = classes if type(classes) is int else UNKNOWN_CLASSES
    entry = pretrainedmodels.find(name, count)
    if entry is None:
        return None
    kept = {"num_classes": classes} if facts.counted else {}
    loaded: Value = False if weights is None else True if isinstance(weights, str) else UNKNOWN
    return Module(entry.root.kind, call.site, node=entry.root, build=Build(entry.builder, kept, loaded, entry))


# The models that most scripts mean come first: they stand for the others where not each can be tried.
POPULAR = (
    "se_resnext50_32x4d", "se_resnext101_32x4d", "resnet50", "xception", "inceptionv4", "inceptionresnetv2", "senet154",
    "nasnetalarge", "densenet121", "vgg16", "resnet18", "se_resnet50", "dpn92", "inceptionv3", "alexnet",
)  # fmt: skip


def builders(namespace: str) -> tuple[choosing.Builder, ...]:
    """The builders that the package has by name: ``pretrainedmodels.__dict__[name]``."""
    order = {name: place for place, name in enumerate(POPULAR)}
    names = sorted(pretrainedmodels.names(), key=lambda name: order.get(name, len(order)))
    return tuple(one_builder(name) for name in names) if namespace in (LIBRARY, f"{LIBRARY}.models") else ()


def one_builder(name: str) -> choosing.Builder:
    entry = pretrainedmodels.find(name, 1000)
    assert entry is not None
    heads = tuple((head.path, head.kind, head.in_features) for head in entry.heads)
    root = entry.root

    def build(machine: Machine, state: State, ref: Ref, chosen: Chosen) -> bool:
        name_of = f"{LIBRARY}.{name}"
        call = CallSite(machine, state, name_of, None, chosen.arguments, dict(chosen.keywords), chosen.site)
        made = make(call, name)
        if made is None:
            return False
        choosing.put_in_place(state, ref, made)
        log_built(call, ref, made)
        return True

    return choosing.Builder(name, heads, frozenset((*root.children, *root.values, *root.attributes)), build)


choosing.LIBRARIES[LIBRARY] = builders


@method(Module, "features")
def features(call: CallSite) -> Value:
    """The map before the pooling: the library's head does not answer, whatever comes after does."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    module, given = call.state.object(call.receiver), call.argument(0, "input")
    entry = module.build.entry if type(module) is Module and module.build is not None else None
    shape = entry.answers.get(call.name) if entry is not None else None
    if entry is None or shape is None or not shapes.trunk_is_intact(call.state, call.receiver, entry, ""):
        return symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    return Tensor((batch_of(given), *shape), call.receiver.address, call.receiver.address)
