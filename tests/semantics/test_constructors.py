"""Classes of the script that derive from torchvision's models."""

from __future__ import annotations

import pytest

from tests.reading import found

NET = """
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

class Net(ResNet):
{body}
net = Net({given})
net.fc = nn.Linear({size}, 3)
"""
INIT = "    def __init__(self, *args, **kwargs):\n        super().__init__(*args, **kwargs)\n"


@pytest.mark.parametrize("body", [INIT, "    def extra(self, x):\n        return self.fc(x)\n", "    pass\n"])
@pytest.mark.parametrize(
    ("given", "size"),
    [("BasicBlock, [2, 2, 2, 2]", 512), ("Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=8", 2048)],
)
def test_the_model_that_a_class_derives_from(body, given, size):
    assert found(NET.format(body=body, given=given, size=size)) == []
    assert [code for _, code in found(NET.format(body=body, given=given, size=7))] == ["HC101"]


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (INIT, "BasicBlock, [1, 1, 1, 1]"),
        (INIT, "BasicBlock, layers"),
        (INIT + "    def _forward_impl(self, x):\n        return self.fc(self.conv1(x))\n", "BasicBlock, [2, 2, 2, 2]"),
        (INIT + "    def _make_layer(self, *args):\n        return nn.Identity()\n", "BasicBlock, [2, 2, 2, 2]"),
        (INIT + "    def forward(self, x):\n        return self.fc(self.pool(x))\n", "BasicBlock, [2, 2, 2, 2]"),
    ],
)
def test_what_is_another_model(body, given):
    assert found(NET.format(body=body, given=given, size=7)) == []


def test_a_forward_that_goes_on_where_the_librarys_ends():
    forward = "    def forward(self, x):\n        return self.top(super().forward(x))\n"
    body = f"{INIT}        self.top = nn.Linear({{}}, 2)\n{forward}"
    script = NET.format(body=body, given="BasicBlock, [2, 2, 2, 2]", size=512) + "net(torch.rand(2, 3, 64, 64))\n"
    assert found("import torch\n" + script.format(3)) == []
    assert [code for _, code in found("import torch\n" + script.format(1000))] == ["HC105"]


TRANSFORMER = """
from torchvision.models import VisionTransformer

net = VisionTransformer({given})
net.heads.head = nn.Linear({size}, 3)
"""


@pytest.mark.parametrize(
    ("given", "width"),
    [
        ("224, 16, 12, 12, 768, 3072, num_classes=9", 768),
        ("image_size=224, patch_size=32, num_layers=24, num_heads=16, hidden_dim=1024, mlp_dim=4096", 1024),
        ("32, 16, 12, 12, 768, 3072", None),
        ("224, 16, 4, 12, 768, 3072", None),
        ("224, 16, 12, 12, 768, 3072, representation_size=7", None),
    ],
)
def test_a_vision_transformer_as_a_builder_makes_it(given, width):
    wrong = ["HC101"] if width is not None else []
    assert [code for _, code in found(TRANSFORMER.format(given=given, size=7))] == wrong
    assert width is None or found(TRANSFORMER.format(given=given, size=width)) == []
