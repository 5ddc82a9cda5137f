"""State dicts: the library's own weights, and what `state_dict()` of a model gives, by key and shape.

The library's weights are an object of their own (`heap.StateDict`), from which keys can be taken out. What a model's
`state_dict()` gives is a symbol that names the model: its content is looked up where it is asked for, as long as
nothing changed the model or the dict in between. Only parameters are in it: the catalog does not keep buffers, and they
have no part in a new head. Anything else a script loads (its own checkpoints) is unknown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from headcheck import catalog, events
from headcheck.catalog.entry import Node
from headcheck.interpreter import access, heap
from headcheck.interpreter.heap import Dictionary, Module, Sequence, StateDict
from headcheck.interpreter.state import State, events_of
from headcheck.interpreter.values import (
    Address,
    Library,
    Parameter,
    Ref,
    StateKey,
    Symbol,
    Tensor,
    Tuple,
    Value,
    is_plain,
    label,
    symbol,
)
from headcheck.ir import UNKNOWN, Operation
from headcheck.records import NamedTuple
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method

Shapes: TypeAlias = "Mapping[str, tuple[int, ...] | None]"
#: A size above this one stands for a number of classes that is not known (see `semantics.torchvision`).
LARGEST_SIZE = 900_000


#: What `keys()` and the like give: those that are known, in their order, among others that are not (buffers at least).
VIEW = "view"


class Content(NamedTuple):
    """Keys with the shapes of what stands under them (None: not known); `exact`: all parameters, under their names."""

    shapes: Shapes
    exact: bool


# -- where they come from --------------------------------------------------------------------------------------------


def taken(state: State, ref: Ref, site: Operation) -> Value:
    """What `state_dict()` of a module answers."""
    state.log(events.StateTaken(site, ref.address))
    return symbol("state dict", "state_dict()", ref)


def of_module(state: State, ref: Ref) -> Content | None:
    """The parameters of a module as it stands. While it stays so, the same is answered for key after key."""
    parts = tuple(map(state.heap.get, heap.below(state, ref)))
    key = tuple(map(id, parts))
    known = _recent.get(key)
    if known is None:
        if len(_recent) >= MOST_RECENT:
            _recent.clear()
        found, complete = heap.list_shapes(state, ref)
        shapes = {path: plain(shape) for path, shape in found.items()}
        known = _recent[key] = (parts, Content(shapes, complete) if found else None)
    return known[1]


MOST_RECENT = 16
_recent: dict[tuple[int, ...], tuple[tuple[Any, ...], Content | None]] = {}  # by the ids of its parts, kept beside


@functools.lru_cache(maxsize=1024)
def plain(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A shape, None where a size of it is not known."""
    known = shape is not None and all(type(size) is int and size < LARGEST_SIZE for size in shape)
    return shape if known else None


@functools.lru_cache(maxsize=64)
def of_builder(builder: str, member: str) -> Content | None:
    """The library's own weights of a builder; `member` of its weights, "" where only the builder is known."""
    if ".quantization." in builder:
        return None  # packed
    if builder.endswith(".googlenet"):  # the file has the auxiliary heads, which building with weights drops
        entry = catalog.find(builder, {"aux_logits": True, "transform_input": True}, False)
    else:
        entry = catalog.find(builder, {}, member or True)
    if entry is None:
        return None
    # Some files have older names for some parts, which the models' own loading code knows.
    exact = entry.task == "classification" and not builder.rpartition(".")[2].startswith(OLDER_NAMES)
    return Content(dict(walk(entry.root, "")), exact)


OLDER_NAMES = ("densenet", "googlenet", "inception", "mnasnet")


