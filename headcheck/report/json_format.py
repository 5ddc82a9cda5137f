"""An array with one object for each finding."""

from __future__ import annotations

import json
from typing import Any, TextIO

from headcheck import rulebook
from headcheck.findings import Finding, Fix, Location, Run, Verdict


def render(run: Run, out: TextIO, colour: bool) -> None:
    """The findings of a run in order, refuted ones too: their `verdict` says so."""
    array = [_finding(finding) for result in run.files for finding in result.findings]
    json.dump(array, out, indent=2)
    out.write("\n")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "filename": finding.filename,
        "cell": finding.cell,
        "location": _location(finding.location),
        "end_location": _location(finding.end_location),
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "message": finding.message,
        "conditions": list(finding.conditions),
        "help": finding.help,
        "fix": finding.fix and _fix(finding.fix),
        "verdict": finding.verdict and _verdict(finding.verdict),
        "url": rulebook.rule(finding.code).url,
    }


def _location(location: Location) -> dict[str, int]:
    return {"row": location.row, "column": location.column}


def _fix(fix: Fix) -> dict[str, Any]:
    edits = [{"start": edit.start, "end": edit.end, "text": edit.text} for edit in fix.edits]
    return {"message": fix.message, "safe": fix.safe, "edits": edits}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "detail": verdict.detail,
        "device": verdict.device,
        "outputs": [{"key": key, "shape": list(shape)} for key, shape in verdict.output_shapes],
        "trainable": verdict.trainable,
        "total": verdict.total,
        "gradient": list(verdict.gradient),
        "changed": None if verdict.changed is None else list(verdict.changed),
        "milliseconds": verdict.milliseconds,
    }
