"""fastai: vision models, their bodies and heads. What a learner does to its model is in `semantics.learners`."""

from __future__ import annotations

from collections.abc import Mapping

from headcheck import catalog, events
from headcheck.catalog import fastai
from headcheck.interpreter import forward, heap
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Library, Ref, Tensor, Tuple, Value, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics import learners, torch, torchvision
from headcheck.semantics.python import items, unknown
from headcheck.semantics.registry import CallSite, Effect, family, hand_over
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

#: What the project's path says of its version, as a fact of the path.
VERSIONS = ("versions", fastai.LIBRARY)
ALL = frozenset(range(len(fastai.FIRST)))
#: Keywords that say how a head is made, with what leaves it as it is by default.
PLAIN = {"bn_final": False, "lin_first": False, "y_range": None}
FORMING = frozenset({"lin_ftrs", "ps", "pool", "concat_pool", "first_bn", *PLAIN})
CROSS_ENTROPY = "torch.nn.CrossEntropyLoss"
#: The layers of a head that take features.
SIZED = frozenset({"torch.nn.BatchNorm1d", "torch.nn.Linear"})
#: Keywords of a learner that leave its model as it was made.
OF_LEARNERS = frozenset(
    """
    dls data arch base_arch normalize n_out pretrained weights loss_func opt_func lr splitter cbs metrics path model_dir
    wd wd_bn_bias train_bn moms init callbacks callback_fns silent true_wd
    """.split()
)


@family(f"{fastai.LIBRARY}.")
def member(call: CallSite) -> Value:
    """A function or class, whatever module it is imported from; anything else may do anything."""
    known = MEMBERS.get(call.name.rpartition(".")[2])
    return hand_over(call) if known is None else known(call)


# -- versions --------------------------------------------------------------------------------------------------------


def versions(call: CallSite) -> frozenset[int]:
    """The ranges of versions that the project may have, by what it asks for and what the path has shown so far."""
    asked = fastai.holding(call.machine.project.required(fastai.LIBRARY))
    module = call.name.rpartition(".")[0]
    first = frozenset(range(fastai.EDITION_TWO))
    editions = {f"{fastai.LIBRARY}.vision": first, f"{fastai.LIBRARY}.vision.all": ALL - first}
    seen: frozenset[int] = call.state.facts.get(VERSIONS, ALL)
    return asked & editions.get(module, ALL) & seen


def shown(call: CallSite, *places: int) -> None:
    """Only some ranges of versions have what the path just used."""
    call.state.facts[VERSIONS] = call.state.facts.get(VERSIONS, ALL) & set(places)


# -- heads -----------------------------------------------------------------------------------------------------------


def form_of(call: CallSite, given: Mapping[str, Value], places: frozenset[int]) -> fastai.Form | None:
    """How a head is made; None where an argument that matters is not known."""
    if any(given.get(name, usual) != usual for name, usual in PLAIN.items()) or not places:
        return None
    flags = {name: given.get(name, True) for name in ("pool", "concat_pool", "first_bn")}
    sizes = given.get("lin_ftrs")
    hidden = (512,) if sizes is None else items(call, sizes)
    if hidden is None or not all(type(flag) is bool for flag in flags.values()):
        return None
    dropouts = dropouts_of(call, given.get("ps", 0.5), len(hidden))
    if dropouts is None or not all(type(size) is int for size in hidden):
        return None
    bias = True if places == {0} else None if 0 in places else False
    return fastai.Form(hidden, dropouts, bias=bias, **flags)


def dropouts_of(call: CallSite, value: Value, hidden: int) -> tuple[float, ...] | None:
    listed = (value,) if isinstance(value, (int, float)) else items(call, value)
    if listed is None or not all(isinstance(each, (int, float)) for each in listed):
        return None
    if len(listed) == 1:
        listed = (listed[0] / 2,) * hidden + listed
    return tuple(map(float, listed)) if len(listed) == hidden + 1 else None


def create_head(call: CallSite) -> Value:
    """The layers of a head as the script's own; since 2.2 its features are doubled for the pooling of two kinds."""
    if {"first_bn", "pool"} & call.keywords.keys():
        shown(call, fastai.DOUBLING)
    places = versions(call)
    names = ("nf", "nc" if "nc" in call.keywords else "n_out", "lin_ftrs", "ps")
    given = {**dict(zip(names, call.arguments, strict=False)), **call.keywords}
    form = form_of(call, given, places) if len(call.arguments) <= len(names) and "**" not in given else None
    if form is None:
        return opaque(call)
    features, factor = given.get("nf", UNKNOWN), 1
    if form.pool and form.concat_pool and fastai.DOUBLING in places:
        factor = 2
        features = 2 * features if type(features) is int and places == {fastai.DOUBLING} else UNKNOWN
    classes = given.get("n_out", given.get("nc", UNKNOWN))
    layers = fastai.head(features, classes, form)
    made = [make(call, layer) for layer in layers]
    first = next(ref for layer, ref in zip(layers, made, strict=True) if layer.kind in SIZED)
    call.state.facts["made by", first.address] = ("create_head", factor)
    return stack(call, made)


