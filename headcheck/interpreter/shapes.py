"""Shapes followed through layers and library models as they stand on a path. Shapes leave out the batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from headcheck.catalog.entry import Entry, Node, Shape
from headcheck.interpreter import heap
from headcheck.interpreter.heap import Module
from headcheck.interpreter.parts import (
    Part,
    answers_otherwise,
    children_of,
    field_of,
    is_edited,
    is_rebound,
    kind_of,
    module_of,
    node_at,
    part_at,
)
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Value
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple
from headcheck.semantics import layers
from headcheck.semantics.layers import Mismatch

SEQUENTIAL = frozenset({"torch.nn.Sequential"})
SIZED = frozenset(layers.WEIGHTS) | {"torch.nn.modules.linear.NonDynamicallyQuantizableLinear"}


#: What a module of the script's own answers to a shape, None where that is not known.
OwnAnswer: TypeAlias = "Callable[[State, Ref, Shape], Shape | None]"


def unknown(state: State, ref: Ref, shape: Shape) -> Shape | None:
    """The answer of one who does not run the script's own modules."""
    return None


class Placed(NamedTuple):
    """A layer where a flow of shapes met it: `path` from the model, and the part before it that fixed the size."""

    part: Any
    path: str


class Flow(NamedTuple):
    """What came of following a shape through some layers: the shape at the end, or the first layer that disagrees.

    `sized` is the last layer before that which fixed the size, None if none did.
    """

    shape: Shape | None
    mismatch: Mismatch | None = None
    at: Placed | None = None
    sized: Placed | None = None


def flow(
    state: State,
    part: Part,
    shape: Shape | None,
    path: str = "",
    sized: Placed | None = None,
    own: OwnAnswer = unknown,
) -> Flow:
    """Follow a shape through a layer, a Sequential or a module of the script's."""
    if shape is None or answers_otherwise(state, part):
        return Flow(None, sized=sized)
    module = None if isinstance(part, Node) else module_of(state, part)
    if module is not None and module.cls is not None and not heap.is_sequential(module):
        return Flow(own(state, part, shape))  # type: ignore[arg-type]
    kind = kind_of(state, part)
    if kind in SEQUENTIAL or is_library_stack(state, part, kind):
        children = children_of(state, part)
        if children is None:
            return Flow(None, sized=sized)
        current = Flow(shape, sized=sized)
        for name, child in children:
            current = flow(state, child, current.shape, f"{path}.{name}" if path else name, current.sized, own)
            if current.mismatch is not None or current.shape is None:
                return current
        return current
    result = layers.infer(kind, lambda name: field_of(state, part, name), shape)
    here = Placed(part, path)
    if isinstance(result, Mismatch):
        return Flow(None, result, here, sized)
    averages = result is not None and len(shape) == len(result) == 1 and shape != result
    fixes = result is not None and (kind in SIZED or averages)
    return Flow(result, sized=here if fixes else sized)


def is_library_stack(state: State, part: Part, kind: str) -> bool:
    """Whether a part is a Sequential under another name, as the library made it."""
    module = None if isinstance(part, Node) else module_of(state, part)
    return kind == "torchvision.models.segmentation.fcn.FCNHead" and module is not None and module.node is not None


def chained(state: State, stack: Part, path: str) -> Flow:
    """The first Linear of a Sequential that does not take what the one before it gives, whatever reaches them."""
    gives: Any = None
    before: Placed | None = None
    if kind_of(state, stack) not in SEQUENTIAL or answers_otherwise(state, stack):
        return Flow(None)
    for name, child in children_of(state, stack) or []:
        kind, here = kind_of(state, child), Placed(child, f"{path}.{name}")
        if answers_otherwise(state, child):
            gives = None
        elif kind == "torch.nn.Linear":
            takes = field_of(state, child, "in_features")
            if type(gives) is int and type(takes) is int and takes != gives:
                return Flow(None, Mismatch(kind, "in_features", takes, (gives,), "size"), here, before)
            gives, before = field_of(state, child, "out_features"), here
        elif layers.RULES.get(kind) is not layers.same:
            gives = None
    return Flow(None)


def edited_places(state: State, root: Ref, path: str) -> Iterator[str]:
    """The changed places on the way to a head, outermost first; nothing if the way is as the library built it."""
    names = path.split(".")
    for count in range(1, len(names) + 1):
        prefix = ".".join(names[:count])
        part = part_at(state, root, prefix)
        if part is None:
            return
        if is_edited(state, part):
            yield prefix


def arriving(state: State, root: Ref, entry: Entry, path: str, own: OwnAnswer = unknown) -> Shape | None:
    """The shape that reaches a place, None if the trunk before it was changed in a way that matters."""
    shape = entry.inputs.get(path)
    if shape is None or trunk_is_intact(state, root, entry, path, own=own):
        return shape
    return pooled_anew(state, root, entry, path, own)


def pooled_anew(state: State, root: Ref, entry: Entry, path: str, own: OwnAnswer) -> Shape | None:
    """What reaches a place where the library has what its last pooling answers, flattened or as it is, and the script
    has put another pooling there. None if that is not all that was changed, or if it answers a map of unknown size."""
    pooling = before(entry, path)
    pooled = entry.outputs.get(pooling)
    if pooled is None or len(pooled) < 2 or entry.inputs[path] not in (pooled, (layers.product(pooled),)):
        return None
    part = part_at(state, root, pooling)
    if part is None or not trunk_is_intact(state, root, entry, path, pooling, own):
        return None
    answered = flow(state, part, entry.inputs.get(pooling), pooling, own=own).shape
    if not answered or None in answered:
        return None
    return answered if entry.inputs[path] == pooled else (layers.product(answered),)


