"""`[tool.headcheck]` and the command line: what is taken, and what is said of what is not."""

import os

import pytest

from headcheck.settings import Settings, UsageError, resolve


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(table, folder="."):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "pyproject.toml").write_text(table)
        return tmp_path

    return write


def test_without_anything(project):
    project("[tool.other]\n")
    assert resolve({"select": None}, ["a.py"]) == Settings()


def test_the_table_is_found_upwards_and_the_command_line_goes_first(project):
    root = project('[tool.headcheck]\nignore = ["HC2"]\noutput-format = "concise"\nfail-on = "error"\n')
    (root / "src").mkdir()
    project("[project]\n", "src")
    settings = resolve({"ignore": ("HC301",), "confirm": True}, ["src"])
    assert settings == Settings(ignore=("HC301",), output_format="concise", fail_on="error", confirm=True)


def test_it_is_looked_for_above_all_paths(project):
    root = project('[tool.headcheck]\nignore = ["HC1"]\n', "one")
    (root / "two").mkdir()
    assert resolve({}, ["one", "one/a.py"]).ignore == ("HC1",)
    assert resolve({}, ["one", "two"]).ignore == ()
    assert resolve({}, ["-"]).ignore == ()


def test_patterns_for_paths_are_from_where_they_stand(project):
    root = project('[tool.headcheck]\nextend-exclude = ["gen/*.py", "tests", "out/"]\n', "one[1]")
    settings = resolve({"exclude": ("a/b", "c")}, ["one[1]"])
    assert settings.extend_exclude == (os.path.join(str(root), "one[[]1]", "gen/*.py"), "tests", "out/")
    assert settings.exclude == (os.path.join(str(root), "a/b"), "c")


@pytest.mark.parametrize(
    "line, said",
    [
        ('selct = ["HC101"]', "unknown key 'selct' in [tool.headcheck]; did you mean select?"),
        ('select = "HC101"', "select: must be a list of strings"),
        ('select = ["HC999"]', "select: no rule has the code or prefix HC999"),
        ('select = ["HC10l"]', "did you mean HC1"),
        ("ignore = [1]", "ignore: must be a list of strings"),
        ('confirm = "yes"', 'confirm: must be true, false or "auto"'),
        ("confirm = 1", 'confirm: must be true, false or "auto"'),
        ('device = "cuda:x"', "device: unknown device 'cuda:x'; there are auto, cpu, cuda, cuda:0, mps, meta"),
        ('device = "toaster"', "device: unknown device 'toaster'"),
        ('output-format = "xml"', "output-format: must be one of full, concise, json, github, sarif, not 'xml'"),
        ('fail-on = "never"', "fail-on: must be one of info, warning, error"),
        ('python = "./evil"', "python: only --python and HEADCHECK_PYTHON choose an interpreter"),
        ("exit-zero = true", "unknown key 'exit-zero'"),
        ("select = [", "pyproject.toml: "),
        ("x = " + "[" * 5000, "pyproject.toml: "),
    ],
)
def test_what_is_wrong_is_said(project, line, said):
    project(f"[tool.headcheck]\n{line}\n")
    with pytest.raises(UsageError) as error:
        resolve({}, ["a.py"])
    assert said in str(error.value)
    assert "pyproject.toml" in str(error.value)


def test_a_table_that_is_none(project):
    project("tool.headcheck = 1\n")
    with pytest.raises(UsageError, match="must be a table"):
        resolve({}, ["a.py"])


def test_a_mention_is_no_table(project):
    project("# see tool.headcheck\n[project]\n")
    assert resolve({}, ["a.py"]) == Settings()


def test_the_command_line_is_checked_too(project):
    with pytest.raises(UsageError, match=r"^--extend-select: no rule has the code or prefix HX1$"):
        resolve({"extend_select": ("hx1",)}, ["a.py"])


@pytest.mark.parametrize(
    "settings, on",
    [
        ({}, {"HC101", "HC201", "HC901"}),
        ({"select": ("ALL",)}, {"HC101", "HC201", "HC305", "HC901"}),
        ({"select": ("HC3",)}, {"HC305", "HC901"}),
        ({"select": ("HC305",)}, {"HC305", "HC901"}),
        ({"extend_select": ("HC305",)}, {"HC101", "HC201", "HC305", "HC901"}),
        ({"ignore": ("HC1", "HC901")}, {"HC201"}),
        ({"ignore": ("ALL",)}, set()),
        ({"select": ("HC1",), "ignore": ("HC101",)}, {"HC901"}),
        ({"select": ("HC101",), "ignore": ("HC1",)}, {"HC101", "HC901"}),
        ({"select": ("HC101",), "ignore": ("HC101",)}, {"HC901"}),
        ({"select": ("ALL",), "ignore": ("HC3",)}, {"HC101", "HC201", "HC901"}),
    ],
)
def test_which_rules_are_on(settings, on):
    rules = {"HC101": True, "HC201": True, "HC305": False, "HC901": True}
    assert {code for code, default in rules.items() if Settings(**settings).enabled(code, default)} == on


def test_what_fails():
    assert [Settings().fails(severity) for severity in ("info", "warning", "error")] == [False, True, True]
    assert [Settings(fail_on="info").fails(s) for s in ("info", "error")] == [True, True]
