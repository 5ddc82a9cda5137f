"""Turns of a loop over the modules of a model that pass without doing anything, and walks that do not end."""

from __future__ import annotations

import pytest

from headcheck import events
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
def test_what_each_turn_does_is_done(before: str) -> None:
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
