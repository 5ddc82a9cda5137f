"""What calls of timm, transformers, peft and efficientnet_pytorch mean to a model."""

from __future__ import annotations

import textwrap

import pytest

from headcheck import pipeline


def codes(script: str) -> list[tuple[int, str]]:
    found = pipeline.check_text(textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in found]


def of_a_head(build: str, replace: str = "model.fc = nn.Linear(512, 3)") -> list[str]:
    """The codes of what is found where a model is built and its head replaced."""
    script = f"import timm\nimport torch\nfrom torch import nn\n{build}\n{replace}\n"
    return [code for _, code in codes(script)]


@pytest.mark.parametrize(
    "build",
    [
        "model = timm.create_model('resnet50')",
        "model = timm.create_model('resnet50.a1_in1k', pretrained=True)",
        "model = timm.create_model(model_name='tv_resnet50', pretrained=True, num_classes=9, drop_rate=0.1)",
        "model = timm.models.resnet50(pretrained=True)",
        "from timm.models import resnet50\nmodel = resnet50()",
        "from timm.models.resnet import resnet50 as make\nmodel = make(num_classes=5)",
        "model = timm.create_model('resnet50', pretrained=True, checkpoint_path='best.pth')",
        "model = timm.create_model('resnet50', in_chans=1, num_classes=open('n').read())",
        "model = timm.create_model('resnet50', pretrained_cfg='a1_in1k', global_pool='avg')",
        "model = timm.create_model('resnet50', pretrained_cfg_overlay=dict(file='w.bin'))",
        "model = timm.create_model('hf_hub:timm/resnet50.a1_in1k')",
        "model = timm.create_model('hf-hub:timm/resnet50.a1_in1k@main', pretrained=True)",
    ],
)
def test_models_by_name(build: str) -> None:
    assert of_a_head(build) == ["HC101"]


@pytest.mark.parametrize(
    "build",
    [
        "model = timm.create_model('resnet50', features_only=True)",
        "model = timm.create_model('hf-hub:me/resnet50', pretrained=True)",
        "model = timm.create_model('hf_hub:timm/resnet49.a1_in1k')",
        "model = timm.create_model('resnet50', block_args={})",
        "model = timm.create_model('resnet50', **settings)",
        "model = timm.create_model('resnet50', global_pool='catavgmax')",
        "model = timm.create_model('resnet50', pretrained_cfg_overlay=overlay)",
        "model = timm.create_model(name)",
        "model = timm.models.ResNet(block, [3, 4, 6, 3])",
    ],
)
def test_models_that_are_not_known(build: str) -> None:
    assert of_a_head(build) == []


def test_a_name_that_a_test_makes_known() -> None:
    script = """
        import argparse
        import timm
        from torch import nn
        parser = argparse.ArgumentParser()
        parser.add_argument("--arch", choices=["resnet50", "resnet18"])
        args = parser.parse_args()
        model = timm.create_model(args.arch, pretrained=True)
        if args.arch == "resnet50":
            model.fc = nn.Linear(512, 10)
        """
    assert codes(script) == [(10, "HC101")]


@pytest.mark.parametrize(
    "line",
    [
        "from timm.models import register_model",
        "import my_models",
        "from .models import *",
        "from models import net",
        "import vision_models_of_mine",
    ],
)
def test_names_that_others_may_have_registered(line: str) -> None:
    assert codes(f"import timm\n{line}\nmodel = timm.create_model('resnet51')\n") == []


@pytest.mark.parametrize("line", ["import numpy as np", "import albumentations as A", "from einops import rearrange"])
def test_names_that_nobody_registered(line: str) -> None:
    assert codes(f"import timm\n{line}\nmodel = timm.create_model('resnet51')\n") == [(3, "HC205")]


