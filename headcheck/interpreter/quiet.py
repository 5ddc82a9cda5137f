"""Which functions that nothing calls need not be followed.

Such a function gets nothing but unknowns. Whatever it does with them, no rule has anything to say of it, unless it also
comes by a model or by what makes one: through a name from around it, a library, or a function or class of the script
that does. Loading data, measuring and plotting are most of an ordinary training script, and all of that is *quiet*.
"""

from __future__ import annotations

import sys
from functools import cache

from headcheck.interpreter.calls import is_module_class
from headcheck.interpreter.definitions import is_foreign
from headcheck.interpreter.deriving import all_bases
from headcheck.interpreter.heap import Commands, Dictionary, Instance, Parser, Sequence
from headcheck.interpreter.machine import Machine
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Bound,
    Class,
    Condition,
    Device,
    Function,
    Library,
    Method,
    Not,
    Own,
    Slice,
    Symbol,
    Tuple,
    Value,
    is_plain,
)
from headcheck.ir import UNKNOWN, Define
from headcheck.ir.scopes import scope_of
from headcheck.semantics import losses, registry

# Below these nothing makes a model, a layer or an optimizer.
QUIET = (
    "builtins.",
    "torch.nn.functional.",
    "torch.nn.init.",
    "torch.nn.utils.",
    "torch.utils.",
    "torchvision.datasets.",
    "torchvision.io.",
    "torchvision.transforms.",
    "torchvision.utils.",
    *(f"{name}." for name in sys.stdlib_module_names),
)
WRITTEN = frozenset(["data", "copy_", "lerp_"])
# These are to be looked at whatever they are given: what they are may show that it is wrong (a softmax before a loss).
LOUD = frozenset(["builtins.setattr", *(f"torch.nn.functional.{name}" for name in losses.FUNCTIONS)])


class Quiet:
    """Asks of functions and values as the module's body left them; what was found is remembered."""

    def __init__(self, machine: Machine, base: State) -> None:
        self.machine = machine
        self.base = base
        self.known: dict[int, bool] = {}
        self.inside: set[int | str] = set()

    def function(self, function: Function) -> bool:
        """Whether following a function, with nothing known of what it is given, can show nothing."""
        known = self.known.get(function.code)
        if known is None:
            define = self.machine.definitions[function.code]
            assert isinstance(define, Define)
            self.known[function.code] = True  # a function that calls itself is as loud as the rest of it
            known = self.known[function.code] = self._body(define, function)
        return known

    def _body(self, define: Define, function: Function) -> bool:
        free, spoken, imported = scope_of(define)
        if any("requir" in name for name in spoken):  # the one thing whose misuse shows on an unknown, too
            return False
        if "parameters" in spoken and not WRITTEN.isdisjoint(spoken):  # an average of models
            return False
        if any(is_foreign(name) or not library_is_quiet(name, spoken) for name in imported):
            return False
        closure, module = dict(function.closure), self.base.globals.get(function.module, {})
        for name in free:
            if name in closure:
                value = closure[name]
            elif name in module:
                value = module[name]
            elif name == "setattr":
                return False
            else:
                continue
            if not self.value(value, spoken):
                return False
        return True

    def value(self, value: Value, spoken: frozenset[str]) -> bool:
        """Whether nothing that a rule looks at can be reached from a value by the attributes in `spoken`."""
        kind = type(value)
        if kind in (Symbol, Slice, Condition, Not, Device) or value is UNKNOWN or is_plain(value):
            return True
        if kind is Library:
            return library_is_quiet(value.name, spoken)
        if kind is Function:
            return self.function(value)
        if kind is Class:
            return self.class_(value)
        if kind is Own:
            return self._module(value, spoken)
        if kind is Tuple:
            return all(self.value(item, spoken) for item in value.items)
        if kind is Bound:
            return self.function(value.function) and self.value(value.receiver, spoken)
        if kind is Method:
            return self.value(value.receiver, spoken)
        thing = self.base.object(value)
        if type(thing) is Instance:
            return self._instance(thing, spoken)
        if type(thing) is Sequence:
            return all(self.value(item, spoken) for item in thing.items or ())
        if type(thing) is Dictionary:
            return thing.view is None and all(self.value(item, spoken) for _, item in thing.items or ())
        return type(thing) in (Commands, Parser)

    def _module(self, module: Own, spoken: frozenset[str]) -> bool:
        variables = self.base.globals.get(module.key, {})
        if module.key in self.inside:
            return True
        self.inside.add(module.key)
        quiet = all(self.value(variables[name], spoken) for name in spoken & variables.keys())
        self.inside.discard(module.key)
        return quiet

    def _instance(self, thing: Instance, spoken: frozenset[str]) -> bool:
        if id(thing) in self.inside:
            return True
        self.inside.add(id(thing))
        quiet = thing.cls is None or self.class_(thing.cls)
        quiet = quiet and all(self.value(value, spoken) for value in thing.attributes.values())
        self.inside.discard(id(thing))
        return quiet

    def class_(self, cls: Class) -> bool:
        """Whether a class of the script is no module, and all its methods are quiet."""
        if cls.code not in self.known:
            self.known[cls.code] = True
            kept = not is_module_class(cls) and all(
                library_is_quiet(base.name, frozenset()) for base in all_bases(cls) if type(base) is Library
            )
            parents = [base for base in all_bases(cls) if type(base) is Class]
            self.known[cls.code] = kept and all(
                self.value(value, frozenset()) for one in (cls, *parents) for _, value in one.attributes
            )
        return self.known[cls.code]


def library_is_quiet(name: str, spoken: frozenset[str]) -> bool:
    """Whether a library's member, and what `spoken` names below it, has nothing to do with models."""
    if name in LOUD:
        return False
    if f"{name}.".startswith(QUIET):
        return not any(f"{name}.{part}" in LOUD for part in spoken)
    parts = name.split(".")
    if parts[0] in registry.MODEL_LIBRARIES:
        registry.find_effect(f"{parts[0]}.")  # its effects may be waiting
    loud = _loud_names(len(registry.WAITING))
    if any(loud.get(".".join(parts[:count]), frozenset()) is None for count in range(1, len(parts) + 1)):
        return False
    return all(library_is_quiet(f"{name}.{part}", spoken) for part in loud.get(name) or () if part in spoken)


@cache
def _loud_names(waiting: int) -> dict[str, frozenset[str] | None]:
    """Names at or below which calls have an effect: the next parts of those below, None where the name itself has.
    `waiting` is how many libraries have not brought theirs in yet."""
    found: dict[str, set[str] | None] = {}
    prefixes = {prefix[:-1] for prefix, _ in registry.FAMILIES} - {"torch", "torchvision"}  # whose rest does nothing
    for name in (*prefixes, *registry.EFFECTS):
        parts = name.split(".")
        if f"{name}.".startswith(QUIET) or (parts[0] == "torch" and len(parts) == 2 and name not in prefixes):
            continue
        for count in range(1, len(parts)):
            inside = found.setdefault(".".join(parts[:count]), set())
            if inside is not None:
                inside.add(parts[count])
        found[name] = None
    return {name: None if inside is None else frozenset(inside) for name, inside in found.items()}
