"""Models chosen by a name that is not known: the candidates that are left, and what must hold for all of them."""

from __future__ import annotations

import pytest

from headcheck.interpreter import choosing
from headcheck.interpreter.values import Condition, symbol
from tests.reading import follow, found, paths, read, variable

ARCH = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch"{more})
    arch = parser.parse_args().arch
"""


def script(body, more=""):
    return ARCH.format(more=more) + body


def row(line):
    return line + ARCH.count("\n") - 1


def builders(text, name="m"):
    return {variable(e, name).rsplit(".", 1)[-1] for e in paths(text)} - {"?"}


def messages(text):
    return [(f.code, f.conditions) for f in read(text).findings if f.code not in ("HC501", "HC902")]


# -- candidates ------------------------------------------------------------------------------------------------------


NAMES = ["resnet18", "resnet50", "vgg16", "densenet121", "wide_resnet50_2"]


@pytest.mark.parametrize(
    ("make", "assumed", "left"),
    [
        (lambda a: a, {}, NAMES),
        (lambda a: symbol("binary", "…", "Add", "resnet", a), {}, ["resnet18", "resnet50"]),
        (lambda a: symbol("format", "…", "vgg", a), {}, ["vgg16"]),
        (lambda a: symbol("format", "…", "vgg", a), {("truth", "x"): True}, ["vgg16"]),
    ],
)
def test_names_that_fit_a_derived_text(make, assumed, left):
    state = follow("x = 1")[0].state
    state.facts.update(assumed)
    arch = symbol("argument", "arch", "arch")
    assert choosing.consistent(state, make(arch), NAMES) == left


def test_names_that_fit_what_was_tested():
    state = follow("x = 1")[0].state
    arch = symbol("argument", "arch", "arch")
    lower = symbol("call", "…", symbol("attribute", "…", arch, "lower"))
    state.facts[Condition("In", "resnet", lower)] = True
    assert choosing.consistent(state, lower, NAMES) == ["resnet18", "resnet50", "wide_resnet50_2"]
    state.facts["truth", symbol("call", "…", symbol("attribute", "…", arch, "startswith"), "wide")] = False
    assert choosing.consistent(state, arch, NAMES) == ["resnet18", "resnet50"]
    state.facts["not", arch] = ("resnet18",)
    assert choosing.consistent(state, arch, NAMES) == ["resnet50"]


def test_a_number_in_a_name():
    state = follow("x = 1")[0].state
    depth = symbol("argument", "depth", "depth")
    state.facts[Condition("Equal", depth, 50)] = True
    assert choosing.consistent(state, symbol("format", "…", "resnet", depth), NAMES) == ["resnet50"]


# -- from the library's namespace ------------------------------------------------------------------------------------


BUILDS = [
    "models.__dict__[arch]()",
    "getattr(models, arch)(weights=None)",
    "vars(models)[arch]()",
    "models.get_model(arch)",
]


@pytest.mark.parametrize("build", BUILDS)
def test_what_is_asked_narrows_an_open_name(build):
    text = script(f"    m = {build}\n    n = m.fc.in_features\n    m.fc = nn.Linear(n, 2)\n")
    assert "resnet50" in builders(text) and "vgg16" not in builders(text)
    assert found(text) == []


def test_a_branch_on_the_name_narrows():
    text = script("""
    m = models.__dict__[arch]()
    if arch.startswith("resnet"):
        m.fc = nn.Linear(m.fc.in_features, 2)
    elif "vgg" in arch:
        m.classifier[6] = nn.Linear(m.classifier[6].in_features, 2)
    elif arch in ("densenet121", "densenet161"):
        m.classifier = nn.Linear(m.classifier.in_features, 2)
    """)
    names = builders(text)
    assert {"resnet18", "resnet50", "densenet121", "densenet161"} <= names
    assert any(name.startswith("vgg") for name in names)
    assert found(text) == []


def test_a_finding_holds_for_every_candidate():
    text = "    m = models.__dict__[arch]()\n    m.fc = nn.Linear({}, 2)\n"
    assert found(script(text.format(512))) == []  # right for resnet18
    assert found(script(text.format(7))) == [(row(2), "HC101")]
    assert found(script(text.format("m.fc.out_features"))) == [(row(2), "HC101")]
    vgg = '    m = getattr(models, "vgg" + arch)()\n    m.classifier[6] = nn.Linear({}, 2)\n'
    assert found(script(vgg.format(4096))) == []
    assert found(script(vgg.format(512))) == [(row(2), "HC101")]


def test_a_failure_is_that_of_every_candidate():
    text = "    m = models.__dict__[arch]()\n    m.{} = nn.Linear(m.{}.in_features, 2)\n"
    assert found(script(text.format("classifier", "classifier"))) == []
    assert found(script(text.format("last_linear", "last_linear"))) == [(row(2), "HC202")]


def test_models_without_a_path_are_not_spoken_of():
    """Of a library's many models a few are tried: a size that another takes is not wrong, nor is what it may have."""
    text = "    m = getattr(models, arch)(pretrained=args.pretrained)\n    m.fc = nn.Linear({}, 2)\n"
    assert found(script(text.format(1024))) == []  # right for shufflenet_v2_x1_0
    assert found(script(text.format(912))) == []  # right for regnet_x_1_6gf
    assert found(script(text.format(7))) == [(row(2), "HC101")]
    text = '    m = models.__dict__[arch]()\n    m.load_state_dict(torch.load("m.pt"))\n    n = m.{}.in_features\n'
    assert found(script(text.format("classifier"))) == []  # densenet121 has it
    assert found(script(text.format("last_linear"))) == [(row(3), "HC202")]


