"""Blind spots: what could not be judged, so that it can be counted. It is said of a file, not of a path through it."""

from __future__ import annotations

from headcheck.blindspots import Replacement
from headcheck.checks import Report, survey


@survey("HC902")
def unresolved_model(head: Replacement) -> Report | None:
    """A layer put into something that no execution of the file could resolve to a model headcheck knows."""
    if head.reason is None:
        return None
    owner = f"`{head.owner}`" if head.owner else "this"
    message = f"{owner} could not be resolved to a known model, so the new `{head.name}` is not checked"
    return Report("HC902", head.site, f"{message}: {head.reason.words}")
