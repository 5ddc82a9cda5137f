"""Facts on one library model, as the catalog keeps them.

Shapes leave out the batch size. A size that follows the input image's is None (a VGG's `classifier` gets ``(25088,)``
whatever the image, a SqueezeNet's ``(512, None, None)``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from headcheck.records import NamedTuple

Shape: TypeAlias = tuple[int | None, ...]
Plain: TypeAlias = "int | float | bool | str | tuple[Plain, ...] | None"


#: The class of what stands where a model has no head.
IDENTITY = "torch.nn.Identity"
#: How much of a module the catalog holds, see `Node`.
ALL, NAMES, NOTHING = "all", "names", "nothing"


class Node:
    """One module of a library model. Nodes are shared between models, so they compare by identity.

    `kind` is the class under its public name (``torch.nn.Linear``, ``torchvision.models.resnet.Bottleneck``); `values`
    its plain instance attributes (``in_features``, ``kernel_size``, …); `children` its modules in order; `parameters`
    the shapes of those it owns directly, in order; `attributes` every further name an instance has beyond those of
    `torch.nn.Module` itself (with values, children and parameters this is complete); `total` the number of parameters
    of the whole subtree, None where the catalog does not keep it; what works it out when asked may be given for it.

    `known` says how much of this the catalog holds: `ALL`; `NAMES`: the names of the children and of the parameters
    (with None for their shapes), but neither values nor further attributes; `NOTHING`: only that there is a module.
    """

    __slots__ = ("_total", "attributes", "children", "kind", "known", "parameters", "values")

    def __init__(
        self,
        kind: str,
        values: Mapping[str, Plain],
        children: Mapping[str, Node],
        parameters: Mapping[str, tuple[int, ...] | None],
        attributes: frozenset[str],
        total: int | Callable[[], int | None] | None,
        known: str = ALL,
    ) -> None:
        self.kind = kind
        self.values = values
        self.children = children
        self.parameters = parameters
        self.attributes = attributes
        self._total = total
        self.known = known

    def changed(self, **changes: Any) -> Node:
        """A node that differs from this one in these."""
        fields = {name.lstrip("_"): getattr(self, name) for name in self.__slots__}
        return Node(**{**fields, **changes})

    @property
    def total(self) -> int | None:
        if callable(self._total):
            self._total = self._total()
        return self._total

    @property
    def whole(self) -> bool:
        """Whether everything is known of it."""
        return self.known == ALL


class Head(NamedTuple):
    """A layer whose output is the model's. `outputs` are the keys of the outputs it makes ("" for a plain tensor).

    `in_features` is None where how wide the model is depends on a checkpoint that is not known.
    """

    path: str
    kind: str
    in_features: int | None
    out_features: int
    shape: Shape
    auxiliary: bool
    train: bool
    eval: bool
    outputs: tuple[str, ...]


#: What is added to the size of a map, and by what that is then divided (see `map_size`).
MapRule: TypeAlias = tuple[int, int]


class Entry(NamedTuple):
    """What calling one builder gives.

    `inputs` is the input shape of every module on the way to a head and of every top-level child; `outputs` the
    output shape of every top-level child and of the direct children of those on the way to a head; modules that are
    called with or answer something else than one tensor are left out. `used` holds the top-level children (in order)
    and the attributes that forward reads, in either mode. `input` is the shape of one expected input (an image or a
    clip), empty where that is not kept; `method` how the heads were found (``fx``, ``autograd``, ``detection``);
    `answers` the output shape of the methods that answer one tensor, by name (``forward``, ``forward_features``),
    where that is kept; of those that answer a dict, by name and key (``forward_features.x_norm_clstoken``). `maps` are
    the rules by which the size of a map that a part of the model makes follows that of the map it gets (see
    `map_size`). `open` are the places where the head of a model goes that has none: what stands there passes on the
    features that it gets, which are the model's answer.
    """

    builder: str
    task: str
    root: Node
    heads: tuple[Head, ...]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    used: frozenset[str]
    input: tuple[int, ...]
    method: str
    answers: Mapping[str, Shape] = {}  # never written to
    maps: Mapping[str, MapRule] = {}
    open: tuple[Head, ...] = ()

    @property
    def places(self) -> tuple[Head, ...]:
        """The heads, and where some can be put in."""
        return self.heads + self.open


def map_size(rule: MapRule, size: int) -> int | None:
    """How high, or wide, the map is that comes of one of `size`; None where nothing is left of it.

    Every chain of convolutions and poolings adds a number, divides by the product of its strides and rounds down.
    """
    added, stride = rule
    return (size + added) // stride if size + added >= stride else None


class Signature(NamedTuple):
    """The parameters of a callable in order: name and default (`REQUIRED` if it has none), and if it takes ``**``."""

    parameters: Mapping[str, object]
    variadic: bool


REQUIRED = "<required>"
