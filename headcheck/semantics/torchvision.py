"""`torchvision.models`: builders, by name and by choice, their weights, and the predictor layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck import catalog, events
from headcheck.catalog.entry import Entry
from headcheck.interpreter import choosing
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Choice, Chosen, Library, Ref, Symbol, Tuple, Value, is_plain
from headcheck.ir import UNKNOWN
from headcheck.semantics import predictors, statedicts
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, family, maker
from headcheck.semantics.torch import make_layer

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State

WEIGHT_KEYWORDS = ("weights", "pretrained", "weights_backbone", "pretrained_backbone", "progress")


@maker("torchvision")
def makes_model(name: str) -> bool:
    return catalog.canonical(name) is not None


@family("torchvision.")
def other(call: CallSite) -> Value:
    """Transforms, datasets, utilities: they leave models alone."""
    return unknown(call)


@family("torchvision.models.")
def builder(call: CallSite) -> Value:
    canonical = catalog.canonical(call.name)
    if canonical is not None:
        return build(call, canonical)
    if call.name.endswith(".get_state_dict"):
        return statedicts.of_weights(call)
    namespace, _, name = call.name.rpartition(".")
    signature = catalog.layer(call.name)
    if signature is not None:
        return predictors.expand(call, make_layer(call, call.name, signature))
    if catalog.is_misspelt(namespace, name):
        return no_such_builder(call, namespace, name)
    if catalog.is_module(call.name):
        return no_such_builder(call, namespace, name, "TypeError")
    return opaque(call) if name[:1].isupper() and not namespace.endswith("Weights") else unknown(call)


@family("torchvision.ops.")
def operation(call: CallSite) -> Value:
    signature = catalog.layer(call.name)
    return unknown(call) if signature is None else make_layer(call, call.name, signature)


def no_such_builder(call: CallSite, namespace: str, name: str, raised: str = "AttributeError") -> Value:
    if not call.state.guards:
        call.state.log(events.UnknownName(call.site, namespace, name))
    call.state.end("raise", raised)
    return UNKNOWN


def opaque(call: CallSite) -> Value:
    """A model made by calling a class of the library: a module of which no more is known."""
    made = call.state.allocate(Module(call.name, call.site, known=False), call.site)
    call.state.log(events.Created(call.site, made.address))
    return made


def build(call: CallSite, canonical: str) -> Value:
    """A model of a catalogued builder."""
    log_refused_weights(call, canonical)
    made = make(call, canonical)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


def make(call: CallSite, canonical: str) -> Module:
    weights = weights_of(call)
    keywords = builder_keywords(call, canonical)
    entry = look_up(canonical, keywords, weights)
    root = entry.root if entry is not None else None
    kind = root.kind if root is not None else canonical
    return Module(kind, call.site, node=root, build=Build(canonical, keywords, weights, entry), known=root is not None)


def log_built(call: CallSite, ref: Ref, made: Module) -> None:
    assert made.build is not None
    build = made.build
    call.machine.budget.add_model()
    call.state.log(events.Built(call.site, ref.address, build.builder, build.keywords, build.weights, call.keywords))


def log_refused_weights(call: CallSite, canonical: str) -> None:
    """Say of ``weights=`` that the builder has none of this name: text that names none of its own, or a member of the
    set of another builder. What is neither text nor a member torchvision takes for an old ``pretrained``, as it takes
    the text `legacy`."""
    given = call.argument(0, "weights")
    enum = catalog.weights_of(canonical)
    # Quantized builders have two sets, and which it is depends on another argument.
    if enum is None or call.state.guards or call.state.caught or ".quantization." in canonical:
        return
    own, name = enum.rpartition(".")[2], ""
    if isinstance(given, str) and given not in ("", "legacy"):
        name = str(given).replace(f"{own}.", "")
    elif type(given) is Library:
        owner, _, member = given.name.rpartition(".")
        owner = owner.rpartition(".")[2]
        name = f"{owner}.{member}" if owner.endswith("_Weights") and owner != own else ""
    if name and name not in (*(catalog.weights(enum) or (name,)), "DEFAULT"):
        call.state.log(events.UnknownName(call.site, enum, name))


def builder_keywords(call: CallSite, canonical: str) -> dict[str, Value]:
    """What the call passes besides its weights, by keyword."""
    signature = catalog.signature(canonical)
    names = list(signature.parameters) if signature else []
    given = {**dict(zip(names, call.arguments, strict=False)), **call.keywords}
    # A first positional argument was `pretrained` before torchvision 0.13; `weights_of` reads it.
    return {name: value for name, value in given.items() if name not in WEIGHT_KEYWORDS}


def look_up(canonical: str, keywords: Mapping[str, Value], weights: Value) -> Entry | None:
    """The catalog's entry for a call; None where an unknown argument could change its structure."""
    if "**" in keywords:
        return None
    plain: dict[str, Value] = {}
    for name, value in keywords.items():
        if is_plain(value):
            plain[name] = value
        elif type(value) is Tuple and all(is_plain(item) for item in value.items):
            plain[name] = value.items
        elif name == "num_classes":
            # An unknown number of classes changes no more than the head's outputs: marked by -1, see `classes_known`.
            plain[name] = UNKNOWN_CLASSES
        elif catalog.is_inert(canonical, name):
            plain[name] = None
        else:
            return None
    if weights is not UNKNOWN:
        return catalog.find(canonical, plain, weights)
    with_, without = catalog.find(canonical, plain, True), catalog.find(canonical, plain, False)
    return with_ if with_ is not None and without is not None and with_.root is without.root else None


