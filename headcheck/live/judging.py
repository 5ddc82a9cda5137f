"""What is wrong with a live model: of where it is, of what its passes answer, and of what a step of training did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from headcheck.live import stand_ins
from headcheck.live.answers import Head, Problem
from headcheck.live.diagnosing import diagnose, lies_about_size, stale_counts, unused_heads
from headcheck.live.finding import Look, joined, look, part_at, small
from headcheck.live.inputs import is_detection, tensors
from headcheck.live.replacing import per_class
from headcheck.live.step import Step, batch, class_axis
from headcheck.live.watching import Failure, uncompiled, watch
from headcheck.live.words import assigned, expression, layer, shape_of


def places(model: nn.Module) -> dict[torch.device, list[str]]:
    places: dict[torch.device, list[str]] = {}
    if getattr(model, "hf_device_map", None):
        return places  # transformers moves what goes from one device to the next by itself.
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        places.setdefault(tensor.device, []).append(name)
    return places


def devices(model: nn.Module, device: str | torch.device | None) -> Iterator[Problem]:
    """What lies elsewhere than training puts its batches."""
    if device is None:
        return
    wanted = torch.device(device)
    away = {
        place: names
        for place, names in places(model).items()
        if place.type != wanted.type or (wanted.index is not None and place.index not in (None, wanted.index))
    }
    for place, names in away.items():
        where = _common(names)
        yield Problem("HC403", where, f"it is on {place}, training on {wanted}", f'{expression("")}.to("{wanted}")')


def scattered(model: nn.Module) -> Iterator[Problem]:
    """What is not where most of the model is."""
    there = places(model)
    main = max(there, key=lambda place: len(there[place]))
    for place, names in there.items():
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


def failed(model: nn.Module, found: Look, step: Step) -> list[Problem]:
    """What stops a pass in train mode or in eval mode; both for the same reason is one problem."""
    if step.error:
        return [Problem("", "", step.error)]
    failures = {} if step.failure is None else {True: step.failure}
    if failures or False in found.failures:
        with stand_ins.gradients(), stand_ins.stand_ins(model, stand_ins.copied), uncompiled(model), small(model):
            seen = watch(model, batch(model, found.call), False)
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


def sizes(outer: nn.Module, model: nn.Module, found: Look, num_classes: int | None) -> Iterator[Problem]:
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
    axis = class_axis(head)
    return all(len(shape) > 1 and num_classes in (shape[axis], shape[1], shape[-1]) for _, shape in head.answers)


def _classes(model: nn.Module, head: Head) -> int:
    return head.out_features // per_class(model, head, is_detection(model))


def _map(found: Look, head: Head) -> Iterator[Problem]:
    """Scores for every place of a map, which no one asked for: the pooling that a head held is lost."""
    images = [tensor for tensor in tensors(found.call) if tensor.dim() == 4 and tensor.is_floating_point()]
    for _, shape in head.answers:
        if images and len(shape) == 4 and class_axis(head) == -1 and shape[1:3] != tuple(images[0].shape[-2:]):
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


def meant_to_learn(model: nn.Module, found: Look, num_classes: int | None) -> list[Head]:
    """Return the heads that must learn: those of so many classes. Of several tasks, the others may stay as they are."""
    main = [head for head in found.heads if not head.auxiliary and not _of_keypoints(model, head)]
    fitting = [head for head in main if num_classes is None or _fits(model, head, num_classes)]
    if num_classes is None and any(p.requires_grad for head in main for p in _own(model, head).values()):
        return [head for head in main if any(p.requires_grad for p in _own(model, head).values())]
    return fitting or main


def _of_keypoints(model: nn.Module, head: Head) -> bool:
    return is_detection(model) and "keypoint" in head.path


def frozen(model: nn.Module, heads: list[Head]) -> Iterator[Problem]:
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


def gradients(model: nn.Module, heads: list[Head], step: Step) -> Iterator[Problem]:
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


def held(model: nn.Module, heads: list[Head], optimizers: list[Any]) -> Iterator[Problem]:
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


def kept(model: nn.Module, step: Step) -> Iterator[Problem]:
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and name in step.changed:
            yield Problem("", name, "it is frozen, and the optimizer's step changed it all the same")


def notes_of(model: nn.Module, found: Look, step: Step, optimizers: list[Any]) -> Iterator[str]:
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
