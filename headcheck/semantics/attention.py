"""Attention: layers that take a sequence of features, and answer one of as many."""

from __future__ import annotations

from headcheck import events
from headcheck.interpreter import forward
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tensor, Tuple, Value
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.layers import Mismatch

#: The argument that says how many features a layer takes.
WIDTHS = {
    "torch.nn.MultiheadAttention": "embed_dim",
    "torch.nn.TransformerEncoderLayer": "d_model",
    "torch.nn.TransformerDecoderLayer": "d_model",
}


def run(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """``layer(x)``: as many features as it was given, which is what it asks for."""
    last = (given.shape[-1] if given.shape else given.features) if type(given) is Tensor else None
    name = WIDTHS[module.kind]
    takes = module.arguments.get(name)
    if type(takes) is not int or type(last) is not int:
        return forward.unknown_output(ref, given)
    if takes != last:
        state.refuse(events.Mismatched(site, ref.address, Mismatch(module.kind, name, takes, (last,), "size"), given))
        return forward.unknown_output(ref, given)
    return Tensor(given.shape, ref.address, given.source, features=given.features)


def run_attention(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """(what it answers for each query, the weights)."""
    return Tuple((run(state, ref, module, given, site), UNKNOWN))


def run_stack(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """An encoder or a decoder, made of copies of one layer."""
    layer = next((value for name, value in module.children.items() if name.endswith("coder_layer")), None)
    thing = state.object(layer)
    if type(layer) is not Ref or type(thing) is not Module or thing.kind not in WIDTHS:
        return forward.unknown_output(ref, given)
    answer = run(state, layer, thing, given, site)
    return answer._replace(maker=ref.address) if type(answer) is Tensor else answer


forward.SPECIAL.update(dict.fromkeys(WIDTHS, run))
forward.SPECIAL["torch.nn.MultiheadAttention"] = run_attention
forward.SPECIAL.update(dict.fromkeys(["torch.nn.TransformerEncoder", "torch.nn.TransformerDecoder"], run_stack))
