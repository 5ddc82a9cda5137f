"""What the worker saw when it ran a plan, as a value that can be trusted in shape whatever the worker answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headcheck.findings import Stage

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
ObservationStatus = Literal["ran", "raised", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class ParameterState:
    """One parameter after the run. `in_optimizer` is None where the plan makes no optimizer."""

    requires_grad: bool
    grad: bool
    in_optimizer: bool | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What became of one plan.

    `status`: it ``ran`` to its end; PyTorch ``raised`` (`error` is its own text, `at` where, and for a step `step` its
    index and `line` the script's); the worker ``refused`` it, or was ``lost`` on it (`error` says why; neither proves
    anything). `outputs` are the shapes by key in the mode that the script left the model in ("" for a plain tensor),
    `eval_outputs` those in eval mode if the plan asked for them. `gradient` holds the top-level names under which a
    parameter got a gradient; `parameters` the plan's probes that exist. `milliseconds` is both passes' time.
    `changed` holds the top-level names under which one step of the optimizers changed a parameter, None without one.
    `loss` is the kind of the script's own loss that the gradient came from, "" where there is none.
    `within` are the paths from the root of the innermost module whose forward raised.
    `everywhere`: it raises whatever the numbers that the plan leaves open, and the size of the input.
    `moves_ignored`: the plan moves a module to an accelerator that the device it ran on only stands in for.
    """

    status: ObservationStatus
    error: str = ""
    at: Stage | None = None
    step: int | None = None
    line: int | None = None
    within: tuple[str, ...] = ()
    outputs: Shapes = ()
    eval_outputs: Shapes | None = None
    trainable: int | None = None
    total: int | None = None
    gradient: tuple[str, ...] = ()
    parameters: Mapping[str, ParameterState] = field(default_factory=dict)
    milliseconds: float | None = None
    changed: tuple[str, ...] | None = None
    device: str = "cpu"
    moves_ignored: bool = False
    everywhere: bool = False
    loss: str = ""


class MalformedAnswer(ValueError):
    """The worker's answer is not one; its text says what is wrong."""


def lost(reason: str, device: str = "cpu") -> Observation:
    """The observation of a plan whose run said nothing."""
    return Observation("lost", error=reason, device=device)


def parse(answer: object) -> Observation:
    """The observation in one decoded JSON answer. Raises MalformedAnswer unless every field has its shape."""
    if not isinstance(answer, dict):
        raise MalformedAnswer(f"an answer is {type(answer).__name__}")
    status, at = answer.get("status"), answer.get("at")
    if status not in ("ran", "raised", "refused"):
        raise MalformedAnswer(f"status {status!r:.40}")
    if at not in ("step", "forward", "loss", "backward", None):
        raise MalformedAnswer(f"at {at!r:.40}")
    return Observation(
        status=status,
        error=_text(answer.get("error") or ""),
        at=at,
        step=_count(answer.get("step")),
        line=_count(answer.get("line")),
        within=_names(answer.get("within")),
        outputs=_shapes(answer.get("outputs") or []),
        eval_outputs=None if answer.get("eval_outputs") is None else _shapes(answer["eval_outputs"]),
        trainable=_count(answer.get("trainable")),
        total=_count(answer.get("total")),
        gradient=_names(answer.get("gradient")),
        parameters=_states(answer.get("parameters") or {}),
        changed=None if answer.get("changed") is None else _names(answer["changed"]),
        milliseconds=_number(answer.get("milliseconds")),
        device=_text(answer.get("device") or "cpu"),
        moves_ignored=answer.get("ignored") is True,
        everywhere=answer.get("everywhere") is True,
        loss=_text(answer.get("loss") or ""),
    )


def _text(value: object) -> str:
    """A string of printable characters: what a library raises goes to a terminal in the end."""
    if not isinstance(value, str):
        raise MalformedAnswer(f"{value!r:.40} is no text")
    return "".join(character if character.isprintable() else " " for character in value)


def _count(value: object) -> int | None:
    if value is None or type(value) is int:
        return value
    raise MalformedAnswer(f"{value!r:.40} is no count")


def _number(value: object) -> float | None:
    if value is None or type(value) is float or type(value) is int:
        return value
    raise MalformedAnswer(f"{value!r:.40} is no number")


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise MalformedAnswer(f"{value!r:.40} is no list")
    return value


def _names(value: object) -> tuple[str, ...]:
    return tuple(_text(name) for name in _list(value or []))


def _shapes(value: object) -> Shapes:
    return tuple(_shape(pair) for pair in _list(value))


def _shape(pair: object) -> tuple[str, tuple[int, ...]]:
    match pair:
        case [str(key), [*sizes]]:
            whole = tuple(size for size in sizes if type(size) is int)
            if len(whole) == len(sizes):
                return _text(key), whole
    raise MalformedAnswer(f"{pair!r:.40} is no shape")


def _states(value: object) -> dict[str, ParameterState]:
    if not isinstance(value, dict):
        raise MalformedAnswer(f"{value!r:.40} is no table of parameters")
    return {_text(name): _state(state) for name, state in value.items()}


def _state(state: object) -> ParameterState:
    match state:
        case {"requires_grad": bool(requires), "grad": bool(grad), "in_optimizer": None | bool() as held}:
            return ParameterState(requires, grad, held)
    raise MalformedAnswer(f"{state!r:.40} is no parameter's state")
