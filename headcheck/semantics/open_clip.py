"""open_clip: models by name, and the features that they make of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import open_clip
from headcheck.interpreter import choosing, parts
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Choice, Ref, Symbol, Tensor, Tuple, Value, batch_of, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics import named
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, family, hand_over, maker
from headcheck.semantics.torchvision import build_by_choice, log_built, opaque

if TYPE_CHECKING:
    from headcheck.interpreter.state import State

CREATE = f"{open_clip.LIBRARY}.create_model"
#: Arguments that leave the features as wide as they are.
INERT = frozenset(
    """
    model_name pretrained load_weights precision device force_quick_gelu force_custom_text force_patch_dropout
    force_image_size force_preprocess_cfg force_context_length image_mean image_std image_interpolation
    image_resize_mode aug_cfg pretrained_image pretrained_text pretrained_hf pretrained_image_path pretrained_text_path
    cache_dir output_dict require_pretrained weights_only return_transform
    """.split()
)
#: How many arguments may be given by position: those before `jit`, which makes another kind of module.
BY_POSITION = 4


@maker(open_clip.LIBRARY)
def makes_model(name: str) -> bool:
    return name.rpartition(".")[2].startswith("create_model")


@family(f"{open_clip.LIBRARY}.")
def member(call: CallSite) -> Value:
    """A class, or a function that may do anything to what it is given."""
    return opaque(call) if call.name.rpartition(".")[2][:1].isupper() else hand_over(call)


@effect(*(f"{open_clip.LIBRARY}.{name}" for name in ("get_tokenizer", "tokenize", "list_models", "list_pretrained")))
def harmless(call: CallSite) -> Value:
    return unknown(call)


@effect(CREATE, f"{open_clip.LIBRARY}.factory.create_model")
def create_model(call: CallSite) -> Value:
    """A model by name, which may not be known yet."""
    name, rest = call.argument(0, "model_name"), call._replace(arguments=call.arguments[1:])
    rest = rest._replace(keywords={key: value for key, value in call.keywords.items() if key != "model_name"})
    if type(name) is Symbol:
        return build_by_choice(rest, Choice(CREATE, name))
    made = make(rest, name) if isinstance(name, str) else None
    if made is None:
        return opaque(call)
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


@effect(*(f"{open_clip.LIBRARY}{where}.create_model_and_transforms" for where in ("", ".factory")))
def create_model_and_transforms(call: CallSite) -> Value:
    """The same, with what pictures go through in training and else."""
    return Tuple((create_model(call), *(symbol("transform", "transform", call.name, place) for place in (1, 2))))


@effect(*(f"{open_clip.LIBRARY}{where}.create_model_from_pretrained" for where in ("", ".factory")))
def create_model_from_pretrained(call: CallSite) -> Value:
    made, both = create_model(call), call.keywords.get("return_transform", True)
    if type(both) is not bool:
        return unknown(call)
    return Tuple((made, symbol("transform", "transform", call.name, 1))) if both else made


def make(call: CallSite, name: str) -> Module | None:
    """The module that a name and the other arguments give; None where one of them may change its features."""
    entry = open_clip.find(name)
    if entry is None or call.keywords.keys() - INERT or len(call.arguments) >= BY_POSITION:
        return None
    weights = name if name.startswith(open_clip.HUB) else call.argument(0, "pretrained", None)
    loaded = False if weights in (None, "") else True if isinstance(weights, str) else UNKNOWN
    return Module(entry.root.kind, call.site, node=entry.root, build=Build(entry.builder, {}, loaded, entry))


def named_by(state: State, key: Value) -> tuple[list[choosing.Builder], bool]:
    """The models that a name may stand for where the script lists what it may be, and whether there may be others."""
    names = named.listed(state, key)
    found = {str(name): open_clip.find(str(name)) for name in names or ()}
    known = [named.builder(name, entry, CREATE, make) for name, entry in found.items() if entry is not None]
    return known, names is None or len(known) < len(found)


choosing.SAMPLED[open_clip.LIBRARY] = named_by


@named.method_of(open_clip.LIBRARY, open_clip.ENCODE)
def encode_image(call: CallSite) -> Value:
    """The features of pictures, by the tower that the library made."""
    call.state.log(events.Called(call.site, call.receiver.address, call.name))
    given, module = call.argument(0, "image"), call.state.object(call.receiver)
    tower = parts.part_at(call.state, call.receiver, open_clip.TOWER)
    entry = module.build.entry if module.build is not None else None
    own = parts.module_of(call.state, tower) if type(tower) is Ref else None
    # Whatever is set on the tower may be used by it: `proj = None` leaves out the last step.
    if entry is None or tower is None or parts.is_edited(call.state, tower) or (own is not None and own.values):
        return symbol("features", f"{call.name}(…)", call.receiver, call.name, given)
    return Tensor((batch_of(given), *entry.answers[call.name]), call.receiver.address, call.receiver.address)
