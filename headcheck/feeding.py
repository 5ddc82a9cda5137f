"""What a network of the script is given where it takes several tensors: the first layer that each reaches tells.

The library's model takes a picture of its size, a Linear a vector, an Embedding numbers of words: ``{"long": [2, 8]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headcheck.execution import Execution, Model
from headcheck.interpreter.forward import own_forward
from headcheck.interpreter.values import Address, Ref
from headcheck.ir import Call, Define, GetAttribute, GetItem, walk_here

LENGTH = 8  # of a sequence
FRAMES = 4  # of a clip
#: Layers that take pictures, and where they say of how many channels.
PICTURED = {"torch.nn.Conv2d": "in_channels", "torch.nn.BatchNorm2d": "num_features"}
#: Keywords by which models of transformers are given words.
WORDS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
RECURRENT = frozenset({"torch.nn.LSTM", "torch.nn.GRU", "torch.nn.RNN"})


def how_many(execution: Execution, network: Address) -> int:
    """How many tensors a network's forward has to be given."""
    return max(1, len(required(execution, network)))


def required(execution: Execution, network: Address) -> list[str]:
    """What a network's forward has to be given, by its parameters."""
    define = definition(execution, network)
    parameters = define.parameters[1:] if define is not None else []
    return [p.name for p in parameters if not p.kind and not p.has_default and not p.keyword_only]


def definition(execution: Execution, network: Address) -> Define | None:
    module = execution.module(Ref(network))
    forward = own_forward(module) if module is not None else None
    define = execution.machine.definitions.get(forward[0].code) if forward is not None else None
    return define if isinstance(define, Define) else None


def as_clips(execution: Execution, network: Address, shapes: list[Any]) -> list[Any]:
    """What a network is given, with a clip in the place of a picture whose fifth size its forward asks for."""
    define, names = definition(execution, network), required(execution, network)
    if define is None or len(names) != len(shapes):
        return shapes
    return [
        [shape[0], FRAMES, *shape[1:]] if len(shape) == 4 and sizes_asked(define, name) == 5 else shape
        for shape, name in zip(shapes, names, strict=True)
    ]


def sizes_asked(define: Define, name: str) -> int:
    """How many sizes of a parameter a function asks for, before it gives its name to anything else."""
    asked = 0
    read: dict[Any, str] = {}  # what was read off the parameter
    for op in walk_here(define.body):
        if isinstance(op, GetAttribute) and op.of == name:
            read[op.target] = op.name
        elif isinstance(op, Call) and read.get(op.function) == "size":
            place = op.arguments[0][1] if op.arguments else None
            asked = max(asked, place + 1 if isinstance(place, int) else 0)
            read[op.target] = "shape" if place is None else ""
        elif isinstance(op, GetItem) and read.get(op.of) == "shape" and isinstance(op.index, int):
            asked = max(asked, op.index + 1)
        elif getattr(op, "target", "") == name:
            break
    return asked


def taken_by_layers(
    execution: Execution,
    model: Model,
    picture: list[int],
    steps: Iterable[dict[str, Any]],
    address: Callable[[Any], Any],
) -> dict[int, Any]:
    """The inputs, by their registers, that a layer is the first to take, and what it takes."""
    found: dict[int, Any] = {}
    same: dict[int, int] = {}  # registers that hold an input with other numbers, or a picture out of it
    frames: dict[int, int] = {}  # inputs that are clips, and how many pictures they have
    for step in steps:
        for register in {same.get(register, register) for register in registers_of(step)}:
            if register <= 0 and takes_a_frame(step):
                frames[register] = max(frames.get(register, FRAMES), step["index"]["tuple"][1] + 1)
            if register > 0 or register in found:
                continue
            if keeps_shape(step) or takes_a_frame(step):
                same[step["out"]] = register
                continue
            layer = address(step["of"].get("ref")) if step["op"] == "module" else None
            named = next((name for name, value in step.get("kwargs", {}).items() if value == {"reg": register}), "")
            taken = what(execution, model, picture, layer) if layer is not None else None
            found[register] = {"long": [picture[0], LENGTH]} if taken == picture and named in WORDS else taken
    clips = {register: shape for register, shape in found.items() if register in frames and isinstance(shape, list)}
    return {**found, **{register: [shape[0], frames[register], *shape[1:]] for register, shape in clips.items()}}


def takes_a_frame(step: dict[str, Any]) -> bool:
    """Whether a step takes one of the pictures of a clip: ``clip[:, 0]``."""
    index: Any = step.get("index") if step["op"] == "item" else None
    places = index.get("tuple", []) if isinstance(index, dict) else []
    if len(places) < 2 or type(places[1]) is not int:
        return False
    return all(place == {"slice": [None, None, None]} for place in (places[0], *places[2:]))


#: Methods that give a tensor of the same shape.
KEEPING = frozenset("clone contiguous cpu cuda detach double float half requires_grad_ to type".split())


def keeps_shape(step: dict[str, Any]) -> bool:
    """Whether a step gives what it is given, but for the numbers in it."""
    if step["op"] == "binary":
        return any(isinstance(step[side], int | float) for side in ("left", "right"))
    return step["op"] == "unary" or (step["op"] == "method" and step["name"] in KEEPING)


def registers_of(step: dict[str, Any]) -> list[int]:
    """The registers that a step is given; those of inputs are not above 0."""
    values = [
        *step.get("args", ()),
        *step.get("kwargs", {}).values(),
        step.get("of"),
        step.get("left"),
        step.get("right"),
    ]
    return [value["reg"] for value in values if isinstance(value, dict) and "reg" in value]


def what(execution: Execution, model: Model, picture: list[int], layer: Address) -> Any:
    """What a layer is to be given; None where that is not known."""
    module = execution.module(Ref(layer))
    if module is None:
        return None
    batch, _, *sides = picture
    if module.build is not None:
        return picture
    if module.kind == "torch.nn.Sequential":
        children = execution.children(Ref(layer))
        first = children[0][1] if children else None
        return what(execution, model, picture, first.address) if type(first) is Ref else None
    place = execution.place(layer)
    if place is not None and place[0] is model and not execution.is_new(Ref(layer)):
        shape = execution.arriving(model, place[1])
        return [batch, *shape] if shape is not None and all(type(size) is int for size in shape) else None
    if module.kind in ("torch.nn.Embedding", "torch.nn.EmbeddingBag"):
        return {"long": [batch, LENGTH]}
    if module.kind in PICTURED:
        channels = execution.field(Ref(layer), PICTURED[module.kind])
        return [batch, channels, *sides] if type(channels) is int else None
    size = execution.field(Ref(layer), "input_size" if module.kind in RECURRENT else "in_features")
    if type(size) is not int:
        return None
    return [batch, LENGTH, size] if module.kind in RECURRENT else [batch, size]