UNKNOWN_CLASSES = 911_911


def weights_of(call: CallSite) -> Value:
    """False, True, the name of a weights member, or UNKNOWN."""
    if "**" in call.keywords:
        return UNKNOWN
    if "weights" in call.keywords:
        return weights_value(call.keywords["weights"])
    if "pretrained" in call.keywords:
        return weights_value(call.keywords["pretrained"])
    return weights_value(call.arguments[0]) if call.arguments else False


def weights_value(value: Value) -> Value:
    if value is None or value is False:
        return False
    if value is True or value == 1:
        return True
    if isinstance(value, str):
        return value.rsplit(".", 1)[-1]
    if type(value) is Library:
        return value.name.rsplit(".", 1)[-1]
    return UNKNOWN


def build_by_choice(call: CallSite, choice: Choice) -> Value:
    """A model of the library whose name is not known; when the name becomes known later, so does the model."""
    chosen = Chosen(choice, call.arguments, tuple(call.keywords.items()), call.site)
    made = Module(f"{choice.namespace}.?", call.site, known=False, chosen=chosen)
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address))
    return ref


# The models that most scripts mean come first: they stand for the others where not each can be tried.
POPULAR = (
    "resnet50", "resnet18", "vgg16", "densenet121", "mobilenet_v2", "efficientnet_b0", "vit_b_16", "swin_t", "alexnet",
    "convnext_tiny", "inception_v3", "googlenet", "resnet34", "resnet101", "resnet152",
)  # fmt: skip


@functools.cache
def builders(namespace: str) -> tuple[choosing.Builder, ...]:
    """The builders of a namespace of torchvision, or those that its registry knows (`get_model`)."""
    if namespace == REGISTRY:
        named = {name: catalog.model_builder(name) for name in catalog.registered()}
    else:
        named = {name: catalog.canonical(f"{namespace}.{name}") for name in sorted(catalog.names(namespace))}
    order = {name: place for place, name in enumerate(POPULAR)}
    found = [one_builder(name, canonical) for name, canonical in named.items() if canonical is not None]
    return tuple(sorted(found, key=lambda builder: order.get(builder.name, len(order))))


REGISTRY = "torchvision.models.get_model"


def one_builder(name: str, canonical: str) -> choosing.Builder:
    entry = catalog.find(canonical, {}, False)
    heads = tuple((h.path, h.kind, h.in_features) for h in entry.heads) if entry is not None else ()
    root = entry.root if entry is not None else None
    attributes = frozenset((*root.children, *root.values, *root.attributes)) if root is not None else frozenset()

    def build(machine: Machine, state: State, ref: Ref, chosen: Chosen) -> bool:
        call = CallSite(machine, state, canonical, None, chosen.arguments, dict(chosen.keywords), chosen.site)
        made = make(call, canonical)
        if made.node is None:
            return False
        choosing.put_in_place(state, ref, made)
        log_built(call, ref, made)
        return True

    return choosing.Builder(name, heads, attributes, build, root.kind if root is not None else "")


choosing.LIBRARIES["torchvision"] = builders


@effect("torchvision.models.get_model", "torchvision.models._api.get_model")
def get_model(call: CallSite) -> Value:
    name = call.argument(0, "name")
    rest = {k: v for k, v in call.keywords.items() if k != "name"}
    if isinstance(name, str) and name:  # an empty one stands for what the user is to give
        canonical = catalog.model_builder(str(name).lower())
        if canonical is None:
            return no_such_builder(call, "torchvision.models.get_model", str(name))
        return build(call._replace(arguments=(), keywords=rest), canonical)
    return (
        build_by_choice(call._replace(keywords=rest), Choice(REGISTRY, name)) if type(name) is Symbol else opaque(call)
    )


@effect("torchvision.models.get_model_builder", "torchvision.models._api.get_model_builder")
def get_model_builder(call: CallSite) -> Value:
    name = call.argument(0, "name")
    if not isinstance(name, str) or not name:
        return Choice(REGISTRY, name) if type(name) is Symbol else unknown(call)
    canonical = catalog.model_builder(str(name).lower())
    return no_such_builder(call, "torchvision.models.get_model", str(name)) if canonical is None else Library(canonical)


@effect("torchvision.models.get_weight", "torchvision.models._api.get_weight")
def get_weight(call: CallSite) -> Value:
    name = call.argument(0, "name")
    return Library(f"torchvision.models.{name}") if isinstance(name, str) else unknown(call)
