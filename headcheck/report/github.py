"""Workflow commands that GitHub Actions shows as annotations."""

from __future__ import annotations

from typing import Final, TextIO

from headcheck.findings import Finding, Run
from headcheck.report import words

LEVELS: Final = {"error": "error", "warning": "warning", "info": "notice"}


def render(run: Run, out: TextIO, colour: bool) -> None:
    """One command for each finding that counts."""
    for result in run.files:
        for finding in filter(words.counts, result.findings):
            properties = ",".join(f"{name}={_property(str(value))}" for name, value in _properties(finding).items())
            out.write(f"::{LEVELS[finding.severity]} {properties}::{_data(_message(finding))}\n")


def _properties(finding: Finding) -> dict[str, object]:
    first, last = words.in_file(finding)
    properties: dict[str, object] = {
        "title": f"headcheck {finding.code} {finding.name}",
        "file": finding.filename,
        "line": first,
        "endLine": last,
    }
    if first == last and finding.cell is None:  # GitHub refuses columns on different lines; those of JSON are others
        properties |= {"col": finding.location.column, "endColumn": finding.end_location.column}
    return properties


def _message(finding: Finding) -> str:
    help_line = f"help: {finding.help}" if finding.help else ""
    where = f"{words.place(finding)} {finding.code} {finding.message}"
    return "\n".join(filter(None, (where, help_line, words.conditions(finding), words.verdict(finding))))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
