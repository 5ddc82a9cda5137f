"""Setting and deleting attributes, by the kind of what has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headcheck import catalog, events
from headcheck.catalog.files import library_of
from headcheck.interpreter import heap, parts
from headcheck.interpreter.access import class_attribute, missing, shape_of
from headcheck.interpreter.alike import forget_attribute_alike
from headcheck.interpreter.forgetting import forget_every_constant
from headcheck.interpreter.heap import DELETED, Instance, Module, Sequence
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Class,
    Function,
    Library,
    Method,
    Own,
    Parameter,
    Parameters,
    Ref,
    Symbol,
    Tensor,
    Value,
    is_plain,
    label,
    symbol,
)
from headcheck.ir import UNKNOWN, Operation, SetAttribute, Variable
from headcheck.semantics.layers import own_parameters

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def set_attribute(machine: Machine, state: State, of: Value, name: str, value: Value, site: Operation) -> None:
    kind = type(of)
    log_unresolved(state, of, name, value, site)
    if name == "requires_grad" and (kind is Symbol or of is UNKNOWN):
        from headcheck.semantics.gradients import is_loss

        state.log(events.FlagMissed(site, "loss" if is_loss(state, of) else "unknown", of, name, value))
    if kind is Ref:
        thing = state.heap[of.address]
        if type(thing) is Module:
            set_module_attribute(machine, state, of, name, value, site)
        elif type(thing) is Instance:
            set_instance_attribute(state, of, thing, name, value, site)
        elif type(thing) is Sequence and name == "requires_grad":
            state.log(events.FlagMissed(site, "list", of, name, value))
        elif type(thing) in CHANGED:
            CHANGED[type(thing)](state, of, thing, name)
    elif kind is Parameter:
        set_parameter_attribute(state, of, name, value, site)
    elif kind in (Parameters, Method) and name == "requires_grad":
        called = kind is Parameters or of.name in ("parameters", "named_parameters")
        if kind is Method and of.name == "data" and type(of.receiver) is Parameter:
            if value is not True or not has_a_name(site):  # else a tensor of its own, that gradients are taken by
                state.log(events.FlagMissed(site, "data", of.receiver.owner, name, value, of.receiver.path))
        elif called:
            state.log(events.FlagMissed(site, "call" if kind is Parameters else "uncalled", of, name, value))
    elif kind is Tensor and name == "requires_grad":
        state.log(events.FlagMissed(site, "tensor", of, name, value))
    elif kind is Tensor and name == "data":
        from headcheck.semantics import in_place

        in_place.replaced(state, of, value if type(value) is Tensor else Tensor(None))
    elif kind is Symbol:
        if name == "data":
            state.log(events.Overwritten(site, None, anew=True))
        for address in parts.made_of(state, of) if "forward" in name else ():  # ``type(model).forward = …``
            parts.rebind(state, Ref(address))
        forget_attribute_alike(state, of, name, id(site))
        remember(state, of, name, value)
    elif kind is Library and makes_modules(of.name):  # ``nn.Module.flops = …``: modules may have more from here on
        machine.patched = True
        alter(state, of.name, name, value)
    elif kind is Class:
        machine.set_on_classes.add(name)
    elif kind is Own and of.key in state.globals:
        state.set_global(of.key, name, value)


def set_instance_attribute(state: State, of: Ref, thing: Instance, name: str, value: Value, site: Operation) -> None:
    """Where a property, or the class itself, has it done by code of its own, nobody knows what that sets."""
    if thing.cls is not None and (_property(thing.cls, name) or class_attribute(thing.cls, "__setattr__")):
        forget_every_constant(state, of, id(site))
        if not _property(thing.cls, name):
            value = symbol("attribute", f"{thing.cls.name}.{name}", of, name, id(site)) if is_plain(value) else value
            thing = state.heap[of.address]
            state.heap[of.address] = thing._replace(attributes={**thing.attributes, name: value})
        return
    state.heap[of.address] = thing._replace(attributes={**thing.attributes, name: value})


def makes_modules(name: str) -> bool:
    """Whether a thing of a library may be, or make, what modules are of: its settings (``cudnn.benchmark = True``), and
    those of others (``ImageFile.LOAD_TRUNCATED_IMAGES = True``), are no part of any."""
    if name.startswith("torch.backends."):
        return False
    return library_of(name) is not None or any(name.startswith(made.partition(".")[0]) for made in heap.LIGHTNING)


def alter(state: State, of: str, name: str, value: Value) -> None:
    """What a class of a library answers is not known where its forward is another (``nn.Linear.forward = …``), nor
    what models are made of where the class itself is (``resnet.BasicBlock = …``)."""
    if "forward" in name or name in ("__call__", "_call_impl", "__init__"):
        state.facts[parts.ALTERED] = state.facts[parts.ALTERED, of] = True
    elif type(value) in (Class, Function) and not of.startswith("torch."):
        state.facts[parts.ALTERED] = True


def has_a_name(site: Operation) -> bool:
    """Whether what an attribute is set on is in a variable of the script, and so lasts."""
    return type(site) is SetAttribute and type(site.of) is Variable and site.of[0] != "%"


# What writing to an attribute of an object of a library changes, by the class that stands for it.
CHANGED: dict[type, Callable[[State, Ref, Any, str], None]] = {}


def remember(state: State, of: Symbol, name: str, value: Value) -> None:
    """What was written to an attribute of something unknown is read from it again; another unknown is not followed.

    What was read before stays what it was: ``encoder.fc = nn.Sequential(encoder.fc, …)`` holds the old one.
    """
    before = symbol("attribute", f"{of.label}.{name}", of, name)
    for key in (("truth", before), ("not", before), ("in", before), before):
        state.facts.pop(key, None)
    if type(value) is not Symbol and value is not UNKNOWN:
        state.facts["written", of, name] = value
    else:
        state.facts.pop(("written", of, name), None)


def log_unresolved(state: State, of: Value, name: Any, value: Value, site: Operation) -> None:
    """A new module put into something unknown is a replacement that could not be judged: any part of the models that
    the unknown was taken from may be another one now."""
    thing = state.object(value)
    if type(thing) is not Module or thing.node is not None:
        return
    if type(of) is Symbol or of is UNKNOWN:
        state.log(events.Unresolved(site, name, label(of), value, of))
        for address in parts.made_of(state, of):
            state.log(events.Escaped(site, address, label(of)))
    else:
        owner = state.object(of)
        if type(owner) is Module and not owner.known and owner.cls is None:
            state.log(events.Unresolved(site, name, owner.kind.rsplit(".", 1)[-1], value, of))


def filled(state: State, of: Value, value: Value, site: Operation) -> None:
    """Something that is no module was put into a part of a model under a name nobody knows: ``setattr(part, leaf,
    nn.Parameter(numbers))``."""
    if type(of) is Symbol and type(state.object(value)) is not Module:
        for address in parts.made_of(state, of):
            state.log(events.Overwritten(site, address, anew=True))


def blur(state: State, target: Value) -> None:
    """An attribute of unknown name changed: nothing more is sure of this module's children."""
    thing = state.object(target)
    if type(thing) is Module:
        state.heap[target.address] = thing._replace(known=False)


