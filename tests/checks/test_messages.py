"""Messages: what is wrong, both numbers, where the model was built, and the line to write instead."""

from __future__ import annotations

import pytest

from headcheck.findings import Expectation
from tests.reading import read


def only(script):
    (finding,) = [f for f in read(script).findings if f.code not in ("HC501", "HC902")]
    return finding


CASES = [
    # script, code, parts of the message, help
    (
        "net = models.resnet18()\nfor p in net.parameters():\n    p.requiresGrad = False",
        "HC303",
        "`requiresGrad` is not `requires_grad`: setting it on a parameter",
        "requires_grad",
    ),
    (  # the name that is meant does nothing on a module either
        "net = models.resnet18()\nnet.fc.requiresGrad = True",
        "HC303",
        "`requiresGrad` is not `requires_grad`: setting it on a module",
        "call requires_grad_(True)",
    ),
    (
        "net = models.densenet121()\nnet.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)",
        "HC201",
        "densenet121 (line 4) has no `conv1` in its forward",
        "the first Conv2d of its forward is `features.conv0`",
    ),
    (
        "net = models.densenet121()\nnet.fc = nn.Linear(1024, 10)",
        "HC201",
        "densenet121 (line 4) has no `fc` in its forward",
        "net.classifier = nn.Linear(net.classifier.in_features, 10)",
    ),
    (
        "class Gate(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(64, 64)\n"
        "    def forward(self, x):\n        return x * self.fc(x.mean((2, 3)))[:, :, None, None]\n"
        "net = models.resnet18()\nnet.layer1[0].gate = Gate()\nnet(x)",
        "HC201",
        "`layer1[0]` of resnet18 (line 10) has no `gate` in its forward: the new layer is never used",
        "",  # no head was meant
    ),
    (
        "net = models.resnet50()\nnet.fc = nn.Linear(512, 10)",
        "HC101",
        "Linear takes 512 features, but resnet50 (line 4) feeds 2048 into `fc`",
        "nn.Linear(net.fc.in_features, 10)",
    ),
    (
        "net = models.vgg16()\nnet.classifier[6] = nn.Linear(2048, k)",
        "HC101",
        "Linear takes 2048 features, but vgg16 (line 4) feeds 4096 into `classifier[6]`",
        "nn.Linear(net.classifier[6].in_features, num_classes)",
    ),
    (
        "net = models.resnet18()\n"
        "net.classifier = nn.Sequential(nn.Linear(512, 250), nn.ReLU(), nn.Linear(250, k), nn.Softmax(1))\nnet(x)",
        "HC201",
        "the new layer is never used, `fc` still answers",
        "net.fc = nn.Linear(net.fc.in_features, num_classes)",  # 250 is what a hidden layer gives
    ),
    (
        "class Top(nn.Module):\n    def __init__(self, base):\n        super().__init__()\n        self.base = base\n"
        "        self.pool = nn.AdaptiveAvgPool2d(1)\n        self.last = nn.Linear(512, 3)\n"
        "    def forward(self, x):\n        return self.last(self.pool(self.base(x)).flatten(1))\n"
        "net = Top(models.resnet18())",
        "HC101",
        "Linear takes 512 features, but resnet18 (line 12) feeds a vector into a pooling before it (line 11)",
        "take the head off self.base, and its pooling: a pooling takes a feature map",
    ),
    (
        "net = models.vgg16()\nnet.classifier = nn.Linear(4096, 3)",
        "HC101",
        "Linear takes 4096 features, but vgg16 (line 4) feeds 25088 into `classifier`",
        "nn.Linear(25088, 3)",
    ),
    (
        "class Gate(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.act = nn.ReLU()\n"
        "    def forward(self, x):\n        return self.act(x)\n"
        "class Bare(Gate):\n    def __init__(self):\n        super().__init__()\n        del self.act",
        "HC202",
        "Bare has no attribute `act`: it is deleted before (line 13)",
        "",
    ),
    (
        "class Gate(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.act = nn.ReLU()\n"
        "    def forward(self, x):\n        return self.actt(x)\nGate()(x)",
        "HC202",
        "Gate (line 10) has no attribute `actt`: nothing sets one",
        "did you mean `act`?",
    ),
    (
        "net = models.resnet18()\nnet.fc = nn.Sequential(nn.Linear(25088, hidden), nn.ReLU(), nn.Linear(hidden, k))",
        "HC101",
        "Linear takes 25088 features, but resnet18 (line 4) feeds 512 into `fc[0]`",
        "in_features=512",  # what a hidden layer gives is no number of classes
    ),
    (
        "class T:\n    def __init__(self):\n        self.net = models.resnet18()\n"
        "        self.net.fc = nn.Linear(1, 2)",
        "HC101",
        "Linear takes 1 features, but resnet18 (line 6) feeds 512 into `fc`",
        "nn.Linear(self.net.fc.in_features, 2)",
    ),
    (
        "s = models.squeezenet1_1()\ns.classifier[1] = nn.Conv2d(1280, 10, 1)",
        "HC101",
        "Conv2d takes 1280 channels, but squeezenet1_1 (line 4) feeds 512 into `classifier[1]`",
        "nn.Conv2d(512, 10, kernel_size=1)",
    ),
    (
        "s = models.squeezenet1_1()\ns.classifier[1] = nn.Conv2d(1280, 10, 3, padding=1)",
        "HC101",
        "Conv2d takes 1280 channels, but squeezenet1_1 (line 4) feeds 512 into `classifier[1]`",
        "in_channels=512",
    ),
    (
        "s = models.squeezenet1_1()\ns.classifier[1] = nn.Linear(512, 10)",
        "HC102",
        "Linear takes a vector, but squeezenet1_1 (line 4) feeds a feature map",
        "s.classifier[1] = nn.Conv2d(s.classifier[1].in_channels, 10, kernel_size=1)",
    ),
    (
        "net = models.resnet18()\nnet.fc = nn.Conv2d(512, 10, 1)",
        "HC102",
        "Conv2d takes a feature map, but resnet18 (line 4) feeds a vector of 512 into `fc`",
        "net.fc = nn.Linear(net.fc.in_features, 10)",
    ),
    (
        "net = models.resnet18()\nnet.fc = nn.Sequential(nn.Linear(512, 100),\n    nn.Linear(10, 2))",
        "HC105",
        "Linear takes 10 features, but the Linear before it (line 5) gives 100",
        "nn.Linear(100, 2)",
    ),
    (
        "net = models.resnet18()\nnet.fc.out_features = 3",
        "HC103",
        "setting `out_features` does not resize the Linear of resnet18 (line 4): its weight keeps 1000 outputs",
        "net.fc = nn.Linear(512, 3)",
    ),
    (
        "net = models.densenet121()\nnet.fc = nn.Linear(1024, 4)",
        "HC201",
        "densenet121 (line 4) has no `fc` in its forward: the new layer is never used, `classifier` still answers",
        "net.classifier = nn.Linear(net.classifier.in_features, 4)",
    ),
    ("net = models.vgg16()\nnet.fc", "HC202", "vgg16 (line 4) has no attribute `fc`", "its head is `classifier[6]`"),
    (
        "net = models.vgg16()\nnet.classifier[7]",
        "HC202",
        "`classifier` of vgg16 (line 4) has no index 7: it holds 7 layers",
        "its head is `classifier[6]`",
    ),
    (
        "net = models.densenet121()\nnet.classifier[0]",
        "HC202",
        "`classifier` of densenet121 (line 4) has no index 0: it is one Linear",
        "net.classifier = nn.Linear(net.classifier.in_features, num_classes)",
    ),
    (
        "net = models.detection.ssd300_vgg16()\nnet.roi_heads",
        "HC202",
        "ssd300_vgg16 (line 4) has no attribute `roi_heads`",
        "its head is `head.classification_head.module_list[0]` and 5 more",
    ),
    (
        "net = models.resnet18(num_classes=2)\nnet(torch.zeros(2, 1, 64, 64))",
        "HC108",
        "the first convolution of resnet18 (line 4) takes 3 channels, but the pictures have 1",
        "transforms.Grayscale(num_output_channels=3) among the transforms, "
        "or a new first convolution with in_channels=1",
    ),
    (
        "one, two = models.resnet18(), models.resnet18()\none.fc, two.fc = nn.Identity(), nn.Identity()\n"
        "x = torch.zeros(2, 3, 64, 64)\nnn.Linear(512, 2)(torch.cat([one(x), two(x)], 1))",
        "HC101",
        "Linear takes 512 features, but what is joined before it, resnet18 (line 4) among it, has 1024",
        "nn.Linear(1024, 2)",
    ),
    (
        "net = nn.Sequential(*list(models.resnet18().children())[:-2], nn.Linear(512, 2))\n"
        "net(torch.zeros(2, 3, 64, 64))",
        "HC102",
        "Linear (line 4) takes a vector, but resnet18 (line 4) feeds a feature map of 512 x 2 x 2 into it",
        "nn.AdaptiveAvgPool2d(1) and torch.flatten(x, 1) before it",
    ),
    (
        "net = models.resnet18()\nnet.fc.in_feature",
        "HC202",
        "`fc` of resnet18 (line 4) has no attribute `in_feature`",
        "did you mean `in_features`?",
    ),
    (
        "net = models.resnet18()\ndel net.layer4",
        "HC202",
        "deletes `layer4`, which the forward of resnet18 (line 4) calls",
        "net.layer4 = nn.Identity()",
    ),
    (
        "net = models.resnet18()\nnet.fc = nn.Linear(512, 2)\nnet.requires_grad_(False)",
        "HC301",
        "this freezes the new head `fc` of resnet18 (line 4) as well: it was put in before (line 5)",
        "freeze first, then replace; or thaw it: net.fc.requires_grad_(True)",
    ),
    (
        "net = models.resnet18()\nopt = torch.optim.SGD(net.parameters(), 0.1)\nnet.fc = nn.Linear(512, 2)",
        "HC401",
        "made before the new head `fc` of resnet18 (line 4) was put in (line 6)",
        "make the optimizer after the head is replaced",
    ),
    (
        "net = models.resnet18(weights='DEFAULT', num_classes=10)",
        "HC406",
        "resnet18 has weights for 1000 classes and refuses num_classes=10 beside them",
        "leave num_classes out and replace the head: net.fc = nn.Linear(net.fc.in_features, 10)",
    ),
    (
        "net = models.googlenet(weights='IMAGENET1K_V1', aux_logits=False)",
        "HC409",
        "googlenet has weights that were made with aux_logits=True and refuses aux_logits=False beside them",
        "leave aux_logits out, and set it afterwards: net.aux_logits = False",
    ),
    (
        "net = models.vit_b_16(weights=models.ViT_B_16_Weights.DEFAULT, image_size=384)",
        "HC409",
        "vit_b_16 has weights that were made with image_size=224 and refuses image_size=384 beside them",
        "leave image_size out",
    ),
    ("net = models.resnet51()", "HC205", "torchvision.models has no model `resnet51`", "`resnet50`"),
]


