"""What is wrong with a live model, in the words of the rule book where a rule is about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from headcheck.live import stand_ins
from headcheck.live.answers import Head, Problem
from headcheck.live.finding import Look, counts_on, first_line, part_at
from headcheck.live.inputs import Call
from headcheck.live.watching import Failure
from headcheck.live.words import expression, new_layer, shape_of

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def diagnose(model: nn.Module, failure: Failure, call: Call) -> Problem:
    """Say why a forward pass failed."""
    said = first_line(failure.error)
    for explain in (_other_device, _other_dtype, _other_size):
        arrived = failure.arrived[0] if len(failure.arrived) == 1 else None
        problem = explain(model, failure, arrived, said) if arrived is not None else None
        if problem is not None:
            return problem
    if "more than 1 value per channel" in str(failure.error):
        return Problem("", failure.path, f"fails: {said}", "an example input of two samples or more")
    at = (
        f"{failure.path} ({type(failure.module).__name__})"
        if failure.path
        else f"{type(failure.module).__name__}.forward"
    )
    return Problem("", failure.path, f"{at} fails on {call.origin}: {said}")


def _weight(module: nn.Module) -> Tensor | None:
    weight = getattr(module, "weight", None)
    return weight if isinstance(weight, Tensor) and weight.dim() > 1 else None


def _other_device(model: nn.Module, failure: Failure, arrived: Tensor, said: str) -> Problem | None:
    weight = _weight(failure.module)
    if weight is None or weight.device == arrived.device:
        return None
    what = f"it is on {weight.device}, what reaches it on {arrived.device}: {said}"
    return Problem("HC403", failure.path, what, f'{expression("")}.to("{arrived.device}") after the head is put in')


def _other_dtype(model: nn.Module, failure: Failure, arrived: Tensor, said: str) -> Problem | None:
    weight = _weight(failure.module)
    if weight is None or weight.dtype == arrived.dtype or not arrived.is_floating_point():
        return None
    what = f"it is {_name(weight.dtype)}, what reaches it {_name(arrived.dtype)}: {said}"
    if failure.first:
        return Problem("", failure.path, what, f"an example input of {_name(weight.dtype)}, or torch.autocast")
    return Problem("HC408", failure.path, what, f"{expression(failure.path)}.to({_name(arrived.dtype)})")


def _name(dtype: torch.dtype) -> str:
    return str(dtype)


def _other_size(model: nn.Module, failure: Failure, arrived: Tensor, said: str) -> Problem | None:
    module, shape = failure.module, tuple(arrived.shape)
    here = expression(failure.path)
    if isinstance(module, nn.Linear) and shape[-1] != module.weight.shape[1]:
        taken = module.weight.shape[1]
        if failure.first:
            return Problem("", failure.path, f"Linear takes {taken} features, the input is {shape_of(shape)}: {said}")
        if len(shape) == 4:
            what = f"Linear takes {taken} features, but a feature map {shape_of(shape)} reaches it"
            return Problem(
                "HC102", failure.path, what, f"pool and flatten before it, or nn.Linear({shape[1]}, …) behind that"
            )
        what = f"Linear takes {taken} features, but {shape[-1]} reach it"
        code = "HC105" if _in_new_chain(model, failure.path) else "HC101"
        return Problem(code, failure.path, what, f"{here} = {new_layer(module, shape[-1], module.weight.shape[0])}")
    if isinstance(module, _CONVOLUTIONS):
        taken, rank = module.weight.shape[1] * module.groups, module.weight.dim()
        kind = type(module).__name__
        if failure.first and len(shape) > 1 and shape[1] != taken:
            return Problem("HC108", failure.path, f"{kind} takes {taken} channels, the input has {shape[1]}: {said}")
        if len(shape) < rank - 1:
            what = f"{kind} takes a feature map, but a vector {shape_of(shape)} reaches it"
            return Problem("HC102", failure.path, what, f"{here} = nn.Linear({shape[-1]}, {module.weight.shape[0]})")
        if shape[1] != taken:
            what = f"{kind} takes {taken} channels, but {shape[1]} reach it"
            return Problem(
                "HC101", failure.path, what, f"{here} = {new_layer(module, shape[1], module.weight.shape[0])}"
            )
    return None


def _in_new_chain(model: nn.Module, path: str) -> bool:
    """Whether another Linear stands before this one in the same Sequential, whose answer it takes."""
    above, _, last = path.rpartition(".")
    chain = part_at(model, above)
    if not isinstance(chain, nn.Sequential) or not last.isdigit():
        return False
    return any(isinstance(item, nn.Linear) for item in list(chain)[: int(last)])


def lies_about_size(model: nn.Module, head: Head, num_classes: int) -> list[Problem]:
    """A size that was written onto a layer, whose weights it does not change."""
    module: Any = part_at(model, head.path)
    for name in ("out_features", "out_channels"):
        if getattr(module, name, None) == num_classes != head.out_features:
            what = f"{name} says {num_classes}, but its weight still gives {head.out_features}"
            made = new_layer(module, head.in_features, num_classes)
            return [Problem("HC103", head.path, what, f"{expression(head.path)} = {made}")]
    return []


def unused_heads(model: nn.Module, found: Look, num_classes: int) -> list[Problem]:
    """Layers of so many classes that forward does not use, where another one makes the output."""
    called = {path for seen in found.passes.values() for path in seen.called}
    wrapped = next((name for name in ("module", "_orig_mod") if type(model).__name__ in _WRAPPERS[name]), "")
    called = {f"{wrapped}.{path}".strip(".") for path in called} if wrapped else called
    problems = []
    for path, module in model.named_modules():
        weight = _weight(module)
        if (
            path in called
            or weight is None
            or getattr(module, "out_features", getattr(module, "out_channels", 0)) != num_classes
        ):
            continue
        heads = [head.path for head in found.heads if not head.auxiliary]
        code, instead = "HC201", ""
        if wrapped and not path.startswith(f"{wrapped}."):
            code = "HC204"
            made = new_layer(module, _taken(found, heads[0]), num_classes) if heads else ""
            instead = f"{expression(f'{wrapped}.{heads[0]}')} = {made}" if heads else ""
        elif heads:
            instead = f"{expression(heads[0])} = {new_layer(module, _taken(found, heads[0]), num_classes)}"
        by = f"; {' and '.join(heads)} makes the output" if heads else ""
        if code == "HC204":
            what = f"{path} is set on the {type(model).__name__}, which does not use it"
            problems.append(Problem(code, "", what, instead))
        else:
            where = path.removeprefix(f"{wrapped}.") if wrapped else path
            problems.append(Problem(code, where, f"forward does not use it{by}", instead))
    return problems


_WRAPPERS = {"module": ("DataParallel", "DistributedDataParallel"), "_orig_mod": ("OptimizedModule",)}


def _taken(found: Look, path: str) -> int:
    return next(head.in_features for head in found.heads if head.path == path)


#: Attributes that are taken for a parameter's `requires_grad`.
_MISSPELT = ("require_grad", "requires_gard", "required_grad", "requiers_grad", "require_gradient", "requires_gradient")


def frozen_without_effect(model: nn.Module) -> Iterator[Problem]:
    """What was meant to freeze or unfreeze, and did neither."""
    for module, path in stand_ins.modules_of(model).items():
        own = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
        for name in ("requires_grad", "requires_grad_", *_MISSPELT):
            value = vars(module).get(name)
            if type(value) is bool and any(parameter.requires_grad is not value for parameter in own):
                state = "trainable" if value is False else "frozen"
                what = f"it has an attribute {name} = {value}, which does nothing: its parameters are {state}"
                yield Problem("HC303", path, what, f"{expression(path)}.requires_grad_({value})")
    written: dict[str, list[tuple[str, bool]]] = {}
    for path, parameter in model.named_parameters():
        for name in _MISSPELT:
            value = getattr(parameter, "__dict__", {}).get(name)
            if type(value) is bool and parameter.requires_grad is not value:
                written.setdefault(name, []).append((path, value))
    for name, places in written.items():
        path, value = places[0]
        others = f" and {len(places) - 1} others" if len(places) > 1 else ""
        what = f"it{others} has an attribute {name} = {value}, which does nothing"
        yield Problem("HC303", path, what, f"parameter.requires_grad = {value}")


def stale_counts(model: nn.Module, found: Look) -> Iterator[Problem]:
    """A number of classes that the model keeps beside its head and uses, and that is not the head's."""
    for head in found.heads:
        labels = next((item for item in counts_on(model, head.path) if item[0].endswith("num_labels")), None)
        if labels is not None and labels[2] != head.out_features:
            what = f"it gives {head.out_features} classes, but {labels[0]}, which the loss goes by, is {labels[2]}"
            yield Problem("HC111", head.path, what, f"{expression(labels[0])} = {head.out_features}")
    for path, module in model.named_modules():
        count, anchors, scores = (getattr(module, name, None) for name in ("num_classes", "num_anchors", "cls_logits"))
        if type(count) is int and type(anchors) is int and isinstance(scores, nn.Conv2d):
            given = scores.weight.shape[0]
            if given != count * anchors:
                what = f"{path}.cls_logits gives {given} numbers, but num_classes is {count}, for {anchors} anchors"
                right = given // anchors if given % anchors == 0 else count
                yield Problem("HC111", path, what, f"{expression(path)}.num_classes = {right}")
