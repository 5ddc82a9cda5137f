"""The confirm worker: builds what a script would build and runs it once, without running a line of the script.

This file stands alone. It needs the standard library and torch (torchvision when a plan names it), runs on Python 3.9
and torch 2.0 and later, and is started by its absolute path, isolated, in an empty folder:

    python -I worker.py DESCRIPTOR < request.json

The request is one JSON object; one JSON line per plan goes to DESCRIPTOR, after a first line that says hello. Whatever
torch prints goes to standard error. Only library builders and layers on the allowlist are called, only with plain
values; weights are never loaded, sockets are refused, and nothing bigger than the memory budget is built.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import gc
import importlib
import importlib.util
import json
import math
import operator
import os
import re
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

VERSION = 1

# Bounds on what a plan may hold. They only keep a hostile script from wasting time; no real model comes near them.
MAX_STEPS = 20_000
MAX_INT = 10**9
MAX_TEXT = 200
MAX_ITEMS = 1_000
MAX_DEPTH = 4
MAX_INPUT_ELEMENTS = 2**27
MAX_ERROR = 500

DEFAULT_INPUTS = {
    "classification": [[2, 3, 224, 224]],
    "segmentation": [[2, 3, 224, 224]],
    "detection": [[2, 3, 128, 128]],
    "video": [[2, 3, 16, 112, 112]],
    "optical_flow": [[2, 3, 128, 128], [2, 3, 128, 128]],
}
DETECTION_SIZE = 128
DETECTION_SAMPLES = 16
DTYPES = ("float16", "bfloat16", "float32", "float64")

# Heads and blocks of torchvision that scripts build themselves. Everything else of torchvision is reached by a builder.
TORCHVISION_LAYERS = ("torchvision.ops.misc", "torchvision.ops.feature_pyramid_network", "torchvision.models.")

# Errors that speak of this machine or of headcheck's own limits, not of the script: they prove nothing about it.
REFUSAL = "headcheck does not allow"
NOT_THE_SCRIPT = re.compile(
    REFUSAL + r"|allocate memory|out of memory|not enough memory|could not create a primitive"
    r"|not implemented for '|Could not run '|not currently (implemented|supported) (for|on) the"
    r"|Couldn't load custom C\+\+ ops|meta tensor",
    re.IGNORECASE,
)


class Refused(Exception):
    """The plan asks for something the worker does not do; its text says what."""


@dataclasses.dataclass
class Libraries:
    """torch, torchvision (if a plan needs it and it is there) and the device that plans run on."""

    torch: Any
    torchvision: Any
    device: str
    device_error: str | None


@dataclasses.dataclass
class Run:
    """What one plan has made so far. `moves` are the kinds of device that its steps moved modules to, `line` is where
    the script has the step of a forward that runs."""

    libraries: Libraries
    memory_bytes: int
    objects: dict[int, Any] = dataclasses.field(default_factory=dict)
    parameter_bytes: int = 0
    optimizers: list[Any] = dataclasses.field(default_factory=list)
    moves: set[str] = dataclasses.field(default_factory=set)
    line: Any = None

    @property
    def torch(self) -> Any:
        return self.libraries.torch

    @property
    def device(self) -> str:
        return self.libraries.device


# --- reading a step; a malformed one is refused, so that an error of ours never passes for one of PyTorch's ----------


def field(step: Any, name: str, kind: Any) -> Any:
    """`step[name]`, which must be of `kind`; `bool` is not taken for a number."""
    value = step.get(name) if isinstance(step, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise Refused(f"{name} {value!r:.60} in step {step!r:.60}")
    return value


def keywords_of(step: Any) -> dict[str, Any]:
    """The step's keyword arguments as they were sent; none is no dictionary or no value."""
    return {} if step.get("kwargs") is None else dict(field(step, "kwargs", dict))


def attribute_name(run: Run, name: Any) -> str:
    """A name that may be read, set or deleted: neither a dunder nor one of nn.Module's own tables."""
    if not isinstance(name, str) or len(name) > MAX_TEXT or name.startswith("__"):
        raise Refused(f"attribute {name!r:.60}")
    if name.startswith("_") and name in vars(run.torch.nn.Module()):
        raise Refused(f"attribute {name!r:.60}")
    return name


def index_of(step: Any) -> Any:
    """The place in a container (a number) or in a ModuleDict (a string)."""
    return plain(field(step, "index", (int, str)))


def module(run: Run, identifier: Any) -> Any:
    """The nn.Module that an earlier step made."""
    found = run.objects.get(identifier) if type(identifier) is int else None
    if not isinstance(found, run.torch.nn.Module):
        raise Refused(f"object {identifier!r:.60} is not a module that an earlier step made")
    return found


def keep(run: Run, step: Any, made: Any) -> None:
    """Name what a step made."""
    run.objects[field(step, "out", int)] = made


def keep_module(run: Run, step: Any, made: Any) -> None:
    if not isinstance(made, run.torch.nn.Module):
        raise Refused(f"step {step.get('op')!r} gives a {type(made).__name__}, not a module")
    keep(run, step, made)


def plain(value: Any, depth: int = 0) -> Any:
    """A bounded plain value: None, a bool, a number, a short string, a shallow list or ``{"tuple": […]}`` of such."""
    if depth > MAX_DEPTH:
        raise Refused("a value is nested too deeply")
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INT:
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict) and list(value) == ["tuple"] and isinstance(value["tuple"], list):
        return tuple(plain(value["tuple"], depth + 1))
    raise Refused(f"value {value!r:.60}")


