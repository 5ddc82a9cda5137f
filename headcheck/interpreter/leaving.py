"""Paths that are left out because there are too many: what they came by, and those of them that are remembered."""

from __future__ import annotations

from collections.abc import Iterable

from headcheck.interpreter.state import Cell, Frame, State

MOST_LEFT = 100  # of the paths that are left out, those that are remembered


class Sites:
    """The operations that left an event on some path, and the calls and imports on the way to one, as ids in `found`.
    What paths have in common is looked at once."""

    def __init__(self, states: Iterable[State] = ()) -> None:
        self.found: set[int] = set()
        self._seen: dict[int, Cell] = {}  # which keeps them, and so their ids
        for state in states:
            self.add(state)

    def add(self, state: State) -> bool:
        """Take in a path too; whether it came by something that none of the others did."""
        found, before = self.found, len(self.found)
        frames: dict[int, Frame] = {}
        cell = state.events
        while cell is not None and id(cell) not in self._seen:
            self._seen[id(cell)] = cell
            found.add(id(cell[0].site))
            frames[id(cell[3])] = cell[3]
            cell = cell[1]
        frame: Frame | None
        for frame in frames.values():
            while frame is not None and frame.call is not None and id(frame.call) not in found:
                found.add(id(frame.call))
                frame = frame.above
        return len(found) > before


class Left:
    """Of the paths that are left out on the way, those that came by something that none before them did."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self._sites = Sites()

    def add(self, states: Iterable[State]) -> None:
        new = (state for state in states if len(self.states) < MOST_LEFT and self._sites.add(state))
        self.states.extend(new)

    def forget(self, count: int = 0) -> None:
        """Keep only so many, the first: the others were on the way to something that is followed in another way."""
        if len(self.states) > count:
            del self.states[count:]
            self._sites = Sites(self.states)
