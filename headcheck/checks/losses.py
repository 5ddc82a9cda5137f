"""Losses and metrics: what a model answers against what the loss and the targets want."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.words import layer_name, maker_words, shape_words
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation, Severity
from headcheck.interpreter.values import Ref, Symbol, Tensor, Value, last_size
from headcheck.losing import loss_of
from headcheck.semantics.datasets import counts

# (loss, the function before it): what the loss makes of it, and how bad that is.
DOUBLED: dict[tuple[str, str], tuple[str, str, Severity | None]] = {
    ("CrossEntropyLoss", "softmax"): ("applies log_softmax itself", "leave the softmax out", None),
    ("CrossEntropyLoss", "sigmoid"): (
        "wants raw outputs, of which it takes the softmax",
        "leave the sigmoid out",
        None,
    ),
    ("CrossEntropyLoss", "log_softmax"): ("applies log_softmax itself", "use NLLLoss or leave it out", "info"),
    ("BCEWithLogitsLoss", "sigmoid"): ("applies the sigmoid itself", "leave the sigmoid out, or use BCELoss", None),
    ("NLLLoss", "softmax"): ("wants log-probabilities", "use log_softmax", None),
}


ONE_EACH = "give the head one output per class, or use BCEWithLogitsLoss"


@check("HC107")
def activation_before_loss(execution: Execution) -> Iterator[Report]:
    """The loss does itself what an activation did to the output before."""
    for event in execution.of(events.LossTaken):
        output = event.output
        if type(output) is not Tensor or is_lookup(event):
            continue
        last = output.activations[-1] if output.activations else ""
        doubled = DOUBLED.get((event.kind, last))
        if doubled is not None and is_shown(event, output):
            continue
        if doubled is not None:
            why, help_, severity = doubled
            message = f"the output{maker_words(execution, output)} went through {last} already, and {event.kind} {why}"
            yield Report("HC107", event.site, message, help_, severity=severity, at=event)
        elif event.kind == "NLLLoss" and is_raw(execution, output):
            message = (
                f"NLLLoss wants log-probabilities, but the output{maker_words(execution, output)} is raw: "
                "the loss is minus the output of the right class, and has no lower end"
            )
            help_ = "use CrossEntropyLoss, or F.log_softmax(output, dim=1) before it"
            yield Report("HC107", event.site, message, help_, at=event)
        elif event.kind == "CrossEntropyLoss" and last_size(output) == 1 and len(output.shape or ((),) * 2) == 2:
            message = (
                f"CrossEntropyLoss over a single logit{maker_words(execution, output)} is always 0: nothing is learnt"
            )
            yield Report("HC107", event.site, message, ONE_EACH, at=event)
        elif event.kind == "CrossEntropyLoss" and is_single_squeezed(execution, output):
            single = f"the single logit{maker_words(execution, output)}"
            message = f"CrossEntropyLoss takes the items of a batch for classes: {single} was squeezed"
            yield Report("HC107", event.site, message, ONE_EACH, at=event)


def is_single_squeezed(execution: Execution, output: Tensor) -> bool:
    """Whether an output is the one number that a layer answers for each item of a batch, in one dimension."""
    if output.maker is None or output.shape is None or len(output.shape) != 1 or output.shape[0] == 1:
        return False
    return bool(execution.field(Ref(output.maker), "out_features") == 1)


def is_lookup(event: events.LossTaken) -> bool:
    """Whether a loss takes the number of each label out of its row, as one does to weigh probabilities or scores.

    NLLLoss applies nothing: without a mean over the batch it is ``-output[range(n), target]``, whatever that holds.
    """
    return event.kind == "NLLLoss" and event.keywords.get("reduction") == "none"


def is_shown(event: events.LossTaken, output: Tensor) -> bool:
    """Whether a loss is taken for each row of numbers that the script makes up itself, as one does to show what it
    is."""
    made_up = output.maker is None and output.source is None and all(type(s) is int for s in output.shape or (None,))
    return made_up and event.keywords.get("reduction") == "none"


def is_raw(execution: Execution, output: Tensor) -> bool:
    """Whether an output is a Linear's, or that of a library's classifier, and went through no function since."""
    if output.activations or output.maker is None or output.dtype == "long" or last_size(output) == 1:
        return False
    model = next((m for m in execution.models if m.ref.address == output.maker), None)
    if model is not None:
        return model.entry.task == "classification" and execution.forward_is_the_librarys(model)
    return layer_name(execution.kind(Ref(output.maker))) == "Linear"


@check("HC104")
def class_count_mismatch(execution: Execution) -> Iterator[Report]:
    """Labels of a known number of classes against the outputs that the model has for them."""
    for event in execution.of(events.LossTaken):
        if event.kind not in LABELLED or ignores_labels(event):
            continue
        labels = event.target.labels if type(event.target) is Tensor else None
        outputs = class_outputs(event.output)
        if labels is None:
            continue
        classes, exact = labels
        if not isinstance(classes, int):
            yield from fewer_than_found(execution, event, classes)
            continue
        if outputs is None:
            continue
        words = f"the labels speak of {'' if exact else 'at least '}{classes} classes"
        made = maker_words(execution, event.output)
        if outputs < classes:
            message = f"{words}, but the output{made} has {outputs}: a label beyond them raises an error"
            yield Report("HC104", event.site, message, f"give the head {classes} outputs", at=event)
        elif exact and outputs > classes and not has_other_labels(execution, event):
            message = f"{words}, but the output{made} has {outputs}"
            yield Report("HC104", event.site, message, f"give the head {classes} outputs", severity="warning")


def has_other_labels(execution: Execution, event: events.LossTaken) -> bool:
    """Whether what the same layer answers is compared with other labels too, of which it is not known how many there
    are: one more class for what is made up, or belongs to none."""
    made = event.output.maker
    beside = [
        other
        for other in execution.of(events.LossTaken)
        if other.kind in LABELLED and type(other.output) is Tensor and other.output.maker == made
    ]
    return made is not None and any(type(o.target) is not Tensor or o.target.labels is None for o in beside)


def fewer_than_found(execution: Execution, event: events.LossTaken, dataset: Ref) -> Iterator[Report]:
    """A head that was given one output less than the dataset has classes, however many these are."""
    maker = event.output.maker if type(event.output) is Tensor else None
    given = execution.field(Ref(maker), "out_features") if maker is not None else None
    if type(given) is not Symbol or not isinstance(given.key, tuple) or given.key[:2] != ("binary", "Subtract"):
        return
    whole, less = given.key[2:]
    if type(less) is int and less > 0 and counts(whole, dataset):
        message = f"the output{maker_words(execution, event.output)} has {less} less than the dataset has classes"
        help_ = "give the head as many outputs as there are classes"
        yield Report("HC104", event.site, f"{message}: a label beyond them raises an error", help_)


def ignores_labels(event: events.LossTaken) -> bool:
    """Whether some label is left out of the loss: it need not be a class."""
    ignored = event.keywords.get("ignore_index", -100)
    return type(ignored) is not int or ignored != -100


def class_outputs(output: Value) -> int | None:
    """The number of classes that an output tells apart."""
    if type(output) is not Tensor:
        return None
    if output.shape is None:
        return output.features
    if len(output.shape) < 2:
        return None
    size = output.shape[1]
    return size if type(size) is int else None


@check("HC109")
def loss_target_shape(execution: Execution) -> Iterator[Report]:
    """A loss that wants its target in the output's shape, or labels in one dimension, and gets another."""
    for event in execution.of(events.LossTaken):
        output, target = event.output, event.target
        if type(output) is not Tensor or output.shape is None:
            continue
        if event.kind in ONE_SHAPE and is_unsqueezed(target) and len(output.shape) > 1:
            yield from not_one_wide(execution, event)
        if type(target) is not Tensor or target.shape is None:
            continue
        if event.kind in ONE_SHAPE and differ(output.shape, target.shape):
            message = (
                f"{event.kind} wants output and target of one shape: the output{maker_words(execution, output)} is "
                f"{batch_words(output.shape)}, the target {batch_words(target.shape)}"
            )
            yield Report("HC109", event.site, message, alike(output.shape, target.shape), at=event)
        elif event.kind in LABELLED and len(output.shape) == len(target.shape) == 2 and target.dtype == "long":
            message = f"{event.kind} wants class labels in one dimension, the target is {batch_words(target.shape)}"
            yield Report("HC109", event.site, message, "target.squeeze(1)", at=event)
        elif event.kind in LABELLED and len(output.shape) == 1 and not target.shape:
            continue  # the label of a single picture that is in no batch
        elif event.kind in LABELLED and output.shape and differ(output.shape[:1], target.shape[:1]):
            made = maker_words(execution, output)
            message = f"the output{made} is {batch_words(output.shape)}, the target {batch_words(target.shape)}"
            yield Report("HC109", event.site, message, "both need as many pictures", at=event)


