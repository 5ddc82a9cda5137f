"""timm's feature extractors: the maps that they answer, and what `feature_info` says of those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck import events
from headcheck.catalog import timm, timm_features
from headcheck.interpreter import forward
from headcheck.interpreter.heap import Build, Dictionary, Module, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import Ref, Tensor, Tuple, Value, batch_of
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, method

if TYPE_CHECKING:
    from headcheck.interpreter.state import State

KIND = "timm.FeatureListNet"
#: Keywords that leave the channels of the maps as they are.
INERT = frozenset(
    {"features_only", "pretrained", "in_chans", "output_stride", "out_indices", "drop_rate", "drop_path_rate"}
)
#: What kind of list `feature_info` is.
INFO = "feature_info"


def extractor(call: CallSite, named: timm.Named) -> Ref | None:
    """The module that answers a model's maps; None where they are not known."""
    if call.keywords.get("features_only") is not True or call.keywords.keys() - INERT or len(call.arguments) > 1:
        return None
    asked = call.keywords.get("out_indices")
    chosen = items_of(call.machine, call.state, asked, call.site) if asked is not None else None
    if asked is not None and (chosen is None or not all(type(each) is int for each in chosen)):
        return None
    channels = timm_features.channels(named.architecture, chosen)
    if channels is None:
        return None
    dicts = tuple(call.state.allocate(Dictionary((("num_chs", each),)), call.site) for each in channels)
    info = call.state.allocate(Sequence(dicts, INFO), call.site)
    keywords = {**call.keywords, **({"out_indices": Tuple(tuple(chosen))} if chosen is not None else {})}
    built = Build(named.builder, keywords, UNKNOWN, None)
    made = Module(KIND, call.site, build=built, known=False, values={"maps": channels, INFO: info})
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address))
    return ref


def answer(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """A list of maps, if the script put nothing into the extractor."""
    if module.children or module.values.keys() - {"maps", INFO}:
        return UNKNOWN
    batch, source = batch_of(given), ref.address
    maps = tuple(Tensor((batch, channels, None, None), source, source) for channels in module.values["maps"])
    return state.allocate(Sequence(maps), site)


forward.SPECIAL[KIND] = answer


@method(Sequence, "channels")
def channels(call: CallSite) -> Value:
    """``model.feature_info.channels()``."""
    info = call.state.object(call.receiver)
    if info.kind != INFO or call.arguments or call.keywords:
        return unknown(call)
    if info.items is None or any(call.state.object(each).items is None for each in info.items):
        return unknown(call)
    found = tuple(call.state.object(each).items[0][1] for each in info.items)
    return call.state.allocate(Sequence(found), call.site)
