"""`torch`: layers, modules and their methods."""

from __future__ import annotations

from collections.abc import Mapping

from headcheck import catalog, events
from headcheck.catalog.entry import REQUIRED, Signature
from headcheck.interpreter import access, applying, heap, hooking, indexing, parts, writing
from headcheck.interpreter.heap import DELETED, Dictionary, Module, Sequence
from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.operators import public_name
from headcheck.interpreter.values import (
    Modules,
    Parameter,
    Parameters,
    Ref,
    Tensor,
    Tuple,
    Value,
    symbol,
)
from headcheck.ir import UNKNOWN, Call
from headcheck.semantics import python, statedicts
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import METHODS, CallSite, effect, family, hand_over, method

# -- layers ----------------------------------------------------------------------------------------------------------


@family("torch.")
def harmless(call: CallSite) -> Value:
    """Functions of torch read models and tensors; none puts a head in or thaws one."""
    return unknown(call)


@effect("torch.nn.Module.__init__", "torch.nn.modules.Module.__init__", "torch.nn.modules.module.Module.__init__")
@effect(*(f"{name}.__init__" for name in heap.LIGHTNING))
def module_init(call: CallSite) -> Value:
    writing.initialised(call.state, call.argument(0, "self"))
    return None


@family("torch.nn.")
def layer(call: CallSite) -> Value:
    kind = public_name(call.name)
    signature = catalog.layer(kind)
    if signature is None:
        return unknown(call)
    return make_layer(call, kind, signature)


def make_layer(call: CallSite, kind: str, signature: Signature) -> Value:
    """A layer with its arguments under their parameters' names, defaults filled in."""
    given = call.arguments[0] if call.arguments else None
    if type(given) is Tensor and (given.maker, given.source) != (None, None):  # ``nn.Flatten(x)``
        call.state.log(events.Uncalled(call.site, kind.rsplit(".", 1)[-1], "layer"))
    arguments, children = bind(call, signature)
    made = call.state.allocate(Module(kind, call.site, arguments=arguments, children=children), call.site)
    call.state.log(events.Created(call.site, made.address, children))
    return made


def bind(call: CallSite, signature: Signature) -> tuple[dict[str, Value], dict[str, Value]]:
    """(a layer's arguments by name, those of them that are modules)."""
    arguments: dict[str, Value] = {}
    open_ = "**" in call.keywords
    for position, (name, default) in enumerate(signature.parameters.items()):
        plain = UNKNOWN if default == REQUIRED else Tuple(default) if isinstance(default, tuple) else default
        arguments[name] = call.argument(position, name, plain)
        if open_ and position >= len(call.arguments) and name not in call.keywords:
            arguments[name] = UNKNOWN
    children = {n: v for n, v in arguments.items() if type(call.state.object(v)) is Module}
    return {n: v for n, v in arguments.items() if n not in children}, children


NORMS = tuple(
    f"torch.nn.utils.{name}"
    for name in ("spectral_norm", "weight_norm", "parametrizations.spectral_norm", "parametrizations.weight_norm")
)


@effect(*NORMS)
def normalised(call: CallSite) -> Value:
    """They answer the layer that they were given, which takes and gives as much as before; its parameters are others,
    and have other names."""
    of = call.argument(0, "module")
    hand_over(call)
    layer = call.state.object(of)
    if type(layer) is not Module:
        return unknown(call)
    call.state.heap[of.address] = layer._replace(known=False)
    return of


@family("torch.ao.")
@family("torch.nn.utils.parametrizations.")
@family("torch.nn.utils.parametrize.")
@family("torch.nn.utils.prune.")
@family("torch.quantization.")
def altered(call: CallSite) -> Value:
    """They put what is computed of a parameter into its place: a mask and what it leaves, a norm, a rounded copy."""
    return hand_over(call)


@family("torch.nn.functional.")
@family("torch.nn.utils.")
def functional(call: CallSite) -> Value:
    return unknown(call)


@family("torch.nn.init.")
def filled(call: CallSite) -> Value:
    """What the functions that fill a tensor answer: the tensor that they were given."""
    return call.argument(0, "tensor") if call.name.endswith("_") else unknown(call)


@effect("torch.nn.Parameter", "torch.nn.parameter.Parameter")
def parameter(call: CallSite) -> Value:
    return symbol("parameter at", "nn.Parameter(…)", id(call.site))


