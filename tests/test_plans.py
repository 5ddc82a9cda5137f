"""Plans: the steps of a script as plain data, and whether those are all there are."""

from __future__ import annotations

import json
import re

import pytest

from headcheck.plans import STAND_IN_CLASSES
from tests.reading import read


def plan_of(script, number=0):
    plan = read(script).plans[number]
    assert json.loads(json.dumps(plan)) == plan
    return plan


def steps(script):
    """The steps without their lines, each as (op, rest)."""
    return [(s["op"], {k: v for k, v in s.items() if k not in ("op", "line")}) for s in plan_of(script)["steps"]]


def test_a_whole_plan():
    """Its probes are those of what is a finding only if running it shows it."""
    script = """
        m = models.resnet18(weights="DEFAULT")
        for p in m.parameters():
            p.requires_grad = False
        m.fc = nn.Linear(512, 10)
        opt = torch.optim.Adam(m.fc.parameters(), lr=0.1)
        """
    assert plan_of(script) == {
        "id": 0,
        "root": 1,
        "input": [[2, 3, 224, 224]],
        "kind": "classification",
        "loss": None,
        "autocast": False,
        "left_out": "",
        "taken": "",
        "shortened": False,
        "takes_other": False,
        "more_optimizers": False,
        "built": "line 4",
        "probes": {"parameters": ["fc.weight", "fc.bias"]},
        "steps": [
            {"op": "build", "line": 4, "out": 1, "builder": "torchvision.models.resnet18", "kwargs": {},
             "weights": "DEFAULT"},
            {"op": "requires_grad", "line": 6, "of": 1, "parameters": "all", "value": False},
            {"op": "layer", "line": 7, "out": 2, "class": "torch.nn.Linear", "args": [512, 10], "kwargs": {}},
            {"op": "get", "line": 7, "out": 3, "of": 1, "path": "fc"},
            {"op": "set", "line": 7, "of": 1, "name": "fc", "value": 2},
            {"op": "optimizer", "line": 8, "out": 4, "class": "torch.optim.Adam", "kwargs": {"lr": 0.1},
             "groups": [{"parameters": [[2, "weight"], [2, "bias"]]}]},
        ],
    }  # fmt: skip


def test_arguments_that_are_the_defaults_are_left_away():
    script = """
        from torchvision.models.segmentation.deeplabv3 import DeepLabHead
        m = models.segmentation.deeplabv3_resnet50()
        m.classifier = DeepLabHead(2048, 5)
        m.aux_classifier = DeepLabHead(1024, 5, (1, 2, 3))
        """
    told = [rest["kwargs"] for op, rest in steps(script) if op == "layer"]
    assert told == [{}, {"atrous_rates": {"tuple": [1, 2, 3]}}]


def test_containers_are_filled_child_by_child():
    told = steps(
        "m = models.vgg11()\nm.classifier[6] = nn.Sequential(nn.Dropout(p=0.2), nn.Linear(4096, 3, bias=False))"
    )
    assert told[1:] == [
        ("layer", {"out": 2, "class": "torch.nn.Dropout", "args": [], "kwargs": {"p": 0.2}}),
        ("layer", {"out": 3, "class": "torch.nn.Linear", "args": [4096, 3], "kwargs": {"bias": False}}),
        ("layer", {"out": 4, "class": "torch.nn.Sequential", "args": [], "kwargs": {}}),
        ("add_module", {"of": 4, "name": "0", "value": 2}),
        ("add_module", {"of": 4, "name": "1", "value": 3}),
        ("get", {"out": 5, "of": 1, "path": "classifier"}),
        ("get", {"out": 6, "of": 5, "path": "6"}),
        ("set", {"of": 5, "name": "6", "value": 4}),
    ]


