"""Reads one script whole: its findings, its models and their plans, from the text alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

from headcheck import checks, events, settle, telling
from headcheck.blindspots import Replacement, survey
from headcheck.checks import Report
from headcheck.execution import Execution, FileFacts, Model
from headcheck.findings import (
    BlindSpot,
    Cell,
    Edit,
    Expectation,
    FileResult,
    Finding,
    Fix,
    Location,
    ModelReport,
    Severity,
    Statistics,
    Trail,
)
from headcheck.interpreter.leaving import Sites
from headcheck.interpreter.modules import Alone, Project
from headcheck.interpreter.run import interpret
from headcheck.interpreter.values import Address, Ref
from headcheck.ir import DeleteAttribute, Operation, facts
from headcheck.records import NamedTuple
from headcheck.source import guard
from headcheck.source.reading import Unreadable
from headcheck.units import Places, Refused, Unit, read, said_in

LocalModules = Callable[[str, int], bool]
MOST_REPORTS = 8  # of one builder call: how it ends on so many different paths is shown


def only_relative(module: str, level: int) -> bool:
    """Of a text without a place in a project, only relative imports are its own."""
    return level > 0


def analyse(
    text: str,
    filename: str,
    local_modules: LocalModules = only_relative,
    models: bool = True,
    cells: tuple[Cell, ...] = (),
) -> FileResult:
    """Read a script, or the text of a notebook whose parts are `cells`; the result has its places in this text.

    A text that cannot be parsed gives one HC901 finding; `models` asks for reports and plans. Nothing is confirmed.
    """
    unit = read(text, filename, filename, cells)
    if isinstance(unit, Refused):
        return unreadable(*unit)
    return settle.proven(guard.on_large_stack(lambda: analyse_unit(unit, Alone(local_modules), (), models)))


def unreadable(what: Unreadable, text: str = "", cells: tuple[Cell, ...] = ()) -> FileResult:
    """The result for a file that could not be read: one finding that says why and where."""
    return FileResult(what.filename, text, (not_read(what),), relevant=True, cells=cells)


def not_read(what: Unreadable, severity: Severity | None = None) -> Finding:
    """The finding on what could not be read."""
    from headcheck import rulebook

    rule = rulebook.rule("HC901")
    place = Location(what.row, what.column)
    level = severity or ("warning" if what.valid else rule.severity)
    return Finding(what.filename, rule.code, rule.name, level, what.reason, place, place)


class Around(NamedTuple):
    """What the files that import a script do: the attributes that they use, and those that they set."""

    used: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()


ELSEWHERE = -1  # stands for the operations of other files


def analyse_unit(
    unit: Unit,
    project: Project,
    imported: Iterable[Unit],
    models: bool = True,
    around: Callable[[], Around] = Around,
    wanted: Callable[[str], bool] = bool,
) -> FileResult:
    """Read a script, with the modules of its project that it is followed through. Findings may lie in any of them.

    `wanted` says which codes are asked for: a check that has none of these is left out.
    """
    places = Places((unit, *imported))
    every = interpret(unit.index, gather(places, around), project, patient=models)
    executions = [execution for execution in every if not execution.supposed]
    supposed = [execution for execution in every if execution.supposed]
    book = PlanBook()
    seen = survey(every)
    heads = [head for head in seen if places.unit_of(head.site) is unit]
    found = find(executions, places, book, wanted, running=models) + find(supposed, places, book, wanted)
    found.extend(surveyed(executions[:1], heads, places, book, wanted))
    findings = tuple(sorted(found, key=lambda f: (f.filename, f.location, f.code)))
    reports = report_models(executions, places, book) if models else ()
    return FileResult(
        unit.filename,
        unit.text,
        findings,
        reports,
        count(executions, heads),
        tuple(book.plans(places)) if models else (),
        relevant=True,
        blind_spots=blind_spots(heads, places) if models else (),
        cells=unit.cells,
        trail=trail(executions, places, seen),
    )


def trail(executions: Iterable[Execution], places: Places, heads: Iterable[Replacement]) -> Trail:
    """Where a script leads in its project, and which of the head replacements on the way it knows the model of."""
    open_ = {id(head.site): head.reason.kind for head in heads if head.reason}
    numbers = places.root.numbers if open_ else {}
    unresolved = {numbers[site]: kind for site, kind in open_.items() if site in numbers}
    known = {id(head.site) for head in heads if head.reason is None}
    resolved = {unit.filename: numbers_of(unit, known) for unit in places.units[1:]} if known else {}
    return Trail(passed(executions, places), resolved, added(executions, places), unresolved)


def numbers_of(unit: Unit, sites: Set[int]) -> frozenset[int]:
    """The numbers of the operations of a file that are among those with these ids."""
    return frozenset(unit.numbers[site] for site in sites & unit.numbers.keys())


def added(executions: Iterable[Execution], places: Places) -> dict[str, frozenset[int]]:
    """The operations of the other files that put a part into a network of the project, all of which is known, that had
    none of its name."""
    sites: set[int] = set()
    for execution in executions if len(places.units) > 1 else ():
        for event in execution.of(events.ChildSet):
            if id(event.site) not in sites and type(event.old) is not Ref:
                owner = execution.module(Ref(event.owner))
                if owner is not None and owner.cls is not None and owner.known:
                    sites.add(id(event.site))
    return {unit.filename: numbers_of(unit, sites) for unit in places.units[1:]} if sites else {}


def passed(executions: Iterable[Execution], places: Places) -> dict[str, frozenset[int]]:
    """The operations of the other files that some path of a script comes by."""
    units = places.units[1:]
    if not units:
        return {}
    sites = Sites(execution.state for execution in executions if not execution.doubtful).found
    return {unit.filename: numbers_of(unit, sites) for unit in units}


def gather(places: Places, around: Callable[[], Around] = Around) -> FileFacts:
    """What a script and the modules it is followed through, and those it is used by, say, whatever path is taken."""
    return FileFacts(
        lambda: assigned_attributes(places.units, around().assigned),
        lambda: around().used.union(*(unit.used_attributes for unit in places.units)),
        lambda: around().used.union(*(unit.used.of_others for unit in places.units)),
        lambda: facts.head_sites(places.root.index),
        places.line,
        places.where,
        any(cell.number is not None for cell in places.root.cells),
        lambda: facts.text_keys(places.root.operations),
        is_test(places.root.filename),
        lambda: any(facts.adds_members(unit.operations) for unit in places.units),
        lambda: any(facts.loads(unit.index) for unit in places.units),
    )


def is_test(filename: str) -> bool:
    """Whether a file holds tests, by its name, as pytest has it."""
    name = re.split(r"[/\\]", filename)[-1]
    return name.startswith("test_") or name in ("conftest.py", "tests.py") or name.endswith("_test.py")


def assigned_attributes(units: Iterable[Unit], elsewhere: Iterable[str]) -> Mapping[str, frozenset[int]]:
    """The attributes that some code sets, and the operations that do."""
    found: dict[str, frozenset[int]] = dict.fromkeys(elsewhere, frozenset((ELSEWHERE,)))
    for unit in units:
        for name, sites in unit.assigned_attributes.items():
            found[name] = found[name] | sites if name in found else sites
    return found


NOTHING = Expectation()


class PlanBook:
    """The plans of a file. What is asked about one model on one execution shares a plan, written at the end."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, Address, bool], int] = {}
        self.asked: list[tuple[Execution, Model, list[str], bool] | tuple[dict[str, Any], ...]] = []

    def number(
        self,
        execution: Execution,
        address: Address | None,
        expectation: Expectation = NOTHING,
        within: bool = False,
    ) -> int | None:
        """The number of the plan that shows a model; None if there is no such library model.

        `within`: as a part of the script's own network, if there is one.
        """
        from headcheck.plans import can_be_built, model_at, networks

        model = model_at(execution, address)
        if model is None or not can_be_built(model.built.builder):
            return None
        within = within and bool(networks(execution, model))
        number = self.numbers.get((id(execution), model.ref.address, within))
        if number is None:
            number = self.numbers[id(execution), model.ref.address, within] = len(self.asked)
            self.asked.append((execution, model, [], within))
        probes = self.asked[number][2]
        assert isinstance(probes, list)
        probes.extend(name for name in expectation.parameters if name not in probes)
        return number

    def number_within(self, execution: Execution, address: Address, expectation: Expectation) -> int | None:
        """The number of the plan of the script's network that holds a model; None if there is none."""
        from headcheck.plans import model_at, networks

        model = model_at(execution, address)
        found = model is not None and networks(execution, model)
        return self.number(execution, address, expectation, within=True) if found else None

    def number_of_steps(self, steps: tuple[dict[str, Any], ...]) -> int:
        """The number of a plan that consists of these steps alone."""
        self.asked.append(steps)
        return len(self.asked) - 1

    def plans(self, places: Places) -> Iterable[dict[str, Any]]:
        from headcheck.plans import make_plan, only_steps

        for asked in self.asked:
            plan = only_steps(asked) if isinstance(asked[0], dict) else make_plan(*asked)
            yield {**plan, **{key: said_in(places.root, plan[key]) for key in ("left_out", "taken")}}


