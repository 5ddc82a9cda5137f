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


ABSTRACT = """
class Base(nn.Module):
    width = {base}

    def __init__(self, classes):
        super().__init__()
        self.backbone = self.build()
        self.head = nn.Linear(self.width, classes)

    def forward(self, x):
        return self.head(self.backbone(x))

class OfResNet(Base):
    def build(self):
        net = models.resnet18(weights=None)
        net.fc = nn.Identity()
        return net

class Small(OfResNet):
    {small}

model = Small(12)
"""


def test_what_derived_classes_set_is_not_known_of_a_class_in_between():
    """Nobody makes an object of `OfResNet`: its width is that of each class derived from it."""
    assert found(ABSTRACT.format(base=0, small="width = 512")) == []
    assert found(ABSTRACT.format(base=512, small="name = 'small'")) == []
    assert found(ABSTRACT.format(base=0, small="width = 500")) != []
    assert found(ABSTRACT.format(base=500, small="name = 'small'")) != []
    alone = ABSTRACT.format(base=500, small="").split("class Small")[0]
    assert [code for _, code in found(alone)] == ["HC101"]


STEM = """
import os
model = models.densenet161(weights="DEFAULT")
old = model.features[0].weight
stem = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=os.environ["BIAS"] == "yes")
{put}
model.features[0] = stem
"""


def test_a_layer_of_which_not_all_is_known_takes_the_size_of_its_new_weight():
    assert found(STEM.format(put="stem.weight = nn.Parameter(torch.cat((old[:, 2:], old[:, :2]), dim=1))")) == []
    assert [code for _, code in found(STEM.format(put="stem.name = 'stem'"))] == ["HC108"]


DELETED = """
import os
m = models.resnet18(weights=None)
del m.fc
{put}
m(torch.randn(2, 3, 224, 224))
"""


def test_what_is_put_in_by_a_computed_name_may_be_what_was_deleted():
    assert [code for _, code in found(DELETED.format(put=""))] == ["HC202"]
    for put in ("m.add_module", "m.__setattr__", "m.set_submodule", "m._modules.update"):
        known = put + ("(dict(fc=nn.Linear(512, 3)))" if "update" in put else '("fc", nn.Linear(512, 3))')
        assert found(DELETED.format(put=known)) == [], put
        assert found(DELETED.format(put=known.replace('"fc"', 'os.environ["HEAD"]'))) == [], put
    wrong = found(DELETED.format(put='m.set_submodule("fc", nn.Linear(7, 3))'))
    assert [code for _, code in wrong] == ["HC101"]
    again = 'm.layer4[1].set_submodule("conv2", nn.Conv2d(512, 512, 3, padding=1))'
    assert [code for _, code in found(DELETED.format(put=again))] == ["HC202"]


TRIED = """
import sys
m = models.densenet121(weights=None)
try:
    n = m.fc.in_features
except {caught}:
    {then}
"""


def test_what_only_says_that_there_was_a_failure_is_no_guard():
    for then in ("print(1); raise", "raise RuntimeError('no model')", "sys.exit(1)"):
        assert [code for _, code in found(TRIED.format(caught="Exception as error", then=then))] == ["HC202"], then
        assert found(TRIED.format(caught="AttributeError", then=then)) == []  # this is asked for
    assert found(TRIED.format(caught="Exception", then="n = m.classifier.in_features")) == []


SAME = """
from typing import cast

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        body = cast(nn.Module, models.resnet18(weights=None))
        self.body = nn.Sequential(*list(body.children())[:-1])
        self.fc = nn.Linear({size}, 10)

    def forward(self, x):
        x = self.body(x)
        return self.fc(x.view(len(x), -1))

Net()(torch.randn(2, 3, 224, 224))
"""


def test_a_cast_and_the_length_of_a_tensor():
    assert found(SAME.format(size=512)) == []
    assert [code for _, code in found(SAME.format(size=2048))] == ["HC101"]


