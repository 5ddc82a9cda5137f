"""Scripts that mean the same as others and are written in another way: what is found does not change with it."""

from __future__ import annotations

from tests.reading import found

DECORATED = """
import functools

def timed(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

class Net(nn.Module):
    @timed
    def __init__(self, classes):
        {first}
        self.backbone = models.resnet18(weights=None)
        self.backbone.fc = nn.Identity()
        self.fc = nn.Linear(512, classes)

    @timed
    def forward(self, x):
        return self.fc(self.backbone(x))

Net(3)
"""


def test_super_in_a_method_that_a_decorator_calls():
    assert found(DECORATED.format(first="super().__init__()")) == []
    assert [code for _, code in found(DECORATED.format(first="self.count = classes"))] == ["HC208"]


def test_super_in_a_function_of_a_method():
    text = DECORATED.format(first="start = lambda: super().__init__()\n        start()")
    assert found(text) == []
