"""The formats for people: full, concise, statistics."""

import io

import pytest
from make import CLEAN, CONFIRMED, INCONCLUSIVE, REFUTED, TEXT, finding, model, run

from headcheck import report
from headcheck.findings import Expectation, Location, Run, Statistics, Verdict
from headcheck.report import colour, statistics


def rendered(name, what, colour=False):
    out = io.StringIO()
    report.render(name, what, out, colour)
    return out.getvalue()


def test_full():
    said = rendered("full", run(finding(verdict=CONFIRMED, conditions=("size == 50", "pretrained"))))
    assert (
        said
        == """\
train.py:6:12 HC101 wrong-in-features: Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`
  |
4 | size = 50
5 | model = models.resnet50(weights="IMAGENET1K_V2")
6 | model.fc = nn.Linear(512, 10)
  |            ^^^^^^^^^^^^^^^^^^
7 | model.layer = nn.Sequential(
8 |     nn.Linear(1, 2),
  |
  help: nn.Linear(model.fc.in_features, 10)
  when size == 50 and pretrained
  confirmed on cpu: RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x2048 and 512x10)

Found 1 error in 1 file (1 confirmed on cpu).
"""
    )


def test_concise():
    said = rendered("concise", run(finding(verdict=CONFIRMED, conditions=("size == 50",)), finding(row=9)))
    assert (
        said
        == """\
train.py:6:12 HC101 wrong-in-features: Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc` \
(when size == 50) [confirmed]
train.py:9:12 HC101 wrong-in-features: Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`
Found 2 errors in 1 file (1 confirmed on cpu).
"""
    )


def test_a_span_of_lines_is_underlined_without_its_indentation():
    said = rendered("full", run(finding(row=7, column=1, end_row=9, end_column=2)))
    assert (
        """\
7 | model.layer = nn.Sequential(
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
8 |     nn.Linear(1, 2),
  |     ^^^^^^^^^^^^^^^^
9 | )
  | ^
  |
"""
        in said
    )


def test_underlines_fit_tabs_and_wide_characters():
    said = rendered("full", run(finding(row=1, column=9, end_column=12), text="\t'日本' = abc\n"))
    assert "1 |     '日本' = abc\n  |              ^^^\n" in said


def test_a_long_span_and_a_long_line_are_cut():
    text = "x = [\n" + "    1,\n" * 1000 + "]\n"
    assert rendered("full", run(finding(row=1, column=5, end_row=1002, end_column=2), text=text)).count("\n") < 20
    text = "a = 1;" * 50_000 + "model.fc = nn.Linear(1, 2)" + "; b = 1" * 50_000
    said = rendered("full", run(finding(row=1, column=300_001, end_column=300_027), text=text))
    assert len(said) < 1000
    line, below = said.split("\n")[2:4]
    assert line[below.index("^") : below.rindex("^") + 1] == "model.fc = nn.Linear(1, 2)"


@pytest.mark.parametrize("row, column", [(1, 1), (99, 1), (1, 500), (9, 1)])
def test_places_that_the_text_does_not_have(row, column):
    for text in ("", "x", TEXT):
        assert "HC101" in rendered("full", run(finding(row=row, column=column, end_column=1), text=text))


def test_what_a_terminal_would_obey_is_escaped():
    text = "x = 1  # \x1b]0;owned\x07 \u202e\x9b31m\x0c\n"
    hostile = finding(row=1, column=1, end_column=6, filename="a\x1b[2J\n.py", message="\x1b[31m", conditions=("\r",))
    for name in ("full", "concise"):
        said = rendered(name, run(hostile, text=text))
        assert not set(said) & set("\x1b\x07\u202e\x9b\x0c\r")
    assert "a\\x1b[2J\\n.py:1:1" in said


@pytest.mark.parametrize(
    "verdict, full, concise",
    [
        (REFUTED, "refuted on cpu: forward and backward ran: output (2, 10); headcheck is mistaken here", "[refuted]"),
        (INCONCLUSIVE, "not confirmed: the worker ran out of time", "[not confirmed]"),
    ],
)
def test_verdicts(verdict, full, concise):
    assert full in rendered("full", run(finding(verdict=verdict)))
    assert concise in rendered("concise", run(finding(verdict=verdict)))


def test_what_is_said_of_the_whole_run_is_not_said_of_each_finding():
    said = rendered("full", run(finding(verdict=INCONCLUSIVE), notes=("not confirmed: the worker ran out of time",)))
    assert "not confirmed" not in said


def test_a_verdict_on_what_no_run_can_show_is_left_out():
    said = finding(verdict=INCONCLUSIVE, expectation=Expectation())
    assert "confirmed" not in rendered("full", run(said)) + rendered("concise", run(said))


