"""What a forward that is replayed may call, and what it may not, whatever the plan says."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from confirm_plans import Plan, plan, step

from headcheck.confirm import runner
from headcheck.confirm.observation import Observation

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="the worker needs PyTorch")

X = {"reg": 0}


def program(*steps: dict[str, Any], answer: Any = None) -> Plan:
    """The plan of a network whose forward does these steps; the answer is the last one's."""
    numbered = [{"args": [], "kwargs": {}, **each, "out": number} for number, each in enumerate(steps, 1)]
    last = {"reg": len(steps)} if answer is None else answer
    return plan(
        step("network", out=1),
        step("layer", out=2, **{"class": "torch.nn.Conv2d"}, args=[3, 4, 1], kwargs={}),
        step("set", of=1, name="stem", value=2),
        step("forward", of=1, steps=numbered, answer=last),
        size=8,
    )


def function(name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"op": "function", "name": name, "args": list(args), "kwargs": kwargs}


def method(of: Any, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"op": "method", "of": of, "name": name, "args": list(args), "kwargs": kwargs}


MARK = str(Path(tempfile.gettempdir()) / "headcheck-must-not-write-this")
STEM = {"op": "module", "of": {"ref": 2}, "args": [X]}
REFUSED = {
    "loading": program(function("torch.load", "/etc/passwd")),
    "saving": program(function("torch.save", X, MARK)),
    "a file as a tensor": program(function("torch.from_file", MARK, True, 4)),
    "the hub": program(function("torch.hub.load", "pytorch/vision", "resnet18")),
    "compiled code": program(function("torch.jit.load", MARK)),
    "another library": program(function("os.system", f"touch {MARK}")),
    "a builtin": program(function("builtins.open", MARK, "w")),
    "evaluation": program(function("builtins.eval", f"open('{MARK}', 'w')")),
    "a private function": program(function("torch._C._import_ir_module", MARK)),
    "a module of torch": program(function("torch.nn.functional.torch", X)),
    "what is no function of torch": program(function("torch.nn.functional.warnings.warn", "x")),
    "a private method": program(method(X, "__reduce_ex__", 2)),
    "a method that takes code": program(method(X, "apply_", "print")),
    "a method of a module": program(method({"ref": 2}, "register_forward_hook", 1)),
    "loading by a method of a module": program(method({"ref": 2}, "load_state_dict", {"dict": {}})),
    "a method of a text": program(method("x", "format", 1)),
    "a private attribute": program({"op": "attribute", "of": X, "name": "__class__"}),
    "an attribute that is a method": program({"op": "attribute", "of": X, "name": "numpy"}),
    "an operator": program({"op": "binary", "operator": "attrgetter", "left": X, "right": X}),
    "a step": program({"op": "import", "name": "os"}),
    "a register that nothing answered": program(method({"reg": 7}, "relu")),
    "a module that was not made": program({"op": "module", "of": {"ref": 9}, "args": [X]}),
    "a call of a number": program({"op": "module", "of": 5, "args": [X]}),
    "a network without a forward": plan(step("network", out=1), size=8),
    "a forward of a layer": plan(
        step("layer", out=1, **{"class": "torch.nn.Identity"}, args=[], kwargs={}),
        step("forward", of=1, steps=[], answer=X),
        size=8,
    ),
    "timm by a place": plan(step("build", out=1, builder="timm.models.hf-hub:someone/model", kwargs={}), size=8),
    "timm by a folder": plan(step("build", out=1, builder=f"timm.models.{MARK}", kwargs={}), size=8),
}
RUN = {
    "functions and methods": program(
        STEM,
        function("torch.nn.functional.relu", {"reg": 1}, inplace=True),
        method({"reg": 2}, "mean", [2, 3]),
        function("torch.cat", [{"reg": 3}, {"reg": 3}], dim=1),
        {"op": "item", "of": {"reg": 4}, "index": {"tuple": [{"slice": [None, None, None]}, {"slice": [0, 5, None]}]}},
        {"op": "binary", "operator": "Add", "left": {"reg": 5}, "right": 1.5, "in_place": True},
        {"op": "unary", "operator": "Minus", "of": {"reg": 6}},
        {"op": "binary", "operator": "MatrixMultiply", "left": {"reg": 7}, "right": {"parameter": [1, "stem.bias"]}}
        | {"left": {"reg": 3}},
    ),
    "sizes and numbers": program(
        {"op": "attribute", "of": X, "name": "shape"},
        {"op": "item", "of": {"reg": 1}, "index": 0},
        function("builtins.int", {"reg": 2}),
        method(X, "reshape", {"reg": 3}, -1),
        method({"reg": 4}, "to", {"dtype": "float64"}),
        function("torch.zeros", {"tuple": [2, 3]}),
        STEM,
        answer={"dict": {"one": {"reg": 5}, "other": {"tuple": [{"reg": 6}, {"reg": 7}]}}},
    ),
    "a local checkpoint that is never read": plan(
        step("build", out=1, builder="timm.models.resnet18", kwargs={"num_classes": 4, "checkpoint_path": MARK}),
        size=64,
    ),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Observation]:
    plans = {**REFUSED, **RUN}
    numbered = [{**each, "id": number} for number, each in enumerate(plans.values())]
    observations = runner.confirm(numbered, python=sys.executable, device="cpu").observations
    return {name: observations[number] for number, name in enumerate(plans)}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, seen: dict[str, Observation]) -> None:
    assert (seen[name].status, seen[name].outputs) == ("refused", ())
    assert not Path(MARK).exists()


@pytest.mark.parametrize(
    "name, outputs",
    [
        ("functions and methods", (("", (2,)),)),
        ("sizes and numbers", (("one", (2, 192)), ("other.0", (2, 3)), ("other.1", (2, 4, 8, 8)))),
        ("a local checkpoint that is never read", (("", (2, 4)),)),
    ],
)
def test_what_runs(name: str, outputs: object, seen: dict[str, Observation]) -> None:
    assert (seen[name].error, seen[name].outputs) == ("", outputs)
