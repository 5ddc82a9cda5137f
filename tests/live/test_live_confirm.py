"""What `headcheck.confirm` says of models that are set up right and wrong, and that it leaves them as they are."""

from __future__ import annotations

import copy
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

import headcheck  # noqa: E402
from headcheck import rulebook  # noqa: E402
from headcheck.live.answers import NoExampleInput, WrongModel  # noqa: E402

ROOT = Path(__file__).parents[2]
IMAGES = torch.rand(2, 3, 8, 8)
CLASSES = 4


class Net(nn.Module):
    """A pretrained network with five classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.pool(self.stem(x)))


class Auxiliary(Net):
    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.pool(self.stem(x))
        return {"out": self.fc(x), "aux": self.aux(x)} if self.training else self.fc(x)


class Cut(Net):
    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            return super().forward(x)


class Hidden(Net):
    def __init__(self) -> None:
        super().__init__()
        del self.fc
        self.heads = [nn.Linear(6, CLASSES)]

    def forward(self, x: Tensor) -> Any:
        return self.heads[0](self.pool(self.stem(x)))


def net(fc: nn.Module | None = None, **attributes: Any) -> Any:
    model = Net()
    model.fc = nn.Linear(6, CLASSES) if fc is None else fc  # type: ignore[assignment]
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def with_optimizer(model: nn.Module, parameters: Any = None) -> dict[str, Any]:
    return {"model": model, "optimizer": torch.optim.SGD(model.parameters() if parameters is None else parameters, 0.1)}


def stale() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    model.fc = nn.Linear(6, CLASSES)
    return {"model": model, "optimizer": optimizer}


def partial() -> dict[str, Any]:
    model = net()
    return with_optimizer(model, model.stem.parameters())


def resized() -> Any:
    model = Net()
    model.fc.out_features = CLASSES
    return model


def misspelt() -> Any:
    model = net()
    for parameter in model.stem.parameters():
        parameter.require_grad = False
    return model


def marked() -> Any:
    model = net()
    model.stem.requires_grad = False
    return model


def wrapped() -> Any:
    model = nn.DataParallel(Net())
    model.fc = nn.Linear(6, CLASSES)  # type: ignore[assignment]
    return model


def frozen_wrapped() -> Any:
    return nn.DataParallel(net().requires_grad_(False))


def auxiliary() -> Any:
    model = Auxiliary()
    model.fc = nn.Linear(6, CLASSES)
    return model


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(8, CLASSES))


def only_head_frozen() -> Any:
    model = net()
    model.fc.requires_grad_(False)
    return model


#: What is confirmed, and for each problem its code, where it is, a part of its words, and a part of what to write.
Case = tuple[Callable[[], Any], list[tuple[str, str, str, str]]]
WRONG: dict[str, Case] = {
    "old head": (Net, [("HC104", "fc", "5 classes, not 4", "model.fc = nn.Linear(6, 4)")]),
    "features": (lambda: net(nn.Linear(9, 4)), [("HC101", "fc", "takes 9 features, but 6", "nn.Linear(6, 4)")]),
    "convolution": (lambda: net(nn.Conv2d(6, 4, 1)), [("HC102", "fc", "a vector (N, 6)", "nn.Linear(6, 4)")]),
    "map": (
        lambda: {"model": net(pool=nn.Identity()), "example_input": torch.rand(2, 3, 10, 10)},
        [("HC102", "fc", "but a feature map (N, 6, 8, 8)", "pool")],
    ),
    "map that fits": (
        lambda: {"model": net(pool=nn.Identity()), "example_input": IMAGES},
        [("HC102", "fc", "answers (N, 6, 6, 4), where a classifier answers (N, 4)", "pool")],
    ),
    "chain": (lambda: net(chain()), [("HC105", "fc.2", "takes 8 features, but 9", "nn.Linear(9, 4)")]),
    "resize": (resized, [("HC103", "fc", "out_features says 4", "nn.Linear(6, 4)")]),
    "unused": (
        lambda: net(nn.Linear(6, 5), head=nn.Linear(6, 4)),
        [("HC201", "head", "fc makes", "model.fc = nn.Lin")],
    ),
    "wrapper": (wrapped, [("HC204", "", "fc is set on the DataParallel", "model.module.fc = nn.Linear(6, 4)")]),
    "auxiliary": (auxiliary, [("HC203", "aux", "5 classes, not 4", "model.aux = nn.Linear(6, 4)")]),
    "frozen": (lambda: net().requires_grad_(False), [("HC301", "fc", "nothing can learn", "model.fc.requires_grad_")]),
    "frozen head": (only_head_frozen, [("HC301", "fc", "the head is frozen", "freeze before")]),
    "frozen in a wrapper": (frozen_wrapped, [("HC301", "module.fc", "frozen", "model.module.fc.requires_grad_(True)")]),
    "attribute": (marked, [("HC303", "stem", "requires_grad = False", "model.stem.requires_grad_(False)")]),
    "misspelt": (misspelt, [("HC303", "stem.0.weight", "and 3 others has", "parameter.requires_grad = False")]),
    "stale optimizer": (
        stale,
        [("HC401", "fc", "2 tensors that are in the model no longer", "make the optimizer last")],
    ),
    "optimizer": (partial, [("HC402", "fc", "weight and bias", "model.fc.parameters()")]),
    "hidden": (lambda: with_optimizer(Hidden()), [("HC402", "heads[0]", "plain list", "nn.ModuleList")]),
    "device": (lambda: net(nn.Linear(6, 4, device="meta")), [("HC403", "fc", "on meta, the rest", 'model.to("cpu")')]),
    "batches": (
        lambda: {"model": net(), "device": "cuda:0"},
        [("HC403", "", "on cpu, training on cuda", 'to("cuda:0")')],
    ),
    "dtype": (
        lambda: {"model": net(nn.Linear(6, 4)), "cast": torch.bfloat16},
        [("HC408", "fc", "torch.float32, what reaches it torch.bfloat16", "model.fc.to(torch.bfloat16)")],
    ),
    "no gradient": (lambda: cut(), [("", "fc", "no gradient", "torch.no_grad()")]),
    "input": (
        lambda: {"model": net(), "example_input": torch.rand(2, 1, 8, 8)},
        [("HC108", "stem.0", "takes 3 channels, the input has 1", "")],
    ),
    "one sample": (
        lambda: {
            "model": net(pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(6), nn.Flatten())),
            "example_input": torch.rand(1, 3, 8, 8),
        },
        [("", "pool.1", "in train mode: fails: ValueError: Expected more than 1 value", "two samples")],
    ),
}


def cut() -> Any:
    model = Cut()
    model.fc = nn.Linear(6, CLASSES)
    return model


def asked(made: Any) -> Any:
    """The verdict on what a case makes: a model, or a model with what else is passed."""
    keywords = dict(made) if isinstance(made, dict) else {"model": made}
    cast = keywords.pop("cast", None)
    model = keywords.pop("model")
    if cast is not None:
        model.stem.to(cast)
        keywords["example_input"] = IMAGES.to(cast)
    return headcheck.confirm(model, num_classes=CLASSES, **keywords)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str) -> None:
    build, expected = WRONG[name]
    verdict = asked(build())
    assert [(problem.code, problem.where) for problem in verdict.problems] == [case[:2] for case in expected]
    for problem, (code, _, what, instead) in zip(verdict.problems, expected, strict=True):
        assert what in problem.what and instead in problem.instead, problem
        assert not code or code in rulebook.codes()
    with pytest.raises(WrongModel) as raised:
        verdict.raise_if_wrong()
    assert isinstance(raised.value, AssertionError)
    for code, where, what, instead in expected:
        assert all(part in str(raised.value) for part in (code, where, what, instead))


def test_only_rules_of_the_rule_book_are_named() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "headcheck/live").glob("*.py"))
    named = set(re.findall(r"HC\d{3}", text))
    assert named >= {"HC101", "HC301", "HC401"} and named <= set(rulebook.codes())


def probabilities() -> Any:
    return net(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 4), nn.LogSoftmax(1)))


def head_only(kind: Callable[..., Any] = torch.optim.Adam, **keywords: Any) -> dict[str, Any]:
    model = net()
    model.stem.requires_grad_(False)
    return {"model": model, "optimizer": kind(model.fc.parameters(), **keywords)}


def two_tasks() -> Any:
    class Tasks(Net):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.ModuleDict({"kind": nn.Linear(6, 4), "colour": nn.Linear(6, 9)})  # type: ignore[assignment]

        def forward(self, x: Tensor) -> Any:
            x = self.pool(self.stem(x))
            return {name: head(x) for name, head in self.fc.items()}  # type: ignore[operator]

    return Tasks()


def consistent() -> Any:
    """An attribute that says what is so."""
    model = net()
    model.stem.requires_grad_(False)
    model.stem.requires_grad = False
    return model


RIGHT: dict[str, Callable[[], Any]] = {
    "all trainable": lambda: with_optimizer(net()),
    "head only": head_only,
    "momentum": lambda: head_only(torch.optim.SGD, lr=0.1, momentum=0.9),
    "second order": lambda: head_only(torch.optim.LBFGS),
    "every parameter in the optimizer": lambda: with_optimizer(net()),
    "no optimizer": net,
    "eval mode": lambda: net().eval(),
    "probabilities": probabilities,
    "an activation at the end": lambda: net(nn.Sequential(nn.Linear(6, 4), nn.ReLU())),
    "half precision": lambda: {"model": net().bfloat16(), "example_input": IMAGES.bfloat16()},
    "meta": lambda: with_optimizer(net().to("meta")),
    "data parallel": lambda: with_optimizer(nn.DataParallel(net())),
    "several tasks": two_tasks,
    "an attribute that says what is so": consistent,
    "its own device": lambda: {"model": net(), "device": "cpu"},
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_complained_of(name: str) -> None:
    verdict = asked(RIGHT[name]())
    verdict.raise_if_wrong()
    assert verdict.ok and not verdict.problems
    assert any(name.startswith(("fc", "module.fc")) for name in verdict.gradient)


def test_what_a_verdict_says() -> None:
    made = head_only()
    verdict = headcheck.confirm(made["model"], num_classes=4, example_input=IMAGES, optimizer=made["optimizer"])
    assert (verdict.trainable, verdict.total) == (28, 208)
    assert verdict.gradient == verdict.changed == ("fc.weight", "fc.bias")
    assert verdict.frozen == ("stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias")
    assert verdict.outputs == verdict.eval_outputs == (("", (2, 4)),)
    assert verdict.loss is not None and verdict.loss > 0
    assert str(verdict).splitlines() == [
        "output (2, 4); 28 of 208 parameters trainable; 2 got a gradient; on cpu, with the example input",
        "note: 1 frozen BatchNorm layers (stem.1 …) still move their statistics in train mode (HC306): "
        "put them in eval mode",
    ]


def test_a_learning_rate_of_nothing_is_remarked_on() -> None:
    made = head_only(torch.optim.SGD, lr=0.0)
    verdict = headcheck.confirm(made["model"], num_classes=4, example_input=IMAGES, optimizer=made["optimizer"])
    assert verdict.ok and "the step left fc as it was: its gradient or its learning rate is 0" in verdict.notes


def test_what_lightning_configures() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for configured in (
        {"optimizer": optimizer, "lr_scheduler": scheduler},
        ([optimizer], [scheduler]),
        [{"optimizer": optimizer}],
    ):
        assert "fc.weight" in headcheck.confirm(model, num_classes=4, optimizer=configured).changed
    with pytest.raises(TypeError, match="not an optimizer"):
        headcheck.confirm(model, num_classes=4, optimizer="adam")


def test_an_input_that_cannot_be_chosen() -> None:
    class Pair(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return one + other

    with pytest.raises(NoExampleInput):
        headcheck.confirm(Pair(), num_classes=4)


def snapshot(model: nn.Module, optimizer: Any, scheduler: Any) -> list[Any]:
    tensors = model.state_dict(keep_vars=True)
    return [
        [(name, id(tensor), tensor._version, tensor.detach().clone()) for name, tensor in tensors.items()],
        [(None if p.grad is None else (id(p.grad), p.grad.clone()), p.requires_grad) for p in model.parameters()],
        [(m.training, dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()],
        [sorted(vars(model)), vars(optimizer).keys(), id(optimizer.step)],
        copy.deepcopy(optimizer.state_dict()),
        [id(p) for group in optimizer.param_groups for p in group["params"]],
        {key: value for key, value in scheduler.state_dict().items() if not callable(value)},
        torch.get_rng_state(),
        random.getstate(),
    ]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.SGD])
def test_everything_is_as_it_was(train: bool, kind: Any) -> None:
    model = net(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, CLASSES))).train(train)
    optimizer = kind(model.parameters(), lr=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    model(IMAGES).sum().backward()
    optimizer.step()
    scheduler.step()
    model.stem[0].requires_grad_(False)
    images = IMAGES.clone()
    before = snapshot(model, optimizer, scheduler)
    with torch.no_grad():
        verdict = headcheck.confirm(model, num_classes=CLASSES, example_input=images, optimizer=optimizer)
        assert not torch.is_grad_enabled()
    assert verdict.ok and "fc.1.weight" in verdict.changed
    assert same(before, snapshot(model, optimizer, scheduler))
    assert torch.equal(images, IMAGES) and not images.requires_grad
    # And a training that goes on does what it would have done.
    model(IMAGES).sum().backward()
    optimizer.step()


class Around(torch.optim.Optimizer):
    """An optimizer around another one, as in sharpness-aware minimisation."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"rho": 0.05})
        self.base = torch.optim.SGD(self.param_groups, lr=0.1)
        self.param_groups = self.base.param_groups

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.base.step()


