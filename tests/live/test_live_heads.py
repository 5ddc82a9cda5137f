"""Finding and replacing heads in small models whose heads are known, and what stays as it was."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize  # noqa: E402

import headcheck  # noqa: E402
from headcheck.live.answers import CannotReplace, ForwardFailed, HeadError, NoExampleInput, NoHead, SeveralHeads  # noqa: E402


def stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Net(nn.Module):
    """A stem, and whatever head it is given."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = stem()
        self.head = nn.Linear(6, 5) if head is None else head

    def forward(self, x: Tensor) -> Any:
        return self.head(self.stem(x))


class TwoTasks(Net):
    def __init__(self, names: tuple[str, ...] = ("colour", "kind")) -> None:
        super().__init__(nn.ModuleDict({name: nn.Linear(6, 4 + number) for number, name in enumerate(names)}))

    def forward(self, x: Tensor) -> Any:
        features = self.stem(x)
        return {name: head(features) for name, head in self.head.items()}  # type: ignore[operator, union-attr]


class Mean(Net):
    def __init__(self) -> None:
        super().__init__(nn.ModuleList([nn.Linear(6, 5), nn.Linear(6, 5)]))

    def forward(self, x: Tensor) -> Any:
        features = self.stem(x)
        return sum(head(features) for head in self.head) / 2  # type: ignore[union-attr]


class Hidden(Net):
    def __init__(self) -> None:
        super().__init__()
        del self.head
        self.layers = [nn.Linear(6, 5)]

    def forward(self, x: Tensor) -> Any:
        return self.layers[0](self.stem(x))


class Twice(Net):
    def __init__(self) -> None:
        super().__init__()
        self.again = self.head


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.out(torch.relu(self.embedding(x)))
        return answer


class NoGradient(Net):
    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            return super().forward(x)


class ByValue(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x * (1 if float(x.sum()) > 0 else 2))


def mlp() -> nn.Module:
    return nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 7), nn.GELU(), nn.Dropout(0.1), nn.Linear(7, 5))


#: Model, and the paths of its heads.
MODELS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "linear": (Net, ["head"]),
    "composite": (lambda: Net(nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 5, bias=False))), ["head.1"]),
    "mlp": (lambda: Net(mlp()), ["head.4"]),
    "probabilities": (lambda: Net(nn.Sequential(nn.Linear(6, 5), nn.LogSoftmax(1))), ["head.0"]),
    "convolution": (
        lambda: Net(nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 5, 1), nn.Flatten())),
        ["head.1"],
    ),
    "weight norm": (lambda: Net(parametrizations.weight_norm(nn.Linear(6, 5))), ["head"]),
    "spectral norm": (lambda: Net(parametrizations.spectral_norm(nn.Linear(6, 5))), ["head"]),
    "older weight norm": (lambda: Net(nn.utils.weight_norm(nn.Linear(6, 5))), ["head"]),
    "older spectral norm": (lambda: Net(nn.utils.spectral_norm(nn.Linear(6, 5))), ["head"]),
    "list": (Mean, ["head.0", "head.1"]),
    "hidden in a plain list": (Hidden, ["layers[0]"]),
    "two names": (Twice, ["head"]),
    "own layer": (lambda: Net(Own()), ["head"]),
    "half precision": (lambda: Net().half(), ["head"]),
    "meta": (lambda: Net().to("meta"), ["head"]),
    "frozen, in eval mode": (lambda: Net().requires_grad_(False).eval(), ["head"]),
    "data parallel": (lambda: nn.DataParallel(Net()), ["module.head"]),
    "no gradient": (NoGradient, ["head"]),
    "by value": (ByValue, ["head"]),
    "none": (lambda: Net(nn.Identity()), []),
    "none, a norm at the end": (lambda: Net(nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6))), []),
}


@pytest.mark.parametrize("name", MODELS)
def test_heads_are_found(name: str) -> None:
    build, paths = MODELS[name]
    found = headcheck.find_heads(build())
    assert [head.path for head in found] == paths
    assert {(head.in_features, head.out_features) for head in found} <= {(6, 5), (7, 5)}
    assert all(head.train and head.eval and not head.auxiliary for head in found)
    assert {head.method for head in found} <= ({"fx"} if name == "no gradient" else {"autograd"})


