"""Which imports are the project's own."""

from __future__ import annotations

import os

import pytest

from headcheck.pipeline import check_file
from headcheck.settings import Settings
from headcheck.source.project import local_modules


@pytest.fixture
def project(tmp_path):
    """A project of which some folders hold modules."""
    for name in ("pyproject.toml", "top.py", "src/in_src.py", "pkg/__init__.py", "pkg/beside.py", "pkg/deep/script.py",
                 "pkg/deep/near.py", "data/readme.txt", "empty/x.txt", "names/only_data.csv"):  # fmt: skip
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "outside.py").write_text("")
    return tmp_path / "project"


@pytest.mark.parametrize(
    "module, level, local",
    [
        ("near", 0, True),
        ("beside", 0, True),
        ("pkg", 0, True),
        ("pkg.beside.x", 0, True),
        ("top", 0, True),
        ("in_src", 0, True),
        ("src.in_src", 0, True),
        ("outside", 0, False),
        ("data", 0, False),
        ("names.only_data", 0, False),
        ("torchvision.models", 0, False),
        ("", 0, False),
        ("", 1, True),
        ("torchvision", 2, True),
    ],
)
def test_names_of_a_project(project, module, level, local):
    assert local_modules(str(project / "pkg" / "deep" / "script.py"))(module, level) is local


def test_without_a_project_only_what_lies_beside_counts(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "above.py").write_text("")
    (tmp_path / "a" / "b" / "beside.py").write_text("")
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: str(path).startswith(str(tmp_path)) and real(path))
    is_local = local_modules(str(tmp_path / "a" / "b" / "script.py"))
    assert (is_local("beside", 0), is_local("above", 0)) == (True, False)


def test_a_relative_filename_is_that_of_the_working_directory(project, monkeypatch):
    monkeypatch.chdir(project / "pkg")
    assert local_modules("script.py")("beside", 0)


SCRIPT = """\
from torch import nn
from torchvision import models
m = models.resnet50()
m.fc = nn.Linear(512, 2)
"""


def test_a_projects_own_torchvision_is_not_the_library(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    assert [f.code for f in check_file(str(script), None, Settings()).findings] == ["HC101"]
    other = tmp_path / "own" / "train.py"
    (tmp_path / "own" / "torchvision").mkdir(parents=True)
    (tmp_path / "own" / "torchvision" / "models.py").write_text("")
    other.write_text(SCRIPT)
    assert check_file(str(other), None, Settings()).findings == ()


def test_a_module_that_only_python_can_read_is_not_followed(tmp_path):
    """libcst does not take a body whose indent is wider than its tabs."""
    (tmp_path / "blocks.py").write_text(
        "import torchvision\n\n\nclass A:\n\tdef f(self):\n\t\treturn torchvision.models.resnet18()\n"
        "\tdef g(self):\n                    return 2\n"
    )
    script = tmp_path / "train.py"
    script.write_text(
        "import torchvision\nfrom torch import nn\nfrom blocks import *\n\n"
        "model = torchvision.models.resnet18()\nif A().g():\n    model.fc = nn.Linear(2048, 5)\n"
    )
    findings = check_file(str(script), None, Settings()).findings
    assert [(f.location.row, f.code) for f in findings] == [(7, "HC101")]
