"""The catalog's data files, read when first asked for."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "data"
_LIBRARIES = ("torch", "torchvision", "timm", "transformers", "efficientnet_pytorch")
#: The format this code reads; `headcheck.tracing.write` says what it is.
FORMAT = 1


def library_of(name: str) -> str | None:
    """Return the catalogued library that a dotted name belongs to, or None."""
    library = name.partition(".")[0]
    return library if library in _LIBRARIES else None


@functools.cache
def load(library: str) -> dict[str, Any]:
    """Return the data of a catalogued library.

    Raises ValueError when the file was written by another version of headcheck.
    """
    data: dict[str, Any] = json.loads((_FOLDER / f"{library}.json").read_bytes())
    if data["format"] != FORMAT:
        raise ValueError(f"the catalog of {library} has format {data['format']}, not {FORMAT}")
    return data


@functools.cache
def name_list(library: str, index: int) -> tuple[str, ...]:
    """Return one of a library's lists of names."""
    return tuple(load(library)["names"][index].split())


@functools.cache
def name_set(library: str, index: int) -> frozenset[str]:
    """Return one of a library's lists of names as a set."""
    return frozenset(name_list(library, index))
