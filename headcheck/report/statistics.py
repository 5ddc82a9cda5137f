"""How often each rule fired, and how much headcheck understood."""

from __future__ import annotations

from collections import Counter
from typing import TextIO

from headcheck import blindspots
from headcheck.findings import Run
from headcheck.report import summary, words


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
    out.writelines(f"{line}\n" for line in summary.lines(run))


def _reasons(run: Run) -> Counter[str]:
    """Why head replacements were not followed, and how often."""
    total: Counter[str] = Counter()
    for result in run.files:
        total.update(dict(result.statistics.reasons))
    return total