@pytest.mark.parametrize(
    "line, step",
    [
        ("m.eval()", ("mode", {"of": 1, "train": False})),
        ("m.fc = None", ("set", {"of": 1, "name": "fc", "value": None})),
        ("del m.fc", ("delete", {"of": 1, "name": "fc"})),
        ("m.classifier", ("read", {"of": 1, "name": "classifier"})),
        ("del m.classifier", ("delete", {"of": 1, "name": "classifier"})),
        ("m.layer1[7]", ("item", {"out": 1002, "of": 2, "index": 7})),
        ("m.fc.out_features = 3", ("plain", {"of": 2, "parameters": None, "name": "out_features", "value": 3})),
        ("m.requires_grad = False", ("plain", {"of": 1, "parameters": None, "name": "requires_grad", "value": False})),
        ("m.fc.weight.require_grad = False",
         ("plain", {"of": 2, "parameters": ["weight"], "name": "require_grad", "value": False})),
        ("m.fc.requires_grad_(False)", ("requires_grad", {"of": 2, "parameters": "all", "value": False})),
        ("m.layer1[0].conv1.weight.requires_grad = False",
         ("requires_grad", {"of": 4, "parameters": ["weight"], "value": False})),
    ],
)  # fmt: skip
def test_one_step(line, step):
    assert steps(f"m = models.resnet18()\n{line}")[-1] == step


def test_flags_set_one_after_the_other_are_one_step():
    told = steps("m = models.resnet18()\nfor n, p in m.named_parameters():\n    p.requires_grad = 'fc' in n")
    assert [op for op, _ in told] == ["build", "requires_grad", "requires_grad"]
    assert told[-1][1]["parameters"] == ["fc.weight", "fc.bias"]


def test_a_copy_has_a_plan_of_its_own():
    script = "import copy\nm = models.resnet18()\nt = copy.deepcopy(m)\nt.fc = nn.Linear(1, 2)"
    whole = read(script)
    (finding,) = whole.findings
    plan = whole.plans[finding.plan]
    assert [step["op"] for step in plan["steps"]][:2] == ["build", "copy"]
    assert plan["root"] != 1


def test_the_number_of_classes_may_stay_open():
    told = steps("m = models.resnet18(num_classes=n)\nm.fc = nn.Linear(512, n)\nm.x = nn.Linear(2, k)")
    assert told[0][1]["builder"] == "torchvision.models.resnet18"
    assert [s["args"] for op, s in told if op == "layer"] == [
        [512, {"open": STAND_IN_CLASSES}],
        [2, {"open": STAND_IN_CLASSES}],
    ]


@pytest.mark.parametrize(
    "script, left_out",
    [
        ("m = models.resnet18()\nm.fc = nn.Linear(512, n)", ""),
        ("m = models.resnet18()\nm.fc = nn.Linear(n, 2)", ""),
        ("m = models.resnet18()\nm.fc = nn.Linear(n, n)", "`out_features` of a Linear, which is not known"),
        ("m = models.resnet18()\nm.fc = nn.LSTM(n, 2)", "`input_size` of a LSTM, which is not known"),
        ("m = models.resnet18()\nm.__dict__.update(x)", "what else is put into the ResNet"),
        ("m = models.resnet18()\nm.fc = unknown(512)", "the new `fc`, which is not known"),
        ("m = models.resnet18()\nm.fc = nn.Sequential(nn.Linear(512, 2), unknown())", "`1` of a Sequential"),
        ("m = models.resnet18()\nclass N(nn.Linear):\n    pass\nm.fc = N(512, 2)", "N, a class of the script"),
        ("m = models.resnet18()\nm.forward = unknown", "the new `forward`, which is not known"),
        ("m = models.resnet18()\nm.note = unknown", ""),
        ("m = models.resnet18()\nm.note = 'x'", ""),
        ("m = models.resnet18(weights=unknown)\nm.fc = nn.Linear(512, 2)", ""),
    ],
)
def test_what_is_left_out(script, left_out):
    said = plan_of(script)["left_out"]
    assert said.startswith(left_out) and bool(said) == bool(left_out)


