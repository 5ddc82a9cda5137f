"""The catalog's data files, read when first asked for.

A file is JSON with a line for each item of a part, so that only the items that are looked at need to be parsed: a
lookup takes a dozen of thousands.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

_FOLDER = Path(__file__).parent / "data"
_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "efficientnet_pytorch",
    "pretrainedmodels",
    "segmentation_models_pytorch",
    "torch_hub",
    "open_clip",
    "timm_features",
    "fastai",
)
#: The format this code reads; `headcheck.tracing.write` says what it is.
FORMAT = 5


def library_of(name: str) -> str | None:
    """Return the catalogued library that a dotted name belongs to, or None."""
    library = name.partition(".")[0]
    return library if library in _LIBRARIES else None


@functools.cache
def load(library: str) -> Mapping[str, Any]:
    """Return the data of a catalogued library, its items parsed when they are looked at.

    Raises ValueError when the file was written by another version of headcheck.
    """
    data = parts((_FOLDER / f"{library}.json").read_text(encoding="utf-8"))
    if data["format"] != FORMAT:
        raise ValueError(f"the catalog of {library} has format {data['format']}, not {FORMAT}")
    return data


@functools.cache
def name_list(library: str, index: int | str) -> tuple[str, ...]:
    """Return one of a library's lists of names; one that is used only once stands where it is used."""
    text = index if isinstance(index, str) else load(library)["names"][index]
    return tuple(text.split())


@functools.cache
def name_set(library: str, index: int | str) -> frozenset[str]:
    """Return one of a library's lists of names as a set."""
    return frozenset(name_list(library, index))


def shared(library: str, item: Any) -> Any:
    """Return what several models have in common, by its index; what only one has stands where it is used."""
    return load(library)["shared"][item] if isinstance(item, int) else item


# -- reading by line -------------------------------------------------------------------------------------------------

_OPEN = {"{": "\n}", "[": "\n]"}


def parts(text: str) -> dict[str, Any]:
    """Return the parts of a file (see `headcheck.tracing.write.write`), the large ones to be parsed item by item."""
    found: dict[str, Any] = {}
    position = text.index("\n") + 1
    while text[position] != "}":
        end = text.index("\n", position)
        line = text[position:end]
        key, _, rest = line.partition(":")
        if rest in _OPEN:
            position = text.index(_OPEN[rest], end)
            body = text[end + 1 : position]
            items = body.split(",\n") if body else []
            found[json.loads(key)] = _Items(items) if rest == "[" else _Named(items)
            position = text.index("\n", position + 1) + 1
        else:
            found[json.loads(key)] = json.loads(rest.removesuffix(","))
            position = end + 1
    return found


class _Items(Sequence[Any]):
    """A list of which each item is parsed when it is first asked for."""

    __slots__ = ("_parsed", "_texts")

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._parsed: dict[int, Any] = {}

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index not in self._parsed:
            self._parsed[index] = json.loads(self._texts[index])
        return self._parsed[index]

    def __len__(self) -> int:
        return len(self._texts)


class _Named(Mapping[str, Any]):
    """A dict of which each item is parsed when it is first asked for. A name has neither quotes nor escapes in it."""

    __slots__ = ("_parsed", "_texts")

    def __init__(self, texts: list[str]) -> None:
        self._texts = {text[1 : text.index('"', 1)]: text for text in texts}
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed[name] = json.loads(self._texts[name][len(name) + 3 :])
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
