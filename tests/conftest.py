"""Tests run in several processes, so each keeps to one thread: PyTorch takes the number when it is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: started last, it would run alone while all other processors wait."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


@pytest.fixture(scope="session")
def parent_of_workers() -> Iterator[object]:
    """What forks workers that have imported torch already; it starts when it is first asked for one."""
    from tests.warm import Parent

    parent = Parent()
    yield parent
    parent.end()


@pytest.fixture(scope="module", autouse=True)
def warm_workers(request: pytest.FixtureRequest, parent_of_workers: object) -> Iterator[None]:
    """Let the workers of a module be forked (see `tests.warm`), unless it is `COLD`."""
    if os.name != "posix" or getattr(request.module, "COLD", False):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headcheck.confirm.runner._start", parent_of_workers.start)  # type: ignore[attr-defined]
        yield
