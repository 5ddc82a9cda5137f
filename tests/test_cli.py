"""The command line: what is asked of the pipeline, what is printed where, and the exit status."""

import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

from headcheck import __version__, cli, pipeline
from headcheck.cli import main
from headcheck.findings import FileResult, Finding, Location, Run, Verdict
from headcheck.settings import Settings

ROOT = pathlib.Path(cli.__file__).parent.parent
PYTHONPATH = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
MATTERS = "import torch.nn as nn\n"


def finding(severity="error", status=None, code="HC101"):
    verdict = Verdict(status, "…") if status else None
    place = Location(1, 1)
    return Finding("a.py", code, "wrong-in-features", severity, "it is wrong", place, place, verdict=verdict)


class Pipeline:
    """Stands in for the pipeline: keeps what it was asked, and gives `run`."""

    def __init__(self):
        self.run = Run((FileResult("a.py", MATTERS),))
        self.asked = []

    def __call__(self, paths, settings, stdin=None, progress=None, models=False):
        self.asked.append((paths, settings, stdin))
        if isinstance(self.run, Exception):
            raise self.run
        return self.run


@pytest.fixture
def stub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(MATTERS)
    (tmp_path / "b.py").write_text("import os\n")
    pipeline_ = Pipeline()
    monkeypatch.setattr(pipeline, "run", pipeline_)
    return pipeline_


def headcheck(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, **options.pop("env", {})}
    command = [sys.executable, "-m", "headcheck", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **options)


# --- usage -----------------------------------------------------------------------------------------------------------


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"headcheck {__version__}\n"
    assert main(["--help"]) == 0
    assert "headcheck show PATH" in capsys.readouterr().out
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "headcheck [check] PATH" in said.err


@pytest.mark.parametrize("command", ["check", "show", "rule", "model", "models", "trace"])
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: headcheck {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--bogus"], "--bogus"),
        (["a.py", "--out", "json"], "--out"),
        (["a.py", "--output-format", "xml"], "xml"),
        (["a.py", "--fail-on", "never"], "never"),
        (["a.py", "--select", "HC999"], "no rule has the code or prefix HC999"),
        (["a.py", "--device", "tpu"], "--device: unknown device 'tpu'; there are auto, cpu, cuda"),
        (["a.py", "--output-file", "no/such/folder/x"], "--output-file: no/such/folder/x"),
        (["rule", "HC999"], "no rule HC999"),
        (["rule", "hc10"], "the nearest: HC1"),
        (["trace"], "--library"),
        (["trace", "a:b", "--library", "torch"], "either a TARGET or --library"),
        (["trace", "a:b", "--input", "3,x"], "--input"),
    ],
)
def test_wrong_use(stub, arguments, said, capsys):
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err and "Traceback" not in streams.err


def test_a_missing_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["missing.py"]) == 2
    assert capsys.readouterr().err == "headcheck: error: no such file or folder: missing.py\n"


# --- what the pipeline is asked --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, paths, settings",
    [
        (["check"], ["."], {}),
        (["check", "a.py"], ["a.py"], {}),
        (["--no-confirm"], ["."], {"confirm": False}),
        (["a.py", "--confirm", "b.py"], ["a.py", "b.py"], {"confirm": True}),
        (["a.py", "--confirm", "--no-confirm"], ["a.py"], {"confirm": False}),
        (["--", "a.py"], ["a.py"], {}),
        (["a.py", "--select", "hc1,HC201", "--select", "HC3"], ["a.py"], {"select": ("HC1", "HC201", "HC3")}),
        (["a.py", "--ignore=HC1, HC2,"], ["a.py"], {"ignore": ("HC1", "HC2")}),
        (["a.py", "--extend-select", "HC9"], ["a.py"], {"extend_select": ("HC9",)}),
        (
            ["a.py", "--exclude", "x,y", "--extend-exclude", "z"],
            ["a.py"],
            {"exclude": ("x", "y"), "extend_exclude": ("z",)},
        ),
        (["a.py", "--python", "py", "--device", "cpu"], ["a.py"], {"python": "py", "device": "cpu"}),
        (["a.py", "--fail-on", "info", "--exit-zero"], ["a.py"], {"fail_on": "info", "exit_zero": True}),
        (["a.py", "--output-format", "json"], ["a.py"], {"output_format": "json"}),
        (["show", "a.py", "--no-confirm"], ["a.py"], {"confirm": False}),
        (["show"], ["."], {}),
    ],
)
def test_settings(stub, arguments, paths, settings):
    assert main(arguments) == 0
    assert stub.asked == [(paths, Settings(**settings), None)]