def test_former_names_are_known() -> None:
    assert codes("import timm\nmodel = timm.create_model('vit_huge_patch16_224')\n") == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("model.reset_classifier(5)", []),
        ("model.get_classifier().out_features = 5", ["HC103"]),
        ("model.head = nn.Linear(model.get_classifier().in_features, 5)", []),
        ("model.head = nn.Linear(model.num_features, 5)", []),
        ("model.head = nn.Linear(model.num_features * 2, 5)", ["HC101"]),
        ("model.reset_classifier(0)\nmodel.head = nn.Linear(192, 5)", []),
        ("model.reset_classifier(0)\nmodel.head = nn.Linear(768, 5)", ["HC101"]),
        ("model.heads = nn.Linear(192, 5)", ["HC201"]),
        ("width = model.fc.in_features", ["HC202"]),
        ("width = model.blocks[11].mlp.fc2.out_features", []),
        ("width = model.blocks[11].something_new", []),
        ("last = model.blocks[12]", ["HC202"]),
    ],
)
def test_a_vision_transformer(lines: str, found: list[str]) -> None:
    assert of_a_head("model = timm.create_model('vit_tiny_patch16_224', pretrained=True)", lines) == found


def test_features_before_the_head_take_the_model_apart() -> None:
    script = """
        import timm
        import torch
        from torch import nn
        model = timm.create_model("resnet18", pretrained=True)
        model.fc = nn.Linear(100, 3)
        features = model.forward_features(torch.zeros(1, 3, 64, 64))
        """
    assert codes(script) == []


def test_a_head_of_its_own_is_fed_by_the_map() -> None:
    script = """
        import timm
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.trunk = timm.create_model("resnet18", pretrained=True, num_classes=0, global_pool="")
                self.fc = nn.Linear(2048, 3)
            def forward(self, x):
                return self.fc(self.trunk(x).mean((2, 3)))
        """
    assert codes(script) == [(8, "HC101")]


def of_transformers(lines: str) -> list[str]:
    kinds = ("Image", "Sequence", "Audio", "Video")
    names = ", ".join(["AutoConfig", "Trainer", *(f"AutoModelFor{kind}Classification" for kind in kinds)])
    head = f"import torch\nfrom torch import nn\nfrom transformers import {names}\n"
    return [code for _, code in codes(head + textwrap.dedent(lines))]


VIT = "AutoModelForImageClassification.from_pretrained('google/vit-base-patch16-224'"
SPEECH, CLIPS = "MIT/ast-finetuned-speech-commands-v2", "facebook/timesformer-base-finetuned-k400"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (f"m = {VIT}, num_labels=3)", ["HC407"]),
        (f"m = {VIT}, num_labels=1000)", []),
        (f"m = {VIT}, num_labels=n)", []),
        (f"m = {VIT}, num_labels=3, ignore_mismatched_sizes=flag)", []),
        (f"m = {VIT}, num_labels=3, **more)", []),
        (f"m = {VIT}, id2label={{0: 'a', 1: 'b'}})", ["HC407"]),
        (
            f"c = AutoConfig.from_pretrained('google/vit-base-patch16-224', num_labels=3)\nm = {VIT}, config=c)",
            ["HC407"],
        ),
        (
            f"c = AutoConfig.from_pretrained('google/vit-base-patch16-224')\nc.num_labels = 3\nm = {VIT}, config=c)",
            ["HC407"],
        ),
        (f"m = {VIT}, config=c)", []),
        ("m = AutoModelForSequenceClassification.from_pretrained('bert-base-uncased', num_labels=3)", []),
        ("m = AutoModelForSequenceClassification.from_pretrained('dslim/bert-base-NER', num_labels=3)", []),
        (f"m = AutoModelForAudioClassification.from_pretrained('{SPEECH}', num_labels=3)", ["HC407"]),
        (f"m = AutoModelForAudioClassification.from_pretrained('{SPEECH}', num_labels=35)", []),
        (f"m = AutoModelForVideoClassification.from_pretrained('{CLIPS}', num_labels=3)", ["HC407"]),
    ],
)
def test_labels_of_checkpoints(lines: str, found: list[str]) -> None:
    assert of_transformers(lines) == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("m.classifier = nn.Linear(768, 5)\nloss = m(x).logits.sum()", []),
        ("m.classifier = nn.Linear(768, 5)\nloss = m(x, labels=y).loss", ["HC111"]),
        ("m.classifier = nn.Linear(768, 5)\nTrainer(model=m, args=a).train()", ["HC111"]),
        ("m.classifier = nn.Sequential(nn.Linear(768, 5), nn.Dropout())\nTrainer(model=m, args=a).train()", ["HC111"]),
        ("m.classifier = nn.Sequential(nn.Linear(768, 5), Own())\nTrainer(model=m, args=a).train()", []),
        ("m.classifier = nn.Linear(768, 5)\nm.config.num_labels = 5\nloss = m(x, labels=y).loss", []),
        ("m.classifier = nn.Linear(768, 5)\nm.num_labels = 5\nloss = m(x, labels=y).loss", []),
        ("m.classifier = nn.Linear(512, 5)", ["HC101"]),
        ("m.fc = nn.Linear(768, 5)", ["HC201"]),
        ("m.fc = nn.Linear(768, 5)\nloss = m.fc(m.vit(x).pooler_output).sum()", []),
        ("m.classifier.out_features = 5", ["HC103"]),
    ],
)
def test_heads_of_transformers(lines: str, found: list[str]) -> None:
    assert of_transformers(f"m = {VIT})\n{lines}") == found