@pytest.mark.parametrize("name", [name for name, (_, paths) in MODELS.items() if paths])
def test_heads_are_replaced(name: str) -> None:
    build, paths = MODELS[name]
    model = build()
    before = headcheck.find_heads(model)
    old = list(model.parameters())
    done = headcheck.replace_head(model, 3)
    assert [head.path for head in done.heads] == paths
    after = headcheck.find_heads(model)
    assert [(head.path, head.kind, head.in_features) for head in after] == [
        (head.path, head.kind, head.in_features) for head in before
    ]
    assert {(head.out_features, head.answers) for head in after} == {(3, (("", (2, 3)),))}
    fresh = [p for p in model.parameters() if not any(p is item for item in old)]
    assert name == "hidden in a plain list" or fresh
    assert all(p.requires_grad and p.device == old[0].device and p.dtype == old[0].dtype for p in fresh)


def test_settings_are_kept() -> None:
    model = Net(nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 5, 3, padding=1, bias=False), nn.Flatten()))
    headcheck.replace_head(model, 3)
    assert repr(model.head[1]) == repr(nn.Conv2d(6, 3, 3, padding=1, bias=False))  # type: ignore[index]
    normed = Net(parametrizations.weight_norm(nn.Linear(6, 5)))
    headcheck.replace_head(normed, 3)
    assert parametrize.is_parametrized(normed.head)
    assert [tuple(p.shape) for p in normed.head.parameters()] == [(3,), (3, 1), (3, 6)]
    older = Net(nn.utils.weight_norm(nn.Linear(6, 5)))
    headcheck.replace_head(older, 3)
    assert {name: tuple(p.shape) for name, p in older.head.named_parameters()} == {
        "bias": (3,),
        "weight_g": (3, 1),
        "weight_v": (3, 6),
    }
    older(torch.zeros(2, 3, 8, 8)).sum().backward()
    transposed = Net(nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.ConvTranspose2d(6, 5, 2)))
    headcheck.replace_head(transposed, 3)
    assert transposed(torch.zeros(2, 3, 8, 8)).shape == (2, 3, 2, 2)


def test_freezing() -> None:
    model = Net()
    done = headcheck.replace_head(model, 3, freeze=True)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]
    assert done.frozen == 4
    assert str(done) == (
        "head: Linear(in_features=6, out_features=5, bias=True) → Linear(in_features=6, out_features=3, bias=True)\n"
        "4 other parameters frozen"
    )


def test_a_frozen_head_is_replaced_by_one_that_learns() -> None:
    model = Net().requires_grad_(False)
    headcheck.replace_head(model, 3)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_the_same_number_of_classes_gives_a_new_head_too() -> None:
    model = Net()
    old = model.head
    headcheck.replace_head(model, 5)
    assert model.head is not old


def test_a_head_under_two_names_stays_one() -> None:
    model = Twice()
    assert headcheck.find_heads(model)[0].aliases == ("again",)
    headcheck.replace_head(model, 3)
    assert model.again is model.head and model.head.out_features == 3


def test_tied_weights() -> None:
    model = Tokens()
    (head,) = headcheck.find_heads(model)
    assert (head.path, head.in_features, head.out_features) == ("out", 6, 11)
    done = headcheck.replace_head(model, 3)
    assert done.notes == ("embedding shared its weight with a head; they are no longer shared",)
    assert model.embedding.weight.shape == (11, 6)


def test_heads_of_several_sizes_must_be_chosen() -> None:
    model = TwoTasks()
    with pytest.raises(SeveralHeads, match=r"head.colour \(4\), head.kind \(5\)"):
        headcheck.replace_head(model, 3)
    headcheck.replace_head(model, 3, heads=["head.kind"])
    assert [head.out_features for head in headcheck.find_heads(model)] == [4, 3]
    with pytest.raises(NoHead, match=r"stem\.0 is no head"):
        headcheck.replace_head(model, 3, heads=["stem.0"])


def test_counts_beside_the_head_follow() -> None:
    model = Net()
    model.num_classes = 5  # type: ignore[assignment]
    assert headcheck.replace_head(model, 3).counts == ("num_classes",)
    assert model.num_classes == 3


def test_what_cannot_be_replaced() -> None:
    with pytest.raises(NoHead, match="no classifier head"):
        headcheck.replace_head(Net(nn.Identity()), 3)
    with pytest.raises(CannotReplace, match="TorchScript"):
        headcheck.replace_head(torch.jit.trace(Net().eval(), torch.zeros(2, 3, 8, 8)), 3)
    with pytest.raises(ValueError, match="at least one class"):
        headcheck.replace_head(Net(), 0)


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.weight = nn.Parameter(torch.randn(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x)).mean((2, 3)) @ self.weight


def test_a_parameter_of_the_model_itself() -> None:
    (head,) = headcheck.find_heads(Bare())
    assert (head.path, head.kind.rpartition(".")[2], head.in_features, head.out_features) == ("", "Bare", 6, 5)
    with pytest.raises(CannotReplace, match="a parameter of Bare itself"):
        headcheck.replace_head(Bare(), 3)