def test_an_optimizer_around_another_one() -> None:
    model = net()
    optimizer = Around(model.parameters())
    model(IMAGES).sum().backward()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = [p.grad for p in model.parameters()]
    verdict = headcheck.confirm(model, num_classes=CLASSES, example_input=IMAGES, optimizer=optimizer)
    assert verdict.ok and {"fc.weight", "stem.0.weight"} <= set(verdict.changed)
    assert same(before, dict(model.state_dict()))
    assert all(p.grad is gradient for p, gradient in zip(model.parameters(), gradients, strict=True))


@pytest.mark.parametrize("compiled", ["outside", "inside", "in place"])
def test_compiled_models_are_not_compiled_for_it(compiled: str) -> None:
    model: Any = net()
    if compiled == "outside":
        model = torch.compile(model)
    elif compiled == "inside":
        model.stem = torch.compile(model.stem)
    else:
        model.compile()
    verdict = headcheck.confirm(model, num_classes=CLASSES, example_input=IMAGES)
    assert verdict.ok
    assert [head.path for head in verdict.heads] == ["_orig_mod.fc" if compiled == "outside" else "fc"]


def test_a_headless_model() -> None:
    verdict = headcheck.confirm(net(nn.Identity()), num_classes=CLASSES, example_input=IMAGES)
    assert [(problem.code, problem.where) for problem in verdict.problems] == [("HC104", "")]
    assert "no layer makes scores of 4 classes: the output is (N, 6)" in str(verdict)


