"""The conditions of a finding are those under which the script fails: small scripts with flags around a fault are run
in PyTorch, with each flag set and not set."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
import textwrap
import types

import pytest

from headcheck.pipeline import check_text

torch = pytest.importorskip("torch")
FLAGS = "abcd"

# How the layer comes to be the one without a weight (`bad`), or the right one again (`good`).
WAYS = {
    "if": "if args.a:\n    {bad}",
    "if not": "if not args.a:\n    {bad}",
    "else": "if args.a:\n    {good}\nelse:\n    {bad}",
    "and": "if args.a and args.b:\n    {bad}",
    "or": "if args.a or args.b:\n    {bad}",
    "and not": "if args.a and not args.b:\n    {bad}",
    "not and": "if not args.a and args.b:\n    {bad}",
    "not both": "if not (args.a and args.b):\n    {bad}",
    "neither": "if not (args.a or args.b):\n    {bad}",
    "within": "if args.a:\n    if args.b:\n        {bad}",
    "within not": "if args.a:\n    if not args.b:\n        {bad}",
    "within else": "if args.a:\n    if args.b:\n        {good}\n    else:\n        {bad}",
    "elif": "if args.a:\n    {good}\nelif args.b:\n    {bad}",
    "last": "if args.a:\n    {good}\nelif args.b:\n    {good}\nelse:\n    {bad}",
    "undone": "if args.a:\n    {bad}\nif args.b:\n    {good}",
    "redone": "if args.a:\n    {bad}\nif args.b:\n    {good}\nif args.c:\n    {bad}",
    "three": "if args.a and args.b and args.c:\n    {bad}",
    "one of three": "if args.a or args.b or args.c:\n    {bad}",
    "and or": "if args.a and (args.b or args.c):\n    {bad}",
    "or and": "if args.a or args.b and args.c:\n    {bad}",
    "within elif": "if args.a:\n    if args.b:\n        {good}\n    elif args.c:\n        {bad}",
    "ternary": "{made} = Multi() if args.a else nn.Linear(4, 4)",
    "beside": "if args.b:\n    print('b')\nif args.a:\n    {bad}",
    "eval before": "if args.b:\n    {made}.eval()\nif args.a:\n    {bad}",
    "eval after": "if args.a:\n    {bad}\nif args.b:\n    {made}.eval()",
    "both": "if args.a:\n    {bad}\nif args.b:\n    {bad}",
    "either": "if args.a:\n    {bad}\nelif args.b:\n    {bad}",
    "asked twice": "if args.a:\n    {good}\nif args.a and args.b:\n    {bad}",
    "raises": "if args.b:\n    raise ValueError\nif args.a:\n    {bad}",
    "always": "{bad}",
    "never": "if args.a:\n    {good}",
}
# How what it lacks is asked for.
ASKED = {
    "plainly": "{ask}",
    "if": "if args.d:\n    {ask}",
    "if not": "if not args.d:\n    {ask}",
    "as before": "if args.a:\n    {ask}",
    "beside": "if args.d:\n    print('d')\n{ask}",
    "left": "if args.d:\n    return None\n{ask}",
}
START = """import argparse
import torch
from torch import nn
from torchvision import models


class Multi(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x):
        return self.first(x)


