"""Composite heads, a pooling, a norm and a layer in one: a single layer in the place of it all may raise nothing."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.answers import answers_as_it_is
from headcheck.catalog.entry import Shape
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, new_head, outputs_of, shape_words
from headcheck.execution import Execution

LINEAR = "torch.nn.Linear"
MAP = 3  # sizes of a feature map, without the batch's


@check("HC102")
def pooling_thrown_away(execution: Execution) -> Iterator[Report]:
    """A Linear in the place of a head that pooled: it takes the map, and the model answers a map of classes."""
    for model in execution.models:
        if not execution.forward_is_the_librarys(model):
            continue
        for head in (h for h in model.entry.heads if not h.auxiliary):
            place = next(execution.edited_places(model, head.path), None)
            part = execution.part(model, place) if place is not None else None
            if place is None or part is None or not execution.is_new(part) or LINEAR not in execution.kinds_in(part):
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
            yield Report("HC102", site, message, help_, model=model.ref.address)


def is_left_map(shape: Shape, was: Shape | None) -> bool:
    """Whether a map, or a sequence, comes out where a vector did."""
    return was is not None and len(was) == 1 and 1 < len(shape) <= MAP and any(size != 1 for size in shape[:-1])