def test_standard_input(stub, monkeypatch, capsys):
    data = MATTERS.encode() + b"\xff"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["-", "--stdin-filename", "train.py"]) == 0
    assert stub.asked == [(["-"], Settings(stdin_filename="train.py"), data)]


def test_configuration(stub, capsys):
    pathlib.Path("pyproject.toml").write_text('[tool.headcheck]\noutput-format = "json"\n')
    assert main(["b.py"]) == 0
    assert capsys.readouterr().out == "[]\n"
    pathlib.Path("pyproject.toml").write_text("[tool.headcheck]\nbogus = 1\n")
    assert main(["a.py"]) == 2
    assert "unknown key 'bogus'" in capsys.readouterr().err


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "findings, arguments, status",
    [
        ([], [], 0),
        ([finding()], [], 1),
        ([finding("warning")], [], 1),
        ([finding("info")], [], 0),
        ([finding("info")], ["--fail-on", "info"], 1),
        ([finding("warning")], ["--fail-on", "error"], 0),
        ([finding()], ["--exit-zero"], 0),
        ([finding(status="refuted")], [], 0),
        ([finding(status="inconclusive")], [], 1),
        ([finding(status="refuted"), finding(status="confirmed")], [], 1),
    ],
)
@pytest.mark.parametrize("output_format", ["full", "concise", "json", "github", "sarif"])
def test_exit_status(stub, findings, arguments, status, output_format, capsys):
    stub.run = Run((FileResult("a.py", MATTERS, tuple(findings)),))
    assert main(["a.py", "--output-format", output_format, *arguments]) == status
    assert capsys.readouterr().err == ""


def test_findings_go_to_standard_output_and_notes_to_standard_error(stub, capsys):
    stub.run = Run((FileResult("a.py", MATTERS, (finding(),)),), notes=("not confirmed: no torch",))
    assert main(["a.py", "--output-format", "concise"]) == 1
    said = capsys.readouterr()
    assert said.out == "a.py:1:1 HC101 wrong-in-features: it is wrong\nFound 1 error in 1 file.\n"
    assert said.err == "headcheck: not confirmed: no torch\n"


def test_no_files(stub, capsys):
    stub.run = Run(())
    assert main(["some", "where"]) == 0
    said = capsys.readouterr()
    assert said.err == "headcheck: no Python files or notebooks found under some, where\n"
    assert said.out == "All checks passed: no models in 0 files.\n"