def is_layer_class(value: Value) -> bool:
    """Whether a value is a class of layers itself, and not a layer."""
    return type(value) is Library and value.name.startswith("torch.nn.") and catalog.layer(value.name) is not None


def initialised(state: State, ref: Value) -> None:
    """`Module.__init__` ran on an object of the script's class."""
    if type(ref) is Ref:
        state.facts.pop(("bare", ref.address), None)


def initialised_any(state: State) -> None:
    """`Module.__init__` may have run on any object of the script's classes."""
    for fact in [fact for fact in state.facts if type(fact) is tuple and fact[0] == "bare"]:
        del state.facts[fact]


def set_module_attribute(machine: Machine, state: State, ref: Ref, name: str, value: Value, site: Operation) -> None:
    module: Module = state.heap[ref.address]
    if type(state.object(value)) is Module:
        if state.facts.pop(("bare", ref.address), None):
            state.log(events.Uncalled(site, name, "init"))
        heap.set_child(state, ref, name, value, site)
        return
    child = heap.get_child(state, ref, name, site)
    if child is not DELETED and is_layer_class(value):
        state.log(events.Uncalled(site, value.name.rsplit(".", 1)[-1], "layer"))
    if child is not DELETED and (value is None or not is_plain(value)):
        heap.set_child(state, ref, name, value, site)
        return
    module = state.heap[ref.address]
    if module.cls is not None and _property(module.cls, name):
        return
    if name == "requires_grad":
        state.log(events.FlagMissed(site, "module", ref, name, value))
    if name == "__dict__":  # whatever another object has
        module = module._replace(known=False)
    if name == "__class__":
        name = "forward"  # of another class
    own = own_parameters(module)
    if name in own if own is not None else module.cls is None and not is_plain(value):
        module = of_any_size(module)  # another parameter, of whatever size
        if type(value) is Parameter:  # that of another module, which shares it from here on
            state.log(events.Overwritten(site, ref.address, anew=True))
    state.heap[ref.address] = module._replace(values={**module.values, name: value})
    if module.cls is None:
        state.log(events.FieldSet(site, ref.address, name, value))


