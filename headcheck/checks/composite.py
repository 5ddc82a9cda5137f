"""Composite heads, a pooling, a norm and a layer in one: a single layer in the place of it all may raise nothing."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.answers import answers_as_it_is
from headcheck.catalog.entry import Head, Shape
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, new_head, outputs_of, shape_words
from headcheck.execution import SIZED, Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.parts import Part

LINEAR = "torch.nn.Linear"
CONVOLUTION = "torch.nn.Conv2d"
MAP = 3  # sizes of a feature map, without the batch's
ONE_PLACE = (1, 1)
FLAT = frozenset(["BatchNorm2d", "Dropout", "Dropout2d", "GELU", "Identity", "LeakyReLU", "ReLU", "SiLU"])


@check("HC102")
def pooling_thrown_away(execution: Execution) -> Iterator[Report]:
    """A Linear in the place of a head that pooled: it takes the map, and the model answers a map of classes."""
    for model, head, place, part in edited_heads(execution):
        if not execution.is_new(part) or LINEAR not in execution.kinds_in(part):
            continue
        arrives, was = execution.arriving(model, place), model.entry.outputs.get(place)
        flow = execution.flow(part, arrives, place)
        if flow.shape is None or flow.mismatch is not None or not is_left_map(flow.shape, was):
            continue
        event = execution.replacement(model, head.path)
        if arrives is None or event is None or not answers_as_it_is(execution, model):
            continue
        what = "a feature map" if len(arrives) == MAP else "a vector for every token,"
        message = (
            f"Linear takes a vector, but {built(execution, model)} feeds {what} of {shape_words(arrives)} into "
            f"`{dotted(place)}`: what picked or pooled is gone, and {shape_words(flow.shape)} comes out"
        )
        help_ = new_head(execution, model, head, outputs_of(execution, part))
        site = execution.site_of(part) or event.site
        yield Report("HC102", site, message, help_, answers(execution, part), model.ref.address)


@check("HC102")
def map_flattened(execution: Execution) -> Iterator[Report]:
    """Layers that leave a map its sides, in the place of a head that pooled: the model flattens what comes out, and
    each class has as many outputs as the map has places. A picture so small that it has one is rare: a warning."""
    for model, head, place, part in edited_heads(execution):
        was = model.entry.outputs.get(place)
        if was is None or was[1:] != ONE_PLACE or not keeps_sides(execution, part):
            continue
        flow = execution.flow(part, execution.arriving(model, place), place)
        event = execution.replacement(model, head.path)
        if flow.shape is None or flow.mismatch is not None or len(flow.shape) != MAP or 1 in flow.shape[1:]:
            continue
        if event is None or not answers_as_it_is(execution, model) or not execution.kinds_in(part) & SIZED:
            continue  # what has no outputs of its own is no classifier: somebody wants the features, and gets them
        message = (
            f"`{dotted(place)}` of {built(execution, model)} pooled what its layers answered, these do not: every "
            "place of the map becomes a class of its own"
        )
        help_ = new_head(execution, model, head, outputs_of(execution, part))
        site = execution.site_of(part) or event.site
        yield Report("HC102", site, message, help_, answers(execution, part), model.ref.address, "warning")


def edited_heads(execution: Execution) -> Iterator[tuple[Model, Head, str, Part]]:
    """The heads that something was done to, of models whose forward is the library's: with the place, and what is there
    now."""
    for model in execution.models:
        for head in model.entry.heads if execution.forward_is_the_librarys(model) else ():
            place = None if head.auxiliary else next(execution.edited_places(model, head.path), None)
            part = execution.part(model, place) if place is not None else None
            if place is not None and part is not None:
                yield model, head, place, part


def answers(execution: Execution, part: Part) -> Expectation:
    """What a run must show: another answer than one number for each class of a new head."""
    count = outputs_of(execution, part)
    return Expectation("not-by-class", classes=count if type(count) is int else None)


def keeps_sides(execution: Execution, part: Part) -> bool:
    """Whether a new module is known to leave a map its sides: convolutions of one place, and what has no sides."""
    if not execution.is_new(part):
        return False
    if execution.kind(part) == CONVOLUTION:
        return execution.field(part, "kernel_size") in (1, (1, 1)) and execution.field(part, "stride") in (1, (1, 1))
    if execution.kind(part) == "torch.nn.Sequential":
        children = execution.children(part)
        return bool(children) and all(keeps_sides(execution, child) for _, child in children or ())
    return execution.kind(part).rpartition(".")[2] in FLAT


def is_left_map(shape: Shape, was: Shape | None) -> bool:
    """Whether a map, or a sequence, comes out where a vector did."""
    return was is not None and len(was) == 1 and 1 < len(shape) <= MAP and any(size != 1 for size in shape[:-1])
