"""From what each script of a run showed to what the run says of each file: findings lie where the line is to be mended,
which may be in a module that the script imports, and several scripts may show the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from headcheck.findings import FileResult, Finding, ModelReport


def by_file(results: Iterable[FileResult], blank: Callable[[str], FileResult]) -> list[FileResult]:
    """The results of scripts, each with findings and models in any file, as those of files.

    The files that were asked for come first, then those that scripts led to; `blank` gives the result of one in
    which nothing was found. What a
    file's own run showed goes before what scripts that import it showed.
    """
    found: dict[str, _File] = {}
    given = list(results)
    if all(thing.filename == result.filename for result in given for thing in things(result)):
        return given
    for result in given:
        found[result.filename] = _File(result)
    for own in (True, False):
        for result in given:
            for thing in things(result):
                if (thing.filename == result.filename) is own:
                    if thing.filename not in found:
                        found[thing.filename] = _File(blank(thing.filename))
                    found[thing.filename].add(thing, result.plans)
    return [file.result() for file in found.values()]


def things(result: FileResult) -> Iterator[Finding | ModelReport]:
    yield from result.findings
    yield from result.models


class _File:
    """One file's findings, models and plans as they come together."""

    def __init__(self, start: FileResult) -> None:
        self.start = start
        self.findings: dict[Any, Finding] = {}
        self.models: list[ModelReport] = []
        self.plans: list[Mapping[str, Any]] = []
        self.numbers: dict[int, int] = {}

    def add(self, thing: Finding | ModelReport, plans: tuple[Mapping[str, Any], ...]) -> None:
        """Take over a finding or a model that is not there yet."""
        if isinstance(thing, Finding):
            key = (thing.code, thing.location, thing.end_location)
            if key not in self.findings:
                self.findings[key] = thing._replace(plan=self.number(thing.plan, plans))
        elif not any(goes_further(other, thing) for other in self.models):
            self.models = [other for other in self.models if not goes_further(thing, other)]
            self.models.append(thing._replace(plan=self.number(thing.plan, plans)))

    def number(self, plan: int | None, plans: tuple[Mapping[str, Any], ...]) -> int | None:
        """The number that a plan has in this file."""
        if plan is None or plan >= len(plans):
            return None
        key = id(plans[plan])
        if key not in self.numbers:
            self.numbers[key] = len(self.plans)
            self.plans.append(plans[plan])
        return self.numbers[key]

    def result(self) -> FileResult:
        return self.start._replace(
            findings=tuple(sorted(self.findings.values(), key=lambda f: (f.location, f.code))),
            models=tuple(sorted(self.models, key=lambda m: m.location)),
            plans=tuple(self.plans),
        )


def goes_further(one: ModelReport, other: ModelReport) -> bool:
    """Whether a report tells of the same model all that another tells, and perhaps what happens to it next."""
    steps, shorter = one.timeline, other.timeline
    return (one.location, one.builder) == (other.location, other.builder) and steps[: len(shorter)] == shorter