@pytest.mark.parametrize("script, code, message, help_", CASES, ids=[f"{c[1]}-{n}" for n, c in enumerate(CASES)])
def test_message_and_help(script, code, message, help_):
    finding = only(script)
    assert finding.code == code
    assert message in finding.message
    assert help_ in finding.help
    assert "\n" not in finding.message and "%" not in finding.help


@pytest.mark.parametrize(
    "script, severity",
    [
        ("m = models.resnet18()\nm.layer4.requires_grad = True", "info"),
        ("m = models.resnet18()\nm.layer4.requires_grad = False", "error"),
        ("m = models.resnet18()\nm.layer4.requires_grad_(False)\nm.layer4.requires_grad = True", "error"),
        ("m = models.resnet18()\nm.classifier = nn.Linear(512, 2)", "error"),
        ("m = models.resnet18()\nm.conv2 = nn.Conv2d(3, 64, 1)", "info"),
        ("m = models.squeezenet1_1()\nm.conv2 = nn.Conv2d(512, 2, 1)", "error"),
    ],
)
def test_severity(script, severity):
    assert only(script).severity == severity


@pytest.mark.parametrize(
    "script, expectation",
    [
        ("m = models.resnet18()\nm.fc = nn.Linear(2, 3)", Expectation("raises", part="fc", step=5)),
        ("m = models.resnet18()\nm.head = nn.Linear(2, 3)", Expectation("no-grad", ("head.weight", "head.bias"), 1000)),
        ("m = models.resnet18()\nm.fc.out_features = 3", Expectation("output", classes=1000)),
        ("m = models.resnet18()\nm.fc = nn.Linear(512, 3)\nm.requires_grad_(False)",
         Expectation("frozen", ("fc.weight", "fc.bias"))),
        ("m = models.resnet18()\nm.fc.requires_grad = False", Expectation("trainable", ("fc.weight",))),
        ("m = models.resnet18()\no = torch.optim.SGD(m.parameters(), 1)\nm.fc = nn.Linear(512, 3)",
         Expectation("not-in-optimizer", ("fc.weight", "fc.bias"))),
    ],
)  # fmt: skip
def test_what_a_run_must_show(script, expectation):
    assert only(script).expectation == expectation


