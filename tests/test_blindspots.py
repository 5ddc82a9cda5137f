"""What could not be judged is counted, with the reason."""

from __future__ import annotations

import io
import textwrap

import pytest

from headcheck import blindspots
from headcheck.findings import Run
from headcheck.interpreter import leaving
from headcheck.interpreter.budget import Budget
from headcheck.report import show, statistics
from tests.reading import follow, found, read

HEAD = "m.fc = nn.Linear(3, 4)"


def reasons(script):
    return [(each.name, each.reason and each.reason.kind) for each in blindspots.survey(follow(script))]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("m = models.resnet18()", None),
        ("m = models.vgg11()", None),
        ("from lab import build\nm = build()", "library"),
        ("from .lab import build\nm = build()", "module"),
        ("import lab.nets as nets\nm = nets.build()['net'].body", "library"),
        ("m = nowhere()", "function"),
        ("m = torch.load('m.pt')", "function"),
        ("m = models.resnet18(block=nowhere)", "builder"),
        ("m = models.resnet.ResNet(nowhere, [2, 2, 2, 2])", "builder"),
        ("import sys\nm = models.__dict__[sys.argv[1]]()", None),
        ("import sys\nm = models.__dict__[sys.argv[1]](block=nowhere)", "name"),
        ("import sys, timm\nm = timm.create_model(sys.argv[1], pretrained=True)", None),
        ("import sys, timm\nm = timm.create_model(sys.argv[1], features_only=True)", "name"),
        ("import sys\nm = {'a': models.resnet18, 'b': models.vgg11}[sys.argv[1]]()", None),
        ("import sys\nm = {'a': nowhere, 'b': somewhere}[sys.argv[1]]()", "name"),
        ("m = [models.resnet18(), 1][int(input())]", "value"),
    ],
)
def test_reasons(script, reason):
    assert reasons(f"{script}\n{HEAD}") == [("fc", reason)]


def test_an_argument_of_a_function_nobody_calls():
    assert reasons("def put(m):\n    m.classifier[6] = nn.Linear(3, 4)") == [("6", "argument")]
    assert reasons("def put(m):\n    m.add_module('fc', nn.Linear(3, 4))") == [("fc", "argument")]


@pytest.mark.parametrize(
    "lines",
    [
        "m.fc = nn.Linear(m.fc.in_features, 4)",
        "size = m.fc.in_features; m.fc = nn.Sequential(nn.Dropout(), nn.Linear(size, 9), nn.ReLU(), nn.Linear(9, 4))",
        "m.classifier[6] = nn.Linear(m.classifier[6].in_features, 4)",
        "m.body.classifier = nn.Conv2d(m.body.classifier.in_channels, 4, 1)",
        "name, last = list(m.named_children())[-1]; setattr(m, name, nn.Linear(last.in_features, 4))",
    ],
)
def test_a_size_that_is_read_from_the_layer_that_is_replaced(lines):
    for script in (f"def put(m):\n    {lines}", f"from lab import build\nm = build()\n{lines}"):
        assert [kind for _, kind in reasons(script)] == ["read"]


@pytest.mark.parametrize(
    "lines",
    [
        "m.fc = nn.Linear(m.classifier.in_features, 4)",
        "m.fc = nn.Linear(m.fc.out_features, 4)",
        "m.classifier = nn.Linear(m.classifier[1].in_features, 4)",
        "m.fc = nn.Sequential(nn.Flatten(), nn.Linear(m.fc.in_features, 4))",
        "m.fc = nn.Sequential(nn.Linear(9, 9), nn.Linear(m.fc.in_features, 4))",
        "m.fc = nn.Linear(m.fc.in_features if n else 512, 4)",
        "m.fc = nn.Linear(m.fc.in_features + 1, 4)",
        "m.fc = nn.Identity(); m.fc = nn.Linear(other.fc.in_features, 4)",
        "name, last = pairs(m); name, first = pairs(n); setattr(m, name, nn.Linear(last.in_features, 4))",
    ],
)
def test_a_size_that_is_read_from_elsewhere(lines):
    assert {kind for _, kind in reasons(f"def put(m, n, other):\n    {lines}")} == {"argument"}


