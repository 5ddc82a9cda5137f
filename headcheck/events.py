"""The events of an execution: each is one thing the script does to an object.

`site` is the IR operation that did it. Modules are named by heap address; values are those of `interpreter.values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from headcheck.records import NamedTuple

Address: TypeAlias = tuple[int, int]
Site: TypeAlias = Any


class Built(NamedTuple):
    """A library builder made a model. `given` are the keywords as the script wrote them."""

    site: Site
    module: Address
    builder: str
    keywords: Mapping[str, Any]
    weights: Any
    given: Mapping[str, Any] = {}


class Created(NamedTuple):
    """A layer or a module of the script was made; `children` are those it was made with."""

    site: Site
    module: Address
    children: Mapping[str, Any] = {}


class Taken(NamedTuple):
    """A part of a library model was read for the first time and has an address of its own from here on."""

    site: Site
    module: Address
    owner: Address
    name: str


class Copied(NamedTuple):
    site: Site
    module: Address
    original: Address


class ChildSet(NamedTuple):
    """A module (or None, or something unknown) was put at `name`; `old` was there before."""

    site: Site
    owner: Address
    name: str
    new: Any
    old: Any
    how: str


class ChildDeleted(NamedTuple):
    site: Site
    owner: Address
    name: str
    how: str


class FieldSet(NamedTuple):
    """A plain value was written to an attribute of a module."""

    site: Site
    owner: Address
    name: str
    value: Any


class Missing(NamedTuple):
    """An attribute or index that the module does not have. `action` is read, index or delete; answer: it is what the
    module answered that does not have it; none: what it has is None, of which an attribute is used; super: none of the
    classes that its own derives from has it."""

    site: Site
    owner: Address
    name: Any
    action: str


class Flagged(NamedTuple):
    """``requires_grad`` of parameters was set: of the `paths` of a module, or of all of it."""

    site: Site
    module: Address
    paths: tuple[str, ...] | None
    value: bool


class FlagMissed(NamedTuple):
    """Something that was meant to set ``requires_grad`` and does not, or of which it is not known what it set.

    `receiver` is module, parameter, list, call, uncalled, comparison, loss or read; tensor: it is none of a model's
    parameters; unknown: it may be any parameter. `path` is that of the parameter in `owner` ("*": any of them), ""
    where it is `owner` itself that is set.
    """

    site: Site
    receiver: str
    owner: Any
    name: str
    value: Any
    path: str = ""


class Uncalled(NamedTuple):
    """Something that only does its work when it is called, and is not.

    `kind` is method, layer, init, or network: a class of the script's of which a method is called.
    """

    site: Site
    name: str
    kind: str


class NameTested(NamedTuple):
    """A parameter's name was compared with a text in the script."""

    site: Site
    parameter: Any
    operator: str
    text: Any
    result: bool


class Paired(NamedTuple):
    """``zip`` went over modules and parameters side by side: the first module with the first parameter, and so on."""

    site: Site
    pairs: tuple[tuple[Address, Any], ...]


class Moved(NamedTuple):
    """A module was moved: `target` is what the script says. `device` is "", cpu, accelerator or unsure (it may name
    any); `dtype` is "", a dtype's name (``float16``) or unsure."""

    site: Site
    module: Address
    target: str
    device: str = ""
    dtype: str = ""


class Ambient(NamedTuple):
    """From here on tensors are made or computed with otherwise: a default device or dtype, autocast."""

    site: Site
    what: str


class Casting(NamedTuple):
    """From here on what is computed is under another autocast: `to` is the dtype, off, any (it is not known), or ""
    where none is left. `made` is the identity of the call that made the context, 0 for one that may be none."""

    site: Site
    to: str
    made: int


class Entered(NamedTuple):
    """From here on a function is followed that nothing in the file calls: what it returns is out of sight.

    `receiver`: the object that it is a method of. `after_loading`: whether another of its methods loads weights, and
    may have been called before.
    """

    site: Site
    name: str
    receiver: Address | None = None
    after_loading: bool = False


class ModeSet(NamedTuple):
    site: Site
    module: Address
    training: bool


class Optimized(NamedTuple):
    """An optimizer was made over `parameters`; `complete` says if those are all it got.

    `groups` are how many of them are in each, and its options. `wholes` are the groups where each is all parameters of
    some modules, whether or not those are known; () if one is not. `by` is what made the optimizer unasked.
    `of` are the modules that were asked for them, as far as those are known.
    """

    site: Site
    optimizer: Address
    kind: str
    parameters: tuple[Any, ...]
    complete: bool
    groups: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    keywords: Mapping[str, Any] = {}
    wholes: tuple[tuple[tuple[Address, ...], Mapping[str, Any]], ...] = ()
    by: str = ""
    of: frozenset[Address] = frozenset()


class GroupAdded(NamedTuple):
    """An optimizer got a further group of parameters (see `Optimized`)."""

    site: Site
    optimizer: Address
    parameters: tuple[Any, ...]
    complete: bool
    options: Mapping[str, Any]
    wholes: tuple[tuple[tuple[Address, ...], Mapping[str, Any]], ...] = ()


class Loaded(NamedTuple):
    """A state dict was loaded into a module.

    Where both are known: `differing` are the parameters that have another shape in the module (name, shape in the dict,
    shape in the module), `missing` those that only the module has, `unexpected` those that only the dict has; `total`
    is how many the dict has. `saved`: the script itself wrote them to a file before.
    """

    site: Site
    module: Address
    strict: Any = True
    differing: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    total: int = 0
    saved: bool = False


class Overwritten(NamedTuple):
    """Other numbers were written into parameters of a module, or (None) of a model that is not known.

    `anew`: another tensor took their place (``p.data = …``), wherever that is and whatever its numbers are.
    """

    site: Site
    module: Address | None
    anew: bool = False


