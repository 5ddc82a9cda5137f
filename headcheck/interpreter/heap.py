"""Objects with identity, and the one place that knows how modules, their children and their parameters hang together.

A library model's children come lazily from the catalog: a part gets an address when the script first reads it, and
everything the script did not touch stays in the catalog's shared tree.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from headcheck import events
from headcheck.catalog.entry import NOTHING, Entry, Node
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Chosen, Class, Library, Parameter, Ref, Symbol, Tuple, Value
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple
from headcheck.semantics.layers import STACKS, own_parameters, parameter_shape

Sizes: TypeAlias = "tuple[int, ...] | None"  # of a parameter, None where they are not known

EMPTY: Mapping[str, Any] = MappingProxyType({})
MAX_PARAMETERS = 6000


class _Deleted:
    def __repr__(self) -> str:
        return "DELETED"


DELETED = _Deleted()


class Build(NamedTuple):
    """How a library model was built. `weights` is False, True, a member's name or UNKNOWN."""

    builder: str
    keywords: Mapping[str, Value]
    weights: Value
    entry: Entry | None


class Module(NamedTuple):
    """A `torch.nn.Module`.

    `kind` is its class's public name; `node` what the catalog knows of it; `build` is there on the root of a library
    model; `home` is (root, dotted path) on a part of one; `arguments` are a layer's, bound to their parameters' names;
    `children` and `values` are what the script set, over what `node` says; `trainable` is ``requires_grad`` of all
    parameters below that have no flag of their own; `known`: `children` and `node` are all there is; `chosen` is there
    while it is open which builder of a library made the model.
    """

    kind: str
    site: Operation
    cls: Class | None = None
    node: Node | None = None
    build: Build | None = None
    home: tuple[Address, str] | None = None
    arguments: Mapping[str, Value] = EMPTY
    children: Mapping[str, Value] = EMPTY
    values: Mapping[str, Value] = EMPTY
    trainable: bool = True
    training: bool = True
    known: bool = True
    chosen: Chosen | None = None


class Sequence(NamedTuple):
    """A list or set; `items` is None when they are not known.

    If only how often loops of unknown length filled it is not known, `sample` is what one turn of each leaves in it.
    """

    items: tuple[Value, ...] | None
    kind: str = "list"
    sample: tuple[Value, ...] | None = None


class Dictionary(NamedTuple):
    """`items` are pairs of key and value, or None; `view` is the module whose ``_modules`` this is."""

    items: tuple[tuple[Value, Value], ...] | None
    view: Address | None = None


class StateDict(NamedTuple):
    """The library's own weights, maybe with keys taken out: the shape of each parameter by its name, None where nothing
    more is known; `exact` says that those are all parameters, under the names that the model has for them, `saved` that
    they are no weights of the library's, but what the script itself wrote to a file."""

    shapes: Mapping[str, tuple[int, ...] | None] | None
    exact: bool
    saved: bool = False


class Instance(NamedTuple):
    """An object of one of the script's classes that is no module."""

    cls: Class | None
    attributes: Mapping[str, Value]
    site: Operation


class Optimizer(NamedTuple):
    kind: str
    parameters: tuple[Parameter, ...]
    complete: bool
    site: Operation


#: Lightning's module, which is a network as torch's is, under all its names.
LIGHTNING = frozenset(f"{name}.LightningModule" for name in ("pytorch_lightning", "lightning", "lightning.pytorch"))


class Parser(NamedTuple):
    """An `argparse.ArgumentParser`: (destination, default, choices, has a default) of each argument. `command` is where
    the name of one of its sub-parsers goes, `commands` are those; `exclusive` are its groups of arguments that exclude
    one another."""

    arguments: tuple[tuple[str, Value, tuple[Value, ...], bool], ...]
    command: str = ""
    commands: tuple[tuple[Value, Ref], ...] = ()
    exclusive: tuple[Address, ...] = ()


