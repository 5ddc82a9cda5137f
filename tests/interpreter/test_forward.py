"""Tensors through forward: what headcheck says of an output's shape is what PyTorch answers."""

import importlib

import pytest

from headcheck.interpreter.values import Tensor
from tests.reading import follow

HEAD = """
import torch
import torch.nn.functional as F
from collections import OrderedDict
from torch import nn
from torchvision import models
x = torch.rand(2, 3, 64, 64)
vector = torch.rand(2, 8)
image = torch.rand(2, 4, 6, 6)
"""


def network(init, forward, base="models.resnet18(weights=None)", call="Net()(x)"):
    body = "\n".join(f"        {line}" for line in init.strip().splitlines())
    steps = "\n".join(f"        {line.strip()}" for line in forward.strip().splitlines())
    return f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        base = {base}
{body}

    def forward(self, x):
{steps}

output = {call}
"""


TRUNK = "self.trunk = nn.Sequential(*list(base.children())[:-1])"
MAPS = "self.maps = nn.Sequential(*list(base.children())[:-2])\nself.fc = nn.Linear(512, 4)"

# script: how much must be known of the output (all: every size; last: the last one)
SCRIPTS = {
    "the whole model": (HEAD + "output = models.resnet18(weights=None)(x)", "all"),
    "a new head": (HEAD + "m = models.resnet18(weights=None)\nm.fc = nn.Linear(512, 7)\noutput = m(x)", "all"),
    "no head": (HEAD + "m = models.resnet18(weights=None)\nm.fc = nn.Identity()\noutput = m(x)", "all"),
    "a stack as head": (
        HEAD + "m = models.vgg11(weights=None)\nm.classifier[6] = nn.Sequential(nn.Linear(4096, 9), nn.Softmax(1))\n"
        "output = m(x)",
        "all",
    ),
    "squeezenet": (
        HEAD + "m = models.squeezenet1_1(weights=None)\nm.classifier[1] = nn.Conv2d(512, 6, 1)\noutput = m(x)",
        "all",
    ),
    "vit": (
        HEAD + "m = models.vit_b_32(weights=None, image_size=64)\nm.heads.head = nn.Linear(768, 6)\noutput = m(x)",
        "none",
    ),
    "trunk of children": (HEAD + network(TRUNK, "return self.trunk(x)"), "all"),
    "trunk and flatten": (HEAD + network(TRUNK, "return torch.flatten(self.trunk(x), 1)"), "all"),
    "trunk and view": (HEAD + network(TRUNK, "f = self.trunk(x)\nreturn f.view(f.size(0), -1)"), "all"),
    "view by the input's size": (HEAD + network(TRUNK, "return self.trunk(x).view(x.shape[0], -1)"), "all"),
    "view with a constant": (HEAD + network(TRUNK, "return self.trunk(x).view(-1, 512)"), "all"),
    "squeeze": (HEAD + network(TRUNK, "return self.trunk(x).squeeze(-1).squeeze(-1)"), "all"),
    "squeeze all": (HEAD + network(TRUNK, "return self.trunk(x).squeeze()"), "all"),
    "index the map": (HEAD + network(TRUNK, "return self.trunk(x)[:, :, 0, 0]"), "all"),
    "mean over the map": (HEAD + network(MAPS, "return self.fc(self.maps(x).mean([2, 3]))"), "all"),
    "mean twice": (HEAD + network(MAPS, "return self.fc(self.maps(x).mean(3).mean(2))"), "all"),
    "mean kept": (HEAD + network(MAPS, "return self.maps(x).mean((-2, -1), keepdim=True)"), "all"),
    "adaptive function": (HEAD + network(MAPS, "return F.adaptive_avg_pool2d(self.maps(x), (1, 1)).flatten(1)"), "all"),
    "pool as large as the map": (
        HEAD + network(MAPS, "f = self.maps(x)\nreturn F.avg_pool2d(f, f.size()[2:]).view(f.size(0), -1)"),
        "all",
    ),
    "tokens": (HEAD + network(MAPS, "return self.maps(x).flatten(2).permute(0, 2, 1)"), "last"),
    "transpose": (HEAD + network(MAPS, "return self.maps(x).flatten(2).transpose(1, 2)"), "last"),
    "interpolate": (HEAD + network(MAPS, "return F.interpolate(self.maps(x), size=(5, 6))"), "all"),
    "cat of two": (
        HEAD + network(TRUNK, "f = self.trunk(x).flatten(1)\nreturn torch.cat([f, torch.relu(f)], dim=1)"),
        "all",
    ),
    "average and maximum": (
        HEAD
        + network(
            MAPS,
            "f = self.maps(x)\na = F.adaptive_avg_pool2d(f, 1)\nb = F.adaptive_max_pool2d(f, 1)\n"
            "return torch.cat((a, b), 1).reshape(x.size(0), -1)",
        ),
        "all",
    ),
    "parts one by one": (
        HEAD
        + network(
            "self.base = base",
            "b = self.base\nx = b.maxpool(b.relu(b.bn1(b.conv1(x))))\nx = b.layer4(b.layer3(b.layer2(b.layer1(x))))\n"
            "x = b.avgpool(x)\nreturn b.fc(torch.flatten(x, 1))",
        ),
        "all",
    ),
    "vgg features": (
        HEAD + network("self.f = base.features", "return self.f(x).mean((2, 3))", "models.vgg11(weights=None)"),
        "all",
    ),
    "densenet features": (
        HEAD
        + network(
            "self.f = base.features",
            "return F.adaptive_avg_pool2d(F.relu(self.f(x)), 1).flatten(1)",
            "models.densenet121(weights=None)",
        ),
        "all",
    ),
    "named stack": (
        HEAD + "head = nn.Sequential(OrderedDict([('a', nn.Linear(8, 5)), ('b', nn.ReLU()), ('c', nn.Linear(5, 3))]))\n"
        "output = head(vector)",
        "all",
    ),
    "convolutions": (
        HEAD + "net = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1, stride=2), nn.BatchNorm2d(5), nn.ReLU(), "
        "nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5, 2))\noutput = net(image)",
        "all",
    ),
    "pools by function": (HEAD + "output = F.max_pool2d(image, 2, stride=1)", "all"),
    "arithmetic": (HEAD + "output = (vector * 2 + vector[:, :1]) / 3", "all"),
    "topk": (HEAD + "output = vector.topk(3, dim=1)[0]", "all"),
    "argmax": (HEAD + "output = vector.argmax(dim=1)", "all"),
    "max": (HEAD + "output, places = torch.max(vector, 1)", "all"),
    "stacked": (HEAD + "output = torch.stack([vector, vector], dim=1)", "all"),
    "unsqueezed": (HEAD + "output = vector.unsqueeze(-1)[..., None] if False else vector.unsqueeze(-1)", "all"),
    "a module in a module": (
        HEAD
        + """
