"""What is frozen, or replaced, when the training is over: that is no fault, and the same before the training is one."""

import textwrap

import pytest

from headcheck import pipeline

START = """
import torch
from torch import nn, optim
from torchvision import models
from data import loader, pictures


def train(model, optimizer):
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


"""
FREEZE = """
for parameter in model.parameters():
    parameter.requires_grad = False
print(model(pictures))
"""
NEW_HEAD = """
model = models.resnet18(weights="DEFAULT")
model.fc = nn.Linear(512, 10)
optimizer = optim.Adam(model.parameters())
"""
TRAINER = """
from lightning import LightningModule, Trainer


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Linear(512, 10)

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.body(x), y)

    def configure_optimizers(self):
        return optim.Adam(self.parameters())


model = Net()
"""


def found(*parts):
    return {
        finding.code for finding in pipeline.check_text(START + "\n".join(map(textwrap.dedent, parts)), "script.py")
    }


CASES = {
    "head": ("HC301", NEW_HEAD, "train(model, optimizer)", FREEZE),
    "head, another pace": (
        "HC301",
        NEW_HEAD,
        """
        scaler = torch.amp.GradScaler()
        for x, y in loader:
            scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
            scaler.step(optimizer)
        """,
        FREEZE,
    ),
    "head that the library makes": (
        "HC301",
        """
        import timm
        model = timm.create_model("resnet18", pretrained=True, num_classes=10)
        optimizer = optim.Adam(model.parameters())
        """,
        "train(model, optimizer)",
        """
        model.requires_grad_(False)
        model.layer4.requires_grad_(True)
        train(model, optim.Adam(model.parameters()))
        """,
    ),
    "layer": (
        "HC302",
        """
        model = nn.Linear(512, 10)
        optimizer = optim.Adam(model.parameters())
        """,
        "train(model, optimizer)",
        FREEZE,
    ),
    "backbone without weights": (
        "HC307",
        """
        model = models.resnet18(weights=None)
        optimizer = optim.Adam(model.parameters())
        """,
        "train(model, optimizer)",
        FREEZE + "\nmodel.fc = nn.Linear(512, 10)\ntrain(model, optim.Adam(model.fc.parameters()))\n",
    ),
    "optimizer": (
        "HC401",
        NEW_HEAD,
        "train(model, optimizer)",
        """
        model.fc = nn.Linear(512, 20)
        print(model(pictures))
        """,
    ),
    "trainer": ("HC301", TRAINER, "Trainer().fit(model, loader)", "\nmodel.freeze()\nprint(model.body(pictures))\n"),
}


@pytest.mark.parametrize("code, before, training, after", CASES.values(), ids=CASES.keys())
def test_what_has_learned_may_be_frozen(code, before, training, after):
    assert found(before, training, after) == set()


@pytest.mark.parametrize("code, before, training, after", list(CASES.values())[:-1], ids=list(CASES)[:-1])
def test_what_is_still_to_learn_may_not(code, before, training, after):
    assert code in found(before, after, training)


def test_an_optimizer_has_no_use_for_a_head_without_parameters():
    change = "\nmodel.fc = {}\ntrain(model, optimizer)\n"
    assert found(NEW_HEAD, change.format("nn.Identity()")) == set()
    assert found(NEW_HEAD, change.format("nn.Linear(512, 5)")) == {"HC401"}


OWN = """
from lightning import LightningModule, Trainer
from progress import Progress


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(512, 10)

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.body(x), y)

    def configure_optimizers(self):
        return optim.Adam(self.parameters())


model = Net()
trainer = Trainer(callbacks=[Progress()])
"""


def test_a_trainer_that_is_not_followed_has_asked_for_its_optimizer_as_well():
    fit, freeze = "trainer.fit(model, loader)", "for p in model.parameters():\n    p.requires_grad = False"
    assert found(OWN, fit, freeze) == set()
    assert found(OWN, freeze, fit) == {"HC302"}


HOOK = """
from lightning import LightningModule


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Linear(512, 128)
        self.head = nn.Linear(128, 10)

    def {hook}:
        {freeze}

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.head(self.body(x)), y)

    def configure_optimizers(self):
        return optim.Adam(self.parameters())
"""


