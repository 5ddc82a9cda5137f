"""The benchmarks can be run, and the shortcut that they measure is there. No speed is asserted: machines differ."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import libcst
import pytest

from headcheck.analysis import analyse_unit, only_relative
from headcheck.interpreter.modules import Alone
from headcheck.ir.lower import lower
from headcheck.settings import Settings
from headcheck.units import Unit
from tests.benchmarks.__main__ import BENCHMARKS, SCRIPTS, TRAIN
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


def test_reading_takes_few_steps() -> None:
    """Calls of Python functions are the same on every machine. Where this fails, reading has become slower for good:
    run the benchmark `reading`, and find out what is done more often than it must be."""
    text = TRAIN.read_text(encoding="utf-8")
    unit = Unit(str(TRAIN), str(TRAIN), text, libcst.parse_module(text))
    wanted, project = Settings().wants, Alone(only_relative)

    def read() -> None:
        analyse_unit(unit, project, (), models=False, wanted=wanted)

    read()  # which loads what reading takes
    assert 2_000 < calls_of(read) < 6_400
    assert 200 < len(unit.operations) < calls_of(lambda: lower(libcst.parse_module(text))) < 1_900


def calls_of(function: Callable[[], object]) -> int:
    """How many Python functions are entered, generators and comprehensions among them."""
    entered = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal entered
        entered += event == "call" and "headcheck" in frame.f_code.co_filename

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


def test_pairs_are_compared() -> None:
    result = compare(function(lambda: sum(range(1000))), function(lambda: sum(range(1000))), runs=3)
    assert len(result.pairs) == len(result.wall_ratios()) == len(result.cpu_ratios()) == 3


def test_a_process_that_fails_is_not_timed() -> None:
    with pytest.raises(RuntimeError, match="exit status 3"):
        process([sys.executable, "-c", "raise SystemExit(3)"])()


def test_every_benchmark_says_what_it_measures() -> None:
    assert all(benchmark.measure.__doc__ and benchmark.runs > 0 for benchmark in BENCHMARKS.values())
