"""Methods that nothing calls: what others of the class change, which nothing calls either, may have been changed."""

from __future__ import annotations

import pytest

from tests.reading import found

TRAINER = """
def put_in(model, classes):
    model.classifier = nn.Sequential(nn.Linear(25088, classes), nn.LogSoftmax(dim=1))

def look_at(model, classes):
    print(model.classifier, classes)

class Trainer:
    def __init__(self):
        self.model = models.vgg16(weights="DEFAULT")
        self.criterion = nn.NLLLoss()

    def build(self):
        {build}

    def train(self, loader):
        {first}
        for images, labels in loader:
            loss = self.criterion(self.model(images), labels)
            loss.backward()
"""
HEAD = "nn.Sequential(nn.Linear(25088, 102), nn.LogSoftmax(dim=1))"
CHANGES = [
    f"self.model.add_module('classifier', {HEAD})",
    "self.model.classifier.append(nn.LogSoftmax(dim=1))",
    f"self.model._modules['classifier'] = {HEAD}",
    f"setattr(self.model, name, {HEAD})",
    "put_in(self.model, 102)",
    f"self.model.classifier = {HEAD}",
    f"net = self.model\n        net.classifier = {HEAD}",
    "self.model.classifier[6] = nn.Sequential(nn.Linear(4096, 102), nn.LogSoftmax(dim=1))",
    "self.model = nn.Sequential(self.model, nn.LogSoftmax(dim=1))",
    "self.model = with_log_softmax(self.model)",
    "self.model = nn.Sequential(*self.model.children(), nn.Flatten(), nn.LogSoftmax(dim=1))",
]
NO_CHANGES = [
    "self.model = self.model.to(device)",
    "self.model.eval()",
    "self.model.training = False",
    "self.classes = self.model.classifier[6].out_features",
    "self.head = nn.Linear(self.model.classifier[6].in_features, 10)",
    "self.optimizer = torch.optim.Adam(self.model.parameters())",
    "self.model = torch.load(path)",
    "print(self.model)",
    "look_at(self.model, 102)",
]


@pytest.mark.parametrize("build", CHANGES)
def test_another_method_may_have_put_something_in(build):
    assert found(TRAINER.format(build=build, first="pass")) == []


@pytest.mark.parametrize("build", NO_CHANGES)
def test_what_no_other_method_changes_is_as_it_was_made(build):
    assert [code for _, code in found(TRAINER.format(build=build, first="pass"))] == ["HC107"]


def test_what_a_method_calls_itself_does_what_it_does():
    raw = TRAINER.format(build="self.model.classifier[6] = nn.Linear(4096, 102)", first="self.build()")
    assert [code for _, code in found(raw)] == ["HC107"]
    assert found(TRAINER.format(build=CHANGES[0], first="self.build()")) == []


def test_the_object_that_the_script_makes_is_known():
    trainer = TRAINER.format(build=CHANGES[0], first="pass")
    assert found(f"{trainer}\nt = Trainer()\nt.build()\nt.train(loader)") == []
    assert [code for _, code in found(f"{trainer}\nt = Trainer()\nt.train(loader)")] == ["HC107"]


def test_what_is_wrong_with_the_change_itself_is_seen():
    wrong = TRAINER.format(build="self.model.classifier[6] = nn.Linear(512, 102)", first="pass")
    assert [code for _, code in found(wrong)] == ["HC101"]


NET = """
class Net(nn.Module):
    def __init__(self{parameter}):
        super().__init__()
        self.backbone = models.resnet18(weights="DEFAULT")
        self.head = nn.Linear({size}, 10)

    def cut(self):
        {cut}

    def forward(self, x):
        return self.head(self.backbone(x))
"""


@pytest.mark.parametrize("parameter", ["", ", arch='resnet18'"])
def test_a_network_whose_backbone_another_method_cuts(parameter):
    cut = NET.format(parameter=parameter, size=512, cut="self.backbone.fc = nn.Identity()")
    assert found(cut) == []
    assert [code for _, code in found(NET.format(parameter=parameter, size=512, cut="pass"))] == ["HC101"]
    assert [code for _, code in found(f"{cut}\nNet()(torch.zeros(1, 3, 224, 224))")] == ["HC101"]
    assert found(f"{cut}\nnet = Net()\nnet.cut()\nnet(torch.zeros(1, 3, 224, 224))") == []


LATER = """
class Trainer(nn.Module):
    def __init__(self, model, loss_class):
        super().__init__()
        self.model = model
        self.loss_fn = loss_class

    def start(self):
        {start}

    def step(self, images, labels):
        return self.loss_fn(self.model(images), labels)

Trainer(models.resnet18(), nn.BCEWithLogitsLoss)
"""


@pytest.mark.parametrize(
    "start, codes",
    [("self.loss_fn = self.loss_fn()", []), ("loss_fn = self.loss_fn()", ["HC208"]), ("pass", ["HC208"])],
)
def test_a_class_in_whose_place_another_method_puts_its_object(start, codes):
    assert [code for _, code in found(LATER.format(start=start))] == codes
