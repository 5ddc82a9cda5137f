"""Parameters of several modules, one after another."""

import pytest

from headcheck import pipeline

SCRIPT = """\
import itertools
from torch import nn, optim
from torchvision import models
from elsewhere import encoder

model = models.resnet18(weights="DEFAULT")
chained = {}
for parameter in chained:
    parameter.requires_grad = False
model.fc = nn.Linear(512, 3)
optimizer = optim.SGD({}, 0.1)
"""
HELD = "model.parameters()"


@pytest.mark.parametrize(
    "chained",
    [
        "itertools.chain(encoder.parameters(), encoder.head.parameters())",
        "itertools.chain(model.parameters(), encoder.parameters())",
        "itertools.chain(filter(lambda p: p.requires_grad, encoder.parameters()), model.parameters())",
        "itertools.chain.from_iterable([model.layer1.parameters(), encoder.parameters()])",
        "itertools.chain(*encoder)",
    ],
)
def test_each_of_them_is_a_parameter(chained):
    assert pipeline.check_text(SCRIPT.format(chained, HELD), "a.py") == ()


def test_an_optimizer_that_holds_unknown_ones_may_hold_any():
    assert pipeline.check_text(SCRIPT.format("[]", "itertools.chain(encoder.parameters())"), "a.py") == ()
