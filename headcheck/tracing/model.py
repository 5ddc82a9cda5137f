"""Tracing one model: its heads, the shapes that reach them, and what forward uses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import MapRule, Shape
from headcheck.tracing import autograd, compare, detection, fx, maps
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.observe import Observation, merge, observe
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import Scaled, Size, Tree, describe, lookup, total

#: Makes a model, given the keywords that are not left at what is traced.
Build = Callable[[Mapping[str, object]], nn.Module]
#: Gives the shapes of the tensors that a model is called with.
Shapes = Callable[[nn.Module], Sequence[tuple[int, ...]]]
#: As `Shape`; a size may follow a count.
SizedShape: TypeAlias = "tuple[Size | None, ...]"
#: How many more classes the second model has whose outputs are compared with those of the first.
_STEP = 10


@dataclass(frozen=True)
class TracedHead:
    """As `headcheck.catalog.entry.Head`; its kind and sizes are those of the module at `path`."""

    path: str
    shape: Shape
    auxiliary: bool
    train: bool
    eval: bool
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Traced:
    """As `headcheck.catalog.entry.Entry`, with the numbers that follow a count still symbolic.

    `plain` is the tree as built, `tree` the symbolic one; `counts` are the values the counts have when the builder is
    not told otherwise; `kind` is the model's class.
    """

    kind: type[nn.Module]
    plain: Tree
    tree: Tree
    counts: Mapping[str, int]
    heads: tuple[TracedHead, ...]
    inputs: Mapping[str, SizedShape]
    outputs: Mapping[str, SizedShape]
    used: frozenset[str]
    input: tuple[int, ...]
    method: str
    maps: Mapping[str, MapRule] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What one mode shows: the forward pass, the output keys of each head, and how the heads were found."""

    seen: Observation
    heads: Mapping[str, set[str]]
    method: str


def trace(build: Build, shapes: Shapes, counts: Iterable[str], task: str) -> Traced:
    """Trace the model that `build` makes.

    `shapes` gives the shapes of the tensors a model is called with, without the batch size; `counts` are the keywords
    that set how many outputs it has (``num_classes``); a ``detection`` model is run on the CPU; what an
    ``optical_flow`` model answers are not classes, so it has no heads.

    Raises TracingError when two ways of finding the heads disagree.
    """
    place = on_meta
    model = place(lambda: build({}))
    plain = describe(model)
    tree, defaults = _scaled(build, plain, counts)
    _check_total(model, tree, defaults)
    expected = shapes(model)
    if task == "detection":
        looks = _look_at_detection(build, tree, defaults)
    else:
        try:
            looks = _look_in_both_modes(model, expected, task)
        except RuntimeError:
            # Forward asks for a tensor's value, which the meta device does not have.
            place = _on_cpu
            looks = _look_in_both_modes(place(lambda: build({})), expected, task)
    seen = merge(looks[0].seen, looks[1].seen)
    heads = ordered_heads(looks, seen)
    if defaults:
        heads = of_classes(heads, tree)
    wanted = wanted_paths(heads, tree)
    inputs, outputs = regular(seen.inputs, wanted[0]), regular(seen.outputs, wanted[1])
    for count, default in defaults.items():
        other = {**defaults, count: default + _STEP}
        if task == "detection":
            changed = detection.train(build, other)
        else:
            changed = _observe(
                place(partial(build, other)), expected, 1, train=True
            )  # All heads are used in train mode.
        inputs = {path: _scale(shape, changed.inputs.get(path), count, default) for path, shape in inputs.items()}
        outputs = {path: _scale(shape, changed.outputs.get(path), count, default) for path, shape in outputs.items()}
    following = [path for path, shape in outputs.items() if len(shape) == 3 and shape[1] is shape[2] is None]
    known = {name for name, _ in (*tree.values, *tree.parameters, *tree.children)} | tree.attributes
    return Traced(
        kind=type(model),
        plain=plain,
        tree=tree,
        counts=defaults,
        heads=heads,
        inputs=inputs,
        outputs=outputs,
        used=frozenset(seen.read & known),
        input=expected[0],
        method=looks[0].method if looks[0].method == looks[1].method else "autograd",
        maps=_maps(place(lambda: build({})), expected, following) if task == "classification" else {},
    )


