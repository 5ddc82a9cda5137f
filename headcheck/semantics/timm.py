"""timm: models by name, and the methods that all of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import timm, timm_versions
from headcheck.catalog.entry import NOTHING, Entry
from headcheck.interpreter import choosing, definitions, forward, heap, parts, shapes
from headcheck.interpreter.heap import DELETED, Build, Dictionary, Module
from headcheck.interpreter.trying import leaf_of
from headcheck.interpreter.values import (
    Choice,
    Chosen,
    Function,
    Library,
    Ref,
    Split,
    Symbol,
    Tensor,
    Tuple,
    Value,
    batch_of,
    is_plain,
    symbol,
)
from headcheck.ir import UNKNOWN
from headcheck.semantics import named, timm_features
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, family, hand_over, maker, method
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, build_by_choice, log_built, opaque, weights_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State

#: How `create_model` is named in messages and events.
CREATE = "timm.create_model"
#: What a tag's configuration is overlaid with when only the place of the weights changes.
PLACES = frozenset({"file", "url", "hf_hub_id", "hf_hub_filename", "source", "state_dict"})


# -- building --------------------------------------------------------------------------------------------------------


@effect(CREATE, "timm.models.create_model", "timm.models.factory.create_model", "timm.models._factory.create_model")
def create_model(call: CallSite) -> Value:
    name = call.argument(0, "model_name")
    call = call._replace(
        arguments=call.arguments[1:], keywords={k: v for k, v in call.keywords.items() if k != "model_name"}
    )
    if type(name) is Symbol:
        return build_by_choice(call, Choice(CREATE, name))
    if not isinstance(name, str) or not name:  # an empty one stands for what the user is to give
        return opaque(call)
    on_hub = timm.on_hub(str(name))
    if on_hub is None and set(name) & set(":/\\"):
        return opaque(call)  # another place on the hub, or a folder
    own = registered(call, str(name))
    if own is not None:
        return make_own(call, own)
    named = timm.resolve(str(name) if on_hub is None else on_hub)
    if named is not None:
        return build(call, named)
    known = on_hub is None and not timm.existed(str(name)) and not may_be_registered(call)
    return no_such_model(call, str(name)) if known else opaque(call)


def registered(call: CallSite, name: str) -> Function | None:
    """The function of the script that is registered under a name."""
    found = (value for scope in call.state.globals.values() for value in scope.values() if type(value) is Function)
    own = (value for value in found if value.wrapper == "registered")
    return next((value for value in own if call.machine.definitions[value.code].name == name), None)


def make_own(call: CallSite, own: Function) -> Value:
    """The model that a function of the script makes. It is given what is not for `create_model` itself."""
    from headcheck.interpreter.calls import call_value

    given = {k: v for k, v in call.keywords.items() if k not in FOR_ITSELF and (v is not None or k == "**")}
    given["pretrained"] = call.argument(0, "pretrained", False)
    after = call_value(call.machine, call.state, own, (), given, call.site)
    if call.keywords.get("checkpoint_path"):
        for path in (path for path in after if type(path.object(path.result)) is Module):
            path.log(events.Loaded(call.site, path.result.address))
    return Split(tuple((path, path.result) for path in after))


#: Keywords of `create_model` that do not get to the function which makes the model, or say only what the weights are.
FOR_ITSELF = frozenset(
    ["cache_dir", "checkpoint_path", "exportable", "no_jit", "pretrained_cfg", "pretrained_cfg_overlay", "scriptable"]
)


def no_such_model(call: CallSite, name: str) -> Value:
    if not call.state.guards:
        call.state.log(events.UnknownName(call.site, CREATE, name))
    call.state.end("raise", "RuntimeError")
    return UNKNOWN


@maker("timm")
def makes_model(name: str) -> bool:
    return name.endswith(".create_model") or timm.canonical(name) is not None


@family("timm.models.")
def member(call: CallSite) -> Value:
    """A model by its own function, a class, or something else of `timm.models`."""
    last = call.name.rsplit(".", 1)[-1]
    if timm.canonical(call.name) is not None:
        named = timm.resolve(last)
        assert named is not None
        return build(call, named)
    return opaque(call) if last[:1].isupper() else hand_over(call)


@family("timm.layers.")
def layer(call: CallSite) -> Value:
    return opaque(call) if call.name.rsplit(".", 1)[-1][:1].isupper() else hand_over(call)


@family("timm.data.")
@family("timm.loss.")
@family("timm.optim.")
@family("timm.scheduler.")
@effect(*(f"timm.utils.{name}" for name in ("ModelEma", "ModelEmaV2", "ModelEmaV3", "accuracy", "AverageMeter")))
@effect("timm.list_models", "timm.list_pretrained", "timm.is_model", "timm.models.list_models", "timm.models.is_model")
def harmless(call: CallSite) -> Value:
    """They read a model, or copy it."""
    return unknown(call)


@effect("timm.utils.unfreeze", "timm.utils.model.unfreeze", "timm.utils.freeze", "timm.utils.model.freeze")
def thaw(call: CallSite) -> Value:
    """Some of a model's parameters change their flag."""
    call.state.log(events.FlagMissed(call.site, "unknown", call.argument(0, "root_module"), "requires_grad", None))
    return hand_over(call)


