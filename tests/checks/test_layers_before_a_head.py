"""A new layer before a head that stays, in one part of the model with it."""

import pytest

from headcheck import pipeline

AUXILIARY = """
import sys
import torch
from torch import nn, optim
from torchvision import models

def build(count):
    model = models.googlenet(weights=None, init_weights=False)
    model.fc = nn.Linear(1024, count)
    {}
    return model

model = build({})
optimizer = optim.SGD(model.parameters(), lr=0.1)
"""
BOTH = "model.aux1.fc2 = nn.Linear(1024, count)\n    model.aux2.fc2 = nn.Linear(1024, count)"


def found(body, count="10"):
    text = AUXILIARY.format(body, count)
    return [(f.location.row, f.code) for f in pipeline.check_text(text, "script.py") if f.code != "HC501"]


@pytest.mark.parametrize("count", ["10", "int(sys.argv[1])"])
def test_one_that_was_taken_for_the_head(count):
    first = "model.aux1.fc1 = nn.Linear(2048, count)\n    model.aux2.fc2 = nn.Linear(1024, count)"
    assert found(first, count) == [(10, "HC105")]
    assert found(BOTH, count) == []


def test_one_that_still_fits():
    assert found(f"{BOTH}\n    model.aux1.fc1 = nn.Linear(2048, 1024)") == []
    assert found(f"{BOTH}\n    model.aux1.fc1 = nn.Linear(2048, 64)\n    model.aux1.fc2 = nn.Linear(64, count)") == []
    assert found(f"{BOTH}\n    model.aux1.fc1 = nn.Linear(2048, 64)") == [(12, "HC105")]
    assert found(f"{BOTH}\n    model.aux1.fc1 = nn.Linear(2048, int(sys.argv[2]))") == []  # it may be 1024


def test_one_of_a_head_that_does_not_run():
    body = "model.aux1.fc1 = nn.Linear(2048, count)"
    assert found(f"{body}\n    model.aux1 = model.aux2 = None\n    model.aux_logits = False") == []
    assert found(f"{body}\n    model.eval()") == []
