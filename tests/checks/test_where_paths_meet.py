"""What is still known of a name where paths meet, and calls that Python refuses."""

from __future__ import annotations

import pytest

from tests.reading import found

PICKED = """
import argparse

def last(name):
    if name.startswith("resnet") {operator} name.startswith("{other}"):
        return "fc"
    if name.startswith("{second}"):
        return "classifier"
    raise ValueError(name)

def build(name):
    m = getattr(models, name)()
    layer = last(name)
    setattr(m, layer, nn.Linear(getattr(m, layer).in_features, 2))
    return m

parser = argparse.ArgumentParser()
parser.add_argument("--arch", choices=["resnet18", "densenet121"])
build(parser.parse_args().arch)
"""


def test_a_name_that_one_of_two_tests_is_for():
    """The function that asks has no model: its paths do not part at ``or``, and each test still counts."""
    assert found(PICKED.format(operator="or", other="resnext", second="densenet")) == []
    assert found(PICKED.format(operator="or", other="densenet", second="vgg")) == [(13, "HC202")]


def test_a_name_that_two_tests_are_for():
    assert found(PICKED.format(operator="and", other="resnet1", second="densenet")) == []


TABLE = """
import pretrainedmodels

class Net(nn.Module):
    def __init__(self, arch="resnet152"):
        super().__init__()
        sizes = {{"resnet152": 2048, "inceptionv4": {size}, "senet154": 2048}}
        self.net = pretrainedmodels.__dict__[arch](num_classes=1000, pretrained=None)
        self.size = sizes[arch]
        if arch == "inceptionv4":
            self.stem = self.net.features[0].conv
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(self.size, 2)

    def forward(self, x):
        x = self.pool(self.net.features(x))
        return self.classifier(x.view(x.size(0), -1))
"""


def test_what_a_table_has_for_two_names_is_not_for_a_third():
    assert found(TABLE.format(size=1536)) == []
    assert found(TABLE.format(size=1024)) == [(12, "HC101")]


@pytest.mark.parametrize("lowered", ["", ".lower()"])
def test_what_a_builder_is_called(lowered):
    """Nobody switches that name: it is another only with another builder."""
    text = """
for build in [models.densenet169, models.vit_b_16]:
    name = build.__name__LOWERED
    m = build()
    if "swin" in name:
        m.head = nn.Linear(m.head.in_features, 1)
    if "densenet" in name:
        m.classifier = nn.Linear(SIZE, 1)
"""
    text = text.replace("LOWERED", lowered)
    assert found(text.replace("SIZE", "m.classifier.in_features")) == []
    assert found(text.replace("SIZE", "1024")) == [(7, "HC101")]


REFUSED = """
def small(classes, size):
    return models.resnet18()

DECORATOR
def large(classesKEYWORDS):
    return models.vgg11()

NETS = {"small": small, "large": large}

def main(args):
    m = NETS[args.net](classes=3, size=4)
    m.fc = nn.Linear(m.fc.in_features, 3)
    return m
"""


@pytest.mark.parametrize(
    "decorator, keywords, expected",
    [("", "", []), ("", ", size", ["HC202"]), ("", ", **more", ["HC202"]), ("@wraps", "", ["HC202"])],
)
def test_a_keyword_that_a_function_does_not_take(decorator, keywords, expected):
    """Such a call is refused, and nothing comes after it; a decorator may take what the function does not."""
    script = REFUSED.replace("DECORATOR", decorator).replace("KEYWORDS", keywords)
    assert [code for _, code in found(script)] == expected


COUNTED = """
def train(model, optimizer, criterion, PARAMETERS):
    criterion(model(torch.rand(2, 3, 64, 64)), torch.tensor([0, 1])).backward()
    optimizer.step()

model = models.resnet18(weights=None)
model.fc = nn.Linear(512, 2)
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
train(model, criterion, optimizer, GIVEN)
"""


@pytest.mark.parametrize(
    "parameters, given, expected",
    [
        ("epochs=1", "1, 'cpu'", []),
        ("epochs, device", "1", []),
        ("epochs", "**{}", ["HC202"]),
        ("*, epochs", "device='cpu'", []),
        ("epochs", "epochs=1", ["HC202"]),
        ("*rest", "1, 'cpu'", ["HC202"]),
        ("epochs", "*[1]", ["HC202"]),
        ("epochs, device='cpu'", "1", ["HC202"]),
        ("epochs=1, *, device='cpu'", "device=0", ["HC202"]),
    ],
)
def test_a_call_with_too_many_arguments_or_too_few(parameters, given, expected):
    """Python refuses it before the loss is asked for a step."""
    script = COUNTED.replace("PARAMETERS", parameters).replace("GIVEN", given)
    assert [code for _, code in found(script)] == expected


@pytest.mark.parametrize(
    "change, expected",
    [
        ("", []),
        ("Trainer.fit = longer", ["HC201"]),
        ("setattr(trainer, 'fit', longer)", ["HC201"]),
        ("class Counting(type): pass\nclass Own(Trainer, metaclass=Counting):\n  def fit(self): pass", ["HC201"]),
    ],
)
def test_a_method_that_may_be_another(change, expected):
    """What takes its place may take as much as it is given."""
    script = f"""
class Trainer:
    def fit(self):
        pass

def longer(*given):
    pass

trainer = Trainer()
{change}
{"Own()" if "Own" in change else "trainer"}.fit(1, 2)
models.resnet18().classifier = nn.Linear(512, 2)
"""
    assert [code for _, code in found(script)] == expected


def test_a_library_hands_a_function_what_it_likes():
    script = """
def head(m, name):
    setattr(m, name, nn.Linear(512, 2))

def build(row, extra):
    head(models.densenet121(), "fc")

frame.apply(build, axis=1)
frame.apply(build)
"""
    assert [code for _, code in found(script)] == ["HC201"]


@pytest.mark.parametrize(
    "head, expected",
    [("nn.Identity()", []), ("nn.Dropout(0.2)", []), ("nn.Conv2d(512, 3, 1)", [(2, "HC102")])],
)
def test_features_that_somebody_wants_as_they_are(head, expected):
    """What has no outputs of its own makes no classes of the places of a map."""
    assert found(f"m = models.squeezenet1_1()\nm.classifier = {head}") == expected
