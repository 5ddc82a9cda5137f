"""Methods of tensors that change them where they are, whatever becomes of their answer, and numbers put into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headcheck.interpreter.values import Tensor, Value
from headcheck.semantics.registry import CallSite, method
from headcheck.semantics.tensors import RULES, Use

if TYPE_CHECKING:
    from headcheck.interpreter.state import State


@method(
    Tensor,
    "abs_", "add_", "addcmul_", "apply_", "bernoulli_", "bitwise_and_", "ceil_", "clamp_", "clamp_max_", "clamp_min_",
    "clip_", "copy_", "div_", "eq_", "exp_", "fill_", "floor_", "floor_divide_", "fmod_", "ge_", "gt_", "index_add_",
    "index_copy_", "index_fill_", "le_", "log_", "logical_and_", "logical_not_", "lt_", "map_", "masked_fill_",
    "masked_scatter_", "mul_", "ne_", "neg_", "normal_", "pow_", "put_", "random_", "relu_", "remainder_", "round_",
    "scatter_", "scatter_add_", "sigmoid_", "sqrt_", "sub_", "tanh_", "trunc_", "uniform_", "zero_",
)  # fmt: skip
def renumbered(call: CallSite) -> Value:
    """Other numbers in the same shape."""
    known = RULES.get(call.name)
    made = answer(call, call.name) if known is not None else other_numbers(call.receiver)
    return replaced(call.state, call.receiver, made._replace(labels=None) if type(made) is Tensor else made)


@method(Tensor, "resize_", "resize_as_", "set_")
def resized(call: CallSite) -> Value:
    return replaced(call.state, call.receiver, Tensor(None))


@method(Tensor, "detach_", "squeeze_", "swapaxes_", "swapdims_", "t_", "transpose_", "unsqueeze_")
def reshaped(call: CallSite) -> Value:
    """What the method of the same name without the underscore answers takes the tensor's place."""
    return replaced(call.state, call.receiver, answer(call, call.name[:-1]))


def answer(call: CallSite, name: str) -> Value:
    rule = RULES.get(name)
    short = call._replace(name=name)
    return Tensor(None) if rule is None else rule(Use(short, call.receiver, call.arguments, call.keywords))


def other_numbers(tensor: Tensor) -> Tensor:
    """A tensor of the same shape, of which no more is known than that something was done to its numbers."""
    return tensor._replace(activations=(*tensor.activations[-7:], "arithmetic"), labels=None)


def replaced(state: State, old: Value, new: Value) -> Value:
    """Whatever holds a tensor in the code that is running holds what became of it."""
    for name in [name for name, value in state.env.items() if value is old]:
        state.env[name] = new
    return new
