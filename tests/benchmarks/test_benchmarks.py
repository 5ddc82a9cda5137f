"""The benchmarks can be run, and the shortcut that they measure is there. No speed is asserted: machines differ."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks.__main__ import BENCHMARKS, SCRIPTS
from tests.benchmarks.measure import ROOT, compare, function, process

# Runs headcheck on the files given, then says which costly modules that loaded.
LOADED = """
import sys
from headcheck.cli import main
status = main()
print(*sorted({"libcst", "torch", "torchvision", "json", "difflib"} & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


def loaded(*arguments: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.splitlines()[-1].split()


def test_a_file_that_cannot_matter_loads_no_parser() -> None:
    assert loaded(str(SCRIPTS / "irrelevant.py")) == (0, [])


def test_a_script_is_read_without_torch() -> None:
    status, modules = loaded("--no-confirm", str(SCRIPTS / "train.py"))
    assert status == 0
    assert "libcst" in modules and "torch" not in modules and "torchvision" not in modules


def test_pairs_are_compared() -> None:
    result = compare(function(lambda: sum(range(1000))), function(lambda: sum(range(1000))), runs=3)
    assert len(result.pairs) == len(result.wall_ratios()) == len(result.cpu_ratios()) == 3


def test_a_process_that_fails_is_not_timed() -> None:
    with pytest.raises(RuntimeError, match="exit status 3"):
        process([sys.executable, "-c", "raise SystemExit(3)"])()


def test_every_benchmark_says_what_it_measures() -> None:
    assert all(benchmark.measure.__doc__ and benchmark.runs > 0 for benchmark in BENCHMARKS.values())
