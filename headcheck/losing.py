"""The loss that a script computes over a model's answer, as plain data for the plan."""

from __future__ import annotations

from typing import Any

from headcheck.answers import losses_over, whole_calls
from headcheck.execution import Execution
from headcheck.interpreter.values import Address, Tensor, is_plain

#: Losses over one output and one target whose shape the output and what is known of the target settle.
BY_CLASS = frozenset({"CrossEntropyLoss", "NLLLoss"})
BY_NUMBER = frozenset({"BCEWithLogitsLoss", "BCELoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})
#: Arguments that leave every shape as it is; what is said of weights and ignored labels depends on the data.
KEPT = frozenset({"beta", "delta", "label_smoothing", "reduction"})


def loss_of(execution: Execution, root: Address) -> dict[str, Any] | None:
    """The last loss that gets what the root of a plan answers, with nothing done to it; None if there is none.

    `by_picture`: the target is known to be one label for each picture.
    """
    taken = [loss for call in whole_calls(execution, root) for loss in losses_over(execution, call)]
    if not taken or taken[-1].kind not in BY_CLASS | BY_NUMBER:
        return None
    event = taken[-1]
    target = event.target
    known = type(target) is Tensor
    ranked = known and target.shape is not None and len(target.shape) == 1
    return {
        "class": f"torch.nn.{event.kind}",
        "kwargs": {name: value for name, value in event.keywords.items() if name in KEPT and is_plain(value)},
        "by_picture": bool(event.kind in BY_CLASS and known and (ranked or target.labels is not None)),
        "line": execution.line(event.site),
    }