def of_peft(settings: str, after: str = "") -> list[str]:
    script = (
        "from peft import LoraConfig, TaskType, get_peft_model\n"
        "from transformers import AutoModelForSequenceClassification\n"
        "base = AutoModelForSequenceClassification.from_pretrained('bert-base-uncased', num_labels=3)\n"
        f"model = get_peft_model(base, LoraConfig({settings}))\n{after}\n"
    )
    return [code for _, code in codes(script)]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("r=8", ["HC309"]),
        ("r=8, target_modules=['query', 'value']", ["HC309"]),
        ("r=8, modules_to_save=['classifier']", []),
        ("r=8, task_type='SEQ_CLS'", []),
        ("r=8, task_type=TaskType.SEQ_CLS", []),
        ("r=8, task_type=TaskType.FEATURE_EXTRACTION", ["HC309"]),
        ("r=8, task_type=task", []),
        ("r=8, target_modules='all-linear'", []),
        ("r=8, target_modules=['query', 'classifier']", []),
        ("r=8, modules_to_save=names", []),
        ("**settings", []),
    ],
)
def test_what_peft_leaves_trainable(settings: str, found: list[str]) -> None:
    assert of_peft(settings) == found


@pytest.mark.parametrize(
    "after",
    [
        "for p in base.classifier.parameters():\n    p.requires_grad = True",
        "for n, p in model.named_parameters():\n    if 'classifier' in n:\n        p.requires_grad = True",
        "base.load_state_dict(state)",
    ],
)
def test_a_head_that_is_thawed_again(after: str) -> None:
    assert of_peft("r=8", after) == []


def test_efficientnet_pytorch() -> None:
    script = """
        from efficientnet_pytorch import EfficientNet
        from torch import nn
        model = EfficientNet.from_pretrained("efficientnet-b0", num_classes=3)
        model._fc = nn.Linear(1280, 4)
        model.classifier = nn.Linear(1280, 4)
        model._fc = nn.Linear(1536, 4)
        """
    assert codes(script) == [(6, "HC201"), (7, "HC101")]


BODY = """
from torch import nn
from transformers import AutoConfig, AutoModel, BertModel, DistilBertModel

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = {build}
        self.head = nn.Linear(1024, 3)

    def forward(self, ids, mask):
        {lines}

net = Net()
"""
FEEDS = "return self.head(self.body(ids, attention_mask=mask).last_hidden_state[:, 0])"


