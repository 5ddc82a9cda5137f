"""The models of repositories that only `torch.hub.load` knows, DINO and DINOv2 among them, and of ResNeSt's package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import hub
from headcheck.catalog.entry import Entry
from headcheck.interpreter import choosing, forward, shapes
from headcheck.interpreter.heap import Build, Module, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import Answer, Choice, Ref, Symbol, Tensor, Tuple, Value, batch_of, symbol
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple
from headcheck.semantics import named
from headcheck.semantics.registry import CallSite, effect, family, maker
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, build_by_choice, log_built, opaque, weights_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headcheck.interpreter.state import State


RESNEST = "zhanghang1989/ResNeSt"
#: Where the package has its functions: the modules below moved between its versions.
PLACES = ("resnest.torch", "resnest.torch.resnest", "resnest.torch.models", "resnest.torch.models.resnest")


class Way(NamedTuple):
    """How the entry points of a repository are called.

    `inert` are the keywords that leave the structure as it is; `weights` is what ``pretrained`` is untold; `counted` is
    the keyword for the number of classes, "" where there is none; `told`: whether they ask if weights are wanted.
    """

    inert: frozenset[str]
    weights: bool
    counted: str = ""
    told: bool = True


DINO = Way(
    frozenset({"pretrained", "weights", "drop_path_rate", "drop_path_uniform", "drop_rate", "attn_drop_rate"}), True
)
WAYS: Mapping[str, Way] = {
    "facebookresearch/WSL-Images": Way(frozenset({"progress"}), True, told=False),
    "facebookresearch/pytorchvideo": Way(frozenset({"pretrained", "progress"}), False, "model_num_class"),
    RESNEST: Way(frozenset({"pretrained", "root", "progress"}), False, "num_classes"),
}


@family(f"{hub.LIBRARY}.")
def load(call: CallSite) -> Value:
    """A model of a repository by its name, which is the first argument; None for one that is not known."""
    name, rest = call.arguments[0], call._replace(arguments=call.arguments[1:])
    if type(name) is Symbol:
        return build_by_choice(rest, Choice(call.name, name))
    made = make(rest, name) if isinstance(name, str) else None
    if made is None:
        return None
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


def make(call: CallSite, name: str) -> Module | None:
    """The module that a name and the arguments give; other arguments than the weights may change its structure. Weights
    are for the usual number of classes: they do not go into a model of another."""
    repository = call.name.partition(".")[2]
    way = WAYS.get(repository, DINO)
    if (
        hub.repository(name) != repository
        or call.keywords.keys() - way.inert - {way.counted}
        or len(call.arguments) > 1
    ):
        return None
    weights = weights_value(call.argument(0, "pretrained", way.weights)) if way.told else True
    count = call.keywords.get(way.counted, hub.classes(name))
    if weights is not False and count != hub.classes(name):
        return None
    entry = hub.find(name, count if type(count) is int else UNKNOWN_CLASSES)
    if entry is None:
        return None
    built = Build(entry.builder, {"num_classes": count} if way.counted in call.keywords else {}, weights, entry)
    return Module(entry.root.kind, call.site, node=entry.root, build=built)


@effect(*(f"{place}.{name}" for place in PLACES for name in hub.names() if hub.repository(name) == RESNEST))
def of_package(call: CallSite) -> Value:
    """A ResNeSt by way of its package, whose functions are the entry points of its repository."""
    name = call.name.rpartition(".")[2]
    there = call._replace(name=f"{hub.LIBRARY}.{RESNEST}", arguments=(name, *call.arguments))
    return load(there) or opaque(call)


@maker("resnest")
def makes_model(name: str) -> bool:
    place, _, last = name.rpartition(".")
    return place in PLACES and hub.repository(last) == RESNEST


def named_by(state: State, key: Value) -> tuple[list[choosing.Builder], bool]:
    """The models that a name may stand for where the script lists what it may be, and whether there may be others."""
    names = named.listed(state, key)
    found = [(str(name), hub.find(str(name)), hub.repository(str(name))) for name in names or ()]
    known = [
        named.builder(name, entry, f"{hub.LIBRARY}.{repository}", make)
        for name, entry, repository in found
        if entry is not None
    ]
    return known, names is None or len(known) < len(found)


choosing.SAMPLED[hub.LIBRARY] = named_by


# -- what methods answer ---------------------------------------------------------------------------------------------


def parts_of(answers: Mapping[str, tuple[int | None, ...]], method: str, ref: Ref, given: Value) -> Answer | None:
    """The dict that a method answers, None for a method that answers none."""
    prefix = f"{method}."
    items = tuple(
        (name.removeprefix(prefix), Tensor((batch_of(given), *shape), ref.address, ref.address))
        for name, shape in answers.items()
        if name.startswith(prefix)
    )
    return Answer(ref.address, items, tuple(name for name, _ in items)) if items else None


def as_built(call: CallSite) -> Entry | None:
    """What is known of the model that a method is called on; None where what comes before the head was changed."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    module = call.state.object(call.receiver)
    entry: Entry | None = module.build.entry
    return entry if entry is not None and shapes.trunk_is_intact(call.state, call.receiver, entry, "head") else None


@named.method_of(hub.LIBRARY, "forward_features")
def forward_features(call: CallSite) -> Value:
    """The tokens of the last layer, in a dict (DINOv2)."""
    entry, given = as_built(call), call.argument(0, "x")
    alone = len(call.arguments) + len(call.keywords) == 1 and type(call.state.object(given)) is not Sequence
    found = parts_of(entry.answers, call.name, call.receiver, given) if entry is not None and alone else None
    return found or symbol("features", f"{call.name}(…)", call.receiver, call.name, given)


@named.method_of(hub.LIBRARY, "get_intermediate_layers")
def get_intermediate_layers(call: CallSite) -> Value:
    """The tokens of some of the last layers: a tuple, each with its class token if that is asked for (DINOv2)."""
    entry, given = as_built(call), call.argument(0, "x")
    unknown = symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    count, reshape = count_of(call, call.argument(1, "n", 1)), call.argument(2, "reshape", False)
    classes = call.argument(3, "return_class_token", False)
    shape = entry.answers.get(call.name) if entry is not None else None
    if shape is None or count is None or type(reshape) is not bool or type(classes) is not bool:
        return unknown
    width, batch, source = shape[-1], batch_of(given), call.receiver.address
    tokens = Tensor((batch, width, None, None) if reshape else (batch, None, width), source, source)
    each = Tuple((tokens, Tensor((batch, width), source, source))) if classes else tokens
    return Tuple((each,) * count)


def count_of(call: CallSite, asked: Value) -> int | None:
    """How many layers are asked for, by their number or by a list of them."""
    listed = items_of(call.machine, call.state, asked, call.site) if type(asked) is not int else None
    count = len(listed) if listed is not None else asked
    return count if type(count) is int and 0 < count <= FEWEST_BLOCKS else None


#: No model has fewer blocks than that.
FEWEST_BLOCKS = 12


def training(ref: Ref, thing: Module, arguments: tuple[Value, ...], keywords: Mapping[str, Value]) -> Value | None:
    """What a DINOv2 answers that is asked for all it has (``is_training=True``)."""
    entry = thing.build.entry if thing.build is not None else None
    if entry is None or not keywords or not entry.open:
        return None
    if len(arguments) != 1 or keywords != {"is_training": True}:
        return UNKNOWN
    return parts_of(entry.answers, "forward_features", ref, arguments[0])


forward.WHOLE["dinov2"] = training
