"""Optimizers: they hold the parameters that should learn."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, within
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.heap import Optimizer
from headcheck.interpreter.values import Address, Ref, Tensor
from headcheck.semantics.gradients import comes_of


@check("HC401")
def optimizer_before_replace(execution: Execution) -> Iterator[Report]:
    """An optimizer that holds the old head's parameters and not the new one's."""
    for event, optimizer in execution.optimizers():
        if not optimizer.complete:
            continue
        owners = {parameter.owner: parameter for parameter in optimizer.parameters}
        held = {id(execution.root_of(parameter)) for parameter in owners.values()}
        for model in execution.models:
            if id(model) not in held:
                continue
            for head in model.entry.places:
                change = execution.replacement(model, head.path)
                if change is None or execution.order(change) < execution.order(event):
                    continue
                if not execution.is_new(change.new) or execution.optimized(change.new) is not False:
                    continue
                if not execution.makes_layers(change.new) or has_done_its_work(execution, event, change):
                    continue
                if learns_otherwise(execution, change):
                    continue
                names = tuple(f"{head.path}.{n}" for n, _ in execution.parameters(change.new).items[:2])
                new = f"the new head `{dotted(head.path)}` of {built(execution, model)} was put in"
                message = f"this optimizer was made before {new} ({execution.where(change.site)}): it never updates it"
                help_ = "make the optimizer after the head is replaced"
                if event.by and not is_trained_after(execution, model, change):
                    continue  # one that only answers needs no optimizer, and did not ask for it
                if event.by:
                    made = f"the {event.by} has made its optimizer here, to freeze its model, before"
                    message = f"{made} {new} ({execution.where(change.site)}): it never updates it"
                    help_ = f"{event.by}.create_opt() after the head is replaced"
                expectation = Expectation("not-in-optimizer", names)
                yield Report("HC401", event.site, message, help_, expectation, model.ref.address, order=True)
                break


def learns_otherwise(execution: Execution, change: events.ChildSet) -> bool:
    """Whether the parameters of a new head were handed to code that is not followed, an optimizer perhaps, or the
    script itself writes numbers into them, or has them from another layer."""
    part = change.new
    later = execution.history[execution.order(change) :]
    around = execution.parts_of(part) | execution.holders(part.address)
    if any(type(event) is events.Escaped and event.tensors and event.module in around for event in later):
        return True
    written = execution.of(events.Overwritten)
    return any(event.module is None or event.module in execution.parts_of(part) for event in written)


def has_done_its_work(execution: Execution, event: events.Optimized, change: events.ChildSet) -> bool:
    """Whether an optimizer was used before a change, and nothing learns after it."""
    last = max((execution.order(e) for e in execution.of(*events.LEARNING)), default=0)
    return execution.order(event) < last < execution.order(change)


def is_trained_after(execution: Execution, model: Model, change: events.ChildSet) -> bool:
    trained = [event for event in execution.of(events.Trained) if event.module == model.ref.address]
    return any(execution.order(event) > execution.order(change) for event in trained)


@check("HC402")
def optimizer_misses_head(execution: Execution) -> Iterator[Report]:
    """A new head that learns, and is in no optimizer although the rest of the model is."""
    optimizers = list(execution.optimizers())
    if not optimizers or not all(held.complete for _, held in optimizers) or execution.flags_unseen(False):
        return
    for model, path, change in execution.new_heads():
        holding = [event for event, held in optimizers if any(execution.root_of(p) is model for p in held.parameters)]
        if not holding or execution.order(holding[0]) < execution.order(change):  # HC401's
            continue
        listing = execution.parameters(change.new)
        if not listing.complete or not any(execution.trainable(parameter) for _, parameter in listing.items):
            continue
        if execution.optimized(change.new) is not False or execution.optimized_elsewhere(change.new, model):
            continue
        if not execution.forward_is_the_librarys(model) or learns_otherwise(execution, change):
            continue
        message = (
            f"the new head `{dotted(path)}` of {built(execution, model)} is in no optimizer: "
            "it stays as random as it was made"
        )
        names = tuple(f"{path}.{n}" for n, _ in listing.items[:2])
        help_ = f"give it to the optimizer too: {within(execution.name_of(model.ref), path)}.parameters()"
        expectation = Expectation("not-in-optimizer", names)
        yield Report("HC402", holding[-1].site, message, help_, expectation, model.ref.address)


@check("HC402")
def optimizer_of_another(execution: Execution) -> Iterator[Report]:
    """A model with a new head whose loss goes backward, and every step is one of another model's optimizer: a line that
    was copied kept the other's name."""
    optimizers = list(execution.optimizers())
    if not all(held.complete for _, held in optimizers) or execution.flags_unseen(False):
        return
    for model, path, change in execution.new_heads():
        stepping = steps_of_another(execution, model, optimizers)
        if stepping is None or not any(execution.trainable(p) for _, p in execution.parameters(change.new).items):
            continue
        if execution.optimized(model.ref) is not False or execution.optimized_elsewhere(change.new, model):
            continue
        if execution.escaped(model.ref.address) or learns_otherwise(execution, change):
            continue
        if execution.rewritten(model.ref) or not execution.meant_to_learn(model):
            continue
        event, other = stepping
        message = (
            f"this optimizer gets the parameters of {built(execution, other)}, but the loss is that of "
            f"{built(execution, model)}, which is in no optimizer: nothing of it learns"
        )
        names = tuple(f"{path}.{n}" for n, _ in execution.parameters(change.new).items[:2])
        help_ = f"give it {execution.name_of(model.ref)}.parameters()"
        yield Report("HC402", event.site, message, help_, Expectation("not-in-optimizer", names), model.ref.address)