KEPT = """
import timm

class Settings:
    name = "efficientnet_b0"

{before}

def with_classifier():
    model = timm.create_model(Settings.name)
    model.classifier = nn.Linear(model.classifier.in_features, 4)
    return model

{decorator}def with_fc():
    model = timm.create_model(Settings.name)
    model.fc = nn.Linear(model.fc.in_features, 4)
    return model

{after}
builders["efficientnet_b0"]()
"""
REGISTRY = """
builders = {}
def builds(name):
    def keep(function):
        builders[name] = function
        return function
    return keep
"""


def test_a_function_that_is_kept_for_other_settings():
    """Who calls it has set another name: nothing is wrong with it."""
    after = 'builders = {"efficientnet_b0": with_classifier}'
    assert found(KEPT.format(before="", decorator="", after='builders = {"a": with_classifier, "b": with_fc}')) == []
    later = f'{after}\nbuilders["resnet18"] = with_fc'
    assert found(KEPT.format(before="", decorator="", after=later)) == []
    given = {"before": REGISTRY, "decorator": '@builds("resnet18")\n', "after": ""}
    assert found(KEPT.format(**given)) == []
    assert [code for _, code in found(KEPT.format(before="", decorator="", after=after))] == ["HC202"]
    timed = "import functools\n" + KEPT.format(before="", decorator="@functools.lru_cache\n", after=after)
    assert [code for _, code in found(timed)] == ["HC202"]


STATIC = """
import timm

class Settings:
    name = "efficientnet_b0"

class Builders:
    @staticmethod
    def with_classifier():
        model = timm.create_model(Settings.name)
        model.classifier = nn.Linear(model.classifier.in_features, 4)
        return model

    @staticmethod
    def with_fc():
        model = timm.create_model(Settings.name)
        model.fc = nn.Linear(model.fc.in_features, 4)
        return model

{kept}
"""


def test_a_method_without_an_object_that_is_kept_for_other_settings():
    kept = 'builders = {"a": Builders.with_classifier, "b": Builders.with_fc}\nbuilders["a"]()'
    assert found(STATIC.format(kept=kept)) == []
    kept = 'if Settings.name == "resnet18":\n    Builders.with_fc()'
    assert found(STATIC.format(kept=kept)) == []
    assert [code for _, code in found(STATIC.format(kept="Builders.with_fc()"))] == ["HC202"]


TWO_NAMES = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--head")
args = parser.parse_args()
if args.model == "vgg":
    network = models.vgg11(weights=None)
else:
    network = models.resnet18(weights=None)
for part in network.modules():
    if isinstance(part, nn.Dropout):
        part.p = 0.3
if args.{name} == "{text}":
    network.classifier[6] = nn.Linear(4096, 3)
else:
    network.fc = nn.Linear(512, 3)
"""


def test_what_a_condition_does_not_bring_about_alone_takes_another_name_too():
    assert found(TWO_NAMES.format(name="head", text="classifier")) == []
    assert found(TWO_NAMES.format(name="model", text="vgg")) == []
    assert "HC202" in [code for _, code in found(TWO_NAMES.format(name="model", text="resnet"))]


STARRED = """
import os

def stack(*layers):
    layers = nn.Sequential(*layers)
    return layers[-1].out_features

def head(*sizes, **more):
    model = models.resnet18(weights=None)
    size = {otherwise}
    for each in sizes:
        size = each
    model.fc = nn.Linear(more.get("size", size), 2)
    return model
"""


def test_what_a_star_takes_is_not_known_to_be_nothing():
    text = STARRED.format(otherwise="7")
    assert found(text) == []  # nobody calls them here, and whoever does gives them something
    sizes = "[int(size) for size in os.environ['SIZES'].split()]"
    assert found(f"{text}stack(*[nn.Linear(size, 3) for size in {sizes}])\nhead(*{sizes})\n") == []
    assert "HC202" in [code for _, code in found(f"{text}stack()\n")]
    assert [code for _, code in found(f"{text}head()\n")] == ["HC101"]
    assert [code for _, code in found(f"{text}head(7, 512, size=7)\n")] == ["HC101"]
    assert found(f"{text}head(7, 512)\nhead(size=512)\nhead(**dict(size=512))\n") == []
