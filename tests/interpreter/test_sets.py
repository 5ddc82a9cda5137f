"""Sets: what is in one twice counts once, and of unknowns nobody knows."""

from __future__ import annotations

import pytest

from tests.reading import found, only, variable

MADE = """
import sys

a, b = int(sys.argv[1]), int(sys.argv[2])
kept = {}
size = len(kept)
"""


@pytest.mark.parametrize(
    ("made", "size"),
    [
        ("{2, 2}", 1),
        ("{2, 3, 2}", 2),
        ("set([1, 1, 2])", 2),
        ("{x % 2 for x in [1, 2, 3]}", 2),
        ("{1, 2} | {2, 3}", 3),
        ("{1, 2}.union([3, 3])", 3),
        ("{a}", 1),
        ("{a, a}", 1),
        ("{a, b}", "?"),
        ("set([a, 1])", "?"),
        ("{nn.Linear, nn.Conv2d}", 2),
        ("[2, 2]", 2),
    ],
)
def test_how_many(made, size):
    assert variable(only(MADE.format(made)), "size") == size


def test_what_is_added():
    assert variable(only("kept = {1}\nkept.add(1)\nkept.update([1, 2])\nsize = len(kept)\n"), "size") == 2


CHECKED = """
class Net(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.count = 2
        {check}
        for place in range(self.count):
            self.add_module("pool{{}}".format(place), nn.MaxPool2d(2))

    def forward(self, x):
        return getattr(self, "pool{{}}".format(0))(x)

net = Net({sizes})
net(torch.rand(1, 3, 8, 8))
"""


@pytest.mark.parametrize("sizes", ["[1, 2]", "sizes"])
def test_sizes_that_must_agree(sizes):
    assert found(CHECKED.format(check="assert len({len(sizes), self.count}) == 1", sizes=sizes)) == []


def test_a_part_that_is_not_there():
    checked = CHECKED.format(check="assert len({len(sizes), self.count}) == 1", sizes="[1, 2]")
    assert found(checked.replace('"pool{}".format(0)', '"last"')) == [(10, "HC202")]
