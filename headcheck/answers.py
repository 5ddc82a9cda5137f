"""What a script gives a model, and does with its answer: whether that goes on as it is, or something pools it first."""

from __future__ import annotations

from headcheck import events
from headcheck.execution import Execution, Model
from headcheck.ir import Block, Call, Define, End, Move, Operation, Return, Variable, walk
from headcheck.ir.lower import variables


def answers_as_it_is(execution: Execution, model: Model) -> bool:
    """Whether nothing is seen, on any path, to pool what the model answers: it is returned, or goes into a loss."""
    if model.entry.task == "transformers":  # the loss is computed inside, or the logits are read
        return True
    for other in execution.family:
        losses = {id(event.site) for event in other.of(events.LossTaken)}
        same = {m.ref.address for m in other.models if m.built.site is model.built.site}
        for event in other.of(events.Called):
            if event.module not in same or not isinstance(event.site, Call):
                continue
            bodies = (d.body for d in execution.machine.definitions.values() if isinstance(d, Define))
            holding = [body for body in bodies if any(o is event.site for o in walk(body))]
            if not goes_on_as_it_is(holding[-1] if holding else execution.machine.body, event.site, losses):
                return False
    return True


def goes_on_as_it_is(body: Block, call: Call, losses: set[int]) -> bool:
    """Whether what a call answers is only returned, given another name, or handed to a loss in the same block."""
    names: set[Variable] = set()
    for operation in walk(body):
        if operation is call:
            names.add(call.target)
        elif isinstance(operation, End):
            names = {name for name in names if name[0] != "%"}
        elif names.isdisjoint(variables(operation)):
            continue
        elif isinstance(operation, Move):
            names.add(operation.target)
        elif not isinstance(operation, Return) and not is_loss(operation, losses):
            return False
    return True


def is_loss(operation: Operation, losses: set[int]) -> bool:
    return isinstance(operation, Call) and id(operation) in losses


def is_given(site: Operation, keyword: str) -> bool:
    """Whether an operation is a call that passes a keyword."""
    return isinstance(site, Call) and any(name == keyword for name, _ in site.keywords)
