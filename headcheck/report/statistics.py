"""How often each rule fired, and how much headcheck understood."""

from __future__ import annotations

import re
from collections import Counter
from typing import TextIO

from headcheck import blindspots
from headcheck.findings import ModelReport, Run, Verdict
from headcheck.report import summary, words
from headcheck.report.colour import harmless


def render(run: Run, out: TextIO, colour: bool) -> None:
    """Rules by how often they fired, in columns; then the counts over all files and the summary."""
    found = Counter((each.code, each.name) for result in run.files for each in result.findings if words.counts(each))
    width = len(str(max(found.values(), default=0)))
    for (code, name), count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        out.write(f"{count:>{width}} {code} {name}\n")
    totals = [result.statistics for result in run.files]
    replacements, resolved = sum(each.replacements for each in totals), sum(each.resolved for each in totals)
    cut = sum(each.cut_paths for each in totals)
    relevant = sum(result.relevant for result in run.files)
    reasons = _reasons(run)
    read = reasons.pop(blindspots.READ, 0)
    more = f", {read:,} more sized by the layer they replace" if read else ""
    out.write(
        f"{summary.number(relevant, 'file')} read; {summary.number(replacements, 'head replacement')}, "
        f"{resolved:,} of them followed{more}; {summary.number(cut, 'path')} cut short\n"
    )
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        out.write(f"  not followed: {count:,} {blindspots.REASONS[reason]}\n")
    out.writelines(f"{line}\n" for line in [*_of_models(run), *summary.lines(run)])


SHOWN = ("clean", "confirmed")
PLACE = re.compile(r" \((?:[^()]*:|cell \d+, line |line )\d+\)")
CODE = re.compile(r"`[^`]*`|\d+(\.\d+)?")
LONGEST = 100


def _of_models(run: Run) -> list[str]:
    """How many models that were run are clean, or fail as was found, and why the others are not shown. A model is what
    one place builds; where paths differ, the one that is not shown counts."""
    verdicts = _by_place(run)
    device = next((verdict.device for verdict in verdicts.values() if verdict is not None), None)
    if device is None:  # nothing was confirmed
        return []
    counts = Counter(verdict.status for verdict in verdicts.values() if verdict is not None and _is_shown(verdict))
    not_shown = len(verdicts) - counts.total()
    said = f"{counts['clean']:,} clean, {counts['confirmed']:,} with what was found confirmed, {not_shown:,} not shown"
    open_ = Counter(_reason(verdict) for verdict in verdicts.values() if not _is_shown(verdict))
    reasons = sorted(open_.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  not shown: {count:,} for {harmless(reason)}" for reason, count in reasons]
    return [f"{summary.number(len(verdicts), 'model')} on {summary.device_name(device)}: {said}", *lines]


def _by_place(run: Run) -> dict[object, Verdict | None]:
    """The verdict on each model: the confirmed one of a finding on it, where there is one."""
    found: dict[object, Verdict | None] = {}
    for result in run.files:
        proven = {
            built: finding.verdict
            for finding in result.findings
            if finding.verdict is not None
            and finding.verdict.status == "confirmed"
            and (built := summary.built(result, finding.plan))
        }
        for model in result.models:
            place, verdict = _place(model), proven.get(summary.built(result, model.plan)) or model.verdict
            if place not in found or not _is_shown(verdict):
                found[place] = verdict
    return found


def _is_shown(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.status in SHOWN


def _place(model: ModelReport) -> object:
    return model.filename, model.cell, model.location


def _reason(verdict: Verdict | None) -> str:
    """Why a model is not shown, without what is of one script alone."""
    if verdict is None:
        return "a model that is not built here"
    text = CODE.sub("…", PLACE.sub("", verdict.left_out or verdict.detail)).strip()
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _reasons(run: Run) -> Counter[str]:
    """Why head replacements were not followed, and how often."""
    total: Counter[str] = Counter()
    for result in run.files:
        total.update(dict(result.statistics.reasons))
    return total
