"""The parts of a dataset take their pictures from it: what is written to it, by way of one part, counts for all."""

import pytest

from headcheck import pipeline

SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, random_split
from torchvision import datasets, transforms

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(8, 8)
        self.fc = nn.Linear({features}, 10)

    def forward(self, x):
        x = self.pool(self.conv(x))
        return self.fc(x.view(x.size(0), -1))

large = transforms.Compose([transforms.Resize((128, 128)), transforms.ToTensor()])
small = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
full = datasets.FakeData(8, (3, 90, 90), 10, large)
first, second = random_split(full, [4, 4])
some = Subset(first, [0, 1])
loader = DataLoader(some, batch_size=2)
{line}
net = Net()
loss = nn.CrossEntropyLoss()
for images, labels in loader:
    answer = net(images)
    loss(answer, labels)
"""
LARGE, SMALL = 8 * 16 * 16, 8 * 8 * 8
# (what is written, the pictures that come then)
LINES = [
    ("", LARGE),
    ("full.transform = small", SMALL),
    ("second.dataset.transform = small", SMALL),
    ("loader.dataset.dataset.dataset.transform = small", SMALL),
    ("other = datasets.FakeData(8, (3, 90, 90), 10, large)\nother.transform = small", LARGE),
]


def findings(line, features):
    text = SCRIPT.format(line=line, features=features).replace("FakeData(8, (3, 90, 90), 10, ", 'ImageFolder("data", ')
    return [f.code for f in pipeline.check_text(text, "script.py")]


@pytest.mark.parametrize(("line", "features"), LINES)
def test_what_fits_is_right(line, features):
    """The size that another transform makes is not known from then on, and nothing is said of it."""
    assert findings(line, features) == []


@pytest.mark.parametrize("line", [line for line, features in LINES if features == LARGE])
def test_what_does_not_is_wrong(line):
    assert findings(line, SMALL) == ["HC105"]


@pytest.mark.parametrize(("line", "features"), LINES)
def test_so_it_is_in_pytorch(line, features):
    pytest.importorskip("torchvision")
    exec(SCRIPT.format(line=line, features=features), {"__name__": "script"})
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        exec(SCRIPT.format(line=line, features=LARGE + SMALL - features), {"__name__": "script"})


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("full.transform = transforms.ToTensor()", ["HC104"]),
        ("first.dataset.transform = transforms.ToTensor()", ["HC104"]),
        ("first.dataset.targets = [0] * 8", []),
    ],
)
def test_another_transform_leaves_the_labels_as_they_are(line, codes):
    text = (
        "from torch import nn\nfrom torch.utils.data import DataLoader, random_split\n"
        "from torchvision import datasets, models, transforms\n"
        "full = datasets.CIFAR10('data', transform=transforms.ToTensor())\n"
        f"first, second = random_split(full, [40000, 10000])\n{line}\n"
        "net = models.resnet18()\nnet.fc = nn.Linear(512, 4)\n"
        "for x, y in DataLoader(second):\n    nn.CrossEntropyLoss()(net(x), y)\n"
    )
    assert [f.code for f in pipeline.check_text(text, "script.py")] == codes
