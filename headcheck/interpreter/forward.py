"""What calling a module answers: tensors are followed by shape through layers, containers, the script's own modules and
the library's models. What is not known is a symbol, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import events
from headcheck.catalog.entry import Entry, Node, Shape, map_size
from headcheck.interpreter import access, heap, parts, refusing, shapes
from headcheck.interpreter.heap import Module
from headcheck.interpreter.parts import Part
from headcheck.interpreter.products import known_factor
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Function, Ref, Symbol, Tensor, Value, batch_of, symbol
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple
from headcheck.semantics import layers
from headcheck.semantics.layers import Mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headcheck.interpreter.machine import Machine

ACTIVATIONS = {
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmax2d": "softmax",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.LogSigmoid": "logsigmoid",
}
# Layers with a weight of their own: what comes out of one has been through no activation yet.
PLAIN = frozenset({"torch.nn.Identity", "torch.nn.Dropout", "torch.nn.Flatten", "torch.nn.Unflatten"})


WRAPPERS = frozenset({"torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel"})
# Modules of a library that answer something of their own, by kind.
SPECIAL: dict[str, Callable[[State, Ref, Module, Value, Operation], Value]] = {}


class Given(NamedTuple):
    """Everything that a module is given."""

    arguments: tuple[Value, ...]
    keywords: Mapping[str, Value]

    def get(self, place: int, name: str, default: Value = None) -> Value:
        if place < len(self.arguments):
            return self.arguments[place]
        return self.keywords.get(name, UNKNOWN if "**" in self.keywords else default)


# The same for those that look at several of the things that they are given.
SEVERAL: dict[str, Callable[[State, Ref, Module, Given, Operation], Value]] = {}
# The same by library, for modules that look at everything that they are given; None for a module like any other.
Whole: TypeAlias = "Callable[[Ref, Module, tuple[Value, ...], Mapping[str, Value]], Value | None]"
WHOLE: dict[str, Whole] = {}


def call_module(
    machine: Machine,
    state: State,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> list[State]:
    """``model(x)``: the states that come back hold what it answers as their `result`."""
    after = follow(machine, state, ref, arguments, keywords, site)
    for one in after:
        if type(one.result) is Tensor and one.result.detached != one.ungraded:
            one.result = one.result._replace(detached=one.ungraded or stays_detached(one, ref))
    return after


def stays_detached(state: State, ref: Ref) -> bool:
    """Whether what a module makes of a tensor without a gradient has none either: nothing in it learns. What a forward
    of the script's answers says so itself."""
    if own_forward(state.heap[ref.address]) is not None:
        return True
    listing = heap.list_parameters(state, ref)
    return listing.complete and all(heap.is_trainable(state, p) is False for _, p in listing.items)


def follow(
    machine: Machine,
    state: State,
    ref: Ref,
    arguments: tuple[Value, ...],
    keywords: Mapping[str, Value],
    site: Operation,
) -> list[State]:
    thing: Module = state.heap[ref.address]
    if thing.kind.startswith("torch.nn.") and thing.kind.endswith("Loss"):
        from headcheck.semantics.losses import module_loss

        state.result = module_loss(state, ref, thing, arguments, keywords, site)
        return [state]
    state.log(events.Called(site, ref.address, targets=targets_of(thing, arguments, keywords)))
    recorder, whole_call = machine.recorder, Given(arguments, keywords)
    if recorder is not None and not recorder.goes_into(state, ref):
        first = arguments[0] if arguments else next(iter(keywords.values()), None)
        return recorder.module_call(
            state, ref, arguments, keywords, site, lambda: run(machine, state, ref, first, site, whole_call)
        )
    own = own_forward(thing)
    if own is not None:
        from headcheck.interpreter.calls import enter

        return enter(machine, state, own[0], (ref, *arguments), keywords, site, ref, own[1])
    whole = WHOLE.get(thing.kind.partition(".")[0]) if "forward" not in thing.values else None
    answer = whole(ref, thing, arguments, keywords) if whole is not None else None
    if answer is not None:
        state.result = answer
        return [state]
    given = arguments[0] if arguments else next(iter(keywords.values()), None)
    return run(machine, state, ref, given, site, whole_call)


def targets_of(module: Module, arguments: tuple[Value, ...], keywords: Mapping[str, Value]) -> Value:
    """What a detector is given beside its pictures."""
    if not module.kind.startswith("torchvision.models.detection."):
        return None
    return arguments[1] if len(arguments) > 1 else keywords.get("targets")


