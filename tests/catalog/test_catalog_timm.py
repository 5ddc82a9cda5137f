"""Looking up timm's, transformers' and efficientnet_pytorch's models, without any of these libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headcheck import catalog
from headcheck.catalog import efficientnet, timm, transformers
from headcheck.catalog.entry import ALL, NAMES, NOTHING, Entry, Plain


def entry(name: str, **keywords: Plain) -> Entry:
    named = timm.resolve(name)
    assert named is not None
    found = timm.find(named, keywords)
    assert found is not None
    return found


def test_no_lookup_imports_a_library() -> None:
    code = (
        "import sys; from headcheck.catalog import efficientnet, timm, transformers; "
        "timm.find(timm.resolve('resnet50'), {}); transformers.find('BertForSequenceClassification', 2, 768); "
        "efficientnet.find('efficientnet-b0', 10); "
        "print([m for m in ('torch', 'timm', 'transformers', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_all_data_files_together_stay_small() -> None:
    sizes = [path.stat().st_size for path in (Path(catalog.__file__).parent / "data").iterdir()]
    assert sum(sizes) < 1_200_000


@pytest.mark.parametrize(
    ("name", "architecture", "tag"),
    [
        ("resnet50", "resnet50", ""),
        ("resnet50.a1_in1k", "resnet50", "a1_in1k"),
        ("tv_resnet50", "resnet50", "tv_in1k"),
        ("vit_base_patch16_224_in21k", "vit_base_patch16_224", "augreg_in21k"),
    ],
)
def test_names(name: str, architecture: str, tag: str) -> None:
    assert timm.resolve(name) == (architecture, tag)


@pytest.mark.parametrize("name", ["resnet51", "ResNet50", "efficientnet-b0", ""])
def test_names_that_timm_does_not_have(name: str) -> None:
    assert timm.resolve(name) is None


def test_a_former_name_is_remembered() -> None:
    assert timm.existed("vit_huge_patch16_224")
    assert not timm.existed("resnet51")


def test_functions_of_timm_models() -> None:
    assert timm.canonical("timm.models.resnet50") == "timm.models.resnet50"
    assert timm.canonical("timm.models.resnet.resnet50") == "timm.models.resnet50"
    assert timm.canonical("timm.models.tv_resnet50") == "timm.models.resnet50"
    assert timm.canonical("timm.models.vgg.resnet50") is None
    assert timm.canonical("timm.models.ResNet") is None
    assert "resnet50" in catalog.names("timm.models")
    assert "create_model" in catalog.names("timm")


def test_a_head_and_what_reaches_it() -> None:
    found = entry("resnet50", num_classes=10)
    (head,) = found.heads
    assert (head.path, head.kind, head.in_features, head.out_features) == ("fc", "torch.nn.Linear", 2048, 10)
    assert found.inputs["fc"] == (2048,)
    assert found.answers["forward_features"] == (2048, None, None)


def test_a_composite_head_gets_a_map() -> None:
    found = entry("swin_tiny_patch4_window7_224")
    assert [head.path for head in found.heads] == ["head.fc"]
    assert found.inputs["head"] == (7, 7, 768)
    assert found.outputs["head"] == (1000,)


def test_without_classes_there_is_no_head() -> None:
    found = entry("mobilenetv3_large_100", num_classes=0)
    assert found.heads == ()
    assert found.root.children["classifier"].kind == "torch.nn.Identity"
    assert found.answers["forward"] == (1280,)
    assert "num_features" not in found.root.values  # 1280 until timm 0.9, 960 since
    assert entry("resnet18", num_classes=0, global_pool="").answers["forward"] == (512, None, None)


def test_without_classes_all_of_what_held_the_head_may_be_unknown() -> None:
    found = entry("repvit_m1_1", num_classes=0)
    assert found.heads == ()
    assert found.root.children["head"].known == NOTHING


def test_images_and_parameters() -> None:
    named = timm.resolve("vit_base_patch16_clip_224.openai")
    assert named is not None
    shape, mean, std = timm.images(named)
    assert shape == (3, 224, 224)
    assert [round(number, 3) for number in (*mean, *std)] == [0.481, 0.458, 0.408, 0.269, 0.261, 0.276]
    assert timm.parameters("resnet50") == 25.6
    assert timm.tags("swin_base_patch4_window7_224")["ms_in22k"] == 21841


def test_the_tag_decides_where_the_script_does_not() -> None:
    assert entry("vit_base_patch16_224.augreg_in21k").heads[0].out_features == 21843
    assert entry("vit_base_patch16_224.augreg_in21k", num_classes=5).heads[0].out_features == 5


def test_what_a_keyword_changes_is_no_longer_known() -> None:
    found = entry("resnet18", in_chans=1, drop_rate=0.5)
    assert found.root.children["conv1"].known == NAMES
    assert found.input == (1, 224, 224)
    assert "conv1" not in found.inputs
    assert found.root.children["fc"].known == ALL
    assert entry("resnet18", drop_path_rate=timm.UNKNOWN_VALUE).root.children["layer1"].known == NOTHING
    named = timm.resolve("resnet18")
    assert named is not None
    assert timm.find(named, {"block_args": 1}) is None


def test_what_lies_below_is_known_by_name() -> None:
    block = entry("resnet18").root.children["layer1"].children["0"]
    assert block.known == NAMES
    assert "conv1" in block.children
    assert block.children["conv1"].kind == "torch.nn.Conv2d"
    assert block.children["conv1"].parameters == {"weight": None}


def test_checkpoints_and_classes_of_transformers() -> None:
    known = transformers.checkpoint("google/vit-base-patch16-224")
    assert known == ("vit", "ViTForImageClassification", 1000, 768)
    assert transformers.checkpoint("me/my-model") is None
    assert transformers.chosen("AutoModelForSequenceClassification", "xlm-roberta") == (
        "XLMRobertaForSequenceClassification"
    )
    assert not transformers.is_known("BertForMaskedLM")


@pytest.mark.parametrize("hidden", [768, 1024, None])
def test_a_head_of_transformers(hidden: int | None) -> None:
    found = transformers.find("RobertaForSequenceClassification", 5, hidden)
    assert found is not None
    (head,) = found.heads
    assert (head.path, head.in_features, head.out_features) == ("classifier.out_proj", hidden, 5)
    assert found.inputs["classifier"] == (None, hidden)
    layer = found.root.children["classifier"].children["out_proj"]
    assert layer.values["out_features"] == 5
    assert layer.values.get("in_features") == hidden
    assert found.root.children["roberta"].known == NOTHING
    assert "dense" in found.root.children["classifier"].children


def test_efficientnet_pytorch() -> None:
    found = efficientnet.find("efficientnet-b3", 4)
    assert found is not None
    assert [(head.path, head.in_features, head.out_features) for head in found.heads] == [("_fc", 1536, 4)]
    assert found.answers["extract_features"] == (1536, None, None)
    assert efficientnet.find("efficientnet_b3", 4) is None
