"""What `show` says of models: numbers of parameters and output shapes are PyTorch's, the words are a beginner's."""

from __future__ import annotations

import pytest

from tests.reading import PREAMBLE, read, whole

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

FREEZE = "for p in m.parameters():\n    p.requires_grad = False\n"
SCRIPTS = [
    "m = models.resnet18()",
    f"m = models.resnet50()\n{FREEZE}m.fc = nn.Linear(2048, 10)",
    f"m = models.vgg11()\n{FREEZE}m.classifier[6] = nn.Linear(4096, 5)\nm.classifier[3].requires_grad_(True)",
    "m = models.densenet121(num_classes=3)\nm.features.requires_grad_(False)",
    "m = models.mobilenet_v2()\nm.classifier = nn.Sequential(nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, 4))",
    f"m = models.squeezenet1_1()\n{FREEZE}m.classifier[1] = nn.Conv2d(512, 6, 1)",
    "m = models.vit_b_16()\nm.heads = nn.Linear(768, 9)\nm.encoder.requires_grad_(False)",
    "m = models.efficientnet_b0()\nm.classifier[1] = nn.Linear(m.classifier[1].in_features, 8, bias=False)",
    "m = models.convnext_tiny()\nm.classifier[2] = nn.Identity()",
    "m = models.resnet18()\nm.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)\nm.fc = nn.Identity()",
    "m = models.alexnet()\nm.classifier = m.classifier[:-2]",
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_numbers_are_pytorchs(script):
    (report,) = read(script).models
    names = {}
    with torch.device("meta"):
        exec(whole(script), names)
        model = names["m"].eval()
        output = model(torch.zeros(report.input_shape))
    assert report.total == sum(p.numel() for p in model.parameters())
    assert report.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert report.output_shape == tuple(output.shape)


def steps(script):
    (report,) = read(script).models
    above = PREAMBLE.count("\n")
    return [(step.location.row - above, step.text) for step in report.timeline]


def test_a_life():
    script = """
        m = models.resnet50(pretrained=True)
        for p in m.parameters():
            p.requires_grad = False
        m.fc = nn.Linear(2048, n)
        m.fc.requires_grad_(True)
        m.cuda()
        opt = torch.optim.SGD(m.fc.parameters(), lr=0.1)
        m.eval()
        unknown(m)
        m.classifier
        """
    assert steps(script) == [
        (1, "resnet50 is built with pretrained weights"),
        (3, "all parameters are made frozen"),
        (4, "`fc` becomes Linear(2048, n)"),
        (5, "all parameters of `fc` are made trainable"),
        (6, "moved to cuda"),
        (7, "SGD gets 2 of its parameter tensors"),
        (8, "put in evaluation mode"),
        (9, "handed to `unknown`, which headcheck does not follow"),
        (10, "reads `classifier`, which does not exist: the script stops here"),
    ]


def test_what_one_line_does_over_and_over_is_said_once():
    script = (
        "m = models.resnet18()\nfor n, p in m.named_parameters():\n    if 'fc' in n:\n        p.requires_grad = False"
    )
    assert len(steps(script)) == 2


def test_heads_as_the_script_leaves_them():
    (report,) = read("m = models.inception_v3()\nm.fc = nn.Linear(2048, 3)").models
    assert [(h.path, h.layer, h.in_features, h.out_features, h.auxiliary) for h in report.heads] == [
        ("AuxLogits.fc", "Linear(768, 1000)", 768, 1000, True),
        ("fc", "Linear(2048, 3)", 2048, 3, False),
    ]


def test_what_is_unknown_is_none():
    (report,) = read("m = models.resnet18()\nm.fc = unknown()").models
    assert (report.output_shape, report.trainable, report.total) == (None, None, None)
    (report,) = read("m = models.resnet18()\nm.fc = nn.Linear(512, n)").models
    assert (report.output_shape, report.total) == ((1, None), None)


def test_each_end_of_a_model_is_told_with_its_condition():
    reports = read(
        "m = models.resnet18()\nif a:\n    m.fc = nn.Linear(512, 2)\nelse:\n    m.fc = nn.Linear(512, 3)"
    ).models
    assert {(r.output_shape, r.conditions) for r in reports} == {((1, 2), ("a",)), ((1, 3), ("not a",))}


def test_names():
    script = "class T:\n    def __init__(self):\n        self.net = models.resnet18()\nt = T()\n"
    script += "x = models.vgg11()\nmodels.alexnet()"
    assert {(r.builder, r.variable) for r in read(script).models} == {
        ("resnet18", "self.net"),
        ("vgg11", "x"),
        ("alexnet", "model"),
    }


def test_a_class_of_the_script_goes_by_its_name():
    script = """
        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(512, 2)

        m = models.resnet18()
        m.fc = Head()
        """
    assert "`fc` becomes Head" in [text for _, text in steps(script)]
    script = script.replace("Head()\n        ", "nn.Sequential(nn.Dropout(), Head())\n        ")
    assert "`fc` becomes Sequential(Dropout, Head)" in [text for _, text in steps(script)]
