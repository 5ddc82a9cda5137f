"""Reading and PyTorch agree on the fixtures and the blocks of the rule book: nothing that was found is refuted, and
what is right neither fails nor has anything that only running it shows.

Of the wrong scripts a sample is confirmed, with HEADCHECK_ALL in the environment all of them.
"""

from __future__ import annotations

import os
import random
import sys
from functools import cache
from pathlib import Path

import pytest
from confirm_plans import needs_torch

from headcheck import pipeline, rulebook
from headcheck.findings import FileResult, Finding
from headcheck.settings import Settings

pytestmark = needs_torch

FIXTURES = Path(__file__).parents[2] / "fixtures"
CLEAN = sorted(FIXTURES.glob("clean/*.py"))
WRONG = [path for folder in ("scripts", "lessons", "projects") for path in sorted(FIXTURES.glob(f"{folder}/**/*.py"))]
SAMPLE = WRONG if "HEADCHECK_ALL" in os.environ else random.Random(0).sample(WRONG, 30)
NOTEBOOKS = sorted(FIXTURES.glob("notebooks/*.ipynb"))


def confirmed(paths: list[Path], device: str = "meta") -> dict[str, FileResult]:
    """What a run over some files says, with everything confirmed in one worker."""
    settings = Settings(confirm=True, python=sys.executable, device=device)
    run = pipeline.run([str(path) for path in paths], settings)
    assert run.failures == ()
    return {result.filename: result for result in run.files}


def told(result: FileResult, finding: Finding) -> str:
    verdict = finding.verdict
    said = f"{verdict.status}: {verdict.detail}" if verdict is not None else "not run"
    return f"{Path(result.filename).name}:{finding.location.row} {finding.code} {said}"


@cache
def clean() -> dict[str, FileResult]:
    return confirmed(CLEAN)


def test_right_scripts_have_no_finding_and_no_model_that_fails() -> None:
    results = clean()
    assert len(results) == len(CLEAN)
    assert [told(r, f) for r in results.values() for f in r.findings if f.severity != "info"] == []
    failing = [(r.filename, m.builder, m.verdict.detail) for r in results.values() for m in r.models
               if m.verdict is not None and m.verdict.status == "confirmed"]  # fmt: skip
    assert failing == []


def test_most_models_of_right_scripts_are_clean() -> None:
    verdicts = [m.verdict for r in clean().values() for m in r.models]
    good = sum(verdict is not None and verdict.status == "clean" for verdict in verdicts)
    assert good >= 0.8 * len(verdicts)


@pytest.mark.parametrize("paths", [SAMPLE, NOTEBOOKS], ids=["scripts", "notebooks"])
def test_nothing_that_reading_found_is_refuted(paths: list[Path]) -> None:
    refuted = [
        told(result, finding)
        for result in confirmed(paths).values()
        for finding in result.findings
        if finding.verdict is not None and finding.verdict.status == "refuted"
    ]
    assert refuted == []


def test_the_blocks_of_the_rule_book_are_settled(tmp_path: Path) -> None:
    written = {}
    for code in rulebook.codes():
        for number, example in enumerate(rulebook.rule(code).examples):
            for kind, text in (("wrong", example.wrong), ("right", example.right)):
                path = tmp_path / f"{code}_{number}_{kind}.py"
                path.write_text(text, encoding="utf-8")
                written[str(path)] = kind
    results = confirmed([Path(path) for path in written])
    findings = [(result, finding) for result in results.values() for finding in result.findings]
    assert [told(r, f) for r, f in findings if f.verdict is not None and f.verdict.status == "refuted"] == []
    right = [told(r, f) for r, f in findings if written[r.filename] == "right" and f.code.startswith("HC6")]
    assert right == []
    assert sum(f.verdict is not None and f.verdict.status == "confirmed" for _, f in findings) >= 40


def test_a_remark_on_what_is_right_anyway_is_not_refuted(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from torch import nn\nfrom torchvision import models\nmodel = models.resnet18()\n"
        "model.fc = nn.Linear(512, 2)\nmodel.fc.requires_grad = True\n"
    )
    ((_, result),) = confirmed([script]).items()
    assert [(f.code, f.severity, f.expectation.kind) for f in result.findings] == [("HC303", "info", "none")]
    assert [f.verdict.status for f in result.findings if f.verdict is not None] == ["inconclusive"]


TWO_FAULTS = {
    "a step and the forward after it": (
        "model = models.resnet18()\nmodel.fc = nn.Linear(2048, 10)\nprint(model.classifier)\n",
        [("HC101", "inconclusive", "line 5 raises: AttributeError"), ("HC202", "confirmed", "AttributeError")],
    ),
    "two layers of the forward": (
        "model = models.vgg11()\nmodel.features[0] = nn.Conv2d(3, 32, 3, padding=1)\n"
        "model.classifier[6] = nn.Linear(512, 10)\n",
        [("HC101", "inconclusive", "`features.3` raises: RuntimeError"), ("HC108", "confirmed", "RuntimeError")],
    ),
}


@pytest.mark.parametrize(("text", "verdicts"), TWO_FAULTS.values(), ids=TWO_FAULTS)
def test_a_finding_is_confirmed_by_its_own_failure_alone(
    tmp_path: Path, text: str, verdicts: list[tuple[str, str, str]]
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"from torch import nn\nfrom torchvision import models\n{text}")
    ((_, result),) = confirmed([script]).items()
    found = {finding.code: finding.verdict for finding in result.findings}
    for code, status, detail in verdicts:
        assert found[code] is not None
        assert found[code].status == status
        assert found[code].detail.startswith(detail)
