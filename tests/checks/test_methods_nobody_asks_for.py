"""What a network lacks in a method that is left over is nobody's concern."""

from __future__ import annotations

import pytest

from tests.reading import found

NET = """
class Net({base}):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x)

    def {method}(self, x):
        return self.pool(x)

{after}
"""


@pytest.mark.parametrize(
    ("base", "method", "after", "codes"),
    [
        ("nn.Module", "logits", "net = Net()", []),
        ("nn.Module", "logits", "Net()", []),
        ("nn.Module", "logits", "net = Net()\ndef ask(net, x):\n    return net.logits(x)", ["HC202"]),
        ("nn.Module", "logits", "net = Net()\nnet.logits(torch.rand(2, 4))", ["HC202"]),
        ("pl.LightningModule", "validation_step", "net = Net()", ["HC202"]),
    ],
)
def test_a_method(base, method, after, codes):
    script = "import pytorch_lightning as pl\n" + NET.format(base=base, method=method, after=after)
    assert [code for _, code in found(script)] == codes
