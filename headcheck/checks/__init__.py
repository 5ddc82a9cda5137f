"""The checks: each keeps the promise of one rule (or of a few that one look decides), and asks an execution only named
questions. A check is registered with the codes it can report:

    @check("HC103")
    def resize_without_effect(execution: Execution) -> Iterator[Report]: ...

What is said of a new head whatever path leads there is registered as a survey, and is asked about each head once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

from headcheck.blindspots import Replacement
from headcheck.execution import Execution
from headcheck.findings import Expectation, Severity
from headcheck.interpreter.values import Address
from headcheck.records import NamedTuple


class Report(NamedTuple):
    """What a check says of one execution: `site` is the operation to mend, `model` the model to confirm it on.

    `fix` is a keyword of the call at `site` and the text to put in the place of it and its value; `steps` are a plan of
    their own (see `headcheck.plans`), for what goes wrong before there is a model. `order` says that the operation is
    wrong where it comes, not in itself: a function in another file that does it is right, and its call is to mend.
    `of_any` says that it is wrong whichever model the script chooses. `within` is a library's model: what is reported
    shows where the script's network runs that holds it. `always`: it counts only if it shows on every path. `size` is
    what the script gives and this model does not take: it is right for one that does. `at` is the event that is wrong,
    if it is so whatever comes after it.
    """

    code: str
    site: Any
    message: str
    help: str = ""
    expectation: Expectation = Expectation()
    model: Address | None = None
    severity: Severity | None = None
    fix: tuple[str, str] | None = None
    steps: tuple[dict[str, Any], ...] = ()
    order: bool = False
    of_any: bool = False
    within: Address | None = None
    always: bool = False
    size: int | None = None
    at: Any = None


Check: TypeAlias = Callable[[Execution], Iterator[Report]]
Survey: TypeAlias = Callable[[Replacement], "Report | None"]
_CHECKS: list[tuple[tuple[str, ...], Check]] = []
_SURVEYS: list[tuple[str, Survey]] = []


def check(*codes: str) -> Callable[[Check], Check]:
    """Register a check with the codes it can report."""

    def register(function: Check) -> Check:
        _CHECKS.append((codes, function))
        return function

    return register


def survey(code: str) -> Callable[[Survey], Survey]:
    """Register what is asked about each new head of a file, with its code."""

    def register(function: Survey) -> Survey:
        _SURVEYS.append((code, function))
        return function

    return register


@cache
def load() -> list[tuple[tuple[str, ...], Check]]:
    """All checks with their codes, in the order of their modules."""
    from headcheck.checks import (  # noqa: F401
        attributes,
        backbones,
        building,
        composite,
        counts,
        detection,
        freezing,
        gradients,
        hub,
        loading,
        losses,
        optimizing,
        resolving,
        running,
        sizes,
        structure,
        wiring,
    )

    return _CHECKS


def surveys() -> list[tuple[str, Survey]]:
    """All surveys with their codes."""
    load()
    return _SURVEYS


def registered() -> frozenset[str]:
    """The codes of all checks and surveys."""
    return frozenset(code for codes, _ in load() for code in codes).union(code for code, _ in surveys())
