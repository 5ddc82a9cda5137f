"""Items: reading, writing and deleting them, on every kind of value. One small function per kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headcheck import catalog, events
from headcheck.interpreter import alike, heap, unknowns
from headcheck.interpreter.access import log_output_read, missing
from headcheck.interpreter.forgetting import forget_every_constant, set_variable
from headcheck.interpreter.heap import DELETED, Dictionary, Module, Sequence, StateDict
from headcheck.interpreter.operators import equal
from headcheck.interpreter.state import State
from headcheck.interpreter.values import (
    ELLIPSIS,
    Answer,
    Choice,
    Library,
    Method,
    Namespace,
    Parameter,
    ParameterName,
    Ref,
    Slice,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_plain,
    label,
    size_of,
    symbol,
    unknown_item,
)
from headcheck.interpreter.writing import blur, log_unresolved, overwritten
from headcheck.ir import UNKNOWN, Operation

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


def get_item(machine: Machine, state: State, of: Value, index: Value, site: Operation) -> Value:
    kind = type(of)
    if kind is Ref:
        thing = state.heap[of.address]
        handler = ITEMS.get(type(thing))
        found = handler(state, of, thing, index, site) if handler else UNKNOWN
        return machine.setting(f"…[{label(index)}]", found, of, index) if type(thing) is Dictionary else found
    if kind is Tuple:
        return tuple_item(of.items, index)
    if kind is Namespace:
        if isinstance(index, str):
            return Library(f"{of.name}.{index}")
        if is_plain(index):
            state.end("raise", "KeyError")
        return Choice(of.name, index) if type(index) is Symbol else UNKNOWN
    if kind is Library:
        if isinstance(index, str) and of.name.startswith("torchvision."):
            return Library(f"{of.name}.{index}")
        return UNKNOWN if index is UNKNOWN else symbol("item", f"{label(of)}[{label(index)}]", of, index)
    if isinstance(of, str):
        return text_item(of, index)
    if kind is Tensor:
        return tensor_item(of, index)
    if kind is Answer:
        return answer_item(of, index)
    if kind is Symbol:
        log_output_read(state, of, index, site)
        shape = of.key
        if isinstance(shape, tuple) and shape[0] == "state dict":
            return state_dict_item(state, of, None, index, site)
        if type(index) is int and isinstance(shape, tuple) and shape[0] == "shape":
            return size_of(shape[1], index)
        if type(index) is Slice and isinstance(shape, tuple) and shape[0] == "shape" and is_start(index):
            return Tuple(tuple(size_of(shape[1], place) for place in range(index.stop)))
        return symbol("item", f"{of.label}[{label(index)}]", of, index)
    return UNKNOWN


def is_start(part: Slice) -> bool:
    """Whether a slice takes so many of the first items: ``x.shape[:2]``."""
    return part.start in (None, 0) and part.step in (None, 1) and type(part.stop) is int and 0 < part.stop <= MOST_SIZES


MOST_SIZES = 4


def answer_item(of: Answer, index: Value) -> Value:
    """``answer[0]`` or ``answer["pooler_output"]``."""
    if type(index) is int and 0 <= index < len(of.items):
        return of.items[index][1]
    return dict(of.items).get(index, UNKNOWN) if isinstance(index, str) else UNKNOWN


def tensor_item(of: Tensor, index: Value) -> Value:
    """``x[:, 0]``: whole dimensions stay, a number takes one away, None adds one, and ``...`` stands for all others."""
    if of.shape is None or isinstance(index, str):
        return symbol("item", f"tensor[{label(index)}]", of, index)
    sizes: list[Value] = []
    rest = list(of.shape)
    parts = index.items if type(index) is Tuple else (index,)
    for part in parts:
        if part is None:
            sizes.append(1)
            continue
        if part == ELLIPSIS:
            others = max(0, len(of.shape) - sum(other is not None for other in parts) + 1)
            sizes += rest[:others]
            rest = rest[others:]
            continue
        if not rest or type(part) not in (int, Slice):
            return symbol("item", f"tensor[{label(index)}]", of, index)
        size = rest.pop(0)
        if type(part) is Slice:
            whole = (part.start, part.stop, part.step) == (None, None, None)
            bounds = as_slice(part) if type(size) is int else None
            sizes.append(size if whole else len(range(size)[bounds]) if bounds is not None else None)
    shape = (*sizes, *rest)
    exact = of.labels is None or of.labels[1] or shape == of.shape  # or else some of the labels are no longer there
    return of._replace(shape=shape) if exact else of._replace(shape=shape, labels=None)


def as_slice(index: Slice) -> slice | None:
    parts = (index.start, index.stop, index.step)
    return slice(*parts) if all(type(p) is int or p is None for p in parts) and index.step != 0 else None


def text_item(of: str, index: Value) -> Value:
    bounds = as_slice(index) if type(index) is Slice else index
    if type(bounds) is slice or (type(bounds) is int and -len(of) <= bounds < len(of)):
        return of.part(of[bounds]) if type(of) is ParameterName else of[bounds]
    return UNKNOWN


def tuple_item(items: tuple[Value, ...], index: Value) -> Value:
    if type(index) in (int, bool):
        return items[index] if -len(items) <= index < len(items) else UNKNOWN
    if type(index) is Slice:
        bounds = as_slice(index)
        return Tuple(items[bounds]) if bounds is not None else UNKNOWN
    return UNKNOWN


def sequence_item(state: State, ref: Ref, thing: Sequence, index: Value, site: Operation) -> Value:
    if thing.items is None:
        return symbol("item", f"…[{label(index)}]", ref, index)
    found = tuple_item(thing.items, index)
    if found is UNKNOWN and type(index) is Symbol and alike.are_data(state, thing.items):
        return unknown_item(ref, index)
    return state.allocate(Sequence(found.items), site) if type(index) is Slice and type(found) is Tuple else found


def dictionary_item(state: State, ref: Ref, thing: Dictionary, index: Value, site: Operation) -> Value:
    if thing.view is not None:
        found = heap.get_child(state, Ref(thing.view), index, site) if isinstance(index, str) else UNKNOWN
        return UNKNOWN if found is DELETED else found
    for key, value in thing.items or ():
        same = equal(state, key, index, site)
        if same:
            return value
        if same is None:
            break
    return symbol("item", f"…[{label(index)}]", ref, index)


def state_dict_item(state: State, of: Value, thing: object, index: Value, site: Operation) -> Value:
    from headcheck.semantics import statedicts

    found = statedicts.item(state, of, index)
    return symbol("item", f"…[{label(index)}]", of, index) if found is None else found


def module_item(state: State, ref: Ref, thing: Module, index: Value, site: Operation) -> Value:
    if type(index) is Slice:
        return sliced_module(state, ref, thing, index, site)
    if isinstance(index, str):
        found = heap.get_child(state, ref, index, site)
        return symbol("item", f"…[{index!r}]", ref, index) if found is DELETED else found
    if type(index) is int and is_single(thing):
        missing(state, ref, index, "index", site, "TypeError")
        return UNKNOWN
    if type(index) is not int or not positional(thing):
        return symbol("item", f"…[{label(index)}]", ref, index)
    name = heap.index_name(thing, index)
    if name is None:
        if not thing.known:
            return symbol("item", f"…[{index}]", ref, index)
        missing(state, ref, index, "index", site)
        return UNKNOWN
    return heap.get_child(state, ref, name, site)


def positional(module: Module) -> bool:
    """Whether a module can be indexed by position: Sequential, ModuleList, and what derives from them."""
    if heap.is_sequential(module):
        return True
    return module.node is not None and "__getitem__" in module.node.attributes


def is_single(module: Module) -> bool:
    """Whether a module is one of the library's that cannot be indexed at all."""
    if module.node is not None:
        return module.node.whole and "__getitem__" not in module.node.attributes and not heap.is_sequential(module)
    is_layer = module.cls is None and module.kind.startswith("torch.nn.") and module.kind not in heap.CONTAINERS
    return (
        is_layer
        and catalog.layer(module.kind) is not None
        and "__getitem__" not in catalog.layer_attributes(module.kind)
    )


