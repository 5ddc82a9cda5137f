"""One step of training, on stand-ins of all of a model's tensors."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from headcheck.live import stand_ins
from headcheck.live.answers import Head
from headcheck.live.finding import Look, asks_for_values, small
from headcheck.live.inputs import Call
from headcheck.live.watching import Failure, uncompiled, watch
from headcheck.tracing.observe import Observation


@dataclass
class Step:
    """What one step of training did."""

    seen: Observation | None = None
    failure: Failure | None = None
    loss: float | None = None
    gradient: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    statistics: set[str] = field(default_factory=set)
    error: str = ""


def optimizers_in(optimizer: Any) -> Iterator[Any]:
    """Yield the optimizers in what Lightning's ``configure_optimizers`` may answer."""
    if optimizer is None:
        return
    if isinstance(optimizer, Mapping):
        yield from optimizers_in(optimizer.get("optimizer"))
    elif isinstance(optimizer, list | tuple):
        for item in optimizer:
            yield from optimizers_in(item)
    elif _is_optimizer(optimizer):
        yield (
            getattr(optimizer, "optimizer", optimizer)
            if type(optimizer).__name__ == "LightningOptimizer"
            else optimizer
        )
    elif not hasattr(optimizer, "optimizer"):  # Schedulers have one.
        raise TypeError(f"optimizer is a {type(optimizer).__name__}, not an optimizer")


def train(model: nn.Module, found: Look, num_classes: int | None, optimizers: list[Any]) -> Step:
    step = Step()
    before = dict(model.named_parameters())
    copies = stand_ins.stand_ins(model, stand_ins.copied)
    with stand_ins.gradients(), copies as made, uncompiled(model), small(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = watch(model, batch(model, found.call), None if model.training else True)
        if isinstance(seen, Failure):
            step.failure = seen
            return step
        step.seen = seen
        step.statistics = _moved(model)
        loss = _loss(seen, found, num_classes)
        if loss is not None and loss.requires_grad:
            _learn(model, step, loss, optimizers, made, before)
    return step


def _learn(
    model: nn.Module,
    step: Step,
    loss: Tensor,
    optimizers: list[Any],
    made: Mapping[int, Tensor],
    before: Mapping[str, nn.Parameter],
) -> None:
    try:
        loss.backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if loss.is_meta and asks_for_values(error):
            step.seen = None  # Nothing is known of gradients then.
        else:
            step.error = f"the backward pass fails: {error}"
        return
    # On meta nothing has a value.
    step.loss = None if loss.is_meta else float(loss.detach())
    step.gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    for optimizer in optimizers:
        try:
            with _without_gradients(optimizer):
                _twin(optimizer, made).step(*_closure(optimizer, loss))
        except Exception as error:  # An optimizer may fail in any way; what it says is the problem.
            step.error = f"the optimizer's step fails: {type(error).__name__}: {error}"
    if optimizers and not loss.is_meta:
        step.changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def batch(model: nn.Module, call: Call) -> Call:
    """The call on the model's device, with copies, for forward may change its input in place."""
    where = next(iter(model.parameters()), None)
    return call.each(
        lambda tensor: tensor.detach().clone() if where is None else tensor.detach().to(where.device, copy=True)
    )


def _moved(model: nn.Module) -> set[str]:
    """The frozen normalising layers whose statistics are moved by a pass in the modes the model is in."""
    return {
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and module.track_running_stats
        and (own := list(module.parameters()))
        and not any(parameter.requires_grad for parameter in own)
    }


def _loss(seen: Observation, found: Look, num_classes: int | None) -> Tensor | None:
    """The model's own losses, else the cross-entropy of what its heads make with labels of zero."""
    scalars = [tensor for tensor in seen.answer.values() if not tensor.dim() and tensor.is_floating_point()]
    if scalars:
        return _sum([seen.answer["loss"]] if "loss" in seen.answer else scalars)
    axes = {key: (class_axis(head), head) for head in found.heads for key, _ in head.answers}
    losses = [
        _cross_entropy(tensor, axes[key][0]) if key in axes else tensor.float().mean()
        for key, tensor in seen.answer.items()
        if tensor.is_floating_point() and (key in axes or not axes)
    ]
    return _sum(losses) if losses else None


def _sum(losses: list[Tensor]) -> Tensor:
    return torch.stack([loss.float() for loss in losses]).sum()


def class_axis(head: Head) -> int:
    """Where the classes are in what a head makes: behind the batch for a convolution, last for anything else."""
    return 1 if "Conv" in head.kind.rpartition(".")[2] else -1


def _cross_entropy(tensor: Tensor, axis: int) -> Tensor:
    scores = tensor.float()
    if scores.dim() < 2 or scores.shape[axis] < 2:
        return functional.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))
    scores = scores.movedim(axis, -1).flatten(0, -2)
    return functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))


def _twin(optimizer: Any, made: Mapping[int, Tensor]) -> Any:
    """Return an optimizer of the same class and settings, with copies of its state, that holds stand-ins."""
    twin = object.__new__(type(optimizer))
    for name, value in vars(optimizer).items():
        if name != "step":  # What a scheduler wrapped around it counts the steps of the original.
            vars(twin)[name] = _twin(value, made) if _is_optimizer(value) else value  # one inside another, as in SAM

    def stand_in(tensor: Any) -> Any:
        if id(tensor) not in made:
            return tensor.detach().clone() if isinstance(tensor, Tensor) else tensor
        return made[id(tensor)]

    twin.param_groups = [
        {**group, "params": [stand_in(p) for p in group["params"]]} for group in optimizer.param_groups
    ]
    twin.state = defaultdict(dict)
    for key, value in optimizer.state.items():
        twin.state[stand_in(key)] = copy.deepcopy(value)
    return twin


def _is_optimizer(value: object) -> bool:
    return hasattr(value, "param_groups") and hasattr(value, "step")


@contextlib.contextmanager
def _without_gradients(optimizer: Any) -> Iterator[None]:
    """Hide the gradients of what an optimizer holds: should a part of it reach the originals, it leaves them alone."""
    held = {id(p): (p, p.grad) for group in optimizer.param_groups for p in group["params"]}
    try:
        for parameter, _ in held.values():
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in held.values():
            parameter.grad = gradient


def _closure(optimizer: Any, loss: Tensor) -> tuple[Any, ...]:
    """LBFGS asks for the loss again; it gets the one there is."""
    return (lambda: loss.detach(),) if type(optimizer).__name__ == "LBFGS" else ()
