"""Optimizers: they hold the parameters that should learn."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted
from headcheck.execution import Execution
from headcheck.findings import Expectation


@check("HC401")
def optimizer_before_replace(execution: Execution) -> Iterator[Report]:
    """An optimizer that holds the old head's parameters and not the new one's."""
    for event, optimizer in execution.optimizers():
        if not optimizer.complete:
            continue
        for model in execution.models:
            held = [p for p in optimizer.parameters if execution.root_of(p) is model]
            if not held:
                continue
            for head in model.entry.heads:
                change = execution.replacement(model, head.path)
                if change is None or execution.order(change) < execution.order(event):
                    continue
                if not execution.is_new(change.new) or execution.optimized(change.new) is not False:
                    continue
                names = tuple(f"{head.path}.{n}" for n, _ in execution.parameters(change.new).items[:2])
                message = (
                    f"this optimizer was made before the new head `{dotted(head.path)}` of {built(execution, model)} "
                    f"was put in ({execution.where(change.site)}): it never updates it"
                )
                help_ = "make the optimizer after the head is replaced"
                yield Report(
                    "HC401", event.site, message, help_, Expectation("not-in-optimizer", names), model.ref.address
                )
                break