def steps_of_another(
    execution: Execution, model: Model, optimizers: list[tuple[events.Optimized, Optimizer]]
) -> tuple[events.Optimized, Model] | None:
    """The optimizer that takes the step after a model's loss went backward, and the model that it is of, which is not
    run since the step before: what it answers has no part in the loss."""
    inside = execution.parts_of(model.ref)
    outputs = [
        e.output for e in execution.of(events.LossTaken) if type(e.output) is Tensor and e.output.maker in inside
    ]
    steps = [(execution.order(event), event.optimizer) for event in execution.of(events.Stepped)]
    for backward in execution.of(events.Backward):
        place = execution.order(backward)
        before = max((order for order, _ in steps if order < place), default=execution.order(model.built))
        end, stepped = next((step for step in steps if step[0] > place), (place, None))
        if not any(comes_of(backward.of, output) for output in outputs):
            continue
        for event, held in optimizers:
            other = execution.root_of(held.parameters[0]) if held.parameters else None
            if other is None or event.optimizer != stepped:
                continue
            start = max(before, execution.order(model.built), execution.order(event))
            if not is_run_between(execution, other, start, end):
                return event, other
    return None


def is_run_between(execution: Execution, model: Model, start: int, end: int) -> bool:
    """Whether a model, a part of it or what holds it is called from one place of the history to another."""
    around = execution.parts_of(model.ref) | execution.holders(model.ref.address)
    calls = (execution.order(call) for call in execution.of(events.Called) if call.module in around)
    return any(start < call < end for call in calls)


@check("HC402")
def optimizer_misses_own_head(execution: Execution) -> Iterator[Report]:
    """A layer that a network has beside the library's model, and that no optimizer gets, although one gets that."""
    optimizers = list(execution.optimizers())
    if not optimizers or not all(held.complete for _, held in optimizers) or execution.flags_unseen(False):
        return
    for head in execution.own_heads():
        inside = execution.parts_of(head.network)
        holding = [event for event, held in optimizers if trains_the_librarys(execution, held, inside)]
        listing = execution.parameters(head.part)
        if not holding or not listing.complete or execution.optimized(head.part) is not False:
            continue
        if not all(execution.trainable(parameter) for _, parameter in listing.items):
            continue
        if not execution.runs(head.part) or execution.rewritten(head.part):
            continue
        others = [other for other in execution.family if head.part.address in other.state.heap]
        if any(other.escaped(head.part.address) or other.optimized(head.part) is not False for other in others):
            continue
        if was_made_for_its_parts(execution, head.network):
            continue
        network, made = execution.module(head.network), execution.where(execution.site_of(head.part))
        assert network is not None and network.cls is not None
        message = f"`{head.name}` of {network.cls.name} ({made}) is in no optimizer: it stays as random as it was made"
        help_ = f"give it to the optimizer too: {execution.name_of(head.network)}.{head.name}.parameters()"
        if head.hidden:
            help_ = "keep it in an nn.ModuleList (or ModuleDict): parameters() looks into nothing else that holds it"
        yield Report("HC402", holding[-1].site, message, help_)


def was_made_for_its_parts(execution: Execution, network: Ref) -> bool:
    """Whether another network of the script has parts of one that nothing calls: what is left of it does not matter."""
    inside, own = execution.parts_of(network), execution.holders(network.address)
    if any(event.module in own for one in execution.family for event in one.of(events.Called)):
        return False
    others = {holder for part in inside for holder in execution.holders(part)} - inside - own
    return any((module := execution.module(Ref(holder))) is not None and module.cls is not None for holder in others)


def trains_the_librarys(execution: Execution, held: Optimizer, inside: set[Address]) -> bool:
    """Whether an optimizer holds a parameter of the library's that learns, in a network."""
    return any(
        type(p.owner) is Ref
        and p.owner.address in inside
        and not execution.is_new(p.owner)
        and execution.trainable(p) is True
        for p in held.parameters
    )
