"""What the loss and the metrics get: found where it is sure to be wrong, silent where the script may be right."""

import textwrap

import pytest

from headcheck import pipeline

PREAMBLE = """
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset, random_split
from torchvision import datasets, models, transforms
images = torch.rand(2, 3, 64, 64)
labels = torch.tensor([0, 1])
def model_of(n):
    m = models.resnet18(weights="DEFAULT")
    m.fc = nn.Linear(512, n)
    return m
def loop(data, model, criterion):
    for x, y in DataLoader(data, batch_size=4, shuffle=True):
        loss = criterion(model(x), y)
        loss.backward()
cifar = datasets.CIFAR10("data", transform=transforms.ToTensor())
"""


def codes(script, preamble=PREAMBLE):
    found = pipeline.check_text(preamble + textwrap.dedent(script), "script.py")
    return sorted({finding.code for finding in found})


WRONG = {
    "fewer outputs than the dataset has classes": ("loop(cifar, model_of(4), nn.CrossEntropyLoss())", "HC104"),
    "the head was never replaced": ('loop(cifar, models.resnet18(weights="DEFAULT"), nn.CrossEntropyLoss())', "HC104"),
    "a split keeps the classes": (
        "one, other = random_split(cifar, [40000, 10000])\nloop(one, model_of(4), nn.CrossEntropyLoss())",
        "HC104",
    ),
    "loaders in a dict": (
        "loaders = {k: DataLoader(cifar) for k in ['train', 'val']}\nmodel = model_of(4)\n"
        "for x, y in loaders['train']:\n    F.cross_entropy(model(x.cuda()), y.cuda())",
        "HC104",
    ),
    "the next batch": (
        "x, y = next(iter(DataLoader(cifar)))\nnn.CrossEntropyLoss()(model_of(4)(x), y)",
        "HC104",
    ),
    "letters begin with one": (
        "letters = datasets.EMNIST('data', split='letters', transform=transforms.ToTensor())\n"
        "loop(letters, model_of(26), nn.CrossEntropyLoss())",
        "HC104",
    ),
    "one output less than there are folders": (
        "found = datasets.ImageFolder('data', transforms.ToTensor())\nmodel = model_of(len(found.classes) - 1)\n"
        "loop(found, model, nn.CrossEntropyLoss())",
        "HC104",
    ),
    "the same after a split": (
        "found = datasets.ImageFolder('data', transforms.ToTensor())\none, other = random_split(found, [90, 10])\n"
        "loop(one, model_of(len(found.class_to_idx) - 1), nn.CrossEntropyLoss())",
        "HC104",
    ),
    "softmax function before the loss": (
        "nn.CrossEntropyLoss()(torch.softmax(model_of(3)(images), dim=1), labels)",
        "HC107",
    ),
    "softmax of something unknown": (
        "def step(net, x, y):\n    return F.cross_entropy(F.softmax(net(x), dim=1), y)",
        "HC107",
    ),
    "batches counted": (
        "for i, (x, y) in enumerate(DataLoader(cifar), 1):\n    F.cross_entropy(model_of(4)(x), y)",
        "HC104",
    ),
    "batches behind a bar": (
        "from tqdm.auto import tqdm\nbar = tqdm(enumerate(DataLoader(cifar)), total=9)\n"
        "for i, batch in bar:\n    F.cross_entropy(model_of(4)(batch[0]), batch[1])\n    bar.set_postfix(i=i)",
        "HC104",
    ),
    "batches of two datasets": (
        "for (x, y), (u, _) in zip(DataLoader(cifar), DataLoader(cifar)):\n    F.cross_entropy(model_of(4)(u), y)",
        "HC104",
    ),
    "the first batches": (
        "import itertools\nfor x, y in itertools.islice(DataLoader(cifar), 3):\n    F.cross_entropy(model_of(4)(x), y)",
        "HC104",
    ),
    "raw outputs before nll": ("F.nll_loss(model_of(3)(images), labels)", "HC107"),
    "the library's outputs before nll": ("nn.NLLLoss()(models.resnet18(num_classes=2)(images), labels)", "HC107"),
    "softmax before nll, summed": ("nn.NLLLoss(reduction='sum')(model_of(3)(images).softmax(1), labels)", "HC107"),
    "softmax twice for each item": (
        "F.cross_entropy(F.softmax(model_of(3)(images), dim=1), labels, reduction='none').mean()",
        "HC107",
    ),
    "softmax before nll": ("F.nll_loss(F.softmax(model_of(3)(images), dim=1), labels)", "HC107"),
    "sigmoid before cross entropy": ("F.cross_entropy(torch.sigmoid(model_of(3)(images)), labels)", "HC107"),
    "sigmoid of a shape nobody knows": (
        "def step(net, x, y):\n    return F.cross_entropy(torch.sigmoid(net(x)).view(-1, 3), y)",
        "HC107",
    ),
    "sigmoid squeezed": (
        "def step(net, x, y):\n    return F.binary_cross_entropy_with_logits(torch.sigmoid(net(x)).squeeze(), y)",
        "HC107",
    ),
    "one logit squeezed": ("F.cross_entropy(model_of(1)(images).squeeze(1), labels.float())", "HC107"),
    "sigmoid method": (
        "nn.BCEWithLogitsLoss()(model_of(1)(images).sigmoid().squeeze(1), labels.float())",
        "HC107",
    ),
    "an output that was detached": (
        "loss = F.cross_entropy(model_of(3)(images).detach(), labels)\nloss.backward()",
        "HC302",
    ),
    "one logit": ("nn.CrossEntropyLoss()(model_of(1)(images), torch.tensor([0, 0]))", "HC107"),
    "column against row": ("nn.BCEWithLogitsLoss()(model_of(1)(images), labels.float())", "HC109"),
    "two outputs against one label": (
        "F.binary_cross_entropy_with_logits(model_of(2)(images), labels.float())",
        "HC109",
    ),
    "labels made a column against two outputs": (
        "for x, y in loader:\n    nn.BCEWithLogitsLoss()(model_of(2)(x), y.unsqueeze(1).float())",
        "HC109",
    ),
    "labels cast to a type of fractions": (
        "F.cross_entropy(model_of(3)(images), labels.long().type(torch.FloatTensor).to('cpu'))",
        "HC109",
    ),
    "labels as fractions": ("nn.CrossEntropyLoss()(model_of(2)(images), labels.float())", "HC109"),
    "labels cast to fractions": ("F.nll_loss(model_of(2)(images).log_softmax(1), labels.to(torch.float32))", "HC109"),
    "labels as fractions beside an auxiliary output": (
        "net = models.inception_v3()\nfor x, y in DataLoader(datasets.ImageFolder('data')):\n"
        "    out, aux = net(x)\n    F.cross_entropy(out, y.float())",
        "HC109",
    ),
    "whole numbers against chances": ("nn.BCELoss()(model_of(1)(images).sigmoid().squeeze(1), labels)", "HC109"),
    "whole numbers in a column, moved": (
        "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')\n"
        "for x, y in DataLoader(datasets.ImageFolder('data')):\n"
        "    nn.BCEWithLogitsLoss()(model_of(1)(x.to(device)), y.to(device, non_blocking=True).unsqueeze(1))",
        "HC109",
    ),
    "labels in a column": ("nn.CrossEntropyLoss()(model_of(2)(images), labels.view(-1, 1))", "HC109"),
    "top five of three": ("torch.topk(model_of(3)(images), 5)", "HC110"),
    "top five of three in a function": (
        "def accuracy(output, ks=(1, 5)):\n    return output.topk(max(ks), 1)\naccuracy(model_of(3)(images))",
        "HC110",
    ),
}
RIGHT = {
    "as many outputs as classes": "loop(cifar, model_of(10), nn.CrossEntropyLoss())",
    "as many outputs as folders": (
        "found = datasets.ImageFolder('data')\nloop(found, model_of(len(found.classes)), nn.CrossEntropyLoss())"
    ),
    "the first folder left out": (
        "found = datasets.ImageFolder('data')\nkept = Subset(found, [1, 2])\n"
        "loop(kept, model_of(len(found.classes) - 1), nn.CrossEntropyLoss())"
    ),
    "the labels of folders moved": (
        "found = datasets.ImageFolder('data')\nfor x, y in DataLoader(found):\n"
        "    F.cross_entropy(model_of(len(found.classes) - 1)(x), y - 1)"
    ),
    "letters that begin with nought": (
        "for x, y in DataLoader(datasets.EMNIST('data', 'letters')):\n    F.cross_entropy(model_of(26)(x), y - 1)"
    ),
    "some classes only": "loop(Subset(cifar, [1, 2]), model_of(4), nn.CrossEntropyLoss())",
    "labels changed": "cifar.targets = [t % 4 for t in cifar.targets]\nloop(cifar, model_of(4), nn.CrossEntropyLoss())",
    "labels mapped": (
        "data = datasets.CIFAR10('data', target_transform=lambda t: t % 4)\n"
        "loop(data, model_of(4), nn.CrossEntropyLoss())"
    ),
    "batches collated": ("for x, y in DataLoader(cifar, collate_fn=print):\n    F.cross_entropy(model_of(4)(x), y)"),
    "labels recomputed": "for x, y in DataLoader(cifar):\n    F.cross_entropy(model_of(2)(x), (y > 4).long())",
    "labels folded": "for x, y in DataLoader(cifar):\n    F.cross_entropy(model_of(2)(x), y % 2)",
    "an ignored label": ("nn.CrossEntropyLoss(ignore_index=255)(model_of(3)(images), torch.tensor([0, 255]))"),
    "softmax for show": "probabilities = model_of(3)(images).softmax(1)\nF.cross_entropy(model_of(3)(images), labels)",
    "log softmax and nll": "F.nll_loss(F.log_softmax(model_of(3)(images), dim=1), labels)",
    "sigmoid for show": "chances = torch.sigmoid(model_of(3)(images))\nF.cross_entropy(model_of(3)(images), labels)",
    "weighed by a sigmoid": (
        "out = model_of(3)(images)\nF.cross_entropy(out * torch.sigmoid(out), labels)\n"
        "F.cross_entropy(torch.sigmoid(out) @ torch.rand(3, 3), labels)"
    ),
    "one picture's logits": "F.cross_entropy(model_of(3)(images)[0], labels[0])",
    "log of softmax": "F.nll_loss(torch.log(F.softmax(model_of(3)(images), dim=1)), labels)",
    "log softmax of several": (
        "a, b = (F.log_softmax(model_of(3)(images), dim=1) for _ in range(2))\n"
        "F.nll_loss(torch.cat([a, b]), torch.cat([labels, labels]))"
    ),
    "nll made by hand": ("out = model_of(3)(images)\nF.nll_loss(out - out.logsumexp(1, keepdim=True), labels)"),
    "batches counted, labels folded": (
        "for i, (x, y) in enumerate(DataLoader(cifar)):\n    F.cross_entropy(model_of(2)(x), y % 2)"
    ),
    "numbers for labels": (
        "for y, (x, _) in zip(range(9), DataLoader(cifar)):\n    F.cross_entropy(model_of(2)(x), torch.tensor([y % 2]))"
    ),
    "attention inside": (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)\n"
        "    def forward(self, x):\n        return self.b(x * torch.softmax(self.a(x), dim=1))\n"
        "F.cross_entropy(Net()(torch.rand(2, 8)), labels)"
    ),
    "fractions for classes": "F.cross_entropy(model_of(2)(images), torch.rand(2, 2))",
    "fractions made whole again": "F.cross_entropy(model_of(2)(images), labels.float().long())",
    "fractions that the dataset hands out": (
        "for x, y in DataLoader(datasets.ImageFolder('data', target_transform=float)):\n"
        "    F.binary_cross_entropy_with_logits(model_of(1)(x).squeeze(1), y)"
    ),
    **{
        f"labels against chances, {made}": (
            f"for x, y in DataLoader(datasets.ImageFolder('data')):\n"
            f"    F.binary_cross_entropy_with_logits(model_of(1)(x).squeeze(1), {made})"
        )
        for made in (
            "y.float()",
            "y.double()",
            "y.to(torch.float32)",
            "y.to('cpu', torch.float)",
            "y.to(dtype=torch.float)",
            "y.type(torch.FloatTensor)",
            "y.type_as(x)",
            "y.to(x)",
            "y * 0.9",
            "y.to(what)",
            "torch.rand(2)",
        )
    },
    **{
        f"fractions cast to the numbers of classes: {target}": (
            "y = labels.float()\ndevice = torch.device('cpu')\n" + f"F.cross_entropy(model_of(3)(images), {target})"
        )
        for target in (
            "y.long()",
            "y.to(torch.long)",
            "y.to(dtype=torch.int64)",
            "y.to(device, torch.long)",
            "y.to(device=device, dtype=torch.long, non_blocking=True)",
            "y.to(int)",
            "y.to(labels)",
            "y.to(labels.dtype)",
            "y.type(torch.LongTensor)",
            "y.type('torch.LongTensor')",
            "y.type(dtype=torch.int64).to(device)",
            "y.type_as(labels)",
            "torch.zeros(2).to(torch.long)",
            "torch.full((2,), 1)",
        )
    },
    "sigmoid and plain bce": "nn.BCELoss()(model_of(1)(images).sigmoid().squeeze(1), labels.float())",
    "column against column": "nn.BCEWithLogitsLoss()(model_of(1)(images), labels.float().unsqueeze(1))",
    "labels made a column against one output": (
        "for x, y in loader:\n    nn.BCEWithLogitsLoss()(model_of(1)(x), y.float().unsqueeze(1))"
    ),
    "masks made maps against maps": (
        "conv = nn.Conv2d(3, 1, 1)\nfor x, y in loader:\n    nn.BCEWithLogitsLoss()(conv(images), y.unsqueeze(1))"
    ),
    "rows made a batch": "for x, y in loader:\n    nn.BCELoss()(model_of(2)(x).sigmoid(), y.unsqueeze(0))",
    "features that are to have a gradient of their own": (
        "m = model_of(3).requires_grad_(False)\nhead, m.fc = m.fc, nn.Identity()\n"
        "with torch.no_grad():\n    features = m(images)\nfeatures.requires_grad = True\n"
        "loss = F.cross_entropy(head(features), labels)\nloss.backward()"
    ),
    "the same by a method": (
        "m = model_of(3).requires_grad_(False)\nhead, m.fc = m.fc, nn.Identity()\n"
        "with torch.no_grad():\n    features = m(images)\nfeatures = features.clone().requires_grad_()\n"
        "loss = F.cross_entropy(head(features), labels)\nloss.backward()"
    ),
    "flattened": "nn.BCEWithLogitsLoss()(model_of(1)(images).view(-1), labels.float())",
    "multilabel": "nn.BCEWithLogitsLoss()(model_of(3)(images), torch.zeros(2, 3))",
    "class probabilities": "nn.CrossEntropyLoss()(model_of(3)(images), torch.full((2, 3), 1 / 3))",
    "top five at most": "torch.topk(model_of(3)(images), min(5, 3))",
    "inception in eval mode": (
        "m = models.inception_v3(weights='DEFAULT')\nm.fc = nn.Linear(2048, 2)\nm.eval()\n"
        "F.cross_entropy(m(torch.rand(2, 3, 299, 299)), labels)"
    ),
    "inception without its auxiliary head": (
        "m = models.inception_v3(weights='DEFAULT')\nm.fc = nn.Linear(2048, 2)\nm.aux_logits = False\n"
        "m.AuxLogits = None\nF.cross_entropy(m(torch.rand(2, 3, 299, 299)), labels)"
    ),
    "inception told to leave it out": (
        "m = models.inception_v3(weights='DEFAULT')\nm.fc = nn.Linear(2048, 2)\nm.aux_logits = False\n"
        "F.cross_entropy(m(torch.rand(2, 3, 299, 299)), labels)"
    ),
    "the first of several outputs": (
        "m = models.inception_v3(weights='DEFAULT')\nm.fc = nn.Linear(2048, 2)\nm.AuxLogits.fc = nn.Linear(768, 2)\n"
        "out, aux = m(torch.rand(2, 3, 299, 299))\nF.cross_entropy(out, labels) + F.cross_entropy(aux, labels)"
    ),
    "probabilities of the labels, looked up": (
        "p = torch.softmax(model_of(3)(images), dim=1)\nright = -nn.NLLLoss(reduction='none')(p, labels)\n"
        "loss = ((1 - right) ** 2 * -torch.log(right)).mean()\nloss.backward()"
    ),
    "scores of the labels, looked up": "margin = -F.nll_loss(model_of(3)(images), labels, reduction='none')",
    "numbers made up to show what a loss is": (
        "p = torch.softmax(torch.randn((6, 2)) * 2, dim=1)\nt = torch.tensor([0, 1, 0, 1, 1, 0])\n"
        "print(-p[range(6), t])\nprint(F.nll_loss(p, t, reduction='none'))"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_found(name):
    script, code = WRONG[name]
    assert code in codes(script)


@pytest.mark.parametrize("name", RIGHT)
def test_silent(name):
    assert codes(RIGHT[name]) == []


def test_class_counts_are_the_librarys():
    torchvision = pytest.importorskip("torchvision")
    from headcheck.semantics.datasets import EMNIST, KNOWN

    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        assert len(getattr(torchvision.datasets, name).classes) == KNOWN[name][0]
    assert {split: len(found) for split, found in torchvision.datasets.EMNIST.classes_split_dict.items()} == EMNIST
    assert all(hasattr(torchvision.datasets, name) for name in KNOWN)
