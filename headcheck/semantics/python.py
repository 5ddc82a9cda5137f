"""The built-in functions and the methods of built-in types, as far as scripts use them on models."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from headcheck import catalog, events
from headcheck.catalog.entry import NAMES
from headcheck.interpreter import access, heap, modules, picking, writing
from headcheck.interpreter.forgetting import forget_every_constant
from headcheck.interpreter.heap import DELETED, Dictionary, Instance, Module, Sequence, StateDict
from headcheck.interpreter.iterate import ELEMENTS, element_of, items_of
from headcheck.interpreter.operators import truth
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    Choice,
    Class,
    Condition,
    Filtered,
    Identity,
    Lazy,
    Library,
    Own,
    Parameters,
    Partial,
    Ref,
    Super,
    Symbol,
    Tensor,
    Tuple,
    Value,
    distinct,
    is_plain,
    label,
    size_of,
    symbol,
)
from headcheck.ir import UNKNOWN
from headcheck.semantics import layers
from headcheck.semantics.registry import CallSite, effect, family


def items(call: CallSite, value: Value) -> tuple[Value, ...] | None:
    return items_of(call.machine, call.state, value, call.site)


def make_list(call: CallSite, found: tuple[Value, ...] | None, kind: str = "list") -> Ref:
    return call.state.allocate(Sequence(distinct(found) if kind == "set" else found, kind), call.site)


def unknown(call: CallSite) -> Value:
    """The result of a call of which only its identity is known."""
    if any(value is UNKNOWN for value in call.arguments) or call.keywords:
        given = [*call.arguments, *(part for pair in sorted(call.keywords.items(), key=itemgetter(0)) for part in pair)]
        return symbol("call at", f"{call.name.rsplit('.', 1)[-1]}(…)", id(call.site), call.name, *given)
    text = ", ".join(label(value) for value in call.arguments)
    return symbol("call", f"{call.name.rsplit('.', 1)[-1]}({text})", call.name, call.receiver, *call.arguments)


@effect("contextlib.suppress")
@family("builtins.")
def builtin(call: CallSite) -> Value:
    return unknown(call)


@effect("builtins.id")
def identity(call: CallSite) -> Value:
    return Identity(call.arguments[0]) if len(call.arguments) == 1 else UNKNOWN


@effect("builtins.print", "builtins.input", "builtins.hash")
@effect("builtins.display", "IPython.display.display")
def harmless(call: CallSite) -> Value:
    return symbol("call at", f"{call.name.rsplit('.', 1)[-1]}(…)", id(call.site), call.name)


@effect("torchinfo.summary", "torchsummary.summary")
def summary(call: CallSite) -> Value:
    """torchinfo moves a model to run it on pictures of its own: to where its first parameter is, or to an accelerator
    if there is one (`torchinfo.torchinfo.get_device`)."""
    ref = call.argument(0, "model")
    if type(call.state.object(ref)) is Module:
        call.state.log(events.Summarised(call.site, ref.address))
        if call.name.startswith("torchinfo.") and call.argument(1, "input_size", None) is not None:
            device = "unsure" if "device" in call.keywords else "accelerator"
            call.state.log(events.Moved(call.site, ref.address, "summary(…)", device))
    return harmless(call)


@effect("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort")
def leave(call: CallSite) -> Value:
    call.state.end("exit")
    return None


@effect("builtins.len")
def length(call: CallSite) -> Value:
    value = call.argument(0, "obj")
    thing = call.state.object(value)
    if type(thing) is Module:
        return len(heap.slot_names(thing)) if thing.known else unknown(call)
    if isinstance(value, str):
        return len(value)
    if type(value) is Tensor:
        return size_of(value, 0)
    known = items(call, value)
    if known is None and type(thing) is Sequence:
        filled, by = call.state.facts.get(("as long", value.address), (None, None))
        if filled is thing and type(by) is int:
            return by
        return unknown(call._replace(arguments=(by,)) if filled is thing else call)
    return unknown(call) if known is None else len(known)


@effect("typing.cast", "typing_extensions.cast")
def cast(call: CallSite) -> Value:
    return call.argument(1, "val")


@effect("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.iter")
def collect(call: CallSite) -> Value:
    kind = call.name.rsplit(".", 1)[-1]
    if kind == "iter" and call.arguments and type(call.state.object(call.arguments[0])) in ELEMENTS:
        return call.arguments[0]
    found = items(call, call.argument(0, "iterable", Tuple(())))
    if kind == "tuple":
        return unknown(call) if found is None else Tuple(found)
    if found is None and call.arguments and type(call.arguments[0]) in (Parameters, Filtered, Lazy):
        return call.arguments[0]
    return make_list(call, found, "set" if "set" in kind else "list")


@effect("builtins.dict", "collections.OrderedDict")
def dictionary(call: CallSite) -> Value:
    pairs: dict[Value, Value] = {}
    if call.arguments:
        thing = call.state.object(call.arguments[0])
        if type(thing) is StateDict and not call.keywords:
            return call.state.allocate(thing, call.site)
        if type(thing) is Dictionary and thing.view is None:
            if thing.items is None:
                return call.state.allocate(Dictionary(None), call.site)
            pairs.update(thing.items)
        else:
            for pair in items(call, call.arguments[0]) or (UNKNOWN,):
                both = items(call, pair)
                if both is None or len(both) != 2:
                    return call.state.allocate(Dictionary(None), call.site)
                pairs[both[0]] = both[1]
    if call.is_open():
        return call.state.allocate(Dictionary(None), call.site)
    pairs.update(call.keywords)
    return call.state.allocate(Dictionary(tuple(pairs.items())), call.site)


@effect("builtins.range")
def range_(call: CallSite) -> Value:
    if (
        call.arguments
        and all(type(a) is int for a in call.arguments)
        and (len(call.arguments) < 3 or call.arguments[2])
    ):
        numbers = range(*call.arguments)
        if len(numbers) <= 1000:
            return make_list(call, tuple(numbers))
    return make_list(call, None)


@effect("builtins.reversed")
def reversed_(call: CallSite) -> Value:
    found = items(call, call.argument(0, "sequence"))
    return make_list(call, None if found is None else found[::-1])


@effect("builtins.sorted")
def sorted_(call: CallSite) -> Value:
    found = items(call, call.argument(0, "iterable"))
    if (
        found is None
        or call.keywords
        or not (all(isinstance(i, str) for i in found) or all(isinstance(i, (int, float)) for i in found))
    ):
        return make_list(call, None)
    return make_list(call, tuple(sorted(found)))


@effect("builtins.next")
def next_(call: CallSite) -> Value:
    iterator = call.argument(0, "iterator")
    if type(call.state.object(iterator)) in ELEMENTS:
        return element_of(call.state, iterator)
    found = items(call, iterator)
    if not found:
        return unknown(call)
    thing = call.state.object(iterator)
    if type(thing) is Sequence:  # what `iter` and the like answer: it has one less now
        call.state.heap[iterator.address] = thing._replace(items=found[1:])
    return found[0]


@effect("builtins.any", "builtins.all")
def any_all(call: CallSite) -> Value:
    found = items(call, call.argument(0, "iterable"))
    if found is None:
        return unknown(call)
    truths = [truth(call.state, item) for item in found]
    deciding = call.name.endswith("any")
    if deciding in truths:
        return deciding
    return unknown(call) if None in truths else not deciding


@effect("builtins.sum", "builtins.min", "builtins.max")
def fold(call: CallSite) -> Value:
    function = {"sum": sum, "min": min, "max": max}[call.name.rsplit(".", 1)[-1]]
    found = items(call, call.arguments[0]) if len(call.arguments) == 1 else call.arguments
    if found and not call.keywords and all(isinstance(item, (int, float)) for item in found):
        return function(found)  # type: ignore[operator]
    return unknown(call)


@effect("builtins.int", "builtins.float", "builtins.str", "builtins.bool", "builtins.abs", "builtins.round")
def convert(call: CallSite) -> Value:
    value = call.argument(0, "x")
    if not is_plain(value) or len(call.arguments) != 1 or call.keywords:
        known = truth(call.state, value) if call.name.endswith("bool") and len(call.arguments) == 1 else None
        if known is not None:
            return known
        if call.name == "builtins.str" and type(value) is Library and catalog.weights(value.name) is not None:
            return f"<enum '{value.name.rpartition('.')[2]}'>"
        # A conversion keeps what an unknown is: int(args.classes) is args.classes.
        return value if type(value) is Symbol and len(call.arguments) == 1 else unknown(call)
    functions = {"int": int, "float": float, "str": str, "bool": bool, "abs": abs, "round": round}
    try:
        return functions[call.name.rsplit(".", 1)[-1]](value)  # type: ignore[operator]
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN


@effect("builtins.isinstance")
def isinstance_(call: CallSite) -> Value:
    value, kinds = call.argument(0, "obj"), call.argument(1, "class_or_tuple")
    answers = [is_instance(call, value, kind) for kind in (kinds.items if type(kinds) is Tuple else (kinds,))]
    if True in answers:
        return True
    return unknown(call) if None in answers else False


COLLECTIONS = ("dict", "list", "set", "tuple")
PLAIN_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def is_pair(call: CallSite, value: Value) -> bool | None:
    """Whether a value is the named tuple that Inception and GoogLeNet answer in train mode."""
    key = value.key if type(value) is Symbol and isinstance(value.key, tuple) else ()
    made = call.state.object(key[1]) if key[:1] == ("output",) and key[-1] == "several" else None
    entry = made.build.entry if type(made) is Module and made.build is not None else None
    return True if entry is not None and entry.task == "classification" else None


def is_instance(call: CallSite, value: Value, kind: Value) -> bool | None:
    if type(kind) is Library and kind.name.startswith("builtins."):
        name = kind.name.removeprefix("builtins.")
        thing = call.state.object(value)
        if name in PLAIN_TYPES and is_plain(value):
            return isinstance(value, PLAIN_TYPES[name])
        if name in COLLECTIONS and is_plain(value):
            return False
        if name in PLAIN_TYPES and (type(value) is Tuple or type(thing) in (Sequence, Dictionary)):
            return False
        if name in COLLECTIONS and type(thing) in (Sequence, Dictionary, Module):
            return (type(thing) is Sequence and thing.kind == name) or (type(thing) is Dictionary and name == "dict")
        if type(value) is Tuple:
            return name in ("tuple", "object")
        return is_pair(call, value) if name == "tuple" else None
    if is_layer_class(value) and (type(kind) is Class or (type(kind) is Library and kind.name.startswith("torch.nn."))):
        return False
    if is_plain(value) and type(kind) is Library and kind.name.partition(".")[0] in ("timm", "torch", "torchvision"):
        return False
    module = call.state.object(value)
    return is_of_class(module, kind) if type(module) is Module else None


def is_of_class(module: Module, kind: Value) -> bool | None:
    """Whether a module is of a class of the script, or of a library."""
    if type(kind) is Class:
        return module.cls is not None and (module.cls == kind or kind in _bases(module.cls))
    return is_kind(module, kind.name) if type(kind) is Library else None


def is_layer_class(value: Value) -> bool:
    """Whether a value is a class and not one of its layers: the script's own, or a layer of the library."""
    return type(value) is Class or (type(value) is Library and catalog.layer(value.name) is not None)


