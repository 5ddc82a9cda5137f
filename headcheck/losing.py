"""The losses that a script computes over a model's answer, as plain data for the plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headcheck import events
from headcheck.answers import whole_calls
from headcheck.execution import Execution
from headcheck.interpreter.values import Address, Symbol, Tensor, is_plain
from headcheck.ir import Call, GetAttribute, GetItem, Move, Operation, Variable, walk

#: Losses over one output and one target whose shape the output and what is known of the target settle.
BY_CLASS = frozenset({"CrossEntropyLoss", "NLLLoss"})
BY_NUMBER = frozenset({"BCEWithLogitsLoss", "BCELoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})
#: Arguments that leave every shape as it is; what is said of weights and ignored labels depends on the data.
KEPT = frozenset({"beta", "delta", "label_smoothing", "reduction"})

Path = tuple[str | int, ...]


def loss_of(execution: Execution, root: Address) -> dict[str, Any] | None:
    """The losses that get what the root of a plan answered last, or a part of it, with nothing done to it.

    None if there is none; others that the same answer goes into stand ``beside`` one. `by_picture`: the target is known
    to be one label for each picture. `of` is the way to the part ("" is left out); `several`: it is known to get
    several outputs as if they were one.
    """
    for call in reversed(whole_calls(execution, root)):
        taken = list(losses_over(execution, call))
        if taken:
            known = [as_data(execution, loss, path) for loss, path in taken if loss.kind in BY_CLASS | BY_NUMBER]
            return {**known[0], "beside": known[1:]} if len(known) > 1 else known[0] if known else None
    return None


def losses_over(execution: Execution, event: events.Called) -> Iterator[tuple[events.LossTaken, Path]]:
    """The losses, in the same function, that get what a call answers, or a part of it, and the way to that."""
    taken = {id(loss.site): loss for loss in execution.of(events.LossTaken)}
    ways: dict[Variable, Path] = {}
    for operation in walk(execution.body_of(event.site)):
        if isinstance(operation, Call):
            output = output_of(operation)
            if operation is event.site:
                ways[operation.target] = ()
            elif output in ways and id(operation) in taken:
                yield taken[id(operation)], ways[output]
        else:
            follow(operation, ways)


def follow(operation: Operation, ways: dict[Variable, Path]) -> None:
    """Where a part of an answer, or all of it, has a name after an operation."""
    if not isinstance(operation, Move | GetItem | GetAttribute):
        return
    source = operation.value if isinstance(operation, Move) else operation.of
    way = ways.get(source) if type(source) is Variable else None
    if way is not None and isinstance(operation, GetItem):
        way = (*way, operation.index) if isinstance(operation.index, str | int) else None
    elif way is not None and isinstance(operation, GetAttribute):
        way = (*way, operation.name)
    if way is not None:
        ways[operation.target] = way
    else:
        ways.pop(operation.target, None)


def output_of(call: Call) -> Variable | None:
    """What a call of a loss takes for the output."""
    if call.arguments:
        starred, value = call.arguments[0]
        return value if type(value) is Variable and not starred else None
    value = dict(call.keywords).get("input")
    return value if type(value) is Variable else None


def as_data(execution: Execution, event: events.LossTaken, path: Path) -> dict[str, Any]:
    target = event.target
    known = type(target) is Tensor
    ranked = known and target.shape is not None and len(target.shape) == 1
    data = {
        "class": f"torch.nn.{event.kind}",
        "kwargs": {name: value for name, value in event.keywords.items() if name in KEPT and is_plain(value)},
        "by_picture": bool(event.kind in BY_CLASS and known and (ranked or target.labels is not None)),
        "line": execution.line(event.site),
    }
    if any(True for _ in execution.of(events.Casting)):
        data["cast"] = next(cast for other, cast in execution.under_autocast() if other is event)
    output = event.output
    if path:
        data["of"] = list(path)
    elif type(output) is Symbol and isinstance(output.key, tuple) and output.key[-1] == "several":
        data["several"] = True
    return data
