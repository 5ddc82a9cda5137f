"""What code that is not followed to its end may have set is not taken for what it was before."""

from __future__ import annotations

import pytest

from tests.reading import found

OBJECT = """
class Sizes:
    def __init__(self):
        self.width, self.depth = 64, 2
        self.widths, self.depths = [64], [2]
"""
NETWORK = """
class Sizes(nn.Module):
    def __init__(self):
        super().__init__()
        self.width, self.depth = 64, 2
        self.widths, self.depths = [64], [2]
"""
METHODS = """
    def widen(self):
        {sets}

    def grow(self):
        self.widen()

width = 64
widths, depths = [64], [2]

def grow(sizes):
    sizes.widen()

def widen():
    global {name}
    {name} = 512

def through():
    widen()
"""
BRANCHES = "".join(f"    if flags[{i}]:\n        layer{i} = nn.Linear({i + 1}, 2)\n" for i in range(60))
LATE = """
def main(flags):
    sizes = Sizes()
{branches}
    {call}
    model = models.resnet18()
    model.fc = nn.Linear({size}, 10)

main(unknown)
"""


def codes(script):
    return [code for _, code in found(script) if code == "HC101"]


@pytest.mark.parametrize("made_of", [OBJECT, NETWORK])
@pytest.mark.parametrize("call", ["sizes.widen()", "sizes.grow()", "grow(sizes)"])
@pytest.mark.parametrize("sets, expected", [("self.width *= 8", []), ("self.depth *= 8", ["HC101"])])
def test_attributes_that_a_call_sets_that_is_not_followed(made_of, call, sets, expected):
    methods = METHODS.format(sets=sets, name="width")
    script = made_of + methods + LATE.format(branches=BRANCHES, call=call, size="sizes.width")
    assert codes(script) == expected


@pytest.mark.parametrize("made_of", [OBJECT, NETWORK])
@pytest.mark.parametrize(
    "sets, expected",
    [
        ("self.widths.append(512)", []),
        ("self.widths[-1] = 512", []),
        ("self.depths.append(512)", ["HC101"]),
        ("print(self.widths)", ["HC101"]),
        ("print(self.widths, [].append(1))", ["HC101"]),
    ],
)
def test_lists_that_a_call_fills_that_is_not_followed(made_of, sets, expected):
    methods = METHODS.format(sets=sets, name="width")
    assert (
        codes(made_of + methods + LATE.format(branches=BRANCHES, call="sizes.grow()", size="sizes.widths[-1]"))
        == expected
    )
    methods = METHODS.format(sets="pass", name="width").replace("global width", sets.replace("self.", ""))
    assert codes(made_of + methods + LATE.format(branches=BRANCHES, call="through()", size="widths[-1]")) == expected


@pytest.mark.parametrize("call", ["widen()", "through()"])
@pytest.mark.parametrize("name, expected", [("width", []), ("depth", ["HC101"])])
def test_variables_that_a_call_sets_that_is_not_followed(call, name, expected):
    methods = METHODS.format(sets="pass", name=name)
    script = OBJECT + methods + LATE.format(branches=BRANCHES, call=call, size="width")
    assert codes(script) == expected


LOOPED = """
width = 64

def main(count):
    global width
    sizes = Sizes()
    {loop}
        {sets}
    model = models.resnet18()
    model.fc = nn.Linear({size}, 10)

main(unknown)
"""


@pytest.mark.parametrize("made_of", [OBJECT, NETWORK])
@pytest.mark.parametrize("loop", ["for _ in range(count):", "for _ in range(3):", "while count < sizes.depth:"])
@pytest.mark.parametrize(
    "sets, size, expected",
    [
        ("sizes.width *= 2", "sizes.width", []),
        ("sizes.depth *= 2", "sizes.width", ["HC101"]),
        ("width *= 2", "width", []),
        ("sizes.width *= 2", "width", ["HC101"]),
    ],
)
def test_what_a_loop_sets_whose_turns_are_not_followed(made_of, loop, sets, size, expected):
    assert codes(made_of + LOOPED.format(loop=loop, sets=sets, size=size)) == expected


HANDED = """
TABLE = {"fc": nn.Linear}

class Recorder:
    def __init__(self):
        self.layer = nn.ReLU()
        self.seen = []

    def note(self, *given):
        self.seen.append(TABLE["fc"])

    def run(self, x):
        self.save(x)
        print(sorted([x], key=self.note))
        return self.layer.updateOutput(x)

Recorder()
"""


def test_what_is_not_set_is_known_beside_what_is():
    """A list that a function fills which is handed on, a method that no class here has: no layer changes by them."""
    assert [code for _, code in found(HANDED)] == ["HC202"]
