"""The dummy forward and backward."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from . import simulated
from .allowed import layer_class
from .reading import keywords_of, plain
from .state import MAX_DEPTH, MAX_INPUT_ELEMENTS, MAX_INT, Refused, Run

DEFAULT_INPUTS = {
    "classification": [[2, 3, 224, 224]],
    "segmentation": [[2, 3, 224, 224]],
    "detection": [[2, 3, 128, 128]],
    "video": [[2, 3, 16, 112, 112]],
    "optical_flow": [[2, 3, 128, 128], [2, 3, 128, 128]],
}
INPUT_PICTURES = (2,)  # of the plans
WORDS = 8
DETECTION_SIZE = 128
DETECTION_SAMPLES = 16


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
    floats = (p.dtype for p in root.parameters() if p.is_floating_point())
    dtype = next(floats, torch.float32)
    return [dummy_input(run, shape, dtype, device) for shape in shapes], device


def taken_by(root: Any) -> Any:
    """What a model of transformers is given, by the name of what it takes first: numbers of words, or pictures."""
    name, settings = getattr(root, "main_input_name", ""), getattr(root, "config", None)
    if name == "input_ids":
        return {"long": [2, WORDS]}
    side = getattr(settings, "image_size", 224)
    if name != "pixel_values" or not isinstance(side, (int, list, tuple)):
        raise Refused(f"a forward of {type(root).__name__}, which takes {name or 'something else'}")
    return [2, getattr(settings, "num_channels", 3), *([side, side] if isinstance(side, int) else side)]


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


CLASS_LOSSES = ("torch.nn.CrossEntropyLoss", "torch.nn.NLLLoss")
NUMBER_LOSSES = tuple(f"torch.nn.{name}Loss" for name in ("BCE", "BCEWithLogits", "MSE", "L1", "SmoothL1", "Huber"))


def own_loss(run: Run, plan: Any, output: Any) -> Any:
    """The script's own loss over the output, if the plan has one and the output is a tensor; else None.

    The target is one that fits: class labels, or numbers in the output's shape. Only where it is known to be one label
    for each picture is it that whatever comes out.
    """
    torch, loss = run.torch, plan.get("loss")
    if not isinstance(loss, dict) or not isinstance(output, torch.Tensor) or not output.is_floating_point():
        return None
    name = loss.get("class")
    if name not in CLASS_LOSSES + NUMBER_LOSSES or output.dim() < (2 if name in CLASS_LOSSES else 1):
        return None
    criterion = layer_class(run, name)(**{key: plain(value) for key, value in keywords_of(loss).items()})
    run.line = loss.get("line")
    if name in NUMBER_LOSSES:
        target = torch.full_like(output.detach(), 0.5)
    else:
        shape = INPUT_PICTURES if loss.get("by_picture") else (output.shape[0], *output.shape[2:])
        target = torch.zeros(shape, dtype=torch.long, device=output.device)
    if run.simulates:
        simulated.put(target, simulated.place(output))
    try:
        value = criterion(output, target).mean()
    except NotImplementedError:  # older ones have no such loss on meta
        if not run.simulates:
            raise
        value = None
    run.line = None
    return value


def casting(run: Run, plan: Any, root: Any) -> Any:
    """Where the script computes under autocast: so does the pass on an accelerator, and where dtypes are mixed."""
    torch = run.torch
    if not plan.get("autocast"):
        return contextlib.nullcontext()
    if run.simulates:
        return simulated.mixing()
    kind = run.device.split(":")[0]
    mixed = len({p.dtype for p in root.parameters() if p.is_floating_point()}) > 1
    return torch.autocast(kind) if mixed or kind != "cpu" else contextlib.nullcontext()


def backward(torch: Any, output: Any, loss: Any = None) -> None:
    """Send a gradient back from the loss, or from every floating tensor of the output."""
    if loss is not None:
        loss.backward()
        return
    tensors = [tensor for _, tensor in tensors_in(torch, output) if tensor.is_floating_point()]
    if not tensors:
        raise Refused("the output holds no tensor that a gradient could come from")
    sum(tensor.float().square().mean() for tensor in tensors).backward()


def changed_by_a_step(run: Run, root: Any) -> list[str] | None:
    """The top-level names of the parameters that one step of the optimizers changes.

    None without an optimizer, without numbers, or where there is no memory to compare with. Matrices look at one block
    of numbers until here (see `building`): what a step may write gets memory of its own.
    """
    torch = run.torch
    groups = [group["params"] for optimizer in run.optimizers for group in optimizer.param_groups]
    learning = list({id(p): p for group in groups for p in group if p.grad is not None}.values())
    room = 2 * run.parameter_bytes + 3 * sum(p.numel() * p.element_size() for p in learning)
    if not run.optimizers or run.simulates or room > run.memory_bytes:
        return None
    before = {}
    with torch.no_grad():
        for parameter in learning:
            before[id(parameter)] = parameter.detach().clone()
            parameter.data = parameter.detach().clone()
    for optimizer in run.optimizers:
        if isinstance(optimizer, torch.optim.LBFGS):  # its step wants the forward again
            return None
        optimizer.step()
    changed = (name for name, p in root.named_parameters() if id(p) in before and not torch.equal(before[id(p)], p))
    return list(dict.fromkeys(name.split(".")[0] for name in changed))
