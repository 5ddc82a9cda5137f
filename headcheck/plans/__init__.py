"""From an execution to the plan of one model: the straight-line program that rebuilds it, as plain data.

The worker (`headcheck.confirm.worker`) runs a plan without a line of the script. A number that the script leaves open
(its number of classes) is stood in for: ``{"open": 7}``. What is not known and cannot change a shape, or can only be
right in one way, is `taken` for granted: such a plan may call a model clean, with these words, but refutes nothing.
What cannot be told is left out, and the plan says what (`left_out`): then it can confirm a finding but neither refute
one nor call a model clean. `built` is where the script builds the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headcheck.execution import Execution, Model
from headcheck.plans.draft import STAND_IN_CLASSES as STAND_IN_CLASSES
from headcheck.plans.reach import can_be_built as can_be_built
from headcheck.plans.reach import connected as connected
from headcheck.plans.reach import model_at as model_at
from headcheck.plans.reach import networks as networks
from headcheck.plans.reach import stem_channels as stem_channels

if TYPE_CHECKING:
    from headcheck.plans.writing import Plan


def make_plan(execution: Execution, model: Model, probes: Iterable[str] = (), within: bool = False) -> Plan:
    """The plan of a model on one execution. Modules go by number; `probes` are parameters to be told about.

    `within`: of the script's own network that holds the model, if there is one. Where its forward cannot be recorded
    whole, the plan is of the model alone, and leaves out that.
    """
    from headcheck.plans.writing import Writer  # most runs ask only what could be built

    left_out = ""
    for network in networks(execution, model) if within else ():
        plan = Writer(execution, model, network).write(probes)
        if not plan["left_out"]:
            return {**plan, "left_out": left_out}  # of one that holds it as well, and may go wrong outside it
        left_out = left_out or plan["left_out"]
    alone = Writer(execution, model).write(probes)
    return {**alone, "left_out": alone["left_out"] or left_out}


def only_steps(steps: Iterable[dict[str, Any]]) -> Plan:
    """A plan that makes no model: its steps raise, or nothing is shown."""
    return {
        "id": 0,
        "steps": list(steps),
        "root": 0,
        "input": None,
        "kind": "classification",
        "loss": None,
        "autocast": False,
        "left_out": "what the script does with the model",
        "taken": "",
        "shortened": False,
        "takes_other": False,
        "more_optimizers": False,
        "built": "",
        "probes": {"parameters": []},
    }
