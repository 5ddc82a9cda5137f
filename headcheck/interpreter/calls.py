"""Calls: the script's own functions and classes are followed into, library calls have effects, the rest is unknown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

from headcheck import events
from headcheck.interpreter import access, choosing, definitions, heap, options, picking, unknowns, writing
from headcheck.interpreter.deriving import all_bases, call_inherited, derive, lacks_above, unread_base
from headcheck.interpreter.forgetting import forget_every_constant
from headcheck.interpreter.forward import call_module
from headcheck.interpreter.handing import come_back_changed, filled_by, handed_over, is_configuration, may_call
from headcheck.interpreter.heap import Dictionary, Instance, Module
from headcheck.interpreter.naming import known_builder
from headcheck.interpreter.reaching import comes_again, modules_in, tensors_handed
from headcheck.interpreter.resuming import Skip, remember
from headcheck.interpreter.state import Frame, State, go_back
from headcheck.interpreter.touching import forget_what_it_sets
from headcheck.interpreter.values import (
    Bound,
    Choice,
    Class,
    Function,
    Library,
    Method,
    Partial,
    Ref,
    Split,
    Super,
    Symbol,
    Tuple,
    Value,
    label,
    symbol,
)
from headcheck.ir import UNKNOWN, Call, Define, Operation
from headcheck.ir.facts import is_read
from headcheck.semantics import registry
from headcheck.semantics.registry import CallSite

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine

DEEPEST = 8
Arguments = tuple[Value, ...]
Keywords = Mapping[str, Value]


def call_value(
    machine: Machine, state: State, function: Value, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    """Call a value. Each state that comes back holds its `result`, or has ended."""
    if type(function) in machine.named and site.node is not None:  # one that the script makes
        known = known_builder(machine, state, function)
        if known is not None:
            from headcheck.semantics import own

            return answer(state, own.build(CallSite(machine, state, "", None, arguments, keywords, site), known))
    handler = CALLS.get(type(function), call_unknown)
    return handler(machine, state, function, arguments, keywords, site)


def answer(state: State, value: Value) -> list[State]:
    if type(value) is Split:
        for path, result in value.paths:
            path.result = result
        return [path for path, _ in value.paths]
    state.result = value
    return [state]


# -- the script's own functions --------------------------------------------------------------------------------------


def call_function(
    machine: Machine, state: State, function: Function, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    owner = method_owner(machine, state, function, arguments)
    return enter(machine, state, function, arguments, keywords, site, arguments[0] if owner else None, owner)


def method_owner(machine: Machine, state: State, function: Function, arguments: Arguments) -> Class | None:
    """Of a method that is read from its class and given the object, ``Base.__init__(self, …)``, the class that has it:
    it calls `super` on that object. So does one that a decorator keeps, in whose place the class has another."""
    thing = state.object(arguments[0]) if arguments else None
    if not isinstance(thing, (Module, Instance)) or thing.cls is None or function.wrapper == "staticmethod":
        return None
    classes = access.lineage(thing.cls)
    found = next((c for c in classes if any(value is function for _, value in c.attributes)), None)
    return found or next((c for c in classes if function.code in map(id, machine.definitions[c.code].body)), None)


def call_bound(
    machine: Machine, state: State, bound: Bound, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    receiver: Value = bound.receiver
    if bound.function.wrapper == "classmethod" and type(receiver) is Ref:
        receiver = getattr(state.object(receiver), "cls", None) or bound.owner
    return enter(machine, state, bound.function, (receiver, *arguments), keywords, site, bound.receiver, bound.owner)


def enter(
    machine: Machine,
    state: State,
    function: Function,
    arguments: Arguments,
    keywords: Keywords,
    site: Operation,
    receiver: Value,
    owner: Class | None,
) -> list[State]:
    """Follow a call into a function of the script."""
    define = machine.definitions[function.code]
    assert isinstance(define, Define)
    if not is_followed(machine, state, define, site) or comes_again(state, site, [*arguments, *keywords.values()]):
        before = state.events
        if note_skipped(machine, state, function, [*arguments, *keywords.values()], site) and machine.budget.skims:
            remember(machine, Skip(state, function, arguments, keywords, site, receiver, owner), before)
        if define.name == "__init__" and type(receiver) is Ref:
            writing.initialised(state, receiver)
        unknown, own = symbol("function", define.name, function.code), function.code not in machine.called
        if define.generator:
            machine.called.add(function.code)
        return call_unknown(machine, state, unknown, arguments, keywords, site, own)
    machine.called.add(function.code)
    miscounted = is_miscounted(define, arguments, keywords, site) and not may_be_another(machine, define, owner)
    if miscounted or takes_no(define, keywords):
        state.end("raise", "TypeError")
        return [state]
    caller_env, caller_frame = state.env, state.frame
    at_home = state.at_home()
    env = bind_arguments(state, define, function, arguments, keywords, site)
    closure = dict(function.closure)
    state.env = env
    depth = caller_frame.depth + 1
    inputs = unknown_inputs(state, define, env, receiver)
    state.frame = Frame(
        function.module,
        closure,
        depth,
        receiver,
        owner,
        define.stores_global,
        site,
        caller_frame,
        define.settles,
        inputs,
    )
    after = machine.run(define.body, [state])
    for one in after:
        if one.ended == "return":
            one.end("")
        elif not one.ended:
            one.result = None
        if define.generator:
            one.result = UNKNOWN
        if not one.ended and type(one.result) is Ref:
            log_returned(machine, one, define, env)
        one.frame = caller_frame
        go_back(one, at_home, caller_env, len(after))
    return machine.merge_results(after) if len(after) > 1 else after


def unknown_inputs(state: State, define: Define, env: Mapping[str, Value], receiver: Value) -> tuple[Symbol, ...]:
    """What nobody knows of the inputs of a network, where its forward is called."""
    if define.name != "forward" or type(state.object(receiver)) is not Module:
        return ()
    given = (env.get(parameter.name) for parameter in define.parameters[1:])
    return tuple(value for value in given if type(value) is Symbol)


def is_followed(machine: Machine, state: State, define: Define, site: Operation) -> bool:
    """Whether a call goes into a function of the script. Where only skimmed, none does that the script makes itself.
    A generator runs where it is asked for its items: it is followed as code that nothing calls."""
    if machine.budget.skims and site.node is not None:
        machine.lost = state.cut = True
        return False
    return state.frame.depth < DEEPEST and (site.node is None or not define.generator)


def note_skipped(machine: Machine, state: State, function: Function, given: list[Value], site: Operation) -> bool:
    """A call is not followed: forget what it sets, note which modules it changes. Answers whether it may do that."""
    from headcheck.interpreter.skipping import may_be_changed

    forget_what_it_sets(machine, state, function, given)
    changed = may_be_changed(machine, state, function, given, certain=True)
    if changed:
        state.log(events.Skipped(site, machine.definitions[function.code].name, changed))
    return bool(changed) or bool(may_be_changed(machine, state, function, given))


COUNTS = frozenset(
    ["n_classes", "nb_classes", "nclasses", "num_class", "num_classes", "num_labels", "number_of_classes"]
)


def log_returned(machine: Machine, state: State, define: Define, arguments: Mapping[str, Value]) -> None:
    """Note which module a function answers that is told how many classes there are and does not listen."""
    name = next((p.name for p in define.parameters if p.name in COUNTS), None)
    if name is not None and type(state.object(state.result)) is Module and not is_read(define, name):
        options.decides(machine, arguments.get(name))
        state.log(events.Returned(define, state.result.address, name, arguments.get(name, UNKNOWN)))


def takes_no(define: Define, keywords: Keywords) -> bool:
    """Whether a function has no parameter for one of the keywords that it is given: Python refuses the call. What a
    decorator makes of a function may take others."""
    if not keywords or define.decorators or any(parameter.kind == "**" for parameter in define.parameters):
        return False
    names = [parameter.name for parameter in define.parameters if parameter.kind != "*"]
    return any(name not in names for name in keywords if name != "**")


def is_miscounted(define: Define, arguments: Arguments, keywords: Keywords, site: Operation) -> bool:
    """Whether a call that the script writes gives a function more arguments than it has parameters, or leaves one out
    that it needs. A library that is given a function calls it in a way of its own."""
    if type(site) is not Call or define.decorators or len(arguments) - len(site.arguments) not in (0, 1):
        return False
    if any(starred for starred, _ in site.arguments) or [name for name, _ in site.keywords] != list(keywords):
        return False
    by_place = [p for p in define.parameters if not p.kind and not p.keyword_only]
    if len(arguments) > len(by_place):
        return not any(p.kind == "*" for p in define.parameters)
    left = [*by_place[len(arguments) :], *(p for p in define.parameters if p.keyword_only and not p.kind)]
    return any(not p.has_default and p.name not in keywords for p in left)


def may_be_another(machine: Machine, define: Define, owner: Class | None) -> bool:
    """Whether what is called may be another than this method: some code sets one of its name, or the class is of a
    metaclass, which may call it in a way of its own."""
    if owner is None:
        return False
    made_by = getattr(getattr(machine.definitions.get(owner.code), "node", None), "keywords", ())
    return define.name in machine.facts.assigned_attributes or bool(made_by)


def bind_arguments(
    state: State, define: Define, function: Function, arguments: Arguments, keywords: Keywords, site: Operation
) -> dict[str, Value]:
    """The callee's variables; an argument that is not given and has no default is an unknown named after it. So is what
    ``*`` takes, where some may be given that are not known, or the script does not make the call."""
    env: dict[str, Value] = {}
    defaults = dict(function.defaults)
    rest = list(arguments)
    unused = {name: value for name, value in keywords.items() if name != "**"}
    open_keywords = "**" in keywords
    for parameter in define.parameters:
        name = parameter.name
        if parameter.kind == "*":
            more = not rest and (open_keywords or site.node is None)
            env[name] = symbol("parameter", name, function.code, name) if more else Tuple(tuple(rest))
            rest = []
        elif parameter.kind == "**":
            known = None if open_keywords else tuple(unused.items())
            env[name] = state.allocate(Dictionary(known), site)
        elif rest and not parameter.keyword_only:
            env[name] = rest.pop(0)
        elif name in unused:
            env[name] = unused.pop(name)
        elif name in defaults and not open_keywords:
            env[name] = defaults[name]
        else:
            env[name] = symbol("parameter", name, function.code, name)
    return env


# -- the script's own classes ----------------------------------------------------------------------------------------


def call_class(
    machine: Machine, state: State, cls: Class, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    """Make an object of a class of the script: `__init__` is followed with `self` on the heap."""
    machine.called.add(cls.code)
    ref = state.allocate(make_object(machine, cls, site), site)
    if type(state.object(ref)) is Module:
        state.log(events.Created(site, ref.address))
    init = access.class_attribute(cls, "__init__")
    if init is None or type(init[0]) is not Function:
        fill_fields(state, ref, cls, arguments, keywords)
        after_fields = access.class_attribute(cls, "__post_init__")
        if after_fields is not None and type(after_fields[0]) is Function:
            after = enter(machine, state, after_fields[0], (ref,), {}, site, ref, after_fields[1])
            for one in after:
                one.result = ref
            return after
        if type(state.object(ref)) is Module:
            derive(machine, state, cls, ref, arguments, keywords, site)
        hand_to_bases(machine, state, cls, ref, arguments, keywords, site)
        return answer(state, ref)
    define = machine.definitions[init[0].code]
    if not isinstance(define, Define) or not is_followed(machine, state, define, site):
        note_skipped(machine, state, init[0], [*arguments, *keywords.values()], site)
        thing = state.object(ref)
        if type(thing) is Module:
            state.heap[ref.address] = thing._replace(known=False)
        call_unknown(machine, state, symbol("function", cls.name, init[0].code), arguments, keywords, site, own=True)
        return answer(state, ref)
    known = all(type(base) in (Library, Class) for base in all_bases(cls))
    if known and heap.library_bases(cls) and heap.library_bases(cls) <= NETWORKS:
        state.facts["bare", ref.address] = True
    state.facts["making", ref.address] = True
    after = enter(machine, state, init[0], (ref, *arguments), keywords, site, ref, init[1])
    for one in after:
        writing.initialised(one, ref)
        one.facts.pop(("making", ref.address), None)
        one.result = ref
    return after


def make_object(machine: Machine, cls: Class, site: Operation) -> Module | Instance:
    if not is_module_class(cls):
        return Instance(cls, {}, site)
    bases = heap.library_bases(cls)
    known = all(type(base) in (Library, Class) for base in all_bases(cls)) and bases <= PLAIN_BASES
    return Module("script", site, cls=cls, known=known)


NETWORKS = {"torch.nn.Module", *heap.LIGHTNING}
BARE = {"builtins.object", "abc.ABC"}  # classes that give those which derive from them nothing
PLAIN_BASES = {*NETWORKS, "torch.nn.Sequential", *BARE}


def is_module_class(cls: Class) -> bool:
    """Whether a class of the script is a `torch.nn.Module`; one with an unknown base is if it has a forward."""
    for base in all_bases(cls):
        if type(base) is Library and (
            base.name.startswith(("torch.nn.", "torchvision.models.")) or base.name.endswith("Module")
        ):
            return True
    unknown = any(
        type(base) not in (Library, Class) or base.name.startswith(("timm.", "transformers."))
        for base in all_bases(cls)
    )
    return unknown and access.class_attribute(cls, "forward") is not None


def hand_to_bases(
    machine: Machine, state: State, cls: Class, ref: Ref, arguments: Arguments, keywords: Keywords, site: Operation
) -> None:
    """The `__init__` of a base that is not read, a trainer's, has the models that the object is made with."""
    given = [*arguments, *keywords.values()]
    base = unread_base(cls, type(state.object(ref)) is Module) if given and not cls.fields else None
    if base is not None and modules_in(state, given):
        call_unknown(machine, state, base, arguments, keywords, site)


