"""Short ways to write plans for the tests of confirm."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

Step = dict[str, Any]
Plan = dict[str, Any]

needs_torch = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision")), reason="torch is not installed"
)


def build(builder: str, out: int = 1, **keywords: Any) -> Step:
    """Build a torchvision model, named below `torchvision.models`."""
    return {"op": "build", "out": out, "builder": f"torchvision.models.{builder}", "kwargs": keywords, "line": 1}


def layer(out: int, kind: str, *arguments: Any, **keywords: Any) -> Step:
    """Make a layer, named below `torch.nn` unless by its full name."""
    name = kind if kind.startswith("torch") else f"torch.nn.{kind}"
    return {"op": "layer", "out": out, "class": name, "args": list(arguments), "kwargs": keywords, "line": 2}


def step(op: str, line: int = 3, **fields: Any) -> Step:
    return {"op": op, "line": line, **fields}


def put(name: str, value: int | None, of: int = 1) -> Step:
    return step("set", of=of, name=name, value=value)


def plan(*steps: Step, size: int | None = 64, probes: tuple[str, ...] = (), **fields: Any) -> Plan:
    """A complete plan of these steps, whose root is object 1 and whose input is two images of `size` pixels."""
    return {
        "id": 0,
        "steps": list(steps),
        "root": 1,
        "input": size and [[2, 3, size, size]],
        "kind": "classification",
        "left_out": "",
        "taken": "",
        "shortened": False,
        "probes": {"parameters": list(probes)},
        **fields,
    }
