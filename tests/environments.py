"""Confirm the fixtures in other Python environments, for real: `python -m tests.environments PYTHON…`.

Each PYTHON is the interpreter of a virtual environment: one with an older torch, one whose torchvision does not fit its
torch, one without torchvision, timm or transformers. headcheck runs here, the worker there. One line is printed for
each with what the run said; it fails where a finding is refuted, or where too few are confirmed.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
from pathlib import Path

from headcheck import pipeline
from headcheck.settings import Settings

FIXTURES = Path(__file__).parents[1] / "fixtures"
FOLDERS = ("forwards", "lessons", "scripts")
LEAST = 50  # findings that any torch confirms
VERSION = "import importlib.metadata as m; print(m.version('torch'))"


def verdicts(python: str, device: str) -> tuple[collections.Counter[str], list[str], tuple[str, ...]]:
    """How many findings got each verdict in an environment, those that were refuted, and the notes of the run."""
    settings = Settings(confirm=True, python=python, device=device)
    run = pipeline.run([str(FIXTURES / folder) for folder in FOLDERS], settings)
    found = [(result.filename, finding) for result in run.files for finding in result.findings]
    counts = collections.Counter(f.verdict.status if f.verdict is not None else "not run" for _, f in found)
    refuted = [
        f"{Path(name).name}:{f.location.row} {f.code}: {f.verdict.detail}"
        for name, f in found
        if f.verdict is not None and f.verdict.status == "refuted"
    ]
    return counts, refuted, run.notes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.environments", description=__doc__)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument("--device", default="meta")
    options = parser.parse_args()
    failed = False
    for python in options.pythons:
        version = subprocess.run([python, "-I", "-c", VERSION], capture_output=True, text=True, check=False).stdout
        counts, refuted, notes = verdicts(python, options.device)
        said = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        print(f"{python}: torch {version.strip() or 'is not there'}: {said}", *notes, *refuted, sep="\n  ", flush=True)
        failed = failed or bool(refuted) or counts["confirmed"] < LEAST
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