def _bases(cls: Class) -> list[Value]:
    return [b for base in cls.bases for b in (base, *(_bases(base) if type(base) is Class else ()))]


#: What torch calls the classes of tensors: no layer and no model is one.
TENSORS = frozenset(["Buffer", "Parameter", "Tensor", "UninitializedBuffer", "UninitializedParameter"])


def is_kind(module: Module, name: str) -> bool | None:
    """Whether a module is of a library class, by name; None where that depends on the library's class tree."""
    last = name.rsplit(".", 1)[-1]
    if name.startswith("torch.nn.modules."):
        name = f"torch.nn.{last}"
    elif name.startswith("torch.nn.parallel.") and module.kind.startswith("torch.nn."):
        return module.kind.rsplit(".", 1)[-1] == last  # a wrapper goes by several names
    if name == "torch.nn.Module" or module.kind == name:
        return True
    if last in TENSORS and name.startswith("torch."):
        return False
    if module.chosen is not None:  # which model it is, is still open
        return None
    if module.cls is not None:
        return name in heap.library_bases(module.cls) or (None if module.known is False else False)
    plain = module.kind.startswith("torch.nn.") and module.kind.count(".") == 2
    if last in PRIVATE:
        word, needed = PRIVATE[last]
        unsure = needed <= fields_of(module) or not (plain or is_whole(module))
        return True if plain and word in module.kind else None if unsure else False
    if last.startswith("_"):
        return None
    if not name.startswith("torch.nn."):
        ours, theirs = module.kind.split("."), name.split(".")
        if ours[-1] == last and ours[: len(theirs) - 1] == theirs[:-1]:  # packages offer the classes of their modules
            return True
        if plain or theirs[:2] != ["torchvision", "models"] or ours[:2] != theirs[:2]:
            return False if plain or (ours[0] != theirs[0] and {ours[0], theirs[0]} <= APART) else None
        # Classes of classifiers derive from one another only as QuantizableResNet does from ResNet.
        return None if last in ours[-1] or {*ours} & DERIVING else False
    return False if plain or lacks(module, name) else None