class Exclusive(NamedTuple):
    """A group of arguments of a parser of which the user gives one at most."""

    parser: Address
    names: tuple[str, ...] = ()


class Commands(NamedTuple):
    """What `add_subparsers` of a parser answers."""

    parser: Address


def is_state_dict(state: State, of: Value) -> bool:
    """Whether a value is what `state_dict()` answers, or the library's own weights."""
    if type(of) is Symbol:
        return isinstance(of.key, tuple) and of.key[0] == "state dict"
    return type(state.object(of)) is StateDict


def is_untouched(module: Module) -> bool:
    """Whether a part of a library's model has nothing but parts that the script set, and is known for what it is."""
    own = module.cls is None and module.chosen is None and module.node is not None
    return own and not module.values and not module.arguments


# -- children --------------------------------------------------------------------------------------------------------


def child_names(module: Module) -> list[str]:
    """The names of a module's children in PyTorch's order; those that are None are left out."""
    children, names = module.children, slot_names(module)
    return [n for n in names if n not in children or children[n] is not None] if children else names


def slot_names(module: Module) -> list[str]:
    """The names under which a module has a child or None: what `len`, a position and a loop over a list count by."""
    children = module.children
    if module.node is None:
        return [n for n, v in children.items() if v is not DELETED]
    order = module.node.children
    if not children:
        return list(order)
    merged = [n for n in order if n not in children or children[n] is not DELETED]
    return merged + [n for n, v in children.items() if n not in order and v is not DELETED]


def get_child(state: State, ref: Ref, name: str, site: Operation) -> Value:
    """A child by its own name: a `Ref`, None, something unknown the script put there, or `DELETED` if there is none."""
    module: Module = state.heap[ref.address]
    if name in module.children:
        return module.children[name]
    node = module.node.children.get(name) if module.node else None
    return DELETED if node is None else take(state, ref, name, node, site)


def take(state: State, ref: Ref, name: str, node: Node, site: Operation) -> Ref:
    """Give a part that so far lived in the catalog's tree only an address of its own."""
    module: Module = state.heap[ref.address]
    part = Module(
        node.kind,
        module.site,
        node=node,
        home=home_below(ref, module, name),
        trainable=module.trainable,
        training=module.training,
        known=node.known != NOTHING,
    )
    new = state.allocate(part, site)
    prefix = name + "."
    for key in [k for k in state.flags if k[0] == ref.address and k[1].startswith(prefix)] if state.flags else ():
        state.flags[new.address, key[1][len(prefix) :]] = state.flags.pop(key)
    state.log(events.Taken(site, new.address, ref.address, name))
    state.heap[ref.address] = module._replace(children={**module.children, name: new})
    return new


def home_below(ref: Ref, module: Module, name: str) -> tuple[Address, str] | None:
    """Where a child of a module sits in the library's model."""
    if module.build is not None:
        return ref.address, name
    return (module.home[0], f"{module.home[1]}.{name}") if module.home is not None else None


def set_child(state: State, ref: Ref, name: str, value: Value, site: Operation, how: str = "attribute") -> None:
    """Put a module, None or something unknown at `name`. What holds this module is kept as a plain value: the modules
    below one are a tree."""
    if type(state.object(value)) is Module and ref.address in below(state, value):
        module = state.heap[ref.address]
        state.heap[ref.address] = module._replace(values={**module.values, name: value})
        return
    old = get_child(state, ref, name, site)
    module = state.heap[ref.address]
    values = {k: v for k, v in module.values.items() if k != name}
    state.heap[ref.address] = module._replace(children={**module.children, name: value}, values=values)
    state.log(events.ChildSet(site, ref.address, name, value, None if old is DELETED else old, how))


def delete_child(state: State, ref: Ref, name: str, site: Operation, how: str = "attribute") -> None:
    module: Module = state.heap[ref.address]
    if module.kind in CONTAINERS and how != "attribute":
        kept = [(n, get_child(state, ref, n, site)) for n in slot_names(module) if n != name]
        renumber(state, ref, [value for _, value in kept], site)
    else:
        state.heap[ref.address] = module._replace(children={**module.children, name: DELETED})
    state.log(events.ChildDeleted(site, ref.address, name, how))