@effect("torch.nn.Sequential", "torch.nn.modules.container.Sequential")
def sequential(call: CallSite) -> Value:
    children, known = stacked(call)
    return container(call, "torch.nn.Sequential", children, known, {} if known else sampled(call))


def sampled(call: CallSite) -> dict[str, Value]:
    """The children of a Sequential made of a list of unknown length, if each loop that filled it took one turn."""
    if not isinstance(call.site, Call):
        return {}
    found: list[Value] = []
    for starred, operand in call.site.arguments:
        value = call.machine.read(call.state, operand)
        items = sample_of(call, value) if starred else (value,)
        if items is None:
            return {}
        found.extend(items)
    return {str(index): value for index, value in enumerate(found)}


def sample_of(call: CallSite, value: Value) -> tuple[Value, ...] | None:
    thing = call.state.object(value)
    if type(thing) is Module and heap.is_sequential(thing) and not thing.known:
        return tuple(heap.get_child(call.state, value, name, call.site) for name in heap.child_names(thing))
    if type(thing) is Sequence and thing.items is None:
        return thing.sample
    return items_of(call.machine, call.state, value, call.site)


def fill_stack(call: CallSite) -> None:
    """``super().__init__(*layers)`` in a class that derives from Sequential."""
    children, known = stacked(call)
    found = module(call)
    call.state.heap[call.receiver.address] = found._replace(children=children, known=found.known and known)


def stacked(call: CallSite) -> tuple[dict[str, Value], bool]:
    """(the children of a Sequential by name, whether those are all)."""
    children: dict[str, Value] = {}
    known = not call.is_open()
    if len(call.arguments) == 1 and type(call.state.object(call.arguments[0])) is Dictionary:
        pairs = call.state.object(call.arguments[0]).items
        known = pairs is not None
        children = {str(name): value for name, value in pairs or ()}
    else:
        children = {str(index): value for index, value in enumerate(call.arguments)}
    return children, known


def container(
    call: CallSite, kind: str, children: dict[str, Value], known: bool, sample: Mapping[str, Value] = heap.EMPTY
) -> Value:
    """`sample` are children that a stack of unknown length has in its plan; reading does not know of them."""
    made = call.state.allocate(Module(kind, call.site, children=children, known=known), call.site)
    call.state.log(events.Created(call.site, made.address, children or sample))
    for value in children.values():
        if writing.is_layer_class(value):
            call.state.log(events.Uncalled(call.site, value.name.rsplit(".", 1)[-1], "layer"))
    return made


@effect("torch.nn.ModuleList", "torch.nn.modules.container.ModuleList")
def module_list(call: CallSite) -> Value:
    found = items_of(call.machine, call.state, call.argument(0, "modules", Tuple(())), call.site)
    children = {str(index): value for index, value in enumerate(found or ())}
    return container(call, "torch.nn.ModuleList", children, found is not None)


@effect("torch.nn.ModuleDict", "torch.nn.modules.container.ModuleDict")
def module_dict(call: CallSite) -> Value:
    given = call.argument(0, "modules", None)
    thing = Dictionary(()) if given is None else call.state.object(given)
    pairs = thing.items if type(thing) is Dictionary else None
    children = {str(name): value for name, value in pairs or ()}
    return container(call, "torch.nn.ModuleDict", children, pairs is not None)


DATA_PARALLEL = "torch.nn.DataParallel"
DISTRIBUTED = "torch.nn.parallel.DistributedDataParallel"


@effect(DATA_PARALLEL, "torch.nn.parallel.DataParallel", "torch.nn.parallel.data_parallel.DataParallel")
def data_parallel(call: CallSite) -> Value:
    return container(call, DATA_PARALLEL, {"module": call.argument(0, "module")}, True)


@effect(DISTRIBUTED, "torch.nn.parallel.distributed.DistributedDataParallel")
def distributed(call: CallSite) -> Value:
    return container(call, DISTRIBUTED, {"module": call.argument(0, "module")}, True)


SCRIPTED = "torch.jit.ScriptModule"


@effect("torch.jit.script", "torch.jit.trace")
def scripted(call: CallSite) -> Value:
    """TorchScript: a module that takes no new parts. `obj` is the one it was made from."""
    source = call.argument(0, "obj", call.keywords.get("func", UNKNOWN))
    if type(call.state.object(source)) is not Module:
        return unknown(call)
    made = Module(SCRIPTED, call.site, arguments={"obj": source})
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address))
    return ref


