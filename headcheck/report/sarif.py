"""SARIF 2.1.0, the format of code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import Any, Final, TextIO
from urllib.parse import quote

from headcheck import __version__, rulebook
from headcheck.findings import FileResult, Finding, Run
from headcheck.report import words

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
HOME: Final = "https://github.com/headcheck/headcheck"
LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}


def render(run: Run, out: TextIO, colour: bool) -> None:
    """One run with a result for each finding that counts, and the pages of the rules that fired."""
    found = [(result, finding) for result in run.files for finding in result.findings if words.counts(finding)]
    codes = sorted({finding.code for _, finding in found})
    fingerprints = _Fingerprints()
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "headcheck",
                        "informationUri": HOME,
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(run)],
                "results": [
                    _result(finding, codes.index(finding.code), fingerprints.of(result, finding))
                    for result, finding in found
                ],
            }
        ],
    }
    json.dump(log, out, indent=2)
    out.write("\n")


def _rule(code: str) -> dict[str, Any]:
    rule = rulebook.rule(code)
    return {
        "id": rule.code,
        "name": "".join(map(str.capitalize, rule.name.split("-"))),
        "shortDescription": {"text": rule.name},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rulebook.render(code), "markdown": rule.text},
        "helpUri": rule.url,
        "defaultConfiguration": {"enabled": rule.default == "on", "level": LEVELS[rule.severity]},
    }


def _invocation(run: Run) -> dict[str, Any]:
    notes = [{"level": "note", "message": {"text": note}} for note in run.notes]
    return {"executionSuccessful": True, "toolExecutionNotifications": notes}


def _result(finding: Finding, index: int, fingerprint: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"conditions": list(finding.conditions), "help": finding.help}
    if finding.verdict is not None:
        properties["verdict"] = {"status": finding.verdict.status, "detail": finding.verdict.detail}
    cell = "" if finding.cell is None else f"In cell {finding.cell}, line {finding.location.row}:"
    lines = (cell, finding.message, words.conditions(finding), finding.help and f"Write instead: {finding.help}")
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": "\n".join(filter(None, (*lines, words.verdict(finding))))},
        "locations": [{"physicalLocation": _place(finding)}],
        "partialFingerprints": {"headcheck/v1": fingerprint},
        "properties": properties,
    }


def _place(finding: Finding) -> dict[str, Any]:
    start, end = finding.location, finding.end_location
    if finding.cell is not None:  # the file's lines are those of its JSON, where the columns are others
        first, last = words.in_file(finding)
        return {"artifactLocation": {"uri": uri(finding.filename)}, "region": {"startLine": first, "endLine": last}}
    region = {
        "startLine": start.row,
        "startColumn": start.column,
        "endLine": max(end.row, start.row),
        "endColumn": max(end.column, start.column) if end.row <= start.row else end.column,
    }
    return {"artifactLocation": {"uri": uri(finding.filename)}, "region": region}


def uri(filename: str) -> str:
    """A relative name as a relative reference, an absolute one as a ``file:`` URI."""
    path = quote(os.fsencode(filename.replace(os.sep, "/")))
    return f"file://{path if path.startswith('/') else '/' + path}" if os.path.isabs(filename) else path


class _Fingerprints:
    """What stays the same when lines are added elsewhere: the rule, the file, the line's text, and which of equals."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], int] = {}

    def of(self, result: FileResult, finding: Finding) -> str:
        lines = words.lines(result, finding)
        row = finding.location.row
        line = "".join(lines[row - 1].split()) if row <= len(lines) else ""
        key = (finding.code, uri(finding.filename), line)
        number = self._seen[key] = self._seen.get(key, -1) + 1
        return sha256("\0".join((*key, str(number))).encode("utf-8", "surrogatepass")).hexdigest()[:32]
