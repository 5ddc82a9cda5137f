"""Hostile and broken files: each is reported or read, none stops the run or kills the process."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from headcheck import analysis, cli

ROOT = pathlib.Path(cli.__file__).parent.parent
PYTHONPATH = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
MATTERS = "import torch.nn as nn\nfrom torchvision import models\n"
BAD = MATTERS + "model = models.resnet50()\nmodel.fc = nn.Linear(512, 10)\n"

# Text below the two lines that make a file matter → row and column of its HC901.
UNREADABLE = {
    "syntax_error": ("x = 1\ny = (\n", 4, 5),
    "indentation": ("def f():\nreturn 1\n", 4, 1),
    "python_2": ("print 'a'\n", 3, 1),
    "parentheses": (f"x = {'(' * 3000}1{')' * 3000}\n", 3, None),
    "elifs": ("if a:\n    pass\n" + "elif b:\n    pass\n" * 20_000, None, None),
    "operators": (f"x = {' + '.join(['1'] * 5000)}\n", None, None),
    "lambdas": (f"x = {'lambda: ' * 5000}1\n", None, None),
    "strings_side_by_side": (f"x = ({repr('a') * 3000})\n", 3, None),
    "ternaries": (f"x = {'1 if a else ' * 5000}2\n", None, None),
    "patterns": (f"match a:\n    case {'{1: ' * 30}b{'}' * 30}: pass\n", None, None),
    "deletions": (f"del {'(' * 60}a{', b)' * 60}\n", 3, 1),
    "many_elements": (f"x = [{'1, ' * 400_000}]\n", None, None),
    "surrogate_escape": ("x = '\\ud800\n", 3, 5),
}
READABLE = {
    "magic": "%matplotlib inline\n!ls\n",
    "long": "def f(a, b=1):\n    return a.b(c)[0]\n" * 10_000,
    "huge_number": f"x = 0x{'f' * 100_000}\n",
    "huge_string": f"x = '{'a' * 5_000_000}'\n",
    "strings": f"x = ({repr('a') * 390})\n",
    "some_elifs": "if a:\n    pass\n" + "elif b:\n    pass\n" * 490,
    "some_operators": f"x = {' + '.join(['1'] * 190)}\n",
    "with_form_feeds": "\f\n\f x = 1\n".replace(" x", "x"),
    "odd_line_separators": "x = '\u2028\x85\x1c'\n",
}


def headcheck(folder, *arguments, **options):
    command = [sys.executable, "-m", "headcheck", "--no-confirm", "--output-format", "json", *arguments]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300, **options
    )
    assert done.returncode in (0, 1), done.stderr
    return [
        (pathlib.PurePath(each["filename"]).stem, each["code"], each["location"]["row"], each["location"]["column"])
        for each in json.loads(done.stdout)
    ]


def test_all_of_them_in_one_run(tmp_path):
    for name, (text, _, _) in UNREADABLE.items():
        (tmp_path / f"{name}.py").write_text(MATTERS + text)
    for name, text in READABLE.items():
        (tmp_path / f"{name}.py").write_text(MATTERS + text, encoding="utf-8")
    (tmp_path / "zzz_last.py").write_text(BAD)
    found = headcheck(tmp_path, ".")
    assert [(name, code) for name, code, _, _ in found] == [
        *((name, "HC901") for name in sorted(UNREADABLE)),
        ("zzz_last", "HC101"),
    ]
    for name, _, row, column in found[:-1]:
        _, expected_row, expected_column = UNREADABLE[name]
        assert expected_row in (None, row) and expected_column in (None, column), name


@pytest.mark.parametrize(
    "data, code, row, column",
    [
        (BAD.encode(), "HC101", 4, 12),
        (b"\xef\xbb\xbf" + BAD.encode(), "HC101", 4, 12),
        (BAD.replace("\n", "\r\n").encode(), "HC101", 4, 12),
        (BAD.replace("\n", "\r").encode(), "HC101", 4, 12),
        (b"# coding: latin-1\n# \xe9\n" + BAD.encode(), "HC101", 6, 12),
        (BAD.rstrip("\n").encode(), "HC101", 4, 12),
        (BAD.replace("(512", "(\\\n512").encode(), "HC101", 4, 12),
        (b"# \xe9\n" + BAD.encode(), "HC901", 1, 3),
        (b"# coding: klingon\n" + BAD.encode(), "HC901", 1, 1),
        (BAD.encode() + b"\0", "HC901", 5, 1),
        (b"\x7fELF\0\0" + BAD.encode(), "HC901", 1, 5),
        (b"\xef\xbb\xbf# coding: latin-1\n" + BAD.encode(), "HC901", 1, 1),
    ],
)
def test_bytes(tmp_path, data, code, row, column):
    (tmp_path / "a.py").write_bytes(data)
    assert headcheck(tmp_path, "a.py") == [("a", code, row, column)]
    assert headcheck(tmp_path, ".") == [("a", code, row, column)]


def test_standard_input(tmp_path):
    assert headcheck(tmp_path, "-", input=BAD) == [("-", "HC101", 4, 12)]
    assert headcheck(tmp_path, "-", "--stdin-filename", "train.py", input=BAD + "(") == [("train", "HC901", 5, 1)]
    assert headcheck(tmp_path, "-", input="") == []


def test_nothing_of_the_tree_is_run_or_imported(tmp_path):
    """Names that Python or headcheck would import stand beside the script; each would say so if it were run."""
    for name in ("typing", "libcst", "json", "argparse", "sitecustomize", "headcheck", "tomllib", "tomli"):
        (tmp_path / f"{name}.py").write_text(f"open('ran_{name}', 'w')\nimport torch.nn\n")
    (tmp_path / "pyproject.toml").write_text("[tool.headcheck]\nignore = ['HC5']\n")
    (tmp_path / "train.py").write_text(BAD)
    program = "import sys; from headcheck.cli import main; sys.exit(main(['--no-confirm', '.']))"
    # As the installed command does it: the current folder is not on the path.
    command = [sys.executable, "-c", f"import sys; sys.path[:] = [{str(ROOT)!r}, *filter(None, sys.path)]; {program}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    assert not list(tmp_path.glob("ran_*"))


def test_a_name_that_is_no_text(tmp_path):
    name = os.fsdecode(b"a\xff.py")
    try:
        (tmp_path / name).write_text(BAD)
    except OSError:
        pytest.skip("the file system wants text")
    assert [code for _, code, _, _ in headcheck(tmp_path, ".")] == ["HC101"]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root reads everything")
def test_permission_denied(tmp_path):
    (tmp_path / "a.py").write_text(BAD)
    (tmp_path / "a.py").chmod(0)
    (tmp_path / "b.py").write_text(BAD)
    assert headcheck(tmp_path, ".") == [("a", "HC901", 1, 1), ("b", "HC101", 4, 12)]


@pytest.mark.parametrize(
    "notebook",
    [
        b'{"cells": [], "metadata": {}, "torch": "nn"}',
        b'{"torch nn": [' + b"[" * 100_000,
        b'{"cells": [{"cell_type": "code", "source": "import torch.nn\\n((((((((("}]}',
        b"\xff\xfetorch nn",
        b'{"cells": "torch nn"}',
        b'{"cells": [{"cell_type": "code", "source": "import torch.nn\\nx = ' + b"(" * 3000 + b'"}]}',
        b'{"cells": [{"cell_type": "code", "source": "import torch.nn\\nx = ' + b"-" * 3000 + b'1"}]}',
    ],
)
def test_a_bad_notebook_is_one_file(tmp_path, capsys, notebook):
    (tmp_path / "a.ipynb").write_bytes(notebook)
    (tmp_path / "b.py").write_text(BAD)
    assert cli.main(["--no-confirm", "--output-format", "concise", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "b.py:4:12 HC101" in said.out
    assert "internal error" not in said.err


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python reads these from 3.12 on")
@pytest.mark.parametrize(
    "text", ["class A[T](B[T]): pass\n", "def f[T](x): pass\n", "type A = int\n", "x = f'{f'{1}'}'\n"]
)
def test_what_a_newer_python_reads_is_no_error(text):
    (finding,) = analysis.analyse(MATTERS + text, "newer.py").findings
    assert (finding.code, finding.severity) == ("HC901", "warning")


def test_what_python_reads_is_no_error():
    mixed = "class A:\n\tdef f(self):\n                    return 1\n"
    compile(mixed, "mixed.py", "exec")
    for text, severity in ((mixed, "warning"), ("x = (\n", "error")):
        findings = analysis.analyse(MATTERS + text, "mixed.py").findings
        assert [(finding.code, finding.severity) for finding in findings] == [("HC901", severity)]
