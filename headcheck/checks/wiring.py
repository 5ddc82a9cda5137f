"""Wiring: the new head is where the rest of the model is, and in what the model is wrapped in."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, layer_name
from headcheck.execution import SIZED, Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.values import Ref

DATA_PARALLEL = "torch.nn.DataParallel"
DISTRIBUTED = "torch.nn.parallel.DistributedDataParallel"
SCRIPTED = "torch.jit.ScriptModule"
WRAPPERS = (DATA_PARALLEL, DISTRIBUTED)


@check("HC204")
def wrapper_attribute(execution: Execution) -> Iterator[Report]:
    """A part of the model, read from or set on what wraps it."""
    for event in execution.of(events.Missing, events.ChildSet):
        wrapper = Ref(event.owner)
        kind = execution.kind(wrapper)
        if kind not in WRAPPERS or event.name == "module":
            continue
        inner = execution.child(wrapper, "module")
        model = execution.owner_of(inner.address) if type(inner) is Ref else None
        where = f" of {built(execution, model)}" if model is not None else ""
        help_ = f"{execution.name_of(wrapper)}.module.{event.name}"
        if type(event) is events.Missing:
            message = f"{layer_name(kind)} has no attribute `{event.name}`: it holds the model{where} in `module`"
            yield Report("HC204", event.site, message, help_)
        elif model is not None and is_lost(execution, model, event):
            message = (
                f"`{event.name}`{where} is not replaced: {layer_name(kind)} holds the model in `module`, "
                "and never uses what is set on itself"
            )
            heads = model.entry.places
            head = next((h for h in heads if h.path.split(".")[0] == event.name), next(iter(heads), None))
            expectation = Expectation("output", classes=head.out_features) if head is not None else Expectation()
            yield Report("HC204", event.site, message, help_, expectation, model.ref.address)


def is_lost(execution: Execution, model: Model, event: events.ChildSet) -> bool:
    """Whether a new layer was meant for the model inside a wrapper, and nothing uses it where it is."""
    if event.name not in model.entry.root.children or event.name in execution.facts.used_attributes:
        return False
    return execution.is_new(event.new) and bool(execution.kinds_in(event.new) & SIZED)


@check("HC403", "HC408")
def left_behind(execution: Execution) -> Iterator[Report]:
    """A new head that stays where, and in the numbers in which, layers are made, while the model has been moved.

    Lightning moves and casts what its modules hold when it trains them.
    """
    for model, path, event in execution.new_heads():
        if not execution.kinds_in(event.new) & SIZED or not execution.runs_after(model, event):
            continue
        before = execution.moves_before(model.ref, event)
        device, dtype = last(before, "device", "cpu"), last(before, "dtype", "float32")
        if execution.in_lightning(model.ref.address) or is_others_to_move(execution, model):
            continue
        if (
            device is not None
            and not_on_the_cpu(execution, event, device)
            and stays(execution, event, device, "device")
        ):
            message = (
                f"the new head `{dotted(path)}` of {built(execution, model)} stays on the CPU: the model was moved "
                f"before it was put in ({execution.where(device.site)})"
            )
            help_ = f"move the model after its head is replaced: {execution.name_of(model.ref)}.to(device)"
            yield Report("HC403", event.site, message, help_, Expectation("device", part=path), model.ref.address)
        if dtype is not None and dtype.dtype in OTHER_DTYPES and stays(execution, event, dtype, "dtype"):
            message = (
                f"the new head `{dotted(path)}` of {built(execution, model)} is float32: the model was cast to "
                f"{dtype.dtype} before it was put in ({execution.where(dtype.site)})"
            )
            help_ = f"cast the model after its head is replaced, or make the head with dtype=torch.{dtype.dtype}"
            yield Report("HC408", event.site, message, help_, Expectation("raises", part=path), model.ref.address)


def is_others_to_move(execution: Execution, model: Model) -> bool:
    """Whether a model is in a network that the script defines and never makes: who makes it moves it as a whole."""
    holders = [execution.module(Ref(holder)) for holder in execution.holders(model.ref.address)]
    return execution.made_up and any(holder is not None and holder.cls is not None for holder in holders)


def last(moves: list[events.Moved], what: str, usual: str) -> events.Moved | None:
    """The last move to a device, or to a dtype. Where paths met, one operation made several: the unusual one counts."""
    found = [move for move in moves if getattr(move, what)]
    same = [move for move in found if move.site is found[-1].site]
    return next((move for move in same if getattr(move, what) != usual), same[0] if same else None)


OTHER_DTYPES = frozenset({"float16", "bfloat16", "float64"})


def not_on_the_cpu(execution: Execution, event: events.ChildSet, move: events.Moved) -> bool:
    """Whether a move goes to an accelerator, or where nobody knows and on no path to the CPU (a default argument)."""
    if move.device != "unsure":
        return move.device == "accelerator"
    for other, _ in execution.same_elsewhere(event):
        if any(e.site is move.site and e.device == "cpu" for e in other.of(events.Moved)):
            return False
    return True


def stays(execution: Execution, event: events.ChildSet, move: events.Moved, what: str) -> bool:
    """Whether a new head was outside the model when that was moved, and on no path anything moves it."""
    if execution.cut or execution.ambient() or execution.made_with(event.new, what):
        return False
    if not execution.untouched_by(move, event.new):
        return False
    for other, same in execution.same_elsewhere(event):
        moved = any(getattr(move, what) for move in other.moves_reaching(same.new, same))
        if what == "device" and other.is_trained_after(same.new, same):
            return False
        if moved or other.escaped(same.new.address) or other.holds_other_tensors(same.new):
            return False
    return True


@check("HC404")
def wrapped_before_replace(execution: Execution) -> Iterator[Report]:
    """A head put in after the model went into DistributedDataParallel, which looks at its parameters only once."""
    distributed = [e for e in execution.of(events.Created) if execution.kind(Ref(e.module)) == DISTRIBUTED]
    for model, path, event in execution.new_heads() if distributed else ():
        for wrapped in distributed:
            if execution.order(wrapped) > execution.order(event):
                continue
            inner = wrapped.children.get("module")
            if type(inner) is not Ref or model.ref.address not in execution.parts_of(inner):
                continue
            message = (
                f"the new head `{dotted(path)}` of {built(execution, model)} was put in after the model was wrapped "
                f"({execution.where(wrapped.site)}): its gradients are not shared between the processes"
            )
            help_ = "replace the head first, then wrap the model in DistributedDataParallel"
            yield Report("HC404", event.site, message, help_)
            break
    for event in execution.of(events.ChildSet):
        source = execution.field(Ref(event.owner), "obj") if execution.kind(Ref(event.owner)) == SCRIPTED else None
        owner = execution.owner_of(source.address) if type(source) is Ref else None
        if owner is not None and event.name in owner.entry.root.children:
            message = f"`{event.name}` of {built(execution, owner)} cannot be replaced after TorchScript took the model"
            yield Report("HC404", event.site, message, "replace the head first, then compile the model")
