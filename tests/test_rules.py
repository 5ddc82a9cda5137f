"""Every page of the rule book is run: headcheck must find what is marked, and PyTorch must agree."""

import importlib
import importlib.util
import pathlib
import subprocess
import sys

import pytest

from headcheck import rulebook

ROOT = pathlib.Path(rulebook.__file__).parent.parent
# Remarks on style and strategy that other rules' pages need not obey.
REMARKS = {"HC305", "HC306", "HC501"}
FOUND_BY_THE_PIPELINE = {"HC901"}
# What only running a model shows, and reading alone does not speak of.
FOUND_BY_CONFIRMING = {"HC601", "HC602", "HC603", "HC604"}
EXAMPLES = [
    pytest.param(code, example, id=f"{code}-{number}")
    for code in rulebook.codes()
    for number, example in enumerate(rulebook.rule(code).examples, start=1)
]


def part(name):
    """A module of headcheck, imported only by the tests that need it."""
    return importlib.import_module(f"headcheck.{name}")


def said_by(program):
    """The words that `program` prints in a fresh interpreter."""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.parametrize("code, example", EXAMPLES)
def test_headcheck_finds_exactly_what_is_marked(code, example):
    pipeline = part("pipeline")

    def found(text):
        findings = pipeline.check_text(text, "example.py", select=("ALL",))
        return sorted((f.location.row, f.code) for f in findings if f.code not in REMARKS or f.code == code)

    assert found(example.wrong) == ([] if code in FOUND_BY_CONFIRMING else sorted(example.expected))
    assert found(example.right) == []


@pytest.mark.parametrize("code, example", [e for e in EXAMPLES if e.values[0] in FOUND_BY_CONFIRMING])
def test_confirming_finds_exactly_what_is_marked(code, example, tmp_path):
    """On meta, where devices are simulated; elsewhere all but what needs an accelerator."""
    pytest.importorskip("torch")
    settings = importlib.import_module("headcheck.settings").Settings
    for device in ("cpu", "meta"):
        for text, expected in ((example.wrong, example.expected), (example.right, ())):
            script = tmp_path / "example.py"
            script.write_text(text)
            run = part("pipeline").run([str(script)], settings(confirm=True, python=sys.executable, device=device))
            (result,) = run.files
            expected = () if (code, device) == ("HC604", "cpu") else expected
            assert sorted((f.location.row, f.code) for f in result.findings) == sorted(expected)
            assert all(f.verdict.status == "confirmed" for f in result.findings)
            if example.says and expected and device == "cpu":
                assert code == "HC602" or example.says in result.findings[0].message


@pytest.mark.parametrize("code, example", [e for e in EXAMPLES if rulebook.rule(e.values[0]).fix != "none"])
def test_a_fix_leaves_nothing_to_find(code, example):
    from headcheck.source import Source, rewrite

    findings = part("pipeline").check_text(example.wrong, "example.py", select=(code,))
    edits = [edit for finding in findings for edit in finding.fix.edits]
    mended = rewrite(Source("example.py", example.wrong), edits).decode()
    assert mended != example.wrong
    assert part("pipeline").check_text(mended, "example.py", select=("ALL",)) == ()
    compile(mended, "example.py", "exec")


@pytest.mark.parametrize("code, example", EXAMPLES)
def test_pytorch_agrees(code, example):
    pytest.importorskip("torch")
    for library in ("timm", "transformers", "peft"):
        if f"import {library}" in example.wrong or f"from {library}" in example.wrong:
            pytest.importorskip(library)
    proof = importlib.import_module("torch_proof")
    accelerator = proof.needs_accelerator(example.proof)
    seen = proof.observe(example.wrong, accelerator=accelerator) if example.proof != "none" else None
    if seen is not None:
        assert proof.why_not_wrong(seen, example.proof) is None
        assert proof.why_not_right(seen, example.proof) is not None
        assert example.says in seen.said
        if example.proof == "unreadable":
            assert seen.error.lineno == example.expected[0][0]
    assert proof.why_not_right(proof.observe(example.right, accelerator=accelerator), example.proof) is None


@pytest.mark.parametrize("code", rulebook.codes())
def test_page_is_whole(code):
    rule = rulebook.rule(code)
    assert rule.code == code
    assert rule.summary.endswith(".")
    assert len(rule.summary) < 160
    for example in rule.examples:
        assert {marked for _, marked in example.expected} == {code}
        assert rulebook.marked(example.right) == ()


def test_what_is_off_by_default():
    assert {code for code in rulebook.codes() if rulebook.rule(code).default == "off"} == rulebook.OFF


def test_every_check_has_its_page():
    checks = part("checks")
    assert checks.registered() == set(rulebook.codes()) - FOUND_BY_THE_PIPELINE


def test_unknown_code_names_its_neighbours():
    with pytest.raises(KeyError, match="no rule HC199; the nearest: HC"):
        rulebook.rule("HC199")


def test_render_is_plain_text():
    page = rulebook.render("HC101")
    assert page.startswith(
        "HC101 wrong-in-features\n=======================\nerror, on by default, no fix, since 0.1.0\n"
    )
    assert "```" not in page
    assert "\n    model.fc = nn.Linear(512, 10)  # HC101\n" in page


def test_listing_has_a_line_for_every_rule():
    lines = rulebook.listing().splitlines()
    assert [line[:5] for line in lines] == list(rulebook.codes())
    assert len({line.index(rulebook.rule(line[:5]).name) for line in lines}) == 1


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("no front matter", "front matter"),
        ("---\ncode HC101\n---\n", "key: value"),
        ("---\ncode: HC101\ncode: HC101\n---\n", "key: value"),
        ("---\ncode: HC101\n---\n", "must hold"),
    ],
)
def test_a_broken_page_is_refused(text, complaint):
    with pytest.raises(ValueError, match=f"HC101-x.md: .*{complaint}"):
        rulebook._parse(text, "HC101-x.md")


def test_a_page_needs_pairs_with_one_proof_each():
    page = (pathlib.Path(rulebook._folder()) / rulebook._files()["HC101"]).read_text(encoding="utf-8")
    name = rulebook._files()["HC101"]
    for broken, complaint in [
        (page.replace("## Right", "## Better"), "pairs of Wrong and Right"),
        (page.replace("proof: ", "proof: none; none; none; none; none; "), "proofs"),
        (page.replace("severity: error", "severity: fatal"), "severity must be"),
        (page.replace("## Why it matters", "## Why"), "first two sections"),
        (page.replace("```python", "```"), "exactly one python block"),
        (page.replace("name: wrong", "name: false"), "named after"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            rulebook._parse(broken, name)


def test_the_rule_book_is_light():
    """Reading a page needs neither torch nor libcst nor any other heavy module."""
    program = "import sys; from headcheck import rulebook; rulebook.rule('HC101'); print(*sys.modules)"
    loaded = said_by(program)
    assert not {"torch", "libcst", "json", "yaml", "difflib", "argparse"} & set(loaded)


def test_only_the_page_asked_for_is_read():
    program = (
        "import builtins, os; from headcheck import rulebook; opened = []; real = builtins.open\n"
        "builtins.open = lambda name, *a, **k: (opened.append(os.path.basename(name)), real(name, *a, **k))[1]\n"
        "rulebook.codes(); rulebook.rule('HC201'); print(*opened)"
    )
    assert said_by(program) == ["HC201-unused-head.md"]


def test_every_proof_is_in_the_vocabulary():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("the vocabulary needs torch")
    import torch_proof

    for code in rulebook.codes():
        for example in rulebook.rule(code).examples:
            torch_proof.split(example.proof)