TWICE = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="densenet121")

def build():
    args = parser.parse_args()
    m = models.__dict__[args.arch]()
    m.classifier = nn.Linear(m.{}.in_features, 1)
    return m

first, second = build(), build()
"""


def test_a_failure_of_a_model_that_is_built_twice():
    """Those left out of the first choice are a path that goes on, and no candidate that fails."""
    assert found(TWICE.format("classifier")) == []
    assert found(TWICE.format("last_linear")) == [(9, "HC202")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("m.fc = nn.Linear(7, 2)", "as with each model tried of those that `args.arch` may name here, Linear takes 7 "),
        ("m.last_linear", "as with each model tried of those that `args.arch` may name here, resnet50 (line "),
        ("m.head = nn.Linear(9, 2)\n    m.fc", "as with every model that `args.arch` may name here, swin_t (line "),
    ],
)
def test_a_model_that_was_picked_is_not_blamed_as_if_the_script_named_it(body, said):
    text = f"    m = models.__dict__[arch]()\n    {body}\n"
    assert [f.message[: len(said)] for f in read(script(text)).findings if f.code in ("HC101", "HC202")][-1] == said
    named = script(text, ', choices=["swin_t", "resnet18"]')
    messages = [f.message for f in read(named).findings if f.code in ("HC101", "HC202")]
    assert messages and not any("may name" in message for message in messages)


def test_order_does_not_depend_on_the_name():
    text = """
    m = models.__dict__[arch](weights="DEFAULT")
    m.fc = nn.Linear(m.fc.in_features, 2)
    for p in m.parameters():
        p.requires_grad = False
    torch.optim.SGD(m.parameters(), lr=0.1)
    """
    assert [code for code, _ in messages(script(text))] == ["HC301"]


def test_frozen_before_it_is_known():
    text = """
    m = models.__dict__[arch](weights="DEFAULT")
    for p in m.parameters():
        p.requires_grad = False
    m.fc = nn.Linear(m.fc.in_features, 2)
    torch.optim.SGD(m.fc.parameters(), lr=0.1)
    """
    assert found(script(text)) == []
    assert all(e.models and e.models[0].module.trainable is False for e in paths(script(text)) if e.models)


def test_names_the_script_lists():
    text = script(
        "    m = models.__dict__[arch]()\n    m.fc = nn.Linear(512, 2)\n", ', choices=["resnet18", "resnet50"]'
    )
    assert messages(text) == [("HC101", ("args.arch == 'resnet50'",))]
    assert builders(text) == {"resnet18", "resnet50"}


def test_a_name_that_becomes_known_later():
    text = script("""
    m = models.__dict__[arch]()
    n = m.avgpool
    if arch == "vgg19":
        m.classifier[6] = nn.Linear(4096, 2)
    """)
    assert "vgg19" in builders(text)
    assert found(text) == []


def test_a_candidate_that_was_left_out_at_first():
    text = script("""
    m = models.__dict__[arch]()
    n = m.avgpool
    if arch == "vgg19":
        m.classifier[6] = nn.Linear(512, 2)
    """)
    assert found(text) == [(row(5), "HC101")]


def test_asked_with_hasattr():
    text = script("""
    m = models.__dict__[arch]()
    if hasattr(m, "fc"):
        m.fc = nn.Linear(m.fc.in_features, 2)
    elif hasattr(m, "classifier"):
        if isinstance(m.classifier, nn.Linear):
            m.classifier = nn.Linear(m.classifier.in_features, 2)
        else:
            m.classifier[-1] = nn.Linear(m.classifier[-1].in_features, 2)
    """)
    assert {"resnet50", "vgg16", "densenet121"} <= builders(text)
    assert found(text) == []


# -- what must not be taken for a failure ----------------------------------------------------------------------------


def test_a_layer_whose_type_was_asked():
    text = """
    m = models.vgg16()
    for layer in m.classifier:
        if type(layer) == torch.nn.modules.linear.Linear:
            n = layer.in_features
            break
    for layer in m.classifier:
        if is_linear(layer):
            k = layer.in_features
            break
    """
    assert found(text) == []
    assert {variable(e, "n") for e in paths(text)} == {25088}


def test_lists_that_a_loop_of_unknown_length_fills():
    text = """
    class Net(nn.Module):
        def __init__(self, depth):
            super().__init__()
            self.first, self.second = nn.ModuleList(), nn.ModuleList()
            for i in range(depth):
                if i == 0:
                    self.first.append(nn.Linear(1, 2))
                elif i == 1:
                    self.second.append(nn.Linear(1, 2))

        def load(self):
            return self.first[0], self.second[0]
    """
    assert found(text) == []


def test_an_old_head_inside_the_new_one():
    text = """
    class Net(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base
            self.base.fc = nn.Sequential(nn.Linear(2, 2), self.base.fc)
            self.base.fc[1].bias.requires_grad = False
    """
    assert found(text) == []


def test_attributes_that_others_add():
    assert found("m = nn.Sequential(nn.Linear(1, 2))\nCompiler(m)\nm.engine") == []
    assert found("m = torch.compile(nn.Linear(1, 2))\nm._compile_kwargs") == []
    assert found("m = models.densenet121()\nsummary(m)\nm.fc") == [(3, "HC202")]
    assert found("m = models.efficientnet_b0()\nm._fc") == [(2, "HC202")]


def test_a_method_that_a_class_of_the_script_has():
    text = """
    class Squeeze(nn.Module):
        def cost(self):
            return 1

    class Block(nn.Module):
        def __init__(self, ratio):
            super().__init__()
            self.se = Squeeze() if ratio > 0 else nn.Identity()

        def cost(self):
            return self.se.cost()
    """
    assert found(text) == []


def test_what_is_chosen_from_a_library_without_models():
    assert found(script("    opt = getattr(torch.optim, arch)(models.resnet18().parameters())\n    opt.step()\n")) == []
    assert found(script("    loss = nn.__dict__[arch]()\n    loss.reduction = None\n    loss.weight[0]\n")) == []


# -- by class, by builder ----------------------------------------------------------------------------------------------


LADDER = """
from torchvision.models import DenseNet, Inception3, ResNet
def build(name, count):
    {}
    if isinstance(model, (Inception3, ResNet)):
        model.fc = nn.Linear(model.fc.in_features, count)
    elif isinstance(model, models.VGG):
        model.classifier[-1] = nn.Linear({}, count)
    elif isinstance(model, DenseNet):
        model.classifier = nn.Linear({}, count)
    if isinstance(model, Inception3):
        model.AuxLogits.fc = nn.Linear({}, count)
    return model
"""


@pytest.mark.parametrize(
    "build",
    [
        "model = models.get_model(name)",
        "builder = models.get_model_builder(name.lower())\n    model = builder(weights=None)",
        "model = getattr(models, name)()",
    ],
)
def test_a_ladder_of_classes(build):
    read_off = ("model.classifier[-1].in_features", "model.classifier.in_features", "model.AuxLogits.fc.in_features")
    right, wrong = LADDER.format(build, *read_off), LADDER.format(build, 7, 7, 7)
    assert found(right) == []
    first = 7 + build.count("\n")
    assert found(wrong) == [(first, "HC101"), (first + 2, "HC101"), (first + 4, "HC101")]


LACKING = """
def build(name):
    model = models.get_model(name)
    if isinstance(model, models.{}):
        model.{}
    return model
"""


@pytest.mark.parametrize(
    ("cls", "asked", "missing"),
    [
        ("SwinTransformer", "heads.head", True),
        ("SwinTransformer", "head", False),
        ("DenseNet", "fc", True),
        ("VisionTransformer", "heads.head", False),
        ("ResNet", "classifier", True),
    ],
)
def test_what_no_model_of_a_class_has(cls, asked, missing):
    """To be of a class of the library's says which models are left, and not what the script has put into them."""
    assert found(LACKING.format(cls, asked)) == ([(4, "HC202")] if missing else [])


def test_what_one_of_two_classes_has():
    text = LACKING.replace("models.{}", "(models.SwinTransformer, models.DenseNet)").replace("{}", "classifier")
    assert found(text) == []
    assert found(LACKING.replace("isinstance(model, models.{})", "hasattr(model, 'fc2')").format("fc2")) == []


def test_a_builder_by_a_name_that_is_known():
    script = "m = models.get_model_builder('ResNet18')(weights=None)\nm.fc = nn.Linear(7, 3)\n"
    assert builders(script) == {"resnet18"}
    assert found(script) == [(2, "HC101")]
    assert [code for _, code in found("models.get_model_builder('resnet19')")] == ["HC205"]


# -- names that several unknowns hold ----------------------------------------------------------------------------------


LONG = "--path-of-the-folder-in-which-the-checkpoints-of-every-run-are-kept"


def test_a_name_that_is_looked_up_under_a_long_path():
    text = script(f"""
    import torch
    parser.add_argument("{LONG}", default="runs", dest="{LONG.strip("-").replace("-", "_")}_of_this_machine")
    args = parser.parse_args()
    where = args.{LONG.strip("-").replace("-", "_")}_of_this_machine + "/checkpoints_" + args.arch + "_best.pth"
    kept = torch.load(where)
    m = getattr(models, kept["model_name"])()
    if kept["model_name"].startswith(("vgg", "alexnet")):
        n = m.classifier[-1].in_features
    elif kept["model_name"].startswith("densenet"):
        n = m.classifier.in_features
    elif kept["model_name"].startswith("resnet"):
        n = m.fc.in_features
    head = nn.Linear(n, 2)
    if kept["model_name"].startswith(("vgg", "alexnet")):
        m.classifier[-1] = head
    elif kept["model_name"].startswith("densenet"):
        m.classifier = head
    elif kept["model_name"].startswith("resnet"):
        m.fc = head
    """)
    assert {"vgg16", "densenet121", "resnet50"} <= builders(text)
    assert found(text) == []


def test_different_tests_of_something_large_are_different():
    large = symbol("argument", "x" * 250, "x")
    tests = [symbol("call", "…", symbol("attribute", "x" * 250, large, "startswith"), text) for text in ("a", "b")]
    derived = [symbol("call", "y" * 250, test) for test in tests]
    assert tests[0] != tests[1] and derived[0] != derived[1]
    assert derived[0] == symbol("call", "y" * 250, tests[0])


RESUMED = """
    def change(model, name):
        if name.startswith("vgg"):
            model.classifier[6] = nn.Linear(model.classifier[6].in_features, 2)
        elif name.startswith("resnet"):
            model.fc = nn.Linear({size}, 2)
        return model

    m = models.__dict__[arch]()
    if resume:
        kept = torch.load("kept.pth")
        m = change(models.__dict__[kept["arch"]](), kept["arch"])
    m = change(m, arch)
"""


@pytest.mark.parametrize("more", ["", ', default="vgg16"'])
def test_what_was_saved_is_what_is_asked_for(more):
    assert found(script(RESUMED.format(size="model.fc.in_features"), more)) == []
    assert [code for code, _ in messages(script(RESUMED.format(size="model.fc.out_features"), more))] == ["HC101"]


def test_two_names_that_the_script_lists_are_two_models():
    text = script("""
    parser.add_argument("--teacher", choices=["vgg16", "resnet18"])
    teacher = models.__dict__[parser.parse_args().teacher]()
    m = models.__dict__[arch]()
    m.fc = nn.Linear(512, 2)
    """)
    assert found(text) == []
    assert "resnet18" in builders(text)


@pytest.mark.parametrize("build", ["models.__dict__[arch]()", "models.get_model(arch)", "timm.create_model(arch)"])
def test_attributes_that_are_set_before_the_model_is_known(build):
    text = script(f"""
    import timm
    m = {build}
    m.class_to_idx = dataset.class_to_idx
    print(m.class_to_idx)
    if arch == "resnet18":
        m.fc = nn.Linear(m.fc.in_features, 2)
    print(m.class_to_idx)
    m.fc = head()
    print(m.fc.anything)
    """)
    assert found(text) == []
    assert "resnet18" in builders(text)


def test_asked_for_the_name_of_its_class():
    text = script("""
    m = models.__dict__[arch]()
    name = m.__class__.__name__.lower()
    if hasattr(m, "fc") and "resnet" in name:
        m.fc = nn.Linear(m.fc.in_features, 2)
    elif hasattr(m, "classifier") and ("alexnet" in name or "vgg" in name):
        m.classifier[6] = nn.Linear(m.classifier[6].in_features, 2)
    elif hasattr(m, "classifier") and "squeezenet" in name:
        m.classifier[1] = nn.Conv2d(512, 2, 1)
    elif hasattr(m, "heads") and "visiontransformer" in name:
        m.heads.head = nn.Linear(m.heads.head.in_features, 2)
    elif type(m).__name__ == "SwinTransformer":
        m.head = nn.Linear(m.head.in_features, 2)
    """)
    assert read(text).statistics[:2] == (5, 5) and found(text) == []


def test_a_class_whose_name_the_path_has_tested_is_that_of_each_candidate():
    text = """
    m = models.__dict__[arch]()
    if "squeeze" in m.__class__.__name__.lower():
        m.classifier[1] = nn.Conv2d({}, 2, 1)
    """
    assert found(script(text.format(512))) == []
    assert found(script(text.format(513))) == [(row(4), "HC101")]


def test_what_no_model_of_the_library_has_is_asked_of_another():
    assert found(script("    m = models.__dict__[arch]()\n    m.bert.pooler\n")) == []
    assert found(script("    m = models.__dict__[arch]()\n    m.last_linear.weight\n")) == [(row(2), "HC202")]
