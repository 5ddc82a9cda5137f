"""The `headcheck-confirm` hook, run by pre-commit itself in a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from confirm_plans import needs_torch

ROOT = Path(__file__).parents[2]
WRONG = """
from torch import nn
from torchvision import models
model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(1024, 10)
"""
CONFIGURATION = """
repos:
  - repo: {hooks}
    rev: HEAD
    hooks:
      - id: headcheck-confirm
        args: [--device, meta, --python, {python}]
"""

pytestmark = [
    needs_torch,
    pytest.mark.skipif(os.name != "posix", reason="the command is a shell script"),
    pytest.mark.skipif(find_spec("pre_commit") is None or shutil.which("git") is None, reason="it needs both"),
]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def test_the_hook_confirms_in_the_users_environment(tmp_path: Path) -> None:
    hooks, project, programs = (tmp_path / name for name in ("hooks", "project", "bin"))
    for folder in (hooks, project, programs):
        folder.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    command = programs / "headcheck"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m headcheck "$@"\n')
    command.chmod(0o755)
    (project / "train.py").write_text(WRONG)
    (project / ".pre-commit-config.yaml").write_text(
        CONFIGURATION.format(hooks=repository(hooks), python=sys.executable)
    )
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
    }
    run = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(run, cwd=repository(project), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "train.py:5:12 HC101" in done.stdout
    assert "confirmed on meta" in done.stdout
    assert "mat1 and mat2 shapes cannot be multiplied (2x512 and 1024x10)" in done.stdout
