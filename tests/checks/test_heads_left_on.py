"""An Identity under a name that the model does not have takes no head off."""

import pytest

from headcheck import pipeline

FUSION = """
import sys
import torch
from torch import nn
from torchvision import models

class Fusion(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.encoder.fc = nn.Identity()
        self.fusion = nn.Sequential(nn.Linear({takes}, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.fusion({forward})

{encoder}
net = Fusion(encoder)
net(torch.rand(2, 3, 224, 224))
"""
ALONE, JOINED = "self.encoder(x)", "torch.cat((self.encoder(x), self.encoder(x)), 1)"
OWN_HEAD = """
encoder = models.vgg11()
encoder.classifier = nn.Sequential(nn.Linear(25088, 64), nn.ReLU(), nn.Linear(64, 5))
"""


def findings(text):
    return [f for f in pipeline.check_text(text, "script.py") if f.code != "HC501"]


@pytest.mark.parametrize(
    ("encoder", "takes", "forward", "code", "help_"),
    [
        ("encoder = models.vgg11()", 4096, ALONE, "HC101", "encoder.classifier[6] = nn.Identity()"),
        ("encoder = models.vgg11()", 25088, ALONE, "HC101", "encoder.classifier = nn.Identity()"),
        ("encoder = models.vgg11()", 4096, JOINED, "HC101", "encoder.classifier = nn.Identity()"),
        (OWN_HEAD, 4096, JOINED, "HC105", "encoder.classifier = nn.Identity()"),
        ("encoder = models.densenet121()", 1000, ALONE, "HC201", "encoder.classifier = nn.Identity()"),
    ],
)
def test_what_is_behind_it_is_told_where_the_head_was_to_go(encoder, takes, forward, code, help_):
    """Not that a layer should take the classes of the head that was to go, which is what it gets."""
    (found,) = findings(FUSION.format(encoder=encoder, takes=takes, forward=forward))
    assert (found.code, found.location.row) == (code, 11 if code == "HC201" else 12)
    assert found.help.endswith(help_) and "`fc`" in found.message


@pytest.mark.parametrize(
    ("encoder", "takes", "codes"),
    [
        ("encoder = models.resnet50()", 2048, []),
        ("encoder = models.resnet18()", 2048, ["HC101"]),
        ("encoder = models.vgg11()\nencoder.classifier = nn.Identity()", 25088, []),
        ("encoder = models.vgg11()\nencoder.classifier = nn.Identity()", 512, ["HC101"]),
        (OWN_HEAD, 5, []),  # the head of the script's answers what is taken
        ("encoder = models.vgg11()\nencoder.forward = lambda x: x.mean((2, 3))", 3, []),
    ],
)
def test_where_it_takes_one_off_or_none_is_meant(encoder, takes, codes):
    assert [f.code for f in findings(FUSION.format(encoder=encoder, takes=takes, forward=ALONE))] == codes


PLAIN = """
import timm
from torch import nn
from torchvision import models

model = {}
model.{} = nn.Identity()
"""


@pytest.mark.parametrize(
    ("model", "name", "codes"),
    [
        ("models.densenet121()", "fc", ["HC201"]),
        ("models.vit_b_16()", "head", ["HC201"]),
        ("models.resnet50()", "fc", []),
        ("models.resnet50()", "dropout", []),  # no model's head is called so
        ("timm.create_model('vit_base_patch16_224', num_classes=10)", "fc", ["HC201"]),
        ("timm.create_model('resnet18', num_classes=0)", "head", []),  # it has none
    ],
)
def test_of_a_model_alone(model, name, codes):
    assert [f.code for f in findings(PLAIN.format(model, name))] == codes


EMPTY = """
import torch
from torch import nn
from torchvision import models

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        net = models.{builder}()
        net.{name} = nn.Sequential()
        {more}
        self.features = net
        self.classifier = nn.Sequential(nn.Linear({takes}, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))

net = Net()
net(torch.zeros(2, 3, 224, 224))
"""


@pytest.mark.parametrize(
    ("builder", "name", "takes", "more", "codes"),
    [
        ("resnet18", "classifier", 1000, "pass", ["HC201"]),
        ("resnet18", "classifier", 512, "pass", ["HC101"]),
        ("resnet18", "fc", 512, "pass", []),
        ("vgg16", "classifier", 25088, "pass", []),
        ("resnet18", "classifier", 512, "net.fc = net.classifier", []),
        ("resnet18", "classifier", 512, "net.fc = nn.Identity()", []),
        ("resnet18", "classifier", 1000, "net.forward = lambda x: net.classifier(x)", []),
        ("resnet18", "classifier", 1000, "net.classifier.add_module('relu', nn.ReLU())", []),  # it is for something
        ("resnet18", "classifier", 1000, "fill(net.classifier)", []),
    ],
)
def test_a_sequential_of_no_layers_takes_off_as_much_as_an_identity(builder, name, takes, more, codes):
    found = findings(EMPTY.format(builder=builder, name=name, takes=takes, more=more))
    assert [f.code for f in found] == codes
    if codes == ["HC201"]:
        assert "the empty Sequential takes no head off, `fc` still answers" in found[0].message


def test_so_it_is_in_pytorch():
    pytest.importorskip("torchvision")
    for name, features, other in (("classifier", 1000, 512), ("fc", 512, 1000)):
        exec(EMPTY.format(builder="resnet18", name=name, takes=features, more="pass"), {"__name__": "script"})
        with pytest.raises(RuntimeError, match=f"2x{features} and {other}x64"):
            exec(EMPTY.format(builder="resnet18", name=name, takes=other, more="pass"), {"__name__": "script"})


def test_whatever_the_model_calls_it():
    """Each of the names it may have, one of which is the right one; and a name that somebody reads."""
    both = PLAIN.format("models.densenet121()", "fc = model.classifier")
    assert findings(both) == []
    read = PLAIN.format("models.densenet121()", "fc") + "\ndef last(network):\n    return network.fc\n"
    assert findings(read) == []
