"""What lists and dicts hold where nobody knows which way a branch went, or how often a loop turned."""

import pytest

from tests.reading import found, paths, variable

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


def test_a_length_that_stays_the_same():
    text = SETTINGS.format(
        "for name in os.listdir():\n        if name.islower():\n            kinds[1] = 1", "len(kinds) != 2"
    )
    assert [code for _, code in found(text)] == ["HC101"]
