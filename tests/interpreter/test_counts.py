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


FILLED = """
class Block(nn.Module):
    def __init__(self, count, more):
        super().__init__()
        layers = {made}
        for i in range(count):
            width = more.first if i == 0 else more.rest
            layers.append(more.layer(width))
        self.layers = nn.Identity() if {empty} else nn.Sequential(*layers)


block = Block({count}, settings)
first = block.layers[0]
"""


@pytest.mark.parametrize("empty", ["len(layers) == 0", "not layers", "len(layers) < 1"])
@pytest.mark.parametrize(
    ("made", "count", "rows"),
    [("[]", 2, []), ("[]", 9, []), ("[]", 70, []), ("[more.stem]", 9, []), ("[]", 0, [12]), ("[more.stem]", 0, [])],
)
def test_lists_that_a_loop_fills(made, count, empty, rows):
    assert found(FILLED.format(made=made, count=count, empty=empty)) == [(row, "HC202") for row in rows]


def test_how_long_a_list_is_after_a_loop():
    script = FILLED.format(made="[more.stem]", count=9, empty="len(layers) != 10")
    assert found(script) == []
    assert found(script.replace("!= 10", "== 10")) == [(12, "HC202")]
