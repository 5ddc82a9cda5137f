"""Models from the hub: what their checkpoint holds, and what an adapter leaves to learn."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.building import head_is_made_anew
from headcheck.checks.words import built, dotted
from headcheck.execution import Execution, Model
from headcheck.findings import AT_ITS_STEP
from headcheck.interpreter.values import UNKNOWN


@check("HC407")
def mismatched_sizes(execution: Execution) -> Iterator[Report]:
    """A checkpoint whose head has other labels than the model that is to take it."""
    for event in execution.of(events.Built):
        if not event.builder.startswith("transformers."):
            continue
        from headcheck.catalog import transformers

        name, labels = event.keywords.get("checkpoint"), event.keywords.get("num_labels")
        known = transformers.checkpoint(name) if isinstance(name, str) and event.weights is True else None
        if known is None or type(labels) is not int or not known.labels or known.labels == labels:
            continue
        kind = event.builder.rsplit(".", 1)[-1]
        ignored = event.given.get("ignore_mismatched_sizes", UNKNOWN if "**" in event.given else False)
        if known.head != kind or ignored is not False:
            continue
        message = f"the checkpoint {name} has a head for {known.labels} labels, {kind} with {labels} cannot take it"
        help_ = "pass ignore_mismatched_sizes=True: the head is then made anew"
        yield Report("HC407", event.site, message, help_, AT_ITS_STEP, event.module)


@check("HC309")
def peft_freezes_head(execution: Execution) -> Iterator[Report]:
    """A new head that `get_peft_model` freezes, as it does everything that is not to be saved."""
    if execution.flags_unseen(True):
        return
    for event in execution.of(events.Adapted):
        for model in execution.models:
            if event.module != model.ref.address or is_reached(event, model):
                continue
            head = model.entry.heads[0]
            change = execution.replacement(model, head.path)
            if not (is_new(execution, model, event) and still_frozen(execution, model)):
                continue
            top = head.path.partition(".")[0]
            made = execution.where(change.site) if change is not None else execution.where(model.built.site)
            message = (
                f"this freezes the new head `{dotted(head.path)}` of {built(execution, model)}, which was never "
                f"trained ({made}): it is not among the modules to save"
            )
            help_ = f'modules_to_save=["{top}"]'
            yield Report("HC309", event.site, message, help_, model=model.ref.address)


def is_reached(event: events.Adapted, model: Model) -> bool:
    """Whether a head stays trainable: it, or what holds it, is saved; or an adapter goes into one of its layers."""
    if len(model.entry.heads) != 1:
        return True
    parts = model.entry.heads[0].path.split(".")
    places = [".".join(parts[: count + 1]) for count in range(len(parts))]
    saved = any(place.endswith(name) for place in places for name in event.saved)
    adapted = any(part == name or name.endswith(f".{part}") for part in parts for name in event.targets)
    return saved or adapted


def is_new(execution: Execution, model: Model, event: events.Adapted) -> bool:
    """Whether the head was not trained before the model got its adapters."""
    change = execution.replacement(model, model.entry.heads[0].path)
    if change is not None:
        place = execution.place(change.new.address) if execution.is_new(change.new) else None
        return place is not None and execution.order(change) < execution.order(event)
    return head_is_made_anew(model)


def still_frozen(execution: Execution, model: Model) -> bool:
    """Whether nothing thaws the head again, and no weights are loaded over it."""
    if execution.escaped(model.ref.address) or any(event.value for event in execution.of(events.Flagged)):
        return False
    holders = execution.holders(model.ref.address)
    return not any(event.module in holders for event in execution.of(events.Loaded))
