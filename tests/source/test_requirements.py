"""Which versions of a library a project asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcheck.source import requirements
from headcheck.source.requirements import Span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("==0.6.12", Span((0, 6, 12), (0, 6, 12, 0))),
        (">=0.9,<1.0", Span((0, 9), (1, 0))),
        (" >= 0.6.0 ", Span((0, 6, 0), None)),
        ("~=0.6.2", Span((0, 6, 2), (0, 7))),
        ("^0.6.12", Span((0, 6, 12), (0, 7))),
        ("^1.0", Span((1, 0), (2,))),
        ("=0.4.12", Span((0, 4, 12), (0, 4, 13))),
        ("==0.6.*", Span((0, 6), (0, 7))),
        ("<=0.6.13", Span(None, (0, 6, 13, 0))),
        ("==0.8.19.dev0", Span((0, 8, 19), (0, 8, 19, 0))),
        ("!=0.5", Span(None, None)),
        ("0.6.12", Span((0, 6, 12), (0, 6, 12, 0))),
        ("*", None),
        ("", None),
    ],
)
def test_specifiers(text: str, span: Span | None) -> None:
    assert requirements.span_of(text) == span


SIX = Span((0, 6, 12), (0, 6, 12, 0))


@pytest.mark.parametrize(
    ("name", "text", "spans"),
    [
        ("requirements.txt", "torch\ntimm==0.6.12  # the last of its kind\n", (SIX,)),
        ("requirements-dev.txt", "timm[all]==0.6.12 ; python_version > '3.8'\n", (SIX,)),
        ("requirements/train.txt", "timm==0.6.12\n", (SIX,)),
        ("requirements.txt", "timm\npytorch-timm==0.6.12\n# timm==0.6.12\n", ()),
        ("setup.py", "setup(install_requires=['torch>=1.0', 'timm==0.6.12', 'numpy==2.0'])\n", (SIX,)),
        ("pyproject.toml", '[project]\ndependencies = ["timm==0.6.12", "torch"]\n', (SIX,)),
        ("pyproject.toml", '[tool.poetry.dependencies]\ntimm = {version = "0.6.12", extras = []}\n', (SIX,)),
        ("environment.yml", "dependencies:\n  - pip:\n    - timm==0.6.12\n", (SIX,)),
        ("Pipfile.lock", '{"default": {"timm": {"hashes": ["sha256:0"], "version": "==0.6.12"}}}', (SIX,)),
        ("poetry.lock", '[[package]]\nname = "timm"\nversion = "0.6.12"\n', (SIX,)),
        ("notes.md", "timm==0.6.12\n", ()),
    ],
)
def test_files(name: str, text: str, spans: tuple[Span, ...], tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert requirements.spans((str(tmp_path / "train"), str(tmp_path)), "timm") == spans


def test_a_lock_file_counts_before_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("timm>=0.4\n", encoding="utf-8")
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "timm"\nversion = "1.0.9"\n', encoding="utf-8")
    assert requirements.spans((str(tmp_path),), "timm") == (Span((1, 0, 9), (1, 0, 9, 0)),)


def test_the_nearest_folder_that_says_so_counts(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "requirements.txt").write_text("timm>=0.9\n", encoding="utf-8")
    (tmp_path / "part/requirements.txt").write_text("timm==0.6.12\n", encoding="utf-8")
    assert requirements.spans((str(tmp_path / "part"), str(tmp_path)), "timm") == (SIX,)
