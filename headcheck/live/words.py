"""How messages name parts of a live model, and the code that puts a new layer in."""

from __future__ import annotations

from torch import nn

from headcheck.catalog.snippet import expression
from headcheck.live.answers import Head
from headcheck.live.finding import part_at


def shape_of(shape: tuple[int, ...]) -> str:
    """A shape with N for the batch."""
    return "(" + ", ".join(["N", *map(str, shape[1:])]) + ("," if len(shape) == 1 else "") + ")"


def layer(model: nn.Module, head: Head) -> str:
    """A head in words: ``fc (Linear 2048 → 1000)``."""
    return f"{head.path or 'the model'} ({head.kind.rpartition('.')[2]} {head.in_features} → {head.out_features})"


def new_layer(module: nn.Module | None, taken: int, given: int) -> str:
    """The expression that makes a layer like `module` with other sizes."""
    module = getattr(module, "base_layer", module)
    arguments = [str(taken), str(given)]
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        size = module.kernel_size
        arguments.append(f"kernel_size={size[0] if len(set(size)) == 1 else size}")
        if any(side != 0 for side in module.padding):
            arguments.append(f"padding={module.padding!r}")
        name = next(kind for kind in ("Conv1d", "Conv2d", "Conv3d") if isinstance(module, getattr(nn, kind)))
    else:
        name = "Linear"
    if module is not None and getattr(module, "bias", None) is None:
        arguments.append("bias=False")
    return f"nn.{name}({', '.join(arguments)})"


def assigned(model: nn.Module, head: Head, num_classes: int) -> str:
    """What to write for a head of another number of classes."""
    module = part_at(model, head.path)
    if head.method != "autograd" or not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return f"headcheck.replace_head(model, {num_classes})"
    code = f"{expression(head.path)} = {new_layer(module, head.in_features, num_classes)}"
    return f"{code}, or headcheck.replace_head(model, {num_classes})"


__all__ = ["assigned", "expression", "layer", "new_layer", "shape_of"]
