"""The classes of torchvision's models, called as one of their builders does, and the script's classes that derive from
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headcheck.interpreter import access, heap
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Class, Library, Ref, Value, is_plain
from headcheck.records import NamedTuple
from headcheck.semantics.python import items
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.torchvision import build, log_built, make, opaque


class Constructor(NamedTuple):
    """The parameters of a class in their order, with the defaults of those that decide which builder's model it is, and
    the builders by the values of these."""

    names: tuple[str, ...]
    deciding: Mapping[str, Any]
    builders: Mapping[tuple[Any, ...], str]


BASIC, BOTTLENECK = "torchvision.models.resnet.BasicBlock", "torchvision.models.resnet.Bottleneck"
CONSTRUCTORS: Mapping[str, Constructor] = {
    "AlexNet": Constructor(("num_classes", "dropout"), {}, {(): "alexnet"}),
    "DenseNet": Constructor(
        ("growth_rate", "block_config", "num_init_features", "bn_size", "drop_rate", "num_classes"),
        {"growth_rate": 32, "block_config": (6, 12, 24, 16), "num_init_features": 64, "bn_size": 4},
        {
            (32, (6, 12, 24, 16), 64, 4): "densenet121",
            (48, (6, 12, 36, 24), 96, 4): "densenet161",
            (32, (6, 12, 32, 32), 64, 4): "densenet169",
            (32, (6, 12, 48, 32), 64, 4): "densenet201",
        },
    ),
    "GoogLeNet": Constructor(("num_classes", "aux_logits"), {}, {(): "googlenet"}),
    "Inception3": Constructor(("num_classes", "aux_logits"), {}, {(): "inception_v3"}),
    "MobileNetV2": Constructor(("num_classes",), {}, {(): "mobilenet_v2"}),
    "ResNet": Constructor(
        ("block", "layers", "num_classes", "zero_init_residual", "groups", "width_per_group"),
        {"block": None, "layers": None, "groups": 1, "width_per_group": 64},
        {
            (BASIC, (2, 2, 2, 2), 1, 64): "resnet18",
            (BASIC, (3, 4, 6, 3), 1, 64): "resnet34",
            (BOTTLENECK, (3, 4, 6, 3), 1, 64): "resnet50",
            (BOTTLENECK, (3, 4, 23, 3), 1, 64): "resnet101",
            (BOTTLENECK, (3, 8, 36, 3), 1, 64): "resnet152",
            (BOTTLENECK, (3, 4, 6, 3), 32, 4): "resnext50_32x4d",
            (BOTTLENECK, (3, 4, 23, 3), 32, 8): "resnext101_32x8d",
            (BOTTLENECK, (3, 4, 23, 3), 64, 4): "resnext101_64x4d",
            (BOTTLENECK, (3, 4, 6, 3), 1, 128): "wide_resnet50_2",
            (BOTTLENECK, (3, 4, 23, 3), 1, 128): "wide_resnet101_2",
        },
    ),
    "ShuffleNetV2": Constructor(
        ("stages_repeats", "stages_out_channels", "num_classes"),
        {"stages_repeats": None, "stages_out_channels": None},
        {
            ((4, 8, 4), (24, 48, 96, 192, 1024)): "shufflenet_v2_x0_5",
            ((4, 8, 4), (24, 116, 232, 464, 1024)): "shufflenet_v2_x1_0",
            ((4, 8, 4), (24, 176, 352, 704, 1024)): "shufflenet_v2_x1_5",
            ((4, 8, 4), (24, 244, 488, 976, 2048)): "shufflenet_v2_x2_0",
        },
    ),
    "SqueezeNet": Constructor(
        ("version", "num_classes", "dropout"),
        {"version": "1_0"},
        {("1_0",): "squeezenet1_0", ("1_1",): "squeezenet1_1"},
    ),
    "VisionTransformer": Constructor(
        (
            *("image_size", "patch_size", "num_layers", "num_heads", "hidden_dim", "mlp_dim"),
            *("dropout", "attention_dropout", "num_classes"),
        ),
        dict.fromkeys(("patch_size", "num_layers", "num_heads", "hidden_dim", "mlp_dim")),
        {
            (16, 12, 12, 768, 3072): "vit_b_16",
            (32, 12, 12, 768, 3072): "vit_b_32",
            (16, 24, 16, 1024, 4096): "vit_l_16",
            (32, 24, 16, 1024, 4096): "vit_l_32",
            (14, 32, 16, 1280, 5120): "vit_h_14",
        },
    ),
}
PLACES = (
    "", "alexnet.", "densenet.", "googlenet.", "inception.", "mobilenet.", "mobilenetv2.", "resnet.", "shufflenetv2.",
    "squeezenet.", "vision_transformer.",
)  # fmt: skip


@effect(*(f"torchvision.models.{place}{name}" for place in PLACES for name in CONSTRUCTORS))
def constructed(call: CallSite) -> Value:
    """The class itself, called."""
    found = as_builder(call)
    return opaque(call) if found is None else build(*found)


def as_builder(call: CallSite) -> tuple[CallSite, str] | None:
    """The call of a builder that makes what a call of a class makes, and which builder that is."""
    constructor = CONSTRUCTORS[call.name.rpartition(".")[2]]
    if "**" in call.keywords or len(call.arguments) > len(constructor.names):
        return None
    given = {**dict(zip(constructor.names, call.arguments, strict=False)), **call.keywords}
    key = tuple(plain(call, given.pop(name, default)) for name, default in constructor.deciding.items())
    builder = constructor.builders.get(key)
    return None if builder is None else (call._replace(arguments=(), keywords=given), f"torchvision.models.{builder}")


def plain(call: CallSite, value: Value) -> Any:
    """A number, the numbers of a list, or the name of a block."""
    if is_plain(value) or type(value) is tuple:
        return value
    if type(value) is Library:
        return value.name
    found = items(call, value)
    return tuple(found) if found is not None and all(map(is_plain, found)) else None


# -- classes of the script -------------------------------------------------------------------------------------------


def become(call: CallSite, ref: Ref) -> None:
    """``super().__init__(…)`` of a class of torchvision makes an object of the script's class the model that this is.

    `call` is that of the library's class. What the library calls of itself must be its own: a class that has another
    `_forward_impl` or `_make_layer` is another model.
    """
    thing: Module = call.state.heap[ref.address]
    found = as_builder(call) if call.name.rpartition(".")[2] in CONSTRUCTORS else None
    if thing.cls is None or thing.node is not None or found is None:
        return
    made = make(*found)
    foreign = heap.library_bases(thing.cls) - {call.name, *PLAIN}
    if made.node is None or foreign or not is_whole(thing.cls):
        return
    if any(access.class_attribute(thing.cls, name) for name in made.node.attributes):
        return
    call.state.heap[ref.address] = thing._replace(kind=made.kind, node=made.node, build=made.build, known=True)
    log_built(found[0], ref, made)


PLAIN = ("builtins.object", "abc.ABC", "torch.nn.Module")


def is_whole(cls: Class) -> bool:
    """Whether all that a class derives from is known."""
    return all(type(base) is Library or (type(base) is Class and is_whole(base)) for base in cls.bases)


def library_base(cls: Class) -> Library | None:
    """The class of a library whose `__init__` is the next one after that of the script's classes."""
    return next(library_classes(cls), None)


def library_classes(cls: Class) -> Iterator[Library]:
    for base in cls.bases:
        if type(base) is Library:
            yield base
        elif type(base) is Class:
            yield from library_classes(base)