@pytest.mark.parametrize(
    "script, taken, last",
    [
        (
            "m = models.resnet18()\nm.fc = nn.Linear(n, 2)",
            "`in_features` of the Linear is what reaches it (line 5)",
            {"class": "torch.nn.LazyLinear", "kwargs": {"out_features": 2}},
        ),
        (
            "m = models.resnet18()\nm.fc = nn.Sequential(nn.Linear(512, k), nn.Linear(k, 2))",
            "",
            {"class": "torch.nn.Linear", "args": [{"open": STAND_IN_CLASSES}, 2]},
        ),
        (
            "m = models.resnet18()\nm.layer1[0].bn1 = nn.BatchNorm2d(n)",
            "`num_features` of the BatchNorm2d is what reaches it (line 5)",
            {"class": "torch.nn.LazyBatchNorm2d", "args": [], "kwargs": {}},
        ),
        (
            "m = models.resnet18()\nm.loss = nn.CrossEntropyLoss(weight=w, label_smoothing=0.1)",
            "`weight` of the CrossEntropyLoss does not matter (line 5)",
            {"class": "torch.nn.CrossEntropyLoss", "kwargs": {"label_smoothing": 0.1}},
        ),
        (
            "m = models.resnet18()\nm.fc = nn.Linear(512, 2, bias=b)",
            "`bias` of the Linear does not matter (line 5)",
            {"class": "torch.nn.Linear", "args": [512, 2], "kwargs": {}},
        ),
        (
            "m = models.resnet18()\nm.fc = nn.Linear(n, 2, bias=b)",
            "`in_features` of the Linear is what reaches it (line 5) and `bias` of the Linear does not matter (line 5)",
            {"class": "torch.nn.LazyLinear", "kwargs": {"out_features": 2}},
        ),
    ],
)
def test_what_is_taken_for_granted(script, taken, last):
    plan = plan_of(script)
    layers = [step for step in plan["steps"] if step["op"] == "layer" and step["class"] != "torch.nn.Sequential"]
    step = layers[-1]
    assert (plan["left_out"], plan["taken"], plan["shortened"]) == ("", taken, False)
    assert {key: step[key] for key in last} == last


def test_a_weight_that_is_not_known_is_as_large_as_the_old_one():
    plan = plan_of("m = models.resnet18()\nm.conv1 = nn.Conv2d(1, 64, 7)\nm.conv1.weight = w\nm.fc = nn.Linear(512, 2)")
    assert (plan["left_out"], plan["taken"]) == ("", "the new `weight` is as large as the old one (line 6)")
    assert plan["shortened"]  # if it is not, the model may not fail where the plan does
    assert plan["input"] == [[2, 1, 224, 224]]


@pytest.mark.parametrize("keywords", ["min_size=s, num_classes=3", "trainable_backbone_layers=k", "weights_backbone=w"])
def test_a_keyword_that_changes_no_part_may_be_any(keywords):
    plan = plan_of(f"m = models.detection.fasterrcnn_resnet50_fpn({keywords})")
    assert (plan["left_out"], plan["taken"]) == ("", "")


def test_pictures_have_three_channels_where_nothing_else_is_known():
    timm = "import timm\nm = timm.create_model('resnet18', in_chans=c, num_classes=3)"
    plan = plan_of(timm)
    assert (plan["left_out"], plan["taken"]) == ("", "it takes pictures of 3 channels (line 5)")
    assert plan["steps"][0]["kwargs"] == {"num_classes": 3}
    assert plan_of(timm.replace("c,", "c, output_stride=k,"))["left_out"].startswith("`output_stride` of resnet18")


def test_a_layer_that_a_forward_makes_is_made_once():
    plan = plan_of("""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = models.resnet18()
            def forward(self, x):
                y = nn.Softmax(dim=1)(self.model(x))
                return nn.Sigmoid()(y) + unknown(y) if x is None else nn.Sigmoid()(y)
        net = Net()
        """)
    layers = [step["class"] for step in plan["steps"] if step["op"] == "layer"]
    assert (plan["left_out"], layers) == ("", ["torch.nn.Softmax", "torch.nn.Sigmoid"])


@pytest.mark.parametrize(
    ("move", "left_out", "taken"),
    [
        ("self.given", "", "`to` moves a tensor to where the model is (line 9)"),
        ("'cuda'", "", ""),
        ("dtype=self.given", "`pick(…)`, which is not known (line 9)", ""),
    ],
)
def test_a_move_to_what_is_not_known_keeps_the_tensor_as_it_is(move, left_out, taken):
    plan = plan_of(f"""
        class Net(nn.Module):
            def __init__(self, given):
                super().__init__()
                self.model, self.given = models.resnet18(), given
            def forward(self, x):
                y = x.to({move})
                return self.model(y)
        net = Net(pick())
        """)
    assert (plan["left_out"], plan["taken"]) == (left_out, taken)


def test_a_stack_has_the_layers_that_are_known():
    script = """
        m = models.resnet18()
        m.fc = nn.Sequential(nn.Linear(512, 64))
        for size in sizes:
            m.fc.append(nn.Linear(64, 64))
        """
    plan = plan_of(script)
    assert plan["left_out"] == ""
    assert plan["taken"] == "the layers that are not known go on with what the Sequential has (line 5)"
    assert plan["shortened"]


