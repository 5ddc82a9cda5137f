"""``model.apply(function)``: what it does to each module of a model, and what stays known of the model afterwards."""

from __future__ import annotations

import contextlib
import importlib
import textwrap

import pytest

from headcheck import events
from tests.reading import PREAMBLE, found, only, raw

OWN = """
import math
import functools

def trunc_normal_(tensor, std):
    def cdf(x):
        return (1. + math.erf(x / math.sqrt(2.))) / 2.
    with torch.no_grad():
        tensor.uniform_(2 * cdf(-2.) - 1, 2 * cdf(2.) - 1)
        tensor.erfinv_().mul_(std * math.sqrt(2.))
        return tensor
{functions}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 3)
        {inside}

    def _init(self, m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            self._fill(m.bias)

    def _fill(self, bias, value=0.0):
        nn.init.constant_(bias, value)

    @staticmethod
    def _kaiming(m):
        if type(m) in (nn.Conv2d, nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")

    def forward(self, x):
        x = self.body(x).mean((2, 3))
        return self.{read}(x)

net = Net()
{outside}
net(torch.zeros(2, 3, 8, 8))
"""
#: What is given to `apply`, with the functions that it needs.
FILLING = [
    ("self._init", ""),
    ("self._kaiming", ""),
    ("Net._kaiming", ""),
    ("fill", "def fill(m):\n    if isinstance(m, nn.Linear):\n        trunc_normal_(m.weight, std=.02)"),
    (
        "fill",
        """
        def fill(m):
            classname = m.__class__.__name__
            if classname.find("Conv") != -1:
                m.weight.data.normal_(0.0, 0.02)
            elif classname.find("BatchNorm") != -1:
                m.weight.data.normal_(1.0, 0.02)
                m.bias.data.zero_()
        """,
    ),
    (
        "fill('normal')",
        """
        def fill(kind, gain=0.02):
            def init_func(m):
                if hasattr(m, "weight") and type(m).__name__.find("Linear") != -1:
                    if kind == "normal":
                        nn.init.normal_(m.weight.data, 0.0, gain)
                    elif kind == "xavier":
                        nn.init.xavier_normal_(m.weight.data, gain=gain)
                    else:
                        raise NotImplementedError("no %s" % kind)
            print("initialise with %s" % kind)
            return init_func
        """,
    ),
    (
        "functools.partial(fill, std=0.1)",
        "def fill(m, std):\n    if hasattr(m, 'weight'):\n        m.weight.data.normal_(0, std)",
    ),
    ("lambda m: m.reset_parameters() if hasattr(m, 'reset_parameters') else None", ""),
    (
        "fill",
        """
        def fill(m):
            if isinstance(m, nn.Conv2d):
                bound = 1 / math.sqrt(m.in_channels * m.kernel_size[0])
                m.weight.data.uniform_(-bound, bound)
            for name, parameter in m.named_parameters(recurse=False):
                if "bias" in name:
                    parameter.data.fill_(0.5)
                    m.bias.data[0] = 0.25
        """,
    ),
    (
        "fill",
        """
        def fill(m: nn.Module):
            for name, p in m.named_parameters():
                if name in ["head.weight"]:
                    p = p.clone().detach_()
                    nn.init.kaiming_uniform_(p, a=math.sqrt(5))
        """,
    ),
    ("fill", "def fill(m):\n    if isinstance(m, nn.BatchNorm2d):\n        m.momentum = 0.01"),
]
#: The same of what puts another part in, each in its own way.
PUTTING = [
    ("fill", "def fill(m):\n    if isinstance(m, Net):\n        m.fc = nn.Linear(8, 3)"),
    ("fill", "def fill(m):\n    if hasattr(m, 'head'):\n        setattr(m, 'fc', nn.Linear(8, 3))"),
    ("lambda m: m.add_module('fc', nn.Linear(8, 3)) if type(m) is Net else m", ""),
    ("fill", "def put(m, new):\n    m.fc = new\ndef fill(m):\n    if m is net:\n        put(m, nn.Linear(8, 3))"),
    (
        "functools.partial(fill, name='fc')",
        "def fill(m, name):\n    if m is net:\n        m._modules[name] = nn.Linear(8, 3)",
    ),
    ("fill", "def fill(m):\n    if m is net:\n        exec('m.fc = nn.Linear(8, 3)')"),
]


def own(function: str, functions: str, read: str) -> str:
    inside, outside = (f"self.apply({function})", "") if "self" in function else ("", f"net.apply({function})")
    return OWN.format(functions=textwrap.dedent(functions), inside=inside, outside=outside, read=read)


def run(script: str, error: type[Exception] | None = None) -> dict[str, object]:
    pytest.importorskip("torchvision")
    names: dict[str, object] = {"__name__": "__main__"}
    proof = importlib.import_module("torch_proof")
    with proof.without_weights(), pytest.raises(error) if error is not None else contextlib.nullcontext():
        exec(compile(PREAMBLE + textwrap.dedent(script), "script.py", "exec"), names)
    return names


@pytest.mark.parametrize(("function", "functions"), FILLING)
def test_what_a_network_has_is_known_after_its_numbers_were_drawn_anew(function: str, functions: str) -> None:
    assert found(own(function, functions, "head")) == []
    assert [code for _, code in found(own(function, functions, "fc"))] == ["HC202"]


@pytest.mark.parametrize(("function", "functions"), FILLING)
def test_pytorch_agrees_on_what_fills(function: str, functions: str) -> None:
    run(own(function, functions, "head"))
    run(own(function, functions, "fc"), AttributeError)


@pytest.mark.parametrize(("function", "functions"), PUTTING)
def test_what_is_put_in_is_there(function: str, functions: str) -> None:
    assert found(own(function, functions, "fc")) == []


