"""Whatever a file holds, reading it ends, and what all its paths share is still found. No test here looks at a clock:
the steps that a run takes are bounded by the size of what it reads."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from headcheck.interpreter import budget
from headcheck.pipeline import Reader, check_text
from headcheck.settings import Settings
from tests.reading import follow

START = "import torch\nfrom torch import nn\nfrom torchvision import models\n"
WRONG = "model = models.resnet50()\nmodel.fc = nn.Linear(512, 10)\n"
RIGHT = "model = models.resnet50()\nmodel.fc = nn.Linear(2048, 10)\n"


def indented(text: str, depth: int = 1) -> str:
    return "".join("    " * depth + line + "\n" for line in text.splitlines())


def branches(count: int) -> str:
    """As many branches on unknown conditions, each of which can matter to the model."""
    return "".join(f"if flags[{i}]:\n    size{i} = nn.Linear({i + 1}, 2)\n" for i in range(count))


def nested(count: int, head: str, body: str) -> str:
    return "".join("    " * i + head.format(i) + "\n" for i in range(count)) + indented(body, count)


def function(body: str) -> str:
    return "def build(flags):\n" + indented(body + "return model\n")


def long_file() -> str:
    """20,000 lines, the fault in the last."""
    block = "def step{0}(x, y):\n    if x > {0}:\n        y = x * {0}\n    z = [y, x]\n    return z\n\n"
    return "".join(block.format(i) for i in range(3_333)) + WRONG


DICT = "builders = {" + "".join(f"'{i}': models.resnet18, " for i in range(5_000)) + "}\n"
OPTIONS = "from options import x, f\n"
SHARED = {
    "20,000 lines": long_file(),
    "40 branches": function(branches(40) + WRONG),
    "400 branches": function(branches(400) + WRONG),
    "40 branches of the module": "from options import flags\n" + branches(40) + WRONG,
    "40 branches after the fault": function(WRONG + branches(40)),
    "400 branches that may return": function(
        "".join(f"if flags[{i}]:\n    return models.resnet18()\n" for i in range(400)) + WRONG
    ),
    "a function called when the steps are used up": "def tune():\n"
    + indented(WRONG)
    + "def main(flags):\n"
    + indented(branches(60) + "tune()\n")
    + "from options import flags\nmain(flags)\n",
    "two functions called when the steps are used up": "def tune(flags):\n"
    + indented(WRONG + branches(60))
    + "def evaluate(flags):\n"
    + indented(branches(60))
    + "def main(flags):\n"
    + indented(branches(60) + "evaluate(flags)\ntune(flags)\n")
    + "from options import flags\nmain(flags)\n",
    "a function given the model when the steps are used up": "def tune(model):\n    model.fc = nn.Linear(512, 10)\n"
    "def main(flags):\n    model = models.resnet50()\n"
    + indented(branches(60) + "tune(model)\n")
    + "from options import flags\nmain(flags)\n",
    "40 loops in one another": nested(40, "for x{0} in range(30):", RIGHT) + WRONG,
    "60 loops of lists in one another": nested(
        60, "for x{0} in [models.resnet18, models.resnet34, models.resnet50]:", "x0()"
    )
    + WRONG,
    "60 ifs in one another": "from options import flags\n" + nested(60, "if flags[{0}]:", "pass") + WRONG,
    "60 ifs around": "from options import flags\n" + nested(60, "if flags[{0}]:", WRONG),
    "a builder called 2,000 times": "def build(n):\n    m = models.resnet18()\n    m.fc = nn.Linear(512, n)\n"
    "    return m\n" + "".join(f"m{i} = build({i + 1})\n" for i in range(2_000)) + WRONG,
    "functions that call one another": "def a(n, m):\n    if n:\n        b(n, m)\n    return b(n - 1, m)\n"
    "def b(n, m):\n    if n.flag:\n        a(n, m)\n    a(n, m)\n    return a(n - 1, m)\n"
    + WRONG
    + "a(unknown, model)\n",
    "functions that call ten others": "".join(
        f"def f{i}(m):\n" + f"    f{i + 1}(m)\n" * 10 + "    return nn.Linear(1, 2)\n" for i in range(12)
    )
    + "def f12(m): return m\n"
    + WRONG
    + "f0(1)\n",
    "a list of 5,000 builders": "builders = [" + "models.resnet18, " * 5_000 + "]\n" + WRONG,
    "a dict of 5,000 builders": "builders = {"
    + "".join(f"'{i}': models.resnet18, " for i in range(5_000))
    + "}\n"
    + WRONG,
    "a dict of 5,000 builders by an unknown name": "from options import name\nbuilders = {"
    + "".join(f"'{i}': models.resnet18, " for i in range(5_000))
    + "}\nbuilders[name]().eval()\n"
    + WRONG,
    "a long chain": "from options import x\ny = x" + ".a(x, x)" * 60 + "\n" + WRONG,
    "unknowns that double": OPTIONS + "x = f(x, x, x, x)\n" * 60 + "if x:\n    y = x\n" + WRONG,
    "tuples that double": "from options import x, f\n"
    + "x = (x, x)\n" * 60
    + "y = f(x)\nif x == y:\n    y = x\n"
    + WRONG,
    "lists that double": "x = [1, 2]\n" + "x = x + x\n" * 60 + WRONG,
    "lists that double in place": "x = [1, 2]\n" + "x += x\n" * 60 + WRONG,
    "texts that double": "x = 'ab'\n" + "x = x + x\n" * 60 + WRONG,
    "numbers that square": "x = 3\n" + "x = x * x\n" * 60 + WRONG,
    "f-strings that double": "x = 'ab'\n" + "x = f'{x}{x}'\n" * 60 + WRONG,
    "a class with 300 methods": "class Task:\n"
    + "".join(
        f"    def m{i}(self, x):\n        if self.f{i}:\n            return self.m{(i + 1) % 300}(nn.Linear(x, 2))\n"
        for i in range(300)
    )
    + WRONG,
    "a network with 300 layers in one another": "net = nn.Linear(1, 1)\n" + "net = nn.Sequential(net)\n" * 300 + WRONG,
    "decorators upon decorators": "def d(f):\n    def g(*a): return f(f(*a))\n    return g\n"
    + "@d\n" * 60
    + "def h(x): return x\nh(models.resnet18())\n"
    + WRONG,
}


@pytest.mark.parametrize("script", SHARED.values(), ids=SHARED)
def test_what_all_paths_share_is_found(script: str) -> None:
    assert [f.code for f in check_text(START + script, "script.py", select=("HC1",))].count("HC101") == 1


def test_right_heads_stay_right() -> None:
    for script in SHARED.values():
        text = START + script.replace("nn.Linear(512, 10)", "nn.Linear(2048, 10)")
        assert [f.code for f in check_text(text, "script.py") if f.code != "HC501"] == []


@pytest.mark.parametrize("script", SHARED.values(), ids=SHARED)
def test_the_steps_are_bounded_by_the_size(script: str) -> None:
    execution = follow(script, preamble=START)[0]
    machine = execution.machine
    lines = script.count("\n") + script.count(",")
    assert machine.budget.limit <= budget.FEWEST + budget.FOR_MODELS + budget.STEPS_EACH * 12 * lines
    assert machine.budget.spent <= 2 * machine.budget.limit


def test_what_was_cut_is_no_proof_of_absence() -> None:
    """The head is unfrozen on one path of very many: not every one of them is followed, so nothing is missing."""
    freeze = "model.fc = nn.Linear(2048, 10)\nfor p in model.parameters():\n    p.requires_grad = False\n"
    thaw = "if flags[0]:\n    for p in model.fc.parameters():\n        p.requires_grad = True\n"
    train = "optimizer = torch.optim.SGD(model.parameters(), 0.1)\nmodel(x).sum().backward()\n"
    build = "model = models.resnet50(weights='DEFAULT')\n"

    def codes(body: str) -> set[str]:
        return {f.code for f in check_text(START + "from options import flags, x\n" + body, "script.py")}

    assert "HC301" in codes(build + freeze + train)
    assert codes(build + freeze + branches(60) + thaw + train).isdisjoint({"HC301", "HC302"})


def test_a_base_class_that_is_not_followed_may_have_set_the_module_up() -> None:
    base = "class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n\n"
    net = (
        "class Net(Base):\n    def __init__(self, classes):\n        super().__init__()\n"
        "        self.trunk = models.resnet18()\n        self.trunk.fc = nn.Linear(512, classes)\n\n"
        "    def forward(self, x):\n        return self.trunk(x)\n"
    )
    text = START + "from options import flags\n" + branches(400) + RIGHT + base + net + "Net(10)\n"
    assert follow(text)[0].cut
    assert [finding.code for finding in check_text(text, "script.py")] == []


def test_code_that_is_not_followed_may_call_the_parts_of_a_model() -> None:
    net = (
        "class Net(nn.Module):\n    def __init__(self, trunk):\n        super().__init__()\n"
        "        self.trunk = trunk\n\n    def forward(self, x):\n        return self.trunk.features(x)\n\n"
    )
    cut_off = "trunk = models.vgg16()\ndel trunk.classifier\nNet(trunk)(x)\n"
    assert [f.code for f in check_text(START + net + "from options import x\n" + cut_off, "script.py")] == []
    text = START + net + "from options import flags, x\n" + branches(400) + cut_off
    assert follow(text)[0].cut
    assert [f.code for f in check_text(text, "script.py")] == []


def test_what_is_wrong_of_any_model_is_found_on_a_path_that_lost_something() -> None:
    choose = "from options import name, flags\nmodel = models.__dict__[name](weights='DEFAULT')\n"
    whole = START + choose + branches(60) + "model.requires_grad = False\n"
    assert [finding.code for finding in check_text(whole, "script.py")] == ["HC303"]
    part = START + choose + branches(60) + "model.class_token.requires_grad = False\n"
    assert [finding.code for finding in check_text(part, "script.py")] == []


def arms(count: int, size: int) -> str:
    """As many ways to build a model, the last with a head of this size."""
    sizes = [2048] * (count - 1) + [size]
    arm = "if name == {0}:\n    model = models.resnet50()\n    model.fc = nn.Linear({1}, 2)\n"
    return "el".join(arm.format(i, size) for i, size in enumerate(sizes))


def test_a_fault_on_a_path_that_is_left_out() -> None:
    """What a function leaves behind when it returns is judged, whether the path is followed further or not."""
    build = "def build(name):\n" + indented(arms(20, 512) + "return model\n")
    train = "from options import name, flags\nmodel = build(name)\n" + branches(60)
    assert [f.code for f in check_text(START + build + train, "script.py")] == ["HC101"]
    mended = build.replace("return model", "model.fc = nn.Linear(2048, 2)\n    return model")
    assert [f.code for f in check_text(START + mended + train, "script.py")] == []


def test_a_head_on_a_path_that_is_left_out_may_be_mended_later() -> None:
    build = "def build(name, flags):\n" + indented(arms(40, 512) + branches(60) + "model.fc = nn.Linear(2048, 2)\n")
    assert [f.code for f in check_text(START + build, "script.py")] == []


def test_two_hundred_modules_that_import_each_other(tmp_path: Path) -> None:
    for number in range(200):
        others = "".join(f"from m{(number + step) % 200} import build{(number + step) % 200}\n" for step in (1, 7, 50))
        body = f"def build{number}(n):\n    model = build{(number + 1) % 200}(n)\n    model.fc = nn.Linear(n, 2)\n"
        (tmp_path / f"m{number}.py").write_text(START + others + body + "    return model\n")
    script = tmp_path / "train.py"
    script.write_text(START + "from m0 import build0\nbuild0(3)\n" + WRONG)
    result = Reader(Settings(confirm=False), False, [str(script)]).check(str(script))
    assert [f.code for f in result.findings if f.severity == "error"] == ["HC101"]


WIDE = [
    "'%200000000d' % 1",
    "'%*d' % (200000000, 1)",
    "'{:200000000d}'.format(1)",
    "'{:{}}'.format(1, 200000000)",
    "('x' * 999).replace('x', 'y' * 999).replace('y', 'z' * 999)",
    "('x' * 999).join(['y' * 999] * 999)",
]


@pytest.mark.parametrize("text", WIDE)
def test_a_text_that_is_put_together_is_no_longer_than_scripts_need(text: str) -> None:
    tracemalloc.start()
    try:
        found = check_text(f"{START}x = {text}\n{WRONG}setattr(model, x, nn.Linear(512, 3))\n", "script.py")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 50_000_000 and "HC101" not in [f.code for f in found]  # which of its parts that is, is not known


def test_texts_are_put_together() -> None:
    for text in ("'%s%s' % ('f', 'c')", "'{}{}'.format('f', 'c')", "''.join(['f', 'c'])", "'xc'.replace('x', 'f')"):
        found = check_text(f"{START}{RIGHT}x = {text}\nsetattr(model, x, nn.Linear(512, 3))\n", "script.py")
        assert [f.code for f in found] == ["HC101"], text


@pytest.mark.parametrize("name", ["20,000 lines", "400 branches"])
def test_the_command_ends(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(START + SHARED[name])
    done = subprocess.run(
        [sys.executable, "-m", "headcheck", "--no-confirm", "--output-format", "concise", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "HC101" in done.stdout
