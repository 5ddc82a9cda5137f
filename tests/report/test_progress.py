"""The bar is drawn on terminals only, and leaves nothing behind."""

import io

import pytest

from headcheck.report import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_in_a_pipe():
    stream = io.StringIO()
    with progress.bar("tracing", stream) as update:
        for done in range(100):
            update(done, 100, "resnet50")
    assert stream.getvalue() == ""


def test_a_terminal_sees_it_and_then_no_more(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    stream = Terminal()
    with progress.bar("tracing", stream) as update:
        update(5, 10, "resnet50")
    assert "tracing [===============               ] 5/10 resnet50" in stream.getvalue()
    assert stream.getvalue().endswith(progress.ERASE)


def test_what_is_quick_shows_nothing():
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), progress.bar("tracing", stream) as update:
        update(0, 0)
        update(1, 0)
        raise ZeroDivisionError
    assert stream.getvalue() == ""
