"""Blind spots: what could not be judged, so that it can be counted."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.checks import Report, check
from headcheck.execution import Execution


@check("HC902")
def unresolved_model(execution: Execution) -> Iterator[Report]:
    """A layer put into something that headcheck could not resolve to a model it knows."""
    for event in execution.unresolved_heads():
        message = f"`{event.owner}` could not be resolved to a known model, so the new `{event.name}` is not checked"
        yield Report("HC902", event.site, message)