@check("HC109")
def loss_target_numbers(execution: Execution) -> Iterator[Report]:
    """A loss that wants the numbers of classes gets fractions, or one that wants fractions gets such numbers."""
    for event in execution.of(events.LossTaken):
        output, target = event.output, event.target
        if type(target) is not Tensor or target.shape is None:
            continue
        if event.kind in LABELLED and target.dtype == "float" and len(target.shape) == 1 and is_row_of_classes(output):
            message = f"{event.kind} wants class labels as whole numbers, the target holds floating-point numbers"
            yield Report("HC109", event.site, message, "leave the cast out, or write target.long()", at=event)
        elif event.kind in ONE_SHAPE and are_untouched_labels(target) and is_of_shape(output, target.shape):
            message = f"{event.kind} wants a target of floating-point numbers, the labels are whole numbers"
            yield Report("HC109", event.site, message, "target.float()", at=event)


def are_untouched_labels(target: Tensor) -> bool:
    """Whether a target holds class labels as a dataset of a library hands them out, or torch makes them."""
    return target.labels is not None and target.dtype == "long" and not target.activations


def is_row_of_classes(output: Value) -> bool:
    """Whether an output has one number for each class of each picture; an auxiliary one is as the main one is."""
    if type(output) is Tensor:
        return output.shape is not None and len(output.shape) == 2
    key: Any = output.key if type(output) is Symbol and isinstance(output.key, tuple) else ("",)
    return key[0] == "item" and type(key[1]) is Symbol and isinstance(key[1].key, tuple) and key[1].key[-1] == "several"


