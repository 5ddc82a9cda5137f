"""What the meta device adds to a worker that has imported its libraries: memory at the most, and seconds.

Beside it stands the same model in bare torch, built and run on meta in a process of its own. Linux only.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from headcheck.analysis import analyse
from headcheck.confirm.runner import WORKER, confirm
from tests.benchmarks.measure import ROOT

TARGETS = 12.0, 0.3  # megabytes, seconds
SCRIPT = Path(__file__).parent / "scripts" / "resnet50.py"

MEASURE = """
import json, resource, sys, time
def megabytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000
def measured(run):
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
    before, start = megabytes("VmRSS"), time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    print(json.dumps([megabytes("VmHWM") - before, seconds]))
"""
OURS = """
import importlib, importlib.util
folder = {folder!r}
spec = importlib.util.spec_from_file_location("worker", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["worker"] = importlib.util.module_from_spec(spec)
process, plans = importlib.import_module("worker.process"), importlib.import_module("worker.plan")
request = json.loads({request!r})
libraries, _ = process.load_libraries(request)
process.give_back_memory()
measured(lambda: plans.answer_plan(libraries, request["plans"][0], 2**32))
"""
THEIRS = """
import torch, torchvision
def run():
    with torch.device("meta"):
        model = torchvision.models.resnet50(weights=None)
        model.fc = torch.nn.Linear(2048, 10)
        model(torch.rand(2, 3, 224, 224)).square().sum().backward()
measured(run)
"""


def report(runs: int) -> None:
    """Print the median of both, and the targets."""
    result = analyse(SCRIPT.read_text(encoding="utf-8"), SCRIPT.name)
    plan = dict(next(result.plans[model.plan] for model in result.models if model.plan is not None))
    assert confirm([plan], python=sys.executable, device="meta").observations[0].status == "ran"
    request = json.dumps({"device": "meta", "plans": [plan]})
    ours = OURS.format(folder=str(WORKER.parent), request=request)
    for name, program in (("meta", ours), ("bare torch", THEIRS)):
        megabytes, seconds = zip(*figures(program, runs), strict=True)
        print(f"{name:16} {statistics.median(megabytes):5.2f} MB {statistics.median(seconds):6.3f} s")
    print(f"{'target':16} {TARGETS[0]:5.1f} MB {TARGETS[1]:6.3f} s beyond the imports, of {runs} processes each")


def figures(program: str, runs: int) -> Iterator[tuple[float, float]]:
    for _ in range(runs):
        command = [sys.executable, "-c", MEASURE + program]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        megabytes, seconds = json.loads(done.stdout.splitlines()[-1])
        yield megabytes, seconds