def fill_fields(state: State, ref: Ref, cls: Class, arguments: Arguments, keywords: Keywords) -> None:
    """Arguments of a class without `__init__` of its own (a dataclass, a named tuple) are its fields."""
    classes = (*(base for base in all_bases(cls) if type(base) is Class), cls)
    names = list(dict.fromkeys(field for each in classes for field in each.fields))
    thing = state.heap[ref.address]
    given = {**dict(zip(names, arguments, strict=False)), **{k: v for k, v in keywords.items() if k != "**"}}
    if type(thing) is Instance:
        open_ = {n: symbol("field", n, cls.code, n) for n in names if "**" in keywords and n not in given}
        state.heap[ref.address] = thing._replace(attributes={**thing.attributes, **open_, **given})


# -- everything else -------------------------------------------------------------------------------------------------


def call_partial(
    machine: Machine, state: State, partial: Partial, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    merged = {**dict(partial.keywords), **keywords}
    return call_value(machine, state, partial.function, partial.arguments + arguments, merged, site)


def call_library(
    machine: Machine, state: State, library: Library, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    filled_by(state, library.name, arguments)
    effect = registry.find_effect(library.name)
    if effect is None:
        return call_unknown(machine, state, library, arguments, keywords, site)
    handed_over(machine, state, [*arguments, *keywords.values()])
    asks = library.name in ASKING and arguments and choosing.is_open(state, arguments[0])
    if not asks or (library.name == "builtins.isinstance" and choosing.tests_class(arguments[1:])):
        return answer(state, effect(CallSite(machine, state, library.name, None, arguments, keywords, site)))
    asked = arguments[1] if len(arguments) > 1 and library.name == "builtins.getattr" else ""
    paths = choosing.settle(machine, state, arguments[0], asked if isinstance(asked, str) else "")
    done: list[State] = []
    for path in paths:
        done += answer(path, effect(CallSite(machine, path, library.name, None, arguments, keywords, site)))
    return done


# Builtins whose answer depends on which model it is.
ASKING = frozenset(f"builtins.{name}" for name in ("delattr", "getattr", "hasattr", "isinstance", "setattr"))


def call_method(
    machine: Machine, state: State, bound: Method, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    receiver = bound.receiver
    if type(receiver) is Super:
        receiver = receiver.receiver
        if bound.name in ("__init__", "__post_init__"):
            writing.initialised(state, receiver)
            if bound.receiver.owner is not None and is_of_unread(bound.receiver.owner):
                forget_every_constant(state, receiver, id(site))
            if type(state.object(receiver)) is Module:
                derive(machine, state, bound.receiver.owner, receiver, arguments, keywords, site)
            hand_to_bases(machine, state, bound.receiver.owner, receiver, arguments, keywords, site)
            if "torch.optim.Optimizer" in heap.library_bases(bound.receiver.owner):
                for module in modules_in(state, [*arguments, *keywords.values()]):
                    state.log(events.Escaped(site, module, "Optimizer", True, True))
            return answer(state, None)
        if bound.name == "__new__" and type(state.object(receiver)) is Instance:
            return answer(state, receiver)  # `__new__` is followed with the object in the place of its class
        if bound.name == "forward" and type(state.object(receiver)) is Module:
            return call_inherited(machine, state, receiver, arguments, keywords, site)
        if lacks_above(machine, state, receiver, bound.name):
            access.missing(state, receiver, bound.name, "super", site)
            return [state]
    thing = state.object(receiver) if type(receiver) is Ref else receiver
    if type(thing) is Module and bound.name in ("forward", "__call__"):
        return call_object(machine, state, receiver, arguments, keywords, site)
    kind = str if isinstance(thing, str) else type(thing)
    effect = registry.METHODS.get((kind, bound.name)) or registry.METHODS.get((kind, "*"))
    if effect is None:
        return call_unknown(machine, state, bound, arguments, keywords, site)
    handed_over(machine, state, [*arguments, *keywords.values()])
    call = CallSite(machine, state, bound.name, receiver, arguments, keywords, site)
    return answer(state, effect(call))


def call_object(
    machine: Machine, state: State, ref: Ref, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    """``model(x)`` or an object with `__call__`."""
    thing = state.heap[ref.address]
    if type(thing) is Module:
        if state.frame.depth >= DEEPEST or machine.budget.skims:
            state.log(events.Called(site, ref.address))
            return answer(state, symbol("output", "output", ref, *arguments[:1]))
        return call_module(machine, state, ref, arguments, keywords, site)
    if type(thing) is Instance and thing.cls is not None:
        found = access.class_attribute(thing.cls, "__call__")
        if found and type(found[0]) is Function:
            return enter(machine, state, found[0], (ref, *arguments), keywords, site, ref, found[1])
    return call_unknown(machine, state, ref, arguments, keywords, site)


def call_choice(
    machine: Machine, state: State, choice: Choice, arguments: Arguments, keywords: Keywords, site: Operation
) -> list[State]:
    """A builder chosen by a name that is not known (yet)."""
    from headcheck.interpreter.choosing import LIBRARIES
    from headcheck.semantics.torchvision import build_by_choice

    registry.find_effect(f"{choice.namespace}.")  # which brings in the library's, if it is the first call of it
    if choice.namespace.split(".", 1)[0] not in LIBRARIES:  # ``getattr(nn, name)()``, ``getattr(optim, name)(…)``
        unknown = symbol("member", f"{label(choice.key)} of {choice.namespace}", choice.namespace, choice.key)
        return call_unknown(machine, state, unknown, arguments, keywords, site)
    call = CallSite(machine, state, choice.namespace, None, arguments, keywords, site)
    return answer(state, build_by_choice(call, choice))


def call_unknown(
    machine: Machine,
    state: State,
    function: Value,
    arguments: Arguments,
    keywords: Keywords,
    site: Operation,
    own: bool = False,
) -> list[State]:
    """A call that is not followed: what it was given escapes, what it answers is a symbol.

    `own`: it is of code of the script that no path has come by.
    """
    if type(function) is Symbol:
        picked = picking.pick_to_call(state, function, (*arguments, *keywords.values()))
        if picked:
            return [s for path, value in picked for s in call_value(machine, path, value, arguments, keywords, site)]
        special = unknowns.method(state, function, arguments, keywords, site)
        if special is not None:
            return answer(state, special)
        if (
            isinstance(function.key, tuple)
            and function.key[0] == "attribute"
            and is_configuration(state, function.key[1])
        ):
            from headcheck.semantics.configs import METHODS_OF_SETTINGS

            known = METHODS_OF_SETTINGS.get(function.key[2])
            if known is not None and known(machine, state, function.key[1], site):
                return [state]
        may_call(machine, state, function, [*arguments, *keywords.values()])
    where = label(function) if type(function) is not Method else function.name
    given = [*arguments, *keywords.values()]
    handed_over(machine, state, given)
    if type(function) is Method:
        given.append(function.receiver)
    if type(function) is Symbol and isinstance(function.key, tuple) and function.key[0] == "attribute":
        given += [part for part in function.key[1:2] if is_configuration(state, part)]
        if type(state.object(function.key[1])) is Instance:  # a method that its class has from one that is not read
            forget_every_constant(state, function.key[1], id(site))
    reached = () if definitions.only_records(function) else modules_in(state, given)
    tensors = tensors_handed(state, function, given) if reached else ()
    for module in reached:
        state.log(events.Escaped(site, module, where, own, module in tensors))
    if reached and definitions.is_of_unread_module(function):
        for _, part in itertools.chain.from_iterable(heap.subtree(state, Ref(module)) for module in reached):
            state.facts["handed", part.address] = True
    machine.handed.update(value.code for value in given if type(value) is Class)
    machine.patched = machine.patched or TORCH in given  # ``syft.TorchHook(torch)``
    if type(function) is not Library:
        come_back_changed(state, function, given, site)
    named = [part for pair in sorted(keywords.items(), key=itemgetter(0)) for part in pair]
    if any(value is UNKNOWN for value in (function, *given)):
        return answer(state, symbol("call at", f"{where}(…)", id(site), function, *arguments, *named))
    return answer(state, symbol("call", f"{where}(…)", function, *arguments, *named))


TORCH = Library("torch")


def is_of_unread(cls: Class) -> bool:
    """Whether a class has a base that is not read: of another file that is not there."""
    return any(type(base) is Symbol for base in all_bases(cls))


CALLS: dict[type, Callable[..., list[State]]] = {
    Function: call_function,
    Bound: call_bound,
    Class: call_class,
    Partial: call_partial,
    Library: call_library,
    Method: call_method,
    Ref: call_object,
    Choice: call_choice,
}
