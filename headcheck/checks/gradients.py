"""Gradients: the loss is connected to what should learn."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import maker_words
from headcheck.execution import Execution
from headcheck.findings import Expectation
from headcheck.semantics import gradients


@check("HC308")
def loss_grad_forced(execution: Execution) -> Iterator[Report]:
    """A loss that is told to require a gradient, and sent backward."""
    for event in execution.of(events.FlagMissed):
        if event.receiver != "loss" or event.value is not True or not execution.sent_backward(event.owner):
            continue
        if event.name == "requires_grad":
            message = (
                "`requires_grad = True` connects a loss to nothing: it raises on a loss that came of a trainable "
                "model, and on any other backward() then reaches no parameter"
            )
        elif event.name == "requires_grad_":
            message = (
                "`requires_grad_()` connects a loss to nothing: if backward() raises without it, no parameter learns"
            )
        else:
            message = f"`{event.name}(…)` makes a new tensor of the loss's number: backward() reaches no parameter"
        help_ = "call backward() on the loss itself; if that raises, nothing trainable, or no gradient, led to it"
        severity = "info" if event.name == "requires_grad_" and not execution.cut_off(event.owner) else None
        yield Report("HC308", event.site, message, help_, severity=severity)  # type: ignore[arg-type]


@check("HC302")
def backward_from_nothing(execution: Execution) -> Iterator[Report]:
    """A backward pass from a loss of an output that was computed without gradients."""
    if any(event.receiver in ("loss", "tensor") for event in execution.of(events.FlagMissed)):  # or HC308's
        return
    for event in execution.of(events.Backward):
        taken = next((loss for loss in execution.of(events.LossTaken) if gradients.lost(loss, event.of)), None)
        if taken is not None:
            made = maker_words(execution, taken.output)
            message = f"the output{made} was computed without gradients (no_grad, or detached): nothing can learn of it"
            help_ = "compute what should learn outside of torch.no_grad(), and take no detached output for the loss"
            yield Report("HC302", event.site, message, help_, Expectation("raises", at=("backward",)))
