"""What a run is asked to do: by the command line, else by `[tool.headcheck]` in a pyproject.toml, else as here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from headcheck import report
from headcheck.configuration import UsageError, common_folder, find
from headcheck.records import NamedTuple

__all__ = ["DEFAULT_EXCLUDES", "FORMATS", "SEVERITIES", "Settings", "UsageError", "resolve"]

Confirm: TypeAlias = Literal["auto", True, False]

SEVERITIES: Final = ("info", "warning", "error")
FORMATS: Final = tuple(report.FORMATS)
DEFAULT_EXCLUDES: Final = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)

_DEVICES: Final = ("auto", "cpu", "cuda", "cuda:0", "mps", "meta")
_DEVICE: Final = r"auto|cpu|cuda(:\d+)?|mps|meta"
_UNREADABLE: Final = "HC901"


class Settings(NamedTuple):
    """`python` is None unless the user names an interpreter: a file of the checked tree never chooses what is run.

    `select`, `extend_select` and `ignore` hold codes, prefixes of codes, and ALL. Patterns in `exclude` and
    `extend_exclude` that have a slash are absolute. `catalog` are absolute file names, `builders` other names of known
    builders, each with what it stands for. `fail_on` is the least severity that makes a run fail.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDES
    extend_exclude: tuple[str, ...] = ()
    confirm: Confirm = "auto"
    python: str | None = None
    device: str = "auto"
    output_format: str = "full"
    fail_on: Literal["info", "warning", "error"] = "warning"
    exit_zero: bool = False
    statistics: bool = False
    stdin_filename: str = "-"
    catalog: tuple[str, ...] = ()
    builders: tuple[tuple[str, str], ...] = ()

    @property
    def excludes(self) -> tuple[str, ...]:
        return self.exclude + self.extend_exclude

    def enabled(self, code: str, on_by_default: bool) -> bool:
        """Whether a rule is on. Of the selectors that match its code the longest decides; `ignore` wins a draw.

        A file that could not be read was not checked, so that is said unless it is ignored.
        """
        ignored = _specificity(code, self.ignore) if self.ignore else -1
        selecting = self.select + self.extend_select
        selected = _specificity(code, selecting) if selecting else -1
        if ignored >= 0 or selected >= 0:
            return selected > ignored
        return code == _UNREADABLE or (on_by_default and not self.select)

    def wants(self, code: str) -> bool:
        """Whether findings of a rule are asked for."""
        from headcheck.rulebook import OFF

        return self.enabled(code, code not in OFF)

    def fails(self, severity: str) -> bool:
        """Whether a finding of this severity makes a run fail."""
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.fail_on)


def resolve(options: Mapping[str, Any], paths: Iterable[str]) -> Settings:
    """The settings of a run on `paths`.

    `options` are those of the command line by the names of `Settings`' fields; None is one that was not given. The
    pyproject.toml is looked for upwards from the deepest folder that holds all paths.

    Raises UsageError for anything unknown or of the wrong kind.
    """
    given = {name: value for name, value in options.items() if value is not None}
    found = find(common_folder(paths))
    configured = _from_table(*found) if found else {}
    command_line = {name: _checked(name, value, "--" + name.replace("_", "-")) for name, value in given.items()}
    here = {name: _anchored(value, os.getcwd()) for name, value in command_line.items() if name in _PATTERNS}
    return Settings(**{**configured, **command_line, **here})