def own_forward(module: Module) -> tuple[Function, Any] | None:
    """The forward that the script's own class of a module defines, with the class it stands in."""
    if module.cls is None or "forward" in module.values:
        return None
    found = access.class_attribute(module.cls, "forward")
    return found if found is not None and type(found[0]) is Function else None


def run(
    machine: Machine, state: State, part: Part, given: Value, site: Operation, call: Given | None = None
) -> list[State]:
    """Run one part on what reaches it; `call` is everything that it is given, where there may be more."""
    recorder = machine.recorder
    if recorder is not None and not recorder.goes_into(state, part):
        return recorder.module_call(state, part, (given,), {}, site, lambda: run(machine, state, part, given, site))
    module = None if isinstance(part, Node) else parts.module_of(state, part)
    if parts.answers_otherwise(state, part):
        state.result = unknown_output(part, given)
        return [state]
    if module is not None:
        own = own_forward(module)
        if own is not None:
            from headcheck.interpreter.calls import enter

            return enter(machine, state, own[0], (part, given), {}, site, part, own[1])
        if module.kind in WRAPPERS and type(module.children.get("module")) is Ref:
            return run(machine, state, module.children["module"], given, site)
        special = SPECIAL.get(module.kind)
        if special is not None:
            state.result = special(state, part, module, given, site)  # type: ignore[arg-type]
            return [state]
        several = SEVERAL.get(module.kind)
        if several is not None:
            state.result = several(state, part, module, call or Given((given,), {}), site)  # type: ignore[arg-type]
            return [state]
        if module.build is not None:
            return run_library_model(machine, state, part, module, given, site)  # type: ignore[arg-type]
        if module.cls is None and module.home is not None and module.node is not None:
            return out_of(module.home[0], run_library_part(machine, state, part, module, given, site))
    if is_stack(state, part):
        return run_stack(machine, state, part, given, site)
    state.result = run_layer(state, part, given, site)
    return [state]


def is_stack(state: State, part: Part) -> bool:
    module = None if isinstance(part, Node) else parts.module_of(state, part)
    if module is not None and module.cls is not None:
        return heap.is_sequential(module)
    return parts.kind_of(state, part) in shapes.SEQUENTIAL


def own_answer(machine: Machine) -> shapes.OwnAnswer:
    """What runs a module of the script's own on a shape, aside: a pooling, a block that was put into a model."""

    def answer(state: State, ref: Ref, shape: Shape) -> Shape | None:
        if machine.recorder is not None or machine.budget.exhausted or own_forward(state.heap[ref.address]) is None:
            return None
        with machine.aside():
            after = run(machine, state.fork(), ref, Tensor((None, *shape)), state.heap[ref.address].site)
        found = {one.result.shape for one in after if type(one.result) is Tensor and not one.ended}
        alike = len(found) == 1 and all(type(one.result) is Tensor and not one.ended for one in after)
        shape_found = found.pop() if alike else None
        return plain_shape(shape_found[1:]) if shape_found is not None else None

    return answer


def run_stack(machine: Machine, state: State, part: Part, given: Value, site: Operation) -> list[State]:
    """A Sequential: its children in order."""
    children = parts.children_of(state, part)
    if children is None:
        state.result = unknown_output(part, given)
        return [state]
    state.result = given
    states, ended = [state], []
    for _, child in children:
        after = [after for one in states for after in run(machine, one, child, one.result, site)]
        states = [one for one in after if not one.ended]
        ended += [one for one in after if one.ended]
    return states + ended


def unknown_output(part: Part, given: Value) -> Value:
    return symbol("output", "output", part if type(part) is Ref else id(part), given)


# -- layers ----------------------------------------------------------------------------------------------------------


