"""What is said of a network of the script that lacks an attribute is true: which code sets one, and when."""

from __future__ import annotations

import pytest

from tests.reading import read

CLASS = "class Net(nn.Module):\n    def __init__(self, small=False):\n        super().__init__()\n"
WIDE = "self.body = nn.Linear(4, self.width)"
METHOD = "\n    def build(self):\n        {}\n"
RUN = "net = Net()\nprint(net(torch.rand(2, 4)))\n"
FORWARD = "\n    def forward(self, x):\n        return self.body(x)\n"
BASE = (
    "class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.body = nn.Linear(4, 4)\n"
)
BASE += "\n    def forward(self, x):\n        return self.last(self.body(x))\n"
BASE += "class Sub(Base):\n    def __init__(self):\n        super().__init__()\n        self.last = nn.ReLU()\n"
TWIN = (
    CLASS + "        self.body = nn.Linear(4, 4)\n    def forward(self, x):\n        return self.body(x) * self.scale\n"
)


def in_init(*lines):
    return CLASS + "".join(f"        {line}\n" for line in lines)


PAIRS = [
    (
        in_init(WIDE, "self.width = 4") + FORWARD + RUN,
        "it is set only later (line 8)",
        "set it before line 7",
        in_init("self.width = 4", WIDE) + FORWARD + RUN,
    ),
    (  # in what it calls
        in_init("self.build()", "self.width = 4") + METHOD.format(WIDE) + FORWARD + RUN,
        "it is set only later (line 8)",
        "set it before line 7",
        in_init("self.width = 4", "self.build()") + METHOD.format(WIDE) + FORWARD + RUN,
    ),
    (
        in_init(WIDE, "self.build()") + METHOD.format("self.width = 4") + FORWARD + RUN,
        "only `build` sets one, and has not done so before (line 11)",
        "",
        in_init("self.build()", WIDE) + METHOD.format("self.width = 4") + FORWARD + RUN,
    ),
    (
        in_init("if small:", "    self.width = 4", WIDE) + FORWARD + RUN,
        "it is set only under other conditions (line 8)",
        "",
        in_init("if not small:", "    self.width = 4", WIDE) + FORWARD + RUN,
    ),
    (
        in_init("self.width = 4", "del self.width", WIDE) + FORWARD + RUN,
        "it is deleted before (line 8)",
        "",
        in_init("self.width = 4", WIDE, "del self.width") + FORWARD + RUN,
    ),
    (
        BASE + "Sub()(torch.rand(2, 4))\nBase()(torch.rand(2, 4))\n",
        "only Sub sets one, on objects of its own (line 14)",
        "",
        BASE + "Sub()(torch.rand(2, 4))\n",
    ),
    (
        TWIN + "one, two = Net(), Net()\none.scale = 3\ntwo(torch.rand(2, 4))\n",
        "nothing sets one before",
        "",
        TWIN + "one, two = Net(), Net()\ntwo.scale = 3\ntwo(torch.rand(2, 4))\n",
    ),
    (  # in several ways
        in_init("if small:", "    self.width = 4", WIDE, "self.width = 4") + FORWARD + RUN,
        "nothing sets one before",
        "",
        in_init("self.width = 4", WIDE) + FORWARD + RUN,
    ),
    (TWIN + RUN, "nothing sets one", "", TWIN.replace(" * self.scale", "") + RUN),
]


@pytest.mark.parametrize(("wrong", "why", "help_", "right"), PAIRS)
def test_where_an_attribute_is_set(wrong, why, help_, right):
    (finding,) = [finding for finding in read(wrong).findings if finding.code == "HC202"]
    assert (finding.message.partition(": ")[2], finding.help) == (why, help_)
    assert [finding for finding in read(right).findings if finding.code == "HC202"] == []


@pytest.mark.parametrize(("wrong", "right"), [(wrong, right) for wrong, _, _, right in PAIRS])
def test_pytorch_finds_the_same(wrong, right):
    torch = pytest.importorskip("torch")
    with pytest.raises(AttributeError):
        exec(compile(wrong, "script", "exec"), {"torch": torch, "nn": torch.nn})
    exec(compile(right, "script", "exec"), {"torch": torch, "nn": torch.nn})
