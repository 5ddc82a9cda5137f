"""What calls of segmentation_models_pytorch mean to a model; the library is not needed."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import segmentation_models_pytorch as smp\nimport torch\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


KNOWN = (
    "smp.Unet()",
    "smp.Unet('resnet34', classes=3)",
    "smp.Unet('resnet18', encoder_weights='imagenet', in_channels=1, classes=n, activation='sigmoid')",
    "smp.create_model('unet', encoder_name=encoder, classes=2)",
    "smp.create_model(arch='Unet')",
    "smp.decoders.unet.Unet(encoder_name='efficientnet-b0')",
)


@pytest.mark.parametrize("built", KNOWN)
def test_what_reaches_the_head_whichever_encoder_there_is(built: str) -> None:
    assert codes(f"m = {built}\nm.segmentation_head[0] = nn.Conv2d(16, 5, 3, padding=1)") == []
    assert codes(f"m = {built}\nm.segmentation_head[0] = nn.Conv2d(32, 5, 3, padding=1)") == [(5, "HC101")]
    assert codes(f"m = {built}\nm.segmentation_head = nn.Linear(16, 5)") == [(5, "HC102")]


@pytest.mark.parametrize(
    "built",
    [
        "smp.Unet(decoder_channels=(256, 128, 64, 32, 8))",
        "smp.Unet('resnet34', 4)",
        "smp.Unet(aux_params={'classes': 3})",
        "smp.Unet(**options)",
        "smp.create_model(arch)",
        "smp.create_model('unet', **options)",
        "smp.from_pretrained('some/model')",
        "smp.losses.DiceLoss('binary')",
    ],
)
def test_what_may_be_another(built: str) -> None:
    assert codes(f"m = {built}\nm.segmentation_head[0] = nn.Conv2d(5, 5, 1)") == []


SOUND = """
model = smp.Unet(encoder_name="resnet34", encoder_weights="imagenet", in_channels=1, classes=1)
print(model.name, model.encoder.out_channels, model.encoder.conv1, model.check_input_shape)
for parameter in model.encoder.parameters():
    parameter.requires_grad = False
for name, parameter in model.named_parameters():
    if "layer4" in name:
        parameter.requires_grad = True
optimizer = torch.optim.Adam([{"params": model.decoder.parameters()}, {"params": model.segmentation_head.parameters()}])
loss = nn.BCEWithLogitsLoss()
output = model(torch.rand(2, 1, 64, 64))
loss(output, torch.rand(2, 1, 64, 64)).backward()
optimizer.step()
"""


def test_nothing_is_said_of_what_is_right() -> None:
    assert codes(SOUND) == []
    assert codes(SOUND.replace("classes=1", "classes=4").replace("BCEWithLogitsLoss", "CrossEntropyLoss")) == []


FROZEN = """
m = smp.Unet()
m.segmentation_head[0] = nn.Conv2d(16, 2, 1)
for p in m.parameters():
    p.requires_grad = False
{line}
torch.optim.Adam(m.parameters())
"""


def test_a_function_of_the_library_may_do_anything() -> None:
    assert codes(FROZEN.format(line="print(m)")) == [(8, "HC301")]
    assert codes(FROZEN.format(line="smp.utils.train.TrainEpoch(m, l)")) == []
