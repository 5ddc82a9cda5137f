"""Whether a part that was put into a network of the script's own may be in use though its forward does not name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.interpreter.state import Frame
from headcheck.interpreter.values import Class, Ref, Symbol
from headcheck.ir import Define, DefineClass, facts

if TYPE_CHECKING:
    from headcheck.execution import Execution


def asks_by_computed_name(execution: Execution, cls: Class) -> bool:
    """Whether the code of a class, or of one that it inherits from, may ask it for an attribute of any name."""
    define = execution.machine.definitions.get(cls.code)
    methods = [o for o in define.body if isinstance(o, Define)] if isinstance(define, DefineClass) else []
    if any(facts.asks_by_computed_name(method) for method in methods if method.name != "__init__"):
        return True
    return any(asks_by_computed_name(execution, base) for base in cls.bases if type(base) is Class)


def asks_itself(execution: Execution, cls: Class, name: str) -> bool:
    """Whether a method of a class, or of one that it inherits from, asks the object itself for an attribute."""
    define = execution.machine.definitions.get(cls.code)
    methods = [o for o in define.body if isinstance(o, Define)] if isinstance(define, DefineClass) else []
    if any(facts.asks_itself(method, name) for method in methods):
        return True
    return any(asks_itself(execution, base, name) for base in cls.bases if type(base) is Class)


def is_its_own_doing(execution: Execution, event: events.ChildSet) -> bool:
    """Whether a module was put in while a method of its new owner ran: a decorator may keep what one made."""
    frame: Frame | None = execution.frames[execution.order(event)]
    while frame is not None:
        if frame.receiver == Ref(event.owner):
            return True
        frame = frame.above
    return False


def is_sized_by_its_place(execution: Execution, event: events.ChildSet) -> bool:
    """Whether a new layer has a size of what stands at its place in a network of the script: so something does."""
    place = ("attribute", Ref(event.owner), event.name)
    parts = execution.parts_of(event.new) if type(event.new) is Ref else ()
    layers = [layer for layer in map(execution.module, map(Ref, parts)) if layer is not None]
    return any(is_made_of(size, place) for layer in layers for size in layer.arguments.values())


def is_made_of(value: Any, key: tuple[Any, ...]) -> bool:
    """Whether an unknown, or one that it comes from, is that of a key."""
    while type(value) is Symbol:
        if value.key == key:
            return True
        value = value.key[1] if isinstance(value.key, tuple) and value.key[0] in ("attribute", "item") else None
    return False
