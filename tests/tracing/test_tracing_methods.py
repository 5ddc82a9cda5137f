"""Finding heads in small models whose heads are known."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from headcheck.tracing import autograd, compare, fx  # noqa: E402
from headcheck.tracing.build import TracingError, on_meta  # noqa: E402
from headcheck.tracing.model import Build, Traced, trace  # noqa: E402
from headcheck.tracing.observe import observe  # noqa: E402
from headcheck.tracing.tree import Scaled, describe, lookup  # noqa: E402

IMAGE = (3, 16, 16)


class Plain(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.classifier = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, num_classes), nn.Softmax(1))
        self.unused = nn.Linear(2, 2)
        self.num_classes = num_classes
        self.scale = 2

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3)) * self.scale
        answer: Tensor = self.classifier(x)
        return answer


class Auxiliary(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.aux = nn.Linear(6, num_classes)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> object:
        x = self.conv(x).flatten(2).mean(2)
        return {"out": self.fc(x), "aux": self.aux(x)} if self.training else self.fc(x)


class Functional(nn.Module):
    """Its head is a parameter of its own, and torch.fx cannot follow the loop over a tensor's values."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x).mean((2, 3))
        for _ in range(int(x.sum()) + 1):
            features = features + 1
        answer: Tensor = self.head(features)
        return answer


class Features(Plain):
    def forward(self, x: Tensor) -> object:  # type: ignore[override]
        x = self.conv(x).mean((2, 3))
        return {"logits": self.classifier(x), "features": x}


class Fixed(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.fc = nn.Linear(2 * 14 * 14, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.fc(torch.flatten(self.conv(x), 1))
        return answer


class Forgetful(Plain):
    """The classes change a layer that makes no output."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(10)
        self.unused = nn.Linear(2, num_classes)


class Sharing(Plain):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.again = self.conv


class Frozen(Plain):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.requires_grad_(False)


def builds(kind: type[nn.Module]) -> Build:
    return lambda keywords: kind(**keywords)


def traced(kind: type[nn.Module]) -> Traced:
    return trace(builds(kind), lambda model: [IMAGE], ["num_classes"], "classification")


def test_a_plain_model() -> None:
    found = traced(Plain)
    (head,) = found.heads
    assert (head.path, head.shape, head.outputs, head.train, head.eval) == ("classifier.2", (5,), ("",), True, True)
    assert found.method == "fx"
    assert found.counts == {"num_classes": 10}
    assert found.used == {"conv", "classifier", "scale"}
    assert found.inputs == {"conv": (3, None, None), "classifier": (6,), "classifier.2": (5,)}
    assert found.outputs["conv"] == (6, None, None)
    assert found.outputs["classifier"] == (Scaled("num_classes", 1, 0),)
    assert dict(found.tree.values)["num_classes"] == Scaled("num_classes", 1, 0)


def test_an_auxiliary_head() -> None:
    found = {head.path: head for head in traced(Auxiliary).heads}
    assert (found["aux"].auxiliary, found["aux"].train, found["aux"].eval) == (True, True, False)
    assert (found["fc"].auxiliary, found["fc"].outputs) == (False, ("", "out"))


def test_a_model_that_reads_values_is_run_on_the_cpu() -> None:
    found = traced(Functional)
    assert [head.path for head in found.heads] == ["head"]
    assert found.method == "autograd"
    assert found.outputs["head"] == (Scaled("num_classes", 1, 0),)


def test_an_output_that_is_no_classes_has_no_head() -> None:
    assert [head.path for head in traced(Features).heads] == ["classifier.2"]


def test_a_model_of_one_image_size_has_fixed_sizes() -> None:
    found = traced(Fixed)
    assert found.inputs["conv"] == IMAGE
    assert found.inputs["fc"] == (392,)


def test_a_frozen_model() -> None:
    assert [head.path for head in traced(Frozen).heads] == ["classifier.2"]


def test_disagreement_is_an_error() -> None:
    with pytest.raises(TracingError, match="the classes change"):
        traced(Forgetful)
    with pytest.raises(TracingError, match="several modules"):
        traced(Sharing)


def test_fx_and_autograd_agree() -> None:
    model = on_meta(lambda: Auxiliary())
    images = (torch.zeros(2, *IMAGE, device="meta", requires_grad=True).clone(),)
    for train in (True, False):
        walked = autograd.heads(model, observe(model, images, train).answer)
        followed = fx.heads(model, images, train)
        assert followed is not None
        assert {path: keys for path, (keys, _) in followed.items()} == walked
        assert {shape for _, shape in followed.values()} == {(6,)}


def test_fx_gives_up_where_it_cannot_follow() -> None:
    assert fx.heads(Functional(), (torch.zeros(2, *IMAGE),), True) is None


def test_numbers_that_follow_a_count() -> None:
    def tree(classes: int, anchors: int = 3):  # type: ignore[no-untyped-def]
        return describe(nn.Sequential(nn.Conv2d(8, anchors * classes + 1, 1), nn.ReLU()))

    base = tree(10)
    scaled = compare.scale(base, tree, "num_classes")
    weight = dict(lookup(scaled, "0").parameters)["weight"]
    assert weight == (Scaled("num_classes", 3, 1), 8, 1, 1)
    assert list(compare.owners(scaled)) == ["0"]
    assert compare.default_of(base, scaled, "num_classes") == 10


def test_what_follows_a_count_in_no_straight_line() -> None:
    with pytest.raises(TracingError, match="straight line"):
        compare.scale(describe(nn.Linear(2, 9)), lambda n: describe(nn.Linear(2, n * n // 1000)), "n")
    with pytest.raises(TracingError, match="depend on n"):
        deeper = [nn.ReLU(), nn.ReLU()]
        compare.scale(describe(nn.Sequential(nn.ReLU())), lambda n: describe(nn.Sequential(*deeper[: n // 1001])), "n")


def test_the_model_is_as_it_was_after_it_was_watched() -> None:
    model = Plain()
    observe(model, (torch.zeros(2, *IMAGE),), train=False)
    assert type(model) is Plain
    assert not model._forward_hooks and not model.classifier._forward_hooks


def test_a_tree_has_everything_of_a_module() -> None:
    layer = describe(nn.BatchNorm2d(4, affine=False))
    values = dict(layer.values)
    assert (values["num_features"], values["affine"], values["weight"]) == (4, False, None)
    assert "running_mean" in layer.attributes
    assert layer.parameters == ()