APART = {"efficientnet_pytorch", "timm", "torchvision", "transformers"}  # none derives a class from another's
DERIVING = {"detection", "segmentation", "optical_flow"}
PRIVATE = {
    "_BatchNorm": ("BatchNorm", {"num_features"}),
    "_InstanceNorm": ("InstanceNorm", {"num_features"}),
    "_NormBase": ("Norm", {"num_features"}),
    "_ConvNd": ("Conv", {"kernel_size"}),
    "_DropoutNd": ("Dropout", {"p"}),
}


def lacks(module: Module, name: str) -> bool:
    """Whether a module of another class cannot derive from a layer's: it has not all that such a layer has."""
    signature = catalog.layer(name)
    if module.node is not None and module.node.known == NAMES:
        return not module.node.parameters and name in OWNING
    if (
        signature is None
        or (module.node is None and not module.kind.startswith("torchvision."))
        or not is_whole(module)
    ):
        return False
    if name in heap.CONTAINERS or name == "torch.nn.ModuleDict":
        return module.node is not None and "__getitem__" not in module.node.attributes
    needed = signature.parameters.keys() - {"device", "dtype", "bias", "args", "kwargs"}
    return not needed <= fields_of(module) or bool(module.node is not None and module.node.children and not needed)


OWNING = layers.AFFINE | layers.WEIGHTS.keys()


