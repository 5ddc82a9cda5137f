"""Where PyTorch raises: of what a forward does, only the first thing that fits nowhere is a fault of its own."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.events import Event
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import Frame, State
from headcheck.interpreter.values import Ref


def refuse(state: State, event: Event) -> None:
    """Log that a layer refuses what it gets, unless the forward raised before, or the code around has another way."""
    if not state.rescued and not has_raised(state):
        state.log(event)
    fail(state)


def fail(state: State) -> None:
    """PyTorch raises here: nothing that comes after in the forward that runs is reached."""
    if not has_raised(state):
        state.refused = running_forward(state)


def has_raised(state: State) -> bool:
    """Whether PyTorch has raised in the forward that runs."""
    return state.refused is not None and any(frame is state.refused for frame in frames(state))


def running_forward(state: State) -> Frame | None:
    """The frame of the outermost network of the script of which a method runs; None where none does."""
    inside = [frame for frame in frames(state) if type(frame.receiver) is Ref and is_module(state, frame.receiver)]
    return inside[-1] if inside else None


def is_module(state: State, ref: Ref) -> bool:
    return type(state.heap.get(ref.address)) is Module


def frames(state: State) -> Iterator[Frame]:
    """Those of all functions that run, innermost first."""
    frame: Frame | None = state.frame
    while frame is not None:
        yield frame
        frame = frame.above
