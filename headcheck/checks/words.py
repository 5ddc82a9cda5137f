"""Words that the messages of several checks share."""

from __future__ import annotations

from typing import Any

from headcheck.catalog.entry import Head, Shape
from headcheck.execution import Execution, Model
from headcheck.interpreter.parts import Part
from headcheck.interpreter.values import UNKNOWN, Ref, Symbol


def model_name(model: Model) -> str:
    """The builder's own name: ``resnet50``."""
    return model.entry.builder.rsplit(".", 1)[-1]


def built(execution: Execution, model: Model) -> str:
    """``resnet50 (line 9)``."""
    return f"{model_name(model)} ({execution.where(model.built.site)})"


def maker_words(execution: Execution, tensor: Any) -> str:
    """Where a tensor's last size came from: `` of the Linear (line 9)``; nothing where that is not known."""
    maker = tensor.maker
    model = next((m for m in execution.models if m.ref.address == maker), None)
    if model is not None:
        return f" of {built(execution, model)}"
    site = execution.site_of(Ref(maker)) if maker is not None else None
    return f" of the {class_name(execution, Ref(maker))} ({execution.where(site)})" if site is not None else ""


def dotted(path: str) -> str:
    """``classifier.6`` as one writes it: ``classifier[6]``."""
    return within("", path).removeprefix(".")


def within(name: str, path: str) -> str:
    """A part of what has a name: ``model.classifier[6]``."""
    return name + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))


def layer_name(kind: str) -> str:
    return kind.rsplit(".", 1)[-1]


def class_name(execution: Execution, part: Part) -> str:
    """The class of a module, the script's own or the library's."""
    module = execution.module(part) if type(part) is Ref else None
    return module.cls.name if module is not None and module.cls is not None else layer_name(execution.kind(part))


def shape_words(shape: Shape) -> str:
    return " x ".join("?" if size is None else str(size) for size in shape)


def argument(value: Any) -> str:
    """A value as it could be written in a call; what is unknown is left for the reader."""
    return repr(value) if isinstance(value, (int, str)) else "num_classes"


def new_head(execution: Execution, model: Model, head: Head, out: Any) -> str:
    """The code that puts the right new head in: ``model.fc = nn.Linear(model.fc.in_features, 10)``."""
    place = within(execution.name_of(model.ref), head.path)
    kind = layer_name(head.kind)
    if head in model.entry.open:
        return f"{place} = nn.Linear({head.in_features}, {argument(out)})"
    if kind.startswith("Conv"):
        return f"{place} = nn.{kind}({place}.in_channels, {argument(out)}, kernel_size=1)"
    return f"{place} = nn.Linear({place}.in_features, {argument(out)})"


def outputs_of(execution: Execution, part: Any) -> Any:
    """The number of classes that a new head was given, or UNKNOWN; that of a hidden layer is none."""
    given = count_given(execution, part)
    return given if isinstance(given, int) else UNKNOWN


def count_given(execution: Execution, part: Any) -> Any:
    """What a new head was given as its number of classes, also where that is not known; else UNKNOWN."""
    for name in ("out_features", "out_channels", "num_classes"):
        value = execution.field(part, name)
        if isinstance(value, (int, Symbol)):
            return value
    children = execution.children(part) or []
    answers = [count_given(execution, child) for _, child in children]
    return next((a for a in reversed(answers) if a is not UNKNOWN), UNKNOWN)
