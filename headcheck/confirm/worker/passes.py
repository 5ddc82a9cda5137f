"""The dummy forward and backward."""

from __future__ import annotations

import math
from typing import Any

from . import casting, detecting, simulated
from .allowed import layer_class
from .reading import field, keywords_of, plain
from .state import MAX_DEPTH, MAX_INPUT_ELEMENTS, MAX_INT, Refused, Run

DEFAULT_INPUTS = {
    "classification": [[2, 3, 224, 224]],
    "segmentation": [[2, 3, 224, 224]],
    "detection": detecting.SHAPES,
    "video": [[2, 3, 16, 112, 112]],
    "optical_flow": [[2, 3, 128, 128], [2, 3, 128, 128]],
}
INPUT_PICTURES = (2,)  # of the plans
WORDS = 8


def dummy_inputs(run: Run, plan: Any, root: Any) -> tuple[list[Any], Any]:
    """Random tensors of the plan's input shapes, in the dtype of the model's first parameter, and their device."""
    torch = run.torch
    shapes = plan.get("input") or DEFAULT_INPUTS.get(plan.get("kind", "classification"))
    if plan.get("kind") == "detection":
        shapes = DEFAULT_INPUTS["detection"]
    if plan.get("kind") == "transformers":
        shapes = [taken_by(root)]
    if not isinstance(shapes, list):
        raise Refused(f"input {shapes!r:.60}")
    sizes: list[Any] = [shape.get("long") if isinstance(shape, dict) else shape for shape in shapes]
    if not all(isinstance(shape, list) and shape for shape in sizes):
        raise Refused(f"input {shapes!r:.60}")
    if not all(type(size) is int and 0 < size <= MAX_INT for shape in sizes for size in shape):
        raise Refused(f"input {shapes!r:.60}")
    if sum(math.prod(shape) for shape in sizes) > MAX_INPUT_ELEMENTS:
        raise Refused(f"input {shapes!r:.60} is too big")
    device = "meta" if run.simulates else "cpu" if run.moves == {"cpu"} else run.device
    floats = (p.dtype for p in root.parameters() if p.dtype.is_floating_point)  # of lazy ones, too
    dtype = next(floats, torch.float32)
    return [dummy_input(run, shape, dtype, device) for shape in shapes], device


def taken_by(root: Any) -> Any:
    """What a model of transformers is given, by the name of what it takes first: words, pictures or clips."""
    name, settings = getattr(root, "main_input_name", ""), getattr(root, "config", None)
    if name == "input_ids":
        return {"long": [2, WORDS]}
    side = getattr(settings, "image_size", getattr(settings, "crop_size", 224))
    if name not in ("pixel_values", "pixel_values_videos") or not isinstance(side, (int, list, tuple)):
        raise Refused(f"a forward of {type(root).__name__}, which takes {name or 'something else'}")
    frames = getattr(settings, "num_frames", getattr(settings, "frames_per_clip", None))
    clip = [frames] if isinstance(frames, int) and type(root).__name__.endswith("ForVideoClassification") else []
    channels = getattr(settings, "num_channels", getattr(settings, "in_chans", 3))
    return [2, *clip, channels, *([side, side] if isinstance(side, int) else side)]


def dummy_input(run: Run, shape: Any, dtype: Any, device: str) -> Any:
    """Random numbers, or of ``{"long": shape}`` zeros: the first of some words."""
    torch = run.torch
    if isinstance(shape, dict):
        made = torch.zeros(shape["long"], dtype=torch.long, device=device)
    elif run.simulates:
        made = torch.empty(shape, dtype=dtype, device="meta")
    else:
        made = torch.rand(shape).to(device=device, dtype=dtype)
    if run.simulates:
        simulated.put(made, simulated.ACCELERATOR if run.moved_last == "accelerator" else simulated.CPU)
    return made


def arguments_of(run: Run, plan: Any, root: Any) -> list[Any]:
    """What the root is called with: tensors, or for detection a list of images and, in train mode, their targets."""
    tensors, device = dummy_inputs(run, plan, root)
    return detecting.arguments(run, root, tensors[0], device) if plan.get("kind") == "detection" else tensors


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


CLASS_LOSSES = ("torch.nn.CrossEntropyLoss", "torch.nn.NLLLoss")
NUMBER_LOSSES = tuple(f"torch.nn.{name}Loss" for name in ("BCE", "BCEWithLogits", "MSE", "L1", "SmoothL1", "Huber"))


def own_losses(run: Run, plan: Any, output: Any) -> list[tuple[str, Any]]:
    """The script's own losses over the output or parts of it, each with its name; none where the plan has none."""
    first = plan.get("loss")
    if not isinstance(first, dict):
        return []
    found = ((loss, own_loss(run, plan, loss, output)) for loss in [first, *field(first, "beside", list, [])])
    return [(loss["class"].rpartition(".")[2], value) for loss, value in found if value is not None]


