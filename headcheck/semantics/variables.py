"""The variables of a module and the attributes of an object, as dicts: `globals`, `vars`; and code that sets any."""

from __future__ import annotations

from headcheck.interpreter import modules, picking, writing
from headcheck.interpreter.forgetting import forget_variables
from headcheck.interpreter.heap import Dictionary, Instance, Module
from headcheck.interpreter.values import Library, Namespace, Own, Ref, Value, symbol
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect


@effect("builtins.globals")
def globals_(call: CallSite) -> Value:
    """The variables of the module, where some of them are builders and all are known."""
    variables = call.state.globals[call.state.frame.module]
    items = tuple((k, v) for k, v in variables.items() if k[0] != "%")
    from_others = any(k[0] == "*" for k, _ in items)
    builders = not from_others and any(picking.builds(call.machine, call.state, k, v) for k, v in items)
    if not builders and picking.namespace_in(items) is None:
        return unknown(call)
    found = call.state.allocate(Dictionary(items), call.site)
    call.state.facts["vars", found.address] = call.state.frame.module
    return found


@effect("builtins.exec")
def exec_(call: CallSite) -> Value:
    """Code that is made at run time may set any variable, and put any part into a module."""
    for value in list(call.state.env.values()):
        writing.blur(call.state, value)
    forget_variables(call.state, id(call.site))
    return None


@effect("builtins.vars")
def vars_(call: CallSite) -> Value:
    value = call.argument(0, "object")
    thing = call.state.object(value)
    if type(thing) is Instance and thing.cls is None:  # ``vars(parser.parse_args())``
        made: Ref = call.state.allocate(Dictionary(tuple(thing.attributes.items())), call.site)
        call.state.facts["vars", made.address] = value
        return made
    if type(value) is Own:
        return modules.namespace(call.state, value, call.site)
    writing.blur(call.state, value)
    if type(thing) in (Instance, Module):
        return symbol("attribute", "__dict__", value, "__dict__")
    return Namespace(value.name) if type(value) is Library else unknown(call)
