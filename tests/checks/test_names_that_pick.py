"""What a path needs two names for, by which the script picks, is not reported: nobody knows if they go together so."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
def build(config):
    if {first}:
        model = models.vgg11()
    else:
        model = models.resnet18()
    if {second}:
        model.fc = nn.Linear(model.fc.in_features, 3)
    return model
"""


@pytest.mark.parametrize(
    "first, second, codes",
    [
        ("config.model == 'vgg'", "config.head == 'fc'", []),
        ("config.model == 'vgg'", "config.head != 'classifier'", []),
        ("config.model in ('vgg', 'vgg11')", "config.head.startswith('f')", []),
        ("config.model == 'vgg'", "config.model != 'resnet'", ["HC202"]),  # one name
        ("config.model == 'vgg'", "config.pretrained", ["HC202"]),  # a switch, whichever model it is
        ("config.wide", "config.head == 'fc'", ["HC202"]),
        ("config.model == 'vgg'", "True", ["HC202"]),
    ],
)
def test_what_two_names_pick(first, second, codes):
    assert [code for _, code in found(SCRIPT.format(first=first, second=second))] == codes


def test_two_names_where_paths_were_cut():
    branches = "".join(
        f"        if flags[{i}]:\n            m.features[{i % 4}].x{i} = nn.Linear({i + 1}, 2)\n" for i in range(40)
    )
    script = (
        f"def f(config, flags):\n    if config.model == 'vgg':\n        m = models.vgg11()\n{branches}"
        "    else:\n        m = models.resnet18()\n    if {}:\n        print(m.fc.in_features)\nf(unknown, other)"
    )
    assert "HC202" not in {code for _, code in found(script.format("config.head == 'fc'"))}
    assert "HC202" in {code for _, code in found(script.format("True"))}


def test_what_is_wrong_whichever_model_it_is():
    """The line does nothing on any path that comes by it: what the two names pick does not matter."""
    branches = "".join(f"    if flags[{i}]:\n        m.layer1.x{i} = nn.Linear({i + 1}, 2)\n" for i in range(40))
    script = (
        f"def f(args, flags):\n    m = models.resnet18()\n{branches}    if args.phase == 'test':\n        return m\n"
        "    if args.method == 'linear':\n        m.requires_grad = False\n        print(args)\nf(unknown, other)"
    )
    assert "HC303" in {code for _, code in found(script)}


PARTS = """
def build(name, wide):
    if "resnet18" in name:
        model = models.resnet18()
    elif "mobilenet_v2" in name:
        model = models.mobilenet_v2()
    elif "vgg" in name:
        model = models.vgg16()
    else:
        raise ValueError(name)
    if {test}:
        model.fc = nn.Linear(model.fc.in_features, 3)
    return model
"""


@pytest.mark.parametrize(
    "test, codes",
    [
        ("'resnet' in name or 'resnext' in name", []),  # no name holds two models' names
        ("name.startswith('resnet') and wide", []),
        ("'mobilenet' in name", ["HC202"]),
        ("'net' in name", ["HC202"]),
        ("name.endswith('_v2')", ["HC202"]),
        ("'mobilenet' not in name", ["HC202"]),  # a VGG
        ("'bn' in name", ["HC202"]),  # vgg16_bn
        ("'_wide' in name", ["HC202"]),
    ],
)
def test_two_parts_of_one_name(test, codes):
    assert [code for _, code in found(PARTS.format(test=test))] == codes