def _on_cpu(build: Callable[[], nn.Module]) -> nn.Module:
    return build()


def _look_at_detection(build: Build, tree: Tree, counts: Mapping[str, int]) -> list[Look]:
    passes, losses = detection.look(build, counts)
    compared = set(compare.owners(tree))
    # The layers that follow a count: those of the region proposals and of class-agnostic boxes feed losses too.
    heads = {path: keys for path, keys in losses.items() if path in compared}
    return [
        Look(seen, {path: keys for path, keys in heads.items() if path in seen.called}, "detection") for seen in passes
    ]


def _scaled(build: Build, base: Tree, counts: Iterable[str]) -> tuple[Tree, dict[str, int]]:
    tree, defaults = base, {}
    for count in counts:

        def describe_at(number: int, count: str = count) -> Tree:
            return describe(on_meta(lambda: build({count: number})))

        tree = compare.scale(tree, describe_at, count)
        default = compare.default_of(base, tree, count)
        if default is not None:
            defaults[count] = default
    return tree, defaults


def _check_total(model: nn.Module, tree: Tree, counts: Mapping[str, int]) -> None:
    expected = sum(parameter.numel() for parameter in model.parameters())
    if total(tree, counts) != expected:
        raise TracingError("some parameters belong to several modules")


def _look_in_both_modes(model: nn.Module, shapes: Sequence[tuple[int, ...]], task: str) -> list[Look]:
    model.requires_grad_(True)  # The autograd walk needs the gradients of what a builder froze, too.
    looks = [_look(model, shapes, train, task != "optical_flow") for train in (True, False)]
    _look_larger(model, shapes, looks)
    return looks


def _look(model: nn.Module, shapes: Sequence[tuple[int, ...]], train: bool, with_heads: bool) -> Look:
    """Run the model at its expected input and find its heads in one mode."""
    seen = _observe(model, shapes, 1, train)
    walked = autograd.heads(model, seen.answer) if with_heads else {}
    # Shapes are the same in both modes, and all heads are used in train mode.
    traced = fx.heads(model, arguments_for(model, shapes, 1) if train else None, train) if with_heads else None
    if traced is not None:
        _check_methods(traced, walked, seen)
    return Look(seen, walked, "autograd" if traced is None else "fx")


def _look_larger(model: nn.Module, shapes: Sequence[tuple[int, ...]], looks: list[Look]) -> None:
    """Run the model at twice the size, if it takes that: the sizes that differ become None in `looks`."""
    train, evaluated = looks
    modes = [True] if evaluated.seen.called <= train.seen.called else [True, False]
    for mode in modes:
        try:
            larger = _observe(model, shapes, 2, mode)
        except (AssertionError, RuntimeError, ValueError):
            return  # The model takes one image size only, so every size it has is fixed.
        index = 0 if mode else 1
        looks[index] = replace(looks[index], seen=merge(looks[index].seen, larger))


def _observe(model: nn.Module, shapes: Sequence[tuple[int, ...]], scale: int, train: bool) -> Observation:
    arguments = arguments_for(model, shapes, scale)
    with no_arithmetic() if arguments[0].is_meta else contextlib.nullcontext():
        return observe(model, arguments, train)


def arguments_for(model: nn.Module, shapes: Sequence[tuple[int, ...]], scale: int) -> tuple[Tensor, ...]:
    device = next((parameter.device for parameter in model.parameters()), None)
    # Two images: BatchNorm refuses to train on a single value per channel.
    batches = [(2, shape[0], *(size * scale for size in shape[1:])) for shape in shapes]
    # Clones, because forward may change its input in place, which a leaf forbids.
    return tuple(torch.zeros(batch, device=device, requires_grad=True).clone() for batch in batches)


