"""Reading the lines that say what modules are made of, see `headcheck.tracing.write`."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headcheck.catalog.files import load, name_list, name_set
from headcheck.records import NamedTuple

#: The values of the letters, and those of the counts.
Term: TypeAlias = "Callable[[tuple[Any, ...], Mapping[str, int]], Any] | int | float"


class Layout(NamedTuple):
    """What modules of several forms have in common; `attributes` is None for an outline.

    `numbers` and `parameters` are names with how many numbers they stand for, None for one that is no tuple.
    """

    kind: str
    parameters: tuple[tuple[str, int | None], ...]
    attributes: frozenset[str] | None
    numbers: tuple[tuple[str, int | None], ...]
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Modules that differ in numbers only: those they have themselves, and their children.

    `names` are those of the children, None where they are numbered; `letters` are the places of those in it.
    """

    layout: int
    own: tuple[Term, ...]
    names: int | None
    children: tuple[Child, ...]
    letters: tuple[int, ...]


class Child(NamedTuple):
    """A child of a form, the number of its own form with the values of the letters there, or that with None."""

    form: int | Form
    given: tuple[Term, ...] | None
    times: Term


@functools.cache
def layout(library: str, index: int) -> Layout:
    """Return an item of a file's ``layouts``."""
    kind, parameters, *more = load(library)["layouts"][index]
    attributes, numbers, constants = more or (None, "", {})
    return Layout(
        "".join(name_list(library, kind)),
        tuple(map(_counted, name_list(library, parameters))),
        None if attributes is None else name_set(library, attributes),
        tuple(map(_counted, name_list(library, numbers))),
        constants,
    )


def _counted(name: str) -> tuple[str, int | None]:
    name, _, count = name.partition(":")
    return name, int(count) if count else None


@functools.cache
def form(library: str, index: int) -> Form:
    """Return an item of a file's ``forms``."""
    return _form(load(library)["forms"][index], 0)[0]


@functools.cache
def children(library: str, index: int) -> tuple[str, ...]:
    """Return an item of a file's ``children``."""
    return tuple(load(library)["children"][index].split())


def names_below(library: str, root: str) -> tuple[str, ...]:
    """Return the names of the children of a model, none where they are numbered."""
    cells = load(library)["forms"][int(root.partition("|")[0].partition(" ")[0])].split("|", 2)
    return children(library, int(cells[1])) if cells[1:] and cells[1] else ()


@functools.lru_cache(maxsize=1024)
def child(text: str) -> Child:
    """Return what a text says that stands for a module."""
    return _child(text, 0)[0]


_CELL = re.compile(r"[^|()]*")


def _cell(text: str, at: int) -> tuple[str, int]:
    match = _CELL.match(text, at)
    assert match is not None
    return match.group(), match.end()


def _form(text: str, start: int) -> tuple[Form, int]:
    cell, at = _cell(text, start)
    number, *own = cell.split()
    names, found = "", []
    if text[at : at + 1] == "|":
        names, at = _cell(text, at + 1)
    while text[at : at + 1] == "|":
        one, at = _child(text, at + 1)
        found.append(one)
    letters = {_place(found) for found in _LETTERS.findall(text, start, at) if found}
    return Form(
        layout=int(number),
        own=tuple(map(term, own)),
        names=int(names) if names else None,
        children=tuple(found),
        letters=tuple(sorted(letters)),
    ), at


def _child(text: str, at: int) -> tuple[Child, int]:
    if text[at] == "(":
        inner, at = _form(text, at + 1)
        cell, at = _cell(text, at + 1)
        return Child(inner, None, term(cell[1:]) if cell else 1), at
    cell, at = _cell(text, at)
    head, *given = cell.split()
    number, _, count = head.partition("x")
    return Child(int(number), tuple(map(term, given)), term(count) if count else 1), at


# -- numbers ---------------------------------------------------------------------------------------------------------

_LETTERS = re.compile(r"#\w+|([A-Z]+)")
_TERM = re.compile(r"(-?\d*)(?:([A-Z]+)|#(\w+))(?:([-+*/])(?:(\d+)|([A-Z]+)))?")
_SIGNS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}


def value(given: Term, letters: tuple[Any, ...], counts: Mapping[str, int]) -> Any:
    """Return the number that a term is."""
    return given(letters, counts) if callable(given) else given


@functools.lru_cache(maxsize=4096)
def term(text: str) -> Term:
    """Return what a word says that stands for a number: that number, or what makes it of the letters and counts."""
    match = _TERM.fullmatch(text)
    if match is None:
        number: int | float = json.loads(text)
        return number
    factor, letter, count, sign, number_after, letter_after = match.groups()
    found = _count(count) if letter is None else _letter(letter)
    if factor:
        found = _joined(operator.mul, found, int(factor))
    if sign:
        found = _joined(_SIGNS[sign], found, int(number_after) if letter_after is None else _letter(letter_after))
    return found


def _count(name: str) -> Callable[[tuple[Any, ...], Mapping[str, int]], Any]:
    return lambda letters, counts: counts[name]


def _letter(name: str) -> Callable[[tuple[Any, ...], Mapping[str, int]], Any]:
    place = _place(name)
    return lambda letters, counts: letters[place]


def _joined(sign: Callable[[int, int], int], one: Any, other: Term) -> Callable[..., Any]:
    if callable(other):
        return lambda letters, counts: sign(one(letters, counts), other(letters, counts))
    return lambda letters, counts: sign(one(letters, counts), other)  # type: ignore[arg-type]


def _place(name: str) -> int:
    """Return the place of a letter: A, …, Z, AA, AB, …"""
    place = 0
    for character in name:
        place = place * 26 + ord(character) - ord("A") + 1
    return place - 1