def run_layer(state: State, part: Part, given: Value, site: Operation) -> Value:
    """One layer of `torch.nn`, or something of which no more than its class is known."""
    kind = parts.kind_of(state, part)
    if kind not in layers.RULES:
        return unknown_output(part, given)

    def get(name: str) -> Any:
        return parts.field_of(state, part, name)

    address = part.address if type(part) is Ref else None
    tensor = given if type(given) is Tensor else None
    if tensor is None or tensor.shape is None:
        return run_on_unknown(state, kind, get, address, given, site)
    head = tensor.shape[:1]
    if len(tensor.shape) < 2:
        if not kind.endswith("Linear"):
            return unknown_output(part, given) if layers.RULES[kind] is not layers.same else tensor
        head = ()
    result = no_multiple(kind, get, tensor) or layers.infer(kind, get, plain_shape(tensor.shape[len(head) :]))
    if isinstance(result, Mismatch) and may_fit(result, tensor):
        gives = get("out_features")
        return Tensor((*tensor.shape[:-1], gives if type(gives) is int else None), address, tensor.source)
    if isinstance(result, Mismatch):
        refusing.refuse(state, events.Mismatched(site, address, result, tensor))
        gives = get("out_features")
        if result.reason == "size" and kind.endswith("Linear") and refusing.has_raised(state):
            return Tensor((*tensor.shape[:-1], gives if type(gives) is int else None), address, tensor.source)
        return unknown_output(part, given)
    if result is None:
        if layers.surely_refuses(kind, get, plain_shape(tensor.shape[len(head) :])):
            refusing.fail(state)
        return unknown_output(part, given)
    if layers.RULES[kind] is layers.same:
        return activated(tensor, kind)
    shape = (*head, *kept_symbols(tensor.shape[len(head) :], result))
    if kind in shapes.SIZED:
        return Tensor(shape, address, tensor.source)
    return tensor._replace(shape=shape)


def no_multiple(kind: str, get: Any, tensor: Tensor) -> Mismatch | None:
    """A Linear that cannot take a flattened map, whatever the size of the map: its features are so many channels times
    something."""
    if not kind.endswith("Linear") or not tensor.shape:
        return None
    takes, factor = get("in_features"), known_factor(tensor.shape[-1])
    if type(takes) is not int or takes % factor == 0:
        return None
    return Mismatch(kind, "in_features", takes, plain_shape(tensor.shape[1:]), "size", factor)


def may_fit(mismatch: Mismatch, tensor: Tensor) -> bool:
    """Whether a Linear may take a map after all: the width of the map is unknown, and can be what it takes.

    A map that comes out of a library model is far narrower than a Linear made for its channels.
    """
    assert tensor.shape is not None
    if mismatch.reason != "map" or type(tensor.shape[-1]) is int:
        return False
    channels, takes = tensor.shape[1], mismatch.takes or 0
    return not (tensor.source is not None and type(channels) is int and takes >= max(channels, WIDE))


WIDE = 32  # no map that leaves a model is as wide, but for pictures that are very large


def kept_symbols(before: tuple[Any, ...], after: Shape) -> tuple[Any, ...]:
    """The sizes of `after`; an unknown one that the layer leaves as it was keeps its identity."""
    if len(before) != len(after):
        return after
    return tuple(b if a is None and type(b) is Symbol else a for b, a in zip(before, after, strict=True))


def plain_shape(shape: tuple[Any, ...]) -> Shape:
    """A shape in which every unknown size is None."""
    return tuple(size if type(size) is int else None for size in shape)


def run_on_unknown(state: State, kind: str, get: Any, address: Address | None, given: Value, site: Operation) -> Value:
    """A layer on a tensor of which at most the last size is known."""
    last = given.features if type(given) is Tensor else None
    if kind.endswith("Linear"):
        takes, gives = get("in_features"), get("out_features")
        if type(takes) is int and last is not None and takes != last:
            refusing.refuse(
                state, events.Mismatched(site, address, Mismatch(kind, "in_features", takes, (last,), "size"), given)
            )
            return unknown_output(Ref(address) if address else Node, given)  # type: ignore[arg-type]
        source = given.source if type(given) is Tensor else None
        return Tensor(None, address, source, features=gives if type(gives) is int else None)
    if kind in shapes.SIZED and kind[-2:] in ("1d", "2d", "3d"):
        channels = get("out_channels")
        sizes = (None,) * int(kind[-2])
        known = channels if type(channels) is int else None
        return Tensor((batch_of(given), known, *sizes), address, given.source if type(given) is Tensor else None)
    if layers.RULES[kind] is layers.layer_norm and last is not None:
        refused = layers.infer(kind, get, (last,))
        if isinstance(refused, Mismatch):
            refusing.refuse(state, events.Mismatched(site, address, refused, given))
            return unknown_output(Ref(address) if address else Node, given)  # type: ignore[arg-type]
    if layers.RULES[kind] is layers.same or kind in layers.AFFINE:
        if type(given) is not Tensor:
            return activated(Tensor(None), kind) if kind in ACTIVATIONS else given
        return activated(given, kind)
    return unknown_output(Ref(address) if address else Node, given)  # type: ignore[arg-type]