@pytest.mark.parametrize(
    "build, lines, found",
    [
        ("AutoModel.from_pretrained('bert-base-uncased')", FEEDS, [(9, "HC101")]),
        ("AutoModel.from_pretrained('bert-large-uncased')", FEEDS, []),
        ("AutoModel.from_pretrained('./mine')", FEEDS, []),
        ("AutoModel.from_pretrained('bert-base-uncased', hidden_size=1024, ignore_mismatched_sizes=True)", FEEDS, []),
        ("AutoModel.from_config(AutoConfig.from_pretrained('bert-base-uncased', hidden_size=1024))", FEEDS, []),
        (
            "BertModel.from_pretrained('bert-base-uncased')",
            "_, pooled = self.body(ids, attention_mask=mask, return_dict=False); return self.head(pooled)",
            [(9, "HC101")],
        ),
        (
            "BertModel.from_pretrained('bert-base-uncased')",
            "return self.head(self.body(ids, output_hidden_states=True)[2][-1])",
            [],
        ),
        (
            "DistilBertModel.from_pretrained('distilbert-base-uncased')",
            "return self.head(self.body(ids).pooler_output)",
            [(12, "HC202")],
        ),
        (
            "DistilBertModel.from_pretrained('distilbert-base-uncased')",
            "out = self.body(ids); return out.pooler_output if hasattr(out, 'pooler_output') else out[0]",
            [],
        ),
        (
            "BertModel.from_pretrained('bert-base-uncased', add_pooling_layer=False)",
            "return self.body(ids).pooler_output",
            [],
        ),
    ],
)
def test_a_model_without_a_head_feeds_the_scripts_own(build: str, lines: str, found: list[tuple[int, str]]) -> None:
    assert codes(BODY.format(build=build, lines=lines)) == found


OWN = """
import timm
import torch
from torch import nn
from timm.models.registry import register_model

class Net(nn.Module):
    def __init__(self, num_classes=1000, width=32, **kwargs):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)))

@register_model
def {name}(pretrained=False, **kwargs):
    return Net(width=64, **kwargs)

model = timm.create_model("{name}", pretrained=True, num_classes=7, checkpoint_path="")
model.head = nn.Linear({features}, 3)
model(torch.randn(1, 3, 224, 224))
"""


@pytest.mark.parametrize("name", ["small_net", "resnet50"])
def test_models_that_the_script_registers(name: str) -> None:
    """Under a name of the library's, too, which is then the script's."""
    assert codes(OWN.format(name=name, features=64)) == []
    assert codes(OWN.format(name=name, features=65)) == [(21, "HC105")]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("m._fc = nn.Linear(m._fc.in_features, 3)", []),
        ("m._fc = nn.Linear(1280, 3)", []),  # right for two of them
        ("m._fc = nn.Linear(77, 3)", ["HC101"]),
        ("m.fc = nn.Linear(77, 3)", ["HC201"]),
        ("if name == 'efficientnet-b3':\n        m._fc = nn.Linear(1280, 3)", ["HC101"]),
    ],
)
@pytest.mark.parametrize("make", ["from_pretrained(name)", "from_name(name, num_classes=4)"])
def test_an_efficientnet_whose_name_is_not_known(make: str, lines: str, found: list[str]) -> None:
    head = "from torch import nn\nfrom efficientnet_pytorch import EfficientNet\ndef build(name):\n"
    script = f"{head}    m = EfficientNet.{make}\n    {lines}\n    return m\n"
    assert [code for _, code in codes(script)] == found


NETWORK = """
import timm
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = timm.create_model("efficientnet_b3", pretrained=True, num_classes=0{pool})
        self.head = nn.Linear({width}, 5)

    def forward(self, images):
        features = self.trunk.forward_features(images)
        features = self.trunk.forward_head(features, pre_logits={pre})
        return self.head(features{after})


net = Net()
"""


