"""Notebooks as people write them: headcheck and PyTorch agree on each; and scripts that were notebooks."""

import importlib
import json
import pathlib
import re

import pytest

from headcheck import analysis, cli, pipeline
from headcheck.settings import Settings
from tests.answers import expected, shown
from tests.notebooks import as_script, code, lines, markdown, notebook

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "fixtures" / "notebooks").glob("*.ipynb"))
ONLY_READ = Settings(confirm=False)

IMPORTS = "from torch import nn, optim\nfrom torchvision import models"
WRONG = 'model = models.resnet50(weights="DEFAULT")\nmodel.fc = nn.Linear(512, 10)'


def each(kind):
    chosen = [path for path in NOTEBOOKS if path.stem.startswith(kind)]
    return pytest.mark.parametrize("path", chosen, ids=lambda path: path.stem)


def check(data: bytes, filename="a.ipynb", settings=ONLY_READ):
    """(cell, row, code) of each finding."""
    result = pipeline.check_file(filename, data, settings)
    return [(f.cell, f.location.row, f.code) for f in result.findings]


def promised(path):
    """Cell, row and code of each finding: `HC101 at cell 3:2` → [(3, 2, "HC101")]."""
    found = re.findall(r"(HC\d{3}) at cell (\d+):(\d+)", expected(path)["findings"])
    return [(int(cell), int(row), code) for code, cell, row in found]


def observe(path):
    pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    return proof, proof.observe(as_script(path))


# --- notebooks as people write them ----------------------------------------------------------------------------------


@each("")
def test_findings(path):
    assert check(path.read_bytes(), str(path)) == promised(path)
    assert any(code != "HC901" for _, _, code in promised(path)) == path.stem.startswith("wrong_")


@each("wrong")
def test_a_wrong_notebook_fails_in_pytorch(path):
    proof, seen = observe(path)
    assert proof.why_not_wrong(seen, expected(path)["proof"]) is None
    assert expected(path).get("says", "") in seen.said


@each("right")
def test_a_right_notebook_works_in_pytorch_as_shown(path):
    proof, seen = observe(path)
    assert proof.why_not_right(seen) is None
    answer = {**shown(seen), "findings": expected(path)["findings"]}
    assert answer == expected(path)
    truth = ((1, *seen.outputs[0][1:]), int(answer["trainable"]), int(answer["total"]))
    reports = pipeline.check_file(str(path), path.read_bytes(), ONLY_READ).models
    assert truth in [(report.output_shape, report.trainable, report.total) for report in reports]


@each("wrong")
def test_a_wrong_notebook_is_confirmed(path):
    pytest.importorskip("torch")
    run = pipeline.run([str(path)], Settings(confirm=True))
    verdicts = [each.verdict.status for each in run.files[0].findings if each.code != "HC901"]
    assert set(verdicts) == {"confirmed"}


# --- what belongs to which model -------------------------------------------------------------------------------------


def test_a_model_that_a_later_cell_builds_anew_is_another():
    first = "model = models.resnet18(weights='DEFAULT')\nmodel.requires_grad_(False)\nmodel.fc = nn.Linear(512, 3)"
    adam = "optimizer = optim.Adam(model.parameters())"
    again = "model = models.resnet18(weights='DEFAULT')"
    head = "model.fc = nn.Linear(512, 3)"
    assert check(notebook(IMPORTS, first, adam, again, head)) == []
    assert check(notebook(IMPORTS, first, again, adam, head)) == [(4, 1, "HC401")]
    assert check(notebook(IMPORTS, first, adam, again, head, "model.requires_grad_(False)")) == [(6, 1, "HC301")]
    assert check(notebook(IMPORTS, first, "model.requires_grad_(False)", again, head)) == [(3, 1, "HC301")]
    assert check(notebook(IMPORTS, again, head.replace("512", "64"), first)) == [(3, 1, "HC101")]


def test_a_cell_that_nobody_can_follow_may_have_done_anything():
    build = "model = models.resnet18(weights='DEFAULT')\nmodel.fc = nn.Linear(512, 3)"
    freeze = "for p in model.parameters():\n    p.requires_grad = False"
    thaw = "for p in model.fc.parameters():\n    p.requires_grad = True"
    assert check(notebook(IMPORTS, build, freeze)) == [(3, 2, "HC301")]
    assert check(notebook(IMPORTS, build, freeze, f"%%mystery\n{thaw}")) == []
    assert check(notebook(IMPORTS, build, freeze, f"{thaw}\n)")) == [(4, 3, "HC901")]
    assert check(notebook(IMPORTS, build, freeze, "%%bash\nmodel")) == [(3, 2, "HC301")]


