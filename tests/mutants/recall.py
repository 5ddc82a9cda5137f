"""Where headcheck and PyTorch agree on changed scripts."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from headcheck import pipeline
from tests.mutants.changes import Mutant, mutants
from tests.mutants.clean import Clean, scripts
from tests.mutants.judge import Verdict, clean, judge


@dataclass(frozen=True)
class Answer:
    """What PyTorch and headcheck say of a mutant. `ran`: PyTorch came by a line that headcheck points at."""

    mutant: Mutant
    verdict: Verdict
    found: tuple[str, ...]
    ran: bool = True

    @property
    def kind(self) -> str:
        """found, miss, false alarm, right, open or left out."""
        if self.verdict.word == "wrong":
            return "found" if self.found else "miss"
        if self.verdict.word == "right" and self.found:
            return "false alarm" if self.ran else "open"
        return self.verdict.word

    @property
    def disagrees(self) -> bool:
        return self.kind in ("miss", "false alarm")

    def __str__(self) -> str:
        return f"{self.kind}: {self.mutant.name}\n    {self.verdict.why}{'; '.join(self.found)}"


def rows_of(found: tuple[str, ...]) -> set[int]:
    return {int(words.split(":")[0].rpartition(" ")[2]) for words in found}


def findings(text: str) -> tuple[str, ...]:
    """What headcheck finds in a text, remarks left out."""
    found = pipeline.check_text(text, "script.py")
    return tuple(f"{f.code} at {f.location.row}: {f.message}" for f in found if f.severity != "info")


def all_mutants(script: Clean, seed: int = 0) -> list[Mutant]:
    """Every mutant of a clean script."""
    rows = frozenset(row for shown in clean(script) for row in shown.rows)
    return mutants(script.name, script.text, rows, seed)


@functools.cache
def by_name() -> dict[str, Clean]:
    return {script.name: script for script in scripts()}


def answer(mutant: Mutant) -> Answer:
    verdict = judge(by_name()[mutant.script], mutant.text)
    found = () if verdict.word == "left out" else findings(mutant.text)
    run = {row for shown in clean(by_name()[mutant.script]) for row in shown.rows}
    return Answer(mutant, verdict, found, bool(rows_of(found) & run))
