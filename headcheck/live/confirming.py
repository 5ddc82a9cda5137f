"""Showing that a live model is set up as its training needs it: one step of training on stand-ins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from headcheck.live.answers import ForwardFailed, Problem, Verdict
from headcheck.live.diagnosing import frozen_without_effect
from headcheck.live.finding import Look, asks_for_values, joined, look, prefixed, unwrapped, words
from headcheck.live.judging import (
    devices,
    failed,
    frozen,
    gradients,
    held,
    kept,
    meant_to_learn,
    notes_of,
    places,
    scattered,
    sizes,
)
from headcheck.live.step import Step, optimizers_in, train
from headcheck.live.watching import Failure
from headcheck.live.words import expression


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
    problems = [*devices(inner, device), *frozen_without_effect(inner)]
    several = len(places(inner)) > 1
    if several and not problems:
        problems += scattered(inner)
    found = look(inner, example_input, num_classes) if not several else None
    step = Step()
    notes: list[str] = []
    if found is not None:
        _has_values(inner, found.failures.values(), found)
        optimizers = list(optimizers_in(optimizer))
        elsewhere = any(problem.code == "HC403" for problem in problems)
        if not elsewhere:
            step = train(inner, found, num_classes, optimizers)
            _has_values(inner, [step.failure] if step.failure is not None else [], found)
            problems += failed(inner, found, step)
        problems += sizes(model, inner, found, num_classes)
        meant = meant_to_learn(inner, found, num_classes)
        problems += frozen(inner, meant)
        problems += gradients(inner, meant, step)
        problems += held(inner, meant, optimizers)
        problems += kept(inner, step)
        notes += notes_of(inner, found, step, optimizers)
    return _verdict(inner, prefix, problems, notes, found, step)


def _has_values(model: nn.Module, failures: Iterable[Failure], found: Look) -> None:
    """Raise ForwardFailed where a pass stopped because nothing has a value on the meta device: it says nothing."""
    for failure in failures:
        if any(p.is_meta for p in model.parameters()) and asks_for_values(failure.error):
            raise ForwardFailed(words(model, found)) from failure.error


def _prefixed(problem: Problem, prefix: str) -> Problem:
    """The problem with its paths in the wrapper."""
    if not prefix or problem.code == "HC204":
        return problem
    where = joined(prefix, problem.where) if problem.where else ""
    inside = expression(prefix)
    return replace(problem, where=where, instead=problem.instead.replace("model.", f"{inside}."))


def _verdict(
    model: nn.Module, prefix: str, problems: list[Problem], notes: list[str], found: Look | None, step: Step
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