def activated(tensor: Tensor, kind: str) -> Tensor:
    """A tensor after an element-wise layer; what matters of those it went through is remembered."""
    if kind in PLAIN:
        return tensor
    name = ACTIVATIONS.get(kind, kind.rsplit(".", 1)[-1].lower())
    return tensor._replace(activations=(*tensor.activations[-7:], name))


# -- models of the library -------------------------------------------------------------------------------------------


def run_library_model(
    machine: Machine, state: State, ref: Ref, module: Module, given: Value, site: Operation
) -> list[State]:
    """A library model: what leaves its head, as the catalog and the script's changes have it."""
    entry = module.build.entry if module.build is not None else None
    handed = ("handed", ref.address) in state.facts  # to code that nobody reads: it may end in another head since
    if entry is None or not module.known or handed or parts.ALTERED in state.facts:
        state.result = unknown_output(ref, given)
        return [state]
    if not entry.used.isdisjoint(module.values):  # a switch of its forward was set: ``model.aux_logits = False``
        state.result = unknown_output(ref, given)
        return [state]
    check_stem(state, ref, entry, given, site)
    if entry.task == "segmentation" or has_auxiliary_output(state, ref, module, entry):
        state.result = symbol("output", "output", ref, given, "several")
        return [state]
    heads = [head for head in entry.places if not head.auxiliary]
    answer, place = entry.answers.get("forward"), None
    if len(heads) == 1:
        place = next(shapes.edited_places(state, ref, heads[0].path), None)
    if answer is not None and not entry.heads and place is None:  # made without a head, and left so
        intact = shapes.trunk_is_intact(state, ref, entry, "", own=own_answer(machine))
        state.result = (
            Tensor((batch_of(given), *answer), ref.address, ref.address) if intact else unknown_output(ref, given)
        )
        return [state]
    if len(heads) != 1 or entry.task not in ("classification", "video"):
        state.result = unknown_output(ref, given)
        return [state]
    head, batch = heads[0], batch_of(given)
    if place is None:
        intact = shapes.trunk_is_intact(state, ref, entry, head.path, own=own_answer(machine))
        missing = parts.part_at(state, ref, head.path) is None
        known = intact and not missing
        out = (batch, head.out_features) if known and head.out_features != UNKNOWN_CLASSES else (batch, None)
        state.result = Tensor(out, ref.address, ref.address) if known else unknown_output(ref, given)
        return [state]
    shape = shapes.arriving(state, ref, entry, place, own_answer(machine))
    part = parts.part_at(state, ref, place)
    if shape is None or part is None:
        state.result = unknown_output(ref, given)
        return [state]
    after = run(machine, state, part, Tensor((batch, *shape), ref.address, ref.address), site)
    for one in after:
        if not one.ended:
            one.result = finished(entry, place, one.result, ref, given)
    return after


UNKNOWN_CLASSES = 911_911


def finished(entry: Entry, place: str, result: Value, ref: Ref, given: Value) -> Value:
    """What a model answers when its changed head answered `result`: some flatten the head's map at the end."""
    if type(result) is not Tensor or result.shape is None:
        return result if type(result) is Tensor else unknown_output(ref, given)
    was = entry.outputs.get(place)
    if was is None or len(was) != len(result.shape) - 1:
        return unknown_output(ref, given)
    if len(was) == 1:
        return result
    sizes = result.shape[2:]
    return result._replace(shape=result.shape[:2]) if all(s == 1 for s in sizes) else unknown_output(ref, given)


def has_auxiliary_output(state: State, ref: Ref, module: Module, entry: Entry) -> bool:
    """Whether the model answers more than its main output in the mode it is in."""
    return any(
        head.auxiliary
        and (head.train if module.training else head.eval)
        and parts.part_at(state, ref, head.path) is not None
        for head in entry.heads
    )


def check_stem(state: State, ref: Ref, entry: Entry, given: Value, site: Operation) -> None:
    """Log a picture whose channels the model's first convolution does not take."""
    library = first_convolution(state, entry.root)
    if library is None or parts.field_of(state, library, "in_channels") != next(iter(entry.input), None):
        return  # what comes first in the order of the children is not the stem, or is not known
    if type(given) is not Tensor or given.shape is None or len(given.shape) != 4 or type(given.shape[1]) is not int:
        return
    if takes_channels_apart(state, ref):
        return
    first = first_convolution(state, ref)
    if first is None or parts.answers_otherwise(state, first):
        return
    takes = parts.field_of(state, first, "in_channels")
    if type(takes) is int and takes != given.shape[1]:
        kind, address = parts.kind_of(state, first), first.address if type(first) is Ref else None
        mismatch = Mismatch(kind, "in_channels", takes, plain_shape(given.shape[1:]), "size")
        refusing.refuse(state, events.Mismatched(site, address, mismatch, given, ref.address))