def _maps(model: nn.Module, expected: Sequence[tuple[int, ...]], outputs: Iterable[str]) -> dict[str, MapRule]:
    """Run the model on pictures of several sizes, as far as it takes them."""
    if not maps.is_picture(expected):
        return {}
    seen = []
    for size in maps.sizes(expected[0][1]):
        try:
            seen.append(_observe(model, [(expected[0][0], size, size)], 1, False))
        except (AssertionError, RuntimeError, ValueError):
            continue
    return maps.rules(seen, outputs)


def _check_methods(
    traced: Mapping[str, tuple[set[str], Shape | None]], walked: Mapping[str, set[str]], seen: Observation
) -> None:
    found = {path: keys for path, (keys, _) in traced.items()}
    if found != walked:
        raise TracingError(f"torch.fx finds the heads {found}, the autograd walk {walked}")
    for path, (_, shape) in traced.items():
        if shape is not None and seen.inputs[path] != shape:
            raise TracingError(f"{path} gets {seen.inputs[path]} by hooks, {shape} by shape propagation")


def ordered_heads(looks: Sequence[Look], seen: Observation) -> tuple[TracedHead, ...]:
    train, evaluated = (look.heads for look in looks)
    order = list(seen.inputs)
    heads = []
    for path in sorted({*train, *evaluated}, key=order.index):
        shape = seen.inputs[path]
        if shape is None:
            raise TracingError(f"{path} is not called with one tensor")
        keys = sorted(train.get(path, set()) | evaluated.get(path, set()))
        heads.append(
            TracedHead(
                path=path,
                shape=shape,
                auxiliary=all("aux" in key for key in keys),
                train=path in train,
                eval=path in evaluated,
                outputs=tuple(keys),
            )
        )
    return tuple(heads)


def of_classes(heads: tuple[TracedHead, ...], tree: Tree) -> tuple[TracedHead, ...]:
    """Return the heads whose size follows a count, which leaves out those of outputs that are no classes (features).

    Raises TracingError if an output comes from both kinds, or a layer that follows a count is nearest to no output.
    """
    compared = set(compare.owners(tree))
    kept = tuple(head for head in heads if head.path in compared)
    rest = [head for head in heads if head.path not in compared]
    mixed = {key for head in kept for key in head.outputs} & {key for head in rest for key in head.outputs}
    if mixed or compared != {head.path for head in kept}:
        found = sorted(head.path for head in heads)
        raise TracingError(f"the outputs come from {found}, the classes change {sorted(compared)}")
    return kept


def wanted_paths(heads: Iterable[TracedHead], tree: Tree) -> tuple[set[str], set[str]]:
    """Return the paths of the modules whose input, and of those whose output, the catalog keeps."""
    containers = {path for head in heads for path in _above(head.path)}
    top = [name for name, _ in tree.children]
    children = {f"{path}.{name}" for path in containers for name, _ in lookup(tree, path).children}
    return {*top, *containers, *(head.path for head in heads)}, {*top, *children}


def _scale(shape: SizedShape, changed: Shape | None, count: str, default: int) -> SizedShape:
    """Return a shape with the sizes that follow `count`, which `changed` has `_STEP` more of."""
    if changed is None:
        return shape
    return tuple(_scale_size(*sizes, count, default) for sizes in zip(shape, changed, strict=True))


def _scale_size(size: Size | None, changed: int | None, count: str, default: int) -> Size | None:
    if size is None or changed is None or isinstance(size, Scaled) or size == changed:
        return size
    factor = (changed - size) // _STEP
    if factor * _STEP != changed - size:
        raise TracingError(f"a shape does not follow {count} in a straight line")
    return Scaled(count, factor, size - factor * default)


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def regular(shapes: Mapping[str, Shape | None], wanted: set[str]) -> dict[str, SizedShape]:
    return {path: shape for path, shape in shapes.items() if path in wanted and shape is not None}


def sizes(layer: Tree) -> tuple[Size, Size] | None:
    """Return how many features (or channels) a layer takes and gives, or None where it is not such a layer."""
    values = dict(layer.values)
    for one, other in (("in_features", "out_features"), ("in_channels", "out_channels")):
        taken, given = values.get(one), values.get(other)
        if isinstance(taken, int | Scaled) and isinstance(given, int | Scaled):
            return taken, given
    return None