def test_what_is_raised_ends_a_cell_and_not_the_notebook():
    build = "model = models.resnet18(weights='DEFAULT')\nmodel.fc = nn.Linear(512, 3)\nmodel.requires_grad_(False)"
    assert check(notebook(IMPORTS, build, "import sys", "sys.exit()")) == []
    assert check(notebook(IMPORTS, build, "model.classifier")) == [(3, 1, "HC202")]
    assert check(notebook(IMPORTS, build)) == [(2, 3, "HC301")]


def test_looking_at_a_model_changes_nothing():
    build = "model = models.resnet18(weights='DEFAULT')\nmodel.fc = nn.Linear(512, 3)\nmodel.requires_grad_(False)"
    look = "from torchinfo import summary\nsummary(model, (1, 3, 224, 224))"
    assert check(notebook(IMPORTS, build, "display(model)", "model", "print(model)", look)) == [(2, 3, "HC301")]


# --- places ----------------------------------------------------------------------------------------------------------


def test_a_message_names_the_cell_of_what_it_speaks_of():
    result = pipeline.check_file("a.ipynb", notebook(markdown("# A"), IMPORTS, WRONG), ONLY_READ)
    (finding,) = result.findings
    assert finding.message == "Linear takes 512 features, but resnet50 (cell 3, line 1) feeds 2048 into `fc`"
    assert (finding.location, finding.end_location) == ((2, 12), (2, 30))


def test_columns_count_in_the_cell_as_it_was_written():
    data = notebook(IMPORTS, "  model = models.resnet50()\n  %time  model.fc = nn.Linear(512, 10)")
    (finding,) = pipeline.check_file("a.ipynb", data, ONLY_READ).findings
    assert (finding.location, finding.end_location) == ((2, 21), (2, 39))


def test_a_notebook_has_no_fixes():
    (finding,) = pipeline.check_file(
        "a.ipynb", notebook(IMPORTS, "models.resnet18(pretrained=True)"), ONLY_READ
    ).findings
    assert (finding.code, finding.fix) == ("HC501", None)


def test_models_and_their_timelines_are_in_cells():
    settings = Settings(confirm=False)
    (model,) = pipeline.check_file("a.ipynb", notebook(IMPORTS, WRONG, "model.eval()"), settings).models
    assert (model.cell, model.location) == (2, (1, 9))
    assert [(step.cell, step.location.row) for step in model.timeline] == [(2, 1), (2, 2), (3, 1)]


def test_a_model_is_shown_as_a_run_of_all_cells_leaves_it():
    """Which ends with the cell that stops."""
    cells = ("model = models.resnet50()", "model.classifier\nmodel.fc = nn.Linear(3, 2)", "model.fc = nn.Linear(3, 2)")
    result = pipeline.check_file("a.ipynb", notebook(IMPORTS, *cells), Settings(confirm=False))
    (plan,) = result.plans
    assert (plan["left_out"], plan["taken"]) == ("", "no cell is run after the one that stops")
    assert [step["op"] for step in plan["steps"]] == ["build", "read"]


# --- comments --------------------------------------------------------------------------------------------------------


def test_comments_spare_a_line_or_the_notebook():
    spared = WRONG + "  # headcheck: ignore[HC101]"
    assert check(notebook(IMPORTS, WRONG, spared)) == [(2, 2, "HC101")]
    assert check(notebook(IMPORTS, f"%time\n{WRONG}  # noqa: HC101")) == []
    assert check(notebook(IMPORTS, WRONG.replace("model.fc", "%time model.fc") + "  # noqa")) == []
    assert check(notebook("# headcheck: ignore-file", IMPORTS, WRONG)) == []
    assert check(notebook(markdown("# headcheck: ignore-file"), IMPORTS, WRONG)) == [(3, 2, "HC101")]
    assert check(notebook(IMPORTS, "x = )  # noqa")) == [(2, 1, "HC901")]


# --- files -----------------------------------------------------------------------------------------------------------


def test_what_cannot_matter_is_not_read():
    said = [{"output_type": "stream", "name": "stdout", "text": ["import torch.nn"]}]
    assert pipeline.check_file("a.ipynb", b"no notebook", ONLY_READ).relevant is False
    assert pipeline.check_file("a.ipynb", notebook(code("x = )", outputs=said)), ONLY_READ).findings == ()
    assert pipeline.check_file("a.ipynb", notebook("import torch.nn", "x = )"), ONLY_READ).relevant is True


def test_a_notebook_that_is_none():
    (finding,) = pipeline.check_file("a.ipynb", b'{"torch": "nn"\n', ONLY_READ).findings
    assert (finding.code, finding.severity, finding.cell, finding.location.row) == ("HC901", "error", None, 2)


