"""The README says what is true: its commands run as written, its example is real, its table is the rule book's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# (language, text) of every fenced block, in order.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SH = [text for language, text in BLOCKS if language == "sh"]
INSTALLING = SH[:2]
EXAMPLE = next(text for language, text in BLOCKS if language == "python")

# Every headcheck command on a line of its own outside the two that install: in a shell block, after a prompt, in YAML.
COMMANDS = sorted(
    {
        command.partition("  #")[0].rstrip()
        for language, text in BLOCKS
        if text not in INSTALLING
        for command in re.findall(r"^(?:\$ |\s*- (?:run: )?)?(headcheck [^\n]*)$", text, re.MULTILINE)
    }
)
# These report no findings, so they succeed on a script that has some.
DESCRIBING = {"show", "rule", "model", "models", "trace"}
#: The builders that the README traces.
NETS = """\
from torch import nn

def Net():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 128**2, 9))

build = Net
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The README's example as a project, with the builders that it speaks of."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text(EXAMPLE, encoding="utf-8")
    (folder / "lab").mkdir()
    (folder / "lab" / "nets.py").write_text(NETS, encoding="utf-8")
    return folder


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which `headcheck` is this checkout's."""
    shims = cwd.parent / "bin"
    shims.mkdir()
    shim = shims / "headcheck"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headcheck "$@"\n')
    shim.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}
    for name in ("HEADCHECK_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)  # this Python confirms, not another one
    return subprocess.run(
        ["sh", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("block", SH)
def test_shell_blocks_parse(block: str) -> None:
    done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_two_blocks_are_one_line_each() -> None:
    assert [block.count("\n") for block in INSTALLING] == [1, 1]
    demonstration, tests = INSTALLING
    assert "fixtures/lessons" in demonstration and (ROOT / "fixtures/lessons").is_dir()
    assert "pytest" in tests


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run_as_written(command: str, project: Path) -> None:
    """The project holds one bad script, so whatever checks it without `--exit-zero` finds something: exit status 1."""
    first = command.split()[1]
    expected = 0 if first in DESCRIBING or "--exit-zero" in command else 1
    done = run(command, project)
    assert done.returncode == expected, done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_prints_what_the_readme_shows(project: Path) -> None:
    """Milliseconds differ from run to run; nothing else does."""
    shown = next(text for language, text in BLOCKS if language == "console")
    prompt, _, expected = shown.partition("\n")
    done = run(prompt.removeprefix("$ "), project)

    def steady(text: str) -> str:
        return re.sub(r"[\d.]+ ms", "N ms", text).strip()

    assert steady(done.stdout) == steady(expected)


def test_the_library_does_what_the_readme_shows() -> None:
    pytest.importorskip("torchvision")
    example = next(text for language, text in BLOCKS if language == "python" and "import headcheck" in text)
    shown = next(text for language, text in BLOCKS if language == "text" and text.startswith("HC401"))
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    with pytest.raises(AssertionError) as raised:
        names["test_training_is_set_up"]()
    assert str(raised.value).startswith(shown)


def test_the_rule_table_is_the_rule_books() -> None:
    from headcheck import rulebook

    between = README.partition("<!-- rules:begin -->")[2].partition("<!-- rules:end -->")[0]
    assert between.strip() == rulebook.table().strip()


def test_files_it_links_to_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
