"""Settling: which findings stand over all paths, under which conditions, and what a verdict adds."""

from __future__ import annotations

import pytest

from headcheck import settle
from headcheck.confirm.observation import Observation
from headcheck.findings import Expectation, FileResult, Finding
from tests.reading import found, read

FROZEN_AFTER = """
m = models.resnet50(weights="DEFAULT")
m.fc = nn.Linear(2048, 10)
for p in m.parameters():
    p.requires_grad = False
"""
OPTIMIZER_BEFORE = """
m = models.resnet50()
opt = torch.optim.SGD(m.parameters(), lr=0.1)
m.fc = nn.Linear(2048, 10)
"""


def conditions(script):
    (finding,) = read(script).findings
    return finding.code, finding.conditions


@pytest.mark.parametrize(
    "script, wanted",
    [
        ("m = models.resnet50()\nm.fc = nn.Linear(512, 2)", ()),
        # Every path that comes by the line shows it: no condition is needed.
        ("m = models.resnet50()\nif size == 50:\n    m.fc = nn.Linear(512, 2)", ()),
        ("m = models.resnet50()\nn = 512 if a else 2048\nm.fc = nn.Linear(n, 2)", ("a",)),
        ("m = models.resnet50()\nn = 2048 if a else 512\nm.fc = nn.Linear(n, 2)", ("not a",)),
        ("m = models.resnet50()\nn = 512 if size == 50 else 2048\nif b:\n    m.fc = nn.Linear(n, 2)", ("size == 50",)),
        (
            "if a == 1:\n    m = models.resnet50()\nelif a == 2:\n    m = models.resnet18()\n"
            "else:\n    m = models.resnet34()\nm.fc = nn.Linear(512, 2)",
            ("a == 1",),
        ),
        (
            "m = {'a': models.resnet50, 'b': models.resnet101, 'c': models.resnet18}[name]()\nm.fc = nn.Linear(512, 2)",
            ("name == 'a'",),
        ),
    ],
)
def test_one_path_is_enough_for_a_size_and_its_conditions_are_named(script, wanted):
    assert conditions(script) == ("HC101", wanted)


WHOLE = """
class Whole(nn.Module):
    def __init__(self, show, small):
        super().__init__()
        self.show = show
        self.trunk = nn.Sequential(*list({}.children())[:-1])
        self.head = nn.Linear(2048, 5)
    def forward(self, x):
        x = self.head(self.trunk(x).flatten(1))
        if self.show:
            return x, self.show
        return x
"""


@pytest.mark.parametrize(
    ("trunk", "wanted"),
    [
        ("models.resnet18()", ()),
        ("(models.resnet18() if small else models.resnet50())", ("small",)),
    ],
)
def test_a_branch_both_sides_of_which_show_it_is_no_condition(trunk, wanted):
    assert conditions(WHOLE.format(trunk)) == ("HC101", wanted)


BODY = """
def build(kind, classes):
    if kind == "dense":
        m = models.densenet121()
        m.features.conv0 = nn.Conv2d(1, 64, 7)
        m.classifier = nn.Linear(1024, classes)
    elif kind == "res":
        m = models.resnet50()
        m.fc = nn.Linear(2048, classes)
    return m

def body(kind, classes, whole=False):
    m = build(kind, classes)
    {}
"""
READ_TWICE = """
if a == 1:
    m = models.resnet50()
else:
    m = models.densenet121()
    print(m.features)
"""


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        # What the other path reads is on its heap already, so that it leaves no event there.
        (BODY.format("return m.features"), ('kind == "res"',)),
        (BODY.format("return m if whole else m.features"), ('kind == "res"', "not whole")),
        (BODY.format("if whole:\n        return m\n    return m.features"), ('kind == "res"', "not whole")),
        (READ_TWICE + "m.features", ("a == 1",)),
        (READ_TWICE + "if b:\n    m.features", ("a == 1", "b")),
        # All paths that come by show it.
        ("m = models.resnet50()\nif a:\n    m.eval()\nm.features", ()),
        ("m = models.resnet50()\nif b:\n    m.features", ("b",)),
        ("if a == 1:\n    m = models.resnet18()\nelse:\n    m = models.resnet50()\nm.features", ()),
    ],
)
def test_what_is_there_on_another_path(script, wanted):
    findings = [finding for finding in read(script).findings if finding.code == "HC202"]
    assert [sorted(finding.conditions) for finding in findings] == [sorted(wanted)]


def test_two_lines_are_two_findings():
    script = "m = models.resnet50()\nif a:\n    m.fc = nn.Linear(512, 2)\nelse:\n    m.fc = nn.Linear(1024, 2)"
    assert found(script) == [(3, "HC101"), (5, "HC101")]


@pytest.mark.parametrize("script, code", [(FROZEN_AFTER, "HC301"), (OPTIMIZER_BEFORE, "HC401")])
def test_what_is_missing_must_be_missing_on_every_path(script, code):
    assert [c for _, c in found(script)] == [code]
    assert [c for _, c in found(script + "if a:\n    m.cuda()\n")] == [code]


