"""torchvision's own heads for detection and segmentation: what each is made of, by the arguments of its constructor.

A head that the script makes (``FastRCNNPredictor(in_features, 3)``) has the same parts as the one it replaces, so that
its parameters are known, its parts can be read and replaced, and the sizes of both can be compared. The tests build
every one of them with PyTorch and compare names and shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from headcheck import catalog, events
from headcheck.interpreter.heap import Module
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import Ref, Tuple, Value
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple
from headcheck.semantics.layers import COMPOSITES
from headcheck.semantics.registry import CallSite


class Part(NamedTuple):
    """A part of a head: a layer with its arguments, or a container with its children (None: not known which)."""

    kind: str
    arguments: Mapping[str, Value]
    children: Mapping[str, Part] | None


Get: TypeAlias = Callable[[str], Value]
Parts: TypeAlias = "Mapping[str, Part] | None"


def expand(call: CallSite, ref: Value) -> Value:
    """Give a head that was just made its parts; anything else stays as it is."""
    made = call.state.object(ref)
    recipe = RECIPES.get(made.kind.rsplit(".", 1)[-1]) if type(made) is Module else None
    if recipe is not None and type(made) is Module:
        parts = recipe(call, lambda name: made.arguments.get(name, UNKNOWN))
        kind = CANONICAL[made.kind.rsplit(".", 1)[-1]]
        call.state.heap[ref.address] = made._replace(kind=kind, known=parts is not None, children={})
        put(call, ref, parts or {})
    return ref


def put(call: CallSite, owner: Ref, parts: Mapping[str, Part]) -> None:
    """Make parts and put them into their owner, whose constructor does that in PyTorch."""
    children: dict[str, Ref] = {}
    for name, part in parts.items():
        signature = catalog.layer(part.kind)
        defaults = {
            n: Tuple(v) if isinstance(v, tuple) else v for n, v in (signature.parameters if signature else {}).items()
        }
        container = part.kind in (SEQUENTIAL, LIST) or part.kind in COMPOSITES
        arguments = part.arguments if container else {**defaults, **part.arguments}
        known = part.children is not None
        children[name] = call.state.allocate(Module(part.kind, call.site, arguments=arguments, known=known), call.site)
    call.state.heap[owner.address] = call.state.heap[owner.address]._replace(children=children)
    for name, child in children.items():
        call.state.log(events.Taken(call.site, child.address, owner.address, name))
        put(call, child, parts[name].children or {})


# -- layers ----------------------------------------------------------------------------------------------------------

SEQUENTIAL, LIST = "torch.nn.Sequential", "torch.nn.ModuleList"
DEEPLAB = "torchvision.models.segmentation.deeplabv3"


def times(one: Value, other: Value) -> Value:
    return one * other if type(one) is int and type(other) is int else UNKNOWN


def linear(takes: Value, gives: Value) -> Part:
    return Part("torch.nn.Linear", {"in_features": takes, "out_features": gives}, {})


def convolution(takes: Value, gives: Value, kernel_size: int, **arguments: Value) -> Part:
    given = {"in_channels": takes, "out_channels": gives, "kernel_size": kernel_size, **arguments}
    return Part("torch.nn.Conv2d", given, {})


def transposed(takes: Value, gives: Value, kernel_size: int, padding: int) -> Part:
    sizes = {"in_channels": takes, "out_channels": gives, "kernel_size": kernel_size, "stride": 2, "padding": padding}
    return Part("torch.nn.ConvTranspose2d", sizes, {})


def norm(channels: Value) -> Part:
    return Part("torch.nn.BatchNorm2d", {"num_features": channels}, {})


def plain(kind: str, **arguments: Value) -> Part:
    return Part(f"torch.nn.{kind}", arguments, {})


def stack(*parts: Part, kind: str = SEQUENTIAL) -> Part:
    return Part(kind, {}, numbered(parts))


def numbered(parts: Iterable[Part]) -> dict[str, Part]:
    return {str(index): part for index, part in enumerate(parts)}


def normed(call: CallSite, channels: Value, layer: Value, more: Iterable[Part], **arguments: Value) -> Part:
    """A convolution, what `layer` (a class or function) makes for its channels, and more."""
    first = convolution(channels, channels, 3, padding=1, bias=layer is None, **arguments)
    between = [] if layer is None else [made_by(call, layer, channels)]
    return stack(first, *between, *more, kind="torchvision.ops.Conv2dNormActivation")


def made_by(call: CallSite, function: Value, channels: Value) -> Part:
    """The layer that calling `function` with a number of channels makes, as a part."""
    made = call.state.object(call.machine.call_quietly(call.state, function, (channels,), {}, call.site))
    known = type(made) is Module and not made.children and made.cls is None
    return Part(made.kind, made.arguments, {}) if known else Part("unknown", {}, None)


# -- segmentation ----------------------------------------------------------------------------------------------------


def fcn_head(call: CallSite, get: Get) -> Parts:
    takes = get("in_channels")
    inner = takes // 4 if type(takes) is int else UNKNOWN
    return numbered(
        [
            convolution(takes, inner, 3, padding=1, bias=False),
            norm(inner),
            plain("ReLU"),
            plain("Dropout", p=0.1),
            convolution(inner, get("channels"), 1),
        ]
    )


def deeplab_head(call: CallSite, get: Get) -> Parts:
    rates = items_of(call.machine, call.state, get("atrous_rates"), call.site)
    if rates is None:
        return None
    takes = get("in_channels")
    first = stack(convolution(takes, 256, 1, bias=False), norm(256), plain("ReLU"))
    pooled = stack(
        plain("AdaptiveAvgPool2d", output_size=1),
        convolution(takes, 256, 1, bias=False),
        norm(256),
        plain("ReLU"),
        kind=f"{DEEPLAB}.ASPPPooling",
    )
    dilated = [
        stack(
            convolution(takes, 256, 3, padding=rate, dilation=rate, bias=False),
            norm(256),
            plain("ReLU"),
            kind=f"{DEEPLAB}.ASPPConv",
        )
        for rate in rates
    ]
    project = stack(
        convolution((len(rates) + 2) * 256, 256, 1, bias=False), norm(256), plain("ReLU"), plain("Dropout", p=0.5)
    )
    pyramid = {"convs": stack(first, *dilated, pooled, kind=LIST), "project": project}
    return numbered(
        [
            Part(f"{DEEPLAB}.ASPP", {}, pyramid),
            convolution(256, 256, 3, padding=1, bias=False),
            norm(256),
            plain("ReLU"),
            convolution(256, get("num_classes"), 1),
        ]
    )


def lraspp_head(call: CallSite, get: Get) -> Parts:
    high, inner, classes = get("high_channels"), get("inter_channels"), get("num_classes")
    scale = [plain("AdaptiveAvgPool2d", output_size=1), convolution(high, inner, 1, bias=False), plain("Sigmoid")]
    return {
        "cbr": stack(convolution(high, inner, 1, bias=False), norm(inner), plain("ReLU", inplace=True)),
        "scale": stack(*scale),
        "low_classifier": convolution(get("low_channels"), classes, 1),
        "high_classifier": convolution(inner, classes, 1),
    }


# -- detection -------------------------------------------------------------------------------------------------------


def box_predictor(call: CallSite, get: Get) -> Parts:
    takes, classes = get("in_channels"), get("num_classes")
    return {"cls_score": linear(takes, classes), "bbox_pred": linear(takes, times(classes, 4))}


def box_head(call: CallSite, get: Get) -> Parts:
    inner = get("representation_size")
    return {"fc6": linear(get("in_channels"), inner), "fc7": linear(inner, inner)}


def mask_predictor(call: CallSite, get: Get) -> Parts:
    inner = get("dim_reduced")
    return {
        "conv5_mask": transposed(get("in_channels"), inner, 2, 0),
        "relu": plain("ReLU", inplace=True),
        "mask_fcn_logits": convolution(inner, get("num_classes"), 1),
    }


def keypoint_predictor(call: CallSite, get: Get) -> Parts:
    return {"kps_score_lowres": transposed(get("in_channels"), get("num_keypoints"), 4, 1)}


def retinanet_convolutions(call: CallSite, get: Get) -> Part:
    relu = [plain("ReLU", inplace=True)]
    return stack(*(normed(call, get("in_channels"), get("norm_layer"), relu) for _ in range(4)))


def retinanet_classes(call: CallSite, get: Get) -> Parts:
    gives = times(get("num_anchors"), get("num_classes"))
    return {
        "conv": retinanet_convolutions(call, get),
        "cls_logits": convolution(get("in_channels"), gives, 3, padding=1),
    }


def retinanet_boxes(call: CallSite, get: Get) -> Parts:
    gives = times(get("num_anchors"), 4)
    return {"conv": retinanet_convolutions(call, get), "bbox_reg": convolution(get("in_channels"), gives, 3, padding=1)}


def fcos_convolutions(call: CallSite, get: Get) -> Part | None:
    count, takes = get("num_convs"), get("in_channels")
    layer = get("norm_layer")
    if type(count) is not int or not 0 <= count <= 16:
        return None
    parts: list[Part] = []
    for _ in range(count):
        between = (
            plain("GroupNorm", num_groups=32, num_channels=takes) if layer is None else made_by(call, layer, takes)
        )
        parts += [convolution(takes, takes, 3, padding=1), between, plain("ReLU")]
    return stack(*parts)


def fcos_classes(call: CallSite, get: Get) -> Parts:
    conv = fcos_convolutions(call, get)
    gives = times(get("num_anchors"), get("num_classes"))
    return conv and {"conv": conv, "cls_logits": convolution(get("in_channels"), gives, 3, padding=1)}


def fcos_boxes(call: CallSite, get: Get) -> Parts:
    conv, takes, anchors = fcos_convolutions(call, get), get("in_channels"), get("num_anchors")
    if conv is None:
        return None
    return {
        "conv": conv,
        "bbox_reg": convolution(takes, times(anchors, 4), 3, padding=1),
        "bbox_ctrness": convolution(takes, anchors, 3, padding=1),
    }


def one_for_each_map(call: CallSite, get: Get, columns: Value, part: Callable[[Value, Value], Part]) -> Parts:
    """The list of predictors of an SSD: one for each feature map, by its channels and anchors."""
    channels = items_of(call.machine, call.state, get("in_channels"), call.site)
    anchors = items_of(call.machine, call.state, get("num_anchors"), call.site)
    if channels is None:
        return None
    pairs = zip(channels, anchors or (UNKNOWN,) * len(channels), strict=False)
    found = [part(takes, times(number, columns)) for takes, number in pairs]
    return {"module_list": Part(LIST, {}, numbered(found))}


def ssd(call: CallSite, get: Get, columns: Value) -> Parts:
    return one_for_each_map(call, get, columns, lambda takes, gives: convolution(takes, gives, 3, padding=1))


def ssdlite(call: CallSite, get: Get, columns: Value) -> Parts:
    def block(takes: Value, gives: Value) -> Part:
        first = normed(call, takes, get("norm_layer"), [plain("ReLU6", inplace=True)], groups=takes)
        return stack(first, convolution(takes, gives, 1))

    return one_for_each_map(call, get, columns, block)


Recipe: TypeAlias = Callable[[CallSite, Get], Parts]


def whole(home: str, family: str, *more: str) -> Recipe:
    """A head that is made of one for classes and one for boxes, which get its arguments: `more` are those beside
    channels, anchors and classes."""

    def parts(call: CallSite, get: Get) -> Parts:
        given = {name: get(name) for name in ("in_channels", "num_anchors", *more)}
        all_of = {**given, "num_classes": get("num_classes")}
        found: dict[str, Part] = {}
        for name, part, arguments in (
            ("classification", "Classification", all_of),
            ("regression", "Regression", given),
        ):
            kind = f"{family}{part}Head"
            inner = RECIPES[kind](call, arguments.get)
            found[f"{name}_head"] = Part(f"torchvision.models.detection.{home}.{kind}", arguments, inner)
        return found

    return parts


RECIPES: dict[str, Recipe] = {
    "FCNHead": fcn_head,
    "DeepLabHead": deeplab_head,
    "LRASPPHead": lraspp_head,
    "FastRCNNPredictor": box_predictor,
    "TwoMLPHead": box_head,
    "MaskRCNNPredictor": mask_predictor,
    "KeypointRCNNPredictor": keypoint_predictor,
    "RetinaNetClassificationHead": retinanet_classes,
    "RetinaNetRegressionHead": retinanet_boxes,
    "FCOSClassificationHead": fcos_classes,
    "FCOSRegressionHead": fcos_boxes,
    "SSDClassificationHead": lambda call, get: ssd(call, get, get("num_classes")),
    "SSDRegressionHead": lambda call, get: ssd(call, get, 4),
    "SSDLiteClassificationHead": lambda call, get: ssdlite(call, get, get("num_classes")),
    "SSDLiteRegressionHead": lambda call, get: ssdlite(call, get, 4),
    "RetinaNetHead": whole("retinanet", "RetinaNet", "norm_layer"),
    "FCOSHead": whole("fcos", "FCOS", "num_convs"),
    "SSDHead": whole("ssd", "SSD"),
    "SSDLiteHead": whole("ssdlite", "SSDLite", "norm_layer"),
}
CANONICAL = {kind.rsplit(".", 1)[-1]: kind for kind in COMPOSITES}