# -- findings --------------------------------------------------------------------------------------------------------


def find(
    executions: list[Execution], places: Places, book: PlanBook, wanted: Callable[[str], bool], running: bool = False
) -> list[Finding]:
    """Ask every check about every execution, and keep what its rule promises to hold.

    Of a call that the script does not make itself, only what stands where it is made for counts.
    """
    reports: dict[tuple[str, int], list[tuple[Execution, Report]]] = {}
    asked = checks_for(wanted, running)
    idle = [execution for execution in executions if execution.idle]
    executions = [execution for execution in executions if not execution.idle]
    for execution in executions:
        for function in asked:
            for report in function(execution):
                if (execution.unfinished or (execution.failed and report.order)) and not is_final(report, execution):
                    continue
                if execution.supposed and id(report.site) not in execution.supposed:
                    continue
                if report.order and len(places.units) > 1:
                    report = located(execution, report)._replace(site=mended_at(execution, report, places))
                reports.setdefault((report.code, id(report.site)), []).append((execution, report))
    findings = []
    for (code, _), seen in reports.items():
        kept = settle.over_paths(code, seen, executions, idle)
        if kept is not None:
            found = finding(*kept, places, book)
            site = kept[1].site if yields(code, seen) else asked_in(code, seen, *kept)
            if site is not None:
                found = found._replace(site=places.unit_of(kept[1].site).numbers.get(id(site)), yields=True)
            findings.append(found)
    return findings


