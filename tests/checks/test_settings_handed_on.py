"""Settings that a script hands to code that is not followed: its switches and names stay as the user gave them."""

from __future__ import annotations

import pytest

from tests.reading import found

SCRIPT = """
import argparse
from schedules import adjust

def main(args):
    m = models.resnet18(num_classes=args.classes)
    if args.bce:
        criterion = nn.BCELoss()
    else:
        criterion = nn.CrossEntropyLoss()
    for image, label in batches:
        adjust(m, args)
        output = m(image)
        if {again}:
            output = torch.sigmoid(output)
        criterion(output, label).backward()

parser = argparse.ArgumentParser()
parser.add_argument("--bce", action="store_true")
parser.add_argument("--classes", type=int, default=2)
main(parser.parse_args())
"""


@pytest.mark.parametrize("again, expected", [("args.bce", []), ("not args.bce", [(15, "HC107")])])
def test_a_switch_that_is_asked_for_twice(again, expected):
    assert found(SCRIPT.format(again=again)) == expected


NAMED = """
import argparse
from setups import prepare

parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="resnet18")
parser.add_argument("--classes", type=int, default=2)
args = parser.parse_args()
m = models.vgg11() if args.arch == "vgg11" else models.resnet18()
prepare(args)
if args.arch {test} "vgg11":
    m.classifier[6] = nn.Linear(4096, args.classes)
else:
    m.fc = nn.Linear(512, args.classes)
"""


@pytest.mark.parametrize("test, expected", [("==", []), ("!=", ["HC201", "HC202"])])
def test_a_name_that_is_asked_for_twice(test, expected):
    assert sorted({code for _, code in found(NAMED.format(test=test))}) == expected


COUNTED = """
import argparse
from data import load

parser = argparse.ArgumentParser()
parser.add_argument("--classes", type=int, default=0)
args = parser.parse_args()
{load}
m = models.resnet18(num_classes=args.classes)
nn.CrossEntropyLoss()(nn.Linear(2, 3)(m(torch.rand(4, 3, 224, 224))), torch.tensor([0, 1, 2, 0]))
m.fc = nn.Linear(512, 3)
"""


def test_a_number_may_come_back_as_another():
    assert found(COUNTED.format(load="load(args)")) == []
