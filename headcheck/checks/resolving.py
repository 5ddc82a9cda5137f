"""Blind spots: what could not be judged, so that it can be counted."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import blindspots
from headcheck.checks import Report, check
from headcheck.execution import Execution


@check("HC902")
def unresolved_model(execution: Execution) -> Iterator[Report]:
    """A layer put into something that no execution of the file could resolve to a model headcheck knows."""
    if execution is not execution.family[0]:
        return
    for each in blindspots.survey(execution.family):
        if each.reason is None:
            continue
        owner = f"`{each.owner}`" if each.owner else "this"
        message = f"{owner} could not be resolved to a known model, so the new `{each.name}` is not checked"
        yield Report("HC902", each.site, f"{message}: {each.reason.words}")
