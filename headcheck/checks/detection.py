"""Detection heads that get several feature maps at once, so that no single shape can be followed through them."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.catalog.entry import Node
from headcheck.checks import Report, check
from headcheck.checks.words import built, class_name, dotted, layer_name, outputs_of
from headcheck.execution import Execution, Model
from headcheck.findings import IN_FORWARD, Expectation
from headcheck.interpreter.heap import Dictionary, Sequence
from headcheck.interpreter.parts import Part
from headcheck.interpreter.values import Function, Method, Ref, Tensor, Tuple, Value
from headcheck.records import NamedTuple

HEADS = frozenset(
    f"{family}{part}Head"
    for family in ("RetinaNet", "FCOS", "SSD", "SSDLite")
    for part in ("Classification", "Regression")
)


@check("HC101")
def wrong_maps(execution: Execution) -> Iterator[Report]:
    """A new head of the same class as the library's whose first layers take other channels than the library's did."""
    for model in execution.models:
        if model.entry.task != "detection" or not execution.forward_is_the_librarys(model):
            continue
        backbone = execution.part(model, "backbone")
        if backbone is None or (type(backbone) is Ref and execution.is_edited(backbone)):
            continue
        for path, original in originals(model.entry.root):
            part = execution.part(model, path)
            if not execution.is_new(part) or part is None or execution.kind(part) != original.kind:
                continue
            for inner, takes in first_layers(original):
                new = execution.part(model, f"{path}.{inner}")
                given = execution.field(new, "in_channels") if new is not None else None
                if type(given) is int and given != takes:
                    yield describe(execution, model, path, inner, given, takes)
                    break


def originals(root: Node) -> Iterator[tuple[str, Node]]:
    """The library's own heads of these classes, with their paths."""
    head = root.children.get("head")
    for name in head.children if head is not None else ():
        assert head is not None
        if layer_name(head.children[name].kind) in HEADS:
            yield f"head.{name}", head.children[name]


def first_layers(head: Node) -> Iterator[tuple[str, int]]:
    """(path, channels it takes) of each layer of a head that a feature map reaches first."""
    tops = ["conv"] if "conv" in head.children else [f"module_list.{n}" for n in head.children["module_list"].children]
    for top in tops:
        path, node = top, head
        for name in top.split("."):
            node = node.children[name]
        while "in_channels" not in node.values and node.children:
            name = next(iter(node.children))
            path, node = f"{path}.{name}", node.children[name]
        takes = node.values.get("in_channels")
        if isinstance(takes, int):
            yield path, takes


def describe(execution: Execution, model: Model, path: str, inner: str, given: int, takes: int) -> Report:
    part = execution.part(model, path)
    kind = layer_name(execution.kind(part)) if part is not None else ""
    where = dotted(f"{path}.{inner}") if inner.startswith("module_list") else dotted(path)
    message = f"{kind} takes {given} channels, but {built(execution, model)} feeds {takes} into `{where}`"
    help_ = (
        f"in_channels={takes}" if inner.startswith("conv") else "the channels of the backbone's feature maps, in order"
    )
    return Report("HC101", execution.site_of(part), message, help_, IN_FORWARD, model.ref.address)


# -- classes ---------------------------------------------------------------------------------------------------------

BOXES_OF, MASKS_OF = "roi_heads.box_predictor", "roi_heads.mask_predictor"
#: The predictors of the Faster R-CNN family, each with its class and the layer that has an output for each class.
PREDICTORS = {BOXES_OF: ("FastRCNNPredictor", "cls_score"), MASKS_OF: ("MaskRCNNPredictor", "mask_fcn_logits")}


class Classes(NamedTuple):
    """How many classes a detector tells apart, and the part that says so."""

    number: int
    part: Part


def predicted(execution: Execution, model: Model, path: str) -> Classes | None:
    """How many classes a predictor of the Faster R-CNN family has; None if there is none, or that is not known."""
    kind, last = PREDICTORS[path]
    predictor, layer = execution.part(model, path), execution.part(model, f"{path}.{last}")
    if predictor is None or layer is None or layer_name(execution.kind(predictor)) != kind:
        return None
    count = outputs_of(execution, layer)
    return Classes(count, layer) if type(count) is int else None


def classes_of(execution: Execution, model: Model) -> Classes | None:
    """How many classes a detector tells apart; None if that is not known."""
    if has_background(model) and not is_ssd(model):
        roi_heads = execution.part(model, "roi_heads")
        own = execution.module(roi_heads) if type(roi_heads) is Ref else None
        patched = own is not None and any(type(value) in (Function, Method) for value in own.values.values())
        if patched or execution.is_new(roi_heads):
            return None
        return predicted(execution, model, BOXES_OF)
    part = execution.part(model, CLASSES)
    if part is None or layer_name(execution.kind(part)) not in HEADS:
        return None
    count = execution.field(part, "num_columns" if is_ssd(model) and not execution.is_new(part) else "num_classes")
    return Classes(count, part) if type(count) is int else None


def is_ssd(model: Model) -> bool:
    return layer_name(model.entry.root.kind) == "SSD"


def has_background(model: Model) -> bool:
    """Whether a detector keeps class 0 for what is no object."""
    return is_ssd(model) or "roi_heads" in model.entry.root.children


def detectors(execution: Execution) -> Iterator[tuple[Model, Classes]]:
    """The detectors that run as the library has them, each with its classes."""
    for model in execution.models:
        if model.entry.task == "detection" and execution.forward_is_the_librarys(model):
            found = classes_of(execution, model)
            if found is not None:
                yield model, found


