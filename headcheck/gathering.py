"""From what each script of a run showed to what the run says of each file: findings lie where the line is to be mended,
which may be in a module that the script imports, and several scripts may show the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from headcheck import checks
from headcheck.findings import FileResult, Finding, ModelReport

_Key: TypeAlias = "tuple[str, str, int | None]"


def by_file(
    checked: Mapping[str, FileResult | None], runs: Sequence[FileResult], blank: Callable[[str], FileResult | None]
) -> list[FileResult]:
    """The results of files from what scripts show, each with findings and models in any file.

    `checked` are the files that were asked for, in their order, with the results of those that were not run: in these
    nothing else is found. `runs` are those of the others, and of scripts that lead to them. After the files that were
    asked for come those that they lead to; `blank` gives the result of one in which nothing was found, None if it
    cannot matter. So what is said of a file depends on its project, and not on what else was asked for.
    """
    found = {run.filename: _File(run) for run in runs if checked.get(run.filename, run) is None}
    overruled = _overruled(runs)
    for run in sorted(runs, key=lambda result: result.filename):
        for thing in things(run):
            name = thing.filename
            if name not in found and name not in checked and run.filename in checked:
                empty = blank(name)
                if empty is not None:
                    found[name] = _File(empty)
            if name in found and not (isinstance(thing, Finding) and (run.filename, *_key(thing)) in overruled):
                found[name].add(thing, run)
    results = {name: result for name, result in checked.items() if result is not None}
    results.update((name, followed_elsewhere(file.result(), runs)) for name, file in found.items())
    order = [*checked, *(name for name in found if name not in checked)]
    return [results[name] for name in order if name in results]


def things(result: FileResult) -> Iterator[Finding | ModelReport]:
    yield from result.findings
    yield from result.models


def _key(finding: Finding) -> _Key:
    return finding.filename, finding.code, finding.site


def _overruled(runs: Sequence[FileResult]) -> set[tuple[str, str, str, int | None]]:
    """What a script shows, and a script that leads to it does not, although it comes by the place as well.

    (Script, file, code, operation) of findings on something missing: it is done by those who use what stands there.
    """
    shown = {run.filename: {_key(finding) for finding in run.findings} for run in runs}
    users = [run for run in runs if run.trail.passed]
    return {
        (run.filename, *_key(finding))
        for run in runs
        for finding in run.findings
        if finding.yields and any(_knows_better(user, run, finding, shown[user.filename]) for user in users)
    }


def _knows_better(user: FileResult, run: FileResult, finding: Finding, shown: set[_Key]) -> bool:
    passed = user.trail.passed
    if user is run or run.filename not in passed:
        return False
    return finding.site in passed.get(finding.filename, ()) and _key(finding) not in shown


class _File:
    """One file's findings and models as they come together, each with the run that showed it."""

    def __init__(self, start: FileResult) -> None:
        self.start = start
        self.findings: dict[Any, tuple[Any, Finding, FileResult]] = {}
        self.models: list[tuple[ModelReport, FileResult]] = []
        self.plans: list[Mapping[str, Any]] = []
        self.numbers: dict[int, int] = {}

    def add(self, thing: Finding | ModelReport, run: FileResult) -> None:
        """Take over a finding or a model, unless it is there already.

        If several scripts show the same, what holds without conditions goes first, then what the file's own run says.
        """
        if isinstance(thing, Finding):
            place = (thing.code, thing.location, thing.end_location)
            rank = (bool(thing.conditions), run.filename != thing.filename, run.filename)
            if place not in self.findings or rank < self.findings[place][0]:
                self.findings[place] = (rank, thing, run)
        elif not any(goes_further(other, thing) for other, _ in self.models):
            self.models = [(other, its_run) for other, its_run in self.models if not goes_further(thing, other)]
            self.models.append((thing, run))

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
        findings = [
            with_way(finding)._replace(plan=self.number(finding.plan, run.plans))
            for _, finding, run in self.findings.values()
        ]
        models = [model._replace(plan=self.number(model.plan, run.plans)) for model, run in self.models]
        return self.start._replace(
            findings=tuple(sorted(findings, key=lambda f: (f.location, f.code))),
            models=tuple(sorted(models, key=lambda m: m.location)),
            plans=tuple(self.plans),
        )


def followed_elsewhere(result: FileResult, runs: Sequence[FileResult]) -> FileResult:
    """The result of a file without the blind spots that are none to scripts which lead to it: they know the model, or
    it had no such part, so that none was replaced."""
    if not result.trail.unresolved:
        return result
    known = frozenset().union(*(run.trail.resolved.get(result.filename, frozenset()) for run in runs))
    added = frozenset().union(*(run.trail.added.get(result.filename, frozenset()) for run in runs)) - known
    unknown = {site: reason for site, reason in result.trail.unresolved.items() if site not in added}
    left = {site: reason for site, reason in unknown.items() if site not in known}
    surveyed = {code for code, _ in checks.surveys()}
    return result._replace(
        findings=tuple(f for f in result.findings if f.code not in surveyed or f.site in left),
        statistics=result.statistics._replace(
            replacements=result.statistics.replacements - len(result.trail.unresolved) + len(unknown),
            resolved=result.statistics.resolved + len(unknown) - len(left),
            reasons=tuple(sorted(Counter(left.values()).items())),
        ),
        blind_spots=tuple(spot for spot in result.blind_spots if spot.site in left),
    )


def with_way(finding: Finding) -> Finding:
    """A finding with the call that leads to it as a condition, if another file makes it."""
    if not finding.called_at:
        return finding
    return finding._replace(conditions=(*finding.conditions, f"called from {finding.called_at}"))


def goes_further(one: ModelReport, other: ModelReport) -> bool:
    """Whether a report tells of the same model all that another tells, and perhaps what happens to it next."""
    steps, shorter = one.timeline, other.timeline
    return (one.location, one.builder) == (other.location, other.builder) and steps[: len(shorter)] == shorter
