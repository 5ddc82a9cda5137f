"""What is kept of models beside their modules, written once for those that differ in numbers only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headcheck.tracing.forms import Number, letter, word, worked_out
from headcheck.tracing.packing import Link
from headcheck.tracing.tree import Scaled

#: What stands for a number where models are compared without theirs.
_NUMBER = "\0"
#: A number of fewer digits is as short as the letter for it.
_FEWEST = 10


class Views:
    """Models, each as the number of its root and what else is kept of it."""

    def __init__(self) -> None:
        self._forms: dict[str, int] = {}
        self._items: list[Any] = []
        self._members: list[list[list[Number]]] = []
        self._models: list[tuple[int, int, int]] = []

    def add(self, root: int, item: Any) -> int:
        """Add a model and return its number."""
        numbers: list[Number] = []
        bare = _without(item, numbers)
        form = self._forms.setdefault(repr(bare), len(self._forms))
        if form == len(self._items):
            self._items.append(bare)
            self._members.append([])
        self._models.append((root, form, len(self._members[form])))
        self._members[form].append(numbers)
        return len(self._models) - 1

    def texts(self, roots: Sequence[str]) -> tuple[list[Any], list[str]]:
        """Return the items of ``views``, and what stands for each model; `roots` is what stands for their roots."""
        items, given = [], []
        for bare, vectors in zip(self._items, self._members, strict=True):
            words, letters = worked_out(vectors)
            items.append(_with(bare, iter(words)))
            given.append([[word(vector[place]) for place in letters] for vector in vectors])
        return items, [_text(roots[root], form, given[form][row]) for root, form, row in self._models]


def _text(root: str, form: int, given: list[str]) -> str:
    known: dict[str, str] = {}
    for place, number in enumerate(root.split()[1:]):
        if number.isdigit() and int(number) >= _FEWEST:
            known.setdefault(number, letter(place))
    return f"{root}|{' '.join([str(form), *(known.get(number, number) for number in given)])}"


def _without(item: Any, numbers: list[Number]) -> Any:
    """Return an item with none of its numbers, which are appended to `numbers`."""
    if isinstance(item, Mapping):
        return {name: _without(each, numbers) for name, each in item.items()}
    if isinstance(item, (list, tuple)):
        return [_without(each, numbers) for each in item]
    if isinstance(item, (int, float, Scaled)) and not isinstance(item, (bool, Link)):
        numbers.append(item)
        return _NUMBER
    return item


def _with(item: Any, words: Iterator[str]) -> Any:
    """Return an item with words in the place of its numbers; those that say a number are that number."""
    if isinstance(item, dict):
        return {name: _with(each, words) for name, each in item.items()}
    if isinstance(item, list):
        return [_with(each, words) for each in item]
    if item == _NUMBER and not isinstance(item, Link):
        found = next(words)
        return int(found) if found.isdigit() else found
    return item
