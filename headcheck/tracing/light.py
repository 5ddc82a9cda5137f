"""Tracing one of many models: in one mode, without torch.fx, and with as few buildings as there can be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from headcheck.catalog.entry import Shape
from headcheck.tracing import autograd, compare
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.model import (
    Look,
    SizedShape,
    Traced,
    arguments_for,
    of_classes,
    ordered_heads,
    regular,
    wanted_paths,
)
from headcheck.tracing.observe import Observation, merge, observe
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import Scaled, Tree, describe, total

#: The number of classes that a model is looked at with: no other size of a model is it by chance.
CLASSES = compare.COUNTS[0]
_COUNT = "num_classes"


def trace(
    model: nn.Module,
    build: Callable[[Mapping[str, object]], nn.Module],
    shape: tuple[int, ...],
    methods: tuple[str, ...],
    sharing: bool = False,
) -> tuple[Traced, dict[str, Shape]]:
    """Trace a classifier, and return with it the shape of the one tensor that each of `methods` answers.

    `model` has `CLASSES` classes and lies on the meta device; `build` makes it for the keyword ``num_classes``; `shape`
    is that of one image, without the batch size. The methods are those that forward itself calls; one that it does not
    call, or that answers something else, is left out.

    Raises TracingError when the layers nearest to the output are not those that follow the number of classes, and,
    unless `sharing` is allowed, when a parameter belongs to several modules: the tree has it more than once then.
    """
    plain = describe(model)

    def describe_at(count: int) -> Tree:
        return plain if count == CLASSES else describe(on_meta(lambda: build({_COUNT: count})))

    tree = compare.scale(plain, describe_at, _COUNT)
    if not sharing and total(tree, {_COUNT: CLASSES}) != sum(part.numel() for part in model.parameters()):
        raise TracingError("some parameters belong to several modules")
    model.requires_grad_(True)
    answers: dict[str, Shape | None] = {}
    with _watched(model, methods, answers):
        seen = _observe(model, shape, 1)
        look = Look(seen, autograd.heads(model, seen.answer), "autograd")
        # A model that refuses takes one image size only, so every size it has is fixed.
        with contextlib.suppress(AssertionError, RuntimeError, ValueError):
            seen = merge(seen, _observe(model, shape, 2))
    heads = of_classes(ordered_heads([look, look], seen), tree)
    taken, given = wanted_paths(heads, tree)
    known = {name for name, _ in (*tree.values, *tree.parameters, *tree.children)} | tree.attributes
    traced = Traced(
        kind=type(model),
        plain=plain,
        tree=tree,
        counts={_COUNT: CLASSES},
        heads=heads,
        inputs={path: _scaled(shape) for path, shape in regular(seen.inputs, taken).items()},
        outputs={path: _scaled(shape) for path, shape in regular(seen.outputs, given).items()},
        used=frozenset(seen.read & known),
        input=shape,
        method="autograd",
    )
    return traced, {name: answer for name, answer in answers.items() if answer is not None}


def _observe(model: nn.Module, shape: tuple[int, ...], scale: int) -> Observation:
    with no_arithmetic():
        return observe(model, arguments_for(model, [shape], scale), train=False)


class _watched:
    """Note, while a model runs, the shapes that some of its methods answer."""

    def __init__(self, model: nn.Module, methods: tuple[str, ...], answers: dict[str, Shape | None]) -> None:
        self._model: Any = model
        self._methods = [name for name in methods if hasattr(model, name)]
        self._answers = answers

    def __enter__(self) -> None:
        for name in self._methods:
            object.__setattr__(self._model, name, self._noting(name, getattr(self._model, name)))

    def __exit__(self, *_: object) -> None:
        for name in self._methods:
            object.__delattr__(self._model, name)

    def _noting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: object, **keywords: object) -> Any:
            answer = method(*arguments, **keywords)
            shape = tuple(answer.shape[1:]) if isinstance(answer, Tensor) else None
            before = self._answers.get(name, shape)
            self._answers[name] = same_shape(before, shape)
            return answer

        return noting


def same_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    """Return what two shapes have in common, with None for the sizes in which they differ."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _scaled(shape: SizedShape) -> SizedShape:
    if any(size == 2 * CLASSES for size in shape):
        raise TracingError("a size is twice the number of classes")
    return tuple(Scaled(_COUNT, 1, 0) if size == CLASSES else size for size in shape)
