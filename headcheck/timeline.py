"""What headcheck understood of each model, in words that a beginner can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headcheck import events
from headcheck.catalog.entry import Shape
from headcheck.checks.words import class_name, dotted, layer_name, model_name, outputs_of
from headcheck.execution import Execution, Model
from headcheck.findings import HeadReport, ModelReport, TimelineStep
from headcheck.interpreter.values import PLAIN, Ref, Symbol, Tuple, Value, label
from headcheck.ir import UNKNOWN
from headcheck.plans import connected, stem_channels
from headcheck.source import cells
from headcheck.units import Places, near, said_in


def report(execution: Execution, model: Model, places: Places, conditions: tuple[str, ...]) -> ModelReport:
    """One model on one execution: its timeline, its heads, its output shape and how much of it is trainable."""
    trainable, total = count_parameters(execution, model.ref)
    return ModelReport(
        places.filename(model.built.site),
        execution.name_of(model.ref),
        model_name(model),
        places.span(model.built.site)[0],
        conditions,
        tuple(timeline(execution, model, places)),
        tuple(heads(execution, model)),
        input_shape(execution, model),
        output_shape(execution, model),
        trainable,
        total,
    )


def timeline(execution: Execution, model: Model, places: Places) -> Iterator[TimelineStep]:
    """The events of a model in order; what one line does over and over is said once."""
    mine = connected(execution, model.ref.address)
    home = places.unit_of(model.built.site)
    last = None
    for event in execution.history:
        words = WORDS.get(type(event))
        text = words(execution, model, mine, event) if words else ""
        key = (id(event.site), type(event), text if not isinstance(event, events.Flagged) else event.value)
        if text and key != last:
            text = said_in(home, text)
            unit = places.unit_of(event.site)
            if unit is home:
                yield TimelineStep(places.span(event.site)[0], text)
            else:
                cell, start = cells.place(unit.cells, places.span(event.site)[0])
                yield TimelineStep(start, text, cell, near(unit.path, home))
        last = key if text else last


def place_of(execution: Execution, model: Model, address: Any) -> str:
    """Where a module sits in the model: `fc`, or "" for the model itself."""
    place = execution.was_at(address)
    return dotted(place[1]) if place is not None and place[0] is model and place[1] else ""


def value_words(execution: Execution, value: Value) -> str:
    """A layer as one writes it: ``Linear(2048, 10)``."""
    module = execution.module(value)
    if module is None:
        return "None" if value is None else "something headcheck cannot follow"
    kind = class_name(execution, value)
    children = execution.children(value)
    if kind == "Sequential" and children is not None:
        return f"Sequential({', '.join(part_words(execution, child) for _, child in children)})"
    return part_words(execution, value)


def part_words(execution: Execution, part: Any) -> str:
    kind = class_name(execution, part)
    sizes = [execution.field(part, name) for name in ("in_features", "out_features", "in_channels", "out_channels")]
    known = [s for s in sizes if s is not UNKNOWN and s is not None]
    return f"{kind}({', '.join(size_words(s) for s in known)})" if known else kind


def size_words(value: Value) -> str:
    if type(value) is Tuple:
        return f"({', '.join(size_words(item) for item in value.items)})"
    return str(value) if isinstance(value, PLAIN) else label(value) if type(value) is Symbol else "?"


def built_words(execution: Execution, model: Model, mine: set[Any], event: events.Built) -> str:
    if event.module != model.ref.address:
        return ""
    weights = "without weights" if event.weights is False else "with pretrained weights"
    if not isinstance(event.weights, (bool, str)):
        weights = "with or without pretrained weights"
    return f"{model_name(model)} is built {weights}"


def set_words(execution: Execution, model: Model, mine: set[Any], event: events.ChildSet) -> str:
    if execution.owner_of(event.owner) is not model:
        return ""
    where = place_of(execution, model, event.owner)
    name = dotted(f"{where}.{event.name}" if where else event.name)
    used = "" if event.old is not None or where != "" else " (a new name)"
    return f"`{name}` becomes {value_words(execution, event.new)}{used}"


def deleted_words(execution: Execution, model: Model, mine: set[Any], event: events.ChildDeleted) -> str:
    if execution.owner_of(event.owner) is not model:
        return ""
    where = place_of(execution, model, event.owner)
    return f"`{dotted(f'{where}.{event.name}' if where else event.name)}` is deleted"


def flagged_words(execution: Execution, model: Model, mine: set[Any], event: events.Flagged) -> str:
    if event.module not in mine:
        return ""
    verb = "trainable" if event.value else "frozen"
    where = place_of(execution, model, event.module)
    if event.paths is None:
        return f"all parameters{f' of `{where}`' if where else ''} are made {verb}"
    return f"parameters{f' of `{where}`' if where else ''} are made {verb}, one by one"


def field_words(execution: Execution, model: Model, mine: set[Any], event: events.FieldSet) -> str:
    if execution.owner_of(event.owner) is not model:
        return ""
    where = place_of(execution, model, event.owner)
    return f"`{f'{where}.' if where else ''}{event.name}` is set to {size_words(event.value)}"


def missing_words(execution: Execution, model: Model, mine: set[Any], event: events.Missing) -> str:
    if execution.owner_of(event.owner) is not model:
        return ""
    where = place_of(execution, model, event.owner)
    return f"reads `{f'{where}.' if where else ''}{event.name}`, which does not exist: the script stops here"


def optimizer_words(execution: Execution, model: Model, mine: set[Any], event: events.Optimized) -> str:
    held = [p for p in event.parameters if type(p.owner) is Ref and p.owner.address in mine]
    return f"{layer_name(event.kind)} gets {len(held)} of its parameter tensors" if held else ""


def moved_words(execution: Execution, model: Model, mine: set[Any], event: events.Moved) -> str:
    return f"moved to {event.target}" if event.module in mine else ""


def mode_words(execution: Execution, model: Model, mine: set[Any], event: events.ModeSet) -> str:
    return f"put in {'training' if event.training else 'evaluation'} mode" if event.module in mine else ""


def escaped_words(execution: Execution, model: Model, mine: set[Any], event: events.Escaped) -> str:
    return f"handed to `{event.where}`, which headcheck does not follow" if event.module == model.ref.address else ""


WORDS: dict[type, Callable[[Execution, Model, set[Any], Any], str]] = {
    events.Built: built_words,
    events.ChildSet: set_words,
    events.ChildDeleted: deleted_words,
    events.Flagged: flagged_words,
    events.FieldSet: field_words,
    events.Missing: missing_words,
    events.Optimized: optimizer_words,
    events.Moved: moved_words,
    events.ModeSet: mode_words,
    events.Escaped: escaped_words,
}


def heads(execution: Execution, model: Model) -> Iterator[HeadReport]:
    """The model's heads as the script leaves them."""
    seen: set[str] = set()
    for head in model.entry.places:
        path, part = head.path, execution.part(model, head.path)
        places = list(execution.edited_places(model, head.path))
        if head in model.entry.open and not places:
            continue
        if part is None and places:
            path, part = places[-1], execution.part(model, places[-1])
        if part is None or path in seen:
            continue
        seen.add(path)
        words = value_words(execution, part) if type(part) is Ref else part_words(execution, part)
        sizes = [execution.field(part, n) for n in ("in_features", "in_channels")]
        takes = next((s for s in sizes if isinstance(s, int)), None)
        gives = outputs_of(execution, part)
        yield HeadReport(path, words, takes, gives if isinstance(gives, int) else None, head.auxiliary)


