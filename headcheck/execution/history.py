"""What happened on a path, in order, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.execution.facts import FileFacts
from headcheck.interpreter.leaving import Sites
from headcheck.interpreter.state import MADE_UP, UNSET, Frame, State, conditions_at, events_of, frames_of, ways_of

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


class History:
    """The events of a path, and what is said of the path as a whole.

    `conditions` are the branches that it took on something unknown; `ways` those of each of the paths that met in it.
    `apart_elsewhere` are the builder calls whose models another execution of the file takes apart. `supposed` are the
    operations (by id) for whose sake a function is called as the script itself never does; nothing else counts then.
    `failed`: the path ends in an error before anything learns. `without_accelerator` are those (by id, and 0) of the
    branches taken for want of an accelerator.
    """

    def __init__(
        self, state: State, facts: FileFacts, machine: Machine, defaults: bool, supposed: frozenset[int] = frozenset()
    ) -> None:
        self.state = state
        self.facts = facts
        self.machine = machine
        self.defaults = defaults
        self.supposed = supposed
        # What is raised in a notebook ends its cell: nobody knows if the user goes on with the next.
        self.stopped = facts.in_cells and bool(state.ended)
        self.cut = state.cut or self.stopped
        self.skipped = state.skipped
        self.unfinished = state.ended == "limit"  # its end is not that of the path
        # What follows on a path that fails is what its author meant to follow, too.
        self.failed = state.ended == "raise" and not any(type(event) in events.LEARNING for event in state.happened())
        # Nothing happened in the function that was entered last: there is no more to say than of the path before.
        self.idle = state.events is not None and type(state.events[0]) is events.Entered and not state.ended
        self.doubtful = state.doubtful
        self.conditions = state.conditions
        self.ways = ways_of(state)
        none = machine.without_accelerator
        taken = [none[id(node), wanted] for node, wanted, _ in state.conditions if (id(node), wanted) in none]
        self.without_accelerator = {0}.union(*taken) if taken else set()
        self.guesses = state.guesses
        self.apart_elsewhere: frozenset[int] = frozenset()

    @cached_property
    def history(self) -> list[events.Event]:
        """Everything that happened, oldest first."""
        return events_of(self.state)

    def of(self, *kinds: Any) -> Iterator[Any]:
        """The events of some kinds, oldest first."""
        if len(kinds) == 1:
            return iter(self._by_kind.get(kinds[0], ()))
        found = [self._by_kind[kind] for kind in kinds if kind in self._by_kind]
        if len(found) < 2:
            return iter(found[0]) if found else iter(())
        return (event for event in self.history if type(event) in kinds)

    @cached_property
    def _by_kind(self) -> dict[Any, list[events.Event]]:
        """The events of each kind, oldest first."""
        found: dict[Any, list[events.Event]] = {}
        for event in self.history:
            found.setdefault(type(event), []).append(event)
        return found

    @cached_property
    def _order(self) -> dict[int, int]:
        # An event that was taken over from another path may be there twice.
        return {id(event): place for place, event in reversed(list(enumerate(self.history)))}

    def order(self, event: events.Event) -> int:
        """The place of an event in time."""
        return self._order[id(event)]

    def file_of(self, event: events.Event) -> str:
        """The module in whose code an event happened."""
        return self.frames[self.order(event)].module

    @cached_property
    def frames(self) -> list[Frame]:
        """Where each event of the history happened."""
        return frames_of(self.state)

    @cached_property
    def sites(self) -> frozenset[int]:
        """The operations that left an event, and the calls and imports on the way to one."""
        sites = Sites()
        sites.add(self.state)
        return frozenset(sites.found)

    def has_left(self, site: Any) -> bool:
        """Whether the path came back, or was about to, from each function in which it came by an operation."""
        open_: set[int] = set()
        frame: Frame | None = self.state.frame.above if self.state.raised == "return" else self.state.frame
        while frame is not None:
            open_.add(id(frame))
            frame = frame.above
        there = (frame for event, frame in zip(self.history, self.frames, strict=True) if event.site is site)
        return all(id(frame) not in open_ for frame in there)

    @cached_property
    def invented(self) -> bool:
        """Whether the path starts with a call that nothing in the script makes."""
        return any(True for _ in self.of(events.Entered))

    @cached_property
    def entered(self) -> tuple[str, ...]:
        """The functions that the path starts with, and that nothing in the script calls."""
        return tuple(event.name for event in self.of(events.Entered))

    @property
    def made_up(self) -> bool:
        """Whether the path starts with a call, or an object, that nothing in the script makes."""
        return MADE_UP in self.state.facts or self.invented

    @property
    def reads_unset(self) -> bool:
        """Whether the path reads a variable of a function that nothing has set: Python ends it there."""
        return UNSET in self.state.facts

    @property
    def files(self) -> list[str]:
        """The files of data whose contents the path took for known, as the script names them."""
        return sorted(fact[1] for fact in self.state.facts if type(fact) is tuple and fact[0] == "read file")

    @property
    def on_a_guess(self) -> bool:
        """Whether the path takes a branch on something unknown, and a builder by a name that the script leaves open."""
        guessed = {guess.condition for guess in self.guesses}
        unsure = any(guess.is_open for guess in self.guesses)
        return unsure and any(condition not in guessed for condition in self.conditions)

    def conditions_at(self, event: events.Event) -> tuple[Any, ...]:
        """The conditions of the path when something happened on it."""
        return conditions_at(self.state, event)

    def names_in(self, conditions: Iterable[Any]) -> set[Any]:
        """The unknowns that some conditions of the path compare with texts: the names by which the script picks."""
        compared = self.machine.compared
        return {name for node, _, _ in conditions for name in compared.get(id(node), ())}

    def passes(self, site: Any) -> bool:
        """Whether the path came by an operation that left an event, or by a call on the way to one."""
        return id(site) in self.sites

    def line(self, site: Any) -> int:
        """The line of an operation."""
        return self.facts.line(site)

    def where(self, site: Any) -> str:
        """The place of an operation, as a message names one: ``line 9``. No message makes these words itself."""
        return self.facts.where(site)