def make(call: CallSite, layer: fastai.Layer) -> Value:
    """One layer of a head."""
    arguments = dict(layer.arguments)
    if arguments.get("bias", False) is None:
        arguments["bias"] = UNKNOWN
    signature = catalog.layer(layer.kind)
    if signature is None:
        return own_layer(call, layer.kind, arguments)
    return torch.make_layer(call._replace(arguments=(), keywords=arguments), layer.kind, signature)


def own_layer(call: CallSite, kind: str, arguments: Mapping[str, Value]) -> Ref:
    ref: Ref = call.state.allocate(Module(kind, call.site, arguments=arguments), call.site)
    call.state.log(events.Created(call.site, ref.address))
    return ref


def stack(call: CallSite, parts: list[Value]) -> Value:
    return torch.container(call, "torch.nn.Sequential", {str(place): part for place, part in enumerate(parts)}, True)


def concat_pool(call: CallSite) -> Value:
    named = "sz" if "sz" in call.keywords else "size"
    return own_layer(call, fastai.CONCAT_POOL, {"size": call.argument(0, named, None)})


def flatten(call: CallSite) -> Value:
    return own_layer(call, fastai.FLATTEN, {"full": call.argument(0, "full", False)})


def linear_block(call: CallSite) -> Value:
    """``LinBnDrop(n_in, n_out, bn, p, act, lin_first)``: a Sequential of what its arguments ask for."""
    names = ("n_in", "n_out", "bn", "p", "act", "lin_first")
    given = {**dict(zip(names, call.arguments, strict=False)), **call.keywords}
    takes, gives = given.get("n_in", UNKNOWN), given.get("n_out", UNKNOWN)
    bn, p, act, first = (given.get(n, usual) for n, usual in zip(names[2:], (True, 0.0, None, False), strict=True))
    if type(bn) is not bool or not isinstance(p, (int, float)) or first is not False or "**" in given:
        return opaque(call)
    layers = [fastai.Layer("torch.nn.BatchNorm1d", {"num_features": takes})] if bn else []
    layers += [fastai.Layer("torch.nn.Dropout", {"p": p})] if p else []
    layers += [fastai.Layer("torch.nn.Linear", {"in_features": takes, "out_features": gives, "bias": not bn})]
    return stack(call, [*(make(call, layer) for layer in layers), *([] if act is None else [act])])


# -- bodies ----------------------------------------------------------------------------------------------------------


def create_body(call: CallSite) -> Value:
    """The first children of a model: of the one that is given (since 2.7), or of one that a builder makes first."""
    given = of_body(call)
    first: Value = given.get("model", given.get("arch", UNKNOWN))
    if type(call.state.object(first)) is Module:
        shown(call, fastai.DOUBLING)
    elif type(first) is Library and given.keys() <= OF_BODIES:
        shown(call, *versions(call))
        first = built(call, first, given.get("pretrained", True))
    module, cut = call.state.object(first), given.get("cut")
    node = module.node if type(module) is Module and module.build is not None else None
    known = given.keys() <= OF_BODIES and given.get("n_in", 3) == 3
    if node is None or not known or heap.child_names(module) != list(node.children):
        return hand_over(call)
    kept = fastai.cut_at_pool(node) if cut is None else cut
    return hand_over(call) if type(kept) is not int else body_of(call, first, kept)


OF_BODIES = frozenset({"model", "arch", "n_in", "pretrained", "cut"})


def of_body(call: CallSite) -> dict[str, Value]:
    """The arguments of `create_body` by name. The first edition does not ask how many channels there are."""
    editions = {place < fastai.EDITION_TWO for place in versions(call)}
    order = ("arch", "pretrained", "cut") if editions == {True} else ("arch", "n_in", "pretrained", "cut")
    if len(call.arguments) > 1 and len(editions) != 1:
        return {"**": UNKNOWN}
    return {**dict(zip(order, call.arguments, strict=False)), **call.keywords}


def built(call: CallSite, builder: Library, pretrained: Value) -> Value:
    """A model of torchvision by its builder."""
    canonical = catalog.canonical(builder.name)
    weights = {True: "DEFAULT", False: None}.get(pretrained, UNKNOWN) if type(pretrained) is bool else UNKNOWN
    return UNKNOWN if canonical is None else torchvision.build(alone(call, weights=weights), canonical)


def alone(call: CallSite, **keywords: Value) -> CallSite:
    """The call with other arguments."""
    return call._replace(arguments=(), keywords=keywords)


def body_of(call: CallSite, model: Ref, kept: int) -> Value:
    names = heap.child_names(call.state.object(model))[:kept]
    return stack(call, [heap.get_child(call.state, model, name, call.site) for name in names])


