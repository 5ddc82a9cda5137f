"""pretrainedmodels: builders by name and by choice, and the methods `features` and `logits` that all models have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import pretrainedmodels
from headcheck.interpreter import choosing
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Ref, Value
from headcheck.ir import UNKNOWN
from headcheck.semantics import named
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, family, maker, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

if TYPE_CHECKING:
    pass

LIBRARY = "pretrainedmodels"
KEYWORDS = frozenset({"num_classes", "pretrained"})


@maker(LIBRARY)
def makes_model(name: str) -> bool:
    return pretrainedmodels.canonical(name) is not None


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


@effect(f"{LIBRARY}.utils.Identity")
def identity(call: CallSite) -> Value:
    """The package's own layer that answers what it is given: it is older than that of torch."""
    made = call.state.allocate(Module("torch.nn.Identity", call.site), call.site)
    call.state.log(events.Created(call.site, made.address))
    return made


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
    if namespace not in (LIBRARY, f"{LIBRARY}.models"):
        return ()
    found = {name: pretrainedmodels.find(name, 1000) for name in names}
    return tuple(named.builder(n, entry, f"{LIBRARY}.{n}", make) for n, entry in found.items() if entry is not None)


choosing.LIBRARIES[LIBRARY] = builders


@method(Module, "features")
def features(call: CallSite) -> Value:
    return named.before_pooling(call, "input")