@pytest.mark.parametrize(("function", "functions"), PUTTING)
def test_pytorch_agrees_on_what_is_put_in(function: str, functions: str) -> None:
    run(own(function, functions, "fc"))


FREEZING = """
def fixed(m):
    {fixed}

model = models.resnet18(weights="DEFAULT")
{before}
model.fc = nn.Linear(512, 3)
{after}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss = model(torch.zeros(2, 3, 64, 64)).sum()
loss.backward()
optimizer.step()
"""
#: What a function does to each module, and the rule for where it is done to the new head, too.
EVERYTHING = [
    "for p in m.parameters():\n        p.requires_grad = False",
    "for p in m.parameters(recurse=False):\n        p.requires_grad_(False)",
    "m.requires_grad_(False)",
    "if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):\n        m.requires_grad_(False)",
    "if m.__class__.__name__.find('Conv') != -1 or hasattr(m, 'bias'):\n        m.weight.requires_grad = False",
]


@pytest.mark.parametrize("fixed", EVERYTHING)
def test_a_freeze_of_each_module(fixed: str) -> None:
    def script(before: str, after: str) -> str:
        return FREEZING.format(fixed=fixed, before=before, after=after)

    assert {code for _, code in found(script("", "model.apply(fixed)"))} - {"HC306"} == {"HC301"}
    assert {code for _, code in found(script("model.apply(fixed)", ""))} <= {"HC306"}
    spared = "model.apply(fixed)\nmodel.fc.apply(lambda m: m.requires_grad_(True))"
    assert {code for _, code in found(script("", spared))} <= {"HC306"}


@pytest.mark.parametrize("fixed", EVERYTHING)
def test_pytorch_agrees_on_what_is_frozen(fixed: str) -> None:
    everything = "m.requires" in fixed and "isinstance" not in fixed
    late = FREEZING.format(fixed=fixed, before="", after="model.apply(fixed)")
    early = FREEZING.format(fixed=fixed, before="model.apply(fixed)", after="")
    names = run(late.split("optimizer =")[0])
    assert not names["model"].fc.weight.requires_grad  # type: ignore[attr-defined]
    assert everything <= (not any(p.requires_grad for p in names["model"].parameters()))  # type: ignore[attr-defined]
    assert run(early)["model"].fc.weight.grad is not None  # type: ignore[attr-defined]


NORMS = """
def fixed(m):
    if isinstance(m, nn.BatchNorm2d):
        m.eval()

model = models.resnet18(weights="DEFAULT")
for p in model.parameters():
    p.requires_grad = False
model.fc = nn.Linear(512, 3)
optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.1)
{modes}
loss = model(torch.zeros(2, 3, 64, 64)).sum()
loss.backward()
optimizer.step()
"""


def test_batch_norms_put_in_evaluation_mode_by_a_function() -> None:
    right = NORMS.format(modes="model.train()\nmodel.apply(fixed)")
    wrong = NORMS.format(modes="model.apply(fixed)\nmodel.train()")
    assert found(right) == []
    assert [code for _, code in found(wrong)] == ["HC306"]


@pytest.mark.parametrize(("modes", "still"), [("train() apply(fixed)", True), ("apply(fixed) train()", False)])
def test_pytorch_agrees_on_the_statistics(modes: str, still: bool) -> None:
    names = run(NORMS.format(modes="\n".join(f"model.{mode}" for mode in modes.split())))
    mean = names["model"].bn1.running_mean  # type: ignore[attr-defined]
    assert (mean is not None and int(names["model"].bn1.num_batches_tracked) == 0) is still  # type: ignore[attr-defined]


def test_those_inside_come_first() -> None:
    script = """
        class Inner(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(1, 1)
                self.b = nn.Sequential(nn.ReLU(), nn.Dropout())
        m = Inner()
        seen = []
        def tell(part):
            seen.append(part)
            part.place = len(seen)
        m.apply(tell)
        places = [m.a.place, m.b[0].place, m.b[1].place, m.b.place, m.place]
    """
    execution = only(script)
    order = [event.owner for event in execution.of(events.FieldSet)]
    inner, stack = raw(execution, "m"), execution.state.heap[raw(execution, "m").address].children["b"]
    assert run(script)["places"] == [1, 2, 3, 4, 5]
    assert order.index(stack.address) == len(order) - 1 and inner.address not in order


@pytest.mark.parametrize(
    "function",
    [
        "unknown",
        "lambda m: unknown(m)",
        "lambda m: unknown.f(m.parameters())",
        "nn.utils.spectral_norm",
        "torch.compile",
    ],
)
def test_what_nobody_knows(function: str) -> None:
    execution = only(f"m = models.resnet18()\nm.apply({function})")
    assert execution.escaped(raw(execution, "m").address)


def test_numbers_that_are_written_are_others_and_numbers_that_are_drawn_are_not() -> None:
    for line, codes in (
        ("nn.init.normal_(m.weight)", ["HC307"]),
        ("m.weight.data.normal_()", ["HC307"]),
        ("m.weight.data.copy_(numbers[m])", []),
        ("m.weight.data[:] = numbers[m]", []),
        ("m.weight.clone().detach_().zero_()", ["HC307"]),
    ):
        script = f"""
            numbers = torch.load("numbers.pt")
            def fill(m):
                if isinstance(m, nn.Conv2d):
                    {line}
            model = models.resnet18(weights=None)
            model.apply(fill)
            for p in model.parameters():
                p.requires_grad = False
            model.fc = nn.Linear(512, 3)
            optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.1)
            model(torch.zeros(2, 3, 64, 64)).sum().backward()
            optimizer.step()
        """
        assert [code for _, code in found(script) if code != "HC306"] == codes, line
