"""Modules of one form, written once, with their numbers worked out from as few as tell them apart.

Two modules have one form if they differ in numbers only: in sizes, and in how often a child is repeated. A form has a
line of text, `headcheck.tracing.write` says how it reads; what stands for a module is then the number of its form and
the values of the letters in it. A number gets a letter only if it follows from no other in all modules of the form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any, TypeAlias

from headcheck.tracing.tree import Scaled, Tree, Value

Number: TypeAlias = "int | float | Scaled"
_NUMBERS = (int, float, Scaled)


@dataclass(frozen=True, eq=False)
class Part:
    """One module: its layout, its numbers, and its children, each with how often it stands there in a row.

    `names` are those of the children, None where they are numbered from 0.
    """

    layout: Layout
    numbers: tuple[Number, ...]
    names: tuple[str, ...] | None
    runs: tuple[tuple[Part, int], ...]


@dataclass(frozen=True)
class Layout:
    """What modules of several forms have in common: the class, the names, and the values that are no numbers.

    `numbers` and `parameters` are names, each with how many numbers it stands for, None for one that is no tuple.
    `attributes` and the values are None in an outline, of which only the names of parameters and children are kept.
    """

    kind: str
    parameters: tuple[tuple[str, int | None], ...]
    attributes: frozenset[str] | None = None
    numbers: tuple[tuple[str, int | None], ...] = ()
    constants: str = "{}"


class Forms:
    """The modules of a file by form."""

    def __init__(self) -> None:
        self._parts: dict[object, Part] = {}
        self._of_trees: dict[Tree, Part] = {}
        self._of_outlines: dict[Tree, Part] = {}
        self._forms: dict[Part, int] = {}
        self._keys: dict[object, int] = {}
        self._members: list[list[Part]] = []
        self._roots: list[Part] = []

    def add(self, tree: Tree, outlined: frozenset[str]) -> int:
        """Add a model and return its number. Of the children named in `outlined` only names are kept."""
        root = self._part(tree, outlined) if outlined else self._whole(tree)
        self._form(root)
        self._roots.append(root)
        return len(self._roots) - 1

    def texts(self) -> Texts:
        """Return what is written of all that was added."""
        return Texts(self._members, self._forms, self._roots)

    def _whole(self, tree: Tree) -> Part:
        if tree not in self._of_trees:
            self._of_trees[tree] = self._part(tree, frozenset())
        return self._of_trees[tree]

    def _part(self, tree: Tree, outlined: frozenset[str]) -> Part:
        layout, numbers = _split(tree)
        below = [self._outline(child) if name in outlined else self._whole(child) for name, child in tree.children]
        return self._interned(layout, numbers, [name for name, _ in tree.children], below)

    def _outline(self, tree: Tree) -> Part:
        if tree not in self._of_outlines:
            kind = tree.kind if tree.kind.startswith("torch.nn.") and tree.kind != _IDENTITY else ""
            layout = Layout(kind, tuple((name, None) for name, _ in tree.parameters))
            below = [self._outline(child) for _, child in tree.children]
            self._of_outlines[tree] = self._interned(layout, (), [name for name, _ in tree.children], below)
        return self._of_outlines[tree]

    def _interned(self, layout: Layout, numbers: Iterable[Number], names: Sequence[str], below: Sequence[Part]) -> Part:
        numbered = list(names) == [str(place) for place in range(len(names))]
        counted = [(part, len(list(same))) for part, same in groupby(below)] if numbered else [(p, 1) for p in below]
        part = Part(layout, tuple(numbers), None if numbered else tuple(names), tuple(counted))
        # 1 and 1.0 are equal, but not the same.
        key = (layout, repr(part.numbers), part.names, part.runs)
        return self._parts.setdefault(key, part)

    def _form(self, part: Part) -> int:
        if part not in self._forms:
            key = (part.layout, part.names, tuple(self._form(child) for child, _ in part.runs))
            form = self._keys.setdefault(key, len(self._keys))
            if form == len(self._members):
                self._members.append([])
            self._members[form].append(part)
            self._forms[part] = form
        return self._forms[part]


#: What stands where a model has nothing to do there; a keyword may put something else in its place.
_IDENTITY = "torch.nn.Identity"


def _split(tree: Tree) -> tuple[Layout, list[Number]]:
    """Return what a module is apart from its children: its layout and its numbers."""
    names: list[tuple[str, int | None]] = []
    numbers: list[Number] = []
    constants: dict[str, Value] = {}
    for name, value in tree.values:
        if type(value) in _NUMBERS:
            names.append((name, None))
            numbers.append(value)  # type: ignore[arg-type]
        elif isinstance(value, tuple) and value and all(type(item) in _NUMBERS for item in value):
            names.append((name, len(value)))
            numbers += value  # type: ignore[arg-type]
        else:
            constants[name] = value
    for _, shape in tree.parameters:
        numbers += shape
    parameters = tuple((name, len(shape)) for name, shape in tree.parameters)
    text = json.dumps(constants, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=encode)
    return Layout(tree.kind, parameters, tree.attributes, tuple(names), text), numbers


def encode(value: Any) -> Any:
    """Return a value as a file has it outside of forms: tuples as lists, what follows a count as an object."""
    if isinstance(value, Scaled):
        return {value.count: [value.factor, value.offset]}
    return [encode(item) for item in value] if isinstance(value, tuple) else value


# -- texts -----------------------------------------------------------------------------------------------------------


class Texts:
    """What is written of modules: `layouts`, the names of `children`, the lines of the `forms`, and the `roots`.

    A form that is used in one place only is written there.
    """

    def __init__(self, members: list[list[Part]], forms: dict[Part, int], roots: list[Part]) -> None:
        self._members, self._forms = members, forms
        used = Counter(forms[child] for parts in members for child, _ in parts[0].runs)
        top = {forms[root] for root in roots}
        self._inner = {form for form in range(len(members)) if used[form] == 1 and form not in top}
        self._args: dict[Part, tuple[Number, ...]] = {}
        self._words: list[list[str]] = []
        for parts in members:
            vectors = [list(self._vector(part)) for part in parts]
            words, letters = worked_out(vectors)
            self._words.append(words)
            for part, vector in zip(parts, vectors, strict=True):
                self._args[part] = tuple(vector[letter] for letter in letters)
        self.layouts: dict[Layout, int] = {}
        self.children: dict[tuple[str, ...], int] = {}
        kept = [form for form in range(len(members)) if form not in self._inner]
        for form in kept:
            self._number(members[form][0])
        kept.sort(key=self._place)
        self._places = {form: place for place, form in enumerate(kept)}
        self.forms = [self._text(members[form][0], iter(self._words[form])) for form in kept]
        self.roots = [self.reference(root) for root in roots]

    def reference(self, part: Part) -> str:
        """Return what stands for a module: the place of its form and the values of the letters."""
        return " ".join([str(self._places[self._forms[part]]), *map(word, self._args[part])])

    def _vector(self, part: Part) -> Iterator[Number]:
        """Yield the numbers that a form has of a module."""
        yield from part.numbers
        for child, count in part.runs:
            if part.names is None:
                yield count
            yield from self._vector(child) if self._forms[child] in self._inner else self._args[child]

    def _number(self, part: Part) -> None:
        """Number the layouts and names in the order of the forms that have them."""
        self.layouts.setdefault(part.layout, len(self.layouts))
        if part.names is not None:
            self.children.setdefault(part.names, len(self.children))
        for child, _ in part.runs:
            if self._forms[child] in self._inner:
                self._number(child)

    def _place(self, form: int) -> tuple[object, ...]:
        """Return what forms are sorted by: so that those that are alike are neighbours, which makes a file small."""
        part = self._members[form][0]
        names = -1 if part.names is None else self.children[part.names]
        return bool(part.runs), self.layouts[part.layout], names, form

    def _text(self, part: Part, words: Iterator[str]) -> str:
        own = [str(self.layouts[part.layout]), *(next(words) for _ in part.numbers)]
        cells = [" ".join(own)]
        if part.runs:
            cells.append("" if part.names is None else str(self.children[part.names]))
        for child, _ in part.runs:
            count = next(words) if part.names is None else "1"
            form = self._forms[child]
            times = "" if count == "1" else f"x{count}"
            if form in self._inner:
                cells.append(f"({self._text(child, words)}){times}")
            else:
                given = [next(words) for _ in self._args[child]]
                cells.append(" ".join([f"{self._places[form]}{times}", *given]))
        return "|".join(cells)


def word(number: Number) -> str:
    """Return a number as it is written."""
    if isinstance(number, Scaled):
        factor = "" if number.factor == 1 else str(number.factor)
        return f"{factor}#{number.count}{f'{number.offset:+d}' if number.offset else ''}"
    return json.dumps(number, allow_nan=False)


# -- how numbers follow from others ----------------------------------------------------------------------------------

_Column: TypeAlias = "tuple[Number, ...]"


def worked_out(vectors: Sequence[Sequence[Number]]) -> tuple[list[str], list[int]]:
    """Return the words that give each number of the vectors, which are of one length, and which of them have a letter.

    What is the same in all is that number; what equals, or follows from, one or two with letters in all is said so.
    """
    words: list[str] = []
    letters: list[int] = []
    columns: list[_Column] = list(zip(*vectors, strict=True))
    known: dict[str, str] = {}
    for place, column in enumerate(columns):
        texts = [word(number) for number in column]
        key = " ".join(texts)
        if len(set(texts)) == 1:
            found: str | None = texts[0]
        else:
            found = known.get(key) or _follows(column, [columns[letter] for letter in letters])
        if found is None:
            found = letter(len(letters))
            letters.append(place)
        known.setdefault(key, found)
        words.append(found)
    return words, letters


def letter(place: int) -> str:
    """Return the letter with a number from 0 on: A, …, Z, AA, AB, …"""
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + last)


def _follows(column: _Column, others: list[_Column]) -> str | None:
    """Return how a column follows from one or two others, None if it does not."""
    if not _whole(column):
        return None
    usable = [(letter(place), other) for place, other in enumerate(others) if _whole(other)]
    alone = (found for name, other in usable if (found := _from_one(column, name, other)) is not None)
    return next(alone, None) or _from_two(column, usable)


def _whole(column: _Column) -> bool:
    return all(type(number) is int for number in column)


def _from_one(column: Any, name: str, other: Any) -> str | None:
    pairs = list(zip(column, other, strict=True))
    if all(b > 0 and a % b == 0 for a, b in pairs) and len(factors := {a // b for a, b in pairs}) == 1:
        return f"{factors.pop()}{name}"
    if all(a > 0 and b % a == 0 for a, b in pairs) and len(factors := {b // a for a, b in pairs}) == 1:
        return f"{name}/{factors.pop()}"
    if len(steps := {a - b for a, b in pairs}) == 1:
        return f"{name}{steps.pop():+d}"
    return None


#: With fewer rows, two columns make a third one by chance.
_FEWEST = 3
_OPERATIONS: tuple[tuple[str, Callable[[int, int, int], bool]], ...] = (
    ("+", lambda a, b, found: a + b == found),
    ("*", lambda a, b, found: a * b == found),
    ("/", lambda a, b, found: b != 0 and a == b * found),
    ("-", lambda a, b, found: a - b == found),
)


def _from_two(column: Any, usable: list[tuple[str, Any]]) -> str | None:
    if len(column) < _FEWEST:
        return None
    for pair in combinations(usable, 2):
        for (one, first), (two, second) in (pair, pair[::-1]):
            for sign, holds in _OPERATIONS:
                if all(map(holds, first, second, column)):
                    return f"{one}{sign}{two}"
    return None
