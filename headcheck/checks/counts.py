"""Counts of classes that a model keeps beside its head, and uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headcheck import events
from headcheck.answers import is_given
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, outputs_of, within
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.heap import Instance
from headcheck.interpreter.parts import Part
from headcheck.interpreter.values import Ref
from headcheck.semantics.layers import ACTIVATIONS_WITHOUT_PARAMETERS

RAISES = Expectation("raises", at=("forward", "loss"))


@check("HC111")
def stale_class_count(execution: Execution) -> Iterator[Report]:
    """A new head whose number of classes is not that which the model reckons with beside it."""
    for model in execution.models:
        if execution.forward_is_the_librarys(model):
            yield from stale_labels(execution, model)
        yield from stale_detector(execution, model)


def stale_labels(execution: Execution, model: Model) -> Iterator[Report]:
    """transformers computes the loss itself, with the number of labels that the configuration has."""
    if model.entry.task != "transformers" or not computes_loss(execution, model):
        return
    path = model.entry.heads[0].path
    event = execution.replacement(model, path)
    part = execution.part(model, path)
    if event is None or part is None or not execution.is_new(event.new):
        return
    now = last_outputs(execution, part)
    own, configured = execution.field(model.ref, "num_labels"), configured_labels(execution, model)
    if type(now) is not int or type(own) is not int or own == now or configured in (None, now) or own != configured:
        return
    name = execution.name_of(model.ref)
    message = (
        f"the new head `{dotted(path)}` of {built(execution, model)} has {now} outputs, but the loss that the model "
        f"computes reckons with `num_labels`, which is still {own}"
    )
    help_ = f"{name}.num_labels = {name}.config.num_labels = {now}"
    yield Report("HC111", event.site, message, help_, RAISES, model.ref.address)


def last_outputs(execution: Execution, part: Part) -> Any:
    """How many outputs the last layer of a head has, where the layers run in the order in which they stand."""
    if execution.kind(part) != "torch.nn.Sequential":
        return execution.field(part, "out_features")
    sized = [
        child
        for _, child in execution.children(part) or ()
        if execution.kind(child) not in ACTIVATIONS_WITHOUT_PARAMETERS
    ]
    return last_outputs(execution, sized[-1]) if sized else None


def configured_labels(execution: Execution, model: Model) -> int | None:
    settings = execution.state.object(model.module.values.get("config"))
    labels = settings.attributes.get("num_labels") if type(settings) is Instance else None
    return labels if type(labels) is int else None


@check("HC107")
def single_label(execution: Execution) -> Iterator[Report]:
    """transformers told to tell classes apart by a single output: the cross entropy that it computes is always 0."""
    for model in execution.models:
        if model.entry.task != "transformers" or not computes_loss(execution, model):
            continue
        settings = execution.state.object(model.module.values.get("config"))
        own = settings.attributes if type(settings) is Instance else {}
        asked = own.get("problem_type", model.built.given.get("problem_type"))
        labels = execution.field(model.ref, "num_labels")
        if asked != "single_label_classification" or type(labels) is not int or labels != 1:
            continue
        if configured_labels(execution, model) not in (None, 1) or not execution.forward_is_the_librarys(model):
            continue
        message = (
            f"{built(execution, model)} has one label and is to take the cross entropy (`problem_type`), which is "
            "always 0 over a single logit; transformers refuses that since 5.0"
        )
        help_ = 'num_labels=2, or problem_type="multi_label_classification" with labels of one float each'
        yield Report("HC107", model.built.site, message, help_, Expectation(), model.ref.address)


def computes_loss(execution: Execution, model: Model) -> bool:
    """Whether the script has the model compute its loss: it passes labels, or a trainer of the library does."""
    for event in execution.of(events.Called, events.Trained):
        if event.module != model.ref.address:
            continue
        if type(event) is events.Trained:
            if event.labels:
                return True
        elif is_given(event.site, "labels"):
            return True
    return False


def stale_detector(execution: Execution, model: Model) -> Iterator[Report]:
    """RetinaNet and FCOS cut what their last convolution answers into anchors and classes, by a count of their own."""
    for head in model.entry.heads:
        owner, _, last = head.path.rpartition(".")
        event = execution.replacement(model, head.path)
        holder, part = execution.part(model, owner), execution.part(model, head.path)
        if last != "cls_logits" or event is None or type(holder) is not Ref or part is None:
            continue
        anchors, count = execution.field(holder, "num_anchors"), execution.field(holder, "num_classes")
        given = outputs_of(execution, part)
        numbers = (anchors, count, given)
        if not execution.is_new(event.new) or any(type(number) is not int for number in numbers):
            continue
        if given == anchors * count or given % anchors:
            continue
        message = (
            f"the new `{dotted(head.path)}` of {built(execution, model)} answers {given // anchors} classes for each "
            f"of {anchors} anchors, but `num_classes` beside it is still {count}"
        )
        name = f"{within(execution.name_of(model.ref), owner)}.num_classes"
        yield Report("HC111", event.site, message, f"{name} = {given // anchors}", RAISES, model.ref.address)