def _from_table(filename: str, table: Mapping[str, object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{filename}: {key}"
        if key == "python":
            raise UsageError(f"{where}: only --python and HEADCHECK_PYTHON choose an interpreter, never a checked tree")
        if key not in _CONFIGURABLE:
            raise UsageError(f"{filename}: unknown key {key!r} in [tool.headcheck]{_nearest(key, _CONFIGURABLE)}")
        name = key.replace("-", "_")
        values[name] = _checked(name, value, where)
        if name in _PATTERNS:
            values[name] = _anchored(values[name], os.path.dirname(filename))
        if name == "catalog":
            values[name] = tuple(_inside(each, os.path.dirname(filename), where) for each in values[name])
    return values


def _anchored(patterns: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """`patterns` with those for paths made absolute, from `folder` (in which no character is a wildcard)."""
    literal = re.sub(r"([*?[])", r"[\1]", folder)
    return tuple(os.path.join(literal, each) if "/" in each.rstrip("/") else each for each in patterns)


def _inside(name: str, folder: str, where: str) -> str:
    """The absolute name of a file that a pyproject.toml names; it lies below it, links followed."""
    top, path = os.path.realpath(folder), os.path.realpath(os.path.join(folder, name))
    if not path.startswith(os.path.join(top, "")):
        raise UsageError(f"{where}: {name} is not below {folder}")
    return path


def _specificity(code: str, selectors: Iterable[str]) -> int:
    """The length of the longest selector that matches `code`; 0 for ALL, -1 for none."""
    return max((0 if each == "ALL" else len(each) for each in selectors if _matches(code, each)), default=-1)


def _matches(code: str, selector: str) -> bool:
    return selector == "ALL" or code.startswith(selector)


# --- checking values -------------------------------------------------------------------------------------------------


def _checked(name: str, value: object, where: str) -> Any:
    check = _CHECKS.get(name)
    return value if check is None else check(value, where)


def _strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) and each for each in value):
        raise UsageError(f"{where}: must be a list of strings")
    return tuple(value)


def _selectors(value: object, where: str) -> tuple[str, ...]:
    from headcheck import rulebook

    selectors = tuple(each.strip().upper() for each in _strings(value, where))
    codes = rulebook.codes()
    for selector in selectors:
        if not any(_matches(code, selector) for code in codes):
            raise UsageError(f"{where}: no rule has the code or prefix {selector}{_nearest(selector, codes)}")
    return selectors


def _confirm(value: object, where: str) -> Confirm:
    if value is True or value is False or value == "auto":
        return value
    raise UsageError(f'{where}: must be true, false or "auto"')


def _files(value: object, where: str) -> tuple[str, ...]:
    return _strings([value] if isinstance(value, str) else value, where)


def _builders(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(target, str) for target in value.values()):
        raise UsageError(f"{where}: must be a table of names and what they stand for")
    for name, target in value.items():
        for each in (name, target):
            if not all(part.isidentifier() for part in each.split(".")) or "." not in each:
                raise UsageError(f"{where}: {each!r} is not the dotted name of a function or class")
        _known_builder(target, where)
    return tuple(value.items())


def _known_builder(name: str, where: str) -> None:
    """Raise UsageError for what is not a builder that headcheck knows."""
    from headcheck import catalog
    from headcheck.catalog.files import library_of

    library, last = library_of(name), name.rpartition(".")[2]
    if library is None or library == "torch":
        raise UsageError(f"{where}: {name} is no builder of a library that headcheck knows")
    if library == "torchvision" and catalog.canonical(name) is None:
        nearest = _nearest(last, [each for each in catalog.registered() if each != last])
        raise UsageError(f"{where}: torchvision has no builder {name}{nearest}")
    if library == "timm":
        from headcheck.catalog import timm

        if timm.canonical(name) is None:
            raise UsageError(f"{where}: timm has no builder {name}; they are named timm.models.resnet50")


def _device(value: object, where: str) -> str:
    if isinstance(value, str) and re.fullmatch(_DEVICE, value):
        return value
    raise UsageError(f"{where}: unknown device {value!r}; there are {', '.join(_DEVICES)}")


def _one_of(values: tuple[str, ...]) -> Callable[[object, str], str]:
    def check(value: object, where: str) -> str:
        if isinstance(value, str) and value in values:
            return value
        raise UsageError(f"{where}: must be one of {', '.join(values)}, not {value!r}")

    return check


def _nearest(word: str, among: Iterable[str]) -> str:
    from difflib import get_close_matches

    nearest = get_close_matches(word, tuple(among), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


_PATTERNS: Final = ("exclude", "extend_exclude")
_CHECKS: Final[dict[str, Callable[[object, str], Any]]] = {
    "select": _selectors,
    "extend_select": _selectors,
    "ignore": _selectors,
    "exclude": _strings,
    "extend_exclude": _strings,
    "confirm": _confirm,
    "device": _device,
    "output_format": _one_of(FORMATS),
    "fail_on": _one_of(SEVERITIES),
    "catalog": _files,
    "builders": _builders,
}
_CONFIGURABLE: Final = tuple(name.replace("_", "-") for name in _CHECKS)
