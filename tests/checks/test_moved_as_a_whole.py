"""Heads put into a model that was moved before, in a network: who makes the network may move all of it."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
model = models.densenet121()
model.cuda()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = model
        self.net.classifier = nn.Linear(model.classifier.in_features, 14)

    def forward(self, x):
        return self.net(x)
"""


@pytest.mark.parametrize("made, expected", [("", []), ("net = Net()\n", [(8, "HC403")]), ("net = Net().cuda()\n", [])])
def test_a_network_that_nothing_makes(made, expected):
    used = "net(torch.rand(2, 3, 224, 224, device='cuda'))\n" if made else ""
    assert found(SCRIPT + made + used) == expected


LOADED = """
import lightning as L

class System(L.LightningModule):
    def __init__(self, name{more}):
        super().__init__()
        self.name = name

model = models.resnet50()
model.to("cuda")
model.fc = nn.Linear(2048, 1)
system = System.load_from_checkpoint("a.ckpt", model=model)
{moved}model(torch.rand(2, 3, 224, 224, device="cuda"))
"""


@pytest.mark.parametrize("more", ["", ", model=None", ", **rest"])
def test_what_comes_after_a_checkpoint_is_loaded(more):
    """Lightning leaves out what the class does not take: the script goes on, and moves the model."""
    assert found(LOADED.format(more=more, moved="model = model.to('cuda')\n")) == []


TRAINED = """
from transformers import AutoModelForImageClassification, Trainer, TrainingArguments
{own}
sizes = dict(num_labels=5, ignore_mismatched_sizes=True)
model = AutoModelForImageClassification.from_pretrained("microsoft/resnet-50", **sizes).to("cuda")
model.classifier[1] = nn.Linear(2048, 5)
{after}
"""
SUBCLASS = """
class Own(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        return model(**inputs).logits.sum()
"""
MADE_FIRST = """
class Own(Trainer):
    def __init__(self, *args, weights=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.weights = weights
"""


@pytest.mark.parametrize("own, trainer", [("", "Trainer"), (SUBCLASS, "Own"), (MADE_FIRST, "Own")])
@pytest.mark.parametrize("more", ["", ", compute_loss_func=loss"])
def test_a_trainer_moves_what_it_trains(own, trainer, more):
    made = f"{trainer}(model=model, args=TrainingArguments('out'){more}).train()"
    assert [code for _, code in found(TRAINED.format(own=own, after=made))] == []


def test_a_loop_of_the_script_moves_nothing():
    used = "model(pixel_values=torch.rand(2, 3, 224, 224, device='cuda'))"
    assert [code for _, code in found(TRAINED.format(own="", after=used))] == ["HC403"]


LEARNED = """
from fastai.vision.all import *

net = models.mobilenet_v2().to("cuda")
learn = Learner(dls, net, metrics=accuracy)
learn.model.classifier[1] = nn.Linear({size}, 10)
{after}
"""


def test_a_learner_moves_what_it_trains():
    assert found(LEARNED.format(size=1280, after="learn.fine_tune(5)")) == []
    assert found(LEARNED.format(size=1280, after="net(batch.cuda())")) == [(5, "HC403")]
    assert found(LEARNED.format(size=1000, after="learn.fine_tune(5)")) == [(5, "HC101")]


ENGINE = """
{imported}

class Mine({base}):
    def __init__(self, model):
        super().__init__({given})

model = models.resnet50().to("cuda")
model.fc = nn.Linear(2048, 5)
Mine(model).train()
"""


@pytest.mark.parametrize(
    "imported, base, given, expected",
    [
        ("import somewhere", "somewhere.Engine", "model", []),
        ("import somewhere", "somewhere.Engine", "", [(8, "HC403")]),
        ("from abc import ABC", "ABC", "", [(8, "HC403")]),
    ],
)
def test_an_engine_that_is_not_read(imported, base, given, expected):
    assert found(ENGINE.format(imported=imported, base=base, given=given)) == expected


def test_an_engine_whose_init_is_not_the_scripts():
    script = ENGINE.format(imported="import somewhere", base="somewhere.Engine", given="model")
    inherited = script.replace(
        "    def __init__(self, model):\n        super().__init__(model)\n", "    name = 'mine'\n"
    )
    assert found(inherited) == []
