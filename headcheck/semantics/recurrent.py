"""Recurrent layers: they take a sequence of features, and answer one of hidden states, and the last of these."""

from __future__ import annotations

from headcheck import catalog, events
from headcheck.interpreter import forward, refusing
from headcheck.interpreter.forward import Given
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Symbol, Tensor, Tuple, Value, last_size, size_of, symbol
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.layers import Mismatch
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.torch import make_layer

KINDS = ("torch.nn.GRU", "torch.nn.LSTM", "torch.nn.RNN")
CELLS = ("torch.nn.GRUCell", "torch.nn.LSTMCell", "torch.nn.RNNCell")
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
    later = call.name.endswith("RNN")  # what it computes with is its fourth argument, before `bias`
    given = {n: call.argument(at + (later and at > 2), n, default) for n, (at, default) in PLACES.items()}
    arguments = {name: value for name, value in given.items() if value is UNKNOWN or value != PLACES[name][1]}
    call.state.heap[made.address] = call.state.heap[made.address]._replace(arguments=arguments)
    return made


def setting(module: Module, name: str) -> Value:
    return module.arguments.get(name, PLACES[name][1])


def count(value: Value) -> int | None:
    return value if type(value) is int else None


def refuses(state: State, ref: Ref, module: Module, given: Tensor, site: Operation) -> bool:
    """Whether a layer does not take as many features as it gets; that is logged."""
    takes, last = setting(module, "input_size"), last_size(given)
    if type(takes) is not int or type(last) is not int or takes == last:
        return False
    mismatch = Mismatch(module.kind, "input_size", takes, (last,), "size")
    refusing.refuse(state, events.Mismatched(site, ref.address, mismatch, given))
    return True


def run(state: State, ref: Ref, module: Module, call: Given, site: Operation) -> Value:
    """``rnn(x)``: (what every step answers, the last states)."""
    given = call.get(0, "input")
    packed = unpacked(given)
    x = given if packed is None else packed
    lstm = module.kind.endswith("LSTM")
    steps, states = gives(module)
    if type(x) is not Tensor:
        return Tuple((Tensor(None, ref.address, features=steps), last_states(ref, Tensor(None), lstm, states)))
    wrong_rank = x.shape is not None and packed is None and len(x.shape) not in (2, 3)
    if wrong_rank or refuses(state, ref, module, x, site):
        refusing.fail(state)
    if wrong_rank:
        return forward.unknown_output(ref, given)
    shape = (*x.shape[:-1], steps) if x.shape is not None else None
    answered = Tensor(shape, ref.address, x.source, features=None if shape else steps)
    if packed is not None:
        layered = (layers_of(module), None)
        return Tuple((pack(answered), last_states(ref, x, lstm, states, layered)))
    if x.shape is None:
        return Tuple((answered, last_states(ref, x, lstm, states)))
    batch = () if len(x.shape) == 2 else (size_of(x, 0 if setting(module, "batch_first") is True else 1),)
    if batch and type(setting(module, "batch_first")) is not bool:
        batch = (None,)
    layered = (layers_of(module), *batch)
    given_states = call.get(1, "hx")
    if not takes_states(given_states, lstm, layered, states):
        refusing.fail(state)
    return Tuple((answered, last_states(ref, x, lstm, states, layered)))


def gives(module: Module) -> tuple[int | None, tuple[int | None, int | None]]:
    """How many numbers a step answers, and (the hidden state has, the cell's state has)."""
    hidden, both, projected = (setting(module, name) for name in ("hidden_size", "bidirectional", "proj_size"))
    size = count(projected) if projected != 0 else count(hidden)
    steps = size * (1 + both) if size is not None and type(both) is bool else None
    return steps, (size, count(hidden))


def layers_of(module: Module) -> int | None:
    """How many layers have a state, those of both directions counted."""
    layers, both = setting(module, "num_layers"), setting(module, "bidirectional")
    return layers * (1 + both) if type(layers) is int and type(both) is bool else None


def last_states(
    ref: Ref,
    given: Tensor,
    lstm: bool,
    sizes: tuple[int | None, int | None],
    before: tuple[Value, ...] | None = None,
) -> Value:
    """The states after the last step, of which LSTM has two; `before` are their sizes but for the last."""
    made = [
        Tensor((*before, size) if before is not None else None, ref.address, given.source, features=size)
        for size in sizes
    ]
    found = [state._replace(features=None) if state.shape is not None else state for state in made]
    return Tuple(tuple(found)) if lstm else found[0]


def takes_states(given: Value, lstm: bool, before: tuple[Value, ...], sizes: tuple[int | None, int | None]) -> bool:
    """Whether states that are given may be as a layer asks for them."""
    found = (given.items if type(given) is Tuple else ()) if lstm else (given,)
    asked = ((*before, size) for size in sizes)
    return all(may_be(one, shape) for one, shape in zip(found, asked, strict=False))


def may_be(given: Value, shape: tuple[Value, ...]) -> bool:
    """Whether a tensor may have a shape, where both may be known in part only."""
    if type(given) is not Tensor or given.shape is None:
        return True
    if len(given.shape) != len(shape):
        return False
    return all(one == two for one, two in zip(given.shape, shape, strict=True) if type(one) is type(two) is int)


def run_cell(state: State, ref: Ref, module: Module, call: Given, site: Operation) -> Value:
    """``cell(x)``: the next state, of which LSTMCell has two."""
    given, hidden = call.get(0, "input"), count(module.arguments.get("hidden_size"))
    two = module.kind.endswith("LSTMCell")
    if type(given) is not Tensor:
        made = Tensor(None, ref.address, features=hidden)
    elif given.shape is None:
        refuses(state, ref, module, given, site)
        made = Tensor(None, ref.address, given.source, features=hidden)
    elif len(given.shape) not in (1, 2):
        refusing.fail(state)
        return forward.unknown_output(ref, given)
    else:
        refuses(state, ref, module, given, site)
        made = Tensor((*given.shape[:-1], hidden), ref.address, given.source)
    return Tuple((made, made)) if two else made


forward.SEVERAL.update(dict.fromkeys(KINDS, run))
forward.SEVERAL.update(dict.fromkeys(CELLS, run_cell))


# -- sequences of several lengths ------------------------------------------------------------------------------------


def pack(data: Tensor) -> Symbol:
    """A packed sequence, by its numbers: all steps of all sequences, one below the other.

    An LSTM of another `input_size` raises, too, unless all sequences are as long: on a processor, PyTorch 2.14 does not
    look then, and reads beyond the weight.
    """
    size = last_size(data)
    return symbol("packed", "a packed sequence", data._replace(shape=(None, size), features=None))


def unpacked(value: Value) -> Tensor | None:
    """The numbers of a packed sequence; None of anything else."""
    key = value.key if type(value) is Symbol else None
    return key[1] if isinstance(key, tuple) and key[0] == "packed" else None


@effect("torch.nn.utils.rnn.pack_padded_sequence")
def pack_padded(call: CallSite) -> Value:
    padded = call.argument(0, "input")
    known = type(padded) is Tensor and (padded.shape is None or len(padded.shape) == 3)
    return pack(padded) if known else unknown(call)


@effect("torch.nn.utils.rnn.pad_packed_sequence")
def pad_packed(call: CallSite) -> Value:
    """(the sequences, filled up to the longest; how long each is)."""
    data = unpacked(call.argument(0, "sequence"))
    if data is None:
        return unknown(call)
    return Tuple((data._replace(shape=(None, None, last_size(data))), UNKNOWN))
