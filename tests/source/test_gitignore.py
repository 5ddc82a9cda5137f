"""What a .gitignore says is what git says of it."""

import shutil
import subprocess
import time

import pytest

from headcheck.source.gitignore import ignores, parse

PATHS = [
    "a.py", "b.py", "build/a.py", "build/deep/b.py", "src/build/a.py", "src/a.py", "src/lib/a.py", "src/lib/deep/a.py",
    "foo bar.py", "foo ", "#a.py", "!a.py", "a[1].py", "a1.py", "a-b.py", "x/y/z/a.py", "x/a.py", "é.py", "a\\b.py",
    ".hidden.py", "A.py", "]x.py", "^x.py", "src/**x/a.py", "x/y/y/b.py",
]  # fmt: skip
PATTERNS = [
    "a.py", "/a.py", "*.py", "build", "build/", "/build/", "src/build", "src/*.py", "src/**", "src/**/", "src/**/a.py",
    "**/a.py", "**/lib/a.py", "**", "*", "/*", "/**", "x/**/a.py", "x/**/y/b.py", "x/**/**/a.py", "**/y/**/b.py",
    "?.py", "[ab].py", "[!a].py", "[^a].py", "[a-c].py", r"a\[1\].py", "a[[]1].py", "[]]x.py", r"\#a.py", r"\!a.py",
    "# a.py", r"foo\ bar.py", r"foo\ ", "foo ", "a.py   ", "b.py\r", "foo", "src/lib/", "lib/deep", "**lib",
    "src/**lib", "é.*", r"a\\b.py", "a\\", "/", "//", "!", "a//b", "", "   ", ".*", "*/a.py", "*/*/a.py", "**/", "**/*",
    "[a.py", "x/y/", r"\*.py", "?", "??.py", "a?b.py", "[!]x.py", "[^^]x.py", "**.py", "***/a.py", "src/***/a.py",
    "^x.py", "A.py",
]  # fmt: skip
COMBINED = [
    ["*.py", "!a.py"],
    ["!a.py", "*.py"],
    ["/*", "!/src"],
    ["/*", "!/src/", "/src/*", "!/src/lib/"],
    ["build/", "!build/a.py"],
    ["*", "!*/", "!a.py"],
    ["src/*", "!src/a.py", "src/lib"],
    ["**/deep/**", "!src/lib/deep/"],
]


def ignored(lines, path):
    """As a walk does it: nothing below an ignored folder is looked at."""
    patterns = parse(lines)
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    return any(ignores(patterns, folder, True) for folder in above) or bool(ignores(patterns, path, False))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", folder], check=True)
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


@pytest.mark.parametrize("lines", [[pattern] for pattern in PATTERNS] + COMBINED, ids="|".join)
def test_as_git_does(repository, lines):
    (repository / ".gitignore").write_bytes("\n".join([*lines, ""]).encode())
    command = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"]
    run = subprocess.run(command, cwd=repository, input="\0".join(PATHS).encode(), capture_output=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    assert [path for path in PATHS if ignored(lines, path)] == run.stdout.decode().split("\0")[:-1]


def test_hostile_patterns_take_no_time():
    name = "a" * 250
    lines = ["*a" * 100 + "b", "*a?[a-z]*" * 50 + "b", "[" * 900, "**/" * 300 + "b", "a" * 10**6, "**/a/" * 100 + "b"]
    started = time.monotonic()
    assert ignores(parse(lines), "/".join(["a"] * 1000 + [name]), False) is None
    assert time.monotonic() - started < 5