def test_notebooks_are_found_in_folders(tmp_path, capsys):
    for name in ("a.ipynb", ".ipynb_checkpoints/a-checkpoint.ipynb", "b/c.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(notebook(IMPORTS, WRONG))
    assert cli.main(["--no-confirm", "--output-format", "concise", str(tmp_path)]) == 1
    found = [line.split(":cell")[0] for line in capsys.readouterr().out.splitlines()[:-1]]
    assert found == [str(tmp_path / "a.ipynb"), str(tmp_path / "b" / "c.ipynb")]


def test_standard_input_may_be_a_notebook(monkeypatch, capsys):
    class Stdin:
        class buffer:
            read = staticmethod(lambda: notebook(IMPORTS, WRONG))

    monkeypatch.setattr("sys.stdin", Stdin)
    assert cli.main(["--no-confirm", "--output-format", "concise", "--stdin-filename", "x.ipynb", "-"]) == 1
    assert capsys.readouterr().out.startswith("x.ipynb:cell 2:2:12 HC101")


# --- reports ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.ipynb"
    path.write_bytes(notebook(markdown("# A"), IMPORTS, code(lines("\n%time\n" + WRONG))))
    return path.read_text().split("\n")


def report(capsys, *arguments):
    cli.main(["--no-confirm", *arguments, "a.ipynb"])
    return capsys.readouterr().out


def test_full_shows_the_cell(saved, capsys):
    assert report(capsys).startswith(
        "a.ipynb:cell 3:4:12 HC101 wrong-in-features: Linear takes 512 features, but resnet50 (cell 3, line 3) feeds "
        "2048 into `fc`\n"
        "  |\n"
        "2 | %time\n"
        '3 | model = models.resnet50(weights="DEFAULT")\n'
        "4 | model.fc = nn.Linear(512, 10)\n"
        "  |            ^^^^^^^^^^^^^^^^^^\n"
    )


def test_json_has_the_cell(saved, capsys):
    (finding,) = json.loads(report(capsys, "--output-format", "json"))
    assert (finding["cell"], finding["location"]) == (3, {"row": 4, "column": 12})


def test_annotations_are_on_the_line_of_the_file(saved, capsys):
    row = next(number for number, line in enumerate(saved, start=1) if "Linear" in line)
    assert f"file=a.ipynb,line={row},endLine={row}::a.ipynb:cell 3:4:12 HC101" in report(
        capsys, "--output-format", "github"
    )
    log = json.loads(report(capsys, "--output-format", "sarif"))
    (result,) = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": row, "endLine": row}
    assert result["message"]["text"].startswith("In cell 3, line 4:\nLinear takes 512")


def test_fingerprints_are_of_the_line_not_of_its_place(saved, capsys, tmp_path):
    def fingerprints():
        log = json.loads(report(capsys, "--output-format", "sarif"))
        return [result["partialFingerprints"] for result in log["runs"][0]["results"]]

    before = fingerprints()
    (tmp_path / "a.ipynb").write_bytes(notebook("x = 1", IMPORTS, f"x\n{WRONG}"))
    assert fingerprints() == before


def test_show_names_cells(saved, capsys):
    assert "    cell 3, line 4  `fc` becomes Linear(512, 10)\n" in shows(capsys)


def shows(capsys):
    cli.main(["show", "--no-confirm", "a.ipynb"])
    return capsys.readouterr().out


# --- scripts that were notebooks -------------------------------------------------------------------------------------

COLAB = f"""\
# -*- coding: utf-8 -*-
!pip install torchvision
%cd /content
# %% [markdown]
# # Title
# %%
{IMPORTS}
# %%
%%time
    # left
model = models.resnet50()
%time model.fc = nn.Linear(512, 10)
"""
DATABRICKS = f"""\
# Databricks notebook source
# MAGIC %md
# MAGIC # Title

# COMMAND ----------

# MAGIC %pip install torchvision

# COMMAND ----------

{IMPORTS}
dbutils.library.restartPython()

# COMMAND ----------

{WRONG}
"""


def rows(text):
    return [(f.location, f.cell, f.code) for f in pipeline.check_text(text, "a.py")]


def test_a_script_with_commands_is_read():
    assert rows(COLAB) == [((13, 18), None, "HC101")]
    result = analysis.analyse(COLAB, "a.py")
    assert result.models[0].location.row == 12


def test_a_script_from_databricks_is_python():
    assert rows(DATABRICKS) == [((18, 12), None, "HC101")]


def test_comments_in_a_script_with_commands():
    assert rows(COLAB.replace("10)", "10)  # noqa: HC101")) == []


def test_a_script_that_is_broken_has_its_error_where_python_has_none_for_commands():
    assert rows(COLAB + "x = = 1\n") == [((14, 5), None, "HC901")]
    assert rows("!ls\nmodel = (\n") == [((2, 9), None, "HC901")]


def test_the_excerpt_of_a_script_with_commands(tmp_path, capsys):
    path = tmp_path / "a.py"
    path.write_text(COLAB)
    cli.main(["--no-confirm", str(path)])
    assert "13 | %time model.fc = nn.Linear(512, 10)\n   |                  ^^^^^^^^" in capsys.readouterr().out