@pytest.mark.parametrize(
    "script",
    [
        # What the catalog says of forward no longer holds.
        "m = models.resnet18()\nm.forward = unknown\nm.fc = nn.Linear(1, 2)",
        "m = models.resnet18()\nm.register_forward_hook(f)\nm.head = nn.Linear(1, 2)",
        "m = models.resnet18()\nm.head = nn.Linear(512, 2)\ny = m.head(x)",
        "m = models.resnet18()\nf = nn.Sequential(*list(m.children())[:-1])\nm.head = nn.Linear(512, 2)",
        # The trunk was edited, so what reaches the head is not known.
        "m = models.resnet18()\nm.avgpool = unknown()\nm.fc = nn.Linear(25088, 2)",
        "m = models.resnet18()\nm.layer4 = nn.Identity()\nm.fc = nn.Linear(256, 2)",
        # Bookkeeping.
        "m = models.resnet18()\nm.fc = nn.Linear(512, 2)\nm.num_classes = 2",
        "m = models.resnet18()\nm.fc.weight = nn.Parameter(w)\nm.fc.out_features = 2",
        "m = models.resnet18()\nm.fc.out_features = 1000",
        "m = models.resnet18()\nm.my_count = 3\nm.in_features = 4",
        # Frozen on purpose.
        "import copy\nm = models.resnet18()\nm.fc = nn.Linear(512, 2)\nt = copy.deepcopy(m)\nt.requires_grad_(False)",
        "m = models.resnet18()\nm.fc = nn.Linear(512, 2)\nm.load_state_dict(s)\nm.requires_grad_(False)\nm.eval()",
        "m = models.resnet18()\nm.fc = nn.Linear(512, 2)\nm.eval()\nm.requires_grad_(False)",
        # Right.
        "m = models.resnet18(weights='DEFAULT', num_classes=1000)",
        "m = models.resnet18()\no = torch.optim.SGD(unknown, 0.1)\nm.fc = nn.Linear(512, 2)",
        "m = models.resnet18()\nm.fc = nn.Sequential(nn.Flatten(), nn.LazyLinear(3), nn.Linear(3, 2))",
        "m = models.resnet18()\ndel m.fc\nm.fc = nn.Linear(512, 2)",
        "m = models.resnet18()\nhasattr(m, 'classifier')\ngetattr(m, 'classifier', None)",
    ],
)
def test_silence(script):
    assert [f.code for f in read(script).findings if f.code not in ("HC501", "HC902")] == []


OF_ITS_OWN = """
class Stem(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config.wide:
            size = 7
            self.pooled = {wide}
        else:
            size = 3
            self.pooled = {narrow}
        self.conv = nn.Conv2d(3, 64, size)

    def forward(self, x):
        if self.pooled:
            x = self.pool(x)
        return self.conv(x).mean((2, 3))


class Net(nn.Module):
    def __init__(self, config, num_classes=10):
        super().__init__()
        self.stem = Stem(config)
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.head(self.stem(x))
"""


@pytest.mark.parametrize(
    ("wide", "narrow", "conditions"),
    [("True", "False", ("config.wide",)), ("False", "True", ("not config.wide",)), ("True", "True", ())],
)
def test_what_a_network_lacks_on_one_side_of_a_branch(wide, narrow, conditions):
    """The other side never comes by the place: what the network was made with is said."""
    finding = only(OF_ITS_OWN.format(wide=wide, narrow=narrow))
    assert (finding.code, finding.location.row, finding.conditions) == ("HC202", 17, conditions)


def test_a_part_that_no_branch_asks_for():
    assert read(OF_ITS_OWN.format(wide="False", narrow="False")).findings == ()