def build(call: CallSite, named: timm.Named) -> Value:
    """A model whose name is known; one of which the catalog knows no more than that is a module of its own."""
    made = make(call, named)
    if made is None:
        return timm_features.extractor(call, named) or opaque(call)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    if call.keywords.get("checkpoint_path"):
        call.state.log(events.Loaded(call.site, ref.address))
    return ref


def make(call: CallSite, named: timm.Named) -> Module | None:
    """The module that the arguments give; None for a feature extractor, which is another module."""
    keywords = dict(call.keywords)
    if keywords.pop("features_only", False) not in (False, None):
        return None
    pretrained = call.argument(0, "pretrained", False)
    keywords.pop("pretrained", None)
    tag = keywords.pop("pretrained_cfg", None)
    if isinstance(tag, str):
        named, tag = named._replace(tag=str(tag)), None
    entry = look_up(call, named, keywords) if tag is None and len(call.arguments) < 2 else None
    root = entry.root if entry is not None else None
    kind = root.kind if root is not None else named.builder
    kept = {**keywords, "pretrained_cfg": named.tag} if named.tag else keywords
    built = Build(named.builder, kept, weights_value(pretrained), entry)
    return Module(kind, call.site, node=root, build=built, known=root is not None and root.known != NOTHING)


def look_up(call: CallSite, named: timm.Named, keywords: Mapping[str, Value]) -> Entry | None:
    """The catalog's entry for a call; None where an unknown argument could change its structure."""
    if "**" in keywords or not leaves_structure(call, keywords.get("pretrained_cfg_overlay")):
        return None
    plain: dict[str, Value] = {}
    for name, value in keywords.items():
        if name == "pretrained_cfg_overlay":
            continue
        if is_plain(value):
            plain[name] = value
        elif type(value) is Tuple and all(is_plain(item) for item in value.items):
            plain[name] = value.items
        else:
            # An unknown number of classes changes no more than the head's outputs, as long as it is not 0.
            plain[name] = UNKNOWN_CLASSES if name == "num_classes" else timm.UNKNOWN_VALUE
    return timm.find(named, plain, versions(call))


def versions(call: CallSite) -> tuple[int, ...]:
    """The versions of timm that the project may have."""
    return timm_versions.holding(call.machine.project.required("timm"))


def leaves_structure(call: CallSite, overlay: Value) -> bool:
    """Whether an overlay of a tag's configuration says only where the weights are."""
    if overlay is None:
        return True
    thing = call.state.object(overlay)
    return type(thing) is Dictionary and thing.items is not None and all(key in PLACES for key, _ in thing.items)


# The models that most scripts mean; they stand for the others where the script does not name any.
POPULAR = (
    "resnet50", "efficientnet_b0", "vit_base_patch16_224", "densenet121", "swin_base_patch4_window7_224", "resnet18",
    "convnext_base", "mobilenetv3_large_100", "tf_efficientnet_b4", "seresnext50_32x4d", "resnest50d", "vgg16",
    "nfnet_l0", "regnety_040", "deit_base_patch16_224", "inception_v4", "inception_resnet_v2",
)  # fmt: skip