def renumber(state: State, ref: Ref, items: list[Value], site: Operation) -> None:
    """Make `items` the children of a Sequential or ModuleList, named 0, 1, …"""
    module: Module = state.heap[ref.address]
    gone = dict.fromkeys(module.node.children if module.node else (), DELETED)
    children: dict[str, Value] = {**gone}
    for index, value in enumerate(items):
        children.pop(str(index), None)
        children[str(index)] = value
    if module.node is not None:
        module = module._replace(node=None)
        children = {k: v for k, v in children.items() if v is not DELETED}
    state.heap[ref.address] = module._replace(children=children)


CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList"})


def index_name(module: Module, index: int) -> str | None:
    """The name of the child at a position, as Sequential and ModuleList count; None if it is out of range."""
    names = slot_names(module)
    return names[index] if -len(names) <= index < len(names) else None


def is_sequential(module: Module) -> bool:
    return (
        module.kind in CONTAINERS
        or module.kind in STACKS
        or bool(module.cls and "torch.nn.Sequential" in library_bases(module.cls))
    )


def library_bases(cls: Class) -> set[str]:
    """The qualified names of the library classes that a class of the script derives from."""
    found: set[str] = set()
    for base in cls.bases:
        if type(base) is Library:
            found.add(base.name)
        elif type(base) is Class:
            found |= library_bases(base)
    return found


# -- plain values of a module ---------------------------------------------------------------------------------------


def field(module: Module, name: str) -> Value:
    """A plain attribute (``in_features``): what the script set, a layer's argument, or what the catalog says."""
    if name in module.values:
        return module.values[name]
    if name in module.arguments:
        return module.arguments[name]
    if module.node is not None and name in module.node.values:
        value = module.node.values[name]
        return Tuple(value) if isinstance(value, tuple) else value
    return UNKNOWN


# -- parameters ------------------------------------------------------------------------------------------------------


class Listing(NamedTuple):
    """Parameters of a module in PyTorch's order, with their dotted names; `complete` if those are all."""

    items: list[tuple[str, Parameter]]
    complete: bool


def list_parameters(state: State, ref: Ref, own: bool = False) -> Listing:
    """Every parameter below a module. Shared modules are named once, as `named_parameters` does. `own`: without those
    of its children."""
    items: list[tuple[str, Parameter]] = []
    if own:
        names = own_parameters(state.heap[ref.address])
        return Listing([(name, Parameter(ref, name)) for name in names or ()], names is not None)
    complete = True
    for holder in _holders(state, ref, "", set()):
        complete = complete and holder.known and len(items) < MAX_PARAMETERS
        prefix, owner, inside = holder.prefix, holder.owner, holder.path
        if inside:
            items += [(prefix + path, Parameter(owner, inside + path)) for path in holder.names]
        else:
            items += [(prefix + name, Parameter(owner, name)) for name in holder.names]
    return Listing(items, complete)


def list_shapes(state: State, ref: Ref) -> tuple[dict[str, Sizes], bool]:
    """The shape of every parameter below a module, and whether those are all."""
    found: dict[str, Sizes] = {}
    complete = True
    for holder in _holders(state, ref, "", set()):
        complete = complete and holder.known and len(found) < MAX_PARAMETERS
        if isinstance(holder.names, Mapping):
            found.update((holder.prefix + path, shape) for path, shape in holder.names.items())
        else:
            module: Module = state.heap[holder.owner.address]
            found.update((holder.prefix + name, parameter_shape(module, name)) for name in holder.names)
    return found, complete


class _Holder(NamedTuple):
    """Something with parameters: a module on the heap with its own, or a child that is in the catalog's tree only, with
    all below it. `path` leads there from `owner`, `prefix` from where it was looked; `known`: all of it is."""

    prefix: str
    owner: Ref
    path: str
    names: Mapping[str, Sizes] | tuple[str, ...]
    known: bool


