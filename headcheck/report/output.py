"""Where a report goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from headcheck.configuration import UsageError


@contextmanager
def opened(filename: str | None) -> Iterator[TextIO]:
    """The file to write a report to, or standard output. A reader that has had enough (``| head``) is no failure."""
    if filename is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            close_broken_pipe()
        return
    try:
        file = open(filename, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"--output-file: {filename}: {error.strerror}") from error
    with file:
        yield file


def close_broken_pipe() -> None:
    """What is left in standard output's buffer must not be tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
