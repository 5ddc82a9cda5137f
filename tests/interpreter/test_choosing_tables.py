"""Models chosen from a table of the script's: dicts of builders, the variables of a module, a module of the project."""

from __future__ import annotations

import pytest

from headcheck import events
from headcheck.pipeline import check_file
from headcheck.settings import Settings
from tests.interpreter.test_choosing import ARCH, builders, messages, script
from tests.interpreter.test_modules import executions
from tests.reading import found, paths, read, variable

# -- dicts of builders -----------------------------------------------------------------------------------------------


def test_a_dict_of_builders():
    text = script("""
    NETS = {"small": models.resnet18, "large": models.resnet50, "old": models.vgg16}
    m = NETS[arch]()
    m.fc = nn.Linear(512, 2)
    """)
    assert builders(text) == {"resnet18", "resnet50", "vgg16"}
    assert messages(text) == [("HC201", ("args.arch == 'old'",)), ("HC101", ("args.arch == 'large'",))]


def test_a_dict_of_pairs():
    text = script("""
    NETS = {"small": (models.resnet18, 512), "large": (models.resnet50, 2048)}
    build, size = NETS[arch]
    m = build()
    m.fc = nn.Linear(size, 2)
    """)
    assert builders(text) == {"resnet18", "resnet50"}
    assert found(text) == []


def test_a_dict_of_models_and_functions():
    text = script("""
    def small():
        return models.resnet18()

    NETS = {"small": small, "lambda": lambda: models.vgg16(), "built": models.alexnet()}
    m = NETS[arch] if arch == "built" else NETS[arch]()
    print(m.features)
    """)
    assert builders(text) == {"resnet18", "vgg16", "alexnet"}


