"""Reads one script whole: its findings, its models and their plans, from the text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import libcst as cst

from headcheck import checks, rulebook, settle
from headcheck.checks import Report
from headcheck.execution import Execution, FileFacts
from headcheck.findings import FileResult, Finding, Location
from headcheck.interpreter.run import interpret
from headcheck.ir import facts
from headcheck.ir.lower import lower
from headcheck.positions import Positions
from headcheck.source import guard


def analyse(text: str, filename: str, local_modules: Callable[[str, int], bool] = lambda name, level: level > 0) -> FileResult:
    """Read a script. A text that cannot be parsed gives one HC901 finding."""
    checked = guard.check(text)
    if isinstance(checked, guard.Unreadable):
        return FileResult(filename, text, (unreadable(filename, checked),), relevant=True)
    module = guard.parse(text)
    return analyse_module(module, text, filename, local_modules)


def analyse_module(module: cst.Module, text: str, filename: str, local_modules: Callable[[str, int], bool]) -> FileResult:
    positions = Positions(module)
    block = lower(module)
    file_facts = FileFacts(
        facts.assigned_attributes(block), facts.used_attributes(block), facts.has_defaults(block), positions.line
    )
    executions = interpret(block, file_facts, local_modules)
    findings = find(executions, positions, filename)
    return FileResult(filename, text, findings, relevant=True)


def find(executions: list[Execution], positions: Positions, filename: str) -> tuple[Finding, ...]:
    """Ask every check about every execution, and keep what its rule promises to hold."""
    reports: dict[tuple[str, int], list[tuple[Execution, Report]]] = {}
    for execution in executions:
        for _, function in checks.load():
            for report in function(execution):
                reports.setdefault((report.code, id(report.site)), []).append((execution, report))
    findings = []
    for (code, _), seen in reports.items():
        kept = settle.over_paths(code, seen, executions)
        if kept is not None:
            findings.append(finding(*kept, positions, filename))
    return tuple(sorted(findings, key=lambda f: (f.location, f.code)))


def finding(report: Report, conditions: Iterable[Any], positions: Positions, filename: str) -> Finding:
    rule = rulebook.rule(report.code)
    start, end = positions.span(report.site)
    return Finding(
        filename,
        report.code,
        rule.name,
        report.severity or rule.severity,
        report.message,
        start,
        end,
        report.help,
        settle.condition_words(conditions, positions.code),
        expectation=report.expectation,
    )


def unreadable(filename: str, what: guard.Unreadable) -> Finding:
    rule = rulebook.rule("HC901")
    place = Location(what.row or 1, what.column or 1)
    return Finding(filename, rule.code, rule.name, rule.severity, what.reason, place, place)