def _holders(state: State, ref: Ref, prefix: str, seen: set[Address]) -> Iterator[_Holder]:
    if ref.address in seen:
        return
    seen.add(ref.address)
    module: Module = state.heap[ref.address]
    own = own_parameters(module)
    yield _Holder(prefix, ref, "", own or (), module.known and own is not None)
    for name in child_names(module):
        if name in module.children:
            value = module.children[name]
            if type(value) is Ref and type(state.heap[value.address]) is Module:
                yield from _holders(state, value, f"{prefix}{name}.", seen)
            else:
                yield _Holder(prefix, ref, "", (), False)
        elif module.node is not None:
            node = module.node.children[name]
            yield _Holder(f"{prefix}{name}.", ref, f"{name}.", node_parameters(node), node.known != NOTHING)


@lru_cache(maxsize=4096)
def node_parameters(node: Node) -> Mapping[str, Sizes]:
    """All parameters of a catalog node: their shapes by their dotted names."""
    found = dict(node.parameters)
    for name, child in node.children.items():
        found.update((f"{name}.{path}", shape) for path, shape in node_parameters(child).items())
    return found


def is_trainable(state: State, parameter: Parameter) -> bool | None:
    """``requires_grad`` of a parameter, or of all parameters of a module ("*"); None if its owner is unknown, or they
    differ."""
    module = state.object(parameter.owner)
    if type(module) is not Module:
        return None
    if parameter.path == "*":
        return False if all_frozen(state, parameter.owner) else True if all_learn(state, parameter.owner) else None
    parameter = settle(state, parameter)
    owner: Module = state.heap[parameter.owner.address]
    return state.flags.get((parameter.owner.address, parameter.path), owner.trainable)


def all_frozen(state: State, ref: Ref) -> bool:
    """Whether all below a module is frozen although not all its parameters are known by name: those of a layer of the
    library, or of a part that the catalog knows nothing of, are as the whole of it is flagged."""
    for _, part in subtree(state, ref):
        module: Module = state.heap[part.address]
        foreign = module.cls is None and not module.values and (module.node is None or module.node.known == NOTHING)
        if not (module.known or (foreign and not module.children)):
            return False
        if any(value is not None and type(value) is not Ref for value in module.children.values()):
            return False
        own = own_parameters(module)
        if module.trainable and (own is None or any(state.flags.get((part.address, name), True) for name in own)):
            return False
        if any(flag and key[0] == part.address for key, flag in state.flags.items()):
            return False
    return not any(_may_learn(state, holder) for holder in _holders(state, ref, "", set()) if holder.path)


def _may_learn(state: State, holder: _Holder) -> bool:
    """Whether a child that is in the catalog's tree only has a parameter that learns, or may have one."""
    address = holder.owner.address
    flags = (state.flags.get((address, holder.path + path), True) for path in holder.names)
    return state.heap[address].trainable and (not holder.known or any(flags))


def all_learn(state: State, ref: Ref) -> bool:
    """Whether nothing below a module had its flag turned off."""
    below = {part.address: state.heap[part.address] for _, part in subtree(state, ref)}
    unset = all(flag for (address, _), flag in state.flags.items() if address in below)
    return unset and all(module.trainable for module in below.values())


def settle(state: State, parameter: Parameter) -> Parameter:
    """The same parameter seen from the nearest module that has an address by now."""
    while True:
        name, _, rest = parameter.path.partition(".")
        module: Module = state.heap[parameter.owner.address]
        child = module.children.get(name) if rest else None
        if type(child) is not Ref:
            return parameter
        parameter = Parameter(child, rest)


def set_flag(state: State, parameter: Parameter, value: bool) -> None:
    parameter = settle(state, parameter)
    state.flags[parameter.owner.address, parameter.path] = value


