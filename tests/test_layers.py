"""The layers: who may import whom, read from the sources, and that nothing but the torch parts needs torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "headcheck"
TORCH = ("torch", "torchvision", "timm", "transformers")
# `live` is the library for models in memory: who calls it has torch, and of headcheck only the two names that lead to
# it import it, when it is asked for.
TORCH_ALLOWED = ("headcheck.tracing", "headcheck.live", "headcheck.confirm.worker")

# It stands in for a part of Python's: everything may import it, and it imports nothing.
LOWEST = "headcheck.records"

# Part → what nothing in it may import: headcheck's own parts by their short names. Data flows one way; these are the
# ways back. "*" is all of headcheck.
FORBIDDEN = {
    "records": "*",
    "findings": "*",
    "source": "ir interpreter semantics checks confirm tracing",
    "ir": "interpreter semantics catalog checks confirm tracing",
    "catalog": "libcst ir interpreter semantics checks confirm tracing",
    "interpreter": "checks confirm tracing",
    "semantics": "checks confirm tracing",
    "checks": "libcst ir confirm tracing",
    "confirm": "libcst ir interpreter checks tracing",
    "tracing": "libcst ir interpreter checks confirm live",
    "live": "libcst ir interpreter semantics checks confirm report",
    "report": "libcst ir interpreter checks confirm tracing",
}


def named(part: str) -> str:
    """The module that a short name of the table stands for."""
    return {"*": "headcheck", "libcst": "libcst"}.get(part, f"headcheck.{part}")


def within(module: str, *parents: str) -> bool:
    """Is `module` one of `parents`, or inside one?"""
    return any(module == parent or module.startswith(parent + ".") for parent in parents)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Each import anywhere in `path`: its line and the module; `from a import b` gives a.b, which may be one."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield node.lineno, alias.name
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*parent, *([base] if base else [])])
                for alias in node.names:
                    yield node.lineno, f"{base}.{alias.name}"
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def offences(importers: tuple[str, ...], forbidden: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    """`file:line imports name` for each import of a forbidden module by an importer that is not in `but`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for module, path in MODULES.items()
        if within(module, *importers) and not within(module, *but)
        for line, name in imports(module, path)
        if within(name, *forbidden)
    ]


def test_the_reader_of_imports_sees_every_form(tmp_path: Path) -> None:
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\n\n\ndef h():\n    import_module('i')\n"
    path = tmp_path / "m.py"
    path.write_text(source)
    assert [name for _, name in imports("p.q.m", path)] == ["a.b", "c.d", "p.q.e", "p.f.g", "i"]


def test_torch_is_imported_by_tracing_and_the_worker_only() -> None:
    assert offences(("headcheck",), TORCH, but=TORCH_ALLOWED) == []


@pytest.mark.parametrize("importer", FORBIDDEN)
def test_no_way_back(importer: str) -> None:
    assert named(importer) in MODULES
    forbidden = tuple(map(named, FORBIDDEN[importer].split()))
    assert [line for line in offences((named(importer),), forbidden) if f" {LOWEST}." not in line] == []


def test_live_is_imported_where_its_names_are_only() -> None:
    """`headcheck.confirm` is a package too: either may come first."""
    found = offences(("headcheck",), ("headcheck.live",), but=("headcheck.live",))
    assert {line.partition(":")[0] for line in found} == {"headcheck/__init__.py", "headcheck/confirm/__init__.py"}


def test_only_the_command_line_imports_the_reports() -> None:
    """Its settings too, for the formats' names; nothing that finds knows how it is told."""
    allowed = ("headcheck.cli", "headcheck.settings", "headcheck.report")
    assert offences(("headcheck",), ("headcheck.report",), but=allowed) == []


def test_the_worker_stands_alone() -> None:
    found = set()
    for path in (PACKAGE / "confirm/worker").glob("*.py"):
        found |= {name for _, name in imports(f"headcheck.confirm.worker.{path.stem}", path)}
    outside = {name.partition(".")[0] for name in found if not within(name, "headcheck.confirm.worker")}
    assert outside - sys.stdlib_module_names - {"torch", "torchvision"} == set()


def test_everything_else_imports_without_torch() -> None:
    """A finder in front of all others refuses torch; every module but the torch parts must still import."""
    names = [name for name in MODULES if not within(name, *TORCH_ALLOWED)]
    program = f"""
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TORCH!r}:
            raise AssertionError(f"{{name}} is imported")

sys.meta_path.insert(0, Refuse())
for name in {names!r}:
    importlib.import_module(name)
assert not set(sys.modules) & set({TORCH!r})
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
