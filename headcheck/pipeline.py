"""The way from paths to a run: source → screen → guard → libcst → IR → executions → checks → findings → verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from headcheck.findings import FileResult, Finding, Location, Run

if TYPE_CHECKING:
    from headcheck.settings import Settings
    from headcheck.source import Source

Progress = Callable[[int, int], None]


def check_text(text: str, filename: str, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Check one script given as text, without confirming. Args: `select` and `ignore` take codes, prefixes and ALL."""
    from headcheck.analysis import analyse
    from headcheck.source import suppressions

    result = analyse(text, filename)
    chosen = choose(result.findings, tuple(select), tuple(ignore))
    return tuple(suppressions.apply(chosen, text))


def choose(findings: Iterable[Finding], select: tuple[str, ...], ignore: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings whose rule is on: selected by code or prefix, or on by default; never one that is ignored."""
    from headcheck import rulebook

    def matches(code: str, patterns: tuple[str, ...]) -> bool:
        return any(pattern == "ALL" or code.startswith(pattern) for pattern in patterns)

    def is_on(code: str) -> bool:
        if matches(code, ignore):
            return False
        return matches(code, select) if select else rulebook.rule(code).default == "on"

    return tuple(finding for finding in findings if is_on(finding.code))