def test_sizes_that_are_read_are_counted_apart():
    script = f"""
    def put(m, n):
        m.fc = nn.Linear(m.fc.in_features, n)

    def other(m):
        {HEAD}
    """
    result = read(script)
    assert dict(result.statistics.reasons) == {"read": 1, "argument": 1} and result.statistics.resolved == 0
    out = io.StringIO()
    statistics.render(Run((result._replace(findings=()),)), out, False)
    assert out.getvalue().splitlines()[:2] == [
        "1 file read; 2 head replacements, 0 of them followed, 1 more sized by the layer they replace; "
        "0 paths cut short",
        "  not followed: 1 handed to a function that nothing here calls",
    ]


def test_where_nothing_puts_a_model():
    script = """
    class Trainer:
        def put(self):
            self.net.fc = nn.Linear(3, 4)
    """
    assert reasons(script) == [("fc", "attribute")]


def test_one_execution_that_knows_is_enough():
    script = """
    def build(name="resnet18"):
        m = getattr(models, name)()
        m.fc = nn.Linear(512, 4)
        return m
    """
    assert reasons(script) == [("fc", None)]


def test_a_network_of_the_script():
    script = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 10)

    m = Net()
    m.fc = nn.Linear(8, 4)
    """
    assert reasons(script) == [("fc", None)]


MOCKED = """
from unittest import mock
from unittest.mock import MagicMock, create_autospec, patch
import lab
"""


@pytest.mark.parametrize(
    "script",
    [
        f"m = MagicMock()\n{HEAD}",
        f"m = mock.Mock(spec=lab.Net).body.layers[2]()\n{HEAD}",
        f"m = create_autospec(lab.Net)\n{HEAD}",
        "with patch('lab.build') as build:\n    build.return_value = nn.Linear(3, 4)",
        f"m = patch.object(lab, 'build').start()\n{HEAD}",
    ],
)
def test_what_goes_into_a_stand_in_is_no_head(script):
    assert reasons(MOCKED + script) == []


def test_a_stand_in_that_a_decorator_gives():
    script = """
    @patch("lab.one")
    @mock.patch.object(lab, "build", autospec=True)
    def test_one(build, one, m):
        build.return_value = one.return_value = nn.Linear(3, 4)
        m.fc = nn.Linear(3, 4)

    class TestTwo:
        @patch("lab.one", new=lab.other)
        @patch.object(lab, "two", lab.other)
        @patch("lab.build")
        def test_two(self, build, m):
            build.return_value = nn.Linear(3, 4)
            m.fc = nn.Linear(3, 4)
    """
    assert reasons(MOCKED + textwrap.dedent(script)) == [("fc", "argument"), ("fc", "argument")]


def test_what_is_put_in_the_place_of_another_thing_by_hand_may_be_a_model():
    script = f"with patch('lab.build', new=lab.net) as m:\n    {HEAD}"
    assert reasons(MOCKED + script) == [("fc", "library")]


def test_an_entry_of_a_dict_is_no_head():
    assert reasons("def put(m):\n    m.experts['a'] = nn.Linear(3, 4)") == []
    assert (
        reasons("def put(m, i):\n    m.experts[str(i)] = nn.Linear(3, 4)\n    m.experts[f'e{i}'] = nn.Linear(3, 4)")
        == []
    )
    made = "def put(m, i):\n    name = {}\n    m.experts[name] = nn.Linear(3, 4)"
    assert reasons(made.format("f'pair_{i}'")) == reasons(made.format("'a' + i")) == []
    assert [reason for _, reason in reasons(made.format("i + 1"))] == ["argument"]
    assert reasons("def put(m, i):\n    m.classifier[i] = nn.Linear(3, 4)") == [("i", "argument")]
    assert reasons("def put(m):\n    m.classifier[-1] = nn.Linear(3, 4)") == [("-1", "argument")]
    assert reasons("def put(m):\n    m._modules['fc'] = nn.Linear(3, 4)") == [("fc", "argument")]


def test_an_entry_that_no_path_comes_by_is_no_head_either():
    script = """
    import sys
    def put(layers, stack, i, kind):
        sys.exit()
        layers["fc" + str(i)] = nn.Linear(3, 4)
        layers[kind + str(i) + "b"] = nn.Linear(3, 4)
        layers["fc" + i] = nn.Linear(3, 4)
        stack[i + 1] = nn.Linear(3, 4)
    """
    assert reasons(script) == [("…", "unreached")]


def test_what_a_class_builds_is_no_replacement():
    script = """
    class Base(Anything):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 10)
        def forward(self, x):
            return self.layer(x)

    class Net(Base):
        def __init__(self):
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(8, 4))
    m = Net()
    """
    assert reasons(script) == []
    assert reasons(f"{textwrap.dedent(script)}m.layer = nn.Linear(8, 2)") == [("layer", "builder")]


def test_what_a_class_puts_into_its_one_object_is_no_replacement():
    script = """
    class One:
        made = None
        def __new__(cls, classes):
            if cls.made is None:
                cls.made = super().__new__(cls)
                cls.made.net = models.resnet18()
                cls.made.net.fc = nn.Linear(512, classes)
            return cls.made
    """
    assert reasons(script) == [("fc", None)]


def test_what_is_done_where_a_call_in_a_branch_failed():
    script = """
    import sys
    m = models.resnet18()
    try:
        if len(sys.argv) > 1:
            m.fc = nowhere(sys.argv[1])
    except ImportError:
        m.fc = nn.Linear(512, 4)
    """
    assert reasons(script) == [("fc", None)]


def test_a_container_that_is_known_on_another_path():
    script = """
    import sys
    m = nn.Sequential(nn.Linear(8, 8)) if len(sys.argv) > 1 else nowhere()
    m[-1] = nn.Linear(8, 2)
    """
    assert reasons(script) == [("-1", None)]


def test_what_no_path_comes_by():
    assert reasons(f"import sys\nm = models.resnet18()\nsys.exit()\n{HEAD}") == [("fc", "unreached")]


def test_what_no_path_can_come_by_is_no_head():
    script = """
    def build(classes):
        raise NotImplementedError
        m = models.resnet18()
        if classes:
            m.fc = nn.Linear(512, classes)
    def other(m, classes):
        if classes:
            return m
            m.fc = nn.Linear(512, classes)
        for _ in m:
            continue
            m.fc = nn.Linear(512, classes)
        return m
    """
    assert reasons(script) == []


def test_a_short_function_that_runs_a_long_one_is_read_as_the_long_one():
    lines = "\n".join(f"    print({i})" for i in range(300))
    script = f"""class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 1000)

