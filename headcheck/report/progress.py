"""A progress bar on a terminal: one line on standard error that is gone when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

#: Told how many of how many are done, and what comes next.
Update = Callable[..., None]

WIDTH: Final = 30
PATIENCE: Final = 0.3  # seconds: what takes less shows no bar
INTERVAL: Final = 0.1
ERASE: Final = "\r\x1b[K"


@contextmanager
def bar(label: str, stream: TextIO) -> Iterator[Update]:
    """Gives a function to call with the number done, the number of all, and a name if there is one.

    Draws on a terminal only.
    """
    if not stream.isatty():
        yield _nothing
        return
    last = time.monotonic() + PATIENCE - INTERVAL
    drawn = False

    def update(done: int, total: int, name: str = "") -> None:
        nonlocal last, drawn
        now = time.monotonic()
        if now - last >= INTERVAL and total:
            last, drawn = now, True
            full = WIDTH * done // total
            stream.write(f"{ERASE}{label} [{'=' * full}{' ' * (WIDTH - full)}] {done}/{total} {name}"[:120])
            stream.flush()

    try:
        yield update
    finally:
        if drawn:
            stream.write(ERASE)
            stream.flush()


def _nothing(done: int, total: int, name: str = "") -> None:
    """What a pipe gets to see."""