def of_any_size(module: Module) -> Module:
    """The module, one of whose own parameters is another one of a size that is not known."""
    sizes = {size: UNKNOWN for size in SIZES if heap.field(module, size) is not UNKNOWN}
    return module._replace(known=False, values={**module.values, **sizes})


# What the size of a layer's weight decides, whatever the layer was built with.
SIZES = ("in_features", "out_features", "in_channels", "out_channels", "num_features")


def _property(cls: Class, name: str) -> bool:
    found = class_attribute(cls, name)
    return bool(found and type(found[0]) is Function and found[0].wrapper == "property")


def set_parameter_attribute(state: State, of: Parameter, name: str, value: Value, site: Operation) -> None:
    if name == "requires_grad":
        flag_parameter(state, of, value, site)
    elif name == "data":
        overwritten(state, of, site, anew=True)
        if type(state.object(of.owner)) is Module and not keeps_shape(state, of, value):
            owner = heap.settle(state, of).owner.address
            state.heap[owner] = of_any_size(state.heap[owner])
            state.log(events.Resized(site, owner))
    elif name not in ("grad", "__class__"):
        state.log(events.FlagMissed(site, "parameter", of.owner, name, value, of.path))


def keeps_shape(state: State, of: Parameter, value: Value) -> bool:
    """Whether what is written into a parameter is known to have its shape."""
    if type(value) is Method and value.name == "data":
        value = value.receiver
    if type(value) is Parameter:
        shape = shape_of(state, value)
        return value == of or (shape is not None and shape == shape_of(state, of))
    return type(value) is Tensor and value.shape is not None and value.shape == shape_of(state, of)


def overwritten(state: State, of: Parameter, site: Operation, anew: bool = False) -> None:
    """The numbers of a parameter are others from here on: those of another model, or an average of both."""
    known = type(state.object(of.owner)) is Module
    state.log(events.Overwritten(site, heap.settle(state, of).owner.address if known else None, anew))


def flag_parameter(state: State, of: Parameter, value: Value, site: Operation) -> None:
    """``parameter.requires_grad = value``; an unknown value may be either."""
    if type(state.object(of.owner)) is not Module:
        return
    of = heap.settle(state, of)
    if type(value) is bool:
        state.flags[of.owner.address, of.path] = value
        state.log(events.Flagged(site, of.owner.address, (of.path,), value))
    else:
        state.log(events.FlagMissed(site, "unknown", of.owner, "requires_grad", value, of.path))


def delete_attribute(state: State, of: Value, name: str, site: Operation) -> None:
    thing = state.object(of)
    if type(thing) is Module:
        if heap.get_child(state, of, name, site) is not DELETED:
            heap.delete_child(state, of, name, site)
        elif name in thing.values:
            state.heap[of.address] = thing._replace(values={k: v for k, v in thing.values.items() if k != name})
        elif thing.node is not None and thing.node.whole and name not in {*thing.node.attributes, *thing.node.values}:
            missing(state, of, name, "delete", site)
        elif not thing.known:  # it may have had one
            heap.delete_child(state, of, name, site)
    elif type(thing) is Instance:
        kept = {k: v for k, v in thing.attributes.items() if k != name}
        state.heap[of.address] = thing._replace(attributes=kept)
