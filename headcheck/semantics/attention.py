"""Attention: layers that take a sequence of features, and answer one of as many."""

from __future__ import annotations

from headcheck import events
from headcheck.interpreter import forward, refusing
from headcheck.interpreter.forward import Given
from headcheck.interpreter.heap import Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tensor, Tuple, Value, last_size
from headcheck.ir import UNKNOWN, Operation
from headcheck.semantics.layers import Mismatch

ATTENTION = "torch.nn.MultiheadAttention"
ENCODER = "torch.nn.TransformerEncoderLayer"
DECODER = "torch.nn.TransformerDecoderLayer"
#: What a layer is given, each with the argument that says how many features it has. Its answer is as long as the first.
TAKES = {
    ATTENTION: (("query", "embed_dim"), ("key", "kdim"), ("value", "vdim")),
    ENCODER: (("src", "d_model"),),
    DECODER: (("tgt", "d_model"), ("memory", "d_model")),
}


def run(state: State, ref: Ref, module: Module, call: Given, site: Operation) -> Value:
    """``layer(x)``: as many features as it was given, which is what it asks for."""
    given = named(module, call)
    first, takes = given[0][0], width(module, given[0][1])
    if any(refuses(state, ref, module, argument, one, site) for one, argument in given):
        return forward.unknown_output(ref, first)
    if type(first) is not Tensor:
        return Tensor(None, ref.address, features=takes)
    if first.shape is None:
        return Tensor(None, ref.address, first.source, features=takes)
    if len(first.shape) not in (2, 3):
        refusing.fail(state)
        return forward.unknown_output(ref, first)
    return Tensor((*first.shape[:-1], takes), ref.address, first.source)


def width(module: Module, argument: str) -> int | None:
    """How many features a layer takes; keys and values have as many as queries where nothing else is said."""
    value = module.arguments.get(argument.partition(",")[0])
    if value is None and argument.startswith(("kdim", "vdim")):
        value = module.arguments.get("embed_dim")
    return value if type(value) is int else None


def named(module: Module, call: Given) -> tuple[tuple[Value, str], ...]:
    """What a layer is given, and by which arguments it says how many features of each; keys that are the values too go
    by both."""
    found = [(call.get(place, name), argument) for place, (name, argument) in enumerate(TAKES[module.kind])]
    if module.kind == ATTENTION and found[1][0] is found[2][0] and width(module, "kdim") == width(module, "vdim"):
        return found[0], (found[1][0], "kdim, vdim")
    return tuple(found)


def refuses(state: State, ref: Ref, module: Module, argument: str, given: Value, site: Operation) -> bool:
    """Whether a layer takes another number of features than something that it is given has; that is logged."""
    takes, last = width(module, argument), last_size(given) if type(given) is Tensor else None
    if takes is None or type(last) is not int or takes == last:
        return False
    mismatch = Mismatch(module.kind, argument, takes, (last,), "size")
    refusing.refuse(state, events.Mismatched(site, ref.address, mismatch, given))
    return True


def run_attention(state: State, ref: Ref, module: Module, call: Given, site: Operation) -> Value:
    """(what it answers for each query, the weights)."""
    return Tuple((run(state, ref, module, call, site), UNKNOWN))


def run_stack(state: State, ref: Ref, module: Module, call: Given, site: Operation) -> Value:
    """An encoder or a decoder, made of copies of one layer."""
    layer = next((value for name, value in module.children.items() if name.endswith("coder_layer")), None)
    thing = state.object(layer)
    if type(layer) is not Ref or type(thing) is not Module or thing.kind not in (ENCODER, DECODER):
        return forward.unknown_output(ref, call.get(0, ""))
    answer = run(state, layer, thing, call, site)
    return answer._replace(maker=ref.address) if type(answer) is Tensor else answer


forward.SEVERAL.update({ATTENTION: run_attention, ENCODER: run, DECODER: run})
forward.SEVERAL.update(dict.fromkeys(["torch.nn.TransformerEncoder", "torch.nn.TransformerDecoder"], run_stack))
