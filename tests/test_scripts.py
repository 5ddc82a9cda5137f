"""Scripts as people write them, tricky but right and tricky and wrong: headcheck and PyTorch agree on each."""

import importlib
import pathlib

import pytest

from headcheck import analysis, pipeline
from tests.answers import expected, promised, shown

SCRIPTS = sorted((pathlib.Path(__file__).parent.parent / "fixtures" / "scripts").glob("*.py"))


def each(kind):
    chosen = [script for script in SCRIPTS if script.stem.startswith(kind)]
    return pytest.mark.parametrize("script", chosen, ids=lambda script: script.stem)


def observe(script):
    pytest.importorskip("torch")
    for library in ("timm", "fastai"):
        if library in script.name:
            pytest.importorskip(library)
    proof = importlib.import_module("torch_proof")
    accelerator = proof.needs_accelerator(expected(script).get("proof", "none"))
    return proof, proof.observe(script.read_text(encoding="utf-8"), accelerator=accelerator)


@each("")
def test_findings(script):
    assert bool(promised(script)) == script.stem.startswith("wrong_")
    findings = pipeline.check_text(script.read_text(encoding="utf-8"), str(script))
    assert [(finding.location.row, finding.code) for finding in findings] == promised(script)


@each("wrong")
def test_a_wrong_script_fails_in_pytorch(script):
    proof, seen = observe(script)
    assert proof.why_not_wrong(seen, expected(script)["proof"]) is None
    assert expected(script).get("says", "") in seen.said


@each("right")
def test_a_right_script_works_in_pytorch_as_shown(script):
    proof, seen = observe(script)
    assert proof.why_not_right(seen) is None
    answer = shown(seen)
    assert answer == expected(script)
    if not type(seen.names["model"]).__module__.startswith("torchvision."):
        return  # a network of the script's own holds the library's model and more
    shape = (1, *seen.outputs[0][1:])
    truth = (shape, int(answer["trainable"]), int(answer["total"]))
    reports = analysis.analyse(script.read_text(encoding="utf-8"), str(script)).models
    predicted = [(report.output_shape, report.trainable, report.total) for report in reports]
    assert any(all(one in (None, true) for one, true in zip(numbers, truth, strict=True)) for numbers in predicted), (
        predicted
    )
