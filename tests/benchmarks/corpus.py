"""What reading costs on real code: for every file of a folder that may matter, the processor time of everything that
headcheck does after parsing, against the time libcst takes to parse it. The modules of its project that a script is
followed through count with it on both sides, as if it were checked alone. Both are taken on one thread, one file after
another: what a thread took that has just ended, the system may count to its process only later.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from headcheck import analysis, units, workspace
from headcheck.pipeline import Reader
from headcheck.settings import Settings
from headcheck.source import guard, screen
from headcheck.source.reading import Unreadable, load

# (module that looks the function up, its name there, the stage its time is counted to)
STAGES = (
    (guard, "check", "guard"),
    (guard, "parse", "parse"),
    (workspace, "closure", "search"),
    (workspace, "outline", "search"),
    (units, "lower", "lower"),
    (analysis, "gather", "facts"),
    (analysis, "interpret", "interpret"),
    (analysis, "find", "checks"),
    (analysis, "count", "checks"),
)
PARSING = ("guard", "parse")
OURS = ("lower", "facts", "interpret", "checks", "rest")
SEARCH = ("search", "guard")  # for the modules to follow, with Python's own parser; of a tree it is done once
WORST = 10
LIMITS = (0.5, 2, 5)


class Clock:
    """Processor seconds by stage, what runs inside another stage taken off that one.

    It keeps the trees alive, for freeing them is part of making them.
    """

    def __init__(self) -> None:
        self.trees: list[object] = []
        self.seconds: dict[str, float] = {}
        self.running: list[str] = []
        self.since = 0.0

    def switch(self) -> None:
        now = time.thread_time()
        if self.running:
            stage = self.running[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.since
        self.since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            self.switch()
            self.running.append(stage)
            try:
                result = function(*arguments, **keywords)
            finally:
                self.switch()
                self.running.pop()
            if stage in PARSING:
                self.trees.append(result)
            return result

        return run


class Cost(NamedTuple):
    """Seconds one file took, by stage."""

    filename: str
    seconds: dict[str, float]
    cut: int

    @property
    def ratio(self) -> float:
        """Everything after parsing, in parses."""
        return sum(self.seconds.get(stage, 0.0) for stage in OURS) / self.seconds["parse"]


@contextmanager
def clocked(clock: Clock) -> Iterator[None]:
    """Have every stage tell the clock when it starts and stops, and start no thread."""
    before = [(module, name, getattr(module, name)) for module, name, _ in STAGES]
    for module, name, stage in STAGES:
        setattr(module, name, clock.timed(stage, getattr(module, name)))
    try:
        with on_this_thread():
            yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


@contextmanager
def on_this_thread() -> Iterator[None]:
    """Have the guard run what it is given right here; `report` runs on a large stack as a whole."""
    apart = guard.on_large_stack
    guard.on_large_stack = lambda function: function()
    try:
        yield
    finally:
        guard.on_large_stack = apart


def relevant_files(folder: Path) -> Iterator[str]:
    """Each Python file below a folder that may matter."""
    for path in sorted(folder.rglob("*.py")):
        data = load(str(path))
        if not isinstance(data, Unreadable) and screen.may_matter(data):
            yield str(path)


def read(filename: str) -> analysis.FileResult:
    return Reader(Settings(), False, [filename]).check(filename)


def cost(filename: str, runs: int) -> Cost | None:
    """The cheapest of some runs, stage by stage; None for a file that cannot be parsed."""
    least: dict[str, float] = {}
    cut = 0
    for _ in range(runs):
        clock = Clock()
        with clocked(clock):
            result = clock.timed("rest", read)(filename)
        if result.statistics is None or "interpret" not in clock.seconds:
            return None
        cut = result.statistics.cut_paths
        least = {stage: min(spent, least.get(stage, spent)) for stage, spent in clock.seconds.items()}
    return Cost(filename, least, cut)


def hottest(filename: str, count: int = 4) -> str:
    """The functions that a file spends most time in, after parsing."""
    profile = cProfile.Profile()
    with on_this_thread():
        profile.runcall(read, filename)
    rows = [
        (own, f"{Path(module).stem}.{function}" if not module.startswith("~") else function)
        for (module, _, function), (_, _, own, _, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
        if "parse" not in function and "compile" not in function
    ]
    total = sum(own for own, _ in rows)
    return ", ".join(f"{name} {own / total:.0%}" for own, name in sorted(rows, reverse=True)[:count])


def quantile(ratios: list[float], share: float) -> float:
    return ratios[min(int(len(ratios) * share), len(ratios) - 1)]


def report(folder: Path, runs: int = 2) -> None:
    """Print median, p95 and worst ratio over a folder, and where the worst files' time goes."""
    guard.on_large_stack(lambda: measure(folder, runs))


def measure(folder: Path, runs: int) -> None:
    gc.disable()
    costs = []
    for number, filename in enumerate(relevant_files(folder)):
        found = cost(filename, runs)
        if found is not None:
            costs.append(found)
        if number % 50 == 49:
            gc.collect()
    if not costs:
        print(f"no relevant file in {folder}")
        return
    costs.sort(key=lambda c: c.ratio, reverse=True)
    ratios = sorted(c.ratio for c in costs)
    median, p95 = quantile(ratios, 0.5), quantile(ratios, 0.95)
    total = sum(sum(c.seconds.get(stage, 0.0) for stage in OURS) for c in costs)
    parsing = sum(c.seconds["parse"] for c in costs)
    print(f"after parsing / parsing, {len(costs)} relevant files of {folder}")
    print(f"median {median:.2f}  p95 {p95:.2f}  worst {ratios[-1]:.1f}  all together {total / parsing:.2f}", end="  ")
    print(f"files with a cut path {sum(bool(c.cut) for c in costs)}")
    over = ", ".join(f"{sum(ratio > limit for ratio in ratios) / len(ratios):.1%} above {limit}" for limit in LIMITS)
    print(over)
    print("median by stage: " + "  ".join(f"{s} {_median_of(costs, s):.3f}" for s in (*OURS, *SEARCH)))
    for each in costs[:WORST]:
        stages = " ".join(f"{s} {1000 * each.seconds[s]:.0f}" for s in ("parse", *OURS, *SEARCH) if s in each.seconds)
        print(f"{each.ratio:6.1f}  {each.filename}\n        ms: {stages}; cut {each.cut}")
        print(f"        {hottest(each.filename)}")


def _median_of(costs: list[Cost], stage: str) -> float:
    return quantile(sorted(c.seconds.get(stage, 0.0) / c.seconds["parse"] for c in costs), 0.5)
