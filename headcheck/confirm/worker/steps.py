"""What each step of a plan does."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

from . import simulated
from .allowed import layer_class, optimizer_class, parameters_of, resolve
from .building import build, claim_memory
from .libraries import op_build
from .program import follow, network_class
from .reading import (
    argument,
    assigned,
    attribute_name,
    chosen_parameters,
    field,
    index_of,
    keep,
    keep_module,
    keywords_of,
    module,
    named_parameter,
    plain,
)
from .state import DTYPES, MAX_STEPS, Refused, Run


def op_build_and_change(run: Run, step: Any) -> None:
    """A model of a library, and what is done to it right away."""
    op_build(run, step)
    for inner in field(step, "after", list) if "after" in step else []:
        perform(run, inner)


def op_layer(run: Run, step: Any) -> None:
    arguments = argument(run, field(step, "args", list) if "args" in step else [])
    keywords = {key: argument(run, value) for key, value in keywords_of(step).items()}
    if step.get("class") in PARALLEL:
        keep(run, step, on_one_device(run, [*arguments, keywords.get("module")][0]))
        return
    found = layer_class(run, step.get("class"))
    try:
        made = build(run, lambda: found(*arguments, **keywords))
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise Refused(f"this version says: {error}") from None  # the script is for another one
    keep(run, step, made)


#: What spreads a module over several devices.
PARALLEL = ("torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel")
WRAPPERS: dict[Any, Any] = {}


def on_one_device(run: Run, wrapped: Any) -> Any:
    """What holds a module as its `module` and calls it, as those do where there is one device."""
    if not isinstance(wrapped, run.torch.nn.Module):
        raise Refused("what is spread over several devices is no module")
    if run.torch not in WRAPPERS:

        class OneDevice(run.torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self, module: Any) -> None:
                super().__init__()
                self.module = module

            def forward(self, *given: Any, **named: Any) -> Any:
                return self.module(*given, **named)

        WRAPPERS[run.torch] = OneDevice
    return WRAPPERS[run.torch](wrapped)


def op_get(run: Run, step: Any) -> None:
    found = module(run, step.get("of"))
    for part in [attribute_name(run, part) for part in field(step, "path", str).split(".")]:
        found = getattr(found, part)
    keep_module(run, step, found)


def op_read(run: Run, step: Any) -> None:
    getattr(module(run, step.get("of")), attribute_name(run, step.get("name")))


def op_look_up(run: Run, step: Any) -> None:
    """Ask torchvision for a builder by name: its own words say that there is none, or Python's that it is a module."""
    space = resolve(run, step.get("namespace"), ("torchvision.models",))
    name = attribute_name(run, step.get("name"))
    if isinstance(space, types.ModuleType):
        found: Any = getattr(space, name)
        is_module = isinstance(found, types.ModuleType)
        if is_module:
            found()
    else:
        resolve(run, "torchvision.models.get_model_builder", ("torchvision.models",))(name)


def op_item(run: Run, step: Any) -> None:
    keep_module(run, step, module(run, step.get("of"))[index_of(step)])


def op_slice(run: Run, step: Any) -> None:
    bounds = [plain(step.get(key)) for key in ("start", "stop", "step")]
    keep_module(run, step, module(run, step.get("of"))[slice(*bounds)])


def op_set(run: Run, step: Any) -> None:
    setattr(module(run, step.get("of")), attribute_name(run, step.get("name")), assigned(run, step.get("value")))


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
        convert = simulated.convert if run.simulates else type(moved).to
        convert(moved, getattr(run.torch, dtype))
    if device is not None:
        kind = "cpu" if field(step, "device", str) == "cpu" else "accelerator"
        run.moves.add(kind)
        run.moved_last = kind
        if run.simulates:
            simulated.move(moved, simulated.CPU if kind == "cpu" else simulated.ACCELERATOR)
        elif run.device != "cpu":
            moved.to("cpu" if kind == "cpu" else run.device)


def op_load(run: Run, step: Any) -> None:
    """Load weights like the module's own, but for those that the script's are known to differ in."""
    into = module(run, step.get("of"))
    weights = into.state_dict()
    for name in field(step, "missing", list):
        weights.pop(name, None)
    for name, shape in [(plain(pair[0]), plain(pair[1])) for pair in field(step, "differing", list)]:
        weights[name] = run.torch.zeros(shape)
    for name in field(step, "unexpected", list):
        weights[plain(name)] = run.torch.zeros(1)
    into.load_state_dict(weights, strict=field(step, "strict", bool))


def op_optimizer(run: Run, step: Any) -> None:
    found = optimizer_class(run, step.get("class"))
    groups = [parameter_group(run, group) for group in field(step, "groups", list)]
    keywords = {key: plain(value) for key, value in keywords_of(step).items()}
    if "lr" in parameters_of(found):  # older ones want it; how far a step goes does not matter
        keywords.setdefault("lr", 1e-3)
    # One group without options is what `SGD(model.parameters(), …)` gives; as a list PyTorch's errors are the script's.
    single = len(groups) == 1 and list(groups[0]) == ["params"]
    optimizer = found(groups[0]["params"] if single else groups, **keywords)
    run.optimizers.append(optimizer)
    keep(run, step, optimizer)


def parameter_group(run: Run, group: Any) -> dict[str, Any]:
    """A group of an optimizer: parameters by name, or all of some modules, and options."""
    members = [p for one in field(group, "modules", list, []) for p in module(run, one).parameters()]
    members += [named_parameter(module(run, pair[0]), pair[1]) for pair in field(group, "parameters", list, [])]
    options = {key: plain(value) for key, value in group.items() if key not in ("modules", "parameters")}
    return {"params": members, **options}


def op_add_group(run: Run, step: Any) -> None:
    optimizer = run.objects.get(step.get("of"))
    if not isinstance(optimizer, run.torch.optim.Optimizer):
        raise Refused(f"object {step.get('of')!r:.60} is not an optimizer that an earlier step made")
    optimizer.add_param_group(parameter_group(run, field(step, "group", dict)))


def op_network(run: Run, step: Any) -> None:
    """A network of the script: a module whose children and forward come by later steps."""
    keep(run, step, network_class(run.torch)())


def op_forward(run: Run, step: Any) -> None:
    """What a network's forward does, as a straight line of steps."""
    network, steps = module(run, step.get("of")), field(step, "steps", list)
    own = isinstance(network, network_class(run.torch))
    if len(steps) > MAX_STEPS or not (own or type(network).__module__.startswith("torchvision.models.")):
        raise Refused(f"a forward of {step.get('of')!r:.60}")
    if own:
        network.__dict__["headcheck_program"] = lambda given: follow(run, steps, step.get("answer"), given)
    else:  # a class of the script that derives from one of the library
        network.__dict__["forward"] = lambda *given: follow(run, steps, step.get("answer"), given)


def op_raise_check(run: Run, step: Any) -> None:
    """A place where the script would have stopped if anything before it raises: nothing to do."""


OPERATIONS: dict[str, Callable[[Run, Any], None]] = {
    "build": op_build_and_change,
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
    "load": op_load,
    "optimizer": op_optimizer,
    "add_group": op_add_group,
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
