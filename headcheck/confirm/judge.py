"""From what was expected and what was seen to a verdict. Pure: nothing is run here.

A plan that is not complete has `left_out` something that the script does. What it shows wrong is wrong all the same,
but what it shows right proves nothing: only a complete plan refutes a finding or calls a model clean. One that has
`taken` something for granted may call a model clean, and says so, but refutes nothing; where a stack is `shortened` to
the layers that are known, or a layer has a weight that is not known, what raises proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from headcheck.confirm.observation import Observation, ParameterState
from headcheck.findings import CANDIDATES, Expectation, Verdict, VerdictStatus

Ruling = tuple[VerdictStatus, str]

BATCH = 2  # of the plans
TWO_DEVICES = re.compile(r"on the same device|two devices|should be the same on|device type", re.IGNORECASE)
UNSAFE = "unsafe to autocast"
NO_GRADIENT_AT_ALL = "does not require grad"


def verdict(
    expectation: Expectation | None,
    observation: Observation,
    left_out: str = "",
    taken: str = "",
    shortened: bool = False,
) -> Verdict:
    """The verdict on a finding, or on a model without findings (`expectation` None).

    A model is ``clean`` if its complete plan ran. If it raised, that was not foreseen, and the verdict is
    ``confirmed`` with PyTorch's own text if it raises whatever is not known of it, else ``inconclusive``.
    """
    status, detail = _rule(expectation, observation)
    if expectation is not None and expectation.kind in CANDIDATES and (left_out or taken):
        status, detail = "inconclusive", f"{detail}, but this leaves out {left_out or taken}"
    elif expectation is None and left_out and observation.status in ("raised", "refused"):
        status, detail = "inconclusive", f"the run leaves out {left_out}"  # which may be what keeps it from raising
    elif status in ("refuted", "clean") and left_out:
        status, detail = "inconclusive", f"{detail}, but this leaves out {left_out}"
    elif observation.status == "raised" and shortened and status != "clean":
        status, detail = "inconclusive", f"{detail}, but the run takes for granted that {taken}"
    elif status == "refuted" and taken:
        status, detail = "inconclusive", f"{detail}, if {taken}"
    elif status == "clean" and taken:
        detail = f"{detail}, if {taken}"
    return Verdict(
        status=status,
        detail=detail,
        taken=taken,
        device=observation.device,
        output_shapes=observation.outputs,
        trainable=observation.trainable,
        total=observation.total,
        gradient=observation.gradient,
        milliseconds=observation.milliseconds,
        changed=observation.changed,
        loss=observation.loss,
        left_out=left_out,
    )


def _rule(expectation: Expectation | None, observation: Observation) -> Ruling:
    """Status and detail for a complete plan."""
    if observation.status in ("refused", "lost"):
        return "inconclusive", observation.error
    if expectation is None:
        return _model(observation)
    return _KINDS[expectation.kind](expectation, observation)


def _model(observation: Observation) -> Ruling:
    if observation.status == "ran":
        return "clean", _summary(observation)
    if _nothing_to_learn(observation):
        # Whether the script trains this model is not known; its forward pass is right.
        return "clean", f"{_outputs(observation)}; no parameter is trainable"
    return "confirmed" if observation.everywhere else "inconclusive", observation.error


def _raises(expectation: Expectation, observation: Observation) -> Ruling:
    if observation.status == "raised":
        return ("confirmed", observation.error) if _is_there(expectation, observation) else _elsewhere(observation)
    return "refuted", f"forward and backward ran: {_summary(observation)}"


def _is_there(expectation: Expectation, observation: Observation) -> bool:
    """Whether what raised is what the finding is about, and not another fault of the script."""
    inside = expectation.line is not None or bool(expectation.part)
    stages = ("forward",) if inside else expectation.at
    if stages and observation.at not in stages:
        return False
    if observation.at == "step":
        return expectation.step in (None, observation.line)
    if expectation.line not in (None, observation.line):
        return False
    return not expectation.part or any(f".{expectation.part}." in f".{path}." for path in observation.within)


def _elsewhere(observation: Observation) -> Ruling:
    """Something else is wrong, and keeps the run from what the finding is about."""
    if observation.line is not None:
        return "inconclusive", f"line {observation.line} raises: {observation.error}"
    within = next(iter(observation.within), "")
    return "inconclusive", f"`{within}` raises: {observation.error}" if within else observation.error


def _device(expectation: Expectation, observation: Observation) -> Ruling:
    if observation.status == "ran" and observation.moves_ignored:
        return "inconclusive", f"it ran on {observation.device}, where moving a part to another device shows nothing"
    return _raises(expectation, observation)


def _output(expectation: Expectation, observation: Observation) -> Ruling:
    kept = [key for key, shape in observation.outputs if len(shape) > 1 and shape[1] == expectation.classes]
    if kept:
        names = "the output" if "" in kept else " and ".join(f"output `{key}`" for key in kept)
        keep = "keeps" if len(kept) == 1 else "keep"
        ungiven = [name for name in expectation.parameters if _is(observation, name, lambda state: not state.grad)]
        proofs = [f"{names} {keep} {expectation.classes} classes", *(f"{name} got no gradient" for name in ungiven)]
        return "confirmed", "; ".join(proofs)
    if observation.status == "raised" and not observation.outputs:
        return "inconclusive", observation.error
    if not any(len(shape) > 1 for _, shape in observation.outputs):
        return "inconclusive", "the output does not show the number of classes"
    return "refuted", _outputs(observation)


def _no_grad(expectation: Expectation, observation: Observation) -> Ruling:
    if observation.status == "raised" and not (observation.at == "backward" and _nothing_to_learn(observation)):
        return "inconclusive", observation.error
    return _states(expectation, observation, lambda state: not state.grad, "got no gradient", "got a gradient")


def _frozen(expectation: Expectation, observation: Observation) -> Ruling:
    wrong, right = "does not require a gradient", "requires a gradient"
    return _states(expectation, observation, lambda state: not state.requires_grad, wrong, right)


def _trainable(expectation: Expectation, observation: Observation) -> Ruling:
    wrong, right = "requires a gradient", "does not require a gradient"
    return _states(expectation, observation, lambda state: state.requires_grad, wrong, right)


def _not_in_optimizer(expectation: Expectation, observation: Observation) -> Ruling:
    if any(state.in_optimizer is None for state in observation.parameters.values()):
        return "inconclusive", "the plan makes no optimizer"
    wrong, right = "is in no parameter group of the optimizer", "is in a parameter group of the optimizer"
    return _states(expectation, observation, lambda state: state.in_optimizer is False, wrong, right)


def _not_by_class(expectation: Expectation, observation: Observation) -> Ruling:
    main = [shape for key, shape in observation.outputs if not key]
    if not main:
        return "inconclusive", observation.error or _outputs(observation)
    right = len(main[0]) == 2 and main[0][0] == BATCH and expectation.classes in (None, main[0][1])
    return "refuted" if right else "confirmed", _outputs(observation)


def _fails(expectation: Expectation, observation: Observation) -> Ruling:
    """A candidate: what is not confirmed was no finding."""
    # What a loss is given to compare with is made up: only what it refuses of any is a failure.
    fails = observation.at == "forward" or (observation.at == "loss" and UNSAFE in observation.error)
    raised = observation.status == "raised" and fails and observation.everywhere
    confirmed = raised and not TWO_DEVICES.search(observation.error)
    return "confirmed" if confirmed else "inconclusive", _at_line(observation)


def _two_devices(expectation: Expectation, observation: Observation) -> Ruling:
    raised = observation.status == "raised" and TWO_DEVICES.search(observation.error)
    return "confirmed" if raised else "inconclusive", _at_line(observation)


def _by_class(expectation: Expectation, observation: Observation) -> Ruling:
    main = [shape for key, shape in observation.outputs if not key]
    came_out = observation.status == "ran" or observation.at in ("loss", "backward")
    wrong = came_out and main and (len(main[0]) != 2 or main[0][0] != BATCH)
    return "confirmed" if wrong else "inconclusive", _outputs(observation)


def _unlearnt(expectation: Expectation, observation: Observation) -> Ruling:
    states = [observation.parameters.get(name) for name in expectation.parameters]
    none = all(state is not None and state.requires_grad and not state.grad for state in states)
    confirmed = observation.status == "ran" and states and none
    return "confirmed" if confirmed else "inconclusive", f"{_some(expectation.parameters)} got no gradient"


def _at_line(observation: Observation) -> str:
    return f"line {observation.line} raises {observation.error}" if observation.line else observation.error


def _none(expectation: Expectation, observation: Observation) -> Ruling:
    return "inconclusive", observation.error or "nothing that a run could show"


_KINDS: dict[str, Callable[[Expectation, Observation], Ruling]] = {
    "raises": _raises,
    "device": _device,
    "output": _output,
    "no-grad": _no_grad,
    "frozen": _frozen,
    "trainable": _trainable,
    "not-in-optimizer": _not_in_optimizer,
    "not-by-class": _not_by_class,
    "none": _none,
    "fails": _fails,
    "two-devices": _two_devices,
    "by-class": _by_class,
    "unlearnt": _unlearnt,
}


def _states(
    expectation: Expectation, observation: Observation, holds: Callable[[ParameterState], bool], wrong: str, right: str
) -> Ruling:
    """The ruling on the parameters named: confirmed if it holds of all, refuted if not of some."""
    states = observation.parameters
    missing = [name for name in expectation.parameters if name not in states]
    if not expectation.parameters or missing:
        # A run that ended in a step says nothing about parameters, only why it ended.
        reason = f"the model has no parameter {missing[0]}" if missing else "no parameter is named"
        return "inconclusive", observation.error or reason
    against = [name for name in expectation.parameters if not holds(states[name])]
    if not against:
        return "confirmed", f"{_some(expectation.parameters)} {wrong}"
    if observation.status == "raised":
        return "inconclusive", observation.error
    return "refuted", f"{_some(tuple(against))} {right}"


def _is(observation: Observation, name: str, holds: Callable[[ParameterState], bool]) -> bool:
    state = observation.parameters.get(name)
    return state is not None and holds(state)


def _nothing_to_learn(observation: Observation) -> bool:
    """Whether the backward pass failed only because nothing in the model is trainable."""
    return observation.at == "backward" and NO_GRADIENT_AT_ALL in observation.error


def _some(names: tuple[str, ...]) -> str:
    """One name, and how many more."""
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def _outputs(observation: Observation) -> str:
    """``output (2, 10)``, or each key with its shape."""
    shapes = [f"{key} {shape}".strip() for key, shape in observation.outputs]
    return "output " + ", ".join(shapes)


def _summary(observation: Observation) -> str:
    counts = f"{observation.trainable:,} of {observation.total:,}" if observation.total is not None else "unknown"
    return f"{_outputs(observation)}; trainable parameters: {counts}"