@pytest.mark.parametrize(
    "fill",
    [
        "layers = [nn.Linear(512, sizes[0])]\nfor n in sizes[1:]:\n    layers.append(nn.ReLU())\n"
        "layers.append(nn.Linear(n, 2))",
        "layers = [nn.Linear(512, 8)]\nfor n in sizes:\n    layers += [nn.ReLU()]\n    layers.extend([])\n"
        "layers.extend([nn.Linear(8, 2)])",
        "layers = nn.ModuleList([nn.Linear(512, 8)])\nfor n in sizes:\n    layers.append(nn.ReLU())\n"
        "layers.append(nn.Linear(8, 2))",
    ],
)
def test_a_stack_of_a_list_of_unknown_length_has_one_turn_of_each_loop(fill):
    plan = plan_of(f"m = models.resnet18()\n{fill}\nm.fc = nn.Sequential(*layers)")
    kinds = {step["out"]: step["class"].rpartition(".")[2] for step in plan["steps"] if step["op"] == "layer"}
    (stack,) = [number for number, kind in kinds.items() if kind == "Sequential"]
    added = [kinds[step["value"]] for step in plan["steps"] if step["op"] == "add_module" and step["of"] == stack]
    assert [kind.removeprefix("Lazy") for kind in added] == ["Linear", "ReLU", "Linear"]
    assert (plan["left_out"], plan["shortened"]) == ("", True)


@pytest.mark.parametrize(
    "type_, parts",
    [
        ("torch.cuda.FloatTensor", {"device": "cuda", "dtype": "float32"}),
        ("'torch.HalfTensor'", {"device": "cpu", "dtype": "float16"}),
        ("torch.float64", {"dtype": "float64"}),
    ],
)
def test_a_module_may_be_moved_by_a_tensor_type(type_, parts):
    assert steps(f"m = models.resnet18()\nm.type({type_})")[-1] == ("move", {"of": 1, **parts})


@pytest.mark.parametrize(
    "build, kwargs, weights",
    [
        ("models.googlenet(weights='DEFAULT')", {"aux_logits": False, "init_weights": False}, "DEFAULT"),
        ("models.googlenet()", {"init_weights": False}, None),
        ("models.resnet18(pretrained=True, num_classes=1000)", {"num_classes": 1000}, True),
        ("models.inception_v3(aux_logits=False)", {"aux_logits": False, "init_weights": False}, None),
        ("models.segmentation.fcn_resnet50(weights_backbone=None, num_classes=3)", {"num_classes": 3}, None),
    ],
)
def test_builders_are_built_as_their_weights_would(build, kwargs, weights):
    plan = plan_of(f"m = {build}")
    step = plan["steps"][0]
    assert {name: step["kwargs"].get(name) for name in kwargs} == kwargs
    assert step.get("weights") == weights
    assert plan["left_out"] == ""


@pytest.mark.parametrize(
    "script, shape, kind",
    [
        ("m = models.resnet18()\nm.conv1 = nn.Conv2d(1, 64, 7, 2, 3)", [[2, 1, 224, 224]], "classification"),
        ("m = models.inception_v3()", [[2, 3, 299, 299]], "classification"),
        ("m = models.segmentation.fcn_resnet50(weights_backbone=None)", None, "segmentation"),
        ("m = models.video.r3d_18()", None, "video"),
        ("m = models.detection.fasterrcnn_resnet50_fpn(weights_backbone=None)", None, "detection"),
    ],
)
def test_input_and_kind(script, shape, kind):
    plan = plan_of(script)
    assert plan["kind"] == kind
    assert shape is None or plan["input"] == shape


def test_what_findings_ask_about_one_model_shares_a_plan():
    script = """
        m = models.densenet121()
        m.fc = nn.Linear(1024, 2)
        m.head = nn.Linear(1024, 3)
        """
    whole = read(script)
    assert [f.plan for f in whole.findings] == [0, 0]
    assert whole.plans[0]["probes"]["parameters"] == ["fc.weight", "fc.bias", "head.weight", "head.bias"]


