"""`torch.hub.load`: what the entry points of known repositories build."""

from __future__ import annotations

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import torch\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + script, "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


@pytest.mark.parametrize(
    ("arguments", "head", "size"),
    [
        ("'pytorch/vision:v0.10.0', 'resnet18', pretrained=True", "fc", 512),
        ("'pytorch/vision', 'resnet18', weights='IMAGENET1K_V1'", "fc", 512),
        ("'facebookresearch/WSL-Images', 'resnext101_32x8d_wsl'", "fc", 2048),
        ("'facebookresearch/WSL-Images', 'resnext101_32x16d_wsl'", "fc", 2048),
        ("'facebookresearch/WSL-Images', 'resnext101_32x48d_wsl', progress=False", "fc", 2048),
        ("'facebookresearch/barlowtwins:main', 'resnet50'", "fc", 2048),
        ("'facebookresearch/pytorchvideo', model='slow_r50', pretrained=True", "blocks[5].proj", 2048),
        ("'facebookresearch/pytorchvideo:main', 'c2d_r50', model_num_class=7", "blocks[6].proj", 2048),
        ("'facebookresearch/pytorchvideo', 'x3d_s', pretrained=True", "blocks[5].proj", 2048),
        ("'zhanghang1989/ResNeSt', 'resnest50', pretrained=True", "fc", 2048),
        ("'zhanghang1989/ResNeSt:master', 'resnest269', num_classes=7", "fc", 2048),
        ("'facebookresearch/swav:main', 'resnet50', num_classes=10", "fc", 2048),
        ("'facebookresearch/dino:main', 'dino_resnet50', pretrained=True", "fc", 2048),
        ("'facebookresearch/deit:main', 'deit_base_patch16_384', pretrained=True", "head", 768),
        ("'rwightman/pytorch-image-models', 'resnet18d', pretrained=True, num_classes=3", "fc", 512),
        ("'rwightman/gen-efficientnet-pytorch', 'tf_efficientnet_b5_ns', pretrained=True", "classifier", 2048),
        ("'rwightman/gen-efficientnet-pytorch:master', 'mobilenetv3_large_100'", "classifier", 1280),
        ("'huggingface/pytorch-image-models:main', model='vit_base_patch16_224'", "head", 768),
        ("'lukemelas/EfficientNet-PyTorch', 'efficientnet_b3', pretrained='imagenet'", "_fc", 1536),
        ("'lukemelas/EfficientNet-PyTorch', 'efficientnet_b3', pretrained=None, num_classes=2", "_fc", 1536),
        (
            "'Cadene/pretrained-models.pytorch', 'xception', num_classes=1000, pretrained='imagenet'",
            "last_linear",
            2048,
        ),
    ],
)
def test_a_repository_that_is_known(arguments: str, head: str, size: int) -> None:
    script = f"m = torch.hub.load({arguments}, force_reload=False)\nm.{head} = nn.Linear({{}}, 3)"
    assert codes(script.format(size)) == []
    assert codes(script.format(size + 1)) == [(4, "HC101")]


@pytest.mark.parametrize(
    "arguments",
    [
        "'facebookresearch/dino:main', 'dino_xcit_small_12_p16'",
        "'facebookresearch/dinov2', 'dinov2_vits14_ld'",
        "'facebookresearch/dinov2', 'dino_vits16'",
        "'facebookresearch/dinov2', 'dinov2_vits14', patch_size=16",
        "'facebookresearch/dino:main', name",
        "'facebookresearch/deit:main', 'cait_S24_224'",
        "'facebookresearch/swav', 'resnet50w2'",
        "'facebookresearch/WSL-Images', 'resnext101_32x16d_wsl', pretrained=True",
        "'facebookresearch/WSL-Images', 'resnext101_32x64d_wsl'",
        "'facebookresearch/pytorchvideo', 'slow_r50', True, model_num_class=7",
        "'facebookresearch/pytorchvideo', 'slow_r50', model_depth=101",
        "'facebookresearch/pytorchvideo', 'slowfast_r50'",
        "'zhanghang1989/ResNeSt', 'resnest50', pretrained=True, num_classes=7",
        "'zhanghang1989/ResNeSt', 'resnest50', pretrained=False, final_drop=0.2",
        "'zhanghang1989/ResNeSt', 'resnest50_fast_1s1x64d', pretrained=True",
        "'pytorch/vision', 'resnet18', source='local'",
        "'pytorch/vision', 'resnet19'",
        "'rwightman/pytorch-image-models', 'a_new_model'",
        "'rwightman/gen-efficientnet-pytorch', 'resnet50'",
        "'lukemelas/EfficientNet-PyTorch', 'efficientnet_b3', in_channels=1",
        "'somebody/something', 'resnet18'",
        "where, 'resnet18'",
    ],
)
def test_what_is_not_known(arguments: str) -> None:
    assert codes(f"m = torch.hub.load({arguments})\nm.fc = m.head = m._fc = nn.Linear(5, 3)") == []


def test_a_backbone_without_a_head() -> None:
    script = "m = torch.hub.load('facebookresearch/dino:main', 'dino_resnet50')\n"
    assert codes(script + "m.fc.in_features") == [(4, "HC202")]
    assert codes(script + "net = nn.Sequential(m, nn.Linear(2048, 5))\nnet(torch.rand(2, 3, 224, 224))") == []
    wrong = "net = nn.Sequential(m, nn.Linear(1000, 5))\nnet(torch.rand(2, 3, 224, 224))"
    assert [code for _, code in codes(script + wrong)] == ["HC101"]


CHOSEN = """
class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.model = torch.hub.load("facebookresearch/deit:main", name, pretrained=True)
        self.model.head = nn.Linear({size}, 5)
"""


def test_a_name_that_is_not_known_is_one_of_the_repositorys() -> None:
    """Three widths: 768 is right for one of them, and nobody knows which is meant."""
    for size in ("self.model.head.in_features", 768):
        script = CHOSEN.format(size=size)
        assert codes(script) == []
        assert analyse(PREAMBLE + script, "train.py").statistics[:2] == (1, 1)


@pytest.mark.parametrize("place", ["resnest.torch", "resnest.torch.resnest", "resnest.torch.models.resnest"])
def test_the_package_of_a_repository(place: str) -> None:
    for arguments in ("pretrained=True", "num_classes=7", "True"):
        script = f"from {place} import resnest50\nm = resnest50({arguments})\nm.fc = nn.Linear({{}}, 3)"
        assert codes(script.format(2048)) == []
        assert codes(script.format(1024)) == [(5, "HC101")]
    script = f"from {place} import resnest50\nm = resnest50({{}})\nm.fc = nn.Linear(9, 3)"
    for arguments in ("True, num_classes=7", "radix=1", "final_drop=0.1"):
        assert codes(script.format(arguments)) == []
    assert codes(f"from {place} import resnest50d\nm = resnest50d()\nm.fc = nn.Linear(9, 3)") == []
