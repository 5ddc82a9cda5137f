"""Which files are taken: those named, and what a folder has that nobody excluded."""

import os
import sys

import pytest

from headcheck.settings import DEFAULT_EXCLUDES, Settings, UsageError
from headcheck.source.files import discover


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files (and their folders) in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*names, **texts):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def found(*paths, **settings):
    return [name.replace(os.sep, "/") for name in discover(paths, Settings(**settings))]


def test_a_folder_is_walked_in_order_for_python_files(tree):
    tree("b.py", "a/z.py", "a/b/c.py", "c.txt", "a.pyc", "a/d.py", "notes.py.bak")
    assert found(".") == ["a/b/c.py", "a/d.py", "a/z.py", "b.py"]
    assert found("a") == ["a/b/c.py", "a/d.py", "a/z.py"]
    assert found("./a/") == ["./a/b/c.py", "./a/d.py", "./a/z.py"]
    assert found(os.path.abspath("a/b")) == [os.path.abspath("a/b/c.py").replace(os.sep, "/")]


def test_files_named_are_always_taken_and_only_once(tree):
    tree("build/a.py", "b.py", "script")
    assert found("build/a.py", "script", "b.py", ".", "./b.py") == ["build/a.py", "script", "b.py"]
    assert found("build") == ["build/a.py"]


def test_standard_input(tree):
    tree()
    assert found("-") == ["-"]


def test_a_missing_path_is_a_usage_error(tree):
    tree()
    with pytest.raises(UsageError, match=r"no such file or folder: missing\.py"):
        found("missing.py")


def test_an_empty_folder_has_no_files(tree):
    tree()
    assert found(".") == []


@pytest.mark.parametrize("folder", DEFAULT_EXCLUDES)
def test_default_excludes(tree, folder):
    tree(f"{folder}/a.py", f"deep/{folder}/a.py", "b.py")
    assert found(".") == ["b.py"]


def test_excludes(tree):
    root = tree("tests/a.py", "src/tests/b.py", "src/c.py", "src/gen_d.py", "build/e.py").as_posix()
    assert found(".", extend_exclude=("tests",)) == ["src/c.py", "src/gen_d.py"]
    assert found(".", extend_exclude=("gen_*.py", "tests/")) == ["src/c.py"]
    assert found(".", extend_exclude=(f"{root}/src/*",)) == ["tests/a.py"]
    assert found(".", exclude=("src",)) == ["build/e.py", "tests/a.py"]


def test_gitignore(tree):
    root = tree("a.py", "gen/b.py", "keep.py", "sub/c.py", "sub/gen/d.py", "sub/keep/e.py", "sub/x/f.py", "top/a.py")
    (root / ".gitignore").write_text("# generated\ngen/\n/a.py\nsub/keep\nf.py\n")
    (root / "sub" / ".gitignore").write_text("!f.py\n/c.py\n")
    assert found(".") == ["keep.py", "sub/x/f.py", "top/a.py"]


def test_gitignore_above_counts_up_to_the_repository(tree):
    root = tree("repo/.git/config", "repo/sub/a.py", "repo/sub/b.py", "repo/out/c.py")
    (root / ".gitignore").write_text("b.py\n")
    (root / "repo" / ".gitignore").write_text("a.py\nout/\n")
    assert found("repo/sub") == ["repo/sub/b.py"]
    assert found("repo/out") == ["repo/out/c.py"]  # named explicitly


def test_gitignore_above_without_a_repository_does_not_count(tree):
    root = tree("sub/a.py")
    (root / ".gitignore").write_text("a.py\n")
    assert found("sub") == ["sub/a.py"]


def test_a_gitignore_of_any_bytes(tree):
    root = tree("a.py", "é.py")
    (root / ".gitignore").write_bytes(b"\xff\xfe\0[\n!\n\\\n**\n!*.py\n")
    assert found(".") == ["a.py", "é.py"]


def test_links_are_not_followed(tree):
    root = tree("tree/a.py", "outside/secret.py")
    (root / "tree" / "link").symlink_to(root / "outside", target_is_directory=True)
    (root / "tree" / "link.py").symlink_to(root / "outside" / "secret.py")
    (root / "tree" / "loop").symlink_to(root / "tree", target_is_directory=True)
    assert found("tree") == ["tree/a.py"]
    assert found("tree/link.py") == ["tree/link.py"]


@pytest.fixture
def deep_folder(tree):
    """A folder in more folders than Python recurses, taken away again because pytest could not."""
    top = tree()
    depth = 1500
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(top)
    yield top
    for _ in range(depth):
        os.chdir("d")
    for _ in range(depth):
        os.chdir("..")
        os.rmdir("d")


@pytest.mark.skipif(sys.platform == "win32", reason="paths are too short")
def test_a_tree_deeper_than_recursion(deep_folder):
    (deep_folder / "a.py").touch()
    assert "a.py" in found(".")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root lists everything")
def test_a_folder_that_cannot_be_listed_is_given_out(tree):
    root = tree("closed/a.py")
    (root / "closed").chmod(0)
    assert found(".") == ["closed"]
    (root / "closed").chmod(0o700)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_in_a_folder_are_not_opened(tree):
    tree("a.py")
    os.mkfifo("pipe.py")
    assert found(".") == ["a.py"]
