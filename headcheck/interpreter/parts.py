"""Parts of models: modules on the heap and nodes of the catalog's trees, asked the same questions."""

from __future__ import annotations

from typing import Any, TypeAlias

from headcheck.catalog.entry import NOTHING, Node
from headcheck.interpreter import heap
from headcheck.interpreter.heap import DELETED, Dictionary, Module, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Bound, Function, Partial, Ref, Value, symbol

Part: TypeAlias = "Ref | Node"


def module_of(state: State, ref: Value) -> Module | None:
    thing = state.object(ref)
    return thing if type(thing) is Module else None


def kind_of(state: State, part: Part) -> str:
    """The class of a part under its public name; "" where it is not a module."""
    if isinstance(part, Node):
        return part.kind
    module = module_of(state, part)
    return module.kind if module is not None else ""


def answers_otherwise(state: State, part: Part) -> bool:
    """Whether calling a part answers something else than its class does: its forward, or that of its class, was set
    anew, or a hook may change what goes in or comes out."""
    module = None if isinstance(part, Node) else module_of(state, part)
    if module is not None and module.values and is_rebound(module):
        return True
    return ALTERED in state.facts and (ALTERED, kind_of(state, part)) in state.facts


def is_rebound(module: Module) -> bool:
    """Whether the script set what a module does when it is called, or a method of a library's that may do some of it
    (``vit.forward_head = …``)."""
    if "forward" in module.values:
        return True
    made = module.node is not None and module.cls is None
    return made and any("forward" in n or type(v) in (Function, Bound, Partial) for n, v in module.values.items())


def rebind(state: State, ref: Ref) -> None:
    """Nobody knows any more what a module does when it is called."""
    module: Module = state.heap[ref.address]
    rebound = symbol("attribute", "forward", ref, "forward", "rebound")
    state.heap[ref.address] = module._replace(values={**module.values, "forward": rebound})


#: The fact that the script set what some class of a library does; with the name of a class, that it was this one.
ALTERED = "altered"


def child_of(state: State, part: Part, name: str) -> Part | None:
    """A child by its own name, without giving it an address."""
    if isinstance(part, Node):
        return part.children.get(name)
    module = module_of(state, part)
    if module is None:
        return None
    value = module.children.get(name, DELETED)
    if type(value) is Ref:
        return value
    if name in module.children:
        return None
    return module.node.children.get(name) if module.node is not None else None


def children_of(state: State, part: Part) -> list[tuple[str, Part]] | None:
    """The children of a part in order; None if one of them is not known."""
    if isinstance(part, Node):
        return list(part.children.items()) if part.known != NOTHING else None
    module = module_of(state, part)
    if module is None or not module.known:
        return None
    held, made = module.children, module.node.children if module.node is not None else heap.EMPTY
    if not held:
        return list(made.items())
    found: list[tuple[str, Part]] = []
    for name in heap.child_names(module):
        child = held[name] if name in held else made[name]
        if name in held and type(child) is not Ref:
            return None
        found.append((name, child))
    return found


def part_at(state: State, root: Part, path: str) -> Part | None:
    """What sits at a dotted path now: something on the heap, a part of the catalog's tree, or None."""
    current: Part | None = root
    for name in path.split(".") if path else ():
        current = child_of(state, current, name) if current is not None else None
    return current


def field_of(state: State, part: Part, name: str) -> Any:
    """A plain attribute of a part (``in_features``)."""
    if isinstance(part, Node):
        return part.values.get(name)
    module = module_of(state, part)
    return heap.field(module, name) if module is not None else None


def is_edited(state: State, part: Part) -> bool:
    """Whether a part, or anything below it, is not as the library built it."""
    if isinstance(part, Node):
        return False
    module = module_of(state, part)
    if module is None or module.node is None or not module.known or is_rebound(module):
        return True
    for name, value in module.children.items():
        if name not in module.node.children or type(value) is not Ref or is_edited(state, value):
            return True
    return False


def node_at(node: Node, path: str) -> Node | None:
    """The part of a catalog's tree at a dotted path."""
    current: Node | None = node
    for name in path.split("."):
        current = current.children.get(name) if current is not None else None
    return current


def made_of(state: State, value: Value) -> set[Address]:
    """The modules that an unknown was taken from: ``list(model.modules())[index]``, ``getattr(model, name)``."""
    found: set[Address] = set()
    pending, seen = [value], set()
    while pending:
        part = pending.pop()
        if type(part) is not Ref:
            pending.extend(part if isinstance(part, tuple) else ())
        elif part.address not in seen:
            seen.add(part.address)
            thing = state.object(part)
            if type(thing) is Module:
                found.add(part.address)
            elif type(thing) in (Sequence, Dictionary):
                pending.extend(thing.items or ())
    return found
