"""Where headcheck and PyTorch do not agree."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from headcheck import pipeline
from headcheck.analysis import analyse
from headcheck.findings import Finding
from headcheck.settings import Settings
from tests.surgeries.drafts import Script, reach
from tests.surgeries.judge import RUN, Judgement, judge


class Reason(NamedTuple):
    """Why headcheck does not say what PyTorch shows: of what kind of disagreement, where it holds, and the reason.

    It holds of what a script says, and of what PyTorch says of it.
    """

    kind: str
    holds: Callable[[Script, Judgement], bool]
    words: str


def frozen_by_its_name(script: Script, seen: Judgement) -> bool:
    """A line freezes the new head and nothing else, and that is all that is wrong."""
    path = reach(script.site.head)
    lines = [line.strip() for line in script.text.split("\n")]
    only = all("is frozen" in fault or NO_GRADIENT in fault for fault in seen.faults)
    return only and f"{path}.requires_grad_(False)" in lines


NO_GRADIENT = "does not require grad"
#: What headcheck does not say on purpose.
REASONS = (Reason("miss", frozen_by_its_name, "a head that a line freezes by its own name is frozen on purpose"),)


@dataclass(frozen=True)
class Disagreement:
    kind: str
    script: Script
    judgement: Judgement
    found: str

    @property
    def known(self) -> bool:
        """Whether headcheck's answer is meant to be what it is."""
        return any(self.kind == reason.kind and reason.holds(self.script, self.judgement) for reason in REASONS)

    def __str__(self) -> str:
        faults = "; ".join(self.judgement.faults) or "nothing wrong"
        return f"{self.kind}: {self.script.name}\n  PyTorch: {faults[:300]}\n  headcheck: {self.found}\n"


def compare(script: Script) -> Disagreement | None:
    """Where headcheck and PyTorch do not agree on a script, None where they do.

    What fails in the forward and is not found by reading has to be found by confirming.
    """
    seen = judge(script)
    found = [f for f in pipeline.check_text(script.text, "x.py") if f.severity != "info"]
    if not found and RUN in seen.codes:
        found = confirmed(script)
    words = ", ".join(f"{f.code} at {f.location.row} ({f.message})" for f in found) or "none"
    disagree = functools.partial(Disagreement, script=script, judgement=seen, found=words)
    if not seen.faults:
        return disagree("false alarm") if found else numbers(script, seen)
    if not found:
        return disagree("miss")
    fitting = [f for f in found if f.code in seen.codes]
    if not fitting:
        return disagree("wrong code")
    if seen.rows and len(seen.faults) == 1 and not any(f.location.row in seen.rows or f.code == RUN for f in fitting):
        return disagree("wrong row")
    if len(fitting) < len(found) and not seen.stopped:
        return disagree("one finding too many")
    return None


def confirmed(script: Script) -> list[Finding]:
    """What is found where the script's model is run as well, on the meta device."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.py")
        path.write_text(script.text, encoding="utf-8")
        run = pipeline.run([str(path)], Settings(confirm=True, python=sys.executable, device="meta"))
    return [f for result in run.files for f in result.findings if f.severity != "info"]


def numbers(script: Script, seen: Judgement) -> Disagreement | None:
    """What `show` predicts for a right script: the output's shape and the two parameter counts, where it knows them."""
    reports = [r for r in analyse(script.text, "x.py").models if r.builder.endswith(script.site.builder)]
    true = ((1, *seen.output[1:]), seen.trainable, seen.total)
    said = [(r.output_shape, r.trainable, r.total) for r in reports]
    if any(all(mine in (None, its) for mine, its in zip(one, true, strict=True)) for one in said):
        return None
    return Disagreement("wrong numbers", script, seen, f"says {said}, but it is {true}")
