"""The lines that replace a library model's heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headcheck.catalog.entry import Entry, Head, Node, Plain
from headcheck.catalog.models import find

#: Two class counts; what differs between the models built with them depends on the classes.
COUNTS = (11, 12)
#: Predictors of torchvision's that are made from sizes and hold the heads: what replaces each at `{path}`.
_PREDICTORS = {
    "torchvision.models.detection.faster_rcnn.FastRCNNPredictor": (
        "boxes = {path}.cls_score",
        "{path} = FastRCNNPredictor(boxes.in_features, num_classes)  # the background counts as a class",
    ),
    "torchvision.models.detection.mask_rcnn.MaskRCNNPredictor": (
        "masks = {path}.conv5_mask",
        "{path} = MaskRCNNPredictor(masks.in_channels, masks.out_channels, num_classes)",
    ),
    "torchvision.models.detection.keypoint_rcnn.KeypointRCNNPredictor": (
        "points = {path}.kps_score_lowres",
        "{path} = KeypointRCNNPredictor(points.in_channels, num_keypoints)",
    ),
}
#: A path of so many characters is written once only.
_LONG = 30
#: What the layers of torch.nn take by default, of what a head's values can be.
_DEFAULTS: Mapping[str, Plain] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def snippet(builder: str) -> str:
    """Return the code that builds a model with its default weights and replaces every head, or "" if it has none.

    `builder` is a canonical name. The code leaves ``num_classes`` (and ``num_keypoints``) to the reader. That the
    background of detection models is one of the classes is said in the documentation of each of torchvision's builders.
    """
    weights = "DEFAULT"
    entry = find(builder, {}, weights)
    if entry is None or not entry.heads:
        return ""
    changed = [found for count in COUNTS if (found := find(builder, {"num_classes": count}, weights))]
    lines: list[str] = []
    imports = ["from torch import nn", "from torchvision import models"]
    for head in entry.heads:
        parent, _, _ = head.path.rpartition(".")
        kind = node_at(entry.root, parent).kind
        if kind in _PREDICTORS:
            module, _, name = kind.rpartition(".")
            imports.append(f"from {module} import {name}")
            lines += [line.format(path=expression(parent)) for line in _PREDICTORS[kind]]
        else:
            lines += _replacement(head, *changed)
    build = f'model = {builder.removeprefix("torchvision.")}(weights="{weights}")'
    if entry.task == "detection" and not any("Predictor" in line for line in lines):
        lines.insert(0, "# num_classes: the background counts as a class")
    return "\n".join([*_once(imports, lines), "", build, *dict.fromkeys(lines)]) + "\n"


def expression(path: str) -> str:
    """Return how a script reaches a part of its model: ``model.classifier[6]`` for ``classifier.6``."""
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".") if part)


def node_at(root: Node, path: str) -> Node:
    """Return the module at a dotted path ("" is the model itself)."""
    for part in path.split(".") if path else ():
        root = root.children[part]
    return root


def _once(imports: list[str], lines: list[str]) -> list[str]:
    needed = imports if any("nn." in line for line in lines) else imports[1:]
    return list(dict.fromkeys(needed))


def _replacement(head: Head, one: Entry, other: Entry) -> Iterator[str]:
    path = expression(head.path)
    node = node_at(one.root, head.path)
    factor = _heads(other)[head.path].out_features - _heads(one)[head.path].out_features
    classes = "num_classes" if factor == 1 else f"{factor} * num_classes"
    old = path if len(path) < _LONG else "head"
    if "in_features" in node.values:
        arguments = [f"{old}.in_features", classes]
    else:
        arguments = [f"{old}.in_channels", classes, f"kernel_size={_short(node.values['kernel_size'])}"]
        arguments += [
            f"{name}={_short(node.values[name])}"
            for name, default in _DEFAULTS.items()
            if _short(node.values[name]) != default
        ]
    if "bias" not in node.parameters:
        arguments.append("bias=False")
    if old != path:
        yield f"{old} = {path}"
    yield f"{path} = nn.{node.kind.rpartition('.')[2]}({', '.join(arguments)})"
    # A count that a module on the way keeps and uses (RetinaNet's); the model's own is bookkeeping.
    parts = head.path.split(".")
    for length in range(1, len(parts)):
        above = ".".join(parts[:length])
        values, others = node_at(one.root, above).values, node_at(other.root, above).values
        for name, value in values.items():
            if value != others[name]:
                yield f"{expression(above)}.{name} = num_classes"


def _heads(entry: Entry) -> Mapping[str, Head]:
    return {head.path: head for head in entry.heads}


def _short(value: Plain) -> Plain:
    """Return (3, 3) as 3."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
