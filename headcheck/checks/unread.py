"""Parts that are put where the model's forward reads none."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import catalog, events
from headcheck.answers import is_computed
from headcheck.catalog.entry import IDENTITY
from headcheck.checks.words import dotted, within
from headcheck.execution import Execution, Model
from headcheck.interpreter.choosing import FOREIGN_HEADS
from headcheck.interpreter.values import Ref

LINEAR = "torch.nn.Linear"
SEQUENTIAL = "torch.nn.Sequential"
CONTAINERS = frozenset({SEQUENTIAL, "torch.nn.ModuleList", "torch.nn.ModuleDict"})


def real_heads(model: Model) -> str:
    """``fc``, or ``fc` and `AuxLogits.fc`` where there is more than one; the first of many."""
    paths = [f"`{dotted(head.path)}`" for head in model.entry.places]
    return " and ".join(paths) if len(paths) < 4 else f"{paths[0]} and {len(paths) - 1} more"


def is_whole_by_name(model: Model) -> bool:
    """Whether all parts of a model are known by name, and its forward reads nothing else: so it is in transformers."""
    return model.entry.task == "transformers" and bool(model.entry.root.children)


def sits_elsewhere(execution: Execution, event: events.ChildSet) -> bool:
    """Whether a new module is put under another name, too, that is read: ``model.classifier = model.fc = head``."""
    for other in execution.of(events.ChildSet):
        owner = execution.module(Ref(other.owner)) if other.new == event.new else None
        if owner is None or owner.children.get(other.name) != event.new:
            continue
        place = execution.place(other.owner)
        if owner.node is None or place is None:  # of the script's own network
            return True
        if other.name in owner.node.children and not is_idle(*place, other.name):
            return True
    return False


def is_idle(model: Model, path: str, name: str) -> bool:
    """Whether a part of a model does nothing, and its forward does not even call it."""
    node = model.entry.root.children.get(name) if not path else None
    return node is not None and node.kind == IDENTITY and name not in model.entry.used


def unread(execution: Execution, event: events.ChildSet) -> tuple[Model, str] | None:
    """The model and the place in it where a new module is put under a name that its forward does not read."""
    place = not_its_own(execution, event)
    return place if place is not None and execution.forward_is_the_librarys(place[0]) else None


def not_its_own(execution: Execution, event: events.ChildSet) -> tuple[Model, str] | None:
    """The model and the place in it where a new module is put under a name that the library's forward does not read."""
    place = execution.place(event.owner)
    module = execution.module(Ref(event.owner))
    if place is None or module is None or module.node is None or event.how == "rearranged":
        return None
    model, path = place
    if not module.node.whole and not (not path and is_whole_by_name(model)):
        return None
    known = event.name in module.node.children or event.name in module.node.values
    if (known and not is_idle(model, path, event.name)) or not execution.is_new(event.new):
        return None
    if event.name in module.node.attributes:
        return None
    if module.kind in CONTAINERS or event.name in execution.facts.used_of_others:
        return None
    if execution.is_asked_for(event.owner, event.name):
        return None
    if execution.guesses and is_computed(event.site):
        return None  # the name goes with the model, and neither is known
    if sits_elsewhere(execution, event):
        return None
    return place if module.children.get(event.name) == event.new else None


def left_on(execution: Execution) -> Iterator[tuple[events.ChildSet, Model]]:
    """The Identities that are to take a head off, where the model has another name for it, and the head is still on:
    the library's, or one of the script's whose answers are not what the layer after it takes."""
    for event in execution.of(events.ChildSet):
        place = not_its_own(execution, event) if does_nothing(execution, event) else None
        if place is None or place[1] or not place[0].entry.heads or not is_of_a_head(event.name):
            continue
        model = place[0]
        kept = not is_changed(execution, model) and execution.forward_is_the_librarys(model)
        if kept or (has_head(execution, model) and refusing(execution, model)):
            yield event, model


def does_nothing(execution: Execution, event: events.ChildSet) -> bool:
    """Whether what is put in answers what it gets: an Identity, or a Sequential of no layers, which none came into."""
    if execution.kind(event.new) == IDENTITY:
        return True
    module = execution.module(event.new) if execution.kind(event.new) == SEQUENTIAL else None
    if module is None or module.cls is not None or not module.known or module.children:
        return False
    return not execution.escaped(event.new.address)


def is_changed(execution: Execution, model: Model) -> bool:
    return any(True for head in model.entry.heads for _ in execution.edited_places(model, head.path))


def has_head(execution: Execution, model: Model) -> bool:
    top = execution.part(model, model.entry.heads[0].path.partition(".")[0])
    return top is not None and LINEAR in execution.kinds_in(top)


def refusing(execution: Execution, model: Model) -> list[events.Mismatched]:
    """Where layers of the script's own network do not take what a model answers."""
    return [event for event in execution.of(events.Mismatched) if fed_by(execution, event) == model]


def taken_off(execution: Execution, model: Model, name: str, takes: int | None = None) -> str:
    """The code that takes off the head of a model, or so much of it that a layer which takes so many features fits."""
    parts = model.entry.heads[0].path.split(".")
    paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
    fits = (path for path in paths if takes is not None and (model.entry.inputs.get(path) or (None,))[-1] == takes)
    path = paths[0] if is_changed(execution, model) else next(fits, paths[0])
    return f"{within(name, path)} = nn.Identity()"


def is_of_a_head(name: str) -> bool:
    return name in FOREIGN_HEADS or name in catalog.head_names()


def fed_by(execution: Execution, event: events.Mismatched) -> Model | None:
    """The library's model that answers what a layer of the script's own network does not take."""
    given = event.given
    feeder = next((m for m in execution.models if m.ref.address in (given.maker, given.source)), None)
    return feeder or (execution.owner_of(given.maker) if given.maker is not None else None)