def sliced_module(state: State, ref: Ref, thing: Module, index: Slice, site: Operation) -> Value:
    bounds = as_slice(index)
    if bounds is None or not positional(thing):
        return symbol("slice", "…[:]", ref, index)
    names = heap.slot_names(thing)[bounds]
    children = {name: heap.get_child(state, ref, name, site) for name in names}
    if thing.kind == "torch.nn.ModuleList":
        children = {str(i): value for i, value in enumerate(children.values())}
    kind = thing.kind if thing.kind in heap.CONTAINERS else "torch.nn.Sequential"
    part = state.allocate(Module(kind, site, children=children, known=thing.known), site)
    state.log(events.Created(site, part.address, children))
    return part


ITEMS: dict[type, Any] = {
    Sequence: sequence_item,
    Dictionary: dictionary_item,
    StateDict: state_dict_item,
    Module: module_item,
}


def set_item(state: State, of: Value, index: Value, value: Value, site: Operation) -> None:
    thing = state.object(of)
    if type(thing) is Module:
        set_module_item(state, of, thing, index, value, site)
    elif type(thing) is Sequence:
        items = thing.items
        if items is not None and type(index) is int and -len(items) <= index < len(items):
            changed = list(items)
            changed[index] = value
            state.heap[of.address] = thing._replace(items=tuple(changed))
        else:
            state.heap[of.address] = thing._replace(items=None)
    elif type(thing) is Dictionary:
        changed_through(state, of, site, [(index, value)])
        set_dictionary_item(state, of, thing, index, value, site)
    elif (whose := unknowns.namespace_of(of)) is not None:
        forget_every_constant(state, whose, id(site))
        unknowns.may_be_rebound(state, whose)
    elif unknowns.are_variables(of):
        set_variable(state, state.frame.module, index, value, id(site))
    elif heap.is_state_dict(state, of):
        from headcheck.semantics import statedicts

        statedicts.put(state, of, index, value, site)
    elif type(of) is Tensor:
        from headcheck.semantics import in_place

        in_place.replaced(state, of, in_place.other_numbers(of))
    elif (optimizer := unknowns.optimizer_of(state, of)) is not None:
        if index == "params" or not isinstance(index, str):
            unknowns.blur_groups(state, optimizer)
    elif type(written := of.receiver if type(of) is Method and of.name == "data" else of) is Parameter:
        overwritten(state, written, site)
    else:
        alike.forget_alike(state, of, id(site))
        log_unresolved(state, of, index, value, site)


