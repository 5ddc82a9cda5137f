"""One line for each finding."""

from __future__ import annotations

from typing import TextIO

from headcheck.findings import Finding, Run
from headcheck.report import summary, words
from headcheck.report.colour import harmless, paint


def render(run: Run, out: TextIO, colour: bool) -> None:
    """``train.py:14:12 HC101 wrong-in-features: … (when size == 50) [confirmed]``, and the summary."""
    for result in run.files:
        for finding in result.findings:
            out.write(f"{header(finding, colour)}{_rest(finding)}\n")
    out.writelines(f"{line}\n" for line in summary.lines(run))


def header(finding: Finding, colour: bool) -> str:
    """Where, which rule, and the message."""
    where = paint(words.place(finding), "bold", colour)
    code = paint(finding.code, words.STYLES[finding.severity], colour)
    return f"{where} {code} {finding.name}: {harmless(finding.message)}"


def _rest(finding: Finding) -> str:
    conditions = words.conditions(finding)
    verdict = finding.verdict.status if words.verdict(finding) and finding.verdict is not None else ""
    return (f" ({conditions})" if conditions else "") + (f" [{STATUSES[verdict]}]" if verdict else "")


STATUSES = {"confirmed": "confirmed", "refuted": "refuted", "inconclusive": "not confirmed", "clean": "ran"}