def is_whole(module: Module) -> bool:
    """Whether the catalog keeps everything of a part of the library, or it is no such part."""
    return module.node is None or module.node.whole


def fields_of(module: Module) -> set[str]:
    """The names of the plain attributes and parameters of a layer or a part of the library."""
    node = module.node
    own = {*node.values, *node.attributes, *node.parameters} if node is not None else set()
    return own | module.arguments.keys() | module.values.keys()


@effect("builtins.hasattr")
def hasattr_(call: CallSite) -> Value:
    value, name = call.argument(0, "obj"), call.argument(1, "name")
    known = has_attribute(call, value, name)
    if known is not None:
        return known
    return Condition("HasAttribute", value, name) if isinstance(name, str) else unknown(call)


def has_attribute(call: CallSite, value: Value, name: Value) -> bool | None:
    if not isinstance(name, str):
        return None
    thing = call.state.object(value)
    if type(thing) is Module:
        found = access.probe(call.machine, call.state, value, name, call.site)
        if type(found) is Symbol and name not in thing.values:
            return False if access.never_had(call.machine, call.state, value, name) else None
        return None if type(found) is Symbol else found is not DELETED
    if type(thing) is Instance:
        if name in thing.attributes or (thing.cls and access.class_attribute(thing.cls, name)):
            return True
        return None
    if type(value) is Class and access.class_attribute(value, name):
        return True
    return answers_under(call.state, value, name) if type(value) is Symbol else None


def answers_under(state: State, value: Symbol, name: str) -> bool | None:
    """Whether one of several outputs of a library's model has a name: as an attribute of a named tuple, or else as the
    key of a dict, which is no attribute."""
    key: Any = value.key
    if not isinstance(key, tuple) or key[0] != "output" or key[-1] != "several":
        return None
    model = state.object(key[1])
    entry = model.build.entry if type(model) is Module and model.build is not None else None
    if entry is None or name not in {output for head in entry.heads for output in head.outputs}:
        return None
    return entry.task != "segmentation"