def test_an_optimizer_holds_the_parameters_of_the_head_that_was_there():
    """A list of parameters is older than the new head: its `fc.weight` is that of the old one."""
    script = """
        m = models.resnet18()
        kept = list(m.parameters())
        m.fc = nn.Linear(512, 2)
        opt = torch.optim.SGD(kept, lr=0.1)
        """
    plan = plan_of(script)
    old = next(step["out"] for step in plan["steps"] if step["op"] == "get" and step["path"] == "fc")
    (group,) = plan["steps"][-1]["groups"]
    assert group["parameters"][-2:] == [[old, "weight"], [old, "bias"]]


def test_the_groups_of_an_optimizer_are_kept():
    script = """
        m = models.resnet18()
        groups = [{"params": m.fc.parameters(), "lr": 0.1}, {"params": m.layer4.parameters(), "weight_decay": decay}]
        opt = torch.optim.SGD(groups, 0.01, momentum=0.9)
        """
    step = plan_of(script)["steps"][-1]
    assert step["kwargs"] == {"lr": 0.01, "momentum": 0.9}
    assert [(len(g["parameters"]), {k: v for k, v in g.items() if k != "parameters"}) for g in step["groups"]] == [
        (2, {"lr": 0.1}),
        (15, {}),
    ]


def test_a_group_that_is_added_is_a_step() -> None:
    script = """
        m = models.resnet18()
        opt = torch.optim.SGD(m.fc.parameters(), 0.01)
        opt.add_param_group({"params": m.conv1.parameters(), "lr": 0.1})
        """
    *_, first, _, added = plan_of(script)["steps"]
    conv = next(step["out"] for step in plan_of(script)["steps"] if step["op"] == "get" and step["path"] == "conv1")
    assert (added["op"], added["of"]) == ("add_group", first["out"])
    assert added["group"] == {"parameters": [[conv, "weight"]], "lr": 0.1}


def test_an_optimizer_of_layers_whose_parameters_are_not_known_has_them_all() -> None:
    script = """
        m = models.resnet18()
        m.fc = nn.Sequential(nn.Linear(512, 64), nn.MultiheadAttention(64, 4))
        opt = torch.optim.SGD([{"params": m.fc.parameters(), "lr": 0.1}, {"params": m.layer4.parameters()}], 0.01)
        """
    head = next(step["value"] for step in plan_of(script)["steps"] if step["op"] == "set")
    step = plan_of(script)["steps"][-1]
    assert step["groups"][0] == {"modules": [head], "lr": 0.1}
    assert list(step["groups"][1]) == ["modules"]


def test_an_optimizer_that_gets_what_is_not_known_is_none() -> None:
    script = """
        m = models.resnet18()
        opt = torch.optim.SGD(m.fc.parameters(), 0.01)
        opt.add_param_group({"params": unknown})
        """
    assert "optimizer" not in [step["op"] for step in plan_of(script)["steps"]]
    assert plan_of(script)["more_optimizers"]


@pytest.mark.parametrize(
    ("given", "more"),
    [("m.layer4.parameters()", False), ("other.parameters()", True), ("[*m.layer4.parameters(), unknown]", True)],
)
def test_an_optimizer_that_may_hold_more_keeps_a_run_from_saying_what_a_step_changes(given: str, more: bool) -> None:
    script = f"m = models.resnet18()\na = torch.optim.SGD(m.fc.parameters(), 0.01)\nb = torch.optim.SGD({given}, 0.01)"
    assert plan_of(script)["more_optimizers"] == more


CLIPS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = models.resnet18()
    def forward(self, clip):
        {body}
net = Net()
"""


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("return self.trunk(clip)", [2, 3, 224, 224]),
        ("return self.trunk(clip[:, 0]) + self.trunk(clip[:, 1])", [2, 4, 3, 224, 224]),
        ("return self.trunk(clip[:, 0]) + self.trunk(clip[:, 6])", [2, 7, 3, 224, 224]),
        ("a, b, c, d, e = clip.shape; return self.trunk(clip.flatten(0, 1))", [2, 4, 3, 224, 224]),
        ("return self.trunk(clip.reshape(-1, *clip.shape[2:4], clip.size(4)))", [2, 4, 3, 224, 224]),
    ],
)
def test_a_network_is_given_pictures_or_clips(body: str, shape: list[int]) -> None:
    """How many pictures a clip has is a guess."""
    plan = plan_of(CLIPS.format(body=body))
    assert (plan["left_out"], plan["input"], plan["takes_other"]) == ("", [shape], len(shape) > 4)


LOOP = """
m = models.resnet18()
m.fc = nn.Linear(512, 2)
criterion = {criterion}
for x, y in loader:
    output = m(x)
    loss = criterion({output}, {target})
    loss.backward()
