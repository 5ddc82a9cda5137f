"""What a path needs two names for, by which the script picks, is not reported: nobody knows if they go together so."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
def build(config):
    if {first}:
        model = models.vgg11()
    else:
        model = models.resnet18()
    if {second}:
        model.fc = nn.Linear(model.fc.in_features, 3)
    return model
"""


@pytest.mark.parametrize(
    "first, second, codes",
    [
        ("config.model == 'vgg'", "config.head == 'fc'", []),
        ("config.model == 'vgg'", "config.head != 'classifier'", []),
        ("config.model in ('vgg', 'vgg11')", "config.head.startswith('f')", []),
        ("config.model == 'vgg'", "config.model != 'resnet'", ["HC202"]),  # one name
        ("config.model == 'vgg'", "config.pretrained", ["HC202"]),  # a switch, whichever model it is
        ("config.wide", "config.head == 'fc'", ["HC202"]),
        ("config.model == 'vgg'", "True", ["HC202"]),
    ],
)
def test_what_two_names_pick(first, second, codes):
    assert [code for _, code in found(SCRIPT.format(first=first, second=second))] == codes