@effect("torch.compile")
def compiled(call: CallSite) -> Value:
    """`torch.compile` hands attribute access through to the module it wraps."""
    return call.argument(0, "model")


# -- methods of every module -----------------------------------------------------------------------------------------


def module(call: CallSite) -> Module:
    found = call.state.heap[call.receiver.address]
    assert type(found) is Module
    return found


@method(Module, "parameters", "named_parameters")
def parameters(call: CallSite) -> Value:
    named = call.name == "named_parameters"
    recurse, prefix = call.argument(1 if named else 0, "recurse", True), call.argument(0, "prefix", "") if named else ""
    if type(recurse) is not bool or not isinstance(prefix, str):
        return unknown(call)
    return Parameters(call.receiver, named, str(prefix), not recurse)


@method(Module, "children", "named_children", "modules", "named_modules")
def modules(call: CallSite) -> Value:
    return Modules(call.receiver, call.name)


@method(Module, "requires_grad_")
def requires_grad(call: CallSite) -> Value:
    value = call.argument(0, "requires_grad", True)
    if type(value) is bool:
        heap.set_all_flags(call.state, call.receiver, value)
        call.state.log(events.Flagged(call.site, call.receiver.address, None, value))
    else:
        call.state.log(events.Escaped(call.site, call.receiver.address, "requires_grad_"))
    return call.receiver


@method(Module, "train", "eval")
def mode(call: CallSite) -> Value:
    training = call.argument(0, "mode", True) if call.name == "train" else False
    if type(training) is bool:
        for _, part in list(heap.subtree(call.state, call.receiver)):
            call.state.heap[part.address] = call.state.heap[part.address]._replace(training=training)
        call.state.log(events.ModeSet(call.site, call.receiver.address, training))
    return call.receiver


@method(Module, "items", "keys", "values")
def entries(call: CallSite) -> Value:
    """What a ModuleDict holds."""
    thing = module(call)
    if thing.kind != "torch.nn.ModuleDict" or not thing.known:
        return unknown(call)
    pairs = [(name, heap.get_child(call.state, call.receiver, name, call.site)) for name in heap.child_names(thing)]
    parts: dict[str, list[Value]] = {
        "items": [Tuple(pair) for pair in pairs],
        "keys": [name for name, _ in pairs],
        "values": [value for _, value in pairs],
    }
    return call.state.allocate(Sequence(tuple(parts[call.name])), call.site)


@method(Module, "add_module", "register_module")
def add_module(call: CallSite) -> Value:
    name, value = call.argument(0, "name"), call.argument(1, "module")
    if isinstance(name, str):
        heap.set_child(call.state, call.receiver, str(name), value, call.site, "method")
    else:
        call.state.heap[call.receiver.address] = module(call)._replace(known=False)
    return None


@method(Module, "append")
def append(call: CallSite) -> Value:
    if not indexing.positional(module(call)):
        return escape(call)
    name = str(len(heap.slot_names(module(call))))
    heap.set_child(call.state, call.receiver, name, call.argument(0, "module"), call.site, "method")
    return call.receiver


@method(Module, "extend", "insert", "pop")
def rearrange(call: CallSite) -> Value:
    if not indexing.positional(module(call)):
        return escape(call)
    children = [heap.get_child(call.state, call.receiver, n, call.site) for n in heap.slot_names(module(call))]
    taken: Value = call.receiver
    if call.name == "extend":
        more = items_of(call.machine, call.state, call.argument(0, "modules"), call.site)
        if more is None:
            call.state.heap[call.receiver.address] = module(call)._replace(known=False)
            return call.receiver
        children.extend(more)
    elif type(index := call.argument(0, "index" if call.name == "insert" else "key")) is not int:
        call.state.heap[call.receiver.address] = module(call)._replace(known=False)
        return unknown(call)
    elif call.name == "insert":
        children.insert(index, call.argument(1, "module"))
    else:
        if not -len(children) <= index < len(children):
            access.missing(call.state, call.receiver, index, "index", call.site)
            return UNKNOWN
        taken = children.pop(index)
    old = heap.slot_names(module(call))
    heap.renumber(call.state, call.receiver, children, call.site)
    for name in old[len(children) :]:
        call.state.log(events.ChildDeleted(call.site, call.receiver.address, name, "rearranged"))
    for position, child in enumerate(children):
        call.state.log(events.ChildSet(call.site, call.receiver.address, str(position), child, None, "rearranged"))
    return taken


@method(Module, "load_state_dict")
def load_state_dict(call: CallSite) -> Value:
    return statedicts.load(call)


