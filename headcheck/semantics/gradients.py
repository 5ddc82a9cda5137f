"""Losses and their gradients: which values are losses, what is forced onto them, and that one was sent backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Ref, Symbol, Tensor, Value, symbol
from headcheck.semantics.losses import FUNCTIONS
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method

if TYPE_CHECKING:
    from headcheck.interpreter.state import State

NAMES = frozenset({*FUNCTIONS, "kl_div", "huber_loss", "hinge_embedding_loss", "triplet_margin_loss", "ctc_loss"})
# Methods that answer the same loss, or its number.
KEPT = frozenset({"mean", "sum", "item", "clone", "detach", "float", "double", "half", "to", "cuda", "cpu", "data"})


def is_loss(state: State, value: Value) -> bool:
    """Whether a value surely is what a loss of `torch.nn` answered, or a sum, a multiple or the mean of such."""
    key: Any = value.key if type(value) is Symbol else None
    if not isinstance(key, tuple):
        return False
    kind, *parts = key
    if kind == "output" and type(parts[0]) is Ref:
        module = state.object(parts[0])
        return type(module) is Module and module.kind.startswith("torch.nn.") and module.kind.endswith("Loss")
    if kind == "binary":
        return any(is_loss(state, part) for part in parts[1:])
    if kind in ("unary", "forced"):
        return is_loss(state, parts[-1])
    if kind == "attribute" and len(parts) == 2:
        return parts[1] in KEPT and is_loss(state, parts[0])
    if kind == "call":
        if isinstance(parts[0], str):
            return parts[0].startswith("torch.nn.functional.") and parts[0].rsplit(".", 1)[-1] in NAMES
        return is_loss(state, parts[0])
    return kind == "call at" and value.label.removesuffix("(…)") in NAMES


def lost(event: events.LossTaken, value: Value) -> bool:
    """Whether a value is a loss that was computed, of an output from which no gradient flows back, and of nothing else
    that could have one."""
    key: Any = value.key if type(value) is Symbol else None
    if not isinstance(key, tuple) or type(event.output) is not Tensor or not event.output.detached:
        return False
    given = key[2:] if key[0] == "output" else key[3:] if key[0] == "call" and is_functional(key[1]) else ()
    if type(event.target) is Tensor:
        return given[:1] == (event.output,) and event.target.source is None and event.target.maker is None
    return given[:1] == (event.output,) and event.kind in OF_LABELS  # another's target may be what learns


OF_LABELS = frozenset({"BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss"})


def is_functional(name: Value) -> bool:
    return isinstance(name, str) and name.startswith("torch.nn.functional.")


def comes_of(value: Value, source: Value) -> bool:
    """Whether an unknown was made from another, or is that one."""
    if value == source:
        return True
    return type(value) is Symbol and isinstance(value.key, tuple) and any(comes_of(p, source) for p in value.key[1:])


def forced(call: CallSite, value: Value) -> Value:
    """A loss whose number was put into a new tensor that requires a gradient: what it came of is out of reach."""
    call.state.log(events.FlagMissed(call.site, "loss", value, call.name.rsplit(".", 1)[-1], True))
    return symbol("forced", f"{call.name.rsplit('.', 1)[-1]}(…)", id(call.site), value)


@effect("torch.autograd.Variable", "torch.autograd.variable.Variable")
def variable(call: CallSite) -> Value:
    """``Variable(tensor)`` is the tensor, apart from its graph."""
    data = call.argument(0, "data")
    if call.argument(1, "requires_grad", False) is True and is_loss(call.state, data):
        return forced(call, data)
    if type(data) is Tensor and call.argument(1, "requires_grad", False) is not False:
        return data._replace(detached=False)
    return data if type(data) in (Tensor, Symbol) else unknown(call)


@method(Tensor, "backward")
def backward(call: CallSite) -> Value:
    call.state.log(events.Backward(call.site, call.receiver))
    return None