"""
PARSED = "parser = argparse.ArgumentParser()\n"
PARSED += "".join(f'parser.add_argument("--{flag}", action="store_true")\n' for flag in FLAGS)
PARSED += "args = parser.parse_args()\n"


def pieces(way, asked, name):
    """(the lines that make the layer, those that ask it)"""
    words = {"bad": f"{name} = Multi()", "good": f"{name} = nn.Linear(4, 4)", "made": name}
    return f"{name} = nn.Linear(4, 4)\n{WAYS[way].format(**words)}\n", ASKED[asked].format(ask=f"ask({name}.weight)")


def indented(text, depth=1):
    return textwrap.indent(text, 4 * depth * " ").rstrip() + "\n"


def in_script(way, asked):
    made, ask = pieces(way, asked, "layer")
    return f"{START}{PARSED}{made}{ask}\n", ""


def in_function(way, asked):
    made, ask = pieces(way, asked, "layer")
    return f"{START}def train(args):\n{indented(made + ask)}", "train(args)"


def by_helper(way, asked):
    made, ask = pieces(way, asked, "layer")
    text = f"{START}def make(args):\n{indented(made + 'return layer')}\n\n"
    return f"{text}def train(args):\n{indented('layer = make(args)')}{indented(ask)}", "train(args)"


def in_network(way, asked, method, called):
    made, ask = pieces(way, asked, "self.layer")
    init = indented(f"super().__init__()\nself.args = args\n{made}{called}", 2)
    text = f"{START}class Net(nn.Module):\n    def __init__(self, args):\n{init}\n"
    text += f"    def {method}:\n{indented(ask.replace('args.', 'self.args.'), 2)}"
    forward = "" if method.startswith("forward") else "\n    def forward(self, x):\n        return self.layer(x)\n"
    return f"{text}{forward}"


def in_method(way, asked):
    return in_network(way, asked, "reset_parameters(self)", ""), "Net(args).reset_parameters()"


def in_called_method(way, asked):
    return in_network(way, asked, "reset_parameters(self)", "self.reset_parameters()\n"), "Net(args)"


def in_forward(way, asked):
    return in_network(way, asked, "forward(self, x)", ""), "Net(args)(torch.rand(2, 4))"


PLACES = (in_script, in_function, by_helper, in_method, in_called_method, in_forward)


def outcome(text, call, flags):
    """(whether the fault is met, whether what is asked for is there) of a run with some flags; neither where it ends
    before it is asked for."""
    answered = []
    names = {"__name__": "__main__", "args": types.SimpleNamespace(**flags), "ask": answered.append}
    arguments, sys.argv = sys.argv, ["script", *(f"--{flag}" for flag, is_set in flags.items() if is_set)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), torch.device("meta"):
            exec(compile(f"{text}\n{call}", "script", "exec"), names)
    except AttributeError as error:
        assert "'Multi' object has no attribute 'weight'" in str(error)
        return True, False
    except ValueError:
        return False, False
    finally:
        sys.argv = arguments
    return False, bool(answered)


def outcomes(text, call):
    """The outcome for each setting of the flags that a script asks for."""
    asked = [flag for flag in FLAGS if f"args.{flag}" in text]
    settings = itertools.product([False, True], repeat=len(asked))
    rows = [{**dict.fromkeys(FLAGS, False), **dict(zip(asked, setting, strict=True))} for setting in settings]
    return [(row, *outcome(text, call, row)) for row in rows]


def holds(conditions, row):
    args = types.SimpleNamespace(**row)
    names = {"args": args, "self": types.SimpleNamespace(args=args)}
    return all(eval(compile(condition, "condition", "eval"), names) for condition in conditions)


def judged(way, asked, place):
    text, call = place(way, asked)
    found = [finding for finding in check_text(text, "script.py", select=["HC202"]) if finding.code == "HC202"]
    rows = outcomes(text, call)
    failing = [row for row, fails, _ in rows if fails]
    right = [row for row, _, is_there in rows if is_there]
    assert len(found) <= 1
    if not failing:
        assert not found
        return None
    if not found:
        return None
    conditions = found[0].conditions
    # They are enough: whenever they hold, what is asked for is not there.
    assert not [row for row in right if holds(conditions, row)], conditions
    assert [row for row in failing if holds(conditions, row)], conditions
    # Each of them is needed.
    others = [row for row, fails, _ in rows if not fails]
    for condition in conditions:
        rest = [other for other in conditions if other is not condition]
        assert [row for row in others if holds(rest, row)], (condition, conditions)
    return conditions, failing, right


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [in_script, in_method], ids=lambda place: place.__name__)
def test_each_way(way, place):
    assert (judged(way, "plainly", place) is None) is (way == "never")


@pytest.mark.parametrize("way", ["if", "within else", "undone", "elif", "neither", "and or"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_each_place(way, place):
    assert judged(way, "plainly", place) is not None


@pytest.mark.parametrize("way", ["if", "else", "undone", "or", "always"])
@pytest.mark.parametrize("asked", ASKED)
def test_each_way_of_asking(way, asked):
    judged(way, asked, in_method)
    judged(way, asked, in_called_method)


# Where no more than some flags decide, just these are said.
EXACT = {
    "if": {"args.a"},
    "if not": {"not args.a"},
    "else": {"not args.a"},
    "and": {"args.a", "args.b"},
    "or": {"args.a or args.b"},
    "and not": {"args.a", "not args.b"},
    "not and": {"not args.a", "args.b"},
    "not both": {"not (args.a and args.b)"},
    "neither": {"not args.a", "not args.b"},
    "within": {"args.a", "args.b"},
    "within not": {"args.a", "not args.b"},
    "within else": {"args.a", "not args.b"},
    "elif": {"not args.a", "args.b"},
    "last": {"not args.a", "not args.b"},
    "undone": {"args.a", "not args.b"},
    "three": {"args.a", "args.b", "args.c"},
    "one of three": {"args.a or args.b or args.c"},
    "and or": {"args.a", "(args.b or args.c)"},
    "within elif": {"args.a", "not args.b", "args.c"},
    "ternary": {"args.a"},
    "beside": {"args.a"},
    "eval before": {"args.a"},
    "eval after": {"args.a"},
    "raises": {"args.a"},
    "always": set(),
}


@pytest.mark.parametrize(("way", "conditions"), EXACT.items())
def test_what_is_said_is_all_that_it_takes(way, conditions):
    said, failing, right = judged(way, "plainly", in_method)
    assert set(said) == conditions
    assert all(holds(said, row) for row in failing)
    assert not any(holds(said, row) for row in right)


ACTIVATED = """
import numpy as np
from torch import nn, optim
import torch

class Net(nn.Module):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.fc = nn.Linear(16, out)

    def forward(self, x):
        x = self.fc(x)
        if self.out == 2:
            return torch.sigmoid(x)
        return {otherwise}

def main(labels, loader):
    net = Net(len(np.unique(labels)))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(10):
        turn(net, loader, optimizer, nn.CrossEntropyLoss())

def turn(net, loader, optimizer, criterion):
    for x, y in loader:
        optimizer.zero_grad()
        out = net(x)
        loss = criterion(out, y)
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("otherwise", "conditions"), [("x", ("self.out == 2",)), ("torch.softmax(x, 1)", ())], ids=["plain", "either"]
)
def test_an_activation_before_a_loss_on_one_way_through_the_forward(otherwise, conditions):
    text = ACTIVATED.replace("{otherwise}", otherwise)
    found = [f for f in check_text(text, "script.py") if f.code == "HC107"]
    assert [f.conditions for f in found] == [conditions]