def num_features(call: CallSite) -> Value:
    """How many channels the map has that a model answers."""
    ref = call.argument(0, "m", call.keywords.get("model", UNKNOWN))
    if type(call.state.object(ref)) is not Module:
        return unknown(call)
    with call.machine.aside():
        after = forward.run(call.machine, call.state.fork(), ref, learners.PICTURE, call.site)
    shapes = [one.result.shape for one in after if type(one.result) is Tensor]
    answers = {shape[1] for shape in shapes if shape is not None and len(shape) == 4}
    found = answers.pop() if len(answers) == 1 and len(after) == 1 else None
    return found if type(found) is int else symbol("features", "num_features_model(…)", ref)


def unread(call: CallSite) -> Value:
    """A model that is made of what the library is given, which it may do anything to."""
    hand_over(call)
    return opaque(call)


# -- whole models ----------------------------------------------------------------------------------------------------


def create_model(call: CallSite) -> Value:
    """``create_vision_model(arch, n_out, …)``, or under the name that it had before 2.6."""
    names = ("arch", "n_out")
    given = {**dict(zip(names, call.arguments, strict=False)), **call.keywords}
    given["n_out"] = given.get("n_out", given.get("nc", UNKNOWN))
    return vision_model(call, given) if len(call.arguments) <= len(names) else unread(call)


def vision_model(call: CallSite, given: Mapping[str, Value]) -> Value:
    """A body and a head. One of the library's own making is a model of the library; a custom head is the script's."""
    if call.name.endswith(("create_vision_model", "vision_learner")):
        shown(call, fastai.DOUBLING)
    places, arch = versions(call), given.get("arch", given.get("base_arch", UNKNOWN))
    canonical = catalog.canonical(arch.name) if type(arch) is Library else None
    name = canonical.rpartition(".")[2] if canonical is not None else ""
    kept = fastai.body(name, places) if places else None
    others = given.keys() - OF_LEARNERS - FORMING - {"custom_head", "n_in", "cut", "nc"}
    usual = given.get("n_in", 3) == 3 and given.get("cut") is None
    if kept is None or others or not usual:
        return unread(call)
    custom, pretrained = given.get("custom_head"), given.get("pretrained", True)
    if custom is not None:
        return stack(call, [body_of(call, built(call, arch, pretrained), kept.kept), custom])
    form = form_of(call, given, places)
    classes = given.get("n_out", UNKNOWN)
    known = classes if type(classes) is int else UNKNOWN_CLASSES
    entry = fastai.find(name, known, form, places) if form is not None else None
    if entry is None or form is None:
        return unread(call)
    weights: Value = pretrained if type(pretrained) is bool else UNKNOWN
    sizes = {"hidden": Tuple(form.hidden), "dropouts": Tuple(form.dropouts)}
    flags = {"concat_pool": form.concat_pool, "first_bn": form.first_bn}
    keywords: dict[str, Value] = {"num_classes": classes, **sizes, **flags}
    made = Module(entry.root.kind, call.site, node=entry.root, build=Build(entry.builder, keywords, weights, entry))
    ref: Ref = call.state.allocate(made, call.site)
    log_built(alone(call), ref, made)
    return ref


def vision_learner(call: CallSite) -> Value:
    """A learner of a model that it makes; it freezes the body of one with weights, and so makes its optimizer."""
    if len(call.arguments) > 2:
        return unread(call)
    given = {**dict(zip(("dls", "arch"), call.arguments, strict=False)), **call.keywords}
    given["n_out"] = symbol("classes", "dls.c", given.get("dls")) if given.get("n_out") is None else given["n_out"]
    model = vision_model(call, given)
    learner = learners.make(call, model, given, parted=True)
    if given.get("pretrained", True) is True:
        learners.freeze(alone(call), learner)
    elif given.get("pretrained") is not False:
        learners.lose_sight(call, learner)
    return learner


def own_learner(call: CallSite) -> Value:
    """A learner of a model that the script has made."""
    given = {**dict(zip(("dls", "model"), call.arguments, strict=False)), **call.keywords}
    if len(call.arguments) > 3 or "**" in given:
        return hand_over(call)
    return learners.make(call, given.get("model", UNKNOWN), given, parted=False)


def cross_entropy(call: CallSite) -> Value:
    """``CrossEntropyLossFlat()``: torch's own, of what is flattened to rows of classes first."""
    return hand_over(call) if call.arguments or call.keywords else make(call, fastai.Layer(CROSS_ENTROPY, {}))


MEMBERS: dict[str, Effect] = {
    "AdaptiveConcatPool2d": concat_pool,
    "CrossEntropyLossFlat": cross_entropy,
    "Flatten": flatten,
    "Learner": own_learner,
    "LinBnDrop": linear_block,
    "cnn_learner": vision_learner,
    "create_body": create_body,
    "create_cnn": vision_learner,
    "create_cnn_model": create_model,
    "create_head": create_head,
    "create_vision_model": create_model,
    "num_features_model": num_features,
    "vision_learner": vision_learner,
}
for _name in ("apply_init", "default_split", "get_c", "has_pool_type", "model_meta"):
    MEMBERS[_name] = unknown
