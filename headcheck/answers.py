"""What a script gives a model, and does with its answer: whether that goes on as it is, or something pools it first."""

from __future__ import annotations

from headcheck import events
from headcheck.execution import Execution, Model
from headcheck.interpreter.values import Address, Ref
from headcheck.ir import Block, Call, End, Move, Operation, Return, Variable, walk
from headcheck.ir.scopes import variables


def answers_as_it_is(execution: Execution, model: Model) -> bool:
    """Whether nothing is seen, on any path, to pool what the model answers: it is returned, or goes into a loss."""
    if model.entry.task == "transformers":  # the loss is computed inside, or the logits are read
        return True
    if is_held(execution, model) and not any(calls_of(other, model) for other in execution.family):
        return False  # what the forward around it does with the answer was not seen
    return all(as_it_is(other, calls_of(other, model)) for other in execution.family)


def as_it_is(execution: Execution, calls: list[events.Called]) -> bool:
    """Whether what these calls answer is only returned, given another name, or handed to a loss."""
    losses = {id(event.site) for event in execution.of(events.LossTaken)}
    return all(goes_on_as_it_is(execution.body_of(event.site), event.site, losses) for event in calls)


def whole_calls(execution: Execution, address: Address) -> list[events.Called]:
    """The calls of a module itself, where the script makes them."""
    called = execution.of(events.Called)
    return [e for e in called if e.module == address and not e.method and isinstance(e.site, Call)]


def is_held(execution: Execution, model: Model) -> bool:
    """Whether a module of the script's own classes holds a model."""
    modules = (execution.module(Ref(address)) for address in execution.holders(model.ref.address))
    return any(module is not None and module.cls is not None for module in modules)


def calls_of(execution: Execution, model: Model) -> list[events.Called]:
    """The calls of a model, or of those that the same call built, on one path."""
    same = {m.ref.address for m in execution.models if m.built.site is model.built.site}
    return [e for e in execution.of(events.Called) if e.module in same and isinstance(e.site, Call)]


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


def is_computed(site: Operation) -> bool:
    """Whether an attribute is set under a name that the script computes (``setattr(model, name, …)``)."""
    return isinstance(site, Call) and len(site.arguments) > 1 and type(site.arguments[1][1]) is Variable