@pytest.mark.parametrize(
    "hook, freeze",
    [
        ("on_train_epoch_start(self)", "if self.current_epoch >= 5:\n            self.body.requires_grad_(False)"),
        ("on_train_epoch_start(self)", "self.body.requires_grad_(self.current_epoch < 5)"),
        ("on_train_epoch_end(self)", "self.body.requires_grad_(False)"),
        ("on_train_batch_start(self, *_)", "if self.global_step == 900:\n            self.body.requires_grad_(False)"),
    ],
)
def test_a_trainer_may_freeze_at_its_time(hook, freeze):
    assert found(HOOK.format(hook=hook, freeze=freeze)) == set()


@pytest.mark.parametrize("hook", ["on_train_epoch_start(self)", "on_fit_start(self)", "setup(self, stage)"])
def test_a_trainer_may_not_freeze_a_new_head_at_once(hook):
    assert found(HOOK.format(hook=hook, freeze="self.body.requires_grad_(False)")) == {"HC301"}


FROZEN = """
net = models.resnet18(weights="DEFAULT")
net.fc = nn.Linear(512, 10)
net = nn.DataParallel(net)
optimizer = optim.Adam(net.parameters())
for parameter in net.parameters():
    parameter.requires_grad = False
"""


@pytest.mark.parametrize(
    "after, codes",
    [
        ("net.module.fc.requires_grad_(True)\ntrain(net, optimizer)", set()),
        ("net.fc.requires_grad_(True)\ntrain(net, optimizer)", {"HC204"}),  # which was meant to go on
        ("train(net, optimizer)", {"HC301"}),
        ("train(net, optimizer)\nprint(net.fc)", {"HC301", "HC204"}),
    ],
)
def test_what_a_script_does_not_come_to_may_have_thawed(after, codes):
    assert found(FROZEN, after) == codes


FROZEN_AT_RANDOM = """
model = models.resnet18(weights=None)
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(512, 10)
optimizer = optim.Adam(model.fc.parameters())
"""


@pytest.mark.parametrize(
    "after",
    ["", "train(model, optimizer)", "print(model)", "print(model(pictures))\ntrain(model, optimizer)"],
    ids=["nothing", "trained", "printed", "run and trained"],
)
def test_a_backbone_of_random_numbers_is_no_good_where_something_may_learn(after):
    assert found(FROZEN_AT_RANDOM, after) == {"HC307"}


def test_nothing_learns_where_a_model_is_only_shown():
    shown = "with torch.inference_mode():\n    print(model(pictures).shape)"
    imports = START[: START.index("def train")]
    assert not pipeline.check_text(imports + FROZEN_AT_RANDOM + shown, "script.py")
    assert found(FROZEN_AT_RANDOM, shown) == {"HC307"}  # there is a function that trains


NETWORKS_IN_A_CLASS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Linear(512, 10)

    def forward(self, pictures):
        return self.body(pictures)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Net()
        self.trunk = models.resnet18(weights="DEFAULT")
        self.trunk.fc = nn.Linear(512, 10)
        self.share = nn.Parameter(torch.ones(2))

    def forward(self, pictures):
        return self.share[0] * self.first(pictures) + self.share[1] * self.trunk(pictures)

    def freeze(self):
        for parameter in self.{part}.parameters():
            parameter.requires_grad = False
"""
LOADS = """
    def load(self, path):
        self.{part}.load_state_dict(torch.load(path))
"""
TRAINS = """
both = Both()
both.freeze()
optimizer = optim.Adam(both.parameters())
train(both, optimizer)
"""


@pytest.mark.parametrize(
    "part, more, codes",
    [
        ("trunk", "", {"HC301"}),
        ("trunk", LOADS.format(part="trunk"), set()),
        ("first", "", set()),
        ("first", LOADS.format(part="first"), set()),
        ("trunk", TRAINS, {"HC301"}),
        ("first", TRAINS, {"HC301"}),
        ("first", LOADS.format(part="first") + TRAINS.replace("both.freeze", "both.load(path)\nboth.freeze"), set()),
    ],
)
def test_what_nothing_calls_may_freeze_what_was_loaded(part, more, codes):
    assert found(NETWORKS_IN_A_CLASS.format(part=part) + more) == codes


def test_what_a_method_makes_itself_was_not_loaded_before():
    builds = """
class Training:
    def build(self):
        self.net = models.resnet18(weights="DEFAULT")
        self.net.fc = nn.Linear(512, 10)
        for parameter in self.net.parameters():
            parameter.requires_grad = False

    def load(self, path):
        self.net.load_state_dict(torch.load(path))
"""
    assert found(builds) == {"HC301"}
