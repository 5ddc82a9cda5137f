"""Arguments with defaults: a file is run at them only where one of them can decide something."""

from __future__ import annotations

import pytest

from tests.reading import follow

SCRIPT = """
import argparse
p = argparse.ArgumentParser()
p.add_argument("--n", type=int, default=2)
p.add_argument("--name", default="a")
args = p.parse_args()
net = models.resnet18()
"""


def runs_at_defaults(body: str) -> bool:
    return any(execution.defaults for execution in follow(f"{SCRIPT}{body}\n"))


@pytest.mark.parametrize(
    "body",
    [
        "print(args.n)",
        "torch.optim.SGD(net.parameters(), lr=args.n)",
        "torch.save(net.state_dict(), args.name)",
        "torch.save(net.state_dict(), f'{args.name}.pt')",
        "torch.save(net.state_dict(), '{}.pt'.format(args.name))",
        "for i in range(args.n):\n    net.eval()",
        "lines = []\nlines.append(args.name)\nprint(lines)",
        "torch.manual_seed(args.n)",
        "import torchvision\ntorchvision.datasets.ImageFolder(args.name)",
        "if args.n > 1:\n    print('many')",
        "if args.name == 'a':\n    rate = 1\nelse:\n    rate = 2\ntorch.optim.SGD(net.parameters(), lr=rate)",
        "def train(net, n):\n    for i in range(n):\n        net.train()\ntrain(net, args.n)",
        "class C:\n    def __init__(self, n):\n        self.n = n\nprint(C(args.n).n)",
    ],
)
def test_what_decides_nothing_is_not_run_at_its_default(body: str) -> None:
    assert not runs_at_defaults(body)


@pytest.mark.parametrize(
    "body",
    [
        "nn.Linear(512, args.n)",
        "nn.Linear(512, int(args.n) + 1)",
        "nn.Linear(512, max(args.n, 3))",
        "nn.Linear(*[512, args.n])",
        "nn.Linear(**{'in_features': args.n, 'out_features': 2})",
        "net.to(args.name)",
        "import torchvision\ntorchvision.datasets.EMNIST('.', args.name)",
        "net.to(torch.device(args.name))",
        "net.to(f'{args.name}:0')",
        "net.load_state_dict(torch.load(args.name))",
        "if args.n > 1:\n    net.fc = None",
        "while args.n > 1:\n    net.eval()",
        "layers = [nn.Linear(2, 2) for i in range(args.n)]",
        "layers = []\nfor i in range(args.n):\n    layers.append(nn.Linear(2, 2))",
        "layers = [512]\nlayers.append(args.n)\nnn.Linear(*layers)",
        "[nn.ReLU(), nn.Linear(2, 2)][args.n]",
        "{args.name: 1}",
        "setattr(net, 'fc', args.name)",
        "net.fc.bias.requires_grad = args.n",
        "class C:\n    def __init__(self, n):\n        self.n = n\nnn.Linear(512, C(args.n).n)",
        "def make(n):\n    return nn.Linear(512, n)\nmake(args.n)",
        "def make():\n    return nn.Linear(512, args.n)",
        "unknown.n = args.n\nnn.Linear(512, unknown.n)",
        "size = 2\nif args.n > 1:\n    size = 3\nnn.Linear(512, size)",
        "nn.Linear(512, vars(args)['n'])",
        "torch.set_grad_enabled(args.n)\nwith torch.set_grad_enabled(args.n):\n    net(unknown)",
        "getattr(models, args.name)()",
        "isinstance(args.name, str)",
    ],
)
def test_what_decides_something_is_run_at_its_default(body: str) -> None:
    assert runs_at_defaults(body)


def test_a_default_that_names_a_model_is_run_with_it() -> None:
    assert any(execution.defaults for execution in follow(SCRIPT.replace('"a"', '"resnet18"')))


@pytest.mark.parametrize(("use", "twice"), [("print(rate)", False), ("nn.Linear(2, rate)", True)])
def test_the_environment_is_asked_the_same_way(use: str, twice: bool) -> None:
    script = f"import os\nrate = int(os.environ.get('RATE', 3))\n{use}\n"
    assert any(execution.defaults for execution in follow(script)) is twice
