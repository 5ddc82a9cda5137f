"""Backbones: what was learnt before is kept, and only if there is something to keep."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.values import Parameter


def learning_heads(execution: Execution) -> Iterator[tuple[Model, str, events.ChildSet]]:
    """The new heads that are trained: something in them requires a gradient."""
    for model, path, event in execution.new_heads():
        if not execution.frozen(event.new) and execution.parameters(event.new).items:
            yield model, path, event


@check("HC305")
def nothing_frozen(execution: Execution) -> Iterator[Report]:
    """A pretrained model with a new head, all of it trained by one optimizer at one pace."""
    if execution.flags_unseen(False):
        return
    for model, path, _ in learning_heads(execution):
        if model.built.weights is False or not isinstance(model.built.weights, (bool, str)):
            continue
        listing = execution.parameters(model.ref)
        if not listing.complete or execution.last_freeze(model) is not None:
            continue
        everything = {parameter for _, parameter in listing.items}
        for event, held in execution.optimizers():
            if len(event.groups) > 1 or not held.complete or not everything <= set(held.parameters):
                continue
            message = (
                f"the pretrained backbone of {built(execution, model)} is trained at once with the new head "
                f"`{dotted(path)}`, at the same pace"
            )
            help_ = "freeze the backbone first, or give the head a group of its own with a higher learning rate"
            yield Report("HC305", event.site, message, help_, model=model.ref.address)
            break


@check("HC306")
def moving_statistics(execution: Execution) -> Iterator[Report]:
    """BatchNorm layers whose weights are frozen, and whose running statistics still move in train mode."""
    if execution.flags_unseen(True) or execution.overrides("train"):
        return
    for model, _, _ in learning_heads(execution):
        freeze = execution.last_freeze(model)
        if freeze is None or model.built.weights is False or not execution.meant_to_learn(model):
            continue
        norms = [norm for norm in execution.batch_norms(model) if norm.frozen and norm.trained]
        if not norms:
            continue
        message = (
            f"{len(norms)} frozen BatchNorm layer{'s' if len(norms) > 1 else ''} of {built(execution, model)} "
            f"(`{dotted(norms[0].path)}`, …) went on updating the running statistics in train mode"
        )
        help_ = "put them in evaluation mode after each model.train()"
        yield Report("HC306", freeze.site, message, help_, model=model.ref.address)


TASKS = ("classification", "quantization", "video")  # those that learn features of whole pictures


def below(execution: Execution, model: Model, path: str) -> list[Parameter]:
    """The library's own parameters in what a head reads, not beside it (``classifier.0``): those learn with it."""
    kept, (top, _, last) = execution.library_parameters(model) or [], path.partition(".")
    names = [execution.path_of(model, parameter) for parameter in kept]
    beside = f"{top}." if last else "."
    return [p for p, name in zip(kept, names, strict=True) if name is None or not name.startswith(beside)]


# What else may bring weights into a model, by the names of the methods and functions that scripts do it with.
LOADING = ("state_dict", "checkpoint", "weights", "pretrained", "copy_", "lerp_", "restore")


@check("HC307")
def frozen_random_backbone(execution: Execution) -> Iterator[Report]:
    """A backbone without weights, frozen: the new head learns from random features. In tests nothing has to learn, nor
    where no more than a summary of the model is wanted, or than a show of how it is frozen."""
    if execution.flags_unseen(True) or execution.facts.in_tests:
        return
    for model, path, _ in learning_heads(execution):
        if model.built.weights is not False or model.entry.task not in TASKS:
            continue
        freeze = execution.last_freeze(model)
        if freeze is None or not (execution.meant_to_learn(model) or execution.switched_off()):
            continue
        if execution.only_summarised(model) or execution.only_shown(model):
            continue
        if execution.learned_between(model.built, freeze):
            continue
        kept = below(execution, model, path)
        if not kept or any(execution.trainable(parameter) for parameter in kept) or execution.loads(LOADING):
            continue
        message = (
            f"this freezes {built(execution, model)} at the random weights it was built with: "
            f"the new head `{dotted(path)}` learns from random features"
        )
        names = tuple(p for p in (execution.path_of(model, parameter) for parameter in kept[:2]) if p)
        help_ = 'build it with weights="DEFAULT", load weights before freezing, or train it whole'
        yield Report("HC307", freeze.site, message, help_, Expectation("frozen", names), model.ref.address)
