"""Losses of `torch.nn`, as modules and as functions: that one was computed, of which output and which target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.interpreter.values import Ref, Symbol, Value, symbol
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

if TYPE_CHECKING:
    from headcheck.interpreter.heap import Module
    from headcheck.interpreter.state import State

FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
}


def module_loss(
    state: State,
    ref: Ref,
    thing: Module,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> Value:
    """``criterion(output, target)``."""
    kind = thing.kind.rsplit(".", 1)[-1]
    output, target = given(arguments, keywords)
    state.log(events.LossTaken(site, kind, ref.address, output, target, thing.arguments))
    return symbol("output", "output", ref, *arguments[:1])


@effect(*(f"torch.nn.functional.{name}" for name in FUNCTIONS))
def functional_loss(call: CallSite) -> Value:
    """``F.cross_entropy(output, target)``."""
    kind = FUNCTIONS[call.name.rsplit(".", 1)[-1]]
    output, target = given(call.arguments, call.keywords)
    call.state.log(events.LossTaken(call.site, kind, None, output, target, call.keywords))
    return unknown(call)


def given(arguments: tuple[Value, ...], keywords: Mapping[str, Value]) -> tuple[Value, Value]:
    """(the output, the target) that a loss was handed."""
    output = arguments[0] if arguments else keywords.get("input", UNKNOWN)
    target = arguments[1] if len(arguments) > 1 else keywords.get("target", UNKNOWN)
    return output, target


def made_by(value: Value) -> Ref | None:
    """The model of several outputs whose whole answer a value is; None for anything else."""
    if (
        type(value) is Symbol
        and isinstance(value.key, tuple)
        and value.key[0] == "output"
        and type(value.key[1]) is Ref
    ):
        return value.key[1]
    return None