def surveyed(
    executions: Sequence[Execution],
    heads: Iterable[Replacement],
    places: Places,
    book: PlanBook,
    wanted: Callable[[str], bool],
) -> Iterator[Finding]:
    """What is said of the new heads of the script itself. `site` is kept: a script that imports it may know better."""
    asked = [function for code, function in checks.surveys() if wanted(code)]
    for head in heads if executions else ():
        for report in filter(None, (function(head) for function in asked)):
            found = finding(executions[0], report, (), places, book)
            yield found._replace(site=places.root.numbers.get(id(head.site)))


@lru_cache(maxsize=8)
def checks_for(wanted: Callable[[str], bool], running: bool) -> list[checks.Check]:
    """The checks for the codes that are asked for: the same for each file of a run. `running`: also for what only
    confirming shows."""
    asked = ((codes, function) for codes, function in checks.load() if any(map(wanted, codes)))
    return [function for codes, function in asked if running or not codes[0].startswith("HC6")]


# What is wrong where it stands, whatever follows; and what is when the function returns that does it.
AT_ONCE = frozenset(["HC202", "HC204", "HC205", "HC208", "HC303", "HC406", "HC409"])
WHEN_LEFT = frozenset(["HC101", "HC102", "HC103", "HC105"])


def is_final(report: Report, execution: Execution) -> bool:
    """Whether what follows on a path that was not followed to its end leaves a report true."""
    if isinstance(report.site, DeleteAttribute):  # something else may be put in
        return False
    return (
        report.at is not None
        or report.code in AT_ONCE
        or (report.code in WHEN_LEFT and execution.has_left(report.site))
    )


def yields(code: str, seen: list[tuple[Execution, Report]]) -> bool:
    """Whether scripts that import the file know better: it is of something missing, on paths that no script takes, or
    of what only the defaults bring about, in calls that the file itself does not make."""
    from headcheck import rulebook

    sure = [execution for execution, _ in seen if not execution.doubtful]
    if rulebook.rule(code).holds == "every-path" and all(execution.invented for execution in sure):
        return True
    return all(execution.defaults and execution.made_up for execution in sure)


def asked_in(
    code: str, seen: settle.Seen, execution: Execution, report: Report, conditions: Sequence[Any]
) -> Operation | None:
    """The call in which a network of the script is asked for what it lacks on one side of a branch, if no script calls
    it so on the paths that show it: scripts that make that call take one side, and show it themselves if it is this."""
    if code != "HC202" or report.model is None or not conditions or not all(e.invented for e, _ in seen):
        return None
    frames = zip(execution.history, execution.frames, strict=True)
    return next((frame.call for event, frame in frames if event.site is report.site), None)


def called_at(execution: Execution, report: Report, places: Places) -> str:
    """Where a script leaves its own file on the way to a report in another; "" if it does not."""
    home = places.unit_of(report.site)
    if home is places.root:
        return ""
    way = (step for _, step in execution.way(report.site, report.model))
    step = next(
        (step for step in way if any(id(step) in unit.numbers for unit in places.units if unit is not home)), None
    )
    return said_in(home, places.where(step)) if step is not None else ""


def located(execution: Execution, report: Report) -> Report:
    """A report that says at which step of its plan it is shown."""
    expectation = report.expectation
    if expectation.kind not in ("raises", "device") or expectation.step is not None:
        return report
    return report._replace(expectation=expectation._replace(step=execution.line(report.site)))