class Resized(NamedTuple):
    """Numbers of another shape, or of one that is not known, were put into a parameter of a module."""

    site: Site
    module: Address


class StateTaken(NamedTuple):
    """``state_dict()`` of a module was asked for."""

    site: Site
    module: Address


class StateChanged(NamedTuple):
    """A dict that ``state_dict()`` of a module answered was changed, nobody knows how."""

    site: Site
    module: Address


class StateUpdated(NamedTuple):
    """A dict that ``state_dict()`` of a module answered took over the `shapes` of another."""

    site: Site
    module: Address
    shapes: Mapping[str, tuple[int, ...] | None]


class StateDropped(NamedTuple):
    """A key was taken out of a dict that ``state_dict()`` of a module answered."""

    site: Site
    module: Address
    key: str


class KeyMissing(NamedTuple):
    """A key was taken out of a state dict that surely does not have it; `names` are those that it has."""

    site: Site
    key: str
    names: tuple[str, ...]


class Saved(NamedTuple):
    """State dicts were written to a file: (key, the state dict or None, another value) of each entry of a dict; the key
    is None where a state dict is all that was written."""

    site: Site
    path: Any
    parts: tuple[tuple[Any, Any, Any], ...]


class Called(NamedTuple):
    """A module's forward ran, or another `method` that runs a part of it (timm's ``forward_features``).

    `targets` are what a detector was given beside its pictures.
    """

    site: Site
    module: Address
    method: str = ""
    targets: Any = None


class Computed(NamedTuple):
    """A step of a forward that is recorded, as data (see `interpreter.recording`)."""

    site: Site
    step: dict[str, Any]


class Adapted(NamedTuple):
    """PEFT froze a model, but for the modules whose names end in one of `saved` and what is in them; its adapters went
    into the layers named in `targets`."""

    site: Site
    module: Address
    saved: tuple[str, ...]
    targets: tuple[str, ...]


class Trained(NamedTuple):
    """A trainer of the library trains a model, on its own device. That of transformers passes the `labels`, and the
    model computes the loss, unless it is given another way to."""

    site: Site
    module: Address
    labels: bool = True


class Mismatched(NamedTuple):
    """A layer met a tensor that it does not take. `module` is None for a layer that was never read on its own; `model`
    is the library model that was called, where its first layer refuses the input."""

    site: Site
    module: Address | None
    mismatch: Any
    given: Any
    model: Address | None = None


class LossTaken(NamedTuple):
    """A loss was computed: `kind` is its class under `torch.nn`, whether it was called as that or as a function."""

    site: Site
    kind: str
    module: Address | None
    output: Any
    target: Any
    keywords: Mapping[str, Any] = {}


class Backward(NamedTuple):
    """A backward pass from a value."""

    site: Site
    of: Any


class Stepped(NamedTuple):
    """An optimizer took a step."""

    site: Site
    optimizer: Address


class TopTaken(NamedTuple):
    """The `number` largest of the last size of a tensor were asked for."""

    site: Site
    number: int
    tensor: Any


class OutputRead(NamedTuple):
    """One output of a model that answers several was read, by key, attribute or position."""

    site: Site
    module: Address
    key: Any


class Unresolved(NamedTuple):
    """A new module was put at a name of something that could not be resolved to a model: of the value `of`."""

    site: Site
    name: Any
    owner: str
    new: Any
    of: Any = None


class Escaped(NamedTuple):
    """A module was handed to code that is not followed; `own` says that it is the script's or its project's, `tensors`
    that it was its parameters, as an optimizer gets them."""

    site: Site
    module: Address
    where: str
    own: bool = False
    tensors: bool = False


class Summarised(NamedTuple):
    """A summary of a module was printed: its layers and how many parameters they have."""

    site: Site
    module: Address


class Skipped(NamedTuple):
    """A call of a function of the script was not followed, which may have changed `modules`."""

    site: Site
    name: str
    modules: frozenset[Address]


class Returned(NamedTuple):
    """A function of the script, defined at `site`, answered a module and never read its parameter `name`, a `count`."""

    site: Site
    module: Address
    name: str
    count: Any


class UnknownName(NamedTuple):
    """A library has no member of this name."""

    site: Site
    namespace: str
    name: str


Event: TypeAlias = (
    "Built | Created | Taken | Copied | ChildSet | ChildDeleted | FieldSet | Missing | Flagged | FlagMissed"
    " | Mismatched | LossTaken | Backward | Stepped | TopTaken | StateTaken | StateChanged | StateUpdated"
    " | StateDropped | KeyMissing | Saved | GroupAdded"
    " | Uncalled | Adapted | Trained | Computed | NameTested | Paired | Moved | Ambient | Casting | Entered | Returned"
    " | Skipped | Summarised"
    " | ModeSet | Optimized | Loaded | Overwritten | Resized | Called | OutputRead | Unresolved | Escaped | UnknownName"
)

# What changes what a model is made of, or which of it learns.
BUILDING: frozenset[type] = frozenset([Built, Created, Taken, Copied, ChildSet, ChildDeleted, Flagged])

# What tells that something learned.
LEARNING: frozenset[type] = frozenset([Backward, Stepped, Trained])

# What may have happened on one path only: a path that has it all stands for those that have some of it.
SOFT: frozenset[type] = frozenset(
    [
        Moved,
        Ambient,
        Casting,
        Backward,
        Stepped,
        Trained,
        ModeSet,
        Loaded,
        Overwritten,
        Returned,
        Skipped,
        StateTaken,
        StateChanged,
        StateDropped,
        Saved,
        Escaped,
        Summarised,
        Called,
        OutputRead,
        Mismatched,
        LossTaken,
        TopTaken,
    ]
)