def input_shape(execution: Execution, model: Model) -> tuple[int, ...] | None:
    if not model.entry.input:
        return None
    first, *rest = model.entry.input
    return (1, stem_channels(execution, model) or first, *rest)


def output_shape(execution: Execution, model: Model) -> tuple[int | None, ...] | None:
    """What the model's main output will be for one input, if the head's end says so."""
    main = next((h for h in model.entry.places if not h.auxiliary), None)
    if main is None or not execution.forward_is_the_librarys(model):
        return None
    ends: list[Shape] = []
    for place in execution.edited_places(model, main.path):
        part = execution.part(model, place)
        flow = execution.flow(part, execution.arriving(model, place), place) if part is not None else None
        if flow is not None and flow.mismatch is not None:
            return None
        if flow is not None and flow.shape is not None:
            if model.entry.outputs.get(place, ())[1:] == (1, 1) and None in flow.shape:
                return None  # the model flattens what it is not known to have pooled
            ends.append(flow.shape)
            break
    else:
        if execution.exists(model, main.path) and not list(execution.edited_places(model, main.path)):
            ends.append(model.entry.outputs.get(main.path, (main.out_features,)))
    if not ends or model.entry.task not in ("classification", "quantization", "video"):
        return None
    end = ends[0]
    if main.kind == "torch.nn.Conv3d":  # S3D takes the mean of what its head answers
        return (1, end[0])
    return (1, *end) if len(end) == 1 else (1, end[0]) if all(s == 1 for s in end[1:]) else (1, *end)


def count_parameters(execution: Execution, ref: Ref) -> tuple[int | None, int | None]:
    """(trainable, total) numbers of a model, None where a size is not known."""
    listing = execution.parameters(ref)
    if not listing.complete or not listing.items:
        return None, None
    trainable = total = 0
    for _, parameter in listing.items:
        size = execution.size_of(parameter)
        if size is None:
            return None, None
        total += size
        trainable += size if execution.trainable(parameter) else 0
    return None if execution.flags_unseen(True) or execution.flags_unseen(False) else trainable, total