def mended_at(execution: Execution, report: Report, places: Places) -> Operation:
    """Where to mend what is wrong in its order: the call of it, if what does it is a function of another file."""
    if report.model is None:
        return report.site  # type: ignore[no-any-return]
    seen = execution.seen_from(report.site, report.model)
    return seen if places.unit_of(seen) is not places.unit_of(report.site) else report.site  # type: ignore[no-any-return]


def finding(execution: Execution, report: Report, conditions: Iterable[Any], places: Places, book: PlanBook) -> Finding:
    from headcheck import rulebook

    rule = rulebook.rule(report.code)
    unit = places.unit_of(report.site)
    start, end = places.span(report.site)
    return Finding(
        unit.filename,
        report.code,
        rule.name,
        report.severity or rule.severity,
        said_in(unit, report.message),
        start,
        end,
        said_in(unit, report.help),
        telling.words(conditions, places.code),
        fix=fix_of(report, places),
        expectation=located(execution, report).expectation,
        plan=plan_of(execution, report, book),
        called_at=called_at(execution, report, places),
    )


def plan_of(execution: Execution, report: Report, book: PlanBook) -> int | None:
    """The number of the plan that shows whether a report is true."""
    if report.steps:
        return book.number_of_steps(report.steps)
    if report.within is not None:
        return book.number_within(execution, report.within, report.expectation)
    return book.number(execution, report.model, report.expectation)


def fix_of(report: Report, places: Places) -> Fix | None:
    """The edit that a report asks for, if what it replaces stands where it says."""
    found = places.keyword(report.site, report.fix[0]) if report.fix is not None else None
    if found is None or report.fix is None:
        return None
    return Fix(f"write {report.fix[1]}", True, (Edit(*found, report.fix[1]),))


# -- models ----------------------------------------------------------------------------------------------------------


def report_models(executions: list[Execution], places: Places, book: PlanBook) -> tuple[ModelReport, ...]:
    """Each library model as each execution leaves it; what is the same on several is said once."""
    from headcheck import timeline

    by_site: dict[int, dict[Any, tuple[Execution, Model, ModelReport]]] = {}
    for execution in sorted(executions, key=lambda e: (e.doubtful, len(e.conditions))):
        if (
            execution.doubtful
            or execution.unfinished
            or any(g.kind != "listed" and not g.first for g in execution.guesses)
        ):
            continue
        for model in execution.models:
            report = timeline.report(execution, model, places, ())
            ends = by_site.setdefault(id(model.built.site), {})
            key = (report.builder, report.heads, report.trainable)
            known = ends.get(key)
            if (known is None and len(ends) < MOST_REPORTS) or (
                known is not None and len(report.timeline) > len(known[2].timeline)
            ):
                ends[key] = (execution, model, report)
    found = []
    for ends in by_site.values():
        finished = [kept for kept in ends.values() if not superseded(kept, ends.values())]
        for execution, model, report in finished:
            others = [other.conditions for other, _, _ in finished if other is not execution]
            conditions = [c for c in execution.conditions if any(c not in other for other in others)]
            words = telling.words(conditions, places.code)
            plan = book.number(execution, model.ref.address, within=True)
            found.append(report._replace(conditions=words, plan=plan))
    return tuple(sorted(found, key=lambda r: r.location))


def superseded(
    kept: tuple[Execution, Model, ModelReport], ends: Iterable[tuple[Execution, Model, ModelReport]]
) -> bool:
    """Whether another execution goes on from where this one stops (a function that is followed after the module)."""
    steps = kept[2].timeline
    return any(len(other.timeline) > len(steps) and other.timeline[: len(steps)] == steps for _, _, other in ends)


def count(executions: list[Execution], found: Sequence[Replacement]) -> Statistics:
    """How many head replacements the file holds, and how many of them could be judged."""
    models = {id(model.built.site) for execution in executions for model in execution.models}
    resolved = sum(replacement.reason is None for replacement in found)
    reasons = Counter(replacement.reason.kind for replacement in found if replacement.reason is not None)
    cut = sum(execution.cut for execution in executions)
    return Statistics(len(found), resolved, len(models), cut, tuple(sorted(reasons.items())))


def blind_spots(found: Sequence[Replacement], places: Places) -> tuple[BlindSpot, ...]:
    """The head replacements that could not be judged, in the order in which they stand."""
    spots = [
        BlindSpot(
            places.span(each.site)[0],
            str(each.name),
            each.reason.kind,
            each.reason.words,
            site=places.root.numbers.get(id(each.site)),
        )
        for each in found
        if each.reason is not None
    ]
    return tuple(sorted(spots))
