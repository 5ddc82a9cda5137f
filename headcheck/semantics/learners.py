"""What a learner of fastai does to its model: it makes an optimizer once, freezes by the groups of that, and trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog.entry import Node
from headcheck.interpreter import forward, heap, parts
from headcheck.interpreter.heap import Instance, Module, Optimizer, Sequence
from headcheck.interpreter.values import Library, Partial, Ref, Split, Symbol, Tensor, Tuple, Value, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics import losses
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, Effect, effect

if TYPE_CHECKING:
    from headcheck.interpreter.state import State

LEARNER = "fastai.learner.Learner"
#: A batch of pictures of which nothing is known.
PICTURE = Tensor((None, None, None, None))
PICTURE_SIZES = 3
#: What `train_bn` keeps from freezing.
NORMS = ("BatchNorm", "InstanceNorm", "LayerNorm")
#: The part of a vision model that its learner freezes.
BODY = "0"


def make(call: CallSite, model: Value, given: Mapping[str, Value], parted: bool) -> Ref:
    """A learner; `parted`: it parts its model in body and head untold, else its optimizer has one group."""
    ref: Ref = call.state.allocate(Instance(None, {}, call.site), call.site)
    work = {name: Partial(Library(f"{LEARNER}.{name}"), (ref,), ()) for name in METHODS}
    parted = (parted or is_default(given.get("splitter"))) and given.get("train_bn", True) is True
    own = {"model": model, "opt": None, "loss_func": given.get("loss_func"), "% parted": parted}
    call.state.heap[ref.address] = Instance(None, {**work, **own}, call.site)
    if not may_be_followed(call, given):
        lose_sight(call, ref)
    return ref


def may_be_followed(call: CallSite, given: Mapping[str, Value]) -> bool:
    """Whether nothing that a learner is given can change its model unseen: a splitter or a callback of the script's."""
    splitter = given.get("splitter")
    if "**" in given or not (splitter is None or is_default(splitter)):
        return False
    return all(is_of_library(call.state, given.get(name)) for name in ("cbs", "callbacks", "callback_fns"))


def is_default(splitter: Value) -> bool:
    """Whether a splitter parts a model in its first child and the rest."""
    named = splitter.name if type(splitter) is Library else ""
    return named.startswith("fastai.") and named.endswith(".default_split")


def is_of_library(state: State, value: Value) -> bool:
    """Whether a callback, or each of several, is one of the library's own."""
    thing = state.object(value)
    listed = value.items if type(value) is Tuple else thing.items if type(thing) is Sequence else None
    if listed is not None:
        return all(is_of_library(state, each) for each in listed)
    if type(value) is Partial:
        return is_of_library(state, value.function)
    named = value.key if type(value) is Symbol and isinstance(value.key, tuple) else (value,)
    return value is None or any(type(part) is Library and part.name.startswith("fastai.") for part in named)


def lose_sight(call: CallSite, learner: Ref) -> None:
    """From here on the model may be another, or its optimizer."""
    model = attribute(call.state, learner, "model")
    if type(call.state.object(model)) is Module:
        call.state.log(events.Escaped(call.site, model.address, "Learner"))


def attribute(state: State, learner: Ref, name: str) -> Value:
    thing: Instance = state.heap[learner.address]
    return thing.attributes.get(name, UNKNOWN)


def assign(state: State, learner: Ref, name: str, value: Value) -> None:
    thing: Instance = state.heap[learner.address]
    state.heap[learner.address] = thing._replace(attributes={**thing.attributes, name: value})


# -- optimizers and freezing -----------------------------------------------------------------------------------------


def optimize(call: CallSite, learner: Ref) -> None:
    """Make an optimizer of all parameters that the model has now."""
    model = attribute(call.state, learner, "model")
    known = type(call.state.object(model)) is Module
    listing = heap.list_parameters(call.state, model) if known else heap.Listing([], False)
    held = tuple(parameter for _, parameter in listing.items)
    made: Ref = call.state.allocate(Optimizer("Adam", held, listing.complete, call.site), call.site)
    assign(call.state, learner, "opt", made)
    call.state.log(events.Optimized(call.site, made.address, "torch.optim.Adam", held, listing.complete, by="learner"))


def has_optimizer(call: CallSite, learner: Ref) -> bool:
    return attribute(call.state, learner, "opt") is not None


def freeze(call: CallSite, learner: Ref) -> None:
    """Freeze the body, but for its norms, in the optimizer that is made of the model now if there is none yet."""
    if not has_optimizer(call, learner):
        optimize(call, learner)
    model, parted = attribute(call.state, learner, "model"), attribute(call.state, learner, "% parted")
    if type(call.state.object(model)) is not Module:
        return
    body: Value = heap.get_child(call.state, model, BODY, call.site) if parted is True else UNKNOWN
    if type(call.state.object(body)) is not Module:
        lose_sight(call, learner)
        return
    listed = heap.list_parameters(call.state, body).items
    paths = tuple(path for path, _ in listed if not is_of_norm(call.state, body, path))
    frozen = set(paths)
    for path, parameter in listed:
        heap.set_flag(call.state, parameter, path not in frozen)
    call.state.log(events.Flagged(call.site, body.address, paths, False))


def is_of_norm(state: State, body: Ref, path: str) -> bool:
    part = parts.part_at(state, body, path.rpartition(".")[0])
    kind = parts.kind_of(state, part).rpartition(".")[2] if part is not None else ""
    return kind.startswith(NORMS)


