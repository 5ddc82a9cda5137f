"""What the functions for live models answer and raise. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


class HeadError(Exception):
    """The question cannot be answered for this model; the text says why and what would help."""


class NoExampleInput(HeadError, ValueError):
    """No example input was given and none could be chosen."""


class ForwardFailed(HeadError, RuntimeError):
    """The model does not run on the example input."""


class NoHead(HeadError, LookupError):
    """The model has no classifier head."""


class SeveralHeads(HeadError, ValueError):
    """The model has heads of different sizes, so it must be said which one is meant."""


class CannotReplace(HeadError, TypeError):
    """A head is of a kind that no new one can be made of, or the model was wrapped for good."""


@dataclass(frozen=True)
class Head:
    """A layer that makes an output of a model.

    `path` is its dotted name in the model, "" for the model itself or a parameter of its own; a layer that a
    plain list hides is ``layers[0]``. `kind` is its class (``torch.nn.Linear``). `in_features` and
    `out_features` are those of its weight, whatever the layer says of itself; for convolutions they count
    channels. `shape` is that of the features that reach it, without the batch size (None if it is not called
    with one tensor), `answers` that of what the model makes of it, by the key of the output ("" for a plain
    tensor). It is `auxiliary` where it only helps training. `train` and `eval` are the modes that use it.
    `method` says how it was found: ``autograd`` (the way back from the output), ``fx`` (the traced graph) or
    ``losses`` (detection). `aliases` are other paths of the same layer.
    """

    path: str
    kind: str
    in_features: int
    out_features: int
    shape: tuple[int, ...] | None
    answers: tuple[tuple[str, tuple[int, ...]], ...]
    auxiliary: bool
    train: bool
    eval: bool
    method: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replaced:
    """One layer that was replaced: its path, and what it was and is, as PyTorch prints them."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Replacement:
    """What `replace_head` did.

    `counts` are the attributes that kept the old number of classes and were set to the new one, `frozen` the number of
    parameters (tensors) that were frozen, `notes` what else should be known.
    """

    heads: tuple[Replaced, ...]
    counts: tuple[str, ...]
    frozen: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{head.path}: {head.before} → {head.after}" for head in self.heads]
        lines += [f"{name} set too" for name in self.counts]
        if self.frozen:
            lines.append(f"{self.frozen} other parameters frozen")
        return "\n".join([*lines, *self.notes])
