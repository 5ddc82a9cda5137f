"""Classes of the script that derive from a library's model: its `__init__` and its forward, as `super()` calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from headcheck import catalog
from headcheck.interpreter import forward, heap
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Class, Library, Ref, Value, symbol
from headcheck.ir import Operation
from headcheck.semantics.registry import CallSite

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def derive(
    machine: Machine,
    state: State,
    cls: Class,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> None:
    """`__init__` of a library's stack or model runs on an object of a class that derives from it."""
    if heap.is_sequential(state.heap[ref.address]):
        if arguments or "**" in keywords:
            from headcheck.semantics.torch import fill_stack

            fill_stack(CallSite(machine, state, "__init__", ref, arguments, keywords, site))
    elif any(name.startswith("torchvision.models.") for name in heap.library_bases(cls)):
        from headcheck.semantics import constructors

        base = constructors.library_base(cls)
        assert base is not None
        constructors.become(CallSite(machine, state, base.name, None, arguments, keywords, site), ref)


def all_bases(cls: Class) -> Iterator[Value]:
    for base in cls.bases:
        yield base
        if type(base) is Class:
            yield from all_bases(base)


def unread_base(cls: Class, is_network: bool) -> Value | None:
    """A base of a class of the script whose `__init__` may do what it likes with a model: a trainer, an engine.

    Of networks, a base that no library is known to have.
    """
    for base in all_bases(cls):
        if type(base) is Library and (is_network or base.name.startswith(HARMLESS_BASES)):
            continue
        if type(base) is not Class:
            return base
    return None


#: Where the classes are that do nothing with a model which an object of theirs is made with.
HARMLESS_BASES = ("abc.", "builtins.", "collections.", "enum.", "torch.", "typing.")


def call_inherited(
    machine: Machine,
    state: State,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> list[State]:
    """``super().forward(x)``: what the library's own forward makes of it."""
    thing = state.heap[ref.address]
    given = arguments[0] if arguments else next(iter(keywords.values()), None)
    if thing.build is not None:
        return forward.run_library_model(machine, state, ref, thing, given, site)
    if heap.is_sequential(thing):
        return forward.run_stack(machine, state, ref, given, site)
    state.result = symbol("output", "output", ref, given)
    return [state]


OF_OBJECTS = frozenset(
    [
        "children", "cpu", "cuda", "double", "eval", "float", "half", "modules", "named_children", "named_modules",
        "named_parameters", "parameters", "requires_grad_", "state_dict", "train", "zero_grad",
    ]
)  # fmt: skip


def needs_object(cls: Class, name: str) -> bool:
    """Whether a name is that of a method of torch's modules, which cannot be called on a network's class."""
    return name in OF_OBJECTS and is_plain_network(cls)


def lacks_above(machine: Machine, state: State, receiver: Value, name: str) -> bool:
    """Whether `super()` surely finds no such method: no class of the script has one of the name, and no module has."""
    thing = state.object(receiver)
    cls = thing.cls if type(thing) is heap.Module else None
    if cls is None or not is_plain_network(cls) or name in catalog.module_attributes():
        return False
    return not machine.may_be_assigned(name) and all(define.name != name for define in machine.definitions.values())


def is_plain_network(cls: Class) -> bool:
    """Whether a class derives from `torch.nn.Module` and from nothing else that is not the script's."""
    return bool(cls.bases) and all(
        is_plain_network(base) if type(base) is Class else base == Library("torch.nn.Module") for base in cls.bases
    )