@method(Module, "state_dict")
def state_dict(call: CallSite) -> Value:
    return unknown(call) if call.arguments or call.keywords else statedicts.taken(call.state, call.receiver, call.site)


@method(Module, "get_submodule")
def get_submodule(call: CallSite) -> Value:
    target, current = call.argument(0, "target"), call.receiver
    for name in target.split(".") if isinstance(target, str) and target else ():
        if type(call.state.object(current)) is not Module:
            return unknown(call)
        found = heap.get_child(call.state, current, name, call.site)
        if found is DELETED:
            return unknown(call)
        current = found
    return current if isinstance(target, str) else unknown(call)


@method(Module, "set_submodule")
def set_submodule(call: CallSite) -> Value:
    """What is put in at ``a.b``; anywhere, if that is not known."""
    target, value = call.argument(0, "target"), call.argument(1, "module")
    above, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    owner = get_submodule(call._replace(arguments=(above,), keywords={}))
    if not isinstance(target, str) or type(call.state.object(owner)) is not Module:
        writing.blur(call.state, call.receiver)
        return escape(call)
    heap.set_child(call.state, owner, name, value, call.site, "method")
    return None


@method(Module, "__setattr__")
def set_attribute(call: CallSite) -> Value:
    return python.setattr_(call._replace(arguments=(call.receiver, *call.arguments), receiver=None))


@method(Module, "get_parameter")
def get_parameter(call: CallSite) -> Value:
    target = call.argument(0, "target")
    return Parameter(call.receiver, str(target)) if isinstance(target, str) else unknown(call)


@method(Module, "apply")
def apply(call: CallSite) -> Value:
    """A function for each part of a model, which may set anything of each where nobody knows what it does."""
    done = applying.apply(call.machine, call.state, call.receiver, call.argument(0, "fn"), call.site)
    if done is not None:
        return done
    if hooking.may_set(call.machine, call.argument(0, "fn")):
        parts.rebind(call.state, call.receiver)
    escape(call)
    return call.receiver


@method(Module, "register_full_backward_hook")
def backward_hook(call: CallSite) -> Value:
    return escape(call)


@method(Module, "__init__")
def made_again(call: CallSite) -> Value:
    """``model.avgpool.__init__((2, 2))``."""
    if module(call).cls is None:
        parts.rebind(call.state, call.receiver)
    return None


@method(Module, "register_forward_hook", "register_forward_pre_hook")
def hook(call: CallSite) -> Value:
    """A hook that answers something puts that in the place of what goes in or comes out."""
    if hooking.may_answer(call.machine, call.argument(0, "hook")):
        parts.rebind(call.state, call.receiver)
    return escape(call)


@method(Module, "register_buffer", "register_parameter")
def register(call: CallSite) -> Value:
    """A new attribute, of which no more than its name is known; a parameter makes the module's own incomplete."""
    name = call.argument(0, "name")
    thing = module(call)
    if isinstance(name, str):
        value = symbol("attribute", str(name), call.receiver, str(name))
        thing = thing._replace(values={**thing.values, str(name): value})
    known = thing.known and isinstance(name, str) and call.name == "register_buffer"
    call.state.heap[call.receiver.address] = thing._replace(known=known)
    return None


@method(
    Module,
    "zero_grad", "buffers", "named_buffers", "share_memory", "extra_repr", "__len__", "__repr__",
    "get_buffer",
)  # fmt: skip
def no_change(call: CallSite) -> Value:
    return len(heap.slot_names(module(call))) if call.name == "__len__" and module(call).known else unknown(call)


@method(Module, "*")
def other_method(call: CallSite) -> Value:
    """A method headcheck does not follow may do anything to the module."""
    return escape(call)


def escape(call: CallSite) -> Value:
    call.state.log(events.Escaped(call.site, call.receiver.address, call.name))
    return unknown(call)


@family("torch.nn.Module.")
@family("torch.nn.modules.module.Module.")
def unbound(call: CallSite) -> Value:
    """``nn.Module.requires_grad_(model.fc, True)``: the method, with its object as the first argument."""
    receiver, name = call.argument(0, "self"), call.name.rsplit(".", 1)[-1]
    if type(call.state.object(receiver)) is not Module:
        return unknown(call)
    effect_ = METHODS.get((Module, name)) or METHODS[Module, "*"]
    return effect_(call._replace(name=name, receiver=receiver, arguments=call.arguments[1:]))
