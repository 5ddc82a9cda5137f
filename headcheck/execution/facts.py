"""What is known beside the paths: of the whole file, and the small records that queries answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from headcheck import events
from headcheck.catalog.entry import Entry
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Ref
from headcheck.records import NamedTuple


class FileFacts:
    """What the whole file (and project) says, whatever path is taken. A fact is looked up when it is first asked for.

    `assigned_attributes` are set somewhere, and by which operations; `used_attributes` are read for more than their
    sizes or parameters, `used_of_others` by other code than that of the class which sets them; `line` gives the line of
    an operation, and `where` the same in words (`headcheck.positions.Positions.where`); `head_sites` look like new
    heads being put in, each with the name it goes under; `in_cells`: the file is a notebook, `in_tests`:
    one of tests, by its name; `text_keys` set an item under a text (by id); `adds_members`: some code puts things into
    modules under names, as ``models.__dict__[name] = build`` does; `loads`: some code may read files with `torch.load`.
    """

    def __init__(
        self,
        assigned_attributes: Callable[[], Mapping[str, frozenset[int]]],
        used_attributes: Callable[[], frozenset[str]],
        used_of_others: Callable[[], frozenset[str]],
        head_sites: Callable[[], Sequence[tuple[Any, str]]],
        line: Callable[[Any], int],
        where: Callable[[Any], str],
        in_cells: bool = False,
        text_keys: Callable[[], frozenset[int]] = frozenset,
        in_tests: bool = False,
        adds_members: Callable[[], bool] = bool,
        loads: Callable[[], bool] = bool,
    ) -> None:
        self._assigned_attributes = assigned_attributes
        self._used_attributes = used_attributes
        self._used_of_others = used_of_others
        self._head_sites = head_sites
        self.line = line
        self.where = where
        self.in_cells = in_cells
        self._text_keys = text_keys
        self.in_tests = in_tests
        self._adds_members = adds_members
        self._loads = loads

    @cached_property
    def assigned_attributes(self) -> Mapping[str, frozenset[int]]:
        return self._assigned_attributes()

    @cached_property
    def used_attributes(self) -> frozenset[str]:
        return self._used_attributes()

    @cached_property
    def used_of_others(self) -> frozenset[str]:
        return self._used_of_others()

    @cached_property
    def head_sites(self) -> Sequence[tuple[Any, str]]:
        return self._head_sites()

    @cached_property
    def text_keys(self) -> frozenset[int]:
        return self._text_keys()

    @cached_property
    def adds_members(self) -> bool:
        return self._adds_members()

    @cached_property
    def loads(self) -> bool:
        return self._loads()


class Model(NamedTuple):
    """A library model of an execution."""

    ref: Ref
    module: Module
    entry: Entry
    built: events.Built


class OwnHead(NamedTuple):
    """A part of one of the script's networks that the script itself made, and the name under which the network has it;
    `hidden`: in a list, a tuple or a dict, where `parameters()` does not look."""

    network: Ref
    name: str
    part: Ref
    hidden: bool


class Norm(NamedTuple):
    """A BatchNorm layer of a model: where it sits, whether its weight is frozen, and whether it was called in train
    mode."""

    path: str
    frozen: bool
    trained: bool
