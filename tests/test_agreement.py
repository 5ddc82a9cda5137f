"""headcheck and PyTorch agree on scripts put together at random; `python -m tests.surgeries --all` asks about all."""

import importlib.util

import pytest

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("PyTorch is the judge", allow_module_level=True)

from tests.surgeries.agreement import compare
from tests.surgeries.write import write

# One builder of each family, the quicker ones: one script of each takes about a quarter of a second.
BUILDERS = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5",
    "squeezenet1_1", "swin_t", "vgg11", "vit_b_32", "quantization.resnet18", "quantization.mobilenet_v2",
    "segmentation.fcn_resnet50", "video.r3d_18", "video.s3d",
]  # fmt: skip
EACH = 4


@pytest.mark.parametrize("name", BUILDERS)
def test_headcheck_agrees_with_pytorch(name):
    differences = [compare(write(name, number)) for number in range(EACH)]
    assert [str(difference) for difference in differences if difference is not None and not difference.known] == []