def changed_through(
    state: State, of: Ref, site: Operation, changes: Iterable[tuple[Value, Value]] = ((UNKNOWN, UNKNOWN),)
) -> None:
    """A dict is changed: if it is ``vars(args)``, so are the attributes of that object, and variables if it is
    ``globals()``. `changes` are names and values."""
    whose = state.facts.get(("vars", of.address))
    for name, value in changes if whose is not None else ():
        set_variable(state, whose, name, value, id(site))


def set_dictionary_item(state: State, of: Ref, thing: Dictionary, index: Value, value: Value, site: Operation) -> None:
    if thing.view is not None:
        if isinstance(index, str):
            heap.set_child(state, Ref(thing.view), index, value, site, "item")
        else:
            blur(state, Ref(thing.view))
        return
    if thing.items is None:
        return
    if not is_plain(index):
        state.heap[of.address] = thing._replace(items=None)
        return
    kept = tuple((k, v) for k, v in thing.items if k != index)
    state.heap[of.address] = thing._replace(items=(*kept, (index, value)))


def set_module_item(state: State, ref: Ref, thing: Module, index: Value, value: Value, site: Operation) -> None:
    if isinstance(index, str):
        heap.set_child(state, ref, index, value, site, "item")
        return
    if type(index) is int and is_single(thing):
        missing(state, ref, index, "index", site, "TypeError")
        return
    if type(index) is not int or not positional(thing):
        state.heap[ref.address] = thing._replace(known=False)
        return
    name = heap.index_name(thing, index)
    if name is not None:
        heap.set_child(state, ref, name, value, site, "item")
    elif thing.known:
        missing(state, ref, index, "index", site)


def delete_item(state: State, of: Value, index: Value, site: Operation) -> None:
    thing = state.object(of)
    if type(thing) is Module:
        if type(index) is Slice:
            delete_slice(state, of, thing, index, site)
            return
        name = index if isinstance(index, str) else heap.index_name(thing, index) if type(index) is int else None
        if name is None:
            state.heap[of.address] = thing._replace(known=False)
        else:
            heap.delete_child(state, of, name, site, "item")
    elif type(thing) is Sequence:
        items = thing.items
        if items is not None and type(index) is int and -len(items) <= index < len(items):
            position = index % len(items)
            state.heap[of.address] = thing._replace(items=items[:position] + items[position + 1 :])
        else:
            state.heap[of.address] = thing._replace(items=None)
    elif type(thing) is Dictionary and thing.items is not None:
        kept = tuple((k, v) for k, v in thing.items if k != index) if is_plain(index) else None
        state.heap[of.address] = thing._replace(items=kept)
    elif heap.is_state_dict(state, of):
        from headcheck.semantics import statedicts

        statedicts.without(state, of, index, site)


def delete_slice(state: State, ref: Ref, thing: Module, index: Slice, site: Operation) -> None:
    bounds = as_slice(index)
    if bounds is None:
        state.heap[ref.address] = thing._replace(known=False)
        return
    for name in reversed(heap.slot_names(thing)[bounds]):
        heap.delete_child(state, ref, name, site, "item")
