"""timm's feature extractors; the library is not needed."""

from __future__ import annotations

import textwrap

import pytest

from headcheck.analysis import analyse

PREAMBLE = "import timm\nimport torch\nfrom torch import nn\n"


def codes(script: str) -> list[tuple[int, str]]:
    result = analyse(PREAMBLE + textwrap.dedent(script), "train.py")
    return [(finding.location.row, finding.code) for finding in result.findings if finding.code != "HC902"]


NETWORK = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = timm.create_model({made})
        {more}
        self.top = nn.Conv2d({channels}, 64, 1)

    def forward(self, x):
        return self.top({map_})


net = Net()
torch.optim.Adam(net.parameters())
"""


def network(made: str, channels: object, map_: str = "self.encoder(x)[-1]", more: str = "") -> list[tuple[int, str]]:
    return codes(NETWORK.format(made=made, channels=channels, map_=map_, more=more))


RESNET = "'resnet50', features_only=True, pretrained=True"


@pytest.mark.parametrize(
    ("made", "map_", "channels"),
    [
        (RESNET, "self.encoder(x)[-1]", 2048),
        (RESNET, "self.encoder(x)[1]", 256),
        (f"{RESNET}, out_indices=(1, 2, 3)", "self.encoder(x)[-1]", 1024),
        (f"{RESNET}, out_indices=[4], in_chans=1", "self.encoder(x)[0]", 2048),
        (f"{RESNET}, output_stride=16", "torch.cat(self.encoder(x)[-2:], 1)", 3072),
        ("'efficientnet_b0', True, features_only=True", "self.encoder(x)[-1]", 320),
        ("'convnext_tiny.fb_in22k', features_only=True", "self.encoder(x)[-1]", 768),
        ("'hrnet_w18', features_only=True", "self.encoder(x)[1]", 128),
        ("'pvt_v2_b2', features_only=True", "self.encoder(x)[-1]", 512),
        ("'xcit_small_12_p16_224', features_only=True", "self.encoder(x)[-1]", 384),
    ],
)
def test_the_channels_of_a_map(made: str, map_: str, channels: int) -> None:
    assert network(made, channels, map_) == []
    assert network(made, channels + 1, map_) == [(10, "HC101")]


@pytest.mark.parametrize(
    "channels",
    [
        "self.encoder.feature_info.channels()[-1]",
        "self.encoder.feature_info[-1]['num_chs']",
        "[info['num_chs'] for info in self.encoder.feature_info][-1]",
        "self.encoder.feature_info.channels(-1)",
        "self.encoder.feature_info.info[-1]['num_chs']",
        "self.encoder.feature_info.get_dicts()[-1]['num_chs']",
        "2 * self.encoder.feature_info[-1]['reduction']",
    ],
)
def test_what_the_extractor_says_of_its_maps(channels: str) -> None:
    assert network(RESNET, channels) == []


def test_a_size_that_is_that_of_another_map() -> None:
    assert network(RESNET, "self.encoder.feature_info.channels()[-2]") == [(10, "HC101")]
    assert network(RESNET, "self.encoder.feature_info[0]['num_chs']") == [(10, "HC101")]


@pytest.mark.parametrize(
    "made",
    [
        "'resnet50', features_only=flag",
        "'resnet50', features_only=True, out_indices=indices",
        "'resnet50', features_only=True, out_indices=(7,)",
        "'resnet50', features_only=True, feature_cls='hook'",
        "'resnet50', features_only=True, **options",
        "'swin_tiny_patch4_window7_224', features_only=True",
        "name, features_only=True",
    ],
)
def test_what_is_not_known(made: str) -> None:
    assert network(made, 5) == []


def test_an_extractor_that_the_script_changes() -> None:
    assert network(RESNET, 5, more="self.encoder.layer4 = nn.Identity()") == []
    assert network(RESNET, 5, "self.encoder.layer4(x)") == []
    assert network(RESNET, 5, more="del self.encoder.layer4") == []


ASKED = """
from project import report
model = timm.create_model('resnet50', features_only=True)
for info in model.feature_info:
    {}
report(model.feature_info.channels())
model.feature_info.channels()
"""


@pytest.mark.parametrize("turn", ["print(info['num_chs'])", "info['num_chs'] *= 2", "report(info)", "info.clear()"])
def test_what_an_extractor_says_may_be_changed(turn):
    assert codes(ASKED.format(turn)) == []
    assert codes(ASKED.format(turn) + "report(model.feature_info)\nmodel.feature_info.channels()") == []
