"""Where reading starts: the run as started without arguments, and what nothing calls."""

from __future__ import annotations

import pytest

from tests.reading import UNKNOWN_VALUE, follow, found, read, variable

ARGUMENTS = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("-e", "--num-epochs", default=3)
    parser.add_argument("name")
    parser.add_argument("--needed", required=True)
    parser.add_argument("--x", dest="y", default="z")
    args = parser.parse_args()
    a = args.size, args.frozen, args.num_epochs, args.name, args.needed, args.y
    m = models.resnet50()
    m.fc = nn.Linear(args.size, 2)
    """


@pytest.mark.parametrize(
    "keywords, value",
    [
        ("default='512', type=int", 512),
        ("default='0.5', type=float", 0.5),
        ("default=512, type=str", 512),  # only a text goes through the type
        ("default='512'", "512"),
        ("default='many', type=int", UNKNOWN_VALUE),
        ("default='512', type=lambda text: int(text) * 2", UNKNOWN_VALUE),
    ],
)
def test_a_default_that_is_a_text_goes_through_the_type(keywords, value):
    script = f"import argparse\np = argparse.ArgumentParser()\np.add_argument('--size', {keywords})\n"
    assert variable(follow(f"{script}size = p.parse_args([]).size\nnn.Linear(size, 1)")[-1], "size") == value


def test_arguments_are_unknown_and_then_at_their_defaults():
    first, second = follow(ARGUMENTS)
    assert (first.defaults, second.defaults) == (False, True)
    assert variable(first, "a") == (UNKNOWN_VALUE,) * 6
    assert variable(second, "a") == (512, False, 3, UNKNOWN_VALUE, UNKNOWN_VALUE, "z")


def test_what_holds_at_the_defaults_only_says_so():
    (finding,) = read(ARGUMENTS).findings
    assert (finding.code, finding.conditions) == ("HC101", ("its arguments are at their defaults",))


def test_functions_that_nothing_calls_are_followed_with_and_without_defaults():
    script = "def main(size=512, n=2):\n    m = models.resnet50()\n    m.fc = nn.Linear(size, n)\n    return m"
    assert [e.defaults for e in follow(script)] == [False, False, True]  # the module itself does the same in both
    assert found(script) == [(3, "HC101")]
    assert found("def main(size):\n    m = models.resnet50()\n    m.fc = nn.Linear(size, 2)") == []


def test_methods_that_nothing_calls_are_followed():
    script = """
        class Trainer:
            def __init__(self, n):
                self.m = models.resnet50()
            def build(self):
                self.m.fc = nn.Linear(512, 2)
        """
    assert found(script) == [(5, "HC101")]


def test_what_is_called_is_not_followed_on_its_own():
    script = "def head(m, size=512):\n    m.fc = nn.Linear(size, 2)\nm = models.resnet50()\nhead(m, 2048)"
    assert found(script) == []


def test_main_guard():
    assert found(
        "def main():\n    m = models.resnet50()\n    m.fc = nn.Linear(1, 2)\nif __name__ == '__main__':\n    main()"
    ) == [(3, "HC101")]


GENERATORS = {
    "a context": ("@contextmanager\ndef lifespan(app):\n    global m\n    {}\n    yield\n    m = None", True),
    "one of a server": ("@asynccontextmanager\nasync def lifespan(app):\n    {}\n    yield {{'model': m}}", True),
    "a fixture": ("@pytest.fixture\ndef net():\n    {}\n    yield m\n    del m", True),
    "a method": ("class A:\n    def parts(self):\n        {}\n        yield from m.children()", True),
    "a value is sent": ("def work():\n    {}\n    while True:\n        m((yield 1))", True),
    "what is called": ("def work(size=512):\n    {}\n    yield m\nfor m in work(2048):\n    print(m)", False),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_are_followed_where_nothing_calls_them(name):
    script, followed = GENERATORS[name]
    size = "size" if "size" in script else "512"
    made = f"m = models.resnet50(); m.fc = nn.Linear({size}, 2)"
    imports = "import pytest\nfrom contextlib import asynccontextmanager, contextmanager\n"
    assert [code for _, code in found(imports + script.format(made))] == ["HC101"] * followed
    assert found(imports + script.format(made.replace("512", "2048"))) == []


def test_what_a_generator_hands_out_may_be_changed_before_it_goes_on():
    frozen = "m = models.resnet18()\nm.fc = nn.Linear(512, 2)\nfor p in m.parameters():\n    p.requires_grad = False\n"
    train = "yield m\nloss = nn.CrossEntropyLoss()(m(x), y)\nopt = optim.SGD(m.parameters(), lr=0.1)\nopt.step()\n"
    lines = "".join(f"    {line}\n" for line in (frozen + train).splitlines())
    assert found(f"import torch.optim as optim\ndef work(x, y):\n{lines}") == []
    assert found(f"import torch.optim as optim\ndef work(x, y):\n{lines.replace('yield m', 'yield')}") != []


def test_what_a_context_puts_back_is_put_back():
    script = """
        from contextlib import contextmanager
        class A:
            def __init__(self):
                self.m = models.resnet18()
                self.m.fc = nn.Linear(512, 2)
            @contextmanager
            def still(self):
                self.m.requires_grad_(False)
                yield
                self.m.requires_grad_(True)
        """
    assert found(script) == []
    assert found(script.replace("yield", "return").replace("@contextmanager", "")) == [(8, "HC301")]


MANY_WAYS = """
BODIES = {{"resnet50": {{"model": models.resnet50, "length": 2048}}}}


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.only = config.only
        if self.only != True:
            self.body = BODIES[config.name]["model"]()
            self.body.fc = nn.Identity()
        if config.more:
            size = config.size * 2 if config.twice else config.size
            if self.only:
                width = size
            else:
                width = BODIES[config.name]["length"] + size
            self.norm = nn.LayerNorm(size) if config.norm else nn.Identity()
        else:
            width = BODIES[config.name]["length"]
        self.length = BODIES[config.name]["length"]
        self.head = nn.Sequential(nn.Linear(width, 5), {last}(dim=1))

    def forward(self, x, labels=None):
        if self.only == False:
            features = self.body(x)
        logits = self.head(features)
        if labels is not None:
            return nn.functional.cross_entropy(logits, labels)
        return logits
"""


def test_of_many_ways_through_init_those_are_taken_that_are_least_alike():
    """The first ones may all be at odds with what forward asks for; and the one body that the script lists is no guess
    that each way makes for itself."""
    assert found(MANY_WAYS.format(last="nn.Softmax")) == [(28, "HC107")]
    assert found(MANY_WAYS.format(last="nn.Flatten")) == []
