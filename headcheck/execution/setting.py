"""Where code sets an attribute that a network of the script turned out not to have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headcheck.execution import Execution
from headcheck.interpreter.access import lineage
from headcheck.interpreter.values import Class
from headcheck.ir import Define, DefineClass, DeleteAttribute, SetAttribute, operations_in
from headcheck.ir.facts import come_to_after
from headcheck.records import NamedTuple


class Setter(NamedTuple):
    """An operation by which a method sets an attribute of its own object, or deletes one."""

    site: Any
    method: Define
    cls: DefineClass


def setters(
    execution: Execution, name: str, kind: type[SetAttribute | DeleteAttribute] = SetAttribute
) -> Iterator[Setter]:
    """The methods' operations that set an attribute of their own object."""
    classes = (define for define in execution.machine.definitions.values() if isinstance(define, DefineClass))
    methods = ((cls, method) for cls in classes for method in cls.body if isinstance(method, Define))
    for cls, method in methods:
        own = method.parameters[0].name if method.parameters else None
        for site in operations_in(method) if own is not None else ():
            if isinstance(site, kind) and site.of == own and site.name == name:
                yield Setter(site, method, cls)


def is_of(setter: Setter, cls: Class) -> bool:
    """Whether a method is of a class or of what it derives from."""
    return id(setter.cls) in {each.code for each in lineage(cls)}


def steps_to(execution: Execution, site: Any) -> Iterator[Any]:
    """An operation that left an event, and the calls on the way to it, from the inside out."""
    event = next((event for event in reversed(execution.history) if event.site is site), None)
    frame = execution.frames[execution.order(event)] if event is not None else None
    yield site
    while frame is not None and frame.call is not None:
        yield frame.call
        frame = frame.above


def sets_after(execution: Execution, setter: Setter, site: Any) -> Any:
    """The operation on the way to another before which a setter would have to stand, as it follows in the same
    function; None if it does not."""
    for step in steps_to(execution, site):
        if id(setter.site) in come_to_after(setter.method.body, step):
            return step
    return None


def stands_in_the_way(execution: Execution, setter: Setter, site: Any) -> bool:
    """Whether a setter stands in one of the functions that lead to an operation."""
    inside = {id(operation) for operation in operations_in(setter.method)}
    return any(id(step) in inside for step in steps_to(execution, site))


def deleted_on_the_way(execution: Execution, cls: Class, name: str, site: Any) -> Any:
    """The operation with which a class deletes an attribute of its own object on the way to another operation; None if
    there is none."""
    found = (setter for setter in setters(execution, name, DeleteAttribute) if is_of(setter, cls))
    return next(
        (s.site for s in found if stands_in_the_way(execution, s, site) and sets_after(execution, s, site) is None),
        None,
    )
