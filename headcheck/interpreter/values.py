"""What a variable can hold. All values are immutable and hashable; what has identity lives on the heap behind a `Ref`.

Plain Python constants (int, float, str, bool, None) stand for themselves.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

from headcheck.ir import UNKNOWN as UNKNOWN
from headcheck.records import NamedTuple

Value: TypeAlias = Any
Address: TypeAlias = tuple[int, int]
PLAIN = (int, float, str, bool, type(None), bytes)
MAX_DEPTH = 12
MAX_WEIGHT = 400
LARGEST_LIST = 10_000  # what two lists make together, and what a tuple may be made of
LONGEST_LABEL = 200


class Ref(NamedTuple):
    """An object on the heap."""

    address: Address


class Symbol(NamedTuple):
    """An unknown with an identity: the same expression over the same unknowns is the same symbol each time.

    `invented`: it is unknown only because paths met or a loop ran; `optional`: it is made of an argument that has a
    default (see `options`).
    """

    key: Hashable
    label: str
    depth: int = 0
    weight: int = 1
    invented: bool = False
    optional: bool = False


class Library(NamedTuple):
    """Something of a library, by qualified name: ``torchvision.models.resnet50``."""

    name: str


class Own(NamedTuple):
    """A module of the project: `key` is that of its variables in `State.globals`, `name` what it is imported as."""

    key: str
    name: str


class Choice(NamedTuple):
    """A member of a library's namespace, by a name that is not known yet: ``models.__dict__[args.arch]``."""

    namespace: str
    key: Symbol


class Chosen(NamedTuple):
    """How a model was built by a name that is not known, so that it can be built when it is.

    `known` is how many facts the path had when this was last tried in vain.
    """

    choice: Choice
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    site: Any
    known: int = -1


class Split(NamedTuple):
    """The result of a call or a look-up that is another one on each of several paths: (state, value) pairs."""

    paths: tuple[tuple[Any, Value], ...]


class Namespace(NamedTuple):
    """The ``__dict__`` of a library's module."""

    name: str


class Tuple(NamedTuple):
    items: tuple[Value, ...]


class Slice(NamedTuple):
    start: Value
    stop: Value
    step: Value


#: ``...``
ELLIPSIS = Library("builtins.Ellipsis")


class Function(NamedTuple):
    """A function of the script: `code` indexes the machine's definitions; `defaults` go by parameter name.

    `stand_ins` is how many arguments its decorators give it, each something that stands for another thing.
    """

    code: int
    defaults: tuple[tuple[str, Value], ...]
    closure: tuple[tuple[str, Value], ...]
    module: str
    wrapper: str = ""
    stand_ins: int = 0


class Class(NamedTuple):
    """A class of the script; `attributes` are its own, `bases` values."""

    code: int
    name: str
    bases: tuple[Value, ...]
    attributes: tuple[tuple[str, Value], ...]
    module: str
    fields: tuple[str, ...] = ()


class Bound(NamedTuple):
    """A function of the script with the object it was read from."""

    receiver: Value
    function: Function
    owner: Class | None = None


class Method(NamedTuple):
    """A method of something that is not the script's own: of a module, a list, a string, a symbol."""

    receiver: Value
    name: str


class Super(NamedTuple):
    receiver: Value
    owner: Class


class Partial(NamedTuple):
    function: Value
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]


class Parameter(NamedTuple):
    """A parameter of a module: the nearest module on the heap (or an unknown one) and the dotted path from there."""

    owner: Value
    path: str


class Parameters(NamedTuple):
    """``owner.parameters()`` / ``named_parameters()``, not consumed yet; `own`: without those of its children."""

    owner: Value
    named: bool = False
    prefix: str = ""
    own: bool = False


class Modules(NamedTuple):
    """``owner.children()``, ``named_children()``, ``modules()`` or ``named_modules()``, not consumed yet."""

    owner: Value
    kind: str


class Filtered(NamedTuple):
    """``filter(function, iterable)``, not consumed yet."""

    function: Value
    iterable: Value


class Lazy(NamedTuple):
    """A generator expression that was given a name: `function` makes its items when they are consumed."""

    function: Value


class Identity(NamedTuple):
    """``id(of)``: equal for one and the same object only."""

    of: Value


