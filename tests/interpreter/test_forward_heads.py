"""Heads that a network's own forward feeds are checked wherever they sit."""

import pytest

from headcheck import pipeline
from tests.reading import found

NETWORKS = {
    "the second of two ways to build it": (
        """
class Net(nn.Module):
    def __init__(self, arch, n):
        super().__init__()
        if arch == "resnet18":
            self.base = models.resnet18(weights="DEFAULT")
            size = 512
        elif arch == "resnet50":
            self.base = models.resnet50(weights="DEFAULT")
            size = 512
        else:
            raise ValueError(arch)
        self.base.fc = nn.Identity()
        self.head = nn.Linear(size, n)

    def forward(self, x):
        return self.head(self.base(x))
""",
        [(17, "HC101")],
    ),
    "forward is inherited": (
        """
class Base(nn.Module):
    def forward(self, x):
        return self.head(self.base(x).flatten(1))

class Net(Base):
    def __init__(self, n):
        super().__init__()
        self.base = nn.Sequential(*list(models.resnet50(weights="DEFAULT").children())[:-1])
        self.head = nn.Linear(512, n)
""",
        [(13, "HC101")],
    ),
    "Lightning builds in setup": (
        """
import lightning.pytorch as pl

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.loss = nn.CrossEntropyLoss()

    def training_step(self, batch, index):
        x, y = batch
        return self.loss(self.model(x).softmax(dim=1), y)

    def setup(self, stage=None):
        self.model = models.resnet18(weights="DEFAULT")
        self.model.fc = nn.Linear(2048, 5)
""",
        [(14, "HC107"), (18, "HC101")],
    ),
    "a map as wide as the layer takes": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(1, 8, 3, padding=1)
        self.over_frequencies = nn.Linear(80, 10)

    def forward(self, x):
        return self.over_frequencies(self.maps(x))
""",
        [],
    ),
    "a head beside the backbone, in plain functions": (
        """
backbone = models.densenet121(weights="DEFAULT").features
head = nn.Linear(1000, 5)

def predict(x):
    return head(backbone(x).mean([2, 3]))
""",
        [(6, "HC101")],
    ),
    "the backbone is handed in": (
        """
class Net(nn.Module):
    def __init__(self, backbone, n):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(1000, n)

    def forward(self, x):
        return self.head(self.backbone(x))

base = models.resnet34(weights="DEFAULT")
base.fc = nn.Identity()
net = Net(base, 10)
""",
        [(9, "HC101")],
    ),
    "features of a table joined to those of pictures": (
        """
class Net(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Identity()
        self.table = nn.Sequential(nn.Linear(columns, 64), nn.BatchNorm1d(64), nn.ReLU())
        self.head = nn.Linear(512, 5)

    def forward(self, x, row):
        return self.head(torch.cat((self.body(x), self.table(row)), dim=1))

net = Net(9)
""",
        [(11, "HC105")],
    ),
    "features of a table joined to those of pictures, and counted": (
        """
class Net(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Identity()
        self.table = nn.Sequential(nn.Linear(columns, 64), nn.BatchNorm1d(64), nn.ReLU())
        self.head = nn.Linear(512 + 64, 5)

    def forward(self, x, row):
        return self.head(torch.cat((self.body(x), self.table(row)), dim=-1))

net = Net(9)
""",
        [],
    ),
    "what is joined along the sequence keeps its features": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = models.vit_b_16(weights="DEFAULT")
        self.one, self.other = nn.Linear(8, 64), nn.Linear(9, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x, y):
        return self.head(torch.cat((self.one(x), self.other(y)), dim=1))

net = Net()
""",
        [],
    ),
    "parts in a list that other code may have changed": (
        """
from helpers import widen

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Identity()
        self.head = nn.Linear(2048, 5)

    def forward(self, x):
        parts = []
        for step in range(x.size(1)):
            parts.append(self.body(x[:, step]))
        widen(parts)
        return self.head(torch.stack(parts, dim=1).mean(dim=1))

net = Net()
""",
        [],
    ),
    "parts weighted by attention are as wide as the parts": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = models.resnet18(weights="DEFAULT")
        self.body.fc = nn.Identity()
        self.weigh = nn.Linear(512, 1)
        self.head = nn.Linear(1024, 5)

    def forward(self, x):
        features = self.body(x)
        return self.head(torch.sigmoid(self.weigh(features)) * features)

net = Net()
""",
        [(11, "HC101")],
    ),
    "a detector around a backbone that answers other channels than it says": (
        """
from torchvision.models.detection import FasterRCNN

backbone = models.vgg11(weights="DEFAULT").features
backbone.out_channels = 1280
net = FasterRCNN(backbone, num_classes=2)
""",
        [(9, "HC101")],
    ),
    "a detector around children of a model": (
        """
from torchvision.models.detection.retinanet import RetinaNet

backbone = nn.Sequential(*list(models.resnet18(weights="DEFAULT").children())[:-2])
backbone.out_channels = 2048
net = RetinaNet(backbone=backbone, num_classes=2)
""",
        [(9, "HC101")],
    ),
    "detectors around backbones that are as they say": (
        """
from torchvision.models.detection import MaskRCNN, backbone_utils

backbone = models.mobilenet_v2(weights="DEFAULT").features
backbone.out_channels = 1280
net = MaskRCNN(backbone, 2)
net = MaskRCNN(backbone_utils.resnet_fpn_backbone(backbone_name="resnet50", weights=None), 2)
""",
        [],
    ),
    "a class that is made by code which is not followed may only lend its parts": (
        """
from fastai.vision.all import cnn_learner

class Net(nn.Module):
    def __init__(self, pretrained=True):
        super().__init__()
        self.trunk = nn.Sequential(*list(models.resnet34(weights="DEFAULT").children())[:-2])
        self.head = nn.Linear(1024, 5)

    def forward(self, x):
        return self.head(self.trunk(x))

learner = cnn_learner(data, Net, metrics=accuracy)
""",
        [],
    ),
    "a class of Lightning's is run whoever makes it": (
        """
import pytorch_lightning as pl
from pytorch_lightning.cli import LightningCLI

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.trunk = models.resnet34(weights="DEFAULT")
        self.trunk.fc = nn.Identity()
        self.head = nn.Linear(1024, 5)

    def forward(self, x):
        return self.head(self.trunk(x))

LightningCLI(Net)
""",
        [(13, "HC101")],
    ),
    "an input that may be left out is given where it is needed": (
        """
class Branch(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.columns = columns
        self.encoder = nn.Linear(64, 128)
        self.head = nn.Linear(128 + columns, 9)

    def forward(self, x, table=None):
        x = self.encoder(x)
        if table is not None and self.columns > 0:
            x = torch.cat([x, table], dim=-1)
        return self.head(x)

class Whole(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.has_table = options.get("table", False)
        if self.has_table:
            self.embed, self.columns = nn.Linear(4, 16), 16
        else:
            self.embed, self.columns = None, 0
        self.branch = Branch(self.columns)

    def forward(self, x, table=None):
        embedded = None
        if self.has_table and table is not None:
            embedded = self.embed(table)
        return self.branch(x, embedded)

def train(network, loader):
    for batch in loader:
        network(batch["x"], batch.get("table"))

def main(options, loader):
    train(Whole(options), loader)
""",
        [],
    ),
    "an output of several is asked for its parts": (
        """
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

model = models.inception_v3(weights=models.Inception_V3_Weights.IMAGENET1K_V1)
model.fc = nn.Linear(2048, 10)
model.AuxLogits.fc = nn.Linear(768, 10)
dataset = datasets.ImageFolder("train", transform=transforms.Compose([]))
loader = DataLoader(dataset, batch_size=8, shuffle=True)
criterion = nn.CrossEntropyLoss()
best, right, total = 0.0, 0, 0
for epoch in range(1, 6):
    for images, labels in loader:
        output = model(images)
        logits = output.logits if hasattr(output, "logits") else output
        loss = criterion(logits, labels)
        if hasattr(output, "aux_logits") and output.aux_logits is not None:
            right += logits.max(1)[1].eq(labels).sum().item()
    accuracy = 100.0 * right / total
    if accuracy > best:
        torch.save(model.state_dict(), "best.pt")
""",
        [],
    ),
    "a base that is initialised by name calls super itself": (
        """
class Small(nn.Module):
    def __init__(self, classes, width=64):
        super().__init__()
        self.trunk = models.resnet18(weights="DEFAULT")
        self.trunk.fc = nn.Identity()
        self.hidden = nn.Linear(512, width)
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        return self.head(self.hidden(self.trunk(x)))

class Large(Small):
    def __init__(self, classes):
        Small.__init__(self, classes, width=128)

model = Large(5)
""",
        [(11, "HC105")],
    ),
    "a script that trains runs where there is an accelerator": (
        """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(512, classes)

class Trainer:
    def __init__(self, name, classes):
        self.model = Net(classes)
        if name == "other":
            self.model = Net(classes + 1)
        if torch.cuda.is_available():
            self.model = nn.DataParallel(self.model)
            self.model = self.model.cuda()

    def train(self, accuracy):
        optimizer = torch.optim.Adam(self.model.module.parameters())
        if accuracy > self.best:
            self.best = accuracy
        return optimizer

Trainer("first", 5).train(0.5)
""",
        [],
    ),
    "what is wrong with an accelerator and without": (
        """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.trunk = nn.Linear(64, 512)
        self.head = nn.Linear(256, classes)
        if torch.cuda.is_available():
            self.trunk.cuda()

    def forward(self, x):
        return self.head(self.trunk(x))
""",
        [(9, "HC105")],
    ),
    "a network that its holder takes apart": (
        """
class Branch(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.encoder = models.resnet18(weights=models.ResNet18_Weights.DEFAULT)
        self.encoder.fc = nn.Identity()
        self.head = nn.Linear(512 + columns, 9)

    def forward(self, image, table=None):
        features = self.encoder(image)
        if table is not None:
            features = torch.cat([features, table], dim=1)
        return self.head(features)

class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = Branch(columns=16)
        self.head = nn.Linear(512, 9)

    def forward(self, image):
        return self.head(self.branch.encoder(image))

model = Whole()
""",
        [],
    ),
    "a name that the script puts into the library's module": (
        """
import argparse

class Own:
    @staticmethod
    def resnet18_wide(weights=None):
        return models.wide_resnet50_2(weights=weights)

for name in vars(Own):
    if not name.startswith("__"):
        models.__dict__[name] = getattr(Own, name)

parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="resnet18_wide")
args = parser.parse_args([])
model = models.__dict__[args.arch](weights=None)
model.fc = nn.Linear(model.fc.in_features, 5)
""",
        [],
    ),
}
PLAIN = "import torch\nfrom torch import nn\nfrom torchvision import models\n"


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_are_checked_wherever_they_sit(name):
    script, expected = NETWORKS[name]
    found = pipeline.check_text(PLAIN + script, "script.py")
    assert [(finding.location.row, finding.code) for finding in found] == expected


BEHIND_UNKNOWN = """
class Decoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.out = nn.Linear(width, 512)
        self.norm = nn.LayerNorm(NORM)

    def forward(self, x):
        return self.norm(self.out(x))

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.decoder = Decoder(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.decoder(x))

Net(128)
"""


@pytest.mark.parametrize(
    "norm, expected",
    [("width", [(5, "HC105")]), ("(width,)", [(5, "HC105")]), ("512", [(14, "HC105")])],
)
def test_a_normalization_of_another_size_is_the_first_to_refuse(norm, expected):
    """Of what reaches it only the last size is known."""
    assert found(BEHIND_UNKNOWN.replace("NORM", norm)) == expected