@pytest.mark.parametrize(
    "what, said",
    [
        (Run(()), ["All checks passed: no models in 0 files."]),
        (run(), ["All checks passed: no models in 1 file."]),
        (run(models=[model(), model(plan=1)]), ["All checks passed: 1 model in 1 file."]),
        (run(models=[model(verdict=CLEAN)]), ["All checks passed: 1 model in 1 file (1 confirmed on cpu)."]),
        (run(models=[model(verdict=CLEAN), model(verdict=INCONCLUSIVE)]), ["All checks passed: 1 model in 1 file."]),
        (
            run(finding(verdict=REFUTED), models=[model(verdict=CLEAN)]),
            [
                "1 finding refuted by running the model: not counted.",
                "All checks passed: 1 model in 1 file (1 confirmed on cpu).",
            ],
        ),
        (
            run(finding(), finding(severity="warning"), finding(severity="warning"), finding(severity="info")),
            ["Found 1 error, 2 warnings, 1 remark in 1 file."],
        ),
        (
            run(finding(verdict=CONFIRMED, plan=0), models=[model(verdict=CLEAN, plan=0)]),
            ["Found 1 error in 1 file (1 confirmed on cpu)."],
        ),
        (
            run(finding(severity="info", plan=0), models=[model(verdict=CLEAN, plan=0)]),
            ["1 other model is clean: forward and backward ran on cpu.", "Found 1 remark in 1 file."],
        ),
    ],
)
def test_summary(what, said):
    assert rendered("concise", what).splitlines()[-len(said) :] == said


def test_colours_add_nothing_but_colours():
    what = run(finding(verdict=CONFIRMED), finding(severity="warning", row=7, end_row=9))
    for name in ("full", "concise"):
        painted = rendered(name, what, colour=True)
        assert "\x1b[1;31mHC101\x1b[0m" in painted and "\x1b[1;33mHC101\x1b[0m" in painted
        plain = painted
        for code in ("1", "31", "32", "33", "34", "1;31", "1;33", "1;34", "1;36", "0"):
            plain = plain.replace(f"\x1b[{code}m", "")
        assert plain == rendered(name, what)


@pytest.mark.parametrize(
    "terminal, environment, wanted",
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_when_colours_are_wanted(terminal, environment, wanted):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert colour.wanted(stream, environment) is wanted


def test_statistics():
    out = io.StringIO()
    found = [finding()] * 10 + [finding("HC201", name="unused-head"), finding(verdict=REFUTED)]
    statistics.render(run(*found, statistics=Statistics(12, 11, 5, 1)), out, False)
    assert (
        out.getvalue()
        == """\
10 HC101 wrong-in-features
 1 HC201 unused-head
1 file read; 12 head replacements, 11 of them followed; 1 path cut short
1 finding refuted by running the model: not counted.
Found 11 errors in 1 file.
"""
    )


def test_statistics_of_the_models_that_were_run():
    """Where one place is shown on one path and not on another, it is not shown."""
    open_ = "a call of `f`, for there is too much to follow (train.py:12)"
    places = [
        (5, CLEAN),
        (6, CLEAN),
        (6, Verdict("inconclusive", f"output (2, 3), but this leaves out {open_}", left_out=open_)),
        (7, Verdict("inconclusive", "the run leaves out it", left_out=open_.replace("12", "3").replace("`f`", "`g`"))),
        (8, Verdict("inconclusive", "no answer within 60 seconds")),
        (9, CONFIRMED),
        (11, None),
        (10, INCONCLUSIVE),
    ]
    models = tuple(model(location=Location(row, 1), verdict=verdict, plan=None) for row, verdict in places)
    models = (*models[:-1], models[-1]._replace(plan=0))
    ran = run(finding(verdict=CONFIRMED, plan=0), models=models, plans=({"built": "line 10"},))
    out = io.StringIO()
    statistics.render(ran, out, False)
    assert out.getvalue().splitlines()[2:] == [
        "7 models on cpu: 1 clean, 2 with what was found confirmed, 4 not shown",
        "  not shown: 2 for a call of …, for there is too much to follow",
        "  not shown: 1 for a model that is not built here",
        "  not shown: 1 for no answer within … seconds",
        "1 other model is clean: forward and backward ran on cpu.",
        "Found 1 error in 1 file (1 confirmed on cpu).",
    ]


def test_a_detail_without_a_device():
    assert "ran on meta" in rendered("full", run(finding(verdict=Verdict("clean", "fine", "meta"))))
