"""Attributes: reading, writing and deleting them, on every kind of value. One small function per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from headcheck import catalog, events
from headcheck.interpreter import choosing, heap, modules, naming
from headcheck.interpreter.heap import DELETED, Dictionary, Instance, Module, Optimizer, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Answer,
    Bound,
    Choice,
    Class,
    Condition,
    Device,
    Found,
    Function,
    Library,
    Method,
    Modules,
    Namespace,
    Own,
    Parameter,
    Parameters,
    Partial,
    Pattern,
    Ref,
    Super,
    Symbol,
    Tensor,
    Tuple,
    Value,
    class_unknown,
    is_plain,
    label,
    name_of_class,
    symbol,
)
from headcheck.ir import UNKNOWN, Define, DefineClass, Operation, SetAttribute, operations_in, walk
from headcheck.ir.facts import ANY
from headcheck.semantics import registry
from headcheck.semantics.layers import own_parameters, parameter_shape

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


# What an object of a library holds under a name (None: nothing that is followed), by the class that stands for it.
MEMBERS: dict[type, Callable[[Any, str], Value]] = {}
METHODICAL = frozenset({Parameters, Modules, Namespace, Found, Pattern, Device})


# -- reading attributes ----------------------------------------------------------------------------------------------


def get_attribute(machine: Machine, state: State, of: Value, name: str, site: Operation) -> Value:
    """``of.name``. A part that is missing for sure ends the path as PyTorch would, after it was logged."""
    kind = type(of)
    if (name == "__name__" and kind in NAMED) or (name == "__qualname__" and kind is Library):
        return NAMED[kind](machine, of)
    if name == "__class__" and kind is Ref and type(state.heap[of.address]) in (Module, Instance):
        return class_of(state, of)
    if name == "value" and is_plain(of) and of is not None:  # a member of an Enum is kept as what it stands for
        return of
    if kind is Ref:
        thing = state.heap[of.address]
        if type(thing) is Module:
            return module_attribute(machine, state, of, name, site)
        if type(thing) is Instance:
            return instance_attribute(machine, state, of, thing, name, site)
        if type(thing) is Optimizer and name == "param_groups":
            return symbol("groups", "param_groups", of)
        held = MEMBERS[type(thing)](thing, name) if type(thing) in MEMBERS else None
        return Method(of, name) if held is None else held
    if kind is Library:
        if of.name.endswith("_Weights") and name.isupper() and not state.guards and is_no_member(of.name, name):
            state.log(events.UnknownName(site, of.name, name))
        member, is_misspelt = naming.member_of(of.name, name)
        if is_misspelt and not state.guards:
            state.log(events.UnknownName(site, of.name, name))
            state.end("raise", "AttributeError")
            return UNKNOWN
        return member
    if kind is Own:
        return modules.namespace(state, of, site) if name == "__dict__" else modules.member(state, of, name)
    if kind is Symbol:
        if name == "shape":
            return symbol("shape", f"{of.label}.shape", of)
        written = state.facts.get(("written", of, name))
        if written is not None:
            return written
        if name == "__name__" and isinstance(of.key, tuple) and of.key[0] == "class of":
            return class_name(state, of)
        log_output_read(state, of, name, site)
        return symbol("attribute", f"{of.label}.{name}", of, name)
    if kind is Answer:
        return answer_attribute(state, of, name, site)
    if kind is Class:
        found = class_constant(machine, of, name)
        if found and type(found[0]) is Function and found[0].wrapper == "classmethod":
            return Bound(of, found[0], found[1])
        if found:
            return machine.setting(f"{of.name}.{name}", found[0], of.code, name)
        if name == "apply" and "torch.autograd.Function" in heap.library_bases(of):
            return applied(of)
        if name == "load_from_checkpoint" and is_lightning(of):
            return Method(of, name)
        return symbol("attribute", f"{of.name}.{name}", of, name)
    if kind is Super:
        return super_attribute(of, name)
    if kind is Device and name == "type":
        return symbol("attribute", "device.type", of, name) if of.unless else of.name.split(":")[0]
    if kind is Parameter:
        return parameter_attribute(state, of, name, site)
    if kind is Tensor:
        from headcheck.semantics.tensors import attribute_of

        value = attribute_of(of, name)
        return Method(of, name) if value is None else value
    if kind is Tuple and name in ("values", "indices"):
        from headcheck.semantics.tensors import named_item

        return named_item(of, name)
    if kind is Tuple or kind in (float, str) or kind in METHODICAL or isinstance(of, str):
        return Method(of, name)
    if kind is Function and of.wrapper == "property":
        return Method(of, name)  # ``@width.setter``
    if kind is Partial and name in ("func", "args", "keywords"):
        return of.function if name == "func" else UNKNOWN
    if kind is Choice:
        return symbol("attribute", f"{label(of.key)}.{name}", of, name)
    if kind is Method and of.name == "data" and type(of.receiver) is Parameter:
        return Method(of.receiver, name)
    return UNKNOWN


def is_lightning(cls: Class) -> bool:
    return not heap.LIGHTNING.isdisjoint(heap.library_bases(cls))


def applied(of: Class) -> Value:
    """``apply`` of a function with a gradient of its own: it calls its forward, with a context unless that is set up
    apart."""
    found = class_attribute(of, "forward")
    if found is None or type(found[0]) is not Function:
        return symbol("attribute", f"{of.name}.apply", of, "apply")
    if class_attribute(of, "setup_context"):
        return found[0]
    return Bound(symbol("context", "ctx", of), found[0], found[1])


def _last_name(of: Library) -> Value:
    last = of.name.rsplit(".", 1)[-1]
    return last if last[:1].isupper() or catalog.canonical(of.name) else Library(f"{of.name}.__name__")


# What a function or class is called.
NAMED: dict[type, Callable[[Machine, Any], Value]] = {
    Function: lambda machine, of: machine.definitions[of.code].name,
    Bound: lambda machine, of: machine.definitions[of.function.code].name,
    Class: lambda machine, of: of.name,
    Library: lambda machine, of: _last_name(of),
}


DISCARDED: dict[type, frozenset[str]] = {
    Module: frozenset(["cpu", "cuda", "eval", "half"]),
    Optimizer: frozenset(["step", "zero_grad"]),
}


def log_discarded(state: State, of: Value, name: str, site: Operation) -> None:
    """Log a method that is a statement of its own: it was meant to be called."""
    from headcheck.semantics.gradients import is_loss

    if name in DISCARDED.get(type(state.object(of)), ()) or (name == "backward" and is_loss(state, of)):
        state.log(events.Uncalled(site, name, "method"))


def is_no_member(enum: str, name: str) -> bool:
    """Whether the library has no weights of this name in an enum of weights."""
    members = catalog.weights(enum)
    return members is not None and name not in members and name != "DEFAULT"


def class_attribute(cls: Class, name: str) -> tuple[Value, Class] | None:
    """An attribute looked up through a class and its bases of the script: (value, the class that has it)."""
    for key, value in cls.attributes:
        if key == name:
            return value, cls
    if name != "__init__" and sum(type(base) is Class for base in cls.bases) > 1:
        bases = list(lineage(cls))  # what two of them inherit comes after both
        order = [base for place, base in enumerate(bases) if base not in bases[place + 1 :]]
        return next(((value, base) for base in order for key, value in base.attributes if key == name), None)
    for base in cls.bases:
        if type(base) is Class:
            found = class_attribute(base, name)
            if found:
                return found
        elif type(base) is Library and name == "__init__":
            return None  # it has one, and comes before what follows
    return None


def class_constant(machine: Machine, cls: Class, name: str) -> tuple[Value, Class] | None:
    """The same, but for a constant that some code sets on an object of the class, or on the class: which of them, and
    when, is followed for objects only. What a method of another class sets on itself is another attribute."""
    found = class_attribute(cls, name)
    if found is None or not (is_plain(found[0]) or type(found[0]) is Tuple):
        return found
    if machine.set_by_setattr and any((c.code, n) in machine.set_by_setattr for c in lineage(cls) for n in (name, "")):
        return symbol("attribute", f"{cls.name}.{name}", cls.code, name), found[1]
    sites = machine.facts.assigned_attributes.get(name)
    if sites is None:
        return found
    codes, own = {each.code for each in lineage(cls)}, own_sites(machine)
    if any(own.get(site, cls.code) in codes for site in sites if site > 0):
        return symbol("attribute", f"{cls.name}.{name}", cls.code, name), found[1]
    return found


def own_sites(machine: Machine) -> dict[int, int]:
    """The operations by which a method sets an attribute of its own object, each with the class that it is of."""
    if machine.own_sites is None or machine.own_sites[0] != len(machine.definitions):
        classes = [define for define in machine.definitions.values() if isinstance(define, DefineClass)]
        methods = [(cls, op) for cls in classes for op in cls.body if isinstance(op, Define) and op.parameters]
        machine.own_sites = (
            len(machine.definitions),
            {
                id(op): id(cls)
                for cls, method in methods
                for op in operations_in(method)
                if isinstance(op, SetAttribute) and op.of == method.parameters[0].name
            },
        )
    return machine.own_sites[1]


def lineage(cls: Class) -> Iterator[Class]:
    """A class, and its bases of the script."""
    yield cls
    for base in cls.bases:
        if type(base) is Class:
            yield from lineage(base)


def bind(machine: Machine, state: State, receiver: Value, found: tuple[Value, Class], site: Operation) -> Value:
    """What reading a class's attribute from an object gives: a bound method, a property's value, or the value."""
    value, owner = found
    if type(value) is not Function:
        return value
    if value.wrapper == "staticmethod":
        return value
    bound = Bound(receiver, value, owner)
    return machine.call_quietly(state, bound, (), {}, site) if value.wrapper == "property" else bound


def super_attribute(of: Super, name: str) -> Value:
    for base in of.owner.bases:
        found = class_attribute(base, name) if type(base) is Class else None
        if found and type(found[0]) is Function:
            return Bound(of.receiver, found[0], found[1])
        if type(base) is Library and name == "__init__":
            break
    return Method(of, name)


def answer_attribute(state: State, of: Answer, name: str, site: Operation) -> Value:
    """A part of what a model answered. One that other models of the library answer, and this one never does, is
    missing."""
    if name in dict(of.items):
        return dict(of.items)[name]
    if name not in of.names and name in ANSWERED and not state.guards:
        state.log(events.Missing(site, of.owner, name, "answer"))
        state.end("raise", "AttributeError")
    return symbol("attribute", f"….{name}", of, name)


# What some model of a library answers under a name of its own, and not every model does.
ANSWERED: set[str] = set()


def log_output_read(state: State, of: Symbol, key: Value, site: Operation) -> None:
    """Reading one of several outputs of a model is remembered: an auxiliary one is then in use."""
    parts = of.key
    if isinstance(parts, tuple) and parts[0] == "output" and type(parts[1]) is Ref and isinstance(key, (str, int)):
        state.log(events.OutputRead(site, parts[1].address, key))


def instance_attribute(machine: Machine, state: State, ref: Ref, thing: Instance, name: str, site: Operation) -> Value:
    owner = thing.cls.name if thing.cls else "object"
    if name in thing.attributes:
        return machine.setting(f"{owner}.{name}", thing.attributes[name], ref, name)
    found = class_constant(machine, thing.cls, name) if thing.cls else None
    if found and thing.cls and class_attribute(thing.cls, "__getattribute__"):
        return symbol("attribute", f"{owner}.{name}", ref, name)
    if found:
        return machine.setting(f"{owner}.{name}", bind(machine, state, ref, found, site), ref, name)
    if name == "__dict__":
        return symbol("attribute", "__dict__", ref, name)
    return symbol("attribute", f"{owner}.{name}", ref, name)


def parameter_attribute(state: State, of: Parameter, name: str, site: Operation) -> Value:
    if name == "requires_grad":
        known = heap.is_trainable(state, of)
        return symbol("requires_grad", f"{of.path}.requires_grad", of) if known is None else known
    if name == "shape":
        shape = shape_of(state, of)
        return symbol("shape", f"{of.path}.shape", of) if shape is None else Tuple(shape)
    if name.startswith("requir") and name != "requires_grad_" and not state.guards:
        state.log(events.FlagMissed(site, "read", of.owner, name, None, of.path))
    return Method(of, name)


def shape_of(state: State, parameter: Parameter) -> tuple[int, ...] | None:
    if type(state.object(parameter.owner)) is not Module:
        return None
    parameter = heap.settle(state, parameter)
    module = state.heap[parameter.owner.address]
    *parents, leaf = parameter.path.split(".")
    if not parents:
        return parameter_shape(module, leaf)
    node = module.node
    for name in parents:
        node = node.children.get(name) if node is not None else None
    shape = node.parameters.get(leaf) if node is not None else None
    return None if shape is None else tuple(shape)


def module_attribute(machine: Machine, state: State, ref: Ref, name: str, site: Operation) -> Value:
    found = probe(machine, state, ref, name, site)
    if found is not DELETED:
        return found
    if added_elsewhere(state, ref, name):
        return symbol("attribute", name, ref, name)
    missing(state, ref, name, "read", site)
    return UNKNOWN


def is_own_method(machine: Machine, name: str) -> bool:
    """Whether a function of the script has this name: a module of its own class may stand where this one does."""
    return any(define.name == name for define in machine.definitions.values())


def added_elsewhere(state: State, ref: Ref, name: str) -> bool:
    """Whether code that is not followed may have added an attribute: it was handed the module, and the name is not that
    of a part of some model, which it would be if one model were taken for another."""
    if name in catalog.part_names() and state.heap[ref.address].cls is None:
        return False
    return any(type(event) is events.Escaped and event.module == ref.address for event in state.happened())


def probe(machine: Machine, state: State, ref: Ref, name: str, site: Operation) -> Value:
    """An attribute of a module, an unknown if it may exist, `DELETED` if it surely does not."""
    module: Module = state.heap[ref.address]
    if name in module.values:
        return module.values[name]
    child = heap.get_child(state, ref, name, site)
    if child is not DELETED:
        return child
    removed = name in module.children
    if not removed and name in (own_parameters(module) or ()):
        return Parameter(ref, name)
    value = heap.field(module, name)
    if value is not UNKNOWN:
        return value
    if module.cls is not None:
        attribute = class_constant(machine, module.cls, name)
        if attribute:
            return bind(machine, state, ref, attribute, site)
    if name == "_modules":
        return state.allocate(Dictionary(None, ref.address), site)
    if name == "training":
        return module.training
    if name == "__dict__":  # through which attributes come and go unseen
        state.heap[ref.address] = module._replace(known=False)
    if name in catalog.module_attributes():
        return Method(ref, name)
    if removed:
        return DELETED
    return _beyond(machine, state, module, ref, name)


def _beyond(machine: Machine, state: State, module: Module, ref: Ref, name: str) -> Value:
    """An attribute that is neither child, field nor method of every module."""
    known = None
    if module.node is not None and module.cls is None:
        known = name in module.node.attributes or (False if module.node.whole and module.known else None)
        if is_of_transformers(module) and is_part_of_another_class(name):
            known = False  # it would be among the parts, all of which are known by name
        if known is False and (is_of_timm(module) or machine.patched) and name not in catalog.part_names():
            known = None
    elif module.cls is None and module.known and own_parameters(module) is not None:
        # Only of a layer whose parameters are known by name can one be missing.
        signature = catalog.layer(module.kind)
        known = signature is None or name in signature.parameters or name in catalog.layer_attributes(module.kind)
    elif module.cls is None and module.kind in heap.CONTAINERS:  # however many layers it has
        known = name in catalog.layer_attributes(module.kind) or None
    elif module.cls is not None:
        if name in ("freeze", "load_from_checkpoint", "unfreeze") and is_lightning(module.cls):
            return Method(ref, name)
        return (
            DELETED if lacks(machine, state, ref, name) else symbol("attribute", f"{module.cls.name}.{name}", ref, name)
        )
    # A name with an underscore is somebody's own, but `_fc` and its like are what other libraries call their heads.
    private = known is False and name[0] == "_" and name.lstrip("_") not in catalog.part_names()
    elsewhere = known is False and machine.may_be_assigned(name) and not is_fresh(state, ref)
    if known is False and not private and not elsewhere and not is_own_method(machine, name):
        return DELETED
    if known and (module.kind.startswith("torch.nn.") or (Module, name) in registry.METHODS):
        return Method(ref, name)
    return symbol("attribute", f"{module.kind.rsplit('.', 1)[-1]}.{name}", ref, name)


def is_fresh(state: State, ref: Ref) -> bool:
    """Whether a model was built since the function was entered that is followed, and no code has had it since that is
    not."""
    for event in () if state.cut else state.happened():
        if type(event) is events.Built and event.module == ref.address:
            return True
        if type(event) is events.Escaped and event.module == ref.address:
            break
        if type(event) in (events.Entered, events.Skipped):
            break
    return False


def never_had(machine: Machine, state: State, ref: Ref, name: str) -> bool:
    """Whether a library's model surely has no such attribute: it is known in full, nothing on the path gave it one, and
    no code that did not run can have."""
    module: Module = state.heap[ref.address]
    node = module.node
    if node is None or not node.whole or not module.known or module.cls is not None or name in node.attributes:
        return False
    if is_of_timm(module) and name.lstrip("_") not in {*catalog.part_names(), "last_linear"}:
        return False
    made_here = machine.entry is not None and id(module.site) in machine.entry
    if machine.may_be_assigned(name) and not made_here:
        return False
    return not any(type(event) is events.Escaped and event.module == ref.address for event in state.happened())


def lacks(machine: Machine, state: State, ref: Ref, name: str) -> bool:
    """Whether a network of the script surely has no such attribute: it is made by the script itself, it and its bases
    are known in full, and no code sets one of this name on anything, or has done so yet. What a base class only speaks
    of may be set by classes elsewhere."""
    from headcheck.semantics import lightning

    module: Module = state.heap[ref.address]
    assert module.cls is not None
    bases = heap.library_bases(module.cls) - {"torch.nn.Module"}
    if module.site.node is None or not module.known or not bases <= heap.LIGHTNING or machine.patched:
        return False
    if bases and lightning.has(name):
        return False
    if any(class_attribute(module.cls, hook) for hook in ("__getattr__", "__getattribute__")):
        return False
    declared = any(name in cls.fields for cls in (module.cls, *module.cls.bases) if type(cls) is Class)
    assigned = machine.facts.assigned_attributes
    if declared or ANY in assigned or name in machine.set_on_classes:
        return False
    return name not in assigned or comes_later(machine, state, ref, assigned[name])


def comes_later(machine: Machine, state: State, ref: Ref, sites: frozenset[int]) -> bool:
    """Whether none of the operations that set an attribute somewhere has set one of this module so far, though nothing
    could go another way: each has run and set another's, or the module is still being made. A method that nothing calls
    does not know which others ran before it."""
    if state.conditions or state.guesses or state.cut:
        return False
    if any(id(operation) in sites for op in machine.skipped.values() for operation in walk([op])):
        return False
    reached = machine.reached if machine.reached_at_home is None else machine.reached_at_home
    return ("making", ref.address) in state.facts or sites <= reached


def is_part_of_another_class(name: str) -> bool:
    from headcheck.catalog import transformers  # only where there is a model of it

    return name in transformers.own_names()


def is_of_transformers(module: Module) -> bool:
    return module.build is not None and module.build.builder.startswith("transformers.") and module.cls is None


def is_of_timm(module: Module) -> bool:
    """Whether a model is one of timm, whose versions have had layers under many names (``act2`` of EfficientNet), or of
    a repository on the hub, whose code may have grown since."""
    return module.build is not None and module.build.builder.startswith(("timm.", "torch_hub."))


def is_left_out(state: State, of: Value, name: str) -> bool:
    """Whether the library itself has None where this model could have a part."""
    thing = state.object(of)
    return type(thing) is Module and thing.node is not None and name not in thing.values and name in thing.node.values


def missing(state: State, ref: Ref, name: Any, action: str, site: Operation, error: str = "") -> None:
    """Log what a module does not have, unless the script catches it or has tested the module, and end the path."""
    if not state.guards and not is_tested(state, ref):
        state.log(events.Missing(site, ref.address, name, action))
    state.end("raise", error or ("IndexError" if action == "index" else "AttributeError"))


def type_of(state: State, value: Value) -> Value:
    """The class of a value, None where it is not known or has several names."""
    thing = state.object(value)
    if type(thing) is Module:
        return thing.cls or (Library(thing.kind) if thing.kind.startswith("torch.nn.") else None)
    if type(thing) is Instance:
        return thing.cls
    if type(thing) is Sequence and thing.kind in ("list", "set"):
        return Library(f"builtins.{thing.kind}")
    plain = next((kind for kind in (bool, int, float, str, bytes) if isinstance(value, kind)), None)
    name = "tuple" if type(value) is Tuple else plain.__name__ if plain is not None else ""
    return Library(f"builtins.{name}") if name else None


def class_of(state: State, value: Value) -> Value:
    """The class of a value; where it is not known, or has several names, an unknown that only tells its last name."""
    found = type_of(state, value)
    return class_unknown(value) if found is None else found


def class_name(state: State, of: Symbol) -> Value:
    """What the class of a library's model is called: ``ResNet``."""
    assert isinstance(of.key, tuple)
    thing = state.object(of.key[1])
    last = thing.kind.rsplit(".", 1)[-1] if type(thing) is Module and thing.chosen is None else ""
    return last if last[:1].isupper() else name_of_class(of)


def is_tested(state: State, ref: Ref) -> bool:
    """Whether a path has assumed something of a module, which may be that it has what is asked of it."""
    facts = (fact for fact in state.facts if type(fact) in (tuple, Condition) and _is_of(fact, ref))
    return any(not choosing.is_of_class(fact, ref) for fact in facts)


def _is_of(value: Value, ref: Ref) -> bool:
    if type(value) is Symbol:
        parts = value.key
        return isinstance(parts, tuple) and parts[0] != "output" and any(_is_of(part, ref) for part in parts)
    if type(value) in (tuple, Condition, Method):
        return any(_is_of(part, ref) for part in value)
    return bool(value == ref)
