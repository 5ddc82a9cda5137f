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

# what is done to `image` (2, 4, 6, 6) and `vector` (2, 8), and how much must be known of what comes of it
STEPS = {
    "image[..., 0, 0]": "all",
    "image[..., 0]": "all",
    "image[..., 1:3, :]": "all",
    "image[:, 1, ...]": "all",
    "image[None, ..., :2]": "all",
    "vector[..., None]": "all",
    "vector[..., 0:3, None, :5]": "all",
    "image.flatten(2) @ image.flatten(2).transpose(1, 2)": "all",
    "image.flatten(2).transpose(1, 2) @ image.flatten(2)": "all",
    "torch.bmm(image.flatten(2), image.flatten(2).permute(0, 2, 1)).flatten(1)": "all",
    "torch.matmul(vector, torch.rand(8, 5))": "all",
    "vector.mm(torch.rand(8, 5))": "all",
    "vector @ vector.t()": "all",
    "image @ torch.rand(6, 3)": "all",
    "torch.rand(7, 1, 3, 2) @ torch.rand(5, 2, 9)": "all",
    "vector[0] @ vector[1]": "none",
    "vector @ torch.rand(8)": "none",
    "image.max(3).values.max(dim=2).values": "all",
    "torch.median(vector, dim=1, keepdim=True).values": "all",
    "image.flatten(2).topk(3, dim=-1).indices": "all",
    "torch.where(image > 0, image, image * 0.1).mean((2, 3))": "all",
    "torch.where(image > 0, image, 0.0)": "all",
    "torch.cat(vector.chunk(2, dim=1), dim=0)": "all",
    "vector.chunk(4, 1)[0]": "all",
    "image.chunk(2, -3)[1]": "all",
    "vector.split(2, dim=1)[3]": "all",
    "torch.split(image, 2, dim=1)[0]": "all",
    "torch.tensor_split(vector, 3, dim=1)[0]": "none",
    "vector.split([3, 5], dim=1)[1]": "none",
    "vector.chunk(3, dim=1)[2]": "none",
    "image.repeat(1, 2, 1, 3)": "all",
    "vector.repeat((2, 1, 3))": "all",
    "vector.tile((4,))": "all",
    "torch.tile(vector, (3, 1, 1))": "all",
    "vector.repeat_interleave(3, dim=1)": "all",
    "vector.repeat_interleave(3)": "none",
    "vector[:, None].expand(-1, 5, -1)": "all",
    "vector.expand(4, 2, 8)": "all",
    "image.unsqueeze(1).expand(2, 3, -1, -1, -1).flatten(1, 2)": "all",
    "F.pad(image, (1, 2, 3, 0))": "all",
    "F.pad(vector, (0, 3), value=1.0)": "all",
    "F.pad(image, (0, 0, 0, 0, 0, 4))": "all",
    "image.movedim(1, -1)": "all",
    "torch.movedim(image, (0, 1), (1, 0))": "none",
    "image.unbind(1)[2]": "all",
    "image.select(1, 0)": "all",
    "vector.narrow(1, 2, 5)": "all",
    "F.glu(vector, dim=1)": "all",
    "torch.add(image, 1).mul(2).sub(image)": "all",
    "torch.mul(image, image.mean((2, 3), keepdim=True))": "all",
    "torch.max(image, torch.zeros_like(image))": "all",
    "torch.max(vector, vector[:1])": "all",
    "torch.add(vector, vector[0], alpha=2)": "all",
    "torch.cat([vector, torch.randn_like(vector)], 1)": "all",
    "-image.flip(3).roll(1, dims=2)": "all",
    "torch.sort(vector, dim=1)[0][:, :3]": "all",
    "image.masked_fill(image < 0, 0.0)": "all",
    "nn.GroupNorm(2, 4)(image)": "all",
    "nn.InstanceNorm2d(4, affine=True)(image)": "all",
    "nn.InstanceNorm2d(9)(image)": "all",
    "nn.ZeroPad2d((1, 2, 3, 4))(image)": "all",
    "nn.ReflectionPad2d(2)(image)": "all",
    "nn.ReplicationPad1d((0, 3))(image.flatten(2))": "all",
    "nn.ChannelShuffle(2)(image)": "all",
    "nn.MultiheadAttention(8, 2)(vector, vector, vector)[0]": "all",
    "nn.MultiheadAttention(4, 2, batch_first=True)(*[image.flatten(2).transpose(1, 2)] * 3)[0]": "none",
    "nn.TransformerEncoderLayer(d_model=8, nhead=2)(vector.unsqueeze(1)).mean(1)": "all",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 4, batch_first=True), 2)(vector[:, None])": "all",
    "nn.TransformerDecoderLayer(8, 2)(vector[:, None], vector[:, None])": "all",
    "nn.utils.weight_norm(nn.Linear(8, 3), name='weight')(vector)": "all",
    "nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3))(vector)": "all",
}
SCRIPTS |= {step: (f"{HEAD}output = {step}", wanted) for step, wanted in STEPS.items()}


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