def thaw(call: CallSite, learner: Ref) -> None:
    """Let all of the model learn."""
    if not has_optimizer(call, learner):
        optimize(call, learner)
    model = attribute(call.state, learner, "model")
    if type(call.state.object(model)) is Module:
        heap.set_all_flags(call.state, model, True)
        call.state.log(events.Flagged(call.site, model.address, None, True))


# -- methods ---------------------------------------------------------------------------------------------------------


def create_opt(call: CallSite, learner: Ref) -> Value:
    optimize(call, learner)
    return None


def freeze_body(call: CallSite, learner: Ref) -> Value:
    freeze(call, learner)
    return None


def unfreeze(call: CallSite, learner: Ref) -> Value:
    thaw(call, learner)
    return None


def freeze_to(call: CallSite, learner: Ref) -> Value:
    """Up to a group: the last is the head, those before follow the model's kind."""
    group = call.argument(1, "n")
    if group == -1 or group == 0:
        return freeze_body(call, learner) if group else unfreeze(call, learner)
    lose_sight(call, learner)
    return None


def fit(call: CallSite, learner: Ref) -> Value:
    """Training: the optimizer that is there already is kept, unless another one is asked for."""
    if not is_of_library(call.state, call.keywords.get("cbs")) or "**" in call.keywords:
        lose_sight(call, learner)
    if not has_optimizer(call, learner) or call.keywords.get("reset_opt", False) is not False:
        optimize(call, learner)
    model = attribute(call.state, learner, "model")
    if type(call.state.object(model)) is Module:
        call.state.log(events.Trained(call.site, model.address))
    return run(call, learner)


def fine_tune(call: CallSite, learner: Ref) -> Value:
    """Training with the body frozen first."""
    if attribute(call.state, learner, "% parted") is True:
        freeze(call, learner)
        thaw(call, learner)
    return fit(call, learner)


def look(call: CallSite, learner: Ref) -> Value:
    """What runs the model and leaves it as it is."""
    after = run(call, learner)
    answer = symbol("call at", f"{call.name}(…)", id(call.site))
    return Split(tuple((one, answer) for one, _ in after.paths)) if type(after) is Split else answer


def run(call: CallSite, learner: Ref) -> Value:
    """Run a model that takes pictures, on one of which nothing is known; what another one takes nobody knows."""
    model = attribute(call.state, learner, "model")
    if not takes_pictures(call.state, model):
        lose_sight(call, learner)
        return None
    after = forward.call_module(call.machine, call.state, model, (PICTURE,), {}, call.site)
    for one in after:
        take_loss(call, one, learner)
    return None if after == [call.state] else Split(tuple((one, None) for one in after))


def take_loss(call: CallSite, state: State, learner: Ref) -> None:
    """The loss of torch that a learner was given, of what its model has answered; one that is not given comes with the
    data."""
    given, output = attribute(state, learner, "loss_func"), state.result
    module = state.object(given)
    target = symbol("target", "target", learner)
    if type(module) is Module and module.kind.startswith("torch.nn.") and module.kind.endswith("Loss"):
        losses.module_loss(state, given, module, (output, target), {}, call.site)
    elif type(given) is Library and given.name.startswith("torch.nn.functional."):
        name = given.name.rpartition(".")[2]
        if name in losses.FUNCTIONS:
            losses.functional_loss(CallSite(call.machine, state, given.name, None, (output, target), {}, call.site))


def takes_pictures(state: State, part: Value) -> bool:
    """Whether a model is one of a library for pictures, or a Sequential that begins with a convolution of them."""
    module = state.object(part)
    if type(module) is Module and module.build is not None:
        return module.build.entry is not None and len(module.build.entry.input) == PICTURE_SIZES
    if not isinstance(part, Node) and (type(module) is not Module or module.cls is not None):
        return False
    kind = parts.kind_of(state, part)
    first = next(iter(parts.children_of(state, part) or ()), None) if kind == "torch.nn.Sequential" else None
    return kind == "torch.nn.Conv2d" if first is None else takes_pictures(state, first[1])


def itself(call: CallSite, learner: Ref) -> Value:
    return learner


def add_callbacks(call: CallSite, learner: Ref) -> Value:
    if not all(is_of_library(call.state, given) for given in call.arguments[1:]):
        lose_sight(call, learner)
    return learner


def load(call: CallSite, learner: Ref) -> Value:
    model = attribute(call.state, learner, "model")
    if type(call.state.object(model)) is Module:
        call.state.log(events.Loaded(call.site, model.address))
    return learner


def harmless(call: CallSite, learner: Ref) -> Value:
    return unknown(call)


METHODS = {
    "add_cb": add_callbacks,
    "add_cbs": add_callbacks,
    "create_opt": create_opt,
    "export": harmless,
    "fine_tune": fine_tune,
    "fit": fit,
    "fit_flat_cos": fit,
    "fit_one_cycle": fit,
    "fit_sgdr": fit,
    "freeze": freeze_body,
    "freeze_to": freeze_to,
    "get_preds": look,
    "load": load,
    "lr_find": look,
    "no_bar": harmless,
    "no_logging": harmless,
    "no_mbar": harmless,
    "predict": look,
    "save": harmless,
    "show_results": look,
    "summary": look,
    "to_fp16": itself,
    "to_fp32": itself,
    "tta": look,
    "unfreeze": unfreeze,
    "validate": look,
}


def on_learner(name: str) -> Effect:
    def called(call: CallSite) -> Value:
        return METHODS[name](call, call.arguments[0])

    return called


for _name in METHODS:
    effect(f"{LEARNER}.{_name}")(on_learner(_name))
