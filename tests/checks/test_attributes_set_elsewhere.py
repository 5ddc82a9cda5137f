"""An attribute that other code of the file sets on its models: what was built here has it only if it was put there."""

from __future__ import annotations

import pytest

from tests.reading import found

OTHER = """
def other():
    model = models.resnet18()
    model.fc = nn.Linear(model.fc.in_features, 3)
    return model
"""
HERE = """
def here(count):
    model = models.vgg16()
    {between}
    model.fc = nn.Linear(model.fc.in_features, count)
    return model
"""


@pytest.mark.parametrize(
    "between, is_missing",
    [
        ("pass", True),
        ("model.eval()", True),
        ("model.fc = nn.Linear(512, count)", False),
        ("prepare(model)", False),  # whoever that is
        ("model = prepare(model)", False),
    ],
)
def test_a_model_that_is_built_where_it_is_asked(between, is_missing):
    codes = [code for _, code in found("from elsewhere import prepare\n" + OTHER + HERE.format(between=between))]
    assert ("HC202" in codes) is is_missing


GIVEN = """
class Trainer:
    def __init__(self):
        self.model = models.vgg16()

    def replace(self):
        self.model.fc = nn.Linear(512, 3)

    def size(self):
        return self.model.fc.in_features
"""


def test_a_model_that_others_may_have_had():
    assert "HC202" not in [code for _, code in found(GIVEN)]