def test_a_graph_that_waits_for_its_backward_pass_is_not_disturbed() -> None:
    model = net()
    loss = model(IMAGES).square().sum()
    headcheck.confirm(model, num_classes=CLASSES, optimizer=torch.optim.SGD(model.parameters(), 0.1))
    loss.backward()


def test_everything_is_as_it_was_after_it_failed() -> None:
    model = net(nn.Linear(9, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    before = snapshot(model, optimizer, scheduler)
    assert not headcheck.confirm(model, num_classes=4, optimizer=optimizer).ok
    assert same(before, snapshot(model, optimizer, scheduler))


@pytest.mark.parametrize("first", ["import headcheck.confirm.judge", "headcheck.confirm"])
def test_confirm_is_a_package_and_a_function(first: str) -> None:
    """Whichever of them is asked for first; and none of it needs torch before it is called."""
    program = f"""
import sys, headcheck
assert "torch" not in sys.modules
{first}
import headcheck.confirm.observation
assert "torch" not in sys.modules or {first == "headcheck.confirm"}
from headcheck import confirm
from torch import nn
assert headcheck.confirm(nn.Linear(3, 4), num_classes=4).ok
assert confirm(nn.Linear(3, 4), num_classes=4).ok
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'find_head'"):
        _ = headcheck.find_head  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["training_loop", "lightning_module"])
def test_a_fixture(name: str) -> None:
    if name == "lightning_module":
        pytest.importorskip("lightning")
    pytest.importorskip("torchvision")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"fixtures/live/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout or re.search(r"^\.\s", done.stdout)
