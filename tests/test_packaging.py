"""The wheel: what it carries, and that it works in an empty virtual environment without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BAD_SCRIPT = """\
import torch.nn as nn
from torchvision import models

model = models.resnet50(weights="IMAGENET1K_V2")
model.fc = nn.Linear(512, 10)
"""

# What would lead headcheck to an interpreter with torch, or to the checkout instead of the wheel.
LEADS_ASTRAY = {"HEADCHECK_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `headcheck` command, installed from the wheel with what it needs and nothing else."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
    return scripts / "headcheck"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(BAD_SCRIPT)
    return tmp_path


def headcheck(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in LEADS_ASTRAY}
    return subprocess.run([command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_carries_rules_catalog_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    rules = {path.name for path in (ROOT / "rules").glob("*.md")}
    data = {path.name for path in (ROOT / "headcheck/catalog/data").iterdir()}
    assert rules and data
    assert {Path(name).name for name in names if name.startswith("headcheck/rules/")} == rules
    assert {Path(name).name for name in names if name.startswith("headcheck/catalog/data/")} == data
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"headcheck/confirm/worker/__main__.py", "headcheck/confirm/worker/program.py"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "fixtures/"))]


def test_a_rule_is_printed(command: Path, project: Path) -> None:
    done = headcheck(command, "rule", "HC101", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrong-in-features" in done.stdout


def test_a_model_is_printed(command: Path, project: Path) -> None:
    done = headcheck(command, "model", "resnet50", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2048" in done.stdout


def test_a_bad_script_is_found(command: Path, project: Path) -> None:
    done = headcheck(command, "--no-confirm", "train.py", cwd=project)
    assert done.returncode == 1
    assert "HC101" in done.stdout
    assert "torch" not in done.stderr


def test_without_torch_it_says_that_nothing_was_confirmed(command: Path, project: Path) -> None:
    done = headcheck(command, "train.py", cwd=project)
    assert done.returncode == 1
    assert "HC101" in done.stdout
    (note,) = [line for line in done.stderr.splitlines() if "not confirmed" in line]
    assert "headcheck[torch]" in note or "--python" in note