def is_of_shape(output: Value, shape: tuple[Value, ...]) -> bool:
    """Whether an output may have a shape: a loss that wants one shape refuses another first."""
    return type(output) is Tensor and (output.shape is None or not differ(output.shape, shape))


LABELLED = frozenset({"CrossEntropyLoss", "NLLLoss"})
ONE_SHAPE = frozenset({"BCEWithLogitsLoss", "BCELoss"})


def is_unsqueezed(value: Value) -> bool:
    """Whether a value is what ``unsqueeze(1)`` answered for something unknown: its second size is 1."""
    key: Any = value.key if type(value) is Symbol else None
    if not isinstance(key, tuple) or key[0] != "call" or len(key) != 3 or key[2] != 1 or type(key[1]) is not Symbol:
        return False
    method: Any = key[1].key
    return isinstance(method, tuple) and method[0] == "attribute" and method[2] == "unsqueeze"


def not_one_wide(execution: Execution, event: events.LossTaken) -> Iterator[Report]:
    """A target whose second size is 1, for an output whose second size is another."""
    size = event.output.shape[1]
    if type(size) is int and size != 1:
        message = (
            f"{event.kind} wants output and target of one shape: the output{maker_words(execution, event.output)} is "
            f"{batch_words(event.output.shape)}, the second size of the target is 1"
        )
        help_ = "use CrossEntropyLoss with class labels, or give the head 1 output"
        yield Report("HC109", event.site, message, help_, at=event)


def differ(one: tuple[Value, ...], other: tuple[Value, ...]) -> bool:
    """Whether two shapes surely differ."""
    if len(one) != len(other):
        return True
    return any(type(a) is int and type(b) is int and a != b for a, b in zip(one, other, strict=True))


def alike(output: tuple[Value, ...], target: tuple[Value, ...]) -> str:
    if len(output) == len(target) + 1 and output[-1] == 1:
        return "output.squeeze(1), or target.unsqueeze(1)"
    if len(output) == 2 and len(target) == 1 and type(output[-1]) is int:
        return "use CrossEntropyLoss with class labels, or give the head 1 output"
    return ""


def batch_words(shape: tuple[Value, ...]) -> str:
    words = ["N" if i == 0 and type(size) is not int else shape_words((plain(size),)) for i, size in enumerate(shape)]
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def plain(size: Value) -> int | None:
    return size if type(size) is int else None


@check("HC110")
def topk_exceeds_classes(execution: Execution) -> Iterator[Report]:
    """More of the largest outputs are asked for than there are."""
    for event in execution.of(events.TopTaken):
        classes = last_size(event.tensor)
        if classes is not None and event.number > classes:
            made = maker_words(execution, event.tensor)
            message = f"topk({event.number}) of {classes} outputs{made} raises an error"
            yield Report("HC110", event.site, message, f"min({event.number}, {classes})", at=event)


@check("HC207")
def auxiliary_output_into_loss(execution: Execution) -> Iterator[Report]:
    """A model's several outputs are handed to the loss as if they were one tensor."""
    for event in execution.of(events.LossTaken):
        output: Any = event.output
        if type(output) is not Symbol or not isinstance(output.key, tuple) or output.key[-1] != "several":
            continue
        model = next((m for m in execution.models if m.ref == Ref(output.key[1].address)), None)
        if model is None or not execution.forward_is_the_librarys(model):
            continue
        name = model.entry.builder.rsplit(".", 1)[-1]
        main = next(h for h in model.entry.heads if not h.auxiliary)
        if model.entry.task == "segmentation":
            what, help_ = "a dict", f'output["{main.outputs[0]}"]'
        else:
            what, help_ = "a tuple with its auxiliary outputs", "output.logits"
        message = (
            f"{name} ({execution.where(model.built.site)}) answers {what} in train mode, "
            f"and {event.kind} takes one tensor"
        )
        yield Report("HC207", event.site, message, help_, shown_by_a_run(execution, model, event), model.ref.address)


def shown_by_a_run(execution: Execution, model: Model, event: events.LossTaken) -> Expectation:
    """What running a model shows of one of its losses: the plan has the last of them, in the mode that comes last."""
    loss = loss_of(execution, model.ref.address)
    later = any(execution.order(mode) > execution.order(event) for mode in execution.of(events.ModeSet))
    is_last = loss is not None and loss.get("several") and loss["line"] == execution.line(event.site)
    return Expectation("raises", at=("loss",)) if is_last and not later else Expectation()