def named_by(state: State, key: Value) -> tuple[list[choosing.Builder], bool]:
    """The models that a name may stand for by what the path has tested of it, and whether there may be others."""
    listed = named.listed(state, key)
    names, others = listed or [], listed is None
    if listed is None:
        many = state.facts.get(("in", leaf_of(key)), ())
        names = choosing.consistent(state, key, many or POPULAR)
        names = names or choosing.consistent(state, key, timm.architectures())
    known = {str(name): timm.resolve(str(name)) for name in names[:MOST_NAMED]}
    return [one_builder(name, named) for name, named in known.items() if named is not None], others


MOST_NAMED = 40


def one_builder(name: str, named: timm.Named) -> choosing.Builder:
    entry = timm.find(named, {})
    heads = tuple((h.path, h.kind, h.in_features) for h in entry.heads) if entry is not None else ()
    root = entry.root if entry is not None else None
    attributes = frozenset((*root.children, *root.values, *root.attributes)) if root is not None else frozenset()

    def build_it(machine: Machine, state: State, ref: Ref, chosen: Chosen) -> bool:
        call = CallSite(machine, state, CREATE, None, chosen.arguments, dict(chosen.keywords), chosen.site)
        made = make(call, named)
        if made is None or made.node is None:
            return False
        choosing.put_in_place(state, ref, made)
        log_built(call, ref, made)
        return True

    return choosing.Builder(name, heads, attributes, build_it, root.kind if root is not None else "")


def sizes_by(state: State, key: Value) -> frozenset[int | None] | None:
    """The sizes that reach the heads of all models that a name may stand for, by what the path has tested of it."""
    many = state.facts.get(("in", leaf_of(key)), ())
    names = choosing.consistent(state, key, many or timm.architectures())
    if len(names) > MOST_SIZED:
        return None
    named = filter(None, (timm.resolve(str(name)) for name in names))
    entries = filter(None, (timm.find(each, {}) for each in named))
    return frozenset(head.in_features for entry in entries for head in entry.heads)


MOST_SIZED = 100  # models
choosing.SAMPLED["timm"], choosing.SIZES["timm"] = named_by, sizes_by


# -- names that others may have registered ---------------------------------------------------------------------------


def may_be_registered(call: CallSite) -> bool:
    """Whether code that was not followed may have given timm further models: an import of the project's, or of a
    package that is not known to leave timm alone."""
    scopes = [call.state.env, *call.state.globals.values()]
    return any(registers(call, value) for scope in scopes for value in scope.values())


def registers(call: CallSite, value: Value) -> bool:
    if type(value) is Library:
        return value.name.endswith(".register_model")
    if type(value) is not Symbol or not isinstance(value.key, tuple) or value.key[0] != "module":
        return False
    module = value.key[1]
    quiet = isinstance(module, str) and module.partition(".")[0] in definitions.QUIET
    return not quiet or call.machine.project.is_local(module, 0, call.state.frame.module)


# -- methods ---------------------------------------------------------------------------------------------------------


def architecture(call: CallSite) -> tuple[Module, Entry, str] | None:
    """(the model that a method is called on, its entry, its architecture); None for a module that is none of timm's."""
    module = call.state.object(call.receiver)
    built = module.build if type(module) is Module else None
    if built is None or built.entry is None or not built.builder.startswith("timm.models."):
        return None
    return module, built.entry, built.builder.rsplit(".", 1)[-1]


@method(Module, "get_classifier")
def get_classifier(call: CallSite) -> Value:
    found = architecture(call)
    paths = timm.classifier(found[2], versions(call)) if found is not None else ()
    parts = [part_at(call, path) for path in paths]
    if not parts or any(part is None for part in parts):
        return unknown(call)
    return parts[0] if len(parts) == 1 else Tuple(tuple(parts))


def part_at(call: CallSite, path: str) -> Value:
    """What sits at a path of the model now; None if there is nothing, or something unknown."""
    current: Value = call.receiver
    for name in path.split("."):
        if type(call.state.object(current)) is not Module:
            return None
        current = heap.get_child(call.state, current, name, call.site)
    return None if current is DELETED else current


