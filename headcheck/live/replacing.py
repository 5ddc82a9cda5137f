"""Putting new heads into a live model."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from headcheck.live import stand_ins
from headcheck.live.answers import (
    CannotReplace,
    Head,
    NoHead,
    Replaced,
    Replacement,
    SeveralHeads,
)
from headcheck.live.finding import counts_on, find_heads, joined, part_at, unwrapped
from headcheck.live.inputs import is_detection

#: What torch.nn.utils' older functions for weight and spectral norm leave in a layer.
_HOOKED = ("weight_g", "weight_orig")


def replace_head(
    model: nn.Module,
    num_classes: int,
    example_input: object = None,
    *,
    heads: Sequence[str] | None = None,
    freeze: bool = False,
) -> Replacement:
    """Replace the heads of `model`, auxiliary ones too, by new and untrained ones of `num_classes` classes.

    A new head is of the old one's class, with its settings (bias, kernel, stride, weight norm), dtype and device, and
    is trainable. It is new even where the old one had as many classes. What keeps the number of classes beside it
    (``num_classes``, a transformers configuration's ``num_labels``) is set as well. In a detection model,
    `num_classes` counts the background, as torchvision's builders do.

    `example_input` is as for `find_heads`. `heads` are the paths of those to replace, by default all. `freeze`
    freezes all other parameters. An optimizer that was made before still holds the old head: make it afterwards.

    Raises NoHead if the model has none, SeveralHeads if it has heads of different sizes and `heads` does not say which
    are meant, CannotReplace if a head is of a kind that no new one can be made of, and whatever `find_heads` raises.
    """
    if num_classes < 1:
        raise ValueError(f"a head needs at least one class, not {num_classes}")
    for module in model.modules():
        if type(module).__name__ in ("DistributedDataParallel", "FullyShardedDataParallel"):
            raise CannotReplace(f"the model is wrapped in {type(module).__name__} already: replace the head before")
        if isinstance(module, torch.jit.ScriptModule):
            raise CannotReplace(
                "the model is TorchScript, which keeps what it was compiled from: replace the head before"
            )
    found = _chosen(model, find_heads(model, example_input), heads)
    inner = unwrapped(model)[0]
    planned = [(head, _made(model, head, num_classes, is_detection(inner))) for head in found]
    counts = {
        name: (module, key) for head, _ in planned for name, module, key in _counts(model, head, is_detection(inner))
    }
    notes = list(_notes(model, planned))
    replaced = []
    for head, new in planned:
        old = _at(model, head.path)
        _put(model, old, new)
        replaced.append(Replaced(head.path, _one_line(old), _one_line(new)))
    for module, key in counts.values():
        setattr(module, key, num_classes)
    frozen = 0
    if freeze:
        kept = {id(parameter) for _, new in planned for parameter in new.parameters()}
        for parameter in model.parameters():
            if id(parameter) not in kept and parameter.requires_grad:
                parameter.requires_grad_(False)
                frozen += 1
    return Replacement(tuple(replaced), tuple(counts), frozen, tuple(notes))


def _chosen(model: nn.Module, found: tuple[Head, ...], paths: Sequence[str] | None) -> list[Head]:
    if not found:
        hint = "; timm's models get one by reset_classifier(n)" if hasattr(model, "reset_classifier") else ""
        raise NoHead(f"{type(model).__name__} has no classifier head{hint}")
    known = {path: head for head in found for path in (head.path, *head.aliases)}
    if paths is not None:
        missing = [path for path in paths if path not in known]
        if missing:
            raise NoHead(f"{', '.join(missing)} is no head; there are {', '.join(head.path for head in found)}")
        return list({known[path].path: known[path] for path in paths}.values())
    if is_detection(unwrapped(model)[0]):
        return [head for head in found if "keypoint" not in head.path]  # Their number is not that of the classes.
    if len({head.out_features for head in found if not head.auxiliary}) > 1:
        sizes = ", ".join(f"{head.path} ({head.out_features})" for head in found)
        raise SeveralHeads(f"the model has heads of different sizes: {sizes}; say which to replace with heads=")
    return list(found)


def _at(model: nn.Module, path: str) -> nn.Module:
    module = part_at(model, path) if path else None
    if module is None:
        held = [name for name in stand_ins.modules_of(model).values() if name == path] if path else []
        if held:
            return next(item for item, name in stand_ins.modules_of(model).items() if name == path)
        raise CannotReplace(f"the head is a parameter of {type(model).__name__} itself, not a layer")
    return module


def _made(model: nn.Module, head: Head, num_classes: int, detection: bool) -> nn.Module:
    """Return a new head; `model` is not changed."""
    old = _at(model, head.path)
    old = getattr(old, "base_layer", old)
    out = num_classes * per_class(model, head, detection)
    plain = _without_norm(old)
    if not isinstance(plain, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d) and not _is_matrix(
        plain
    ):
        raise CannotReplace(f"{head.path} is a {head.kind}; no new one can be made of that kind")
    groups = getattr(plain, "groups", 1)
    if out % groups:
        raise CannotReplace(f"{head.path} has {groups} groups, which do not divide {out}")
    new = _resized(plain, head.out_features, out)
    _renormed(old, new)
    if detection and type(_above(model, head)).__name__ in _RARE_CLASSES and new.bias is not None:
        with torch.no_grad():
            nn.init.normal_(new.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.constant_(new.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
    for parameter in new.parameters():
        parameter.requires_grad_(True)
    new.train(old.training)
    return new


#: What the focal loss needs at the start, or the many places without an object outweigh all else: torchvision's own
#: initial values, by which every class has this probability.
_RARE_CLASSES = ("RetinaNetClassificationHead", "FCOSClassificationHead")
_PRIOR = 0.01


def _above(model: nn.Module, head: Head) -> nn.Module | None:
    return part_at(model, head.path.rpartition(".")[0])


def per_class(model: nn.Module, head: Head, detection: bool) -> int:
    """Return how many numbers a head gives for each class: more than one in detection models only."""
    if not detection:
        return 1
    for _, _, count in counts_on(model, head.path):
        if head.out_features % count == 0:
            return head.out_features // count
    return 4 if head.path.endswith("bbox_pred") else 1


def _is_matrix(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() == 2 and not list(module.children())


def _without_norm(layer: nn.Module) -> nn.Module:
    """Return a layer of the same settings without weight or spectral norm, whose parameters are not `layer`'s."""
    plain = _shallow(layer)
    if parametrize.is_parametrized(layer):
        for name in list(layer.parametrizations):  # type: ignore[arg-type]
            plain._parameters[str(name)] = nn.Parameter(getattr(layer, str(name)).detach().clone())
        plain._modules.pop("parametrizations")
    for name in _HOOKED:
        if name in layer._parameters:
            weight = vars(plain).pop("weight")
            for left in ("weight_g", "weight_v", "weight_orig"):
                plain._parameters.pop(left, None)
            for left in ("weight_u", "weight_v"):
                plain._buffers.pop(left, None)
            plain._parameters = {"weight": nn.Parameter(weight.detach().clone()), **plain._parameters}
    return plain


def _shallow(layer: nn.Module) -> nn.Module:
    """Return a copy with registers of its own and no hooks."""
    kind: Any = parametrize.type_before_parametrizations(layer)
    new: nn.Module = kind.__new__(kind)  # Parametrized layers refuse to be copied by `copy`.
    for name, value in vars(layer).items():
        vars(new)[name] = OrderedDict() if "_hooks" in name else value.copy() if isinstance(value, dict) else value
    return new


def _resized(layer: nn.Module, before: int, out: int) -> nn.Module:
    new = _shallow(layer)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    for name, parameter in layer._parameters.items():
        if parameter is not None:
            sizes = [*parameter.shape]
            # The classes are the first axis of a weight; the second of a transposed convolution's, and of a matrix
            # that features are multiplied with from the left.
            second = len(sizes) > 1 and (transposed or (sizes[0] != before and sizes[1] == before))
            sizes[1 if second else 0] = out // (layer.groups if transposed and second else 1)  # type: ignore[operator]
            new._parameters[name] = _fresh(parameter, sizes)
    for name, buffer in layer._buffers.items():
        if buffer is not None:
            new._buffers[name] = buffer.clone()
    for name in ("out_features", "out_channels", "nf"):
        if type(vars(new).get(name)) is int:
            setattr(new, name, out)
    _start(new)
    return new


def _fresh(parameter: Tensor, sizes: Sequence[int]) -> nn.Parameter:
    with torch.inference_mode(False), torch.no_grad():
        return nn.Parameter(torch.zeros(*sizes, dtype=parameter.dtype, device=parameter.device))


def _start(layer: Any) -> None:
    """Fill a new layer with its class's own initial values, or with those of `torch.nn.Linear`."""
    with torch.inference_mode(False), torch.no_grad():
        if callable(getattr(layer, "reset_parameters", None)):
            layer.reset_parameters()
            return
        for parameter in layer.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_uniform_(parameter, a=5**0.5)


def _renormed(old: nn.Module, new: nn.Module) -> None:
    """Give a new layer the norm, or another parametrization without numbers of its own, that the old one had."""
    if "weight_g" in old._parameters:
        nn.utils.weight_norm(new, dim=_dim(old, "weight_g"))
    elif "weight_orig" in old._parameters:
        nn.utils.spectral_norm(new)
    if not parametrize.is_parametrized(old):
        return
    for name, steps in old.parametrizations.items():  # type: ignore[union-attr, operator]
        for step in steps:
            kind = type(step).__name__
            if kind == "_WeightNorm":
                parametrizations.weight_norm(new, name, dim=step.dim)
            elif kind == "_SpectralNorm":
                parametrizations.spectral_norm(new, name, step.n_power_iterations, step.eps, step.dim)
            elif not [*step.parameters(), *step.buffers()]:
                parametrize.register_parametrization(new, name, step)
            else:
                raise CannotReplace(f"the {name} of the head is parametrized by a {kind} that has numbers of its own")


def _dim(old: nn.Module, name: str) -> Any:
    """The axis along which a weight is normed: that of the one size of its lengths that is not 1."""
    sizes = list(old._parameters[name].shape)  # type: ignore[union-attr]
    return next((axis for axis, size in enumerate(sizes) if size > 1), 0) if sizes else None


def _counts(model: nn.Module, head: Head, detection: bool) -> Iterator[tuple[str, Any, str]]:
    """Yield what keeps the old number of classes: its path, and the object and attribute to set."""
    before = head.out_features // per_class(model, head, detection)
    for path, module, value in counts_on(model, head.path):
        if value == before:
            yield path, module, path.rpartition(".")[2]
    parts = head.path.split(".")
    for length in range(len(parts)):
        above = ".".join(parts[:length])
        config = getattr(part_at(model, above), "config", None)
        if getattr(config, "num_labels", None) == before and not isinstance(config, Mapping):
            yield joined(above, "config.num_labels"), config, "num_labels"


def _put(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is held, in plain lists and dicts too."""
    for module in stand_ins.modules_of(model):
        for name, child in module._modules.items():
            if child is old:
                module._modules[name] = new
        for name, value in vars(module).items():
            if value is old:
                vars(module)[name] = new
            elif type(value) is list:
                value[:] = [new if item is old else item for item in value]
            elif type(value) is tuple and any(item is old for item in value):
                vars(module)[name] = tuple(new if item is old else item for item in value)
            elif type(value) is dict and name != "_modules":
                value.update({key: new for key, item in value.items() if item is old})


def _notes(model: nn.Module, planned: list[tuple[Head, nn.Module]]) -> Iterator[str]:
    replaced = {id(parameter) for head, _ in planned for parameter in _at(model, head.path).parameters()}
    for head, _ in planned:
        old = _at(model, head.path)
        if isinstance(getattr(old, "base_layer", None), nn.Module):
            yield (
                f"{head.path} had an adapter; the new head is trained itself: "
                "name it in modules_to_save for it to be saved with the adapters"
            )
        if head.path.rpartition(".")[0].endswith("modules_to_save"):
            yield f"{head.path} is the copy that is trained and saved; the original beside it is as it was"
        if any(getattr(old, name, None) for name in ("_forward_hooks", "_forward_pre_hooks")) and not any(
            name in old._parameters for name in _HOOKED
        ):
            yield f"{head.path} had hooks, which the new head does not have"
    for module, path in stand_ins.modules_of(model).items():
        shared = [name for name, item in module._parameters.items() if item is not None and id(item) in replaced]
        owned = any(
            path == name or path.startswith(f"{name}.") for head, _ in planned for name in (head.path, *head.aliases)
        )
        if shared and not owned:
            yield f"{path} shared its {', '.join(shared)} with a head; they are no longer shared"


def _one_line(module: nn.Module) -> str:
    return " ".join(repr(module).split())


__all__ = ["replace_head"]
