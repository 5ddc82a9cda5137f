"""Where findings and verdicts meet: what held on which paths becomes findings, and verdicts are joined to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import telling
from headcheck.findings import CANDIDATES, FileResult, Finding, Verdict

if TYPE_CHECKING:
    from headcheck.checks import Report
    from headcheck.confirm.observation import Observation
    from headcheck.execution import Execution
    from headcheck.interpreter.state import Guess

Seen: TypeAlias = "list[tuple[Execution, Report]]"
AT_DEFAULTS = "its arguments are at their defaults"


def over_paths(
    code: str, seen: Seen, executions: list[Execution], idle: Sequence[Execution] = ()
) -> tuple[Execution, Report, list[Any]] | None:
    """One report out of all made at one place, with its execution and conditions, if the rule's `holds` is kept.

    ``some-path``: one path that can really be taken is enough. ``every-path``: every path that comes by the place with
    a model built where the reported one was must show it (of a mere warning, with any model), none may have lost
    anything, and the model must not have been handed to code that was not followed.
    """
    from headcheck import rulebook

    rule = rulebook.rule(code)

    sure = [(execution, report) for execution, report in seen if counts_here(execution, report, executions)]
    if not sure:
        return None
    sure = [(e, report) for e, report in sure if all(holds_for_all(g, e, report, sure, executions) for g in e.guesses)]
    if not sure:
        return None
    # Where a report holds for all candidates that have a path, nothing else is known of those that have none.
    groups = {guess.group for execution, _ in sure for guess in execution.guesses if guess.is_open}
    rest = {id(e) for e in executions if any(g.name is None and g.group in groups for g in e.guesses)}
    known = [e for e in executions if not e.doubtful and id(e) not in rest]
    passing = [e for e in known if e.passes(sure[0][1].site)]
    showing = {id(execution) for execution, _ in sure}
    if rule.holds == "every-path" or sure[0][1].always:
        built = {id(site) for e, report in sure for site in built_at(e, report)}
        builders = built if rule.severity == "error" else set()
        for execution in passing:
            if builders and builders.isdisjoint(execution.sites):
                continue
            if id(execution) not in showing or execution.cut:
                return None
        if any(report.model is not None and execution.escaped(report.model) for execution, report in sure):
            return None
    # What a path that lost something does not show may still hold on it.
    speaking = [e for e in passing if not e.cut] if all(report.of_any for _, report in sure) else passing
    others = [e for e in [*speaking, *beside(sure, known)] if id(e) not in showing]
    looked_at = [*known, *(e for e in idle if not e.doubtful)]
    silent = [e for e in unharmed(sure, looked_at) if id(e) not in showing]
    left_out = [e for e in unharmed(sure, looked_at, cut=True) if id(e) not in showing]
    astray = [e for e in [*executions, *idle] if e.reads_unset and not e.cut]
    for execution, report in sorted(sure, key=lambda pair: (pair[0].defaults, len(pair[0].conditions))):
        conditions = needed(execution, [e for e, _ in sure], others)
        spared = spared_by(execution, conditions, [e for e in known if id(e) not in showing])
        if spared:  # what was stated is not all that it takes
            others = [*others, *spared]
            conditions = needed(execution, [e for e, _ in sure], others)
        shared = shared_conditions(execution, sure) if execution.cut else conditions
        conditions, shared = until(execution, report, conditions), until(execution, report, shared)
        if any(invented for _, _, invented in (conditions if others else shared)):
            continue  # nobody knows if the path that shows it can be taken
        if len(execution.names_in(shared)) > 1 and not report.of_any:
            continue  # the script picks by two names, and nobody knows if they go together so
        if silent:
            others = [*others, *silent]
            conditions = until(execution, report, needed(execution, [e for e, _ in sure], others))
            if any(invented for _, _, invented in conditions):
                continue
        said = until(
            execution, report, conditions_of(execution, report, sure, [*others, *silent], [*left_out, *astray])
        )
        if any(invented for _, _, invented in said):
            continue
        if others and execution.defaults and all(not e.defaults for e in others):
            return execution, for_all(execution, report), [*said, at_defaults(execution)]
        return execution, for_all(execution, report), said
    return None


def until(execution: Execution, report: Report, conditions: list[Any]) -> list[Any]:
    """The conditions that a report takes: none that were decided after what is wrong whatever comes next."""
    if report.at is None:
        return conditions
    before = execution.conditions_at(report.at)
    return [condition for condition in conditions if condition in before]


def for_all(execution: Execution, report: Report) -> Report:
    """A report on a model that was picked from those that the script may mean says that it is about each of them."""
    concerned = (report.model, report.within)
    sites = [model.built.site for model in execution.models if model.ref.address in concerned]
    guess = next((guess for guess in execution.guesses if guess.is_open and guess.site in sites), None)
    if guess is None:
        return report
    which = "every model" if guess.kind == "all" else "each model tried of those"
    return report._replace(message=f"as with {which} that `{guess.key}` may name here, {report.message}")


def counts_here(execution: Execution, report: Report, executions: list[Execution]) -> bool:
    """Whether a path can really be taken. One that finds no accelerator cannot, unless what is wrong stands where it
    does not: a script that looks for one is written for a machine that has it."""
    if execution.doubtful or not execution.without_accelerator:
        return not execution.doubtful
    concerned = {id(report.site), *map(id, built_at(execution, report))}
    if not concerned.isdisjoint(execution.without_accelerator):
        return True
    return not any(
        other.defaults == execution.defaults and not other.without_accelerator
        for other in executions
        if not other.doubtful
    )


def built_at(execution: Execution, report: Report) -> list[Any]:
    """The call that built the model of a report."""
    return [model.built.site for model in execution.models if model.ref.address == report.model]


def at_defaults(execution: Execution) -> str:
    """What a path takes for granted that the user may change from run to run."""
    files = " and ".join(f"`{name}`" for name in execution.files)
    return f"{AT_DEFAULTS}, with {files} as found here" if files else AT_DEFAULTS


def shared_conditions(execution: Execution, sure: Seen) -> list[Any]:
    """The conditions of all paths with a report. Others that would tell may be among those that were left out."""
    return [c for c in execution.conditions if all(c in other.conditions for other, _ in sure)]


def beside(sure: Seen, executions: list[Execution]) -> list[Execution]:
    """Of a failure, the paths that build the same model and do not end so: where they came by leaves nothing behind.

    Where headcheck goes on by itself, with a forward, a path that only builds came less far."""
    execution, report = sure[0]
    thing = execution.state.heap.get(report.model) if report.model is not None else None
    if execution.state.ended != "raise" or thing is None:
        return []
    alike = [e for e in executions if (e.defaults, e.invented) == (execution.defaults, execution.invented)]
    return [e for e in alike if e.passes(thing.site)]


def unharmed(sure: Seen, executions: list[Execution], cut: bool = False) -> list[Execution]:
    """Of a failure, the paths that come by its place, or end before, and do not fail: what is read there leaves nothing
    behind where it is found. They start as the one that fails does, and take no other side of what is around."""
    execution, report = sure[0]
    if execution.state.ended != "raise":
        return []
    alike = [e for e in executions if (e.defaults, e.entered) == (execution.defaults, execution.entered)]
    alike = [e for e in alike if not e.state.ended and e.cut is cut]
    tests = execution.tests_around(report.site) if alike else set()
    away = {(id(node), not wanted) for node, wanted, _ in execution.conditions if id(node) in tests}
    return [e for e in alike if away.isdisjoint((id(node), wanted) for node, wanted, _ in e.conditions)]


def conditions_of(
    execution: Execution, report: Report, sure: Seen, others: list[Execution], unsure: list[Execution]
) -> list[Any]:
    """The conditions that tell a path from others on which a report does not hold, and none that goes without saying.

    Of those that are `unsure`, one beside which others were left out counts where a single condition tells it, and one
    that Python ends where something else has to be said, too."""
    others = [e for e in others if not e.unfinished]  # what these would show further on, they could not
    started = [e for e in others if e.entered == execution.entered or e.passes(report.site)]
    alike = [e for e, _ in sure if (e.defaults, e.entered) == (execution.defaults, execution.entered)]
    told = telling.deciding(execution, started, alike)
    ended = [e for e in unsure if (e.defaults, e.entered) == (execution.defaults, execution.entered)]
    if told:
        told = telling.deciding(execution, [*started, *(e for e in ended if e.reads_unset)], alike)
    left_out = [e for e in ended if not e.reads_unset]
    return [*told, *(c for c in telling.decided_alone(execution, left_out, alike) if c not in told)]


def spared_by(execution: Execution, conditions: list[Any], others: list[Execution]) -> list[Execution]:
    """Of a failure that some conditions tell, the paths that have them all and do not fail."""
    if not conditions or execution.state.ended != "raise":
        return []
    return [e for e in others if e.defaults == execution.defaults and all(c in e.conditions for c in conditions)]


def needed(execution: Execution, showing: list[Execution], others: list[Execution]) -> list[Any]:
    """The conditions that tell a path from those on which a report does not hold; if they do, those alone that all
    paths with the report share."""
    # A guess at what the script leaves open is not one of its conditions.
    guessed = {guess.condition for guess in execution.guesses if guess.kind != "listed"}
    telling = [
        c for c in execution.conditions if c not in guessed and any(c not in other.conditions for other in others)
    ]
    shared = [c for c in telling if all(c in other.conditions for other in showing)]
    # A path that decides nothing but what this one does came less far: no condition tells them apart.
    apart = [other for other in others if any(c not in execution.conditions for c in other.conditions)]
    return shared if all(any(c not in other.conditions for c in shared) for other in apart) else telling


def holds_for_all(guess: Guess, execution: Execution, report: Report, sure: Seen, executions: list[Execution]) -> bool:
    """Whether a report does not rest on a guess: each candidate that comes by the place shows it.

    Of a failure, each candidate there is, and not where these are only a few of all; of candidates that only stand for
    others, two, and of a size none that is right for one of those.
    """
    if not guess.is_open or report.of_any:
        return True
    if guess.kind != "all" and report.size is not None:
        sizes = guess.sizes() if guess.sizes is not None else None
        if sizes is None or report.size in sizes:
            return False
    shown = {g.name for e, _ in sure for g in e.guesses if g.group == guess.group} - {None}
    if execution.state.ended == "raise":
        return guess.kind != "few" and len(shown) == guess.of
    passing = [e for e in executions if not e.doubtful and e.passes(report.site)]
    if any(e.cut for e in passing):  # what shows that it does not hold may be among the paths that were left out
        return guess.kind == "all" and len(shown) == guess.of
    coming = {g.name for e in passing for g in e.guesses if g.group == guess.group} - {None}
    return coming <= shown and (guess.kind == "all" or len(shown) > 1)


def with_verdicts(result: FileResult, observations: Sequence[Observation]) -> FileResult:
    """The result of a file with what running its plans showed joined to its findings and models."""

    from headcheck.confirm import judge

    def judged(thing: Any, expectation: Any) -> Verdict | None:
        if thing.plan is None:
            return None
        plan = result.plans[thing.plan]
        said = plan["left_out"], plan["taken"], plan["shortened"]
        return judge.verdict(expectation, observations[thing.plan], *said)

    findings = tuple(f._replace(verdict=judged(f, f.expectation)) for f in result.findings)
    models = tuple(m._replace(verdict=judged(m, None)) for m in result.models)
    return proven(result._replace(findings=findings, models=models))


def proven(result: FileResult) -> FileResult:
    """A result without the candidates that nothing confirmed, or of whose model something else is said already."""
    if not any(is_candidate(finding) for finding in result.findings):
        return result
    said = [f for f in result.findings if not is_candidate(f) and f.severity != "info" and counts(f)]
    places = {built(result, f.plan) for f in said}
    kept: list[Finding] = []
    for finding in result.findings:
        place = built(result, finding.plan)
        if not is_candidate(finding):
            kept.append(finding)
        elif finding.verdict is not None and finding.verdict.status == "confirmed" and places.isdisjoint((place, "")):
            kept.append(finding._replace(message=f"{finding.message}: {finding.verdict.detail}"))
            places.add(place)
    return result._replace(findings=tuple(kept))


def is_candidate(finding: Finding) -> bool:
    return finding.expectation.kind in CANDIDATES


def counts(finding: Finding) -> bool:
    return finding.verdict is None or finding.verdict.status != "refuted"


def built(result: FileResult, plan: int | None) -> str:
    """Where the model of a plan is built; "" where that is not known."""
    return str(result.plans[plan]["built"]) if plan is not None and plan < len(result.plans) else ""
