"""What library calls mean: each effect is one small function, registered under the qualified name of what it follows.

    @effect("torch.nn.init.constant_")
    def constant(call: CallSite) -> Value: ...

A method of something that is not the script's own is registered with the type of its receiver:

    @method(Module, "requires_grad_")
    def requires_grad(call: CallSite) -> Value: ...

An effect answers the call's value. It may change the heap, log events and end the path through `call.state`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from headcheck.interpreter.values import Library, Value
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine
    from headcheck.interpreter.state import State


class CallSite(NamedTuple):
    """One call that is being followed. `receiver` is a method's object; ``keywords["**"]`` stands for unknown ones."""

    machine: Machine
    state: State
    name: str
    receiver: Value
    arguments: tuple[Value, ...]
    keywords: Mapping[str, Value]
    site: Operation

    def argument(self, position: int, name: str, default: Value = UNKNOWN) -> Value:
        """An argument given by position or by name; `default` if it is not given at all."""
        if position < len(self.arguments):
            return self.arguments[position]
        if name in self.keywords:
            return self.keywords[name]
        return UNKNOWN if "**" in self.keywords else default

    def is_open(self) -> bool:
        """Whether there may be more arguments than are known: ``*`` or ``**`` of something unknown."""
        return "**" in self.keywords


Effect: TypeAlias = Callable[[CallSite], Value]

EFFECTS: dict[str, Effect] = {}
METHODS: dict[tuple[type, str], Effect] = {}
FAMILIES: list[tuple[str, Effect]] = []


def effect(*names: str) -> Callable[[Effect], Effect]:
    """Register what calling a library function or class means, under its qualified names."""

    def register(function: Effect) -> Effect:
        for name in names:
            EFFECTS[name] = function
        return function

    return register


def method(receiver: type, *names: str) -> Callable[[Effect], Effect]:
    """Register what calling a method of a receiver of this type means."""

    def register(function: Effect) -> Effect:
        for name in names:
            METHODS[receiver, name] = function
        return function

    return register


def family(prefix: str) -> Callable[[Effect], Effect]:
    """Register the effect of every name below a prefix that has none of its own; the longest prefix wins."""

    def register(function: Effect) -> Effect:
        FAMILIES.append((prefix, function))
        FAMILIES.sort(key=lambda pair: -len(pair[0]))
        _family_of.cache_clear()
        return function

    return register


#: By library, whether a name of it is a class of models or a function that makes one.
MAKERS: dict[str, Callable[[str], bool]] = {}


def maker(library: str) -> Callable[[Callable[[str], bool]], Callable[[str], bool]]:
    """Register what tells whether a name of a library is a class of models or a function that makes one."""

    def register(function: Callable[[str], bool]) -> Callable[[str], bool]:
        MAKERS[library] = function
        return function

    return register


#: Libraries that few files name, with the module that registers their effects when the first call of theirs is met.
WAITING = {
    name: f"headcheck.semantics.{module}"
    for name, module in (
        ("efficientnet_pytorch", "efficientnet"),
        ("fastai", "fastai"),
        ("hydra", "hydra"),
        ("omegaconf", "hydra"),
        ("open_clip", "open_clip"),
        ("peft", "peft"),
        ("pretrainedmodels", "pretrainedmodels"),
        ("resnest", "dino"),
        ("segmentation_models_pytorch", "smp"),
        ("timm", "timm"),
        ("torch_hub", "dino"),
        ("transformers", "transformers"),
        ("unittest", "mocking"),
    )
}


#: Those of them that make models, heads or optimizers.
MODEL_LIBRARIES = frozenset(WAITING) - {"hydra", "omegaconf", "unittest"}


def find_effect(name: str) -> Effect | None:
    """The effect of a qualified name, or that of its family."""
    found = EFFECTS.get(name)
    if found is not None:
        return found
    waiting = WAITING.pop(name.partition(".")[0], None)
    if waiting is not None:
        importlib.import_module(waiting)
        return find_effect(name)
    return _family_of(name)


@lru_cache(1024)
def _family_of(name: str) -> Effect | None:
    return next((function for prefix, function in FAMILIES if name.startswith(prefix)), None)


def makes_model(name: str) -> bool:
    """Whether a qualified name of a library is a class of models or a function that makes one. A package is neither."""
    if "." not in name:
        return False
    find_effect(name)  # its library's module may be waiting
    maker = MAKERS.get(name.partition(".")[0])
    return maker is not None and maker(name)


def hand_over(call: CallSite) -> Value:
    """A function that may do anything to what it is given."""
    from headcheck.interpreter.calls import call_unknown

    function = Library(call.name)
    return call_unknown(call.machine, call.state, function, call.arguments, call.keywords, call.site)[0].result
