"""Looking up models, layers and names, without torch."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from headcheck import catalog
from headcheck.catalog import files, nodes
from headcheck.catalog.entry import Entry, Plain

MODELS = "torchvision.models"
GOOGLENET_WITH_AUXILIARY = ("aux1.fc2", "aux2.fc2", "fc")


def entry(builder: str, weights: bool | str = False, **keywords: Plain) -> Entry:
    found = catalog.find(f"{MODELS}.{builder}", keywords, weights)
    assert found is not None
    return found


def paths(found: Entry) -> tuple[str, ...]:
    return tuple(head.path for head in found.heads)


def test_no_lookup_imports_torch() -> None:
    code = (
        "import sys; from headcheck import catalog; from headcheck.catalog import describe; "
        "catalog.find('torchvision.models.resnet50', {}, True); catalog.layer('torch.nn.Linear'); "
        "catalog.names('torch.nn'); describe.describe('vgg16'); "
        "print([m for m in ('torch', 'torchvision', 'libcst', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_lookup_reads_the_library_asked_for_and_decodes_only_what_is_looked_at() -> None:
    files.load.cache_clear()
    found = catalog.find(f"{MODELS}.resnet152", {"num_classes": 123}, False)
    assert found is not None
    assert files.load.cache_info().currsize == 1
    decoder = found.root.children._decoder  # type: ignore[attr-defined]
    assert isinstance(decoder, nodes.Decoder)
    assert len(decoder._nodes) == 2  # The root and the head; the model has 287 modules.


def test_data_files_stay_small() -> None:
    contents = [path.read_bytes() for path in (Path(catalog.__file__).parent / "data").iterdir()]
    assert sum(map(len, contents)) <= 1_200_000
    assert sum(map(_deflated, contents)) <= 150_000  # in the wheel


def _deflated(content: bytes) -> int:
    """How long a file is in a wheel: deflated by itself, with the usual effort."""
    writer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return len(writer.compress(content) + writer.flush())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torchvision.models.resnet50", "torchvision.models.resnet50"),
        ("torchvision.models.resnet.resnet50", "torchvision.models.resnet50"),
        ("torchvision.models.vision_transformer.vit_b_16", "torchvision.models.vit_b_16"),
        ("torchvision.models.segmentation.deeplabv3.deeplabv3_resnet50", f"{MODELS}.segmentation.deeplabv3_resnet50"),
        ("torchvision.models.detection.fasterrcnn_resnet50_fpn", f"{MODELS}.detection.fasterrcnn_resnet50_fpn"),
        ("torchvision.models.quantization.resnet.resnet50", f"{MODELS}.quantization.resnet50"),
        ("torchvision.models.resnet51", None),
        ("torchvision.models.ResNet", None),
        ("mymodels.resnet50", None),
        ("resnet50", None),
    ],
)
def test_canonical(name: str, expected: str | None) -> None:
    assert catalog.canonical(name) == expected


def test_registered_names() -> None:
    names = catalog.registered()
    assert len(names) == 121
    assert catalog.model_builder("resnet50") == f"{MODELS}.resnet50"
    assert catalog.model_builder("ResNet50") == f"{MODELS}.resnet50"
    assert catalog.model_builder("quantized_resnet50") == f"{MODELS}.quantization.resnet50"
    assert catalog.model_builder("resnet51") is None
    assert all(catalog.model_builder(name) for name in names)


def test_how_heads_were_found() -> None:
    found = [catalog.find(str(catalog.model_builder(name)), {}, False) for name in catalog.registered()]
    methods = [each.method for each in found if each is not None]
    # Swin3d changes a list while it runs, RAFT has no head to find: torch.fx follows all others but detection.
    assert {method: methods.count(method) for method in methods} == {"fx": 104, "autograd": 5, "detection": 12}


def test_a_model() -> None:
    found = entry("resnet50")
    assert (found.builder, found.task, found.method, found.input) == (
        "torchvision.models.resnet50",
        "classification",
        "fx",
        (3, 224, 224),
    )
    (head,) = found.heads
    assert (head.path, head.kind, head.in_features, head.out_features) == ("fc", "torch.nn.Linear", 2048, 1000)
    assert (head.shape, head.auxiliary, head.train, head.eval, head.outputs) == ((2048,), False, True, True, ("",))
    assert found.root.total == 25_557_032
    assert list(found.root.children) == [
        *("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
    ]
    assert found.inputs["layer4"] == (1024, None, None)
    assert found.outputs["avgpool"] == (2048, 1, 1)
    assert found.used >= set(found.root.children)
    block = found.root.children["layer1"].children["0"]
    assert block.kind == "torchvision.models.resnet.Bottleneck"
    assert block.children["conv2"].parameters == {"weight": (64, 64, 3, 3)}
    assert block.children["conv2"].values["kernel_size"] == (3, 3)
    assert block.children["conv2"].values["bias"] is None
    assert "expansion" in block.attributes
    assert found.root.children["layer1"].children["1"] is found.root.children["layer1"].children["2"]


def test_the_input_of_a_container_is_not_that_of_its_last_layer() -> None:
    found = entry("vgg16")
    assert found.inputs["classifier"] == (25088,)
    assert found.inputs["classifier.6"] == (4096,)
    assert entry("mobilenet_v3_large").inputs["classifier"] == (960,)
    assert entry("convnext_tiny").inputs["classifier"] == (768, 1, 1)
    assert entry("squeezenet1_0").inputs["classifier"] == (512, None, None)
    assert entry("maxvit_t").inputs["classifier"] == (512, 7, 7)


def test_classes_are_put_in_wherever_they_matter() -> None:
    found = entry("googlenet", num_classes=7)
    assert {head.out_features for head in found.heads} == {7}
    assert found.root.children["aux1"].children["fc2"].values["out_features"] == 7
    assert found.root.children["fc"].parameters == {"weight": (7, 1024), "bias": (7,)}
    assert found.outputs["fc"] == (7,)
    assert found.root.total == entry("googlenet").root.total - 993 * 3 * 1025
    boxes = entry("detection.fasterrcnn_resnet50_fpn", num_classes=3)
    assert [head.out_features for head in boxes.heads] == [3, 12]
    assert entry("detection.retinanet_resnet50_fpn", num_classes=3).heads[0].out_features == 27
    points = entry("detection.keypointrcnn_resnet50_fpn", num_keypoints=5)
    assert [head.out_features for head in points.heads] == [2, 8, 5]


def test_weights_decide_the_auxiliary_heads() -> None:
    assert paths(entry("googlenet")) == GOOGLENET_WITH_AUXILIARY
    assert paths(entry("googlenet", True)) == ("fc",)
    assert paths(entry("googlenet", "IMAGENET1K_V1", aux_logits=True)) == GOOGLENET_WITH_AUXILIARY
    assert paths(entry("googlenet", aux_logits=False)) == ("fc",)
    assert paths(entry("inception_v3", "DEFAULT")) == ("AuxLogits.fc", "fc")
    assert paths(entry("inception_v3", True, aux_logits=False)) == ("fc",)
    segmentation = "segmentation.deeplabv3_resnet50"
    assert paths(entry(segmentation)) == ("classifier.4",)
    assert paths(entry(segmentation, True)) == ("classifier.4", "aux_classifier.4")
    assert paths(entry(segmentation, True, aux_loss=None)) == ("classifier.4", "aux_classifier.4")
    assert paths(entry(segmentation, aux_loss=True)) == ("classifier.4", "aux_classifier.4")
    assert paths(entry(segmentation, aux_loss=False)) == ("classifier.4",)
    auxiliary = entry("inception_v3").heads[0]
    assert (auxiliary.auxiliary, auxiliary.train, auxiliary.eval) == (True, True, False)
    assert entry(segmentation, True).heads[1].eval


def test_weights_decide_the_image_size() -> None:
    assert entry("vit_h_14").input == (3, 224, 224)
    swag = entry("vit_h_14", "IMAGENET1K_SWAG_E2E_V1")
    assert (swag.input, swag.inputs["encoder"]) == ((3, 518, 518), (37 * 37 + 1, 1280))
    assert swag.root.children["encoder"].parameters["pos_embedding"] == (1, 37 * 37 + 1, 1280)
    assert entry("vit_b_16", "IMAGENET1K_SWAG_E2E_V1").input == (3, 384, 384)
    assert entry("vit_l_16", "IMAGENET1K_SWAG_E2E_V1").input == (3, 512, 512)
    assert entry("vit_b_16", image_size=384).input == (3, 384, 384)
    assert entry("vit_b_16").inputs["encoder"] == (197, 768)
    assert entry("vit_b_16", True).inputs["encoder"] == (None, 768)  # One of three weights, with two image sizes.
    assert entry("regnet_y_16gf", "IMAGENET1K_SWAG_E2E_V1").input == (3, 384, 384)
    assert entry("regnet_y_16gf", "IMAGENET1K_V1").input == (3, 224, 224)


def test_expected_inputs() -> None:
    assert entry("inception_v3").input == (3, 299, 299)
    assert entry("video.r3d_18").input == (3, 16, 112, 112)
    assert entry("video.s3d").input == (3, 16, 224, 224)
    assert entry("segmentation.fcn_resnet50").input == (3, 224, 224)


def test_keywords_without_effect_on_the_structure() -> None:
    plain = entry("resnet50")
    for keywords in ({"zero_init_residual": True}, {"groups": 1, "width_per_group": 64}, {"progress": False}):
        assert entry("resnet50", **keywords).heads == plain.heads
    dropped = entry("efficientnet_b0", dropout=0.5).root.children["classifier"].children["0"]
    assert "p" not in dropped.values and "p" in dropped.attributes
    assert entry("detection.fasterrcnn_resnet50_fpn", min_size=300, box_score_thresh=0.5).heads


def test_nothing_is_said_where_a_keyword_may_change_anything() -> None:
    for keywords in ({"width_per_group": 128}, {"nonsense": 1}, {"num_classes": "ten"}, {"num_classes": True}):
        assert catalog.find(f"{MODELS}.resnet50", keywords, False) is None
    assert catalog.find(f"{MODELS}.vit_b_16", {"image_size": 400}, False) is None
    assert catalog.find(f"{MODELS}.resnext50_32x4d", {"groups": 1}, False) is None
    assert catalog.find(f"{MODELS}.mobilenet_v2", {"width_mult": 0.5}, False) is None
    assert catalog.find(f"{MODELS}.resnet51", {}, False) is None


def test_keywords_for_the_worker() -> None:
    def keywords(builder: str, weights: bool | str, **passed: Plain) -> dict[str, Plain]:
        return catalog.worker_keywords(f"{MODELS}.{builder}", passed, weights)

    assert keywords("resnet50", True, num_classes=1000, progress=False) == {"num_classes": 1000}
    assert keywords("googlenet", True) == {"aux_logits": False, "init_weights": False}
    assert keywords("googlenet", False) == {"init_weights": False}
    assert keywords("segmentation.deeplabv3_resnet50", True) == {"aux_loss": True}
    assert keywords("vit_h_14", "IMAGENET1K_SWAG_E2E_V1", dropout=0.1) == {"image_size": 518, "dropout": 0.1}
    with pytest.raises(KeyError):
        keywords("resnet51", False)


def test_signatures() -> None:
    found = catalog.signature(f"{MODELS}.detection.fasterrcnn_resnet50_fpn")
    assert found.variadic
    assert list(found.parameters)[:3] == ["weights", "progress", "num_classes"]
    linear = catalog.layer("torch.nn.Linear")
    assert linear is not None
    assert list(linear.parameters)[:3] == ["in_features", "out_features", "bias"]
    assert linear.parameters["in_features"] == catalog.REQUIRED
    assert catalog.layer("torch.nn.modules.linear.Linear") == linear
    predictor = catalog.layer("torchvision.models.detection.faster_rcnn.FastRCNNPredictor")
    assert predictor is not None and list(predictor.parameters) == ["in_channels", "num_classes"]
    assert catalog.layer("torchvision.ops.misc.Conv2dNormActivation") == catalog.layer(
        "torchvision.ops.Conv2dNormActivation"
    )
    assert catalog.layer("torchvision.models.segmentation.deeplabv3.DeepLabHead") is not None
    assert catalog.layer("torch.nn.Parameter") is None
    assert catalog.layer("mymodule.Linear") is None


def test_attributes() -> None:
    assert {"in_features", "out_features", "weight", "bias"} <= catalog.layer_attributes("torch.nn.Linear")
    assert {"running_mean", "affine", "num_features"} <= catalog.layer_attributes("torch.nn.BatchNorm2d")
    assert {"append", "insert"} <= catalog.layer_attributes("torch.nn.Sequential")
    assert not {"forward", "parameters", "training"} & catalog.layer_attributes("torch.nn.Linear")
    assert {"parameters", "training", "requires_grad_", "add_module"} <= catalog.module_attributes()
    assert catalog.layer_attributes("torch.nn.Nothing") == frozenset()


def test_names() -> None:
    assert {"resnet50", "ResNet50_Weights", "resnet", "detection"} <= catalog.names("torchvision.models")
    assert {"Linear", "Sequential", "functional"} <= catalog.names("torch.nn")
    assert {"SGD", "Adam", "lr_scheduler"} <= catalog.names("torch.optim")
    assert "cross_entropy" in catalog.names("torch.nn.functional")
    assert "fasterrcnn_resnet50_fpn" in catalog.names("torchvision.models.detection")
    assert catalog.names("torchvision.models.nothing") == frozenset()
    assert catalog.names("numpy") == frozenset()


def test_weights() -> None:
    expected = {"IMAGENET1K_V1": 1000, "IMAGENET1K_V2": 1000, "DEFAULT": 1000}
    assert catalog.weights(f"{MODELS}.ResNet50_Weights") == expected
    assert catalog.weights(f"{MODELS}.resnet.ResNet50_Weights") == expected
    assert catalog.weights(f"{MODELS}.ResNet51_Weights") is None
    assert catalog.weights_of(f"{MODELS}.resnet.resnet50") == f"{MODELS}.ResNet50_Weights"
    assert catalog.weights_of(f"{MODELS}.resnet51") is None
    for name in catalog.registered():
        assert catalog.weights(str(catalog.weights_of(str(catalog.model_builder(name)))))


def test_nearest() -> None:
    assert catalog.nearest("resnet55", catalog.registered())[0] == "resnet50"
    assert catalog.nearest("zzzzzz", catalog.registered()) == ()


def test_children_come_in_their_order_whichever_is_asked_for_first() -> None:
    """Those of a model are decoded one by one, and kept."""
    children = entry("squeezenet1_1").root.children["classifier"].children
    for name in reversed(list(children)):
        assert children[name].kind
    assert [name for name, _ in children.items()] == list(children) == ["0", "1", "2", "3"]
    assert list(children.values()) == [children[name] for name in children]