def before(entry: Entry, path: str) -> str:
    """The top-level child before a place, the layers that change no shape left out; "" if there is none."""
    names = list(entry.root.children)
    above = names[: names.index(path)] if path in names else []
    return next((n for n in reversed(above) if layers.RULES.get(entry.root.children[n].kind) is not layers.same), "")


def trunk_is_intact(
    state: State, root: Ref, entry: Entry, path: str, changed: str = "", own: OwnAnswer = unknown
) -> bool:
    """Whether every change outside the heads, and but for the one that is `changed`, leaves the shapes as they were."""
    module = state.heap[root.address]
    spaced = pools_whatever_arrives(state, root, entry, path)
    heads = {head.path.split(".")[0] for head in entry.heads} | {path.split(".")[0], changed}
    for name, value in module.children.items():
        if name in heads or name not in module.node.children:
            continue
        if not keeps_shape(state, entry, name, value, node_at(entry.root, name), own, spaced):
            return False
    return bool(module.known) and all(
        keeps_shape(state, entry, place, value, node_at(entry.root, place), own)
        for place, value in changed_beside(state, root, entry, path)
    )


def changed_beside(state: State, root: Ref, entry: Entry, path: str) -> Iterator[tuple[str, Value]]:
    """What the script has touched of the parts that come before a place within a child of the model: the `box_head`
    that feeds a `box_predictor`, the first layers of a classifier."""
    names = path.split(".")
    for count in range(1, len(names)):
        above, here = ".".join(names[:count]), names[count]
        part, node = part_at(state, root, above), node_at(entry.root, above)
        module = module_of(state, part) if type(part) is Ref else None
        if module is None or node is None or module.node is not node:
            return
        order = list(node.children)
        for name in order[: order.index(here)] if here in order else ():
            if name in module.children and not any(h.path.startswith(f"{above}.{name}") for h in entry.heads):
                yield f"{above}.{name}", module.children[name]


def pools_whatever_arrives(state: State, root: Ref, entry: Entry, path: str) -> bool:
    """Whether the library pools what reaches a place to one size, that of its maps being what it may: a layer before
    may slide otherwise than it was built to."""
    pooling = before(entry, path) if path else ""
    part = part_at(state, root, pooling) if pooling else None
    module = module_of(state, part) if type(part) is Ref else None
    if part is None or (module is not None and (module.node is None or module.values)):
        return False
    return kind_of(state, part).startswith("torch.nn.AdaptiveAvgPool")


def keeps_shape(
    state: State,
    entry: Entry,
    path: str,
    value: Value,
    original: Node | None,
    own: OwnAnswer = unknown,
    spaced: bool = False,
) -> bool:
    """Whether what now sits at a path answers the same shape as what the library put there; `spaced`: but for the size
    of its map."""
    module = module_of(state, value)
    if module is None or original is None or answers_otherwise(state, value):
        return False
    if module.node is original:
        if is_as_built(state, value, original):
            return True
        if may_answer_fewer(module, original) or (slides_otherwise(module, original) and not spaced):
            return False
        below = original.children
        parts = module.children.items()
        return all(keeps_shape(state, entry, f"{path}.{n}", v, below.get(n), own, spaced) for n, v in parts)
    if module.node is not None:
        return False
    arrives, leaves = entry.inputs.get(path), entry.outputs.get(path)
    if arrives is not None and leaves is not None and flow(state, value, arrives, path, own=own).shape == leaves:
        return True
    return same_effect(module, original)


def is_as_built(state: State, value: Value, original: Node) -> bool:
    """Whether a part and all below it are the library's own, each in its place."""
    todo: list[tuple[Value, Node | None]] = [(value, original)]
    while todo:
        part, node = todo.pop()
        module = state.heap.get(part.address) if type(part) is Ref else None
        if node is None or type(module) is not Module or module.node is not node or may_answer_fewer(module, node):
            return False
        if (module.values or not module.known) and (is_rebound(module) or slides_otherwise(module, node)):
            return False
        if module.children:
            below = node.children
            todo += [(child, below.get(name)) for name, child in module.children.items()]
    return True


def slides_otherwise(module: Module, original: Node) -> bool:
    """Whether the script set how a layer of the library goes over its map, so that it answers one of another size."""
    if not module.known and not original.parameters:
        return True
    return any(name in SPACING and value != original.values.get(name) for name, value in module.values.items())


SPACING = frozenset({"stride", "padding", "dilation", "kernel_size", "output_size", "output_padding", "ceil_mode"})


def may_answer_fewer(module: Module, original: Node) -> bool:
    """Whether a layer got another weight, of which it is not known how much it answers: channels were pruned.

    That of a stem is taken to be one for other pictures.
    """
    given = "out_channels" if original.kind.startswith("torch.nn.Conv") else "out_features"
    pruned = module.values.get(given, original.values.get(given)) != original.values.get(given)
    return pruned and original.values.get("in_channels") != COLOURS


COLOURS = 3


def same_effect(module: Module, original: Node) -> bool:
    """Two layers of one family that answer as many channels: a stem with other inputs, another activation.

    A stem whose weight was put in afterwards is taken to fit.
    """
    if original.kind.startswith("torch.nn.Conv") and module.kind == original.kind:
        answered = heap.field(module, "out_channels")
        is_stem = original.values.get("in_channels") == COLOURS
        return answered == original.values.get("out_channels") or (answered is UNKNOWN and is_stem)
    neutral = layers.ACTIVATIONS_WITHOUT_PARAMETERS
    if module.kind in neutral and original.kind in neutral:
        return all(layers.RULES[k] is layers.same for k in (module.kind, original.kind))
    return "Norm" in module.kind and "Norm" in original.kind