def set_all_flags(state: State, ref: Ref, value: bool) -> None:
    """``requires_grad_`` of everything below a module."""
    todo, seen = [ref.address], set()
    while todo:
        address = todo.pop()
        module = state.heap[address]
        if address in seen or type(module) is not Module:
            continue
        seen.add(address)
        if module.trainable is not value:
            state.heap[address] = module._replace(trainable=value)
        todo.extend(c.address for c in module.children.values() if type(c) is Ref)
    for key in [key for key in state.flags if key[0] in seen]:
        del state.flags[key]


def subtree(state: State, ref: Ref) -> Iterator[tuple[str, Ref]]:
    """Every module below (and with) `ref` that has an address: (dotted path, reference)."""
    stack: list[tuple[str, Ref]] = [("", ref)]
    seen: set[Address] = set()
    while stack:
        path, current = stack.pop()
        module = state.heap.get(current.address)
        if current.address in seen or type(module) is not Module:
            continue
        seen.add(current.address)
        yield path, current
        if module.children:
            prefix = f"{path}." if path else ""
            stack.extend([(prefix + n, v) for n, v in reversed(list(module.children.items())) if type(v) is Ref])


class Below(NamedTuple):
    """A walk over the modules below (and with) one that have an address, as `below` answers it, and what each held."""

    places: Mapping[Address, tuple[Address | None, str]]
    children: tuple[Mapping[str, Value], ...]

    def still_there(self, state: State) -> bool:
        """Whether each module of the walk holds what it held."""
        try:
            return all(map(operator.is_, map(children_of, map(state.heap.get, self.places)), self.children))
        except AttributeError:  # what sits at an address is no module on this path
            return False


children_of = operator.attrgetter("children")
MOST_KEPT = 4  # walks below one module
FEWEST_KEPT = 32  # modules, for a walk to be kept


def below(state: State, ref: Ref) -> Mapping[Address, tuple[Address | None, str]]:
    """Every module below (and with) `ref` that has an address, with what holds it and its name there.

    It is asked for again and again, on path after path, of models that hold what they held: so it is kept.
    """
    kept: list[Below] = state.walks.setdefault(ref.address, [])
    for walk in kept:
        if walk.still_there(state):
            return walk.places
    places: dict[Address, tuple[Address | None, str]] = {}
    children: list[Mapping[str, Value]] = []
    todo: list[tuple[Address, Address | None, str]] = [(ref.address, None, "")]
    while todo:
        address, holder, name = todo.pop()
        module = state.heap.get(address)
        if address not in places and type(module) is Module:
            places[address] = holder, name
            children.append(module.children)
            inside = reversed(list(module.children.items())) if module.children else ()
            todo += [(child.address, address, name) for name, child in inside if type(child) is Ref]
    if len(places) >= FEWEST_KEPT:
        kept.insert(0, Below(places, tuple(children)))
        del kept[MOST_KEPT:]
    return places


def copy_module(state: State, ref: Ref, site: Operation) -> Ref:
    """`copy.deepcopy`: the same tree under new addresses, shared parts staying shared."""
    made: dict[Address, Ref] = {}
    for _, part in list(subtree(state, ref)):
        made[part.address] = state.allocate(state.heap[part.address], site)
    for old, new in made.items():
        module: Module = state.heap[old]
        children = {n: made.get(v.address, v) if type(v) is Ref else v for n, v in module.children.items()}
        home = module.home
        if home is not None:
            home = (made[home[0]].address, home[1]) if home[0] in made else None
        state.heap[new.address] = module._replace(children=children, home=home)
    for (address, path), value in list(state.flags.items()):
        if address in made:
            state.flags[made[address].address, path] = value
    state.log(events.Copied(site, made[ref.address].address, ref.address))
    for new in made.values():
        for name, value in state.heap[new.address].children.items():
            if type(value) is Ref:
                state.log(events.Taken(site, value.address, new.address, name))
    return made[ref.address]
