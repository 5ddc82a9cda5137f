"""How many there are of something: tests of one number in other words, and lists made of an item each."""

from __future__ import annotations

import pytest

from tests.reading import found

SPREAD = """
def load(gpus):
    m = models.resnet18()
    if {first}:
        return m.fc
    {made}
    if {then}:
        m = nn.DataParallel(m)
    return m.module.fc
"""


@pytest.mark.parametrize(
    ("first", "made", "then", "rows"),
    [
        ("len(gpus) == 0 or len(gpus) == 1", "ids = gpus", "len(ids) > 1", []),
        ("len(gpus) <= 1", "ids = [int(i) for i in gpus]", "len(ids) > 1", []),
        ("len(gpus) < 2", "ids = [int(i) for i in gpus]", "len(ids) >= 2", []),
        ("len(gpus) <= 1", "ids = [int(i) for i in gpus if i]", "len(ids) > 1", [8]),
        ("len(gpus) <= 1", "ids = [int(i) for i in gpus]; ids.pop()", "len(ids) > 1", [8]),
        ("len(gpus) == 0", "ids = gpus", "len(ids) > 1", [8]),
        ("len(gpus) <= 1", "ids = gpus", "0.1 * len(ids) > 1", [8]),
        ("torch.cuda.device_count() <= 1", "ids = gpus", "torch.cuda.device_count() > 1", []),
    ],
)
def test_what_is_tested_before(first, made, then, rows):
    assert found(SPREAD.format(first=first, made=made, then=then)) == [(row, "HC202") for row in rows]
