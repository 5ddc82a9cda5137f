"""Loops, and what lists and dicts hold where nobody knows how often one turned, or which way a branch went."""

import pytest

from tests.reading import UNKNOWN_VALUE, found, only, paths, variable

SETTINGS = """
    import sys
    import os
    counts, kinds, config = {{}}, [0, 0], {{"lr": 2, "arch": "resnet18"}}
    {}
    if {}:
        sys.exit()
    m = getattr(models, config["arch"])()
    m.fc = nn.Linear(7, 3)
"""


@pytest.mark.parametrize(
    ("lines", "test"),
    [
        ("found = [name for name in os.listdir() if name.islower()]", "len(found) == 0"),
        ("found = {name: 1 for name in os.listdir() if name.islower()}", "not found"),
        ("for name in os.listdir():\n        counts[name] = 1", "len(counts) == 0"),
        ("for name in os.listdir():\n        if name.islower():\n            counts[name] = 1", "len(counts) == 0"),
        ("for name in os.listdir():\n        if name.islower():\n            kinds[1] = 1", "kinds[1] == 0"),
        ("for name in os.listdir():\n        if name.islower():\n            kinds[len(name)] = 1", "sum(kinds) == 0"),
        ("if len(sys.argv) > 1:\n        config['lr'] = 3", "config['lr'] == 2"),
        ("for name in os.listdir():\n        config['lr'] = len(name)", "config['lr'] == 2"),
        ("for name in os.listdir():\n        if name.islower():\n            config['lr'] = 3", "config['lr'] == 2"),
    ],
)
def test_what_may_be_there_is_not_taken_to_be_missing(lines, test):
    text = SETTINGS.format(lines, test)
    assert {code for _, code in found(text)} == {"HC101"}
    assert {variable(end, "m") for end in paths(text) if not end.state.ended} == {"torchvision.models.resnet18"}


@pytest.mark.parametrize("around", ["", "if len(os.listdir()) > 3:\n        ", "for name in os.listdir():\n        "])
def test_a_name_that_was_put_there_is_that_of_some_model(around):
    text = SETTINGS.format(f"{around}config['arch'] = input()", "counts")
    assert "torchvision.models.resnet50" in {variable(end, "m") for end in paths(text)}


def test_a_length_that_stays_the_same():
    text = SETTINGS.format(
        "for name in os.listdir():\n        if name.islower():\n            kinds[1] = 1", "len(kinds) != 2"
    )
    assert [code for _, code in found(text)] == ["HC101"]


def test_a_loop_over_something_unknown_runs_once():
    script = """
        n = 0
        sizes = [1]
        m = models.resnet18()
        for epoch in unknown:
            n += 1
            sizes.append(n)
            m.train()
        head = nn.Module()
        head.fc = nn.Linear(n, sizes[0])
        """
    execution = only(script)
    assert [variable(execution, name) for name in ("n", "sizes")] == [UNKNOWN_VALUE] * 2


def test_a_while_loop_runs_once_and_may_be_left():
    script = "m = models.resnet50()\nwhile True:\n    m.fc = nn.Linear(512, 2)\n    if unknown:\n        break\nx = 1"
    assert found(script) == [(3, "HC101")]
    assert found("while unknown:\n    pass\nm = models.resnet50()\nm.fc = nn.Linear(512, 2)") == [(4, "HC101")]
    assert found("while False:\n    m = models.resnet51()") == []


def test_a_sequential_that_a_loop_grew_is_unknown():
    script = """
        m = models.resnet50()
        head = nn.Sequential(nn.Linear(2048, 8))
        for size in unknown:
            head.append(nn.Linear(8, 8))
        head.append(nn.Linear(3, 2))
        m.fc = head
        """
    assert found(script) == []