class Device(NamedTuple):
    """``torch.device(name)``: ``cpu``, ``cuda:0``; `unless`: the CPU on a machine that has no such device."""

    name: str
    unless: bool = False


class Found(NamedTuple):
    """What `re` found in a known text: all of it, and its groups (None: not there)."""

    groups: tuple[str | None, ...]


class Pattern(NamedTuple):
    """A compiled regular expression."""

    text: str


class Tensor(NamedTuple):
    """A tensor that came out of a module or of torch.

    `shape` has every size, the batch's first: an int, a `Symbol`, or None where nothing is known; it is None where even
    the rank is unknown, and `features` is then the last size, if that is known. `maker` is the module that fixed the
    last size, `source` the library model that it came out of; `activations` are the element-wise functions it went
    through since; `dtype` is "", "float" or "long"; `labels` are the class counts that targets speak of: (at least so
    many classes, or the dataset that has them; whether it is exactly so many). `register` is its number while a forward
    is recorded. `detached`: no gradient flows back from it.
    """

    shape: tuple[Value, ...] | None
    maker: Address | None = None
    source: Address | None = None
    activations: tuple[str, ...] = ()
    dtype: str = ""
    labels: tuple[int | Ref, bool] | None = None
    features: int | None = None
    register: int | None = None
    detached: bool = False


class Answer(NamedTuple):
    """What a model answers where that is an object with several parts: the model, those that are there by name, and the
    names of all that it may have."""

    owner: Address
    items: tuple[tuple[str, Value], ...]
    names: tuple[str, ...]


class Condition(NamedTuple):
    """A comparison with an unknown in it."""

    operator: str
    left: Value
    right: Value


class Not(NamedTuple):
    of: Value


class ParameterName(str):
    """The name of a parameter as `named_parameters` yields it: a str that remembers whose name it is."""

    __slots__ = ("parameter",)
    parameter: Parameter

    def __new__(cls, name: str, parameter: Parameter) -> ParameterName:
        made = super().__new__(cls, name)
        made.parameter = parameter
        return made

    def part(self, text: Value) -> Value:
        """What was cut out of the name (``name.split(".")[0]``) still says whose name it is; the rest is as it was."""
        return ParameterName(text, self.parameter) if type(text) is str else text


class StateKey(str):
    """A key of a state dict."""

    __slots__ = ()


def pieces_of(value: Value) -> tuple[Value, ...]:
    """What a text is put together of, ``f"layer{i}.conv"``: known pieces and unknown ones; () for anything else."""
    key: Any = value.key if type(value) is Symbol else ()
    return key[1:] if isinstance(key, tuple) and key[:1] == ("format",) else ()


def is_plain(value: Value) -> bool:
    return isinstance(value, PLAIN)


def is_unknown(value: Value) -> bool:
    return value is UNKNOWN or type(value) is Symbol