def argument(run: Run, value: Any, depth: int = 0) -> Any:
    """A layer's argument: a plain value, ``{"ref": ID}``, ``{"class": name}``, or a list, tuple or dict of such."""
    if depth > MAX_DEPTH:
        raise Refused("an argument is nested too deeply")
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [argument(run, item, depth + 1) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key == "ref":
            return module(run, inner)
        if key == "class":
            return layer_class(run, inner)
        if key == "tuple" and isinstance(inner, list):
            return tuple(argument(run, inner, depth + 1))
        if key == "dict" and isinstance(inner, dict) and all(len(name) <= MAX_TEXT for name in inner):
            return collections.OrderedDict((name, argument(run, item, depth + 1)) for name, item in inner.items())
    return plain(value, depth)


# --- the allowlist: a name is resolved first, then the object it gives is judged -------------------------------------


def resolve(run: Run, name: Any, roots: tuple[str, ...]) -> Any:
    """The library object of a dotted name that starts with one of `roots`; nothing is imported for it."""
    if not isinstance(name, str) or len(name) > MAX_TEXT or not name.startswith(roots):
        raise Refused(f"name {name!r:.60}")
    library, *parts = name.split(".")
    found = run.torch if library == "torch" else run.libraries.torchvision
    if found is None:
        raise Refused(f"{name} needs torchvision, which is not there")
    for part in parts:
        found = None if part.startswith("_") else getattr(found, part, None)
        if found is None:
            raise Refused(f"this {library} has no {name}")
    return found


def defined_in(found: Any, prefixes: tuple[str, ...]) -> bool:
    """Whether a class or function comes from a module under `prefixes` and is the one that stands there by its name."""
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or not (home + ".").startswith(prefixes):
        return False
    return getattr(sys.modules.get(home), found.__name__, None) is found


def layer_class(run: Run, name: Any) -> Any:
    """A layer class: an nn.Module subclass that torch.nn or torchvision's blocks and models define."""
    found = resolve(run, name, ("torch.nn.", "torchvision.ops.", "torchvision.models."))
    if not (isinstance(found, type) and issubclass(found, run.torch.nn.Module)):
        raise Refused(f"{name} is not a layer class")
    if not defined_in(found, ("torch.nn.modules.", *TORCHVISION_LAYERS)):
        raise Refused(f"{name} is not on the list of layers")
    return found


def builder_function(run: Run, name: Any) -> Any:
    """A model builder: registered with torchvision, or a public function of torchvision.models that takes `weights`.

    Taking `weights` is what makes a builder one that can be told not to load any.
    """
    found = resolve(run, name, ("torchvision.models.",))
    registry = getattr(importlib.import_module("torchvision.models._api"), "BUILTIN_MODELS", {})
    if not isinstance(found, types.FunctionType):
        raise Refused(f"{name} is not a builder")
    if any(found is registered for registered in registry.values()):
        return found
    if not defined_in(found, ("torchvision.models.",)) or "weights" not in parameters_of(found):
        raise Refused(f"{name} is not on the list of builders")
    return found


def parameters_of(function: Any) -> Any:
    import inspect  # torch has imported it already

    return inspect.signature(function).parameters


def optimizer_class(run: Run, name: Any) -> Any:
    found = resolve(run, name, ("torch.optim.",))
    if not (isinstance(found, type) and issubclass(found, run.torch.optim.Optimizer)):
        raise Refused(f"{name} is not an optimizer")
    if not defined_in(found, ("torch.optim.",)):
        raise Refused(f"{name} is not on the list of optimizers")
    return found


# --- building: parameters are first made on the meta device, counted, and only then given memory ---------------------


def build(run: Run, make: Callable[[], Any]) -> Any:
    """What `make` builds, with memory for its parameters but without the cost of initializing them.

    Only parameters go through meta, not buffers: these hold values that count (running statistics, index tables), and
    some builders (the RegNets) read numbers back from tensors they make on the way.
    """
    try:
        built = with_parameters_on_meta(run.torch, make)
    except Exception as error:
        if "meta" not in str(error):
            raise
        built = make()  # a few builders (SSDlite) run a part of the model to learn its sizes
    if not isinstance(built, run.torch.nn.Module):
        raise Refused(f"it gives a {type(built).__name__}, not a module")
    claim_memory(run, (p for p in built.parameters() if not hasattr(p, "_headcheck_claimed")))
    if run.device != "meta":
        give_memory(run.torch, built)
    for parameter in built.parameters():  # those of modules made earlier, that were put into this one, count once
        parameter._headcheck_claimed = True
    return built


def with_parameters_on_meta(torch: Any, make: Callable[[], Any]) -> Any:
    """Call `make`, turning each parameter into a meta tensor as it is registered with its module."""
    module_class = torch.nn.Module
    register = module_class.register_parameter

    def register_on_meta(self: Any, name: str, parameter: Any) -> None:
        if parameter is not None and not torch.nn.parameter.is_lazy(parameter) and not parameter.is_meta:
            # The twin is kept on the original: a parameter that is registered twice is shared, and must stay so.
            twin = getattr(parameter, "_headcheck_twin", None)
            if twin is None:
                empty = torch.empty_like(parameter, device="meta")
                twin = torch.nn.Parameter(empty, requires_grad=parameter.requires_grad)
                parameter._headcheck_twin = twin
            parameter = twin
        register(self, name, parameter)

    module_class.register_parameter = register_on_meta
    try:
        return make()
    finally:
        module_class.register_parameter = register


def claim_memory(run: Run, parameters: Iterable[Any]) -> None:
    """Refuse what would not fit the budget: every parameter will have a gradient of its own size."""
    lazy = run.torch.nn.parameter.is_lazy
    run.parameter_bytes += sum(p.numel() * p.element_size() for p in parameters if not lazy(p))
    if 2 * run.parameter_bytes > run.memory_bytes:
        need, budget = 2 * run.parameter_bytes / 2**30, run.memory_bytes / 2**30
        raise Refused(f"parameters and gradients need {need:.1f} GiB, over the memory budget of {budget:.1f} GiB")


def give_memory(torch: Any, built: Any) -> None:
    """Put real parameters in the place of meta ones.

    The matrices and kernels of one module all look at the same block of small random numbers. A forward and a backward
    pass only read them, so nothing can tell, while filling every one would cost as much as the passes themselves.
    """
    sizes: dict[Any, int] = {}
    for parameter in built.parameters():
        if parameter.is_meta and parameter.dim() > 1 and parameter.is_floating_point():
            sizes[parameter.dtype] = max(sizes.get(parameter.dtype, 1), parameter.numel())
    blocks = {dtype: random_block(torch, size, dtype) for dtype, size in sizes.items()}
    real: dict[Any, Any] = {}
    for owner in built.modules():
        for name, parameter in list(owner._parameters.items()):
            if parameter is None or not parameter.is_meta:
                continue
            if parameter not in real:
                real[parameter] = real_parameter(torch, name, parameter, blocks)
            setattr(owner, name, real[parameter])


def random_block(torch: Any, size: int, dtype: Any) -> Any:
    """`size` numbers between -0.035 and 0.035 (the spread of std 0.02 that vision transformers start from).

    A short run of random numbers is repeated: drawing them all would take ten times as long.
    """
    short = (torch.rand(min(size, 65_521)) - 0.5).mul_(0.07).to(dtype)
    block = torch.empty(size, dtype=dtype)
    whole = size // len(short)
    block[: whole * len(short)].view(whole, len(short)).copy_(short)
    block[whole * len(short) :].copy_(short[: size - whole * len(short)])
    return block


def real_parameter(torch: Any, name: str, parameter: Any, blocks: Any) -> Any:
    """A parameter like the meta one: matrices from the block, scales one, the rest (biases) zero."""
    if parameter.dim() > 1 and parameter.dtype in blocks:
        value = blocks[parameter.dtype][: parameter.numel()].view(parameter.shape)
    else:
        value = torch.full(parameter.shape, 1 if name == "weight" else 0, dtype=parameter.dtype)
    return torch.nn.Parameter(value, requires_grad=parameter.requires_grad)


# --- the steps -------------------------------------------------------------------------------------------------------


def op_build(run: Run, step: Any) -> None:
    name = field(step, "builder", str)
    keywords = {key: plain(value) for key, value in keywords_of(step).items()}
    by_name = BY_NAME.get(name.split(".")[0])
    if by_name is not None:
        keep(run, step, build(run, by_name(name, keywords)))
        return
    function = builder_function(run, name)
    for key in ("weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress"):
        keywords.pop(key, None)
    accepted = parameters_of(function)
    if step.get("weights") not in (None, False) and "num_classes" in keywords:
        check_class_count(run, function, step["weights"], keywords)
    keywords.update((key, None) for key in ("weights", "weights_backbone") if key in accepted)
    if "quantize" in accepted:
        keywords["quantize"] = False  # a quantized model cannot be trained; the float one has the same shape
    if name.endswith((".googlenet", ".inception_v3")):
        keywords["init_weights"] = False  # both say that it will take long, and it does
    keep(run, step, build(run, lambda: function(**keywords)))
    for inner in field(step, "after", list) if "after" in step else []:
        perform(run, inner)


def of_timm(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of timm by its name alone: no place in a folder or on the hub, and no weights."""
    timm = installed("timm")
    architecture = name.rpartition(".")[2]
    if not name.startswith("timm.models.") or not timm.is_model(architecture):
        raise Refused(f"this timm has no {architecture}")
    tag = keywords.pop("pretrained_cfg", None)
    if isinstance(tag, str) and tag.isidentifier():
        architecture = f"{architecture}.{tag}"
    for key in ("pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg_overlay"):
        keywords.pop(key, None)
    return lambda: timm.create_model(architecture, pretrained=False, **keywords)


def of_efficientnet(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of efficientnet_pytorch by its name, without weights."""
    library = installed("efficientnet_pytorch")
    known = {key: keywords[key] for key in ("num_classes", "in_channels") if key in keywords}
    return lambda: library.EfficientNet.from_name(name.split(".", 1)[1], **known)


def installed(library: str) -> Any:
    """A library of models, imported when a plan asks for it."""
    if importlib.util.find_spec(library) is None:
        raise Refused(f"there is no {library} in {sys.executable}")
    try:
        return importlib.import_module(library)
    except Exception as error:
        raise Refused(f"{library} does not import in {sys.executable}: {error!r:.200}") from None


BY_NAME = {"timm": of_timm, "efficientnet_pytorch": of_efficientnet}


class Reached(Exception):
    """The builder went as far as loading weights: it takes its arguments."""


def check_class_count(run: Run, function: Any, weights: Any, keywords: dict[str, Any]) -> None:
    """Let torchvision itself say if it takes a class count beside weights: the builder is run up to their loading."""
    interface = importlib.import_module("torchvision.models._api")
    if not hasattr(interface, "get_model_weights"):
        return
    known = interface.get_model_weights(function)
    member = getattr(known, weights, None) if isinstance(weights, str) and weights.isidentifier() else None
    if not isinstance(member, known):
        member = known.DEFAULT
    load = interface.WeightsEnum.get_state_dict

    def reached(*_: Any, **__: Any) -> Any:
        raise Reached

    interface.WeightsEnum.get_state_dict = reached
    try:
        with_parameters_on_meta(run.torch, lambda: function(weights=member, **keywords))
    except Reached:
        pass
    finally:
        interface.WeightsEnum.get_state_dict = load


def op_layer(run: Run, step: Any) -> None:
    found = layer_class(run, step.get("class"))
    arguments = argument(run, field(step, "args", list) if "args" in step else [])
    keywords = {key: argument(run, value) for key, value in keywords_of(step).items()}
    keep(run, step, build(run, lambda: found(*arguments, **keywords)))


def op_get(run: Run, step: Any) -> None:
    found = module(run, step.get("of"))
    for part in [attribute_name(run, part) for part in field(step, "path", str).split(".")]:
        found = getattr(found, part)
    keep_module(run, step, found)


def op_read(run: Run, step: Any) -> None:
    getattr(module(run, step.get("of")), attribute_name(run, step.get("name")))


def op_look_up(run: Run, step: Any) -> None:
    """Ask torchvision for a builder by name: its own words say that there is none."""
    space = resolve(run, step.get("namespace"), ("torchvision.models",))
    name = attribute_name(run, step.get("name"))
    if isinstance(space, types.ModuleType):
        getattr(space, name)
    else:
        resolve(run, "torchvision.models.get_model_builder", ("torchvision.models",))(name)


def op_item(run: Run, step: Any) -> None:
    keep_module(run, step, module(run, step.get("of"))[index_of(step)])


def op_slice(run: Run, step: Any) -> None:
    bounds = [plain(step.get(key)) for key in ("start", "stop", "step")]
    keep_module(run, step, module(run, step.get("of"))[slice(*bounds)])


def op_set(run: Run, step: Any) -> None:
    setattr(module(run, step.get("of")), attribute_name(run, step.get("name")), assigned(run, step.get("value")))


def assigned(run: Run, value: Any) -> Any:
    """What a step assigns: the module of an ID, the value of ``{"plain": …}``, or None."""
    if value is None:
        return None
    if isinstance(value, dict) and list(value) == ["plain"]:
        return plain(value["plain"])
    return module(run, value)


def op_setitem(run: Run, step: Any) -> None:
    module(run, step.get("of"))[index_of(step)] = assigned(run, step.get("value"))


def op_delete(run: Run, step: Any) -> None:
    delattr(module(run, step.get("of")), attribute_name(run, step.get("name")))


def op_delitem(run: Run, step: Any) -> None:
    del module(run, step.get("of"))[index_of(step)]


def op_append(run: Run, step: Any) -> None:
    module(run, step.get("of")).append(module(run, step.get("value")))


def op_insert(run: Run, step: Any) -> None:
    module(run, step.get("of")).insert(plain(field(step, "index", int)), module(run, step.get("value")))


def op_extend(run: Run, step: Any) -> None:
    values = [module(run, value) for value in field(step, "values", list)]
    module(run, step.get("of")).extend(values)


def op_add_module(run: Run, step: Any) -> None:
    name, value = attribute_name(run, step.get("name")), assigned(run, step.get("value"))
    module(run, step.get("of")).add_module(name, value)


def op_copy(run: Run, step: Any) -> None:
    original = module(run, step.get("of"))
    claim_memory(run, original.parameters())
    keep(run, step, copy.deepcopy(original))


def chosen_parameters(run: Run, step: Any) -> list[Any]:
    """The parameters of the step's module: all, or those it names."""
    owner, wanted = module(run, step.get("of")), step.get("parameters")
    if wanted == "all":
        return list(owner.parameters())
    if not isinstance(wanted, list):
        raise Refused(f"parameters {wanted!r:.60}")
    return [named_parameter(owner, name) for name in wanted]


def named_parameter(owner: Any, name: Any) -> Any:
    """The parameter of a dotted path. A plan names only those it knows, so a missing one is the plan's mistake."""
    *path, last = str(name).split(".")
    for part in path:
        owner = getattr(owner, "_modules", {}).get(part)
    parameter = getattr(owner, "_parameters", {}).get(last)
    if parameter is None:
        raise Refused(f"there is no parameter {name!r:.60}")
    return parameter


def op_requires_grad(run: Run, step: Any) -> None:
    wanted = field(step, "value", bool)
    for parameter in chosen_parameters(run, step):
        parameter.requires_grad = wanted


def op_plain(run: Run, step: Any) -> None:
    name, value = attribute_name(run, step.get("name")), plain(step.get("value"))
    owners = [module(run, step.get("of"))] if step.get("parameters") is None else chosen_parameters(run, step)
    for owner in owners:
        setattr(owner, name, value)


def op_mode(run: Run, step: Any) -> None:
    module(run, step.get("of")).train(field(step, "train", bool))


def op_move(run: Run, step: Any) -> None:
    """Move a module. Every accelerator the script may name stands for the one that plans run on."""
    moved, dtype, device = module(run, step.get("of")), step.get("dtype"), step.get("device")
    if dtype is not None:
        if dtype not in DTYPES:
            raise Refused(f"dtype {dtype!r:.60}")
        moved.to(getattr(run.torch, dtype))
    if device is not None:
        kind = "cpu" if field(step, "device", str) == "cpu" else "accelerator"
        run.moves.add(kind)
        if run.device not in ("cpu", "meta"):
            moved.to("cpu" if kind == "cpu" else run.device)


def op_optimizer(run: Run, step: Any) -> None:
    found = optimizer_class(run, step.get("class"))
    groups = []
    for group in field(step, "groups", list):
        members = [named_parameter(module(run, pair[0]), pair[1]) for pair in field(group, "parameters", list)]
        options = {key: plain(value) for key, value in group.items() if key != "parameters"}
        groups.append({"params": members, **options})
    keywords = {key: plain(value) for key, value in keywords_of(step).items()}
    # One group without options is what `SGD(model.parameters(), …)` gives; as a list PyTorch's errors are the script's.
    single = len(groups) == 1 and list(groups[0]) == ["params"]
    optimizer = found(groups[0]["params"] if single else groups, **keywords)
    run.optimizers.append(optimizer)
    keep(run, step, optimizer)


def op_network(run: Run, step: Any) -> None:
    """A network of the script: a module whose children and forward come by later steps."""
    keep(run, step, network_class(run.torch)())


def op_forward(run: Run, step: Any) -> None:
    """What a network's forward does, as a straight line of steps."""
    network, steps = module(run, step.get("of")), field(step, "steps", list)
    if not isinstance(network, network_class(run.torch)) or len(steps) > MAX_STEPS:
        raise Refused(f"a forward of {step.get('of')!r:.60}")
    network.__dict__["headcheck_program"] = lambda given: follow(run, steps, step.get("answer"), given)


def op_raise_check(run: Run, step: Any) -> None:
    """A place where the script would have stopped if anything before it raises: nothing to do."""


OPERATIONS: dict[str, Callable[[Run, Any], None]] = {
    "build": op_build,
    "layer": op_layer,
    "get": op_get,
    "read": op_read,
    "look_up": op_look_up,
    "item": op_item,
    "slice": op_slice,
    "set": op_set,
    "setitem": op_setitem,
    "delete": op_delete,
    "delitem": op_delitem,
    "append": op_append,
    "insert": op_insert,
    "extend": op_extend,
    "add_module": op_add_module,
    "copy": op_copy,
    "requires_grad": op_requires_grad,
    "plain": op_plain,
    "mode": op_mode,
    "move": op_move,
    "optimizer": op_optimizer,
    "network": op_network,
    "forward": op_forward,
    "raise_check": op_raise_check,
}


def perform(run: Run, step: Any) -> None:
    """Do one step."""
    operation = OPERATIONS.get(field(step, "op", str))
    if operation is None:
        raise Refused(f"step {step!r:.60}")
    operation(run, step)


# --- the script's own forward: a straight line of library calls -------------------------------------------------------

NETWORKS: dict[Any, Any] = {}


def network_class(torch: Any) -> Any:
    """The one class of every network of a script."""
    if torch not in NETWORKS:

        class Network(torch.nn.Module):  # type: ignore[misc]
            headcheck_program: Any = None

            def forward(self, *given: Any) -> Any:
                if self.headcheck_program is None:
                    raise Refused("what the forward of a network of the script does")
                return self.headcheck_program(given)

        NETWORKS[torch] = Network
    return NETWORKS[torch]


def follow(run: Run, steps: list[Any], answer: Any, given: tuple[Any, ...]) -> Any:
    """Run the steps of a forward on its input, which is register 0."""
    registers: dict[int, Any] = dict(enumerate(given[:1]))
    for step in steps:
        do = PROGRAM.get(field(step, "op", str))
        if do is None:
            raise Refused(f"step {step!r:.60}")
        run.line = step.get("line")
        found = do(run, registers, step)
        if "out" in step:
            registers[field(step, "out", int)] = found
    run.line = None
    return operand(run, registers, answer)


def operand(run: Run, registers: dict[int, Any], value: Any, depth: int = 0) -> Any:
    """What a step of a forward is given: plain values, what earlier steps answered, modules and their parameters."""
    if depth > 2 * MAX_DEPTH:
        raise Refused("a value is nested too deeply")
    if isinstance(value, list) and len(value) <= MAX_ITEMS:
        return [operand(run, registers, item, depth + 1) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key == "reg" and inner in registers:
            return registers[inner]
        if key == "ref":
            return module(run, inner)
        if key == "parameter" and isinstance(inner, list) and len(inner) == 2:
            return named_parameter(module(run, inner[0]), inner[1])
        if key == "dtype" and isinstance(getattr(run.torch, str(inner), None), run.torch.dtype):
            return getattr(run.torch, inner)
        if key in ("tuple", "slice") and isinstance(inner, list):
            parts = operand(run, registers, inner, depth + 1)
            return tuple(parts) if key == "tuple" else slice(*parts)
        if key == "dict" and isinstance(inner, dict) and all(len(name) <= MAX_TEXT for name in inner):
            return {name: operand(run, registers, item, depth + 1) for name, item in inner.items()}
    return plain(value)


def call_parts(run: Run, registers: dict[int, Any], step: Any) -> tuple[list[Any], dict[str, Any]]:
    arguments = [operand(run, registers, value) for value in field(step, "args", list)]
    return arguments, {name: operand(run, registers, value) for name, value in keywords_of(step).items()}


def do_module(run: Run, registers: dict[int, Any], step: Any) -> Any:
    arguments, keywords = call_parts(run, registers, step)
    called = operand(run, registers, step.get("of"))
    if not isinstance(called, run.torch.nn.Module):
        raise Refused(f"a call of {step.get('of')!r:.60}")
    return called(*arguments, **keywords)


# Functions of torch that make or join tensors, and are no methods of them.
TENSOR_FUNCTIONS = frozenset(
    "arange block_diag broadcast_tensors cartesian_prod cat column_stack concat concatenate dstack einsum empty eye"
    " full full_like hstack linspace meshgrid normal ones ones_like rand rand_like randint randint_like randn"
    " randn_like randperm stack tensor vstack where zeros zeros_like".split()
)
PLAIN_FUNCTIONS = {"abs": abs, "float": float, "int": int, "len": len, "list": list, "max": max, "min": min, "sum": sum}
PLAIN_FUNCTIONS["tuple"] = tuple
MODULE_METHODS = frozenset(
    "extract_endpoints extract_features features forward forward_features forward_head forward_intermediates".split()
)
# Methods of tensors that reach out of the process' own numbers, take code, or have a memory.
REFUSED_METHODS = frozenset("apply_ backward map_ module_load register_hook set_ share_memory_ storage".split())


def do_function(run: Run, registers: dict[int, Any], step: Any) -> Any:
    arguments, keywords = call_parts(run, registers, step)
    return tensor_function(run, field(step, "name", str))(*arguments, **keywords)


def tensor_function(run: Run, name: str) -> Any:
    """A function of torch that computes with tensors alone: those that are methods too, and some that make tensors."""
    torch = run.torch
    space, _, last = name.rpartition(".")
    if space == "builtins" and last in PLAIN_FUNCTIONS:
        return PLAIN_FUNCTIONS[last]
    if last.startswith("_") or last in REFUSED_METHODS:
        raise Refused(f"the function {name}")
    if space == "torch" and (last in TENSOR_FUNCTIONS or callable(getattr(torch.Tensor, last, None))):
        found = getattr(torch, last, None)
    elif space in ("torch.nn.functional", "torch.linalg", "torch.fft", "torch.special"):
        found = getattr(resolve(run, space, ("torch.",)), last, None)
        home = getattr(found, "__module__", None) or "torch"
        found = found if str(home).split(".")[0] == "torch" else None
    else:
        raise Refused(f"the function {name}")
    if not callable(found):
        raise Refused(f"the function {name}, which is not in this torch")
    return found


def do_method(run: Run, registers: dict[int, Any], step: Any) -> Any:
    name, of = field(step, "name", str), operand(run, registers, step.get("of"))
    arguments, keywords = call_parts(run, registers, step)
    if isinstance(of, run.torch.nn.Module):
        if name not in MODULE_METHODS or not hasattr(of, name):
            raise Refused(f"the method {name} of a module")
    elif isinstance(of, (run.torch.Tensor, run.torch.Size, dict, list, tuple)):
        if name.startswith("_") or name in REFUSED_METHODS:
            raise Refused(f"the method {name}")
    else:
        raise Refused(f"the method {name} of a {type(of).__name__}")
    return getattr(of, name)(*arguments, **keywords)


def do_attribute(run: Run, registers: dict[int, Any], step: Any) -> Any:
    of, name = operand(run, registers, step.get("of")), field(step, "name", str)
    if name.startswith("_"):
        raise Refused(f"the attribute {name}")
    found = getattr(of, name)
    if callable(found) and not isinstance(found, run.torch.nn.Module):
        raise Refused(f"the attribute {name}")
    return found


def do_item(run: Run, registers: dict[int, Any], step: Any) -> Any:
    return operand(run, registers, step.get("of"))[operand(run, registers, step.get("index"))]


def do_set_item(run: Run, registers: dict[int, Any], step: Any) -> None:
    of, index, value = (operand(run, registers, step.get(name)) for name in ("of", "index", "value"))
    of[index] = value


OPERATORS = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "truediv", "FloorDivide": "floordiv",
    "Modulo": "mod", "Power": "pow", "MatrixMultiply": "matmul", "BitAnd": "and_", "BitOr": "or_", "BitXor": "xor",
    "LeftShift": "lshift", "RightShift": "rshift", "Equal": "eq", "NotEqual": "ne", "LessThan": "lt",
    "LessThanEqual": "le", "GreaterThan": "gt", "GreaterThanEqual": "ge", "Is": "is_", "IsNot": "is_not",
    "Minus": "neg", "Plus": "pos", "BitInvert": "invert", "Not": "not_",
}  # fmt: skip


def do_operator(run: Run, registers: dict[int, Any], step: Any) -> Any:
    name = OPERATORS.get(field(step, "operator", str))
    if name is None:
        raise Refused(f"the operator {step.get('operator')!r:.60}")
    parts = [operand(run, registers, step[key]) for key in ("of", "left", "right") if key in step]
    if step.get("in_place"):
        name = "i" + name.rstrip("_")
    return getattr(operator, name)(*parts)


PROGRAM: dict[str, Callable[[Run, dict[int, Any], Any], Any]] = {
    "module": do_module,
    "function": do_function,
    "method": do_method,
    "attribute": do_attribute,
    "item": do_item,
    "set_item": do_set_item,
    "binary": do_operator,
    "unary": do_operator,
}


# --- the dummy forward and backward ----------------------------------------------------------------------------------


def dummy_inputs(run: Run, plan: Any, root: Any) -> tuple[list[Any], Any]:
    """Random tensors of the plan's input shapes, in the dtype of the model's first parameter, and their device."""
    torch = run.torch
    shapes = plan.get("input") or DEFAULT_INPUTS.get(plan.get("kind", "classification"))
    if plan.get("kind") == "detection":
        shapes = DEFAULT_INPUTS["detection"]
    if not isinstance(shapes, list) or not all(isinstance(shape, list) and shape for shape in shapes):
        raise Refused(f"input {shapes!r:.60}")
    if not all(type(size) is int and 0 < size <= MAX_INT for shape in shapes for size in shape):
        raise Refused(f"input {shapes!r:.60}")
    if sum(math.prod(shape) for shape in shapes) > MAX_INPUT_ELEMENTS:
        raise Refused(f"input {shapes!r:.60} is too big")
    device = "cpu" if run.moves == {"cpu"} and run.device != "meta" else run.device
    floats = (p.dtype for p in root.parameters() if p.is_floating_point())
    dtype = next(floats, torch.float32)
    if device == "meta":
        return [torch.empty(shape, device="meta", dtype=dtype) for shape in shapes], device
    return [torch.rand(shape).to(device=device, dtype=dtype) for shape in shapes], device


def arguments_of(run: Run, plan: Any, root: Any) -> list[Any]:
    """What the root is called with: tensors, or for detection a list of images and, in train mode, their targets."""
    tensors, device = dummy_inputs(run, plan, root)
    if plan.get("kind") != "detection":
        return tensors
    images = list(tensors[0])
    make_detection_cheap(root)
    return [images, [target(run, root, device) for _ in images]] if root.training else [images]


def make_detection_cheap(root: Any) -> None:
    """Keep a detection model from enlarging the dummy images to 800 pixels and from judging 512 boxes on each.

    No size in the model depends on either, and they take ten times as long as all the rest.
    """
    transform: Any = getattr(root, "transform", None)
    if getattr(transform, "fixed_size", None) is None and hasattr(transform, "min_size"):
        transform.min_size = (DETECTION_SIZE,)
        transform.max_size = DETECTION_SIZE
    sampler: Any = getattr(getattr(root, "roi_heads", None), "fg_bg_sampler", None)
    if hasattr(sampler, "batch_size_per_image"):
        sampler.batch_size_per_image = DETECTION_SAMPLES


def target(run: Run, root: Any, device: Any) -> dict[str, Any]:
    """One box of class 1 with its mask and keypoints.

    RetinaNet and FCOS count classes from 0, the others keep 0 for the background; a model with a single class must not
    be asked for a second one.
    """
    torch, size = run.torch, DETECTION_SIZE
    from_zero = type(root).__name__ in ("RetinaNet", "FCOS")
    mask = torch.zeros((1, size, size), dtype=torch.uint8, device=device)
    mask[:, 16:96, 16:96] = 1
    predictor = getattr(getattr(root, "roi_heads", None), "keypoint_predictor", None)
    points = getattr(getattr(predictor, "kps_score_lowres", None), "out_channels", 17)
    return {
        "boxes": torch.tensor([[16.0, 16.0, 96.0, 96.0]], device=device),
        "labels": torch.tensor([0 if from_zero else 1], dtype=torch.int64, device=device),
        "masks": mask,
        "keypoints": torch.tensor([[50.0, 50.0, 1.0]], device=device).expand(1, points, 3).clone(),
    }


def tensors_in(torch: Any, output: Any, key: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """Every tensor of an output by key: "" for a plain tensor, a name for dicts and named tuples, else a number."""
    if isinstance(output, torch.Tensor):
        return [(key, output)]
    if isinstance(output, dict):
        items = [(str(name), value) for name, value in output.items()]
    elif isinstance(output, (list, tuple)):
        names = getattr(output, "_fields", None) or range(len(output))
        items = [(str(name), output[place]) for place, name in enumerate(names)]
    else:
        return []
    if depth > MAX_DEPTH:
        return []
    prefix = key + "." if key else ""
    return [pair for name, value in items for pair in tensors_in(torch, value, prefix + name, depth + 1)]


def shapes_in(torch: Any, output: Any) -> list[Any]:
    return [[key, list(tensor.shape)] for key, tensor in tensors_in(torch, output)]


def backward(torch: Any, output: Any) -> None:
    """Send a gradient back from every floating tensor of the output."""
    tensors = [tensor for _, tensor in tensors_in(torch, output) if tensor.is_floating_point()]
    if not tensors:
        raise Refused("the output holds no tensor that a gradient could come from")
    sum(tensor.float().square().mean() for tensor in tensors).backward()


# --- one plan --------------------------------------------------------------------------------------------------------


def answer_plan(libraries: Libraries, plan: Any, memory_bytes: int) -> dict[str, Any]:
    """Run one plan; the answer says how far it came and what the model was like there."""
    run = Run(libraries, memory_bytes)
    answer: dict[str, Any] = {"id": plan.get("id"), "status": "ran", "device": run.device}
    try:
        if libraries.device_error is not None:
            raise Refused(libraries.device_error)
        run_steps(run, plan, answer)
        root = module(run, plan.get("root"))
        answer.update(at="forward", step=None, line=None)
        run_passes(run, plan, root, answer)
    except Exception as error:  # whatever the libraries raise is the answer
        record(answer, error)
        answer["line"] = answer.get("line") or run.line
    if answer["status"] != "refused" and answer["at"] != "step":
        describe(run, plan, module(run, plan.get("root")), answer)
    answer["ignored"] = "accelerator" in run.moves and run.device in ("cpu", "meta")
    return answer


def run_steps(run: Run, plan: Any, answer: dict[str, Any]) -> None:
    steps = plan.get("steps")
    if not isinstance(steps, list) or len(steps) > MAX_STEPS:
        raise Refused("the plan's steps")
    for index, step in enumerate(steps):
        line = step.get("line") if isinstance(step, dict) else None
        answer.update(at="step", step=index, line=line)
        perform(run, step)


def run_passes(run: Run, plan: Any, root: Any, answer: dict[str, Any]) -> None:
    """The forward and the backward pass. The model stays in the mode that the steps left it in (a new one trains)."""
    if run.device != "cpu" and (run.device == "meta" or not run.moves):
        root.to(run.device)
    arguments = arguments_of(run, plan, root)
    started = time.perf_counter()
    output = root(*arguments)
    answer["outputs"] = shapes_in(run.torch, output)
    answer["at"] = "backward"
    backward(run.torch, output)
    if run.device.startswith("cuda"):
        run.torch.cuda.synchronize()  # an error on the device shows up only here
    answer["at"] = None
    answer["milliseconds"] = round((time.perf_counter() - started) * 1000, 3)
    if plan.get("eval"):
        with run.torch.no_grad():
            answer["eval_outputs"] = shapes_in(run.torch, root.eval()(*arguments[:1]))


def record(answer: dict[str, Any], error: Exception) -> None:
    """Write an error down in PyTorch's own words; one that is not the script's fault is a refusal."""
    if isinstance(error, Refused):
        answer.update(status="refused", error=str(error)[:MAX_ERROR])
        return
    text = " ".join(line.strip() for line in str(error).strip().splitlines() if line.strip())
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    ours = isinstance(error, (MemoryError, RecursionError)) or NOT_THE_SCRIPT.search(described)
    answer.update(status="refused" if ours else "raised", error=described[:MAX_ERROR])


def describe(run: Run, plan: Any, root: Any, answer: dict[str, Any]) -> None:
    """Count the root's parameters and say which got a gradient, and what the plan's probes ask."""
    torch = run.torch
    parameters = [p for p in root.parameters() if not torch.nn.parameter.is_lazy(p)]
    answer["total"] = sum(p.numel() for p in parameters)
    answer["trainable"] = sum(p.numel() for p in parameters if p.requires_grad)
    with_gradient = (name.split(".")[0] for name, p in root.named_parameters() if p.grad is not None)
    answer["gradient"] = list(dict.fromkeys(with_gradient))
    held = {id(p) for optimizer in run.optimizers for group in optimizer.param_groups for p in group["params"]}
    states = {}
    for name in (plan.get("probes") or {}).get("parameters") or []:
        try:
            p = named_parameter(root, name)
        except Refused:
            continue  # the judge sees that it is missing
        in_optimizer = id(p) in held if run.optimizers else None
        states[name] = {"requires_grad": p.requires_grad, "grad": p.grad is not None, "in_optimizer": in_optimizer}
    answer["parameters"] = states


# --- the process -----------------------------------------------------------------------------------------------------


def refuse_sockets() -> None:
    """No network for anything in this process; an audit hook cannot be taken back, and sees C code's calls too."""

    def refuse(event: str, _: Any) -> None:
        if event.startswith("socket.") and event != "socket.gethostname":
            raise PermissionError(f"{REFUSAL} network access ({event})")

    sys.addaudithook(refuse)
    here = os.getcwd()
    os.environ.update(HF_HUB_OFFLINE="1", TORCH_HOME=here, HF_HOME=here, XDG_CACHE_HOME=here)


def limit_memory(memory_bytes: int) -> None:
    """Let the process have its budget on top of what it holds now: the net under the counting on meta."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[5]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = held + memory_bytes
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    except (ImportError, OSError, ValueError, IndexError):
        return  # no such limit on this system


def end_if_orphaned(seconds: float) -> None:
    """The parent ends a plan that takes too long. Should the parent itself be gone, the system's alarm does it."""
    try:
        import signal

        signal.alarm(int(seconds))
    except (ImportError, AttributeError):
        return


def load_torch() -> tuple[Any, str | None]:
    """torch, or None and why it is not there."""
    if importlib.util.find_spec("torch") is None:
        import site

        user = site.getusersitepackages()
        if os.path.isdir(os.path.join(user, "torch")):
            return None, f"no torch in {sys.executable} but in {user}, which isolated interpreters do not use"
        return None, f"no torch in {sys.executable}"
    try:
        return importlib.import_module("torch"), None
    except Exception as error:
        return None, f"torch does not import in {sys.executable}: {error!r:.200}"


def load_torchvision(torch: Any) -> tuple[Any, str | None]:
    """torchvision, or None and why it is not there. One whose compiled operators do not load still builds models."""
    if importlib.util.find_spec("torchvision") is None:
        return None, f"no torchvision in {sys.executable}"
    note = None
    try:
        torchvision = importlib.import_module("torchvision")
    except Exception as first:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        try:
            define_operators(torch)
            torchvision = importlib.import_module("torchvision")
        except Exception:
            return None, f"torchvision does not import in {sys.executable}: {first!r:.200}"
    if not importlib.import_module("torchvision.extension")._has_ops():
        note = "torchvision's compiled operators do not load: detection models cannot be run"
    return torchvision, note


LIBRARIES_DEFINED: list[Any] = []  # a torch.library.Library takes its definitions with it when it is collected


def define_operators(torch: Any) -> None:
    """Declare the operators that torchvision expects its compiled part to have declared before it imports."""
    library = torch.library.Library("torchvision", "DEF")
    LIBRARIES_DEFINED.append(library)
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def choose_device(torch: Any, wanted: Any) -> tuple[str, str | None]:
    """The device to run on, and why if it cannot be used. `auto` takes an accelerator if there is one."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda", None
        return ("mps" if torch.backends.mps.is_available() else "cpu"), None
    if not isinstance(wanted, str) or not re.fullmatch(r"cpu|meta|mps|(cuda|xpu)(:\d+)?", wanted):
        return "cpu", f"device {wanted!r:.60}"
    try:
        if wanted not in ("cpu", "meta"):
            torch.empty(1, device=wanted)
    except Exception as error:
        return wanted, f"device {wanted} cannot be used: {str(error).strip().splitlines()[0]:.200}"
    return wanted, None


def needs_torchvision(plans: Any) -> bool:
    return '"torchvision.' in json.dumps(plans)


def load_libraries(request: Any) -> tuple[Libraries | None, str | None]:
    """What the request needs; without torch, None and why."""
    warnings.simplefilter("ignore")
    torch, note = load_torch()
    if torch is None:
        return None, note
    torchvision = None
    if needs_torchvision(request.get("plans")):
        torchvision, note = load_torchvision(torch)
    device, device_error = choose_device(torch, request.get("device", "cpu"))
    return Libraries(torch, torchvision, device, device_error), note


def say_hello(answers: Any, libraries: Libraries | None, note: str | None) -> None:
    torch = libraries and libraries.torch
    torchvision = libraries and libraries.torchvision
    hello = {
        "hello": VERSION,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": str(torch.__version__) if torch else None,
        "torchvision": str(getattr(torchvision, "__version__", "unknown")) if torchvision else None,
        "note": note,
    }
    write(answers, hello)


def write(answers: Any, message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def private_channel(descriptor: int) -> Any:
    """The file that answers go to. Standard output is sent to standard error: what libraries print is noise."""
    answers = os.fdopen(os.dup(descriptor), "w", encoding="utf-8")
    if descriptor > 2:
        os.close(descriptor)
    os.dup2(2, 1)
    return answers


def main() -> None:
    answers = private_channel(int(sys.argv[1]))
    request = json.load(sys.stdin)
    if request.get("version") != VERSION:
        raise SystemExit(f"version {request.get('version')!r} of the protocol, not {VERSION}")
    refuse_sockets()
    gc.disable()  # imports make no garbage worth a search
    libraries, note = load_libraries(request)
    say_hello(answers, libraries, note)
    if libraries is not None:
        memory_bytes = int(request["memory_bytes"])
        if libraries.device in ("cpu", "meta"):
            limit_memory(memory_bytes)
        libraries.torch.manual_seed(0)
        gc.freeze()
        for plan in request["plans"]:
            end_if_orphaned(2 * request.get("seconds", 300) + 10)
            write(answers, answer_plan(libraries, plan, memory_bytes))
            gc.collect()  # modules with gradients are cycles; the next model needs their memory
    answers.flush()
    os._exit(0)  # torch takes long to tear down


if __name__ == "__main__":
    main()