def takes_channels_apart(state: State, ref: Ref) -> bool:
    """Whether a model may read the first three channels of its pictures itself, as Inception and GoogLeNet do with
    their weights: these set `transform_input`, which the catalog's entry has as it is without them."""
    module: Module = state.heap[ref.address]
    if module.node is None or "transform_input" not in module.node.values:
        return False
    weights = module.build.weights if module.build is not None else False
    return weights is not False or parts.field_of(state, ref, "transform_input") is not False


def first_convolution(state: State, part: Part) -> Part | None:
    """The first convolution in the order of the children: every classifier of the library begins with it."""
    if parts.kind_of(state, part).startswith("torch.nn.Conv"):
        return part
    for _, child in parts.children_of(state, part) or []:
        found = first_convolution(state, child)
        if found is not None:
            return found
    return None


def run_library_part(
    machine: Machine, state: State, part: Part, module: Module, given: Value, site: Operation
) -> list[State]:
    """A part of a library model called on its own, wherever it lives now."""
    assert module.home is not None and module.node is not None
    root, path = module.home
    owner = state.heap.get(root)
    entry = owner.build.entry if type(owner) is Module and owner.build is not None else None
    if type(given) is Symbol and isinstance(given.key, tuple) and given.key[0] == "unfit":
        state.result = given
        return [state]
    known = type(given) is Tensor and given.shape is not None
    if is_stack(state, part) and known and all_plain(state, part):
        return run_stack(machine, state, part, given, site)
    if module.kind in layers.RULES and (known or module.node.total == 0):
        state.result = run_layer(state, part, given, site)
        return [state]
    as_built = not parts.is_edited(state, part) and (module.node.whole or not module.values)
    as_built = as_built and parts.ALTERED not in state.facts and shapes.is_as_built(state, part, module.node)
    shape = entry.outputs.get(path) if entry is not None and as_built else None
    if shape is not None and module.node.total != 0 and fits(entry.inputs.get(path), given):  # type: ignore[union-attr]
        state.result = Tensor((batch_of(given), *as_large(entry, path, shape, given)), root, root)
        return [state]
    if is_stack(state, part):
        return run_stack(machine, state, part, given, site)
    if shape is not None and module.node.total:  # what it answers to something else, if anything, nobody knows
        state.result = symbol("unfit", "output", part, given)
        return [state]
    state.result = run_layer(state, part, given, site)
    return [state]


def as_large(entry: Entry | None, path: str, shape: Shape, given: Value) -> Shape:
    """The shape that a part answers, with the size of its map where that of the one it gets is known."""
    rule = entry.maps.get(path) if entry is not None else None
    if rule is None or type(given) is not Tensor or given.shape is None or len(given.shape) != 4 or len(shape) != 3:
        return shape
    height, width = (map_size(rule, size) if type(size) is int else None for size in given.shape[2:])
    return shape[0], height, width


def out_of(model: Address, after: list[State]) -> list[State]:
    """What a part of a library model answered came out of that model."""
    for one in after:
        answer = one.result
        if type(answer) is Tensor and answer.source is None:
            one.result = answer._replace(maker=answer.maker or model, source=model)
    return after


def all_plain(state: State, part: Part) -> bool:
    """Whether a stack holds only layers whose effect on shapes is known."""
    module = parts.module_of(state, part) if not isinstance(part, Node) else None
    if module is not None and module.node is not None and not module.node.whole:
        return False
    children = parts.children_of(state, part)
    return children is not None and all(parts.kind_of(state, child) in layers.RULES for _, child in children)


def fits(shape: Shape | None, given: Value) -> bool:
    """Whether what reaches a part can be what reached it in the library's own forward."""
    if type(given) is not Tensor or given.shape is None:
        return True
    if shape is None or len(shape) != len(given.shape) - 1:
        return False
    return all(w is None or type(g) is not int or w == g for w, g in zip(shape, given.shape[1:], strict=True))
