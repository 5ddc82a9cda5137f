"""Building: how the script asks the library for a model."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import catalog, events
from headcheck.checks import Report, check
from headcheck.checks.words import new_head
from headcheck.execution import Execution, Model
from headcheck.findings import AT_ITS_STEP, Expectation
from headcheck.interpreter.values import Ref


def short(builder: str) -> str:
    return builder.rsplit(".", 1)[-1]


def head_is_made_anew(model: Model) -> bool:
    """Whether the library itself gave a model a new head beside weights of its own: for other classes than those of the
    weights, or since they have no head."""
    keywords = model.built.keywords
    if model.built.builder.startswith("transformers."):
        from headcheck.catalog import transformers

        name = keywords.get("checkpoint")
        known = transformers.checkpoint(name) if isinstance(name, str) else None
        labels = keywords.get("num_labels")
        return known is not None and (not known.labels or (type(labels) is int and labels != known.labels))
    if model.built.builder.startswith("timm.") and model.built.weights is True:
        from headcheck.catalog import timm

        named = timm.resolve(model.built.builder.rsplit(".", 1)[-1])
        classes = keywords.get("num_classes")
        return named is not None and type(classes) is int and classes not in (0, timm.default_classes(named))
    return False


@check("HC406")
def weights_with_num_classes(execution: Execution) -> Iterator[Report]:
    """torchvision's builders refuse an own number of classes beside weights."""
    for event in execution.of(events.Built):
        count = event.keywords.get("num_classes")
        if event.weights in (False,) or not isinstance(event.weights, (bool, str)) or type(count) is not int:
            continue
        enum = catalog.weights_of(event.builder)
        members = catalog.weights(enum) if enum else None
        member = event.weights if isinstance(event.weights, str) else "DEFAULT"
        classes = members.get(member) if members else None
        if classes is None or classes == count:
            continue
        message = (
            f"{short(event.builder)} has weights for {classes} classes and refuses num_classes={count} beside them"
        )
        model = next((m for m in execution.models if m.ref == Ref(event.module)), None)
        main = [h for h in model.entry.heads if not h.auxiliary] if model else []
        help_ = "leave num_classes out and replace the head"
        if model is not None and main and main[0].kind.endswith(("Linear", "Conv2d")):
            help_ += f": {new_head(execution, model, main[0], count)}"
        yield Report("HC406", event.site, message, help_, AT_ITS_STEP, event.module)


@check("HC409")
def weights_with_other_structure(execution: Execution) -> Iterator[Report]:
    """torchvision's builders refuse, beside weights, what their weights were not trained with.

    ``pretrained=True`` is no such call: before torchvision 0.13 the builders took it with all of this.
    """
    for event in execution.of(events.Built):
        fixed = catalog.fixed(event.builder, event.weights) if isinstance(event.weights, str) else {}
        for name, wanted in fixed.items():
            given = event.keywords.get(name)
            if type(given) is not type(wanted) or given == wanted:
                continue
            message = (
                f"{short(event.builder)} has weights that were made with {name}={wanted} and refuses {name}={given} "
                "beside them"
            )
            help_ = f"leave {name} out"
            if type(wanted) is bool and execution.field(Ref(event.module), name) == given:
                help_ += f", and set it afterwards: {execution.name_of(Ref(event.module))}.{name} = {given}"
            yield Report("HC409", event.site, message, help_, AT_ITS_STEP, event.module)


@check("HC112")
def num_classes_unused(execution: Execution) -> Iterator[Report]:
    """A function that takes the number of classes, never reads it, and answers a model with the library's own head."""
    for event in execution.of(events.Returned):
        model = next((m for m in execution.models if m.ref == Ref(event.module)), None)
        main = [h for h in model.entry.heads if not h.auxiliary] if model else []
        if model is None or not main:
            continue
        if any(list(execution.edited_places(model, head.path)) for head in main) or model.built.keywords:
            continue  # somebody else puts the head in, or says how many classes there are
        if not execution.forward_is_the_librarys(model) or event.count == main[0].out_features:
            continue
        if len(execution.holders(event.module)) > 1:  # what holds it may go on from the 1000
            continue
        message = (
            f"`{event.name}` is never used: the {short(model.entry.builder)} that is returned keeps its "
            f"{main[0].out_features} classes"
        )
        expectation = Expectation("output", classes=main[0].out_features)
        help_ = f"put a new head in before it is returned: {new_head(execution, model, main[0], event.count)}"
        yield Report("HC112", event.site, message, help_, expectation, event.module)


@check("HC501")
def deprecated_pretrained(execution: Execution) -> Iterator[Report]:
    """``pretrained=`` where torchvision wants ``weights=``."""
    for event in execution.of(events.Built):
        if "pretrained" not in event.given or not event.builder.startswith("torchvision."):
            continue
        if execution.collects(event.site, "pretrained"):  # scripts that ask which version there is fill a dict
            continue
        name = short(event.builder)
        enum = catalog.weights_of(event.builder)
        value = event.given["pretrained"]
        members = [m for m in (catalog.weights(enum) or {}) if m != "DEFAULT"] if enum else []
        fix = f'weights="{members[0]}"' if value is True and members else "weights=None" if value is False else ""
        message = f"`pretrained` of {name} is deprecated since torchvision 0.13, `weights` takes its place"
        yield Report("HC501", event.site, message, fix, fix=("pretrained", fix) if fix else None)
