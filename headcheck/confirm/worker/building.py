"""Building: parameters are first made on the meta device, counted, and only then given memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import simulated
from .state import Refused, Run


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
        with simulated.real(run.torch) if run.simulates else contextlib.nullcontext():
            built = for_real(run, make)
    if not isinstance(built, run.torch.nn.Module):
        raise Refused(f"it gives a {type(built).__name__}, not a module")
    claim_memory(run, (p for p in built.parameters() if not hasattr(p, "_headcheck_claimed")))
    if run.simulates:
        if not all(tensor.is_meta for tensor in (*built.parameters(), *built.buffers())):
            with simulated.real(run.torch):
                built.to("meta")
    elif any(buffer.is_meta for buffer in built.buffers()):
        built = make()  # buffers that are made where the parameters are hold numbers that count
    else:
        give_memory(run.torch, built)
    for parameter in built.parameters():  # those of modules made earlier, that were put into this one, count once
        parameter._headcheck_claimed = True
    return built


def for_real(run: Run, make: Callable[[], Any]) -> Any:
    """What `make` builds where it reads numbers back: timm's builders of the ViTs those of a ramp, those of Swin v2 the
    places of windows by a parameter's device; SSDlite's runs a part of the model."""
    if run.simulates:
        with contextlib.suppress(NotImplementedError):
            return with_parameters_on_meta(run.torch, make)
    return make()


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
        with numbers_left_out(torch.nn.init):
            return make()
    finally:
        module_class.register_parameter = register


@contextlib.contextmanager
def numbers_left_out(init: Any) -> Iterator[None]:
    """Within this, nothing is drawn for tensors on meta, which hold no numbers: it would take time and memory."""
    functions = {name: value for name, value in vars(init).items() if name.endswith("_") and name[0] != "_"}

    def unless_on_meta(function: Any) -> Any:
        return lambda tensor, *rest, **named: tensor if tensor.is_meta else function(tensor, *rest, **named)

    vars(init).update((name, unless_on_meta(function)) for name, function in functions.items())
    try:
        yield
    finally:
        vars(init).update(functions)


def claim_memory(run: Run, parameters: Iterable[Any]) -> None:
    """Refuse what would not fit the budget: every parameter will have a gradient of its own size."""
    lazy = run.torch.nn.parameter.is_lazy
    run.parameter_bytes += sum(p.numel() * p.element_size() for p in parameters if not lazy(p))
    if not run.simulates and 2 * run.parameter_bytes > run.memory_bytes:
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
