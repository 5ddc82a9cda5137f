"""Tests that ask code which is not followed what a model is."""

from __future__ import annotations

from typing import Any

from headcheck import catalog
from headcheck.interpreter.values import Condition, Library, Not, Symbol, Value


def asks_of_a_builder(test: Value) -> bool:
    """Whether a test asks code that is not followed about one of the library's builders, whose name is known:
    ``if is_resnet("resnet18"):``. What it says goes with the model, whichever way that is."""
    while type(test) is Not:
        test = test.of
    if type(test) is Condition:
        return test.operator in ("Equal", "In") and (asks_of_a_builder(test.left) or asks_of_a_builder(test.right))
    key: Any = test.key if type(test) is Symbol else None
    if not isinstance(key, tuple) or key[0] not in ASKING_KINDS:
        return False
    return any(names_a_builder(part) or asks_of_a_builder(part) for part in key[1:])


ASKING_KINDS = frozenset(["attribute", "call", "call at", "item"])


def names_a_builder(value: Value) -> bool:
    name = value.name if type(value) is Library else f"torchvision.models.{value.lower()}" if is_text(value) else ""
    return bool(name) and catalog.canonical(name) is not None


def is_text(value: Value) -> bool:
    return isinstance(value, str) and len(value) < MOST_OF_A_NAME and value.replace("_", "").isalnum()


MOST_OF_A_NAME = 60
