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


SET_BY_BRANCHES = """
import sys


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        if len(sys.argv) > 1:
            self.width = 16
        {other}
        self.stem = nn.Conv2d(3, self.width, kernel_size=3)
        self.body = models.resnet18()


Net()
"""


@pytest.mark.parametrize(
    "other, is_missing", [("else:\n            self.width = 32", False), ("self.size = 3\n        self.width", False)]
)
def test_what_a_branch_sets_that_matters_to_no_model(other, is_missing):
    codes = [code for _, code in found(SET_BY_BRANCHES.format(other=other))]
    assert ("HC202" in codes) is is_missing


def test_what_no_branch_sets():
    code = SET_BY_BRANCHES.format(other="else:\n            self.width = 32").replace("self.width,", "self.depth,")
    assert "HC202" in [code for _, code in found(code)]


ASKED_FOR = """
import argparse


class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        if name == "small":
            self.size = 512
        self.body = models.resnet18()
        self.body.fc = nn.Linear(self.size, 10)


parser = argparse.ArgumentParser()
parser.add_argument("--model", {given})
Net(parser.parse_args().model)
"""


@pytest.mark.parametrize("given, is_missing", [('required=True, default=""', False), ('default=""', True)])
def test_a_default_that_is_never_used(given, is_missing):
    codes = [code for _, code in found(ASKED_FOR.format(given=given))]
    assert ("HC202" in codes) is is_missing