def distinct(items: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
    """What a set of some values holds: each once. None where two of them may be the same."""
    if items is None:
        return None
    kept = tuple(dict.fromkeys(items))
    return None if len(kept) > 1 and any(map(is_unknown, kept)) else kept


def symbol(kind: str, label: str, *parts: Value) -> Symbol:
    """A derived unknown. Beyond a size its parts are taken as a whole, so that no key grows without bound."""
    depth = heft = 1
    invented, optional = kind in INVENTED, False
    for part in parts:
        if type(part) is Symbol:
            depth = max(depth, part.depth + 1)
            heft += part.weight
            invented = invented or part.invented
            optional = optional or part.optional
        elif isinstance(part, tuple):
            heft += weight(part)
            invented = invented or is_invented(part)
            optional = optional or is_optional(part)
    if depth <= MAX_DEPTH and len(label) <= LONGEST_LABEL and heft <= MAX_WEIGHT:
        return Symbol((kind, *parts), label, depth, heft, invented, optional)
    label = f"{label[: LONGEST_LABEL // 4]}…{label[-LONGEST_LABEL // 4 :]}" if len(label) > LONGEST_LABEL else label
    taken = tuple(whole(part) for part in parts)
    return Symbol((kind, *taken), label, 2, 1 + sum(map(weight, taken)), invented, optional)


def whole(value: Value) -> Value:
    """An unknown without what it is made of: still another one for each, and as invented as it was."""
    if value.depth < 2 if type(value) is Symbol else weight(value) <= MAX_WEIGHT // 8:
        return value
    invented = is_invented(value)
    said = value.label if type(value) is Symbol else "…"
    return Symbol(("whole", hash(value), "merged" if invented else ""), said, 1, 1, invented, is_optional(value))


def weight(value: Value, most: int = MAX_WEIGHT) -> int:
    """How much a value is made of. What is more than `most` is not counted to the end."""
    if type(value) is Symbol:
        return value.weight
    if not isinstance(value, tuple) or type(value) in (Function, Class):
        return 1
    total = 1
    for part in value:
        if isinstance(part, tuple):
            total += weight(part, most - total)
        if total > most:
            break
    return total


# What a value is called that paths that met, a loop, or one turn of a loop of unknown length left behind: other turns
# take the other branch.
INVENTED = frozenset({"merged", "looped", "element"})


def is_invented(test: Value) -> bool:
    """Whether a test is on something that is unknown only because paths met or a loop ran: not every value it could
    have is one that it can have."""
    if type(test) is Not:
        return is_invented(test.of)
    if type(test) is Condition:
        return is_invented(test.left) or is_invented(test.right)
    return type(test) is Symbol and test.invented


def is_optional(value: Value) -> bool:
    """Whether a value is made of an argument that has a default."""
    if type(value) is Symbol:
        return value.optional
    if type(value) is Tuple:
        return any(map(is_optional, value.items))
    return type(value) in MADE_OF_PARTS and any(map(is_optional, value))


MADE_OF_PARTS = frozenset([Choice, Condition, Method, Not, Slice])


def unknown_item(owner: Ref, name: Value) -> Symbol:
    """What a list or dict holds under a name, where nobody knows: the same as if no item of it were known."""
    return symbol("item", f"…[{label(name)}]", owner, name)


def size_of(tensor: Value, dimension: int) -> Value:
    """One size of a tensor: an int, or an unknown that is the same each time it is asked for."""
    if type(tensor) is Tensor and tensor.shape is not None:
        if not -len(tensor.shape) <= dimension < len(tensor.shape):
            return UNKNOWN
        dimension %= len(tensor.shape)
        size = tensor.shape[dimension]
        return size if size is not None else symbol("size", f"size({dimension})", unmodified(tensor), dimension)
    if type(tensor) is Tensor and dimension == -1 and tensor.features is not None:
        return tensor.features
    if dimension == 0 and type(tensor) is Symbol and isinstance(tensor.key, tuple) and tensor.key[0] == "merged":
        return merged_size(tensor.key[1])
    return symbol("size", f"{label(tensor)}.size({dimension})", tensor, dimension)


def merged_size(of: Value) -> Value:
    """How many there are of what the first two dimensions hold, taken as one: the frames of all clips."""
    first, second = size_of(of, 0), size_of(of, 1)
    return symbol("binary", f"{label(first)} * {label(second)}", "Multiply", first, second)


def unmodified(tensor: Tensor) -> Tensor:
    """The tensor as it was before what leaves its shape as it is: element-wise functions, casts, `detach`."""
    return tensor._replace(activations=(), dtype="", labels=None, detached=False)


def batch_of(value: Value) -> Value:
    """The size of the first dimension, None if nothing can be said of it."""
    return size_of(value, 0) if type(value) in (Symbol, Tensor) else None


def last_size(tensor: Value) -> Value:
    """The size of the last dimension (features, classes): an int, or None if it is not known."""
    size = size_of(tensor, -1) if type(tensor) is Tensor else None
    return size if type(size) is int else None


def class_unknown(value: Value) -> Symbol:
    """The class of a value where it is not known."""
    return symbol("class of", f"type({label(value)})", value)


def name_of_class(of: Symbol) -> Symbol:
    """What a class that is not known is called."""
    return symbol("attribute", f"{of.label}.__name__", of, "__name__")


def label(value: Value) -> str:
    """A value in words, for conditions and messages."""
    if type(value) is Symbol:
        return value.label
    if type(value) in (Library, Own):
        return str(value.name.rsplit(".", 1)[-1])
    if is_plain(value):
        return repr(value)
    return "…"