@method(Module, "reset_classifier")
def reset_classifier(call: CallSite) -> Value:
    """New heads in the place of the old ones, on their device and with their type of numbers (timm 1.0)."""
    found = architecture(call)
    if found is None:
        return other_method(call)
    module, entry, _ = found
    classes, pool = call.argument(0, "num_classes"), call.argument(1, "global_pool", None)
    known = (
        timm.find(timm.Named(entry.builder.rsplit(".", 1)[-1], ""), {"num_classes": 10}, versions(call))
        if not entry.heads
        else entry
    )
    if known is None or (pool is not None and pool != heap.field(module, "global_pool")):
        call.state.heap[call.receiver.address] = module._replace(known=False)
        return other_method(call)
    for head in known.heads:
        parent, _, name = head.path.rpartition(".")
        owner = part_at(call, parent) if parent else call.receiver
        if type(call.state.object(owner)) is not Module:
            return other_method(call)
        heap.set_child(call.state, owner, name, new_head(call, known, head.path, classes), call.site, "reset")
    return None


def new_head(call: CallSite, entry: Entry, path: str, classes: Value) -> Value:
    if classes == 0:
        made = Module("torch.nn.Identity", call.site)
    else:
        node = parts.node_at(entry.root, path)
        assert node is not None
        sizes = {"out_features": classes, "out_channels": classes}
        values = {k: Tuple(v) if isinstance(v, tuple) else v for k, v in node.values.items()}
        arguments = {name: sizes.get(name, value) for name, value in values.items()}
        own = {"bias": "bias" in node.parameters, "device": UNKNOWN, "dtype": UNKNOWN}
        made = Module(node.kind, call.site, arguments={**arguments, **own})
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address))
    return ref


@named.method_of("timm", "forward_features", "forward_intermediates", "get_intermediate_layers")
def forward_features(call: CallSite) -> Value:
    """The features before the head: the library's head does not answer, whatever comes after does."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    found = architecture(call)
    given = call.argument(0, "x")
    output = symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    if found is None:
        return output
    shape = found[1].answers.get(call.name)
    if shape is None or not shapes.trunk_is_intact(
        call.state, call.receiver, found[1], "", own=forward.own_answer(call.machine)
    ):
        return output
    return Tensor((batch_of(given), *shape), call.receiver.address, call.receiver.address)


@method(Module, "forward_head")
def forward_head(call: CallSite) -> Value:
    """What follows the features: with `pre_logits` it is what the model answers without a head."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    found, given = architecture(call), call.argument(0, "x")
    output = symbol("features", f"{call.name}(…)", call.receiver, call.name, *call.arguments[:1])
    if found is None or type(given) is not Tensor or call.argument(1, "pre_logits", False) is not True:
        return output
    module, entry, _ = found
    bare = entry if not entry.heads else without_head(call, entry, module)
    shape = bare.answers.get("forward") if bare is not None else None
    trunk = entry.answers.get("forward_features")
    if shape is None or trunk is None or given.shape is None or given.shape[1:] != trunk:
        return output
    if not shapes.trunk_is_intact(call.state, call.receiver, entry, "", own=forward.own_answer(call.machine)):
        return output
    return Tensor((given.shape[0], *shape), call.receiver.address, call.receiver.address)


def without_head(call: CallSite, entry: Entry, module: Module) -> Entry | None:
    """What the model would be without classes, where nothing but their number was asked for."""
    asked = module.build.keywords.keys() if module.build is not None else set()
    if asked - {"num_classes", "pretrained_cfg", "drop_rate", "drop_path_rate"}:
        return None
    named = timm.Named(entry.builder.rsplit(".", 1)[-1], "")
    return timm.find(named, {"num_classes": 0}, versions(call))


@method(
    Module,
    "set_grad_checkpointing", "no_weight_decay", "group_matcher", "get_num_layers", "set_input_size",
)  # fmt: skip
def no_change(call: CallSite) -> Value:
    """They change no parameter, and no layer's size."""
    return unknown(call) if architecture(call) is not None else other_method(call)


def other_method(call: CallSite) -> Value:
    call.state.log(events.Escaped(call.site, call.receiver.address, call.name))
    return unknown(call)
