"""Each finding with the lines of the script it is about, what to write instead, and what running the model showed."""

from __future__ import annotations

from collections.abc import Set
from typing import TextIO

from headcheck.findings import Finding, Run
from headcheck.report import excerpt, summary, words
from headcheck.report.colour import harmless, paint
from headcheck.report.concise import header

_VERDICT_STYLES = {"confirmed": "red", "refuted": "green", "inconclusive": "yellow", "clean": "green"}


def render(run: Run, out: TextIO, colour: bool) -> None:
    """Every finding, an empty line after each, and the summary."""
    said = frozenset(run.notes)
    for result in run.files:
        for finding in result.findings:
            out.writelines(f"{line}\n" for line in _finding(finding, words.lines(result, finding), colour, said))
            out.write("\n")
    out.writelines(f"{line}\n" for line in summary.lines(run))


def _finding(finding: Finding, lines: list[str], colour: bool, notes: Set[str]) -> list[str]:
    """`notes` are said of the whole run: a verdict that is one of them is not said again."""
    said = [header(finding, colour), *excerpt.lines(finding, lines, colour)]
    if finding.help:
        first, *rest = finding.help.split("\n")
        said += [
            f"  {paint('help', 'bold cyan', colour)}: {harmless(first)}",
            *(f"        {harmless(r)}" for r in rest),
        ]
    if finding.conditions:
        said.append(f"  {words.conditions(finding)}")
    verdict = words.verdict(finding)
    if verdict and verdict not in notes and finding.verdict is not None:
        said.append("  " + paint(verdict, _VERDICT_STYLES[finding.verdict.status], colour))
    return said
