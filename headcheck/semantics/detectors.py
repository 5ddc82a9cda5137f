"""torchvision's detectors by their class, around a backbone of the script, which says how many channels it answers."""

from __future__ import annotations

from headcheck import events
from headcheck.interpreter import forward, heap, refusing
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Ref, Tensor, Value
from headcheck.semantics.layers import Mismatch
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.torchvision import opaque

MODULES = {
    "FasterRCNN": "faster_rcnn",
    "MaskRCNN": "mask_rcnn",
    "KeypointRCNN": "keypoint_rcnn",
    "RetinaNet": "retinanet",
    "FCOS": "fcos",
}
PACKAGE = "torchvision.models.detection"


@effect(*(f"{PACKAGE}.{kind}" for kind in MODULES), *(f"{PACKAGE}.{where}.{kind}" for kind, where in MODULES.items()))
def detector(call: CallSite) -> Value:
    """Its parts are made for as many channels as ``backbone.out_channels`` says."""
    backbone = call.argument(0, "backbone")
    module = call.state.object(backbone)
    if type(module) is Module:
        takes, answered = heap.field(module, "out_channels"), answer(call, backbone)
        gives = answered.shape[1] if answered is not None and answered.shape is not None else None
        if type(takes) is int and type(gives) is int and takes != gives:
            kind = f"{PACKAGE}.{call.name.rsplit('.', 1)[-1]}"
            mismatch = Mismatch(kind, "in_channels", takes, (gives,), "size")
            refusing.refuse(call.state, events.Mismatched(call.site, None, mismatch, answered))
    return opaque(call)


def answer(call: CallSite, backbone: Ref) -> Tensor | None:
    """The one map that a backbone answers to a picture; None where that is not known."""
    picture = Tensor((None, 3, None, None), source=origin(call.state, backbone))
    after = forward.run(call.machine, call.state.fork(), backbone, picture, call.site)
    found = after[0].result if len(after) == 1 and not after[0].ended else None
    return found if type(found) is Tensor and found.shape is not None and len(found.shape) == 4 else None


def origin(state: State, ref: Ref) -> Address | None:
    """The library model that a part, or what is in it, was taken from."""
    homes = (state.heap[part.address].home for _, part in heap.subtree(state, ref))
    return next((home[0] for home in homes if home is not None), None)
