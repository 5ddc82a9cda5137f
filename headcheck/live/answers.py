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


class WrongModel(AssertionError):
    """A model is not set up as its training needs it; the text says what is wrong, where, and what to write instead."""


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


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the code of the rule that is about it ("" if there is none), where it is (a path in the
    model, "" for the whole), what is wrong, and what to write instead ("" if that cannot be said)."""

    code: str
    where: str
    what: str
    instead: str = ""

    def __str__(self) -> str:
        first = f"{self.code} {self.where or 'the model'}: {self.what}".strip()
        return f"{first}\n    instead: {self.instead}" if self.instead else first


@dataclass(frozen=True)
class Verdict:
    """What `confirm` saw.

    `problems` are what is wrong, `notes` what is not but should be known. `outputs` and `eval_outputs` hold the shape
    of each output by its key in train and eval mode. `trainable` and `total` count numbers in parameters; `gradient`,
    `frozen` and `changed` name the parameters (tensors) that got a gradient, cannot get one, and were changed by the
    optimizer's step. `loss` is None where there was no backward pass. `input` says what the model was called with.
    """

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    heads: tuple[Head, ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    eval_outputs: tuple[tuple[str, tuple[int, ...]], ...]
    trainable: int
    total: int
    gradient: tuple[str, ...]
    frozen: tuple[str, ...]
    changed: tuple[str, ...]
    loss: float | None
    device: str
    input: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def raise_if_wrong(self) -> None:
        """Raise WrongModel, an AssertionError whose text lists every problem, unless there is none."""
        if self.problems:
            raise WrongModel(str(self))

    def __str__(self) -> str:
        shapes = ", ".join(f"{key or 'output'} {shape}" for key, shape in self.outputs)
        run = f"with {self.input}" if self.input else "not run"
        summary = (
            f"{shapes or 'no output'}; {self.trainable:,} of {self.total:,} parameters trainable; "
            f"{len(self.gradient)} got a gradient; on {self.device}, {run}"
        )
        return "\n".join([*map(str, self.problems), summary, *(f"note: {note}" for note in self.notes)])
