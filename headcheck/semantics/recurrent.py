"""Recurrent layers: they take a sequence of features, and answer one of hidden states, and the last of these."""

from __future__ import annotations

from headcheck import catalog, events
from headcheck.interpreter import forward
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tensor, Tuple, Value
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.layers import Mismatch
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.torch import make_layer

KINDS = ("torch.nn.GRU", "torch.nn.LSTM", "torch.nn.RNN")
PLACES = {
    "input_size": (0, UNKNOWN), "hidden_size": (1, UNKNOWN), "num_layers": (2, 1), "bias": (3, True),
    "batch_first": (4, False), "dropout": (5, 0.0), "bidirectional": (6, False), "proj_size": (7, 0),
}  # fmt: skip


@effect(*KINDS)
def recurrent(call: CallSite) -> Value:
    """Its constructor takes anything, so that the catalog has no names for its arguments."""
    signature = catalog.layer(call.name)
    if signature is None or "**" in call.keywords:
        return unknown(call)
    made = make_layer(call, call.name, signature)
    given = {name: call.argument(place, name, default) for name, (place, default) in PLACES.items()}
    arguments = {name: value for name, value in given.items() if value is UNKNOWN or value != PLACES[name][1]}
    call.state.heap[made.address] = call.state.heap[made.address]._replace(arguments=arguments)
    return made


def run(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """``rnn(x)``: (what every step answers, the last states)."""
    if type(given) is not Tensor:  # a packed sequence comes back packed
        return forward.unknown_output(ref, given)
    sizes = ("input_size", "hidden_size", "bidirectional", "proj_size")
    takes, hidden, both, projected = (module.arguments.get(name, PLACES[name][1]) for name in sizes)
    last = given.shape[-1] if given.shape else given.features
    if type(takes) is int and type(last) is int and takes != last:
        mismatch = Mismatch(module.kind, "input_size", takes, (last,), "size")
        state.refuse(events.Mismatched(site, ref.address, mismatch, given))
    known = type(hidden) is int and type(both) is bool and projected == 0
    gives = hidden * (1 + both) if known else None
    shape = (*given.shape[:-1], gives) if given.shape else None
    steps = Tensor(shape, ref.address, given.source, features=None if shape else gives)
    return Tuple((steps, UNKNOWN))


forward.SPECIAL.update(dict.fromkeys(KINDS, run))
