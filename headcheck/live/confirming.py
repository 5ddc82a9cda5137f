"""Showing that a live model is set up as its training needs it: one step of training on stand-ins."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from headcheck.live import stand_ins
from headcheck.live.answers import ForwardFailed, Head, Problem, Verdict
from headcheck.live.diagnosing import diagnose, frozen_without_effect, lies_about_size, stale_counts, unused_heads
from headcheck.live.finding import Look, asks_for_values, joined, look, part_at, prefixed, small, unwrapped, words
from headcheck.live.inputs import Call, is_detection, tensors
from headcheck.live.replacing import per_class
from headcheck.live.watching import Failure, uncompiled, watch
from headcheck.live.words import assigned, expression, layer, shape_of
from headcheck.tracing.observe import Observation


@dataclass
class _Step:
    """What one step of training did."""

    seen: Observation | None = None
    failure: Failure | None = None
    loss: float | None = None
    gradient: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    statistics: set[str] = field(default_factory=set)
    error: str = ""


def confirm(
    model: nn.Module,
    *,
    num_classes: int | None = None,
    example_input: object = None,
    optimizer: Any = None,
    device: str | torch.device | None = None,
) -> Verdict:
    """Say whether `model` is ready to be trained: it runs one step of training on stand-ins of all its tensors.

    A forward pass in train mode, a loss, a backward pass, a step of `optimizer` if there is one, and a forward pass in
    eval mode show whether

    - the model runs, on one device and in one dtype, and its output has `num_classes` (if that is given);
    - its heads are trainable, get a gradient, and are in the optimizer;
    - what is frozen stays as it is, and what was meant to be frozen is.

    The model with its buffers, gradients and modes, the optimizer and the random generators are as before afterwards.

    `example_input` is as for `find_heads`; a transformers model may have ``labels`` in it, a detection model has its
    targets. `optimizer` is an optimizer, or what a Lightning module's ``configure_optimizers`` answers. `device` is
    where training puts its batches, by default where the model is. A model in eval mode is put into train mode for the
    step, as training does; in one that is in train mode, each layer stays in the mode it is in.

    The loss is the model's own if it has one, else cross-entropy of each output with made-up labels.

    Raises NoExampleInput if no input is given and none can be chosen, and ForwardFailed if the model is on the meta
    device and looks at values, which are not there.
    """
    inner, prefix = unwrapped(model)
    problems = [*_devices(inner, device), *frozen_without_effect(inner)]
    several = len(_places(inner)) > 1
    if several and not problems:
        problems += _scattered(inner)
    found = look(inner, example_input, num_classes) if not several else None
    step = _Step()
    notes: list[str] = []
    if found is not None:
        _has_values(inner, found.failures.values(), found)
        optimizers = list(_optimizers(optimizer))
        elsewhere = any(problem.code == "HC403" for problem in problems)
        if not elsewhere:
            step = _train(inner, found, num_classes, optimizers)
            _has_values(inner, [step.failure] if step.failure is not None else [], found)
            problems += _failed(inner, found, step)
        problems += _sizes(model, inner, found, num_classes)
        meant = _meant(inner, found, num_classes)
        problems += _frozen(inner, meant)
        problems += _gradients(inner, meant, step)
        problems += _held(inner, meant, optimizers)
        problems += _kept(inner, step)
        notes += _notes(inner, found, step, optimizers)
    return _verdict(inner, prefix, problems, notes, found, step)


def _has_values(model: nn.Module, failures: Iterable[Failure], found: Look) -> None:
    """Raise ForwardFailed where a pass stopped because nothing has a value on the meta device: it says nothing."""
    for failure in failures:
        if any(p.is_meta for p in model.parameters()) and asks_for_values(failure.error):
            raise ForwardFailed(words(model, found)) from failure.error


# -- devices ---------------------------------------------------------------------------------------------------------


def _places(model: nn.Module) -> dict[torch.device, list[str]]:
    places: dict[torch.device, list[str]] = {}
    if getattr(model, "hf_device_map", None):
        return places  # transformers moves what goes from one device to the next by itself.
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        places.setdefault(tensor.device, []).append(name)
    return places


def _devices(model: nn.Module, device: str | torch.device | None) -> Iterator[Problem]:
    """What lies elsewhere than training puts its batches."""
    if device is None:
        return
    wanted = torch.device(device)
    away = {
        place: names
        for place, names in _places(model).items()
        if place.type != wanted.type or (wanted.index is not None and place.index not in (None, wanted.index))
    }
    for place, names in away.items():
        where = _common(names)
        yield Problem("HC403", where, f"it is on {place}, training on {wanted}", f'{expression("")}.to("{wanted}")')


def _scattered(model: nn.Module) -> Iterator[Problem]:
    """What is not where most of the model is."""
    places = _places(model)
    main = max(places, key=lambda place: len(places[place]))
    for place, names in places.items():
        if place != main:
            what = f"it is on {place}, the rest of the model on {main}"
            yield Problem("HC403", _common(names), what, f'{expression("")}.to("{main}") after the head is put in')


def _common(names: list[str]) -> str:
    """The module that holds all of these parameters."""
    parts = [name.split(".")[:-1] for name in names]
    length = 0
    while all(len(one) > length and one[length] == parts[0][length] for one in parts):
        length += 1
    return ".".join(parts[0][:length])


# -- the step --------------------------------------------------------------------------------------------------------


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Yield the optimizers in what Lightning's ``configure_optimizers`` may answer."""
    if optimizer is None:
        return
    if isinstance(optimizer, Mapping):
        yield from _optimizers(optimizer.get("optimizer"))
    elif isinstance(optimizer, list | tuple):
        for item in optimizer:
            yield from _optimizers(item)
    elif _is_optimizer(optimizer):
        yield (
            getattr(optimizer, "optimizer", optimizer)
            if type(optimizer).__name__ == "LightningOptimizer"
            else optimizer
        )
    elif not hasattr(optimizer, "optimizer"):  # Schedulers have one.
        raise TypeError(f"optimizer is a {type(optimizer).__name__}, not an optimizer")