def walk(node: Node, prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in node.parameters.items():
        if shape is not None:
            yield prefix + name, shape
    for name, child in node.children.items():
        yield from walk(child, f"{prefix}{name}.")


@functools.cache
def builders_of_weights() -> Mapping[str, str]:
    """The builder of each weights enum."""
    names = [catalog.model_builder(name) for name in catalog.registered()]
    return {str(catalog.weights_of(name)): name for name in names if name is not None}


def of_weights(call: CallSite) -> Value:
    """``ResNet50_Weights.DEFAULT.get_state_dict()``."""
    enum, _, member = call.name.removesuffix(".get_state_dict").rpartition(".")
    enum = f"torchvision.models.{enum.rpartition('.')[2]}" if ".models." in enum else enum
    builder = next((b for e, b in builders_of_weights().items() if e.rpartition(".")[2] == enum.rpartition(".")[2]), "")
    members = catalog.weights(enum) or {}
    return made(call, of_builder(builder, member) if builder and member in members else None)


def made(call: CallSite, content: Content | None, saved: bool = False) -> Value:
    if content is None:
        return unknown(call)
    return call.state.allocate(StateDict(content.shapes, content.exact, saved), call.site)


@effect(
    "torch.hub.load_state_dict_from_url",
    "torch.utils.model_zoo.load_url",
    "torchvision.models.utils.load_state_dict_from_url",
    "torchvision._internally_replaced_utils.load_state_dict_from_url",
)
def from_url(call: CallSite) -> Value:
    builder = builder_of_url(call.argument(0, "url"))
    return made(call, of_builder(builder, "") if builder is not None else None)


@effect("torch.save")
def save(call: CallSite) -> Value:
    """A state dict, alone or in a dict, that may be loaded again. Where nothing loads, nobody asks what is in it."""
    if not call.machine.facts.loads:
        return unknown(call)
    given, path = call.argument(0, "obj"), call.argument(1, "f")
    alone, thing = content(call.state, given), call.state.object(given)
    parts: tuple[tuple[Value, Content | None, Value], ...] = ((None, alone, UNKNOWN),)
    if alone is None and type(thing) is Dictionary and thing.items and thing.view is None:
        parts = tuple((key, content(call.state, value), lasting(value)) for key, value in thing.items)
    if alone is None and type(thing) is Dictionary and any(tells(call.state, value) for _, value in thing.items or ()):
        return unknown(call)
    if is_path(path) and any(held is not None for _, held, _ in parts):
        call.state.log(events.Saved(call.site, path, parts))
    return unknown(call)


def is_path(value: Value) -> bool:
    return isinstance(value, str) or type(value) is Symbol


def saved(call: CallSite, path: Value) -> Value | None:
    """What the script itself wrote to a file, if it always wrote the same there."""
    found = [e for e in events_of(call.state) if type(e) is events.Saved and e.path == path] if is_path(path) else []
    if not found or any(event.parts != found[0].parts for event in found):
        return None
    held = {
        key: made(call, part, saved=True) if part is not None else entry(call, key) if value is UNKNOWN else value
        for key, part, value in found[0].parts
    }
    return held[None] if None in held else call.state.allocate(Dictionary(tuple(held.items())), call.site)


def tells(state: State, value: Value) -> bool:
    """Whether something that is saved beside weights may say what they are of, and is not known when it is loaded."""
    return value is UNKNOWN or type(state.object(value)) is Module


def lasting(value: Value) -> Value:
    """What is saved of a value that is no object; UNKNOWN for one, which may change later."""
    return value if is_plain(value) or type(value) is Symbol else UNKNOWN


def entry(call: CallSite, key: Value) -> Value:
    """What is under a key of what was saved and is not known: an unknown of its own."""
    return symbol("item", f"…[{label(key)}]", unknown(call), key)


@effect("torch.load")
def from_file(call: CallSite) -> Value:
    """What the script saved there, or what lies in a file by the name under which the library's weights are downloaded:
    it ends in a part of their hash."""
    own = saved(call, call.argument(0, "f"))
    if own is not None:
        return own
    found = WEIGHTS_FILE.fullmatch(file_name(call.argument(0, "f")))
    builder = catalog.model_builder(found["builder"]) if found is not None else None
    return made(call, of_builder(builder, "") if builder is not None else None)


WEIGHTS_FILE = re.compile(r"(?P<builder>\w+?)(_coco|_google|_rwightman)?-[0-9a-f]{8}\.pth")


def file_name(path: Value) -> str:
    """The last part of a path, "" where it is not known; the folder need not be."""
    if isinstance(path, str):
        return re.split(r"[\\/]", path)[-1]
    key: Any = path.key if type(path) is Symbol else None
    if not isinstance(key, tuple) or not isinstance(key[-1], str):
        return ""
    joined = key[:2] in (("call", Library("os.path.join")), ("binary", "Divide"))
    if joined or (key[0] == "format" and "/" in key[-1]):
        return file_name(key[-1])
    return ""


HOME = "download.pytorch.org/models/"


def builder_of_url(url: Value) -> str | None:
    """The builder whose weights lie at a URL of the library, by the file's name; None for any other URL."""
    if type(url) is Library and ".model_urls." in url.name:
        return catalog.model_builder(url.name.rpartition(".")[2])
    if not isinstance(url, str) or HOME not in url:
        return None
    path = url.partition(HOME)[2]
    return None if "/" in path else builder_of_file(path)


def builder_of_file(name: str) -> str | None:
    """The builder whose weights lie in a file of the library, by its name."""
    stem = name.rpartition("-")[0].replace(".", "_")
    while stem:
        builder = catalog.model_builder(stem)
        if builder is not None:
            return builder
        if stem.startswith("vit_"):
            return None  # some of them are for larger pictures
        shorter = max(stem.rfind("_"), stem.rfind("-"))
        stem = stem[:shorter] if shorter > 0 else ""
    return None


# -- what is in them -------------------------------------------------------------------------------------------------


def content(state: State, value: Value) -> Content | None:
    """What a state dict holds, None where that is not known."""
    if type(value) is Symbol:
        return of_symbol(state, value)
    thing = state.object(value)
    if type(thing) is StateDict:
        return None if thing.shapes is None else Content(thing.shapes, thing.exact)
    if type(thing) is Dictionary and thing.items and thing.view is None:
        shapes = {}
        for key, item in thing.items:
            if type(key) is not StateKey:
                return None
            shapes[str(key)] = shape_of(state, item)
        return Content(shapes, False)
    return None


def is_taken(value: Value) -> bool:
    return type(value) is Symbol and isinstance(value.key, tuple) and value.key[0] == "state dict"


CONCERNING = frozenset(
    [
        events.ChildDeleted, events.ChildSet, events.StateChanged, events.StateDropped, events.StateTaken,
        events.StateUpdated,
    ]
)  # fmt: skip


def concerning(state: State) -> list[Any]:
    """What happened on a path to networks and their state dicts, newest first. A loop over a dict's keys asks for it
    turn after turn: only what came since is looked at."""
    last, before = state.walks.get(CONCERNING, (None, []))
    found: list[Any] = []
    cell = state.events
    while cell is not None and cell is not last:
        if type(cell[0]) in CONCERNING:
            found.append(cell[0])
        cell = cell[1]
    if cell is last:
        found = found + before if found else before  # the same list as long as nothing came
    state.walks[CONCERNING] = state.events, found
    return found


def of_symbol(state: State, value: Symbol) -> Content | None:
    """The same of what `taken` answered. While nothing happens to it, the same is answered for key after key."""
    if not is_taken(value):
        return None
    ref = value.key[1]  # type: ignore[index]
    if type(state.object(ref)) is not Module:
        return None
    happened, whole = concerning(state), of_module(state, ref)
    known = state.walks.get((CONCERNING, ref.address))
    if known is None or known[0] is not happened or known[1] is not whole:
        known = state.walks[CONCERNING, ref.address] = happened, whole, since_taken(state, ref, whole, happened)
    return cast("Content | None", known[2])


def since_taken(state: State, ref: Ref, whole: Content | None, happened: list[Any]) -> Content | None:
    """The state dict of a module that holds `whole` now, by what happened since it was taken."""
    inside: Mapping[Address, Any] | None = None
    since, taken_over, dropped = False, dict[str, tuple[int, ...] | None](), set[str]()
    for event in reversed(happened):
        if type(event) in (events.ChildSet, events.ChildDeleted):
            if since:
                inside = inside or heap.below(state, ref)
                if event.owner in inside:
                    return None
        elif event.module != ref.address:
            continue
        elif type(event) is events.StateTaken:
            since, taken_over, dropped = True, {}, set()  # each is a dict of its own
        elif type(event) is events.StateChanged:
            return None
        elif type(event) is events.StateUpdated:
            taken_over.update(event.shapes)
            dropped.difference_update(event.shapes)
        elif type(event) is events.StateDropped:
            dropped.add(event.key)
    if whole is None or not (taken_over or dropped):
        return whole
    return Content({k: s for k, s in {**whole.shapes, **taken_over}.items() if k not in dropped}, whole.exact)


def shape_of(state: State, value: Value) -> tuple[int, ...] | None:
    """The shape of what stands under a key."""
    if type(value) is Tensor:
        return plain(value.shape)
    return plain(access.shape_of(state, value)) if type(value) is Parameter and value.path != "*" else None


VIEWS: dict[str, Callable[[Content], Iterable[Value]]] = {
    "items": lambda found: (Tuple((StateKey(key), Tensor(shape))) for key, shape in found.shapes.items()),
    "keys": lambda found: map(StateKey, found.shapes),
    "values": lambda found: map(Tensor, found.shapes.values()),
}


def view(state: State, value: Value, name: str, site: Operation) -> Value | None:
    """``items()``, ``keys()`` or ``values()``."""
    found = content(state, value)
    if found is None:
        return None
    return state.allocate(Sequence(tuple(VIEWS[name](found)), VIEW), site)


def keys(state: State, value: Value) -> tuple[Value, ...] | None:
    found = content(state, value)
    return None if found is None else tuple(StateKey(key) for key in found.shapes)


def item(state: State, value: Value, key: Value) -> Value | None:
    """What stands under a key."""
    found = content(state, value) if isinstance(key, str) else None
    return Tensor(found.shapes[key]) if found is not None and key in found.shapes else None


def holds(state: State, value: Value, key: Value) -> bool | None:
    """Whether a key is in a state dict, if that is sure: of buffers nobody knows."""
    found = content(state, value) if isinstance(key, str) else None
    if found is None:
        return None
    if key in found.shapes:
        return True
    return False if found.exact and str(key).rpartition(".")[2] in ("weight", "bias") else None


# -- changing them ---------------------------------------------------------------------------------------------------


def changed(state: State, value: Value, site: Operation) -> None:
    """A state dict was changed in a way that is not followed."""
    if is_taken(value):
        state.log(events.StateChanged(site, value.key[1].address))
    elif type(thing := state.object(value)) is StateDict:
        state.heap[value.address] = thing._replace(shapes=None)


def take_over(state: State, value: Symbol, other: Value, site: Operation) -> None:
    """What `state_dict()` answered is updated from another dict."""
    more = content(state, other)
    if more is None or not is_taken(value):
        changed(state, value, site)
    else:
        state.log(events.StateUpdated(site, value.key[1].address, more.shapes))  # type: ignore[index]


def without(state: State, value: Value, key: Value, site: Operation, must: bool = True) -> None:
    """A key is taken out, which raises where it `must` be there and is not."""
    if must and not state.caught and holds(state, value, key) is False:
        found = content(state, value)
        state.log(events.KeyMissing(site, str(key), tuple(found.shapes) if found is not None else ()))
        changed(state, value, site)  # nobody knows which key was meant
        return
    if is_taken(value) and isinstance(key, str):
        state.log(events.StateDropped(site, value.key[1].address, str(key)))
        return
    thing = state.object(value)
    if type(thing) is not StateDict or thing.shapes is None or not isinstance(key, str):
        changed(state, value, site)
        return
    kept = {k: s for k, s in thing.shapes.items() if k != key}
    state.heap[value.address] = thing._replace(shapes=kept)


def put(state: State, value: Value, key: Value, new: Value, site: Operation) -> None:
    """Something is put under a key."""
    thing = state.object(value)
    if is_taken(value) and isinstance(key, str):
        state.log(events.StateUpdated(site, value.key[1].address, {str(key): shape_of(state, new)}))
        return
    if type(thing) is not StateDict or thing.shapes is None or not isinstance(key, str):
        changed(state, value, site)
        return
    state.heap[value.address] = thing._replace(shapes={**thing.shapes, str(key): shape_of(state, new)})


@method(StateDict, "items", "keys", "values")
def look(call: CallSite) -> Value:
    found = view(call.state, call.receiver, call.name, call.site)
    return unknown(call) if found is None else found


@method(StateDict, "pop")
def pop(call: CallSite) -> Value:
    key = call.argument(0, "key")
    found = item(call.state, call.receiver, key)
    without(call.state, call.receiver, key, call.site, must=len(call.arguments) + len(call.keywords) == 1)
    return unknown(call) if found is None else found


@method(StateDict, "get")
def get(call: CallSite) -> Value:
    found = item(call.state, call.receiver, call.argument(0, "key"))
    return unknown(call) if found is None else found


@method(StateDict, "copy")
def copy(call: CallSite) -> Value:
    return call.state.allocate(call.state.heap[call.receiver.address], call.site)


@method(StateDict, "update")
def update(call: CallSite) -> Value:
    thing, more = call.state.heap[call.receiver.address], content(call.state, call.argument(0, "other"))
    if thing.shapes is None or more is None or call.keywords:
        changed(call.state, call.receiver, call.site)
    else:
        call.state.heap[call.receiver.address] = thing._replace(shapes={**thing.shapes, **more.shapes})
    return None


@method(StateDict, "*")
def other(call: CallSite) -> Value:
    changed(call.state, call.receiver, call.site)
    return unknown(call)


# -- loading them ----------------------------------------------------------------------------------------------------


def load(call: CallSite) -> Value:
    """``load_state_dict``: what of the dict the model does not take is remembered."""
    weights = call.state.object(call.argument(0, "state_dict"))
    given = content(call.state, call.argument(0, "state_dict"))
    into = of_module(call.state, call.receiver) if given is not None and not call.state.caught else None
    strict = call.argument(1, "strict", True)
    differing: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    if given is not None and into is not None:
        for key, shape in given.shapes.items():
            takes = into.shapes.get(key)
            if shape is not None and takes is not None and shape != takes:
                differing.append((key, shape, takes))
        if into.exact:
            unexpected = tuple(key for key in given.shapes if key not in into.shapes)
            if given.exact:
                missing = tuple(key for key in into.shapes if key not in given.shapes)
    total = len(given.shapes) if given is not None else 0
    module = call.receiver.address
    saved = type(weights) is StateDict and weights.saved
    call.state.log(events.Loaded(call.site, module, strict, tuple(differing), missing, unexpected, total, saved))
    return unknown(call)
