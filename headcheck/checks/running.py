"""What only running shows: these reports are candidates, which count only where a complete plan confirms them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headcheck import events
from headcheck.answers import as_it_is, whole_calls
from headcheck.checks import Report, check
from headcheck.checks.losses import LABELLED
from headcheck.checks.words import built
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter import heap
from headcheck.interpreter.values import Address, Ref, Tensor, Value
from headcheck.losing import losses_over
from headcheck.plans import can_be_built, networks


@check("HC601", "HC604")
def cannot_run(execution: Execution) -> Iterator[Report]:
    """A model that the script runs, and whose forward raises: for devices that differ, or for anything else."""
    for model, site in shown(execution):
        name = what(execution, model)
        yield candidate("HC601", execution, model, site, f"{name} cannot run", Expectation("fails"))
        message = f"{name} has parameters on two devices"
        yield candidate("HC604", execution, model, site, message, Expectation("two-devices"))


@check("HC602")
def not_by_class(execution: Execution) -> Iterator[Report]:
    """A model whose answer goes into a loss over class labels, as it is, and is not (N, classes)."""
    for model, site in shown(execution):
        roots = networks(execution, model) or [model.ref.address]
        if any(goes_into_labelled_loss(execution, root) for root in roots):
            message = f"{what(execution, model)} does not answer (N, classes), which its loss over labels wants"
            yield candidate("HC602", execution, model, site, message, Expectation("by-class"))


@check("HC603")
def head_without_gradient(execution: Execution) -> Iterator[Report]:
    """New layers that are meant to learn, none of which gets a gradient."""
    for model, site in shown(execution):
        names = tuple(new_parameters(execution, model))
        if names:
            message = f"no new layer of {what(execution, model)} gets a gradient: its answer does not depend on them"
            yield candidate("HC603", execution, model, site, message, Expectation("unlearnt", names))


def candidate(
    code: str, execution: Execution, model: Model, site: Any, message: str, expectation: Expectation
) -> Report:
    address = model.ref.address
    within = address if networks(execution, model) else None
    return Report(code, site, message, expectation=expectation, model=address, within=within)


def shown(execution: Execution) -> Iterator[tuple[Model, Any]]:
    """The models that the script itself changed or put into a network, and runs: with what is to be mended.

    Not where the user may choose another model, or what it is built with.
    """
    if execution.defaults or execution.guesses or execution.files:
        return
    for model in execution.models:
        if not can_be_built(model.built.builder) or execution.escaped(model.ref.address):
            continue
        outer = networks(execution, model)
        if outer:
            made = [e for e in execution.of(events.Created) if e.module in outer]
            called = any(e.module in outer for e in execution.of(events.Called))
            if made and (called or execution.runs_after(model, made[-1])):
                yield model, made[-1].site
            continue
        changes = [event for head, _, event in execution.new_heads() if head is model]
        if execution.forward_is_the_librarys(model):
            changes = list(new_parts(execution, model))
        if changes and execution.runs_after(model, changes[-1]):
            yield model, changes[-1].site


def new_parts(execution: Execution, model: Model) -> Iterator[events.ChildSet]:
    """What the script put into a model, and is there at the end."""
    for event in execution.of(events.ChildSet):
        place = execution.place(event.owner)
        if place is not None and place[0] is model and execution.is_new(event.new):
            path = f"{place[1]}.{event.name}" if place[1] else event.name
            if execution.part(model, path) == event.new:
                yield event


def what(execution: Execution, model: Model) -> str:
    """``Net with resnet50 (line 9)``, or the model alone."""
    classes = [execution.state.heap[address].cls for address in networks(execution, model)]
    around = f"{classes[0].name} with " if classes and classes[0] is not None else ""
    return f"{around}{built(execution, model)}"


def goes_into_labelled_loss(execution: Execution, root: Address) -> bool:
    """Whether what a module answers goes into a loss over class labels, and nothing is done to it before."""
    calls = whole_calls(execution, root)
    losses = [loss for call in calls for loss, path in losses_over(execution, call) if not path]
    return as_it_is(execution, calls) and any(e.kind in LABELLED and is_by_class(e.target) for e in losses)


def is_by_class(target: Value) -> bool:
    """Whether a target is one label for each picture."""
    return type(target) is Tensor and (
        target.labels is not None or (target.shape is not None and len(target.shape) == 1)
    )


def new_parameters(execution: Execution, model: Model) -> Iterator[str]:
    """The parameters of the new layers that require a gradient, as the root of the plan has them."""
    new = [event.new for head, _, event in execution.new_heads() if head is model]
    outer = networks(execution, model)
    new += [head.part for head in execution.own_heads() if head.network.address in outer and not head.hidden]
    root = Ref(outer[0]) if outer else model.ref
    paths = {ref.address: path for path, ref in heap.subtree(execution.state, root)}
    for part in new:
        path = paths.get(part.address)
        for name, parameter in execution.parameters(part).items if path is not None else ():
            if execution.trainable(parameter):
                yield f"{path}.{name}"