class Head(nn.Module):
    def __init__(self, size, n):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.1), nn.Linear(size, n))

    def forward(self, features):
        return self.layers(features)

class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.backbone = models.resnet18(weights=None)
        size = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.head = Head(size, n)

    def forward(self, x):
        return self.head(self.backbone(x))

output = Net()(x)
""",
        "all",
    ),
    "inherited": (
        HEAD
        + """
class Base(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.head = nn.Linear(self.size, n)

    @property
    def size(self):
        return 8

    def forward(self, x):
        return self.classify(self.prepare(x))

    def classify(self, x):
        return self.head(x)

class Mixin:
    def prepare(self, x):
        return torch.relu(x)

class Net(Mixin, Base):
    def __init__(self):
        super().__init__(n=5)

    def forward(self, x):
        return super().forward(x).softmax(dim=-1)

output = Net()(vector)
""",
        "all",
    ),
    "a stack of the script's own modules": (
        HEAD
        + """
class Block(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.layer = nn.Linear(a, b)

    def forward(self, x):
        return F.relu(self.layer(x))

output = nn.Sequential(Block(8, 6), Block(6, 4))(vector)
""",
        "all",
    ),
    "a subclass of Sequential": (
        HEAD
        + """
class Head(nn.Sequential):
    def __init__(self, n):
        super().__init__(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, n))

output = Head(3)(vector)
""",
        "all",
    ),
    "a list of layers": (
        HEAD
        + network(
            "self.layers = nn.ModuleList([nn.Linear(8, 6), nn.Linear(6, 4)])",
            "for layer in self.layers:\n    x = layer(x)\nreturn x".replace("    x = layer", "\tx = layer"),
            call="Net()(vector)",
        ).replace("        x = layer(x)", "            x = layer(x)"),
        "all",
    ),
    "data parallel": (
        HEAD + "m = models.resnet18(weights=None)\nm.fc = nn.Linear(512, 3)\noutput = nn.DataParallel(m)(x)",
        "all",
    ),
    "extractor": (
        HEAD + "from torchvision.models.feature_extraction import create_feature_extractor\n"
        "body = create_feature_extractor(models.resnet18(weights=None), return_nodes={'layer3': 'a', 'flatten': 'b'})\n"
        "output = body(x)['b']",
        "all",
    ),
    "extracted map": (
        HEAD + "from torchvision.models.feature_extraction import create_feature_extractor\n"
        "body = create_feature_extractor(models.resnet18(weights=None), ['avgpool'])\n"
        "output = body(x)['avgpool']",
        "all",
    ),
    "trunk with pooling taken out": (
        HEAD + "m = models.resnet18(weights=None)\nm.avgpool = nn.Identity()\nm.fc = nn.Identity()\noutput = m(x)",
        "none",
    ),
    "lazy size": (HEAD + network("self.fc = nn.LazyLinear(4)", "return self.fc(x)", call="Net()(vector)"), "none"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_shapes_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    script, wanted = SCRIPTS[name]
    proof = importlib.import_module("tests.torch_proof")
    names = {"__name__": "__main__"}
    torch.manual_seed(0)
    with proof.without_weights():
        exec(compile(script, "script.py", "exec"), names)
    real = tuple(names["output"].shape)
    execution = next(e for e in follow(script, preamble="") if not e.defaults)
    predicted = execution.state.globals["__main__"]["output"]
    if wanted == "none":
        assert type(predicted) is not Tensor or agrees(predicted.shape, real)
        return
    assert type(predicted) is Tensor, predicted
    assert agrees(predicted.shape, real), (predicted.shape, real)
    if wanted == "all":
        assert predicted.shape == real
    else:
        assert predicted.shape[-1] == real[-1]


def agrees(predicted, real):
    """Whether every size that is known is the real one."""
    if predicted is None:
        return True
    return len(predicted) == len(real) and all(
        type(p) is not int or p == r for p, r in zip(predicted, real, strict=True)
    )


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
    from headcheck import pipeline

    script, expected = NETWORKS[name]
    found = pipeline.check_text(PLAIN + script, "script.py")
    assert [(finding.location.row, finding.code) for finding in found] == expected
