"""``zip`` over modules and parameters: whose flag is set, and what decides of it."""

from __future__ import annotations

import pytest

from tests.reading import found

LOOP = """
m = models.resnet18(weights="DEFAULT")
for {pair} in zip({first}, {second}):
    if {test}:
        p.requires_grad = {value}
{after}
"""
BY_KIND = {
    "pair": "l, p",
    "first": "m.modules()",
    "second": "m.parameters()",
    "test": "isinstance(l, nn.BatchNorm2d)",
    "value": "False",
    "after": "",
}
NORMS = "[l for l in m.modules() if isinstance(l, nn.BatchNorm2d)]"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"pair": "p, l", "first": "m.parameters()", "second": "m.modules()"},
        {"first": "list(m.modules())", "second": "list(m.parameters())"},
        {"after": "m.fc = nn.Linear(512, 3)"},
    ],
)
def test_the_flag_of_another(change):
    assert found(LOOP.format(**BY_KIND | change)) == [(4, "HC303")]


@pytest.mark.parametrize(
    "change",
    [
        {"test": "p.ndim == 1"},  # the parameter decides
        {"pair": "l, (n, p)", "second": "m.named_parameters()", "test": "'bn' in n"},
        {"first": NORMS, "second": f"[l.weight for l in {NORMS}]"},  # its own
        {"after": "for l in m.modules():\n    if isinstance(l, nn.BatchNorm2d):\n        l.requires_grad_(False)"},
        {"after": "m.requires_grad_(True)"},
        {"test": "True"},  # a count of parameters, as any other
    ],
)
def test_silence(change):
    assert found(LOOP.format(**BY_KIND | change)) == []
