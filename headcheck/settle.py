"""Where findings and verdicts meet: what held on which paths becomes findings, and verdicts are joined to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from headcheck.findings import FileResult, Verdict

if TYPE_CHECKING:
    from headcheck.checks import Report
    from headcheck.confirm.observation import Observation
    from headcheck.execution import Execution

AT_DEFAULTS = "its arguments are at their defaults"


def over_paths(
    code: str, seen: list[tuple[Execution, Report]], executions: list[Execution]
) -> tuple[Execution, Report, list[Any]] | None:
    """One report out of all made at one place, with its execution and conditions, if the rule's `holds` is kept.

    ``some-path``: one path that can really be taken is enough. ``every-path``: every path that comes by the place must
    show it, none may have lost anything, and the model must not have been handed to code that was not followed.
    """
    from headcheck import rulebook

    sure = [(execution, report) for execution, report in seen if not execution.doubtful]
    if not sure:
        return None
    passing = [e for e in executions if not e.doubtful and e.passes(sure[0][1].site)]
    showing = {id(execution) for execution, _ in sure}
    if rulebook.rule(code).holds == "every-path":
        for execution in passing:
            if id(execution) not in showing or execution.cut:
                return None
        if any(report.model is not None and execution.escaped(report.model) for execution, report in sure):
            return None
    others = [e for e in passing if id(e) not in showing]
    for execution, report in sorted(sure, key=lambda pair: (pair[0].defaults, len(pair[0].conditions))):
        conditions: list[Any] = [c for c in execution.conditions if any(c not in e.conditions for e in others)]
        if any(invented for _, _, invented in conditions):
            continue  # nobody knows if the path that shows it can be taken
        if others and execution.defaults and all(not e.defaults for e in others):
            conditions.append(AT_DEFAULTS)
        return execution, report, conditions
    return None


def condition_words(conditions: Iterable[Any], code: Callable[[Any], str]) -> tuple[str, ...]:
    """Conditions as source text; what is only ruled out is left away where something is required."""
    wanted = [c for c in conditions if c == AT_DEFAULTS or c[1]]
    chosen = wanted or list(conditions)
    texts = [c if c == AT_DEFAULTS else code(c[0]) if c[1] else f"not ({code(c[0])})" for c in chosen]
    return tuple(dict.fromkeys(texts))


def with_verdicts(result: FileResult, observations: Sequence[Observation]) -> FileResult:
    """The result of a file with what running its plans showed joined to its findings and models."""

    from headcheck.confirm import judge

    def judged(thing: Any, expectation: Any) -> Verdict | None:
        if thing.plan is None:
            return None
        return judge.verdict(expectation, observations[thing.plan], bool(result.plans[thing.plan]["complete"]))

    findings = tuple(f._replace(verdict=judged(f, f.expectation)) for f in result.findings)
    models = tuple(m._replace(verdict=judged(m, None)) for m in result.models)
    return result._replace(findings=findings, models=models)
