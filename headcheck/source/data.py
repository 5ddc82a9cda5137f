"""JSON, YAML and TOML files of a project as plain data. What is too large, or does not parse, is not known."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from headcheck.source import load, project
from headcheck.source.project import Layout
from headcheck.source.reading import Unreadable

MOST_BYTES: Final = {".json": 2**16, ".toml": 2**14, ".yaml": 2**14, ".yml": 2**14}  # YAML's parser is slow
NOTHING: Final = object()  # where nothing is known: None is what an empty file holds


def find(where: Layout, name: str) -> str | None:
    """The file that a script opens by a relative name: beside it or at the top of its project, if only one is there."""
    if os.path.isabs(name) or os.path.splitext(name)[1] not in MOST_BYTES:
        return None
    places = dict.fromkeys(os.path.normpath(os.path.join(folder, name)) for folder in (where.folders[0], where.top))
    found = [path for path in places if os.path.isfile(path) and project.is_inside(where.top, path)]
    return found[0] if len(found) == 1 else None


def read(path: str) -> Any:
    """What a file holds, `NOTHING` if that is not known."""
    extension = os.path.splitext(path)[1]
    data = load(path)
    if isinstance(data, Unreadable) or len(data) > MOST_BYTES[extension]:
        return NOTHING
    return READERS[extension](data)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return NOTHING


def _yaml(data: bytes) -> Any:
    """libcst brings PyYAML, but for one version of Python, where it has another name: there nothing is known."""
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        return NOTHING
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(data, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return NOTHING


def _toml(data: bytes) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return NOTHING


READERS: Final[dict[str, Callable[[bytes], Any]]] = {".json": _json, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
