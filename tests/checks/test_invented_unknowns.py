"""What is unknown only because of how a script is read is never held against it."""

import pytest

from headcheck.pipeline import check_text

COUNTED = """
from torch import nn
from torchvision import models

i = 0
model = models.resnet18()
while i < 3:
    i += 1
model.fc = nn.Linear(512 if i == 3 else 1, 2)
"""
REBOUND = """
from torch import nn
from torchvision import models


def main():
    size = 512

    def head():
        return nn.Linear(size, 10)

    size = 2048
    model = models.resnet50()
    model.fc = head()


main()
"""


@pytest.mark.parametrize("script", [COUNTED, REBOUND], ids=["a loop's counter", "a closure's rebound name"])
def test_silent(script):
    assert check_text(script, "train.py") == ()


def test_a_closure_over_a_steady_name_is_followed():
    (finding,) = check_text(REBOUND.replace("    size = 2048\n", ""), "train.py")
    assert finding.code == "HC101"
