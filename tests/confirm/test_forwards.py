"""Networks of the script: what the worker shows of them is what PyTorch shows that runs the script."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from headcheck import pipeline
from headcheck.analysis import analyse
from headcheck.confirm import judge, runner
from headcheck.confirm.observation import Observation
from headcheck.settings import Settings

FORWARDS = Path(__file__).parents[2] / "fixtures" / "forwards"
NAMES = sorted(path.stem for path in FORWARDS.glob("*.py"))
RUNNABLE = [name for name in NAMES if not name.startswith("unknown_")]

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="PyTorch is the judge")


def plans_of(name: str) -> list[dict[str, object]]:
    """The plans of the models of a script."""
    result = analyse((FORWARDS / f"{name}.py").read_text(), f"{name}.py")
    return [dict(result.plans[model.plan]) for model in result.models if model.plan is not None]


@pytest.fixture(scope="module", params=["cpu", "meta"])
def observations(request: pytest.FixtureRequest) -> dict[str, Observation]:
    plans = [{**plans_of(name)[0], "id": number} for number, name in enumerate(RUNNABLE)]
    seen = runner.confirm(plans, python=sys.executable, device=request.param).observations
    return {name: seen[number] for number, name in enumerate(RUNNABLE)}


def test_there_are_some_of_each_kind() -> None:
    assert {name.split("_")[0] for name in NAMES} >= {"raises", "unknown", "two"}


@needs_torch
@pytest.mark.parametrize("name", RUNNABLE)
def test_pytorch_shows_the_same(name: str, observations: dict[str, Observation]) -> None:
    import torch

    from headcheck.confirm.worker.passes import shapes_in
    from tests.torch_proof import without_weights

    names: dict[str, object] = {}
    with without_weights():
        exec(compile((FORWARDS / f"{name}.py").read_text(), name, "exec"), names)
        net = names["net"]
        assert isinstance(net, torch.nn.Module)
        expected: object
        try:
            inputs = names.get("inputs", (torch.rand(2, 3, 224, 224),))
            assert isinstance(inputs, tuple)
            expected = shapes_in(torch, net(*inputs))
        except RuntimeError as error:
            expected = str(error)
    seen = observations[name]
    assert all(plan["left_out"] == "" for plan in plans_of(name))
    if name.startswith("raises_"):
        assert (seen.status, seen.at) == ("raised", "forward")
        assert seen.error == f"RuntimeError: {expected}"
        line = (FORWARDS / f"{name}.py").read_text().splitlines()[(seen.line or 0) - 1]
        assert "self.head(" in line or "x.view(" in line
    else:
        assert (seen.status, seen.error) == ("ran", "")
        assert [[key, list(shape)] for key, shape in seen.outputs] == expected
        assert judge.verdict(None, seen).status == "clean"


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("unknown_")])
def test_what_is_not_known_is_said(name: str) -> None:
    text = (FORWARDS / f"{name}.py").read_text().splitlines()
    number, line = next(
        ((number, line) for number, line in enumerate(text, 1) if "  # " in line),
        (0, "  # what its forward is given beside the picture"),
    )
    where = f" (line {number})" if number else ""
    assert [plan["left_out"] for plan in plans_of(name)] == [f"{line.split('  # ')[1]}{where}"]


def test_several_networks_share_a_model() -> None:
    """Each of the library's models in a network has the network's plan."""
    assert [len(plan["steps"]) > 3 for plan in plans_of("two_backbones")] == [True, True]  # type: ignore[arg-type]


@needs_torch
def test_what_is_computed_without_gradients_gets_none(observations: dict[str, Observation]) -> None:
    seen = observations["a_trunk_without_gradients"]
    assert seen.gradient == ("head",)


ANYTHING = """
import torch
from torch import nn
from torchvision import models
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = models.resnet18(weights="DEFAULT")
        self.backbone.fc = nn.Linear(512, 10)
    def forward(self, x):
        return self.backbone({given})
net = Net()
for x, y in torch.load("data.pt"):
    loss = nn.functional.cross_entropy(net(x), y)
"""


@needs_torch
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("given", ["x.repeat(1, 3, 1, 1)", "x.mean(1)", "torch.cat([x, x, x], dim=1)"])
def test_what_may_be_given_something_else_does_not_fail(given: str, device: str, tmp_path: Path) -> None:
    """A picture of one channel, or several of three."""
    (tmp_path / "net.py").write_text(ANYTHING.format(given=given))
    settings = Settings(confirm=True, python=sys.executable, device=device)
    (result,) = pipeline.run([str(tmp_path)], settings, models=True).files
    assert result.findings == ()
    assert [m.verdict.status for m in result.models if m.verdict is not None] == ["inconclusive"]
