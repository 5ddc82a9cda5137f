"""HC112: a function is told how many classes there are and does not listen."""

from __future__ import annotations

import pytest

from tests.reading import found

BUILD = "def build(num_classes):\n    m = models.resnet18()\n{}    return m\n\n"


def test_it_is_said_where_the_function_stands():
    assert found(BUILD.format("") + "model = build(5)") == [(1, "HC112")]
    assert found(BUILD.format("")) == [(1, "HC112")]


@pytest.mark.parametrize(
    "script",
    [
        BUILD.format("    m.fc = nn.Linear(512, num_classes)\n") + "model = build(5)",
        BUILD.format("    m.fc = nn.Linear(512, 5)\n") + "model = build(5)",
        BUILD.format("    print(num_classes)\n") + "model = build(5)",
        BUILD.format("    del num_classes\n") + "model = build(5)",
        BUILD.format("    print(locals())\n") + "model = build(5)",
        BUILD.format("") + "model = build(1000)",
        BUILD.format("") + "model = build(5)\nmodel.fc = nn.Linear(512, 5)",
        BUILD.format("") + "model = nn.Sequential(build(5), nn.Linear(1000, 5))",
        BUILD.format("    m.fc = nn.Identity()\n") + "model = build(5)",
        "def build(num_classes):\n    return models.resnet18(num_classes=10)\n\nmodel = build(10)",
        "def build(num_classes):\n    return unknown(models.resnet18())\n\nmodel = build(10)",
    ],
)
def test_silence(script):
    assert found(script) == []