def test_output_file(stub, capsys):
    stub.run = Run((FileResult("a.py", MATTERS, (finding(),)),))
    assert main(["a.py", "--output-format", "json", "--output-file", "out.json"]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads(pathlib.Path("out.json").read_text())[0]["code"] == "HC101"


def test_statistics(stub, capsys):
    stub.run = Run((FileResult("a.py", MATTERS, (finding(), finding())),))
    assert main(["a.py", "--statistics"]) == 1
    assert capsys.readouterr().out.startswith("2 HC101 wrong-in-features\n")


def test_colours_are_for_terminals(stub, capsys, monkeypatch):
    stub.run = Run((FileResult("a.py", MATTERS, (finding(),)),))
    main(["a.py"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["a.py"])
    assert "\x1b[1;31mHC101" in capsys.readouterr().out
    main(["a.py", "--output-file", "out.txt"])
    assert "\x1b" not in pathlib.Path("out.txt").read_text()


def test_show_says_what_could_not_be_read(stub, capsys):
    stub.run = Run((FileResult("a.py", "", (finding(code="HC901"), finding())),))
    assert main(["show", "a.py"]) == 1
    said = capsys.readouterr()
    assert said.out == "No model that headcheck knows in 1 file.\n"
    assert said.err.startswith("a.py:1:1 HC901") and "HC101" not in said.err


# --- failures --------------------------------------------------------------------------------------------------------


def test_an_internal_error_says_where_and_how_to_report_it(stub, capsys):
    stub.run = Run((FileResult("b.py", "", (finding(),)),), failures=(("a.py", TypeError("unsupported operand")),))
    assert main(["a.py", "b.py", "--exit-zero"]) == 2
    said = capsys.readouterr()
    assert "HC101" in said.out
    assert "headcheck: internal error in a.py: TypeError: unsupported operand" in said.err
    assert "issues" in said.err and "Traceback" not in said.err


def test_an_internal_error_elsewhere(stub, capsys):
    stub.run = ValueError("oh")
    assert main(["a.py"]) == 2
    assert "headcheck: internal error: ValueError: oh" in capsys.readouterr().err


def test_debugging_shows_the_traceback(stub, monkeypatch):
    stub.run = ValueError("oh")
    monkeypatch.setenv("HEADCHECK_DEBUG", "1")
    with pytest.raises(ValueError, match="oh"):
        main(["a.py"])


def test_interruption(stub, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupted)
    assert main(["a.py"]) == 2
    assert capsys.readouterr().err == "headcheck: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell's pipes")
@pytest.mark.parametrize("arguments", [["rule"], ["rule", "HC101"], ["irrelevant.py"], ["matters.py"], ["--help"]])
def test_a_reader_that_has_had_enough(tmp_path, arguments):
    (tmp_path / "irrelevant.py").write_text("import os\n")
    (tmp_path / "matters.py").write_text(MATTERS)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "headcheck", *arguments]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_the_characters(tmp_path):
    (tmp_path / "é→.py").write_text(MATTERS + "x = (")
    done = headcheck("é→.py", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert done.stdout.startswith("\\xe9\\u2192.py:2:5 HC901")


# --- start-up --------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_matter_costs_no_imports(tmp_path):
    (tmp_path / "a.py").write_text("import os\n")
    (tmp_path / "pyproject.toml").write_text("[tool.headcheck]\nignore = ['HC501']\n")
    program = (
        "import sys; from headcheck.cli import main; status = main(['check', '--no-confirm', 'a.py']);"
        "print(status, sorted({'argparse', 'dataclasses', 'typing', 're', 'libcst', 'json', 'ast'} & set(sys.modules)))"
    )
    # -S: what a site package imports at start-up is not headcheck's doing
    command = [sys.executable, "-S", "-c", program]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "All checks passed: no models in 1 file.\n0 []\n"


def test_the_short_way_says_what_the_long_way_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        pathlib.Path(f"{name}.py").write_text("import os\n")
    said = []
    for arguments in (["a.py", "b.py", "./a.py"], ["a.py", "b.py", "./a.py", "--exit-zero"]):
        assert main(arguments) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1]


def test_the_short_way_is_not_taken_for_what_may_matter(stub):
    main(["a.py", "b.py"])
    main(["."])
    assert [paths for paths, _, _ in stub.asked] == [["a.py", "b.py"], ["."]]


# --- the other commands ----------------------------------------------------------------------------------------------


def test_rule(capsys):
    assert main(["rule", "hc101"]) == 0
    assert capsys.readouterr().out.startswith("HC101 wrong-in-features\n")
    assert main(["rule"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10


def test_model(capsys):
    assert main(["model", "resnet50"]) == 0
    said = capsys.readouterr().out
    assert "fc" in said and "2048" in said.replace(",", "")
    assert main(["model", "resnet51"]) == 2
    assert "resnet50" in capsys.readouterr().err


def test_models(capsys):
    assert main(["models", "resnet*"]) == 0
    assert "resnet50" in capsys.readouterr().out
    assert main(["models", "nothing*"]) == 1
    assert capsys.readouterr().err == "headcheck: no model is called nothing*\n"


def test_trace_of_an_unknown_library(capsys):
    pytest.importorskip("torchvision")
    assert main(["trace", "--library", "numpy"]) == 2
    assert "numpy" in capsys.readouterr().err


BUILDER = """
import torch.nn as nn

def small(num_classes=10, weights="DEFAULT"):
    assert weights is None
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))

def broken():
    raise OSError("no such checkpoint")
"""


@pytest.fixture
def builders(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_builders.py").write_text(BUILDER)
    yield
    sys.modules.pop("my_builders", None)


def test_trace_of_a_builder(builders, capsys):
    assert main(["trace", "my_builders:small", "--input", "3,32,32"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("my_builders.small: Sequential, 314 parameters, one input is (3, 32, 32)")
    assert "Linear(8, 10), gets (N, 8)" in said[2]


@pytest.mark.parametrize(
    "target, said",
    [
        ("my_builders:broken", "OSError: no such checkpoint"),
        ("my_builders:none", "my_builders has no none"),
        ("nowhere:small", "No module named 'nowhere'"),
        ("small", "not of the form"),
    ],
)
def test_trace_of_what_is_no_builder(builders, target, said, capsys):
    assert main(["trace", target]) == 2
    streams = capsys.readouterr()
    assert streams.out == "" and said in streams.err and "bug in headcheck" not in streams.err
