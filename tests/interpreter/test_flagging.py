"""Loops over parameters: those that do the same to each are followed once, for all of them."""

from __future__ import annotations

import pytest

from headcheck import events
from tests.reading import follow, only, paths, raw

MODEL = "m = models.resnet18()\n"


def flagged(execution) -> list[tuple[object, bool]]:
    return [(event.paths, event.value) for event in execution.of(events.Flagged)]


@pytest.mark.parametrize(
    "loop",
    [
        "for p in m.parameters():\n    p.requires_grad = False",
        "for p in m.parameters():\n    q = p\n    q.requires_grad = False",
        "for p in m.parameters():\n    p.requires_grad_(False)",
        "for p in m.parameters():\n    p.requires_grad_(requires_grad=False)",
        "for n, p in m.named_parameters():\n    p.requires_grad = False",
        "for pair in m.named_parameters():\n    pair[1].requires_grad = False",
        "freeze = True\nfor p in m.parameters():\n    p.requires_grad = not freeze",
        "freeze = True\nfor p in m.parameters():\n    p.requires_grad = False if freeze else True",
        "freeze = True\nfor p in m.parameters():\n    if freeze:\n        p.requires_grad = False",
        "for p in m.parameters():\n    value = False\n    p.requires_grad = value",
        "def freeze(net, value):\n    for p in net.parameters():\n        p.requires_grad = value\nfreeze(m, False)",
    ],
)
def test_what_is_done_to_each_parameter_is_done_to_all_at_once(loop: str) -> None:
    assert flagged(only(MODEL + loop)) == [(None, False)]


@pytest.mark.parametrize(
    ("loop", "flags"),
    [
        ("for n, p in m.named_parameters():\n    if 'fc' not in n:\n        p.requires_grad = False", 60),
        ("for n, p in m.named_parameters():\n    p.requires_grad = n.startswith('fc')", 62),
        ("for p in m.parameters():\n    p.requires_grad = len(p.shape) > 1", 62),
        ("value = False\nfor p in m.parameters():\n    p.requires_grad = value\n    value = not value", 62),
        ("for p in m.parameters():\n    p.requires_grad = False\n    break", 1),
        ("for p in m.parameters():\n    p.requires_grad = not p.requires_grad", 62),
    ],
)
def test_what_differs_from_one_parameter_to_the_next_is_followed_for_each(loop: str, flags: int) -> None:
    found = flagged(only(MODEL + loop))
    assert len(found) == flags
    assert all(paths is not None for paths, _ in found)


def test_a_test_of_something_unknown_splits_once_for_all_parameters() -> None:
    ends = paths(MODEL + "for p in m.parameters():\n    p.requires_grad = False if unknown else True")
    assert [flagged(execution) for execution in ends] == [[(None, False)], [(None, True)]]


def test_what_a_loop_around_picks_is_not_all() -> None:
    script = (
        MODEL
        + "for part in unknown:\n    if part.x:\n        for p in m.parameters():\n            p.requires_grad = y"
    )
    for execution in follow(script.replace("= y", "= False")):
        assert not flagged(execution)
        assert all(event.receiver == "unknown" for event in execution.of(events.FlagMissed))


def test_a_branch_that_only_evaluates_leaves_one_path_and_what_may_have_happened() -> None:
    execution = only(MODEL + "part = m.layer1\nif unknown:\n    part.eval()\nm.fc = nn.Linear(512, 2)")
    assert [event.training for event in execution.of(events.ModeSet)] == [False]
    assert execution.state.object(raw(execution, "part")).training
    assert execution.conditions == ()


def test_a_branch_that_calls_an_eval_of_the_scripts_own_is_followed() -> None:
    own = "class Net(nn.Module):\n    def eval(self):\n        self.fc = nn.Linear(1, 2)\nnet = Net()\n"
    ends = paths(own + "if unknown:\n    net.eval()\nm = models.resnet18()")
    assert [len(list(execution.of(events.ChildSet))) for execution in ends] == [1, 0]