"""


@pytest.mark.parametrize(
    "criterion, output, target, loss",
    [
        ("nn.CrossEntropyLoss(weight=w, label_smoothing=0.1)", "output", "y",
         {"class": "torch.nn.CrossEntropyLoss", "kwargs": {"label_smoothing": 0.1, "reduction": "mean"},
          "by_picture": False, "line": 9}),
        ("nn.NLLLoss()", "output", "torch.tensor([0, 1])",
         {"class": "torch.nn.NLLLoss", "kwargs": {"reduction": "mean"}, "by_picture": True, "line": 9}),
        ("nn.CrossEntropyLoss()", "output.view(-1)", "y", None),
        ("nn.MSELoss()", "other(output)", "y", None),
        ("unknown()", "output", "y", None),
    ],
)  # fmt: skip
def test_the_loss_over_what_the_model_answers(criterion, output, target, loss):
    assert plan_of(LOOP.format(criterion=criterion, output=output, target=target))["loss"] == loss


def test_the_loss_may_be_a_function():
    script = "m = models.resnet18()\nloss = nn.functional.mse_loss(m(x), y)\n"
    assert plan_of(script)["loss"]["class"] == "torch.nn.MSELoss"


def test_weights_that_are_known_not_to_fit_are_loaded():
    script = """
        m = models.resnet18()
        m.fc = nn.Linear(512, 2)
        m.load_state_dict(models.resnet18(weights="DEFAULT").state_dict())
        """
    steps = [step for step in plan_of(script)["steps"] if step["op"] == "load"]
    assert [{k: v for k, v in step.items() if k != "op"} for step in steps] == [
        {"line": 6, "of": 1, "strict": True, "missing": [], "unexpected": [],
         "differing": [["fc.weight", [1000, 512]], ["fc.bias", [1000]]]}
    ]  # fmt: skip


DEEP = """
    def save(net):
        {body}
    def f8(net):
        save(net)
    {between}
    def train(net):
        f1(net)
    m = models.resnet18()
    m.fc = nn.Linear(512, 10)
    train(m)
    """
BETWEEN = "\n    ".join(f"def f{n}(net):\n        f{n + 1}(net)" for n in range(7, 0, -1))
METER = """
    class Meter:
        def __init__(self):
            self.count = 0
        def step(self):
            self.count = self.count + 1
    """


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        ("torch.save({'head': net.fc, 'weights': net.state_dict()}, 'x.pth')", False),
        ("net.load_state_dict(best)", False),
        ("net.eval()", False),
        ("meter = Meter(); meter.step()", False),
        ("meter = Meter(); meter.bar.at = 3", False),
        ("meter = Meter(); meter.bar.fc = 3", True),  # whose it is nobody looks
        ("net.fc = nn.Linear(512, 3)", True),
        ("setattr(net, 'fc', nn.Linear(512, 3))", True),
        ("net.fc.requires_grad_(False)", True),
        ("net.fc.weight.requires_grad = False", True),
        ("net.layer4[0] = nn.Identity(); net.fc", True),
        ("other(net)", True),
    ],
)
def test_a_call_that_is_not_followed_is_left_out_where_it_changes_the_model(body, left_out):
    other = "\n    def other(net):\n        del net.fc\n"
    plan = plan_of(METER + other + DEEP.format(body=body, between=BETWEEN))
    said = re.fullmatch(r"a call of `f\d`, for there is too much to follow \(line \d+\)", plan["left_out"])
    assert said if left_out else plan["left_out"] == ""


def test_what_holds_a_model_freezes_it_as_well():
    script = """
        import pytorch_lightning as pl
        class Fruit(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.backbone = models.resnet18()
                self.backbone.fc = nn.Linear(512, 3)
                {freeze}
            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters(), lr=1e-3)
        model = Fruit()
        model.configure_optimizers()
        """
    whole = plan_of(script.format(freeze="self.freeze()"))
    assert [s["parameters"] for s in whole["steps"] if s["op"] == "requires_grad"] == ["all"]
    assert whole["left_out"] == ""
