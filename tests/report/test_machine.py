"""The formats for machines: json, github, sarif."""

import io
import json
import pathlib

import jsonschema
import pytest
from make import CLEAN, CONFIRMED, REFUTED, TEXT, finding, run

from headcheck import report, rulebook
from headcheck.findings import Edit, Fix, Run
from headcheck.report.sarif import uri

SCHEMA = json.loads(pathlib.Path(__file__).with_name("sarif-2.1.0-subset.schema.json").read_text(encoding="utf-8"))


def rendered(name, what):
    out = io.StringIO()
    report.render(name, what, out)
    return out.getvalue()


# --- json ------------------------------------------------------------------------------------------------------------


def test_json():
    fix = Fix("Take the size from the old layer", True, (Edit(1, 2, "é"),))
    (said,) = json.loads(rendered("json", run(finding(verdict=CLEAN, fix=fix, cell=2, conditions=("a",)))))
    assert said == {
        "filename": "train.py",
        "cell": 2,
        "location": {"row": 6, "column": 12},
        "end_location": {"row": 6, "column": 30},
        "code": "HC101",
        "name": "wrong-in-features",
        "severity": "error",
        "message": "Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`",
        "conditions": ["a"],
        "help": "nn.Linear(model.fc.in_features, 10)",
        "fix": {
            "message": "Take the size from the old layer",
            "safe": True,
            "edits": [{"start": 1, "end": 2, "text": "é"}],
        },
        "verdict": {
            "status": "clean",
            "detail": "…",
            "device": "cpu",
            "outputs": [{"key": "", "shape": [2, 10]}],
            "trainable": 20490,
            "total": 23528522,
            "gradient": ["fc"],
            "changed": None,
            "milliseconds": 812.4,
        },
        "url": rulebook.rule("HC101").url,
    }


def test_json_of_nothing_is_an_array():
    assert json.loads(rendered("json", Run(()))) == []
    assert json.loads(rendered("json", run())) == []


def test_json_has_refuted_findings():
    (said,) = json.loads(rendered("json", run(finding(verdict=REFUTED))))
    assert said["verdict"]["status"] == "refuted"


def test_json_of_a_name_that_is_no_text():
    (said,) = json.loads(rendered("json", run(finding(filename="\udcff.py"))))
    assert said["filename"] == "\udcff.py"


# --- github ----------------------------------------------------------------------------------------------------------


def test_github():
    what = run(finding(filename="a,b:c%.py", verdict=CONFIRMED, severity="warning", conditions=("x % 2",)))
    assert rendered("github", what) == (
        "::warning title=headcheck HC101 wrong-in-features,file=a%2Cb%3Ac%25.py,line=6,endLine=6,col=12,endColumn=30::"
        "a,b:c%25.py:6:12 HC101 Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`"
        "%0Ahelp: nn.Linear(model.fc.in_features, 10)%0Awhen x %25 2"
        "%0Aconfirmed on cpu: RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x2048 and 512x10)\n"
    )


def test_github_takes_no_columns_across_lines():
    said = rendered("github", run(finding(severity="info", end_row=8)))
    assert said.startswith("::notice title=headcheck HC101 wrong-in-features,file=train.py,line=6,endLine=8::")


def test_github_one_line_for_each_and_none_for_refuted():
    hostile = finding(filename="a\n::error::b.py", message="a\r\n::set-output name=x::y")
    said = rendered("github", run(hostile, finding(verdict=REFUTED)))
    assert said.count("\n") == 1 and "\r" not in said


# --- sarif -----------------------------------------------------------------------------------------------------------


def sarif(what):
    log = json.loads(rendered("sarif", what))
    jsonschema.validate(log, SCHEMA)
    (only,) = log["runs"]
    return only


FINDINGS = [
    finding(verdict=CONFIRMED, conditions=("size == 50",)),
    finding("HC201", name="unused-head", row=7, end_row=9, end_column=2),
    finding("HC501", severity="info", filename="/tmp/a b/é#?.py", help=""),
    finding("HC203", severity="warning", filename="sub/\udcff.py", end_column=1),
    finding(row=99),
]


def test_sarif_keeps_to_the_schema():
    sarif(Run(()))
    sarif(run(notes=("not confirmed: no torch",)))
    sarif(run(*FINDINGS))


def test_the_schema_refuses():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": "2.1.0", "runs": [{}]}, SCHEMA)


def test_sarif():
    said = sarif(run(*FINDINGS, finding(verdict=REFUTED), notes=("a note",)))
    driver = said["tool"]["driver"]
    assert driver["name"] == "headcheck"
    assert [rule["id"] for rule in driver["rules"]] == ["HC101", "HC201", "HC203", "HC501"]
    assert driver["rules"][0]["helpUri"] == rulebook.rule("HC101").url
    assert driver["rules"][3]["defaultConfiguration"] == {"enabled": True, "level": "note"}
    assert [result["ruleId"] for result in said["results"]] == ["HC101", "HC201", "HC501", "HC203", "HC101"]
    for result in said["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    first = said["results"][0]
    assert first["level"] == "error"
    assert first["message"]["text"].splitlines() == [
        "Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`",
        "when size == 50",
        "Write instead: nn.Linear(model.fc.in_features, 10)",
        "confirmed on cpu: RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x2048 and 512x10)",
    ]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "train.py"},
                "region": {"startLine": 6, "startColumn": 12, "endLine": 6, "endColumn": 30},
            }
        }
    ]
    assert said["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "a note"


def fingerprints(*findings, text=TEXT):
    return [result["partialFingerprints"]["headcheck/v1"] for result in sarif(run(*findings, text=text))["results"]]


def test_fingerprints_stay_when_lines_move_and_numbers_in_messages_change():
    moved = finding(row=8, column=3, message="Linear takes 512 features, but resnet50 (line 7) feeds 2048 into `fc`")
    assert fingerprints(finding()) == fingerprints(moved, text="# one\n# two\n" + TEXT)


def test_fingerprints_differ():
    text = TEXT + "model.fc = nn.Linear(512, 10)\n"
    others = [finding(row=10), finding("HC201"), finding(filename="b.py"), finding(row=7)]
    assert len(set(fingerprints(finding(), *others, text=text))) == 5


@pytest.mark.parametrize(
    "filename, expected",
    [
        ("src/train.py", "src/train.py"),
        ("a b/é.py", "a%20b/%C3%A9.py"),
        ("/tmp/a#b.py", "file:///tmp/a%23b.py"),
        ("-", "-"),
        ("../a:b.py", "../a%3Ab.py"),
    ],
)
def test_uri(filename, expected):
    assert uri(filename) == expected
