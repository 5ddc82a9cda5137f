"""A class that nothing makes is followed once more, made of the defaults of its `__init__`."""

from __future__ import annotations

import pytest

from tests.reading import found

NET = """
class Net(nn.Module):
    def __init__(self, classes, {parameter}):
        super().__init__()
        self.net = {build}
        self.net.fc = nn.Linear({size}, classes)

    def forward(self, images):
        return self.net(images)
"""


@pytest.mark.parametrize(
    ("parameter", "build"),
    [
        ('arch="resnet50"', "getattr(models, arch)(weights=None)"),
        ('arch="resnet50"', "models.get_model(arch)"),
        ("builder=models.resnet50", "builder()"),
    ],
)
def test_the_defaults_of_a_class(parameter, build):
    assert found(NET.format(parameter=parameter, build=build, size=2048)) == []
    assert [code for _, code in found(NET.format(parameter=parameter, build=build, size=64))] == ["HC101"]


def test_a_class_that_the_script_makes_has_no_other_arguments():
    script = NET.format(parameter="builder=models.resnet50", build="builder()", size=512)
    assert [code for _, code in found(script)] == ["HC101"]
    assert found(script + "\nnet = Net(5, models.resnet18)") == []
