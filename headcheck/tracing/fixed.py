"""What a builder's keywords must be beside its weights: found by having the builder compare each with a value that is
like no other, and remembers what it was compared with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

from torch import nn

from headcheck.tracing.build import on_meta
from headcheck.tracing.tree import Value


class _Unlike:
    """A value that differs from all others; `wanted` are those that it was compared with."""

    def __init__(self) -> None:
        self.wanted: list[Any] = []

    def __eq__(self, other: object) -> bool:
        self.wanted.append(other)
        return False

    def __ne__(self, other: object) -> bool:
        self.wanted.append(other)
        return True

    __hash__ = object.__hash__


class _Accepted(Exception):
    """The builder went on to make the model."""


def fixed(build: Callable[..., nn.Module], made: type[nn.Module], weights: Any, names: list[str]) -> dict[str, Value]:
    """Return the keywords that a builder of torchvision fixes beside some weights, with the only value that each takes.

    Of `names` those are returned for which ``build(weights=weights, NAME=value)`` raises ValueError, as the library
    compares the value with its own. No weights are fetched, and no model of the class `made` is made.
    """
    asked = {name: _Unlike() for name in names}
    with mock.patch.object(made, "__init__", side_effect=_Accepted):
        refused = [name for name in names if _refuses(partial(build, weights=weights, **{name: asked[name]}), name)]
    return {name: asked[name].wanted[-1] for name in refused if asked[name].wanted}


def _refuses(build: Callable[[], nn.Module], name: str) -> bool:
    try:
        on_meta(build)
    except ValueError as error:
        return f"'{name}'" in str(error)
    except Exception:
        return False  # Accepted; or the value is refused for what it is, whatever the weights.
    return False
