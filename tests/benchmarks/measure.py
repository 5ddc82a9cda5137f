"""Two ways of doing something, timed in turn in one run, so that a machine whose speed drifts slows both.

A ratio is taken within each pair; what is quoted is the median of the ratios. Seconds are wall-clock seconds, or
processor seconds (user and system) of the process and its children.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: wall-clock and processor seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pairs of runs: ours, and what it is measured against."""

    pairs: tuple[tuple[Timing, Timing], ...]

    def wall_ratios(self) -> list[float]:
        return sorted(ours.wall / theirs.wall for ours, theirs in self.pairs)

    def cpu_ratios(self) -> list[float]:
        return sorted(ours.cpu / theirs.cpu for ours, theirs in self.pairs)

    def seconds(self) -> tuple[float, float]:
        """The median wall-clock seconds of ours and of theirs."""
        ours, theirs = zip(*((ours.wall, theirs.wall) for ours, theirs in self.pairs), strict=True)
        return statistics.median(ours), statistics.median(theirs)


def process(command: Sequence[str], statuses: Sequence[int] = (0,)) -> Callable[[], Timing]:
    """A whole process, from the repository's root, its output thrown away.

    Raises RuntimeError when it ends with a status that is not in `statuses`: a process that fails early looks fast.
    Compiled files are kept as an installed headcheck keeps them, whatever this process was told.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> Timing:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in statuses:
            raise RuntimeError(f"exit status {done.returncode} from {command}: {done.stderr.decode()}")
        return Timing(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)

    return run


def function(call: Callable[[], object]) -> Callable[[], Timing]:
    """One call in this process."""

    def run() -> Timing:
        cpu, start = time.process_time(), time.perf_counter()
        call()
        return Timing(time.perf_counter() - start, time.process_time() - cpu)

    return run


def compare(ours: Callable[[], Timing], theirs: Callable[[], Timing], runs: int) -> Comparison:
    """Run both once to warm up, then `runs` pairs; which of the two comes first alternates."""
    ours(), theirs()
    pairs = []
    for number in range(runs):
        if number % 2:
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        pairs.append((first, second))
    return Comparison(tuple(pairs))
