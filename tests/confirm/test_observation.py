"""The worker's answers are not trusted in shape."""

from __future__ import annotations

from typing import Any

import pytest

from headcheck.confirm.observation import MalformedAnswer, Observation, ParameterState, parse

STATE = {"requires_grad": True, "grad": False, "in_optimizer": None}


def test_a_full_answer() -> None:
    answer = {
        "id": 3,
        "status": "raised",
        "at": "step",
        "step": 4,
        "line": 12,
        "within": ["fc"],
        "error": "RuntimeError: no\x1b[31m",
        "outputs": [["", [2, 10]]],
        "eval_outputs": [["out", [2]]],
        "trainable": 1,
        "total": 2,
        "gradient": ["fc"],
        "parameters": {"fc.weight": STATE},
        "milliseconds": 3,
        "device": "meta",
        "ignored": True,
    }
    assert parse(answer) == Observation(
        status="raised",
        error="RuntimeError: no [31m",
        at="step",
        step=4,
        line=12,
        within=("fc",),
        outputs=(("", (2, 10)),),
        eval_outputs=(("out", (2,)),),
        trainable=1,
        total=2,
        gradient=("fc",),
        parameters={"fc.weight": ParameterState(requires_grad=True, grad=False, in_optimizer=None)},
        milliseconds=3,
        device="meta",
        moves_ignored=True,
    )


def test_a_short_answer() -> None:
    assert parse({"status": "refused", "error": "step 5"}) == Observation("refused", error="step 5")


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "fine"},
        {"status": ["ran"]},
        {"at": "home"},
        {"at": []},
        {"error": 5},
        {"step": "1"},
        {"line": True},
        {"total": 1.5},
        {"milliseconds": "1"},
        {"outputs": {"": [2]}},
        {"outputs": [["", 2]]},
        {"outputs": [["", [2, "10"]]]},
        {"outputs": ["ab"]},
        {"gradient": "fc"},
        {"within": ["fc", 5]},
        {"gradient": [5]},
        {"parameters": [STATE]},
        {"parameters": {"fc.weight": {"requires_grad": 1, "grad": True, "in_optimizer": None}}},
        {"device": 5},
    ],
)
def test_a_field_of_another_shape_is_malformed(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        parse({"status": "ran", **wrong})


def test_no_object_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        parse(["ran"])