def test_a_dict_of_many_builders_is_tried_by_the_kinds_of_their_heads():
    names = ["vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    names += ["densenet121", "densenet161", "wide_resnet50_2", "resnext50_32x4d", "mobilenet_v2", "squeezenet1_1"]
    text = script(f"""
    NETS = {{{", ".join(f"'{name}': models.{name}" for name in names)}}}
    m = NETS[arch]()
    if arch.startswith("mobile"):
        m.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1024, 2))
    elif arch.startswith("squeeze"):
        m.classifier[1] = nn.Conv2d(512, 2, 1)
    """)
    assert {"vgg11", "resnet18", "resnet50", "densenet121", "mobilenet_v2", "squeezenet1_1"} <= builders(text)
    assert messages(text) == [("HC101", ("args.arch == 'mobilenet_v2'",))]


@pytest.mark.parametrize(
    ("small", "large", "call"),
    [
        ("timm.models.convnext.convnext_tiny", "timm.models.convnext.convnext_base", "()"),
        ("pretrainedmodels.resnet18", "pretrainedmodels.resnet50", "()"),
        ("functools.partial(timm.create_model, 'resnet18')", "functools.partial(timm.create_model, 'resnet50')", "()"),
        ("smp.Unet", "smp.FPN", "(encoder_name='resnet34')"),
        ("EfficientNet.from_name", "EfficientNet.from_pretrained", "('efficientnet-b0')"),
        ("BertForSequenceClassification", "BertForTokenClassification", ".from_pretrained('bert-base-uncased')"),
        (
            "BertForSequenceClassification.from_pretrained",
            "RobertaForSequenceClassification.from_pretrained",
            "('bert-base-uncased')",
        ),
    ],
)
def test_a_dict_of_what_any_library_makes_models_with(small, large, call):
    text = script(f"""
    import functools, pretrainedmodels, timm
    import segmentation_models_pytorch as smp
    from efficientnet_pytorch import EfficientNet
    from transformers import BertForSequenceClassification, BertForTokenClassification, RobertaForSequenceClassification
    m = {{"small": {small}, "large": {large}}}[arch]{call}
    """)
    assert [len(execution.models) for execution in paths(text)] == [1, 1]


def test_a_builder_chosen_in_a_function_of_its_own():
    text = script("""
    NETS = {"small": models.resnet18, "large": models.resnet50}

    def make(name):
        build = NETS[name]
        return build()

    m = make(arch)
    m.fc = nn.Linear(512, 2)
    """)
    assert builders(text) == {"resnet18", "resnet50"}
    assert messages(text) == [("HC101", ("args.arch == 'large'",))]


def test_a_builder_chosen_in_a_method():
    text = script("""
    class Net(nn.Module):
        nets = {"small": models.resnet18, "large": models.resnet50}

        def __init__(self, name):
            super().__init__()
            self.name = name
            self.m = self.make()
            self.m.fc = nn.Linear(512, 2)

        def make(self):
            build = self.nets[self.name]
            return build()

        def forward(self, x):
            return self.m(x)

    net = Net(arch)
    """)
    assert messages(text) == [("HC101", ("args.arch == 'large'",))]


def test_other_dicts_do_not_split_a_path():
    text = script("""
    LOSSES = {"ce": nn.CrossEntropyLoss, "mse": nn.MSELoss}
    loss = LOSSES[arch]()
    m = models.resnet18()
    """)
    assert len(paths(text)) == 1


def test_a_dict_asked_with_get():
    text = script("""
    NETS = {"small": models.resnet18, "large": models.resnet50}
    build = NETS.get(arch)
    if build is None:
        raise ValueError(arch)
    m = build()
    m.fc = nn.Linear(m.fc.in_features, 2)
    """)
    assert builders(text) == {"resnet18", "resnet50"}
    assert found(text) == []


def test_the_variables_of_a_module_with_a_star_import():
    text = script("""
    from torchvision.models import *
    m = globals()[arch]()
    m.fc = nn.Linear(m.fc.in_features, 2)
    """)
    assert "resnet50" in builders(text)
    assert found(text) == []


def test_the_variables_of_a_module_with_builders_of_its_own():
    text = script("""
    from torchvision.models import resnet18, vgg16
    def small():
        return models.resnet34()
    m = globals().get(arch)()
    m.fc = nn.Linear(m.fc.in_features, 2)
    n = globals()["resnet18"]()
    n.fc = nn.Linear(513, 2)
    """)
    assert builders(text) >= {"resnet18", "resnet34"}
    assert [code for _, code in found(text)] == ["HC101"]


def test_variables_that_another_module_may_have_brought_are_not_known():
    text = script("""
    from elsewhere import *
    from torchvision.models import resnet18
    if "net" in globals():
        m = models.resnet18()
        m.fc = nn.Linear(513, 2)
    """)
    assert [code for _, code in found(text)] == ["HC101"]


def test_the_hub():
    text = script("""
    m = torch.hub.load("pytorch/vision:v0.10.0", arch, pretrained=True)
    m.fc = nn.Linear(m.fc.in_features, 2)
    """)
    assert "resnet50" in builders(text)
    assert found(text) == []


def test_a_dict_beside_the_models_lists_them():
    text = script("""
    SIZES = {"resnet18": 512, "resnet50": 2048}
    m = getattr(models, arch)()
    m.fc = nn.Linear(SIZES[arch], 2)
    """)
    assert builders(text) == {"resnet18", "resnet50"}
    assert found(text) == []


def test_what_a_dict_says_of_a_model_goes_with_it():
    text = script("""
    HEADS = {"resnet18": "fc", "vgg16": ["classifier", 6]}
    m = getattr(models, arch)()
    head = HEADS[arch]
    if isinstance(head, list):
        m.classifier[head[1]] = nn.Linear(getattr(m, head[0])[head[1]].in_features, 2)
    else:
        setattr(m, head, nn.Linear(getattr(m, head).in_features, 2))
    """)
    assert builders(text) == {"resnet18", "vgg16"}
    assert found(text) == []


def test_a_long_list_is_not_tried_name_by_name():
    names = [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "vgg11",
        "vgg13",
        "vgg16",
        "vgg19",
        "vit_b_16",
        "vit_l_16",
    ]
    table = {
        name: {"head": ["heads"] if "vit" in name else ["classifier", 6] if "vgg" in name else ["fc"]} for name in names
    }
    table |= {f"{name}_2": {"head": ["heads"]} for name in names}
    text = script(f"""
    TABLE = {table}
    if arch not in TABLE.keys():
        raise ValueError(arch)
    head = TABLE[arch]["head"]
    m = getattr(models, arch)()
    part = getattr(m, head[0])
    if head[0] == "heads":
        m.heads = nn.Linear(part.head.in_features, 2)
    """)
    assert found(text) == []
    few = text.replace(str(table), str({name: table[name] for name in names[::4]}))
    assert found(few) == []


# -- modules of the project -------------------------------------------------------------------------------------------


NETS = """
from torch import nn
from torchvision.models import resnet18, vgg16
from torchvision.models.resnet import model_urls

def small(classes):
    m = resnet18()
    m.fc = nn.Linear(512, classes)
    return m

def large(classes):
    m = vgg16()
    m.classifier[6] = nn.Linear(4096, classes)
    return m

def _other(classes):
    return resnet18()
"""


@pytest.mark.parametrize("build", ["nets.__dict__[arch]", "getattr(nets, arch)", "vars(nets)[arch]"])
def test_a_builder_of_the_projects_own_module(build):
    script = f"import nets\n{ARCH.format(more='')}".replace("\n    ", "\n") + f"m = {build}(classes=3)\n"
    names = {variable(e, "m") for e in executions(script, nets=NETS)}
    assert names == {"torchvision.models.resnet18", "torchvision.models.vgg16", "?"}
    assert not any([*execution.of(events.UnknownName)] for execution in executions(script, nets=NETS))


CALLED = """
def small(m, classes): m.head = nn.Linear(768, classes)
class Large:
    def __init__(self, m, classes): m.head = nn.Linear({size}, classes)
CHANGE = {{"small": small, "large": Large{more}}}
m = models.swin_t()
def run(names, **given):
    for name in names:
        CHANGE[name](classes=3, **given)
run(sys.argv[1:], m=m)
"""


def test_a_function_from_a_table_that_is_handed_a_model():
    script = f"import sys\n{CALLED}"
    assert found(script.format(size=768, more="")) == []
    assert found(script.format(size=512, more="")) == [(5, "HC101")]
    assert read(script.format(size=768, more="")).statistics[:2] == (2, 2)
    assert read(script.format(size=768, more=", 'library': torch.save")).statistics[:2] == (2, 0)


TABLE = """
from torchvision import models

NETS = [models.resnet18, models.resnet50, models.resnet101, models.vgg16]

def _made(number): return NETS[number](weights="DEFAULT")
def slim(): return _made(0)
def wide(): return _made(1)
def wider(): return _made(2)
def other(): return _made(3)
def _wide(): return 3
"""


@pytest.mark.parametrize("build", ["nets.__dict__[arch]()", "eval('nets.{}()'.format(arch))"])
@pytest.mark.parametrize(
    ("test", "size", "findings"),
    [
        ("'slim' in arch", 512, []),
        ("'slim' in arch", 2048, ["HC101"]),
        ("'wide' in arch", 512, ["HC101"]),
        ("'wide' in arch", 2048, []),
        ("arch[:1] in ('s', 'w')", 7, []),  # the one that is followed stands for the others
        ("arch", 7, None),
    ],
)
def test_what_a_test_of_the_name_leaves_of_a_module(tmp_path, build, test, size, findings):
    script = f"""import nets
from torch import nn
def make(arch):
    if {test}:
        m = {build}
        m.fc = nn.Linear({size}, 2)
"""
    for name, text in (("nets.py", TABLE), ("train.py", script)):
        (tmp_path / name).write_text(text)
    result = check_file(str(tmp_path / "train.py"), None, Settings(confirm=False))
    assert result.statistics[:2] == (1, findings is not None)
    assert [f.code for f in result.findings] == (findings or [])


def test_names_of_old_versions_are_no_misspelt_builders():
    assert found("from torchvision.models.resnet import model_urls\nmodel_urls['resnet18']()") == []
    assert found("models.resnet.load_state_dict_from_url('https://x')") == []
    assert found("models.resnet51()") == [(1, "HC205")]


@pytest.mark.parametrize(
    "line",
    ["S, L = nn.modules.Sequential, nn.modules.Linear", "from torch.nn.modules import Sequential as S, Linear as L"],
)
def test_layers_under_the_name_of_their_package(line):
    assert found(f"{line}\nm = S(L(1, 2), L(2, 3))\nm[1].out_features\nm[0]") == []
    assert found(f"{line}\nm = S(L(1, 2), L(2, 3))\nm[2]") == [(3, "HC202")]


def test_parts_by_name_of_a_model_that_is_open():
    text = """
    def build(arch, classes):
        m = models.__dict__[arch]()
        m._modules["classifier"][-1] = nn.Linear(m._modules["classifier"][-1].in_features{more}, classes)
        return m
    """
    assert messages(text.format(more="")) == []
    assert [code for code, _ in messages(text.format(more=" + 1"))] == ["HC101"]