@pytest.mark.parametrize(
    "script, mends",
    [
        (FROZEN_AFTER, "m.fc.requires_grad_(True)"),
        (FROZEN_AFTER, "m.fc = nn.Linear(2048, 10)"),
        (OPTIMIZER_BEFORE, "opt.add_param_group({'params': m.fc.parameters()})"),
        (OPTIMIZER_BEFORE, "opt = torch.optim.SGD(m.parameters(), lr=0.1)"),
        # Code that is not followed may do it.
        (FROZEN_AFTER, "unfreeze(m)"),
        (FROZEN_AFTER, "trainer.fit(model=m)"),
        (OPTIMIZER_BEFORE, "unknown(m, opt)"),
    ],
)
def test_one_path_that_mends_it_is_enough_for_silence(script, mends):
    assert found(script + mends) == []
    assert found(f"{script}if a:\n    {mends}\n") == []


def test_an_every_path_rule_is_silent_when_paths_were_cut():
    branches = "".join(
        f"    if flags[{i}]:\n        m.layer{i % 4 + 1}.x{i} = nn.Linear({i + 1}, 2)\n" for i in range(40)
    )
    script = f"def f(flags):\n    m = models.resnet50()\n    m.fc = nn.Linear(2048, 10)\n{branches}"
    assert "HC301" not in {c for _, c in found(f"{script}    m.requires_grad_(False)\nf(unknown)")}


def test_doubtful_paths_show_nothing():
    script = "m = models.resnet50()\ntry:\n    unknown()\nexcept Exception:\n    m.fc = nn.Linear(512, 2)"
    assert found(script) == []


# -- verdicts --------------------------------------------------------------------------------------------------------


def result():
    return read("m = models.resnet50()\nm.fc = nn.Linear(512, 2)")


def raised(**values):
    error = "RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    answer = {"status": "raised", "at": "forward", "within": ("fc",), "error": error}
    return Observation(**{**answer, **values})


def test_findings_and_models_get_the_verdict_of_their_plan():
    judged = settle.with_verdicts(result(), [raised()])
    (finding,), (model,) = judged.findings, judged.models
    assert (finding.plan, model.plan) == (0, 0)
    assert finding.verdict.status == "confirmed"
    assert "mat1 and mat2" in finding.verdict.detail
    assert model.verdict is not None
    elsewhere = settle.with_verdicts(result(), [raised(within=("conv1",))])
    assert elsewhere.findings[0].verdict.status == "inconclusive"


def test_without_a_plan_there_is_no_verdict():
    whole = read("m = (")
    assert [f.plan for f in whole.findings] == [None]
    assert settle.with_verdicts(whole, []).findings[0].verdict is None
    assert settle.with_verdicts(FileResult("x.py", ""), []).findings == ()


def test_an_incomplete_plan_refutes_nothing():
    ran = raised(status="ran", at=None, error=None, outputs=(("", (2, 2)),))
    finished = result()
    assert settle.with_verdicts(finished, [ran]).findings[0].verdict.status == "refuted"
    plans = tuple({**plan, "left_out": "something"} for plan in finished.plans)
    unfinished = finished._replace(plans=plans)
    assert settle.with_verdicts(unfinished, [ran]).findings[0].verdict.status == "inconclusive"
    assert settle.with_verdicts(unfinished, [raised()]).findings[0].verdict.status == "confirmed"


def test_the_expectation_of_a_finding():
    (finding,) = result().findings
    assert finding.expectation == Expectation("raises", part="fc", step=5)


# -- what only running shows -----------------------------------------------------------------------------------------


def candidate(**values):
    """The result for a right script, with what running it may show of its model."""
    result = read("m = models.resnet50()\nm.fc = nn.Linear(2048, 2)")
    place = result.models[0].location
    expectation = Expectation("fails")
    finding = Finding("script.py", "HC601", "forward-fails", "error", "it cannot run", place, place)
    return result._replace(findings=(finding._replace(expectation=expectation, plan=0, **values), *result.findings))


def test_a_candidate_is_a_finding_only_where_it_is_confirmed():
    (finding,) = settle.with_verdicts(candidate(), [raised(everywhere=True)]).findings
    assert finding.message == "it cannot run: RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    assert settle.with_verdicts(candidate(), [raised()]).findings == ()
    assert settle.with_verdicts(candidate(), [raised(status="ran", at=None)]).findings == ()
    assert settle.proven(candidate()).findings == ()


def test_what_reading_found_is_not_said_twice():
    one = candidate()
    said = one.findings[0]._replace(code="HC101", expectation=Expectation("raises"))
    for other, number in [(said, 1), (said._replace(severity="info"), 2), (said._replace(plan=None), 1)]:
        both = one._replace(findings=(other, *one.findings))
        codes = [finding.code for finding in settle.with_verdicts(both, [raised(everywhere=True)]).findings]
        assert codes == ["HC101", "HC601"][:number]
