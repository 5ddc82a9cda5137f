"""The practice problems: headcheck finds and confirms what their `.expected` files say, and PyTorch agrees."""

import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

from tests.answers import expected, promised, shown

ROOT = pathlib.Path(__file__).parent.parent
LESSONS = ROOT / "fixtures" / "lessons"
KEYS = {"wrong": {"findings", "proof", "says"}, "right": {"findings", "output", "trainable", "total"}}


def any_batch(said):
    """PyTorch's words with the batch size left out: (1x2048 and 512x10) → (Nx2048 and 512x10)."""
    return re.sub(r"\(\d+x", "(Nx", said)


ALL = sorted(LESSONS.glob("*/*.py"))
WRONG = [lesson for lesson in ALL if promised(lesson)]
RIGHT = [lesson for lesson in ALL if not promised(lesson)]


def each(lessons):
    return pytest.mark.parametrize("lesson", lessons, ids=lambda lesson: f"{lesson.parent.name}/{lesson.stem}")


def headcheck(*arguments):
    run = subprocess.run(
        [sys.executable, "-m", "headcheck", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode in (0, 1), run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def confirmed():
    """What one run over all lessons reports, each model built and run in PyTorch: findings by lesson."""
    pytest.importorskip("torch")
    by_lesson = {lesson: [] for lesson in ALL}
    for finding in json.loads(headcheck("check", "--confirm", "--output-format", "json", LESSONS)):
        by_lesson[(ROOT / finding["filename"]).resolve()].append(finding)
    return by_lesson


def test_every_lesson_has_its_answer():
    assert WRONG and RIGHT
    assert [lesson.with_suffix(".expected") for lesson in ALL] == sorted(LESSONS.glob("*/*.expected"))
    for lesson in ALL:
        answer = expected(lesson)
        kind = "wrong" if lesson in WRONG else "right"
        assert set(answer) - {"says"} == KEYS[kind] - {"says"}
        assert promised(lesson) or answer["findings"] == "none"


@each(ALL)
def test_findings(lesson):
    pipeline = importlib.import_module("headcheck.pipeline")
    findings = pipeline.check_text(lesson.read_text(encoding="utf-8"), str(lesson))
    assert [(finding.location.row, finding.code) for finding in findings] == promised(lesson)


@each(WRONG)
def test_a_wrong_lesson_is_confirmed(lesson, confirmed):
    findings = confirmed[lesson]
    assert [(finding["location"]["row"], finding["code"]) for finding in findings] == promised(lesson)
    for finding in findings:
        assert finding["verdict"]["status"] == "confirmed", finding["verdict"]
        assert any_batch(expected(lesson).get("says", "")) in any_batch(finding["verdict"]["detail"])


@each(RIGHT)
def test_a_right_lesson_stays_clean(lesson, confirmed):
    assert confirmed[lesson] == []


@pytest.mark.parametrize(
    "name",
    [
        "b_resnet18_five_classes/right",
        "d_frozen_feature_extractor/right",
        "d_frozen_feature_extractor/nothing_frozen",
    ],
)
def test_show_predicts_what_comes_out(name):
    lesson = LESSONS / f"{name}.py"
    shown = headcheck("show", lesson).replace(",", "").split()
    answer = expected(lesson)
    classes = answer["output"].rpartition(" ")[2]
    assert classes in shown, "the output's shape ends in the class count"
    assert {answer["trainable"], answer["total"]} <= set(re.findall(r"\d+", " ".join(shown)))


@each(WRONG)
def test_a_wrong_lesson_fails_in_pytorch(lesson):
    pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    seen = proof.observe(lesson.read_text(encoding="utf-8"), batch=1)
    assert proof.why_not_wrong(seen, expected(lesson)["proof"]) is None
    assert expected(lesson).get("says", "") in seen.said


@each(RIGHT)
def test_a_right_lesson_works_in_pytorch(lesson):
    pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    seen = proof.observe(lesson.read_text(encoding="utf-8"), batch=1)
    assert proof.why_not_right(seen) is None
    assert shown(seen) == expected(lesson)
    if "output" in seen.names:
        assert str(tuple(seen.names["output"].shape)) == expected(lesson)["output"]