class Pair(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other


class Images(nn.Module):
    """It takes images of 20 pixels only, which nothing says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.fc = nn.Linear(2 * 18 * 18, 5)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.fc(self.conv(x).flatten(1))
        return answer


def test_an_input_that_cannot_be_chosen() -> None:
    with pytest.raises(NoExampleInput, match="takes one, other"):
        headcheck.find_heads(Pair())
    with pytest.raises(NoExampleInput, match="no layer"):
        headcheck.find_heads(nn.ReLU())
    with pytest.raises(NoExampleInput, match=r"tried .*224.* The first: .* in fc"):
        headcheck.find_heads(Images())
    assert headcheck.find_heads(Images(), torch.zeros(2, 3, 20, 20))[0].in_features == 648
    with pytest.raises(HeadError, match="lazy"):
        headcheck.find_heads(nn.LazyLinear(3))


def test_a_model_that_does_not_run() -> None:
    with pytest.raises(ForwardFailed, match=r"in head \(Linear\): RuntimeError"):
        headcheck.find_heads(Net(nn.Linear(9, 5)))


@pytest.mark.parametrize(
    ("module", "example"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 5)), None),
        (nn.Sequential(nn.Conv1d(3, 6, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 5)), None),
        (nn.Sequential(nn.Conv3d(3, 6, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 5)), None),
        (nn.Sequential(nn.EmbeddingBag(9, 6), nn.Linear(6, 5)), None),
        (nn.Sequential(nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * 12 * 12, 5)), None),
        (Net(), {"x": torch.zeros(2, 3, 8, 8)}),
        (Net(), (torch.zeros(2, 3, 8, 8),)),
    ],
)
def test_inputs(module: nn.Module, example: object) -> None:
    (head,) = headcheck.find_heads(module, example)
    assert head.out_features == 5


class Stateful(Net):
    """It keeps what it sees, in every way a module can."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5)))
        self.calls = 0
        self.seen: list[int] = []
        self.table: dict[str, Tensor] = {}
        self.plain = torch.zeros(1)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        self.seen.append(self.calls)
        self.table["x"] = x
        self.plain += 1
        self.count += 1  # type: ignore[operator]
        random.random()
        return super().forward(x)


def state(model: nn.Module) -> list[Any]:
    tensors = [
        (name, id(tensor), tensor._version, tensor.detach().clone())
        for name, tensor in model.state_dict(keep_vars=True).items()
    ]
    gradients = [(p.grad, p.requires_grad) for p in model.parameters()]
    modes = [
        (module.training, type(module), list(module._forward_hooks), list(module._forward_pre_hooks))
        for module in model.modules()
    ]
    return [tensors, gradients, modes, torch.get_rng_state(), random.getstate()]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("train", [True, False])
def test_the_model_is_as_it_was(train: bool) -> None:
    model = Stateful().train(train)
    model.stem[1].eval()
    model.stem[0].weight.requires_grad_(False)
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    attributes = copy.copy({k: v for k, v in vars(model).items() if k in ("calls", "seen", "table", "plain")})
    before, plain, seen = state(model), model.plain.clone(), list(model.seen)
    with torch.no_grad():
        assert [head.path for head in headcheck.find_heads(model)] == ["head.1"]
        assert not torch.is_grad_enabled()
    assert same(state(model), before)
    assert all(getattr(model, name) is value for name, value in attributes.items())
    assert torch.equal(model.plain, plain) and model.seen == seen and list(model.table) == ["x"]


def test_the_model_is_as_it_was_after_it_failed() -> None:
    model = Net(nn.Linear(9, 5))
    before = state(model)
    with pytest.raises(ForwardFailed):
        headcheck.find_heads(model)
    assert same(state(model), before)
    with torch.inference_mode():
        assert headcheck.find_heads(Net())[0].path == "head"


def test_a_failure_keeps_no_feature_maps() -> None:
    """A model that fails at every size is tried with numbers once, and what failed holds nothing of the way there."""
    model = Net(nn.Linear(9, 5))
    passes = []
    model.stem.register_forward_hook(lambda module, arguments, answer: passes.append(arguments[0].device.type))
    with pytest.raises(ForwardFailed) as raised:
        headcheck.find_heads(model)
    assert passes.count("cpu") <= 4 < passes.count("meta")
    frames = raised.value.__cause__.__traceback__  # type: ignore[union-attr]
    while frames is not None:
        assert not any(isinstance(value, Tensor) for value in frames.tb_frame.f_locals.values())
        frames = frames.tb_next
