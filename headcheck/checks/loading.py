"""Loading: the weights that a script loads fit the model as it is by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import built, shape_words
from headcheck.execution import Execution
from headcheck.findings import AT_ITS_STEP, Expectation
from headcheck.interpreter.values import Ref


@check("HC405")
def state_dict_mismatch(execution: Execution) -> Iterator[Report]:
    """Weights loaded into a model whose head or stem is another one by then.

    What the script saved itself went with what it had decided then: a path that decides otherwise is none of a run.
    """
    for event in execution.of(events.Loaded):
        if not (event.differing or event.missing or event.unexpected):
            continue
        model = next((m for m in execution.models if m.ref.address == event.module), None)
        into = built(execution, model) if model is not None else "the model"
        if event.differing:
            name, has, takes = event.differing[0]
            others = f" (and {len(event.differing) - 1} more)" if len(event.differing) > 1 else ""
            said = "" if event.strict is True else ": strict=False does not help with sizes"
            message = f"`{name}` is {shape_words(has)} in the weights and {shape_words(takes)} in {into}{others}{said}"
            names = named([name for name, _, _ in event.differing])
            help_ = f"load the weights before the layer is replaced, or leave {names} out"
            yield Report("HC405", event.site, message, help_, AT_ITS_STEP, event.module, always=event.saved)
        elif event.strict is True and (event.missing or event.unexpected):
            parts = [f"{into} has no {named(event.unexpected)}"] if event.unexpected else []
            parts += [f"the weights have no {named(event.missing)}"] if event.missing else []
            said = " and ".join(parts)
            help_ = prefix(execution, event) if fits_nowhere(event) else "strict=False"
            yield Report("HC405", event.site, said, help_, AT_ITS_STEP, event.module, always=event.saved)
        elif event.strict is False and fits_nowhere(event):
            message = f"nothing is loaded: no name in the weights is one of {into}"
            if event.unexpected:
                message += f", such as {named(event.unexpected[:1])}"
            yield Report("HC405", event.site, message, prefix(execution, event), Expectation(), severity="warning")


@check("HC405")
def key_not_there(execution: Execution) -> Iterator[Report]:
    """A key taken out of weights that do not have it, usually the head of another model."""
    for event in execution.of(events.KeyMissing):
        _, _, last = event.key.rpartition(".")
        heads = [name for name in event.names if name.endswith("." + last)]
        message = f"the weights have no `{event.key}`" + (f": their last `{last}` is `{heads[-1]}`" if heads else "")
        yield Report("HC405", event.site, message, "", Expectation())


def named(names: Sequence[str]) -> str:
    """Two names at most: `fc.weight` and `fc.bias`."""
    shown = " and ".join(f"`{name}`" for name in names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"


def fits_nowhere(event: events.Loaded) -> bool:
    """Whether no name in the weights is one of the module: with ``strict=False`` nothing at all would be loaded."""
    return bool(event.total) and len(event.unexpected) == event.total


def prefix(execution: Execution, event: events.Loaded) -> str:
    """Where the weights belong, if that is a part of the module."""
    for name, _ in execution.parameters(Ref(event.module)).items:
        if name.endswith("." + event.unexpected[0]):
            return f"load them into `{name.removesuffix('.' + event.unexpected[0])}`"
    return ""
