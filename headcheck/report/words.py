"""The words that several formats share."""

from __future__ import annotations

from typing import Final

from headcheck.findings import FileResult, Finding, Verdict
from headcheck.report import summary
from headcheck.report.colour import harmless

STYLES: Final = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}


def counts(finding: Finding) -> bool:
    """Whether a finding counts: not one that running the model refuted."""
    return finding.verdict is None or finding.verdict.status != "refuted"


def place(finding: Finding) -> str:
    """``train.py:14:12``; with the number of its cell in a notebook: ``train.ipynb:cell 3:14:12``."""
    cell = "" if finding.cell is None else f"cell {finding.cell}:"
    return f"{harmless(finding.filename)}:{cell}{finding.location.row}:{finding.location.column}"


def lines(result: FileResult, finding: Finding) -> list[str]:
    """The lines that a finding's rows count: those of its cell, or of the file."""
    texts = (cell.text for cell in result.cells if cell.number == finding.cell)
    return (result.text if finding.cell is None else next(texts, "")).split("\n")


def in_file(finding: Finding) -> tuple[int, int]:
    """First and last row in the file itself; of a notebook, of its JSON (1 if nothing better is known)."""
    first, last = finding.location.row, finding.end_location.row
    if finding.cell is None:
        return first, last
    return (1, 1) if finding.file_row is None else (finding.file_row, finding.file_row + max(last - first, 0))


def conditions(finding: Finding) -> str:
    """``when size == 50 and pretrained``, or nothing."""
    return "when " + " and ".join(map(harmless, finding.conditions)) if finding.conditions else ""


def verdict(finding: Finding) -> str:
    """What running the model said of a finding, in one line; "" where there was nothing to be said."""
    if finding.verdict is None or finding.expectation.kind == "none":
        return ""
    return VERDICTS[finding.verdict.status].format(
        device=device(finding.verdict.device), detail=one_line(finding.verdict)
    )


def device(name: str) -> str:
    """A device as people are told of it."""
    return harmless(summary.device_name(name))


def one_line(verdict: Verdict) -> str:
    """PyTorch's own text, however many lines it has, on one."""
    return harmless(" ".join(verdict.detail.split()))


VERDICTS: Final = {
    "confirmed": "confirmed on {device}: {detail}",
    "refuted": "refuted on {device}: {detail}; headcheck is mistaken here, this does not count, please report it",
    "inconclusive": "not confirmed: {detail}",
    "clean": "ran on {device}: {detail}",
}