@pytest.mark.parametrize(
    ("pool", "width", "pre", "after", "found"),
    [
        ("", 1536, True, "", []),
        ("", 1280, True, "", ["HC101"]),
        (', global_pool=""', 1280, True, ".mean((2, 3))", ["HC101"]),
        (', global_pool=""', 1536, True, ".mean((2, 3))", []),
        ("", 1280, False, "", []),
    ],
)
def test_what_follows_the_features(pool: str, width: int, pre: bool, after: str, found: list[str]) -> None:
    script = NETWORK.format(pool=pool, width=width, pre=pre, after=after)
    assert [code for _, code in codes(script)] == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("m.fc = nn.Linear(768, 5)", ["HC201"]),
        ("m.classifier = nn.Linear(768, 5)", []),
        ("m.dropout = nn.Dropout(0.3)", []),
        ("m.notes = nn.Dropout(0.3)", []),
    ],
)
def test_a_head_that_a_model_of_transformers_does_not_use(lines: str, found: list[str]) -> None:
    build = "m = BertForSequenceClassification.from_pretrained('bert-base-uncased', num_labels=5)"
    head = "from torch import nn\nfrom transformers import BertForSequenceClassification\n"
    assert [code for _, code in codes(f"{head}{build}\n{lines}\n")] == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("c = BertConfig(num_labels=3)", ["HC101"]),
        ("c = AutoConfig.from_pretrained('bert-base-uncased', num_labels=3)", ["HC101"]),
        ("c = BertConfig.from_pretrained('bert-base-uncased')\nc.num_labels = 3", ["HC101"]),
        ("c = BertConfig(hidden_size=1024)", []),
        ("c = BertConfig()\nc.hidden_size = 1024", []),
        ("c = BertConfig()\nc.update({'hidden_size': 1024})", []),
        ("c = BertConfig()\nc.dim = 1024", []),
        ("c = BertConfig()\nchange(c)", []),
        ("c = BertConfig.from_pretrained('me/mine')", []),
        ("c = AutoConfig.from_pretrained('bert-base-uncased', hidden_size=1024)", []),
        ("c = BertConfig(**settings)", []),
    ],
)
def test_a_width_that_a_configuration_says(lines: str, found: list[str]) -> None:
    script = (
        "from torch import nn\n"
        "from transformers import AutoConfig, BertConfig, BertForSequenceClassification\n"
        "from elsewhere import change, settings\n"
        f"{lines}\n"
        "m = BertForSequenceClassification(c)\n"
        "m.classifier = nn.Linear(1024, 3)\n"
    )
    assert [code for _, code in codes(script)] == found


def test_an_auto_class_takes_the_kind_of_model_from_the_configuration() -> None:
    script = """
        from torch import nn
        from transformers import AutoConfig, AutoModelForSequenceClassification
        c = AutoConfig.from_pretrained("roberta-large", num_labels=3)
        m = AutoModelForSequenceClassification.from_config(c)
        m.classifier.out_proj = nn.Linear(768, 3)
    """
    assert [code for _, code in codes(script)] == ["HC101"]


def test_names_of_labels_that_are_set_on_a_configuration_count_them() -> None:
    script = """
        from torch import nn
        from transformers import BertConfig, BertForSequenceClassification
        c = BertConfig()
        c.id2label = {0: "a", 1: "b", 2: "c"}
        m = BertForSequenceClassification(c)
        m.classifier = nn.Linear(768, 3)
        m(input_ids=ids, labels=labels).loss.backward()
    """
    assert codes(script) == []


@pytest.mark.parametrize(
    ("part", "expected"),
    [("bert", [(3, "HC202")]), ("score", [(3, "HC202")]), ("distilbert", []), ("base_model", []), ("classifier", [])],
)
def test_parts_of_another_class_of_transformers(part: str, expected: list[tuple[int, str]]) -> None:
    script = f"""\
    from transformers import DistilBertForSequenceClassification
    model = DistilBertForSequenceClassification.from_pretrained("distilbert-base-uncased")
    model.{part}.requires_grad_(False)
    """
    assert codes(script) == expected


def test_a_part_that_is_asked_for_first() -> None:
    script = """\
    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained("distilbert-base-uncased")
    if hasattr(model, "bert"):
        model.bert.requires_grad_(False)
    """
    assert codes(script) == []


def test_no_class_of_transformers_has_an_attribute_named_like_another() -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    from headcheck.catalog import transformers as catalog

    names = catalog.own_names()
    assert {"bert", "vit", "classifier", "score"} <= names
    for kind in catalog.classes():
        entry, made = catalog.find(kind, 2, None), getattr(transformers, kind)
        assert entry is not None
        assert {name for name in names - entry.root.children.keys() if hasattr(made, name)} == set(), kind