def run():
{lines}
    model = Net()
    model.fc = nn.Linear(64, 7)

if __name__ == "__main__":
    def worker(rank):
        run()

    torch.multiprocessing.spawn(worker, nprocs=8)
"""
    assert reasons(script) == [("fc", None)]


def test_a_vocabulary_that_another_method_makes_longer():
    script = """
    from transformers import AutoModelForSequenceClassification
    class Classifier:
        def __init__(self):
            self.model = AutoModelForSequenceClassification.from_pretrained("roberta-base")
        def longer(self, words):
            self.model.resize_token_embeddings(words)
        def replace(self):
            self.model.classifier.out_proj = nn.Linear({}, 3)
    """
    assert reasons(script.format(768)) == [("out_proj", None)]
    assert [code for _, code in found(script.format(1024))] == ["HC101"]


@pytest.mark.parametrize(
    ("first", "counted"),
    [
        ("{}\nx = 1", []),
        ("{}\ndef g():\n    return 2", []),
        ("{}\nNet()", [None]),
        ("{}\nnets = [Net]", ["unreached"]),
        ("@register\n{}", ["unreached"]),
        ("{}\nOther = Net", [None]),
    ],
)
def test_what_another_of_the_name_takes_the_place_of_is_no_head(first, counted):
    net = """class Net(nn.Module):
    def __init__(self):
        m = models.resnet18()
        m.fc = nn.Linear(512, 3)"""
    assert {reason for _, reason in reasons(f"{first.format(net)}\n{net}")} == {*counted, None}
    assert len(reasons(f"{first.format(net)}\n{net}")) == len(counted) + 1


@pytest.mark.parametrize(
    ("lines", "counted"),
    [
        # What a thing is decides for sure, whatever else the script may be told:
        ("for f in [models.resnet18, models.vgg11]:\n    m = f()\n    if 'swin' in f.__name__:\n        {}", []),
        ("m = models.resnet18()\nif isinstance(m.fc, nn.Linear):\n    pass\nelse:\n    {}", []),
        ("m = models.resnet18()\nif not hasattr(m, 'fc'):\n    {}", []),
        ("m = models.resnet18()\nkind = type(m).__name__.lower()\nif kind.startswith('vgg'):\n    {}", []),
        # and these do not decide it:
        ("from lab import f\nm = f()\nif 'swin' in f.__name__:\n    {}", [("fc", "library")]),
        ("m = models.resnet18()\nif isinstance(m.fc, nowhere):\n    {}", [("fc", None)]),
        ("KIND = 'a'\nm = models.resnet18()\nif KIND == 'b':\n    {}", [("fc", None)]),
        ("def put(m):\n    if isinstance(m, models.ResNet):\n        {}\nput(models.vgg11())", [("fc", "argument")]),
    ],
)
def test_what_tests_of_what_a_thing_is_lead_past_is_no_head(lines, counted):
    assert reasons(lines.format(HEAD)) == counted


@pytest.mark.parametrize("parser", ["{}", "Trainer.add_argparse_args({})"])
def test_what_is_kept_with_the_arguments_of_the_command_line_is_no_head(parser):
    given = parser.format("ArgumentParser()")
    script = f"""
    from argparse import ArgumentParser
    from pytorch_lightning import Trainer
    args = {given}.parse_args()
    args.head = nn.Linear(3, 4)
    """
    assert reasons(script) == []


def test_a_head_that_is_only_taken_out():
    assert reasons("import sys\nm = models.resnet18()\nsys.exit()\nm.fc = nn.Sequential()") == []
    pooled = "import sys\nm = models.resnet18()\nsys.exit()\nm.fc = nn.Sequential(nn.AdaptiveAvgPool2d(1), {})"
    assert reasons(pooled.format("nn.BatchNorm2d(9)")) == []
    assert reasons(pooled.format("head(9)")) == [("fc", "unreached")]
    assert reasons("m = nowhere()\nm.fc = nn.Sequential()\nm.head = nn.Identity()") == []
    assert reasons("import pretrainedmodels\nm = nowhere()\nm.fc = pretrainedmodels.utils.Identity()") == []


def test_a_path_that_was_left_out(monkeypatch):
    monkeypatch.setattr(Budget, "most_paths", lambda budget: 1)
    script = """
    import sys
    m = models.resnet18()
    if len(sys.argv) > 1:
        m.fc = nn.Linear(512, 4)
    else:
        m.fc = nn.Linear(512, 5)
    """
    assert reasons(script) == [("fc", None), ("fc", None)]
    monkeypatch.setattr(leaving, "MOST_LEFT", 0)
    assert sorted(map(str, reasons(script))) == ["('fc', 'limit')", "('fc', None)"]


def test_paths_that_came_by_nothing_new_leave_room_for_others(monkeypatch):
    monkeypatch.setattr(Budget, "most_paths", lambda budget: 1)
    monkeypatch.setattr(leaving, "MOST_LEFT", 2)
    script = """
    import sys
    m = models.resnet18()
    width, depth = 4, 4
    if len(sys.argv) > 1:
        width = 5
    if len(sys.argv) > 2:
        depth = 5
    if len(sys.argv) > 3:
        m.fc = nn.Linear(512, width)
    else:
        m.fc = nn.Linear(512, depth)
    """
    assert reasons(script) == [("fc", None), ("fc", None)]


def test_one_path_for_each_head_before_a_second_for_any(monkeypatch):
    monkeypatch.setattr(Budget, "most_paths", lambda budget: 2)
    monkeypatch.setattr(leaving, "MOST_LEFT", 0)
    script = """
    import sys
    m = models.resnet18()
    width = 4 if len(sys.argv) > 1 else 5
    if len(sys.argv) > 2:
        m.avgpool = nn.Identity()
        m.fc = nn.Linear(512, width)
    else:
        m.fc = nn.Linear(512, width)
    """
    assert reasons(script) == [("fc", None), ("fc", None)]


def test_entries_of_a_dict_are_no_heads_where_paths_were_left_out(monkeypatch):
    monkeypatch.setattr(Budget, "most_paths", lambda budget: 1)
    script = """
    import sys
    from collections import OrderedDict
    m = models.resnet18()
    layers = OrderedDict()
    layers["fc1"] = nn.Linear(512, 64)
    for i in range(2):
        layers["fc" + str(i)] = nn.Linear(64, 64)
    if len(sys.argv) > 1:
        m.fc = nn.Sequential(layers)
    else:
        m.fc = nn.Linear(512, 5)
    sys.exit()
    layers["out"] = nn.Linear(64, 2)
    m._modules["fc"] = nn.Linear(64, 2)
    """
    assert sorted(map(str, reasons(script))) == ["('fc', 'limit')", "('fc', None)", "('fc', None)"]


def test_stems_and_norms_are_no_heads():
    assert reasons("def put(m):\n    m.conv1 = nn.Conv2d(1, 64, 7)\n    m.bn1 = nn.BatchNorm2d(64)") == []
    assert reasons("def put(m):\n    m.classifier = nn.Conv2d(512, 4, 1)") == [("classifier", "argument")]
    assert reasons("def put(m):\n    m.stem[0] = nn.Conv2d(1, 64, 7)\n    m.features[0][1] = nn.Conv2d(1, 64, 7)") == []
    assert reasons("def put(m):\n    m.classifier[1] = m[0] = nn.Conv2d(512, 4, 1)") == [
        ("1", "argument"),
        ("0", "argument"),
    ]
    known = "m = models.squeezenet1_0()\nm.{}[1] = nn.Conv2d(512, 4, 1)"
    assert reasons(known.format("features")) == []
    assert reasons(known.format("classifier")) == [("1", None)]


def test_a_stack_whose_layers_are_not_known():
    script = """
    layers = []
    for size in sizes():
        layers.append(nn.Linear(size, 4))
    m = {m}
    m.fc = nn.Sequential(*layers)
    m.pool = nn.Sequential(*layers)
    """
    assert reasons(script.format(m="models.resnet18()")) == [("fc", None)]
    assert reasons(script.format(m="nowhere()")) == [("fc", "function")]


def test_every_reason_has_words():
    result = read(f"m = nowhere()\n{HEAD}\nm = models.resnet18()\nm.fc = nn.Linear(512, 4)")
    out = io.StringIO()
    statistics.render(Run((result._replace(findings=()),)), out, False)
    assert out.getvalue().splitlines()[:2] == [
        "1 file read; 2 head replacements, 1 of them followed; 0 paths cut short",
        "  not followed: 1 made by code that is not followed",
    ]


def test_show_says_where_reading_stopped():
    result = read(f"m = nowhere()\n{HEAD}")
    out = io.StringIO()
    show.render(Run((result,)), out, False)
    assert out.getvalue().startswith("script.py:5:1 not checked: the new `fc`; `nowhere` is not defined here\n")


def test_what_is_counted_is_listed(monkeypatch):
    """Also what stands where nobody is sure that a path leads, because others were left out."""
    monkeypatch.setattr(Budget, "most_paths", lambda budget: 1)
    script = """
    m, best = nowhere(), 0
    for x in data():
        best += x
        if best > 3:
            m.fc = nn.Linear(3, 4)
        if x:
            m.cuda()
    """
    result = read(script)
    assert (result.statistics.replacements, result.statistics.resolved) == (1, 0)
    assert [(each.code, each.location.row) for each in result.findings] == [("HC902", 8)]