@effect("builtins.getattr")
def getattr_(call: CallSite) -> Value:
    value, name = call.argument(0, "obj"), call.argument(1, "name")
    has_default = len(call.arguments) > 2
    if isinstance(name, str):
        if has_default:
            known = has_attribute(call, value, name)
            if known is False:
                return call.arguments[2]
            if known is None:
                return symbol("attribute", f"{label(value)}.{name}", value, name)
        return access.get_attribute(call.machine, call.state, value, str(name), call.site)
    if type(value) is Library and type(name) is Symbol:
        return Choice(value.name, name)
    if type(value) is Own and type(name) is Symbol:
        variables = modules.namespace(call.state, value, call.site)
        thing, default = call.state.object(variables), call.argument(2, "default") if has_default else UNKNOWN
        split = picking.pick(call.machine, call.state, variables, thing, name, default)
        return unknown(call) if split is None else split
    if is_plain(name):  # an argument without a default, in the run as started
        call.state.end("raise", "TypeError")
    return unknown(call)


@effect("builtins.setattr", "builtins.object.__setattr__")
def setattr_(call: CallSite) -> Value:
    target, name, value = (call.argument(i, n) for i, n in enumerate(("obj", "name", "value")))
    if type(target) is Class:
        call.machine.set_by_setattr.add((target.code, str(name) if isinstance(name, str) else ""))
    if isinstance(name, str):
        writing.set_attribute(call.machine, call.state, target, str(name), value, call.site)
    else:
        writing.log_unresolved(call.state, target, name, value, call.site)
        writing.blur(call.state, target)
        writing.filled(call.state, target, value, call.site)
        forget_every_constant(call.state, target, id(call.site))
    return None


@effect("builtins.delattr")
def delattr_(call: CallSite) -> Value:
    target, name = call.argument(0, "obj"), call.argument(1, "name")
    if isinstance(name, str):
        writing.delete_attribute(call.state, target, str(name), call.site)
    else:
        writing.blur(call.state, target)
    return None


@effect("builtins.super")
def super_(call: CallSite) -> Value:
    frame = call.state.frame
    if call.arguments and type(call.arguments[0]) is Class:
        return Super(call.argument(1, "object"), call.arguments[0])
    if frame.owner is None:  # which object it is of is not known
        writing.initialised_any(call.state)
        return UNKNOWN
    return Super(frame.receiver, frame.owner)


@effect("builtins.type")
def type_(call: CallSite) -> Value:
    if len(call.arguments) != 1:
        return unknown(call)
    value = call.arguments[0]
    return unknown(call) if value is UNKNOWN else access.class_of(call.state, value)


@effect("functools.partial")
def partial(call: CallSite) -> Value:
    if not call.arguments:
        return UNKNOWN
    return Partial(call.arguments[0], call.arguments[1:], tuple(call.keywords.items()))


@effect("copy.deepcopy", "copy.copy")
def deepcopy(call: CallSite) -> Value:
    value = call.argument(0, "x")
    thing = call.state.object(value)
    if type(thing) is Module:
        return heap.copy_module(call.state, value, call.site)
    if type(thing) in (Sequence, Dictionary, StateDict):
        return copied(call, value, call.name == "copy.deepcopy", {})
    return value


def copied(call: CallSite, value: Value, deep: bool, seen: dict[Value, Value]) -> Value:
    """A list or dict of its own, with all that are in it where it is `deep`."""
    thing = call.state.object(value)
    if type(thing) not in (Sequence, Dictionary, StateDict) or value in seen:
        return seen.get(value, value)
    new = seen[value] = call.state.allocate(thing, call.site)
    if deep and type(thing) is Sequence and thing.items is not None:
        items = tuple(copied(call, item, deep, seen) for item in thing.items)
        call.state.heap[new.address] = thing._replace(items=items)
    elif deep and type(thing) is Dictionary and thing.items is not None and thing.view is None:
        pairs = tuple((key, copied(call, item, deep, seen)) for key, item in thing.items)
        call.state.heap[new.address] = thing._replace(items=pairs)
    return new


@effect("enum.auto")
def auto(call: CallSite) -> Value:
    """The value of a member of an enumeration: whatever it is, that of no other member."""
    return Tuple(("enum.auto", id(call.site)))