def own_loss(run: Run, plan: Any, loss: Any, output: Any) -> Any:
    """A loss of the script over the output; None where the output is not what it is over.

    The target is one that fits: class labels, or numbers in the output's shape. Only where it is known to be one label
    for each picture is it that whatever comes out.
    """
    torch, name = run.torch, field(loss, "class", str)
    if name not in CLASS_LOSSES + NUMBER_LOSSES:
        return None
    criterion = layer_class(run, name)(**{key: plain(value) for key, value in keywords_of(loss).items()})
    part = part_of(torch, output, field(loss, "of", list, []))
    if loss.get("several") is True and not isinstance(part, torch.Tensor):
        run.line = loss.get("line")
        return criterion(part, torch.zeros(INPUT_PICTURES, dtype=torch.long))
    lowest = 2 if name in CLASS_LOSSES else 1
    if not isinstance(part, torch.Tensor) or not part.is_floating_point() or part.dim() < lowest:
        return None
    run.line = loss.get("line")
    target = target_of(run, loss, part)
    try:
        with casting.of_loss(run, plan, loss):
            value = criterion(part, target).mean()
    except NotImplementedError:  # older ones have no such loss on meta
        if not run.simulates:
            raise
        value = None
    run.line = None
    return value


def part_of(torch: Any, output: Any, way: list[Any]) -> Any:
    """The part of an output that a script takes; None where there is none by that name."""
    for step in way:
        if isinstance(output, torch.Tensor):
            return None
        if isinstance(step, int) and isinstance(output, (list, tuple)) and -len(output) <= step < len(output):
            output = output[step]
        elif isinstance(step, str) and isinstance(output, dict):
            output = output.get(step)
        elif isinstance(step, str) and step in getattr(output, "_fields", ()):
            output = getattr(output, step)
        else:
            return None
    return output


def target_of(run: Run, loss: Any, output: Any) -> Any:
    """A target for a loss over an output: one label for each picture, one for each place, or numbers."""
    torch = run.torch
    if loss["class"] in NUMBER_LOSSES:
        target = torch.full_like(output.detach(), 0.5)
    else:
        shape = INPUT_PICTURES if loss.get("by_picture") else (output.shape[0], *output.shape[2:])
        target = torch.zeros(shape, dtype=torch.long, device=output.device)
    if run.simulates:
        simulated.put(target, simulated.place(output))
    return target


def backward(run: Run, plan: Any, output: Any, losses: list[Any]) -> None:
    """Send a gradient back from the losses; unless one is over the whole output, from every floating tensor of it too,
    for what else the script does with the other parts is not known. Where there are no numbers, any gradient will do.
    """
    torch = run.torch
    whole = losses and not plan["loss"].get("of")
    tensors = [tensor for _, tensor in tensors_in(torch, output) if tensor.is_floating_point()]
    if not tensors and not losses:
        raise Refused("the output holds no tensor that a gradient could come from")
    ends = [*losses, *([] if whole else tensors)]
    if run.simulates:
        ends = [tensor for tensor in ends if tensor.requires_grad] or ends[:1]
        torch.autograd.backward(ends, [tensor.detach() for tensor in ends])
    else:
        sum(end if end.dim() == 0 else end.float().square().mean() for end in ends).backward()


def changed_by_a_step(run: Run, root: Any) -> list[str] | None:
    """The top-level names of the parameters that one step of the optimizers changes.

    None without an optimizer, or where there is no memory to compare with. Where there are no numbers, a step would
    change what has a gradient. Matrices look at one block of numbers until here (see `building`): what a step may write
    gets memory of its own.
    """
    groups = [group for optimizer in run.optimizers for group in optimizer.param_groups]
    learning = {id(p): p for group in groups for p in group["params"] if p.grad is not None and group.get("lr") != 0}
    room = 2 * run.parameter_bytes + 3 * sum(p.numel() * p.element_size() for p in learning.values())
    if not run.optimizers or (room > run.memory_bytes and not run.simulates):
        return None
    changed = set(learning) if run.simulates else stepped(run, list(learning.values()))
    if changed is None:
        return None
    return list(dict.fromkeys(name.split(".")[0] for name, p in root.named_parameters() if id(p) in changed))


def stepped(run: Run, learning: list[Any]) -> set[int] | None:
    """Which of some parameters a step of the optimizers changes; None if one wants more than a step."""
    torch, before = run.torch, {}
    with torch.no_grad():
        for parameter in learning:
            before[id(parameter)] = parameter.detach().clone()
            parameter.data = parameter.detach().clone()
    for optimizer in run.optimizers:
        if isinstance(optimizer, torch.optim.LBFGS):  # its step wants the forward again
            return None
        optimizer.step()
    return {id(p) for p in learning if not torch.equal(before[id(p)], p)}
