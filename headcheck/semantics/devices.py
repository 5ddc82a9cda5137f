"""Where modules live and in what numbers: devices, dtypes, moves, and what sets these for everything made later."""

from __future__ import annotations

from headcheck import events
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Device, Library, Symbol, Value, label, symbol
from headcheck.records import NamedTuple
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method

ACCELERATOR, CPU, UNSURE = "accelerator", "cpu", "unsure"
# Names of one dtype each; what is left out (int8, quantized ones) is no dtype that a head could be cast to.
DTYPES = {
    "half": "float16", "float16": "float16", "bfloat16": "bfloat16", "float": "float32", "float32": "float32",
    "double": "float64", "float64": "float64",
}  # fmt: skip
# What tensor types (``torch.cuda.HalfTensor``) hold.
TENSOR_TYPES = {
    "HalfTensor": "float16", "BFloat16Tensor": "bfloat16", "FloatTensor": "float32", "DoubleTensor": "float64",
}  # fmt: skip


class Target(NamedTuple):
    """What a move aims at: a `device` ("", cpu, accelerator or unsure) and a `dtype` ("", its name or unsure)."""

    device: str = ""
    dtype: str = ""


def device_of(value: Value) -> str:
    """The device that a value names."""
    name = value.name if type(value) is Device else value
    if isinstance(name, str):
        return CPU if name.split(":")[0] in ("cpu", "meta") else ACCELERATOR
    return ACCELERATOR if type(name) is int else "" if name is None else UNSURE


def is_device(value: Value) -> bool:
    """Whether a value is a device, known or not."""
    key = value.key if type(value) is Symbol else None
    return type(value) is Device or (isinstance(key, tuple) and key[:2] == ("call", "torch.device"))


def dtype_of(value: Value) -> str:
    """The dtype that a value names."""
    if type(value) is Library and value.name.startswith("torch."):
        return DTYPES.get(value.name.removeprefix("torch."), UNSURE)
    return "" if value is None else UNSURE


WHOLE = frozenset({"long", "int64", "LongTensor"})
FRACTIONS = frozenset({"float", "float32", "float16", "half", "bfloat16", "double", "float64"}) | frozenset(
    f"{name}Tensor" for name in ("Float", "Half", "BFloat16", "Double")
)


def numbers_of(value: Value) -> str:
    """The kind of numbers that a dtype or a tensor type names: float, long, its own name for any other, "" where it is
    not known."""
    name = value.name if type(value) is Library else value
    if name in ("builtins.int", "builtins.float"):
        return "long" if name == "builtins.int" else "float"
    space, _, last = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if space not in ("torch", "torch.cuda"):
        return ""
    return "long" if last in WHOLE else "float" if last in FRACTIONS else last


def type_of(value: Value) -> Target:
    """What ``module.type(…)`` aims at: a dtype, or a tensor type, which has a device as well."""
    name = value.name if type(value) is Library else value
    space, _, last = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if last in TENSOR_TYPES and space in ("torch", "torch.cuda"):
        return Target(CPU if space == "torch" else ACCELERATOR, TENSOR_TYPES[last])
    return Target("", dtype_of(value))


def target_of(call: CallSite) -> Target:
    """What ``module.to(…)`` and its like aim at. An unknown may name a device or a dtype."""
    if call.name == "cpu":
        return Target(CPU)
    if call.name in ("cuda", "xpu", "ipu", "hpu", "mtia"):
        return Target(ACCELERATOR)
    if call.name == "type":
        return type_of(call.argument(0, "dst_type"))
    if call.name != "to":
        return Target("", DTYPES[call.name])
    device = device_of(call.keywords.get("device"))
    dtype = dtype_of(call.keywords.get("dtype"))
    for value in call.arguments[:2]:
        if type(value) is Library:
            dtype = dtype_of(value)
        elif isinstance(value, (str, int)) or type(value) is Device:
            device = device_of(value)
        elif value is not None:
            device, dtype = device or UNSURE, dtype or UNSURE
    return Target(UNSURE, UNSURE) if "**" in call.keywords or call.keywords.get("tensor") else Target(device, dtype)


@method(Module, "to", "cuda", "cpu", "half", "float", "double", "bfloat16", "type", "xpu", "ipu", "hpu", "mtia")
def move(call: CallSite) -> Value:
    said = call.name if call.name != "to" else ", ".join(label(a) for a in (*call.arguments, *call.keywords.values()))
    target = target_of(call)
    call.state.log(events.Moved(call.site, call.receiver.address, said, target.device, target.dtype))
    return call.receiver


@effect("torch.device")
def device(call: CallSite) -> Value:
    """``torch.device("cuda", 0)``; one whose name is not known is an unknown."""
    name, index = call.argument(0, "type"), call.argument(1, "index", None)
    if call.keywords.keys() - {"type", "index"} or not isinstance(name, (str, int)):
        return name if type(name) is Device else unknown(call)
    text = name if isinstance(name, str) else f"cuda:{name}"
    return Device(text if index is None else f"{text}:{label(index)}")


@effect("torch.set_default_device", "torch.set_default_dtype", "torch.set_default_tensor_type")
def ambient(call: CallSite) -> Value:
    """From here on tensors are made in another way than their own code says."""
    call.state.log(events.Ambient(call.site, call.name))
    return unknown(call)


@effect(
    "torch.autocast", "torch.amp.autocast", "torch.amp.autocast_mode.autocast", "torch.cuda.amp.autocast",
    "torch.cuda.amp.autocast_mode.autocast", "torch.cpu.amp.autocast", "torch.cpu.amp.autocast_mode.autocast",
)  # fmt: skip
def autocast(call: CallSite) -> Value:
    """What is computed within this context is computed in other numbers than the model's, or in these again."""
    cast = cast_to(call)
    if cast != OFF:
        call.state.log(events.Ambient(call.site, call.name))
    return symbol("autocast", "autocast(…)", cast, id(call.site))


OFF, ANY = "off", "any"


def cast_to(call: CallSite) -> str:
    """What an autocast computes in: a dtype, off, or any where that is not known. On the CPU it is another one."""
    of_device = call.name.split(".")[1] in ("cuda", "cpu")
    device = call.name.split(".")[1] if of_device else call.argument(0, "device_type")
    enabled, dtype = call.argument(0 if of_device else 2, "enabled", True), call.argument(1, "dtype", None)
    name = "float16" if dtype is None else dtype_of(dtype)
    if enabled is False:
        return OFF
    return name if enabled is True and device != "cpu" and name in ("float16", "bfloat16") else ANY


#: Keywords that say in what numbers a trainer computes, and what they say where these are the model's own.
PRECISIONS: dict[str, tuple[Value, ...]] = {
    "precision": (32, "32", "32-true", None),
    "mixed_precision": ("no", None),
    "fp16": (False, None),
    "bf16": (False, None),
}


def computes_in(call: CallSite) -> None:
    """A trainer that may compute in other numbers than the model's."""
    if any(call.keywords[name] not in usual for name, usual in PRECISIONS.items() if name in call.keywords):
        call.state.log(events.Ambient(call.site, "autocast"))


@effect("accelerate.Accelerator", *(f"{name}.Fabric" for name in ("lightning", "lightning.fabric", "lightning_fabric")))
def accelerator(call: CallSite) -> Value:
    computes_in(call)
    return unknown(call)