def _train(model: nn.Module, found: Look, num_classes: int | None, optimizers: list[Any]) -> _Step:
    step = _Step()
    before = dict(model.named_parameters())
    copies = stand_ins.stand_ins(model, stand_ins.copied)
    with stand_ins.gradients(), copies as made, uncompiled(model), small(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = watch(model, _batch(model, found.call), None if model.training else True)
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
    step: _Step,
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


def _batch(model: nn.Module, call: Call) -> Call:
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
    axes = {key: (_axis(head), head) for head in found.heads for key, _ in head.answers}
    losses = [
        _cross_entropy(tensor, axes[key][0]) if key in axes else tensor.float().mean()
        for key, tensor in seen.answer.items()
        if tensor.is_floating_point() and (key in axes or not axes)
    ]
    return _sum(losses) if losses else None


def _sum(losses: list[Tensor]) -> Tensor:
    return torch.stack([loss.float() for loss in losses]).sum()


def _axis(head: Head) -> int:
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


# -- what is wrong ---------------------------------------------------------------------------------------------------


def _failed(model: nn.Module, found: Look, step: _Step) -> list[Problem]:
    """What stops a pass in train mode or in eval mode; both for the same reason is one problem."""
    if step.error:
        return [Problem("", "", step.error)]
    failures = {} if step.failure is None else {True: step.failure}
    if failures or False in found.failures:
        with stand_ins.gradients(), stand_ins.stand_ins(model, stand_ins.copied), uncompiled(model), small(model):
            seen = watch(model, _batch(model, found.call), False)
        if isinstance(seen, Failure):
            failures[False] = seen
    problems: list[Problem] = []
    for train, failure in failures.items():
        problem = diagnose(model, failure, found.call)
        if len(failures) == 1:
            problem = replace(problem, what=f"in {'train' if train else 'eval'} mode: {problem.what}")
        if all((problem.where, problem.code) != (other.where, other.code) for other in problems):
            problems.append(problem)
    stale = list(stale_counts(model, _without_labels(model, found)))
    return stale if problems and stale else problems


def _without_labels(model: nn.Module, found: Look) -> Look:
    """What the model shows without labels, where it does not run with them."""
    if found.passes or "labels" not in found.call.keywords:
        return found
    return look(model, {name: value for name, value in found.call.keywords.items() if name != "labels"}, None)


def _sizes(outer: nn.Module, model: nn.Module, found: Look, num_classes: int | None) -> Iterator[Problem]:
    if num_classes is None:
        return
    if not found.passes:
        return
    if not found.heads:
        what = f"no layer makes scores of {num_classes} classes: the output is {_shapes(found)}"
        instead = f"model.reset_classifier({num_classes})" if hasattr(model, "reset_classifier") else ""
        yield from unused_heads(outer, found, num_classes) or [Problem("HC104", "", what, instead)]
        return
    wrong = [head for head in found.heads if not _fits(model, head, num_classes)]
    main = [head for head in wrong if not head.auxiliary]
    if main and len(main) < len([head for head in found.heads if not head.auxiliary]) and not is_detection(model):
        # Of several tasks, each has classes of its own; one that has these is enough.
        main = []
    for head in main:
        reasons = lies_about_size(model, head, num_classes) or unused_heads(outer, found, num_classes)
        if reasons:
            yield from reasons
            return
        what = f"the output has {_classes(model, head)} classes, not {num_classes}: {layer(model, head)} makes it"
        yield Problem("HC104", head.path, what, assigned(model, head, num_classes))
    for head in wrong if not main else ():
        if head.auxiliary:
            what = f"the auxiliary output has {_classes(model, head)} classes, not {num_classes}"
            yield Problem("HC203", head.path, what, assigned(model, head, num_classes))
    for head in found.heads if not wrong else ():
        yield from _map(found, head)


def _fits(model: nn.Module, head: Head, num_classes: int) -> bool:
    if is_detection(model):
        return _of_keypoints(model, head) or _classes(model, head) == num_classes
    if num_classes == 1:
        return head.out_features == 1
    axis = _axis(head)
    return all(len(shape) > 1 and num_classes in (shape[axis], shape[1], shape[-1]) for _, shape in head.answers)


def _classes(model: nn.Module, head: Head) -> int:
    return head.out_features // per_class(model, head, is_detection(model))


def _map(found: Look, head: Head) -> Iterator[Problem]:
    """Scores for every place of a map, which no one asked for: the pooling that a head held is lost."""
    images = [tensor for tensor in tensors(found.call) if tensor.dim() == 4 and tensor.is_floating_point()]
    for _, shape in head.answers:
        if images and len(shape) == 4 and _axis(head) == -1 and shape[1:3] != tuple(images[0].shape[-2:]):
            wanted = shape_of((shape[0], shape[-1]))
            what = f"it gets a feature map and answers {shape_of(shape)}, where a classifier answers {wanted}"
            yield Problem(
                "HC102", head.path, what, f"pool and flatten before it, or replace {head.path}'s last layer only"
            )


def _shapes(found: Look) -> str:
    seen = next(iter(found.passes.values()))
    return ", ".join(shape_of(tuple(tensor.shape)) for tensor in seen.answer.values()) or "no tensor"


def _own(model: nn.Module, head: Head) -> dict[str, nn.Parameter]:
    """The parameters of a head, by name."""
    module = part_at(model, head.path)
    if module is None:
        module = next(item for item, path in stand_ins.modules_of(model).items() if path == head.path)
        return {f"{head.path}.{name}": p for name, p in module.named_parameters()}
    own = module.named_parameters() if head.path else module.named_parameters(recurse=False)
    return {joined(head.path, name): p for name, p in own}


def _meant(model: nn.Module, found: Look, num_classes: int | None) -> list[Head]:
    """Return the heads that must learn: those of so many classes. Of several tasks, the others may stay as they are."""
    main = [head for head in found.heads if not head.auxiliary and not _of_keypoints(model, head)]
    fitting = [head for head in main if num_classes is None or _fits(model, head, num_classes)]
    if num_classes is None and any(p.requires_grad for head in main for p in _own(model, head).values()):
        return [head for head in main if any(p.requires_grad for p in _own(model, head).values())]
    return fitting or main


def _of_keypoints(model: nn.Module, head: Head) -> bool:
    return is_detection(model) and "keypoint" in head.path


def _frozen(model: nn.Module, heads: list[Head]) -> Iterator[Problem]:
    for head in heads:
        own = _own(model, head)
        if not own or any(p.requires_grad for p in own.values()):
            continue
        everything = not any(p.requires_grad for p in model.parameters())
        what = "the head is frozen" + (", and so is everything else: nothing can learn" if everything else "")
        if any(hasattr(module, "peft_config") for module in model.modules()):
            last = head.path.rpartition(".")[2]
            yield Problem("HC309", head.path, what, f'LoraConfig(…, modules_to_save=["{last}"])')
            continue
        instead = f"freeze before the new head is put in, or {expression(head.path)}.requires_grad_(True) after"
        yield Problem("HC301", head.path, what, instead)


def _gradients(model: nn.Module, heads: list[Head], step: _Step) -> Iterator[Problem]:
    if step.seen is None or step.error:
        return
    for head in heads:
        own = _own(model, head)
        trainable = [name for name, p in own.items() if p.requires_grad]
        if not trainable or any(name in step.gradient for name in trainable):
            continue
        hidden = [name for name in trainable if name not in dict(model.named_parameters())]
        if hidden:
            continue  # said of the optimizer
        why = "its output has no gradient" if step.loss is None else "the loss does not depend on it"
        yield Problem(
            "", head.path, f"the head gets no gradient: {why}", "run forward without torch.no_grad() and detach()"
        )


def _held(model: nn.Module, heads: list[Head], optimizers: list[Any]) -> Iterator[Problem]:
    """Heads that no optimizer changes."""
    registered = {id(p) for p in model.parameters()}
    held = {id(p): p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    stale = [p for key, p in held.items() if key not in registered]
    for head in heads:
        own = _own(model, head)
        if own and not any(id(p) in registered for p in own.values()):
            what = "a plain list or dict hides the head: parameters(), .to() and state_dict() do not see it"
            yield Problem(
                "HC402" if optimizers else "", head.path, what, "keep it in an nn.ModuleList or nn.ModuleDict"
            )
            continue
        missing = [name for name, p in own.items() if p.requires_grad and id(p) not in held]
        if not optimizers or not missing:
            continue
        if stale:
            sizes = ", ".join(str(tuple(p.shape)) for p in stale[:2])
            what = f"the optimizer does not have it but {len(stale)} tensors that are in the model no longer ({sizes})"
            yield Problem("HC401", head.path, what, "make the optimizer last, after the new head is put in")
        else:
            what = (
                f"the optimizer does not have {' and '.join(name.rpartition('.')[2] for name in missing)} of the head"
            )
            yield Problem("HC402", head.path, what, f"give the optimizer {expression(head.path)}.parameters() too")


def _kept(model: nn.Module, step: _Step) -> Iterator[Problem]:
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and name in step.changed:
            yield Problem("", name, "it is frozen, and the optimizer's step changed it all the same")


def _notes(model: nn.Module, found: Look, step: _Step, optimizers: list[Any]) -> Iterator[str]:
    if not model.training:
        yield "the model is in eval mode; the step was run in train mode"
    if step.statistics:
        one = min(step.statistics)
        yield (
            f"{len(step.statistics)} frozen BatchNorm layers ({one} …) still move their statistics in train mode "
            "(HC306): put them in eval mode"
        )
    if optimizers and step.loss is not None and not step.error:
        for head in found.heads:
            held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
            names = [name for name, p in _own(model, head).items() if name in step.gradient and id(p) in held]
            if names and not any(name in step.changed for name in names):
                yield f"the step left {head.path} as it was: its gradient or its learning rate is 0"


def _prefixed(problem: Problem, prefix: str) -> Problem:
    """The problem with its paths in the wrapper."""
    if not prefix or problem.code == "HC204":
        return problem
    where = joined(prefix, problem.where) if problem.where else ""
    inside = expression(prefix)
    return replace(problem, where=where, instead=problem.instead.replace("model.", f"{inside}."))


def _verdict(
    model: nn.Module, prefix: str, problems: list[Problem], notes: list[str], found: Look | None, step: _Step
) -> Verdict:
    parameters = dict(model.named_parameters())
    passes = found.passes if found is not None else {}

    def shapes(train: bool) -> tuple[tuple[str, tuple[int, ...]], ...]:
        seen = passes.get(train)
        return () if seen is None else tuple((key, tuple(item.shape)) for key, item in seen.answer.items())

    devices = sorted({str(p.device) for p in parameters.values()})
    return Verdict(
        problems=tuple(_prefixed(problem, prefix) for problem in problems),
        notes=tuple(notes),
        heads=tuple(prefixed(head, prefix) for head in (found.heads if found is not None else ())),
        outputs=shapes(True),
        eval_outputs=shapes(False),
        trainable=sum(p.numel() for p in parameters.values() if p.requires_grad),
        total=sum(p.numel() for p in parameters.values()),
        gradient=tuple(joined(prefix, name) for name in parameters if name in step.gradient),
        frozen=tuple(joined(prefix, name) for name, p in parameters.items() if not p.requires_grad),
        changed=tuple(joined(prefix, name) for name in parameters if name in step.changed),
        loss=step.loss,
        device=", ".join(devices) or "no device",
        input=found.call.origin if found is not None else "",
    )