@check("HC114")
def only_the_background(execution: Execution) -> Iterator[Report]:
    """A detector for a single class, where that one is the background."""
    for model, found in detectors(execution):
        if found.number != 1 or not has_background(model):
            continue
        site = execution.site_of(found.part) if execution.is_new(found.part) else model.built.site
        message = f"{built(execution, model)} tells apart a single class, which is the background: it finds nothing"
        help_ = "num_classes=2: the background counts as a class, and labels start at 1"
        holders = execution.holders(model.ref.address)
        learns = all(event.training for event in execution.of(events.ModeSet) if event.module in holders)
        shown = IN_FORWARD if learns else Expectation()
        yield Report("HC114", site, message, help_, shown, model.ref.address)


@check("HC104")
def labels_beyond(execution: Execution) -> Iterator[Report]:
    """Labels in the targets of a detector that are beyond the last of its classes."""
    for model, found in detectors(execution):
        for event in execution.calls_in_train_mode(model, model.ref.address):
            speaks = labelled(execution, event.targets) if event.module == model.ref.address else 0
            if 1 < found.number < speaks:
                message = (
                    f"the labels speak of at least {speaks} classes, but {built(execution, model)} tells "
                    f"{found.number} apart: a label beyond them raises an error"
                )
                help_ = f"num_classes={speaks}" + (": the background counts as a class" * has_background(model))
                yield Report("HC104", event.site, message, help_)


def labelled(execution: Execution, targets: Value) -> int:
    """How many classes the labels in a detector's targets speak of, at least."""
    given = execution.state.object(targets)
    items = given.items if type(given) in (Sequence, Tuple) else None
    things = [execution.state.object(target) for target in items or ()]
    pairs = [pair for thing in things if type(thing) is Dictionary for pair in thing.items or ()]
    labels = [value.labels for key, value in pairs if key == "labels" and type(value) is Tensor]
    return max((each[0] for each in labels if each is not None and type(each[0]) is int), default=0)


@check("HC111")
def fewer_masks(execution: Execution) -> Iterator[Report]:
    """A new mask predictor with fewer classes than the new box predictor, whose answers choose among the masks."""
    for model, boxes in detectors(execution):
        masks = predicted(execution, model, MASKS_OF) if has_background(model) else None
        if masks is None or masks.number >= boxes.number:
            continue
        if not (execution.is_new(masks.part) and execution.is_new(boxes.part)):
            continue
        message = (
            f"the new `mask_predictor` has masks for {masks.number} classes, but the new `box_predictor` of "
            f"{built(execution, model)} tells {boxes.number} apart"
        )
        help_, site = f"num_classes={boxes.number}, or a box predictor of {masks.number}", execution.site_of(masks.part)
        yield Report("HC111", site, message, help_, Expectation(), model.ref.address)


# -- anchors ---------------------------------------------------------------------------------------------------------

CLASSES, BOXES = "head.classification_head", "head.regression_head"


@check("HC113")
def other_anchors(execution: Execution) -> Iterator[Report]:
    """A new head for classes, or for boxes, that answers for other anchors than the one beside it."""
    for model in execution.models:
        if model.entry.task != "detection" or not execution.forward_is_the_librarys(model):
            continue
        of_classes, of_boxes = execution.part(model, CLASSES), execution.part(model, BOXES)
        if of_classes is None or of_boxes is None:
            continue
        new = of_classes if execution.is_new(of_classes) else of_boxes
        known = all(layer_name(execution.kind(part)) in HEADS for part in (of_classes, of_boxes))
        if not execution.is_new(new) or not known:
            continue
        named, wanted = anchors_of_classes(execution, model), anchors_of_boxes(execution, model)
        if named is None or wanted is None or named == wanted:
            continue
        given, other = (named, wanted) if new is of_classes else (wanted, named)
        beside = "regression_head" if new is of_classes else "classification_head"
        message = (
            f"{class_name(execution, new)} answers for {said(given)} anchors at each place, but `{beside}` of "
            f"{built(execution, model)} for {said(other)}"
        )
        # An SSD trains on, and fails when it predicts.
        expectation = IN_FORWARD if len(given) == 1 else Expectation()
        site, help_ = execution.site_of(new), f"num_anchors={said(other)}"
        yield Report("HC113", site, message, help_, expectation, model.ref.address)


def said(anchors: list[int]) -> str:
    return str(anchors[0] if len(anchors) == 1 else anchors)


def anchors_of_classes(execution: Execution, model: Model) -> list[int] | None:
    """The anchors at each place of each feature map that the head for classes answers for; one number for all maps."""
    part = execution.part(model, CLASSES)
    assert part is not None
    number = execution.field(part, "num_anchors")
    if type(number) is int:
        return [number]
    columns = execution.field(part, "num_classes" if execution.is_new(part) else "num_columns")
    return divided(predictors(execution, model, CLASSES), columns)


def anchors_of_boxes(execution: Execution, model: Model) -> list[int] | None:
    layer = execution.part(model, f"{BOXES}.bbox_reg")
    outputs = [execution.field(layer, "out_channels")] if layer is not None else predictors(execution, model, BOXES)
    return divided(outputs, 4)


def divided(outputs: list[object], columns: object) -> list[int] | None:
    if type(columns) is not int or not outputs or not all(type(each) is int for each in outputs):
        return None
    return [each // columns for each in outputs if isinstance(each, int)]


def predictors(execution: Execution, model: Model, path: str) -> list[object]:
    """What the last layer for each feature map of an SSD's head answers."""
    found: list[object] = []
    while (part := execution.part(model, f"{path}.module_list.{len(found)}")) is not None:
        inner = execution.part(model, f"{path}.module_list.{len(found)}.1")
        found.append(execution.field(part if inner is None else inner, "out_channels"))
    return found
