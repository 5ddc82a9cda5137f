"""Turns of a loop over the modules of a model that pass without doing anything, and walks that do not end."""

from __future__ import annotations

import pytest

from headcheck import events
from headcheck.interpreter import quick
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Ref
from tests.reading import only, paths

MODEL = "model = models.resnet50()\n"
CLASSES = [
    "isinstance(m, nn.Linear)",
    "isinstance(m, (nn.Linear, nn.LayerNorm))",
    "isinstance(m, nn.LayerNorm) or isinstance(m, nn.Linear)",
]


def flagged(execution) -> list[bool]:
    return [event.value for event in execution.of(events.Flagged)]


@pytest.mark.parametrize("test", CLASSES)
@pytest.mark.parametrize("loop", ["for m in model.modules():", "for name, m in model.named_modules():"])
def test_modules_of_other_classes_take_no_steps(loop: str, test: str) -> None:
    body = f"    if {test}:\n        m.requires_grad_(False)\n    elif isinstance(m, nn.Conv1d):\n        m.eval()\n"
    execution = only(f"{MODEL}{loop}\n{body}last = type(m)")
    assert flagged(execution) == [False]
    assert execution.machine.budget.spent < 60


@pytest.mark.parametrize("before", ["n = n + 1", "names.append(m)", "m.seen = True"])
def test_what_each_turn_does_is_done(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setattr(quick, "AS_MUCH", 1)
    loop = f"for m in model.modules():\n    {before}\n    if {CLASSES[0]}:\n        m.requires_grad_(False)\n"
    execution = only(f"{MODEL}n, names = 0, []\n{loop}")
    assert flagged(execution) == [False]
    assert execution.machine.budget.spent > 161 * 4


def test_a_class_of_the_script_is_told_apart() -> None:
    script = """
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)
    class Wide(Block):
        pass
    net = nn.Sequential(
        nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.ReLU(), Block(), nn.ReLU(), nn.ReLU(), nn.ReLU(), Wide()
    )
    for m in net.modules():
        if isinstance(m, Block):
            m.fc = nn.Linear(8, 2)
    """
    replaced = [event for event in paths(script)[0].of(events.ChildSet) if type(event.old) is Ref]
    assert [event.name for event in replaced] == ["fc"] * 2


def test_isinstance_of_the_script_is_not_pythons() -> None:
    script = """
    def isinstance(m, cls):
        return True
    model = models.resnet18()
    for m in model.modules():
        if isinstance(m, nn.Embedding):
            m.requires_grad_(False)
    """
    assert all(len(flagged(execution)) > 20 for execution in paths(script))


def test_a_walk_through_what_is_not_known_ends_soon() -> None:
    walk = """
    def freeze(module, names):
        for name, child in module.named_children():
            if name in names:
                child.requires_grad_(False)
            {again}
    """
    steps = {}
    for again in ("freeze(child, names)", "pass"):
        (execution, *_) = paths(walk.format(again=again))
        steps[again] = execution.machine.budget.spent
    assert steps["freeze(child, names)"] < 10 * steps["pass"]


def test_a_walk_through_a_model_goes_to_its_leaves() -> None:
    script = """
    def thaw(module, path):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                child.requires_grad_(False)
            thaw(child, path + [name])
    model = models.resnet18()
    thaw(model, [])
    """
    assert len(flagged(only(script))) == 20


# -- loops that change nothing -----------------------------------------------------------------------------------

SHOWN = [
    "for name, p in model.named_parameters():\n    print(name, p.requires_grad)\n",
    "for p in model.parameters():\n    if p.requires_grad:\n        print(p.shape, p.numel())\n",
    "for name, _ in model.named_modules():\n    print(f'{name}: {len(name)}')\n",
    "for m in model.modules():\n    print(type(m).__name__, isinstance(m, nn.Conv2d))\n",
    "for m in model.modules():\n    if isinstance(m, nn.Conv2d):\n        nn.init.kaiming_normal_(m.weight)\n"
    "    elif isinstance(m, nn.BatchNorm2d):\n        nn.init.ones_(m.weight)\n        torch.nn.init.zeros_(m.bias)\n",
]


@pytest.mark.parametrize("loop", SHOWN)
def test_loops_that_change_nothing_take_no_steps(loop: str) -> None:
    execution = only(f"{MODEL}{loop}model.fc = nn.Linear(512, 2)\n")
    assert execution.machine.budget.spent < 60
    assert sum(type(thing) is Module for thing in execution.state.heap.values()) < 5
    assert not execution.cut


@pytest.mark.parametrize("loop", SHOWN)
@pytest.mark.parametrize(
    "also, kind",
    [
        ("model.fc.bias.requires_grad = False", events.Flagged),
        ("setattr(model, 'fc', nn.Linear(512, 2))", events.ChildSet),
        ("kept.append(model.fc)", None),
        ("count = count + 1", None),
    ],
)
def test_loops_that_do_more(loop: str, also: str, kind: type | None) -> None:
    execution = only(f"{MODEL}kept, count = [], 0\n{loop}    {also}\n")
    assert execution.machine.budget.spent > 161
    assert kind is None or any(True for _ in execution.of(kind))


def test_a_typo_that_is_only_printed() -> None:
    """``requires_gard`` is asked of each parameter and raises: that is no loop that only shows."""
    script = f"{MODEL}for p in model.parameters():\n    print(p.requires_gard)\n"
    assert any(True for _ in only(script).of(events.FlagMissed))


def test_a_print_of_the_scripts_own() -> None:
    own = "def print(m):\n    m.requires_grad_(False)\n"
    assert flagged(only(f"{own}{MODEL}for m in model.children():\n    print(m)\n"))
