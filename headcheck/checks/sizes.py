"""Sizes: what reaches a head and the layers inside it."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.catalog import Head
from headcheck.checks import Report, check
from headcheck.checks.unread import CONTAINERS, LINEAR, fed_by, left_on, taken_off
from headcheck.checks.words import (
    argument,
    built,
    class_name,
    count_given,
    dotted,
    layer_name,
    maker_words,
    model_name,
    new_head,
    outputs_of,
    shape_words,
    within,
)
from headcheck.execution import Execution, Flow, Model
from headcheck.findings import IN_FORWARD, Expectation
from headcheck.interpreter.values import UNKNOWN, Ref, Symbol, Tuple, Value
from headcheck.semantics.joining import JOINED
from headcheck.semantics.layers import Mismatch


@check("HC101", "HC102", "HC105")
def broken_head(execution: Execution) -> Iterator[Report]:
    """Follow what reaches a replaced head through its layers; the first that does not take it is reported."""
    for model in execution.models:
        if not execution.forward_is_the_librarys(model):
            continue
        done: set[str] = set()
        for head in model.entry.places:
            for place in execution.edited_places(model, head.path):
                if place in done or is_fed_inside(execution, model, place):
                    break
                part = execution.part(model, place)
                flow = execution.flow(part, execution.arriving(model, place), place) if part is not None else Flow(None)
                if flow.mismatch is None and flow.shape is None and part is not None:
                    flow = execution.chained(part, place)
                if flow.mismatch is not None:
                    yield describe(execution, model, flow, place)
                if flow.mismatch is not None or flow.shape is not None:
                    done.add(place)
                    break


def is_fed_inside(execution: Execution, model: Model, place: str) -> bool:
    """Whether a layer of a new composite head gets what a layer before it in there answers, which is the script's to
    size (`dim_reduced` of a mask predictor), and not what reaches the head."""
    above, _, name = place.rpartition(".")
    whole, shape = execution.original(model, above) if above else None, model.entry.inputs.get(place)
    if whole is None or not shape or not execution.is_new(execution.part(model, above)):
        return False
    names = list(whole.children)
    before = (model.entry.outputs.get(f"{above}.{n}") for n in names[: names.index(name)] if name in names)
    return any(output and output[0] == shape[0] for output in before)


def arriving(mismatch: Mismatch) -> tuple[int | None, str]:
    """How many of what reach a layer that takes another number of them."""
    of_channels = mismatch.argument in ("in_channels", "num_channels")
    first = of_channels or mismatch.kind[-2:] in ("1d", "2d", "3d")
    return mismatch.gets[0 if first else -1], "channels" if of_channels else "features"


def describe(execution: Execution, model: Model, flow: Flow, place: str) -> Report:
    assert flow.mismatch is not None and flow.at is not None
    mismatch, layer = flow.mismatch, layer_name(flow.mismatch.kind)
    head = next(h for h in model.entry.places if h.path == place or h.path.startswith(place + "."))
    out = outputs_of(execution, flow.at.part)
    site = (
        execution.site_of(flow.at.part)
        or execution.site_of(flow.sized.part if flow.sized else None)
        or model.built.site
    )
    expectation = Expectation("raises", part=flow.at.path)
    after_new = flow.sized is not None and execution.is_new(flow.sized.part)
    # The library's own head is a Linear, too, that takes the features in the last place of what reaches it.
    in_last = layer == "Linear" and head.path == flow.at.path and mismatch.gets[-1:] == (head.in_features,)
    if mismatch.reason != "size" and not in_last:
        wants = "a vector" if mismatch.reason == "map" else "a feature map"
        gets = "a feature map" if mismatch.reason == "map" else "a vector"
        message = (
            f"{layer} takes {wants}, but {built(execution, model)} feeds {gets} of {shape_words(mismatch.gets)} "
            f"into `{dotted(flow.at.path)}`"
        )
        return Report("HC102", site, message, new_head(execution, model, head, out), expectation, model.ref.address)
    got, unit = arriving(mismatch)
    if after_new:
        assert flow.sized is not None
        before = class_name(execution, flow.sized.part)
        where = execution.where(execution.site_of(flow.sized.part))
        message = f"{layer} takes {mismatch.takes} {unit}, but the {before} before it ({where}) gives {got}"
        help_ = fitting(layer, got, out, execution.field(flow.at.part, "kernel_size"))
        if head.path == flow.at.path and not execution.is_new(flow.at.part):  # a layer before the head went, not it
            help_ = new_head(execution, model, head, outputs_of(execution, flow.sized.part))
        return Report("HC105", site, message, help_, expectation, model.ref.address)
    feeds = f"{built(execution, model)} feeds {got} into `{dotted(flow.at.path)}`"
    message = f"{layer} takes {mismatch.takes} {unit}, but {feeds}"
    help_ = fitting(layer, got, out, execution.field(flow.at.part, "kernel_size"))
    if head in model.entry.heads and head.path == flow.at.path and layer == "Linear" and head.in_features == got:
        help_ = f"nn.Linear({within(execution.name_of(model.ref), head.path)}.in_features, {argument(out)})"
    return Report("HC101", site, message, help_, expectation, model.ref.address, size=mismatch.takes)


@check("HC101", "HC102", "HC105", "HC108")
def refused(execution: Execution) -> Iterator[Report]:
    """A layer of the script's own network meets a tensor that it does not take."""
    for event in execution.of(events.Mismatched):
        if event.model is not None:
            yield from wrong_picture(execution, event)
            continue
        part = Ref(event.module) if event.module is not None else None
        # A layer that the library made itself, and the script never asked for, is told by what feeds it.
        layer = event.given.maker if event.module is None else event.module
        model = execution.owner_of(layer) if layer is not None and execution.is_placed(layer) else None
        if model is not None and not execution.is_inside_own(layer) and execution.forward_is_the_librarys(model):
            continue  # `broken_head` follows what the library's forward does
        yield from met(execution, event, execution.site_of(part) or event.site)


def met(execution: Execution, event: events.Mismatched, site: object) -> Iterator[Report]:
    mismatch, given = event.mismatch, event.given
    layer, expectation = layer_name(mismatch.kind), Expectation("raises", line=execution.line(event.site))
    feeder = next((m for m in execution.models if m.ref.address in (given.maker, given.source)), None)
    here = f" ({execution.where(event.site)})" if site is not event.site else ""
    by = maker_words(execution, given).removeprefix(" of ")
    if not by and feeder is not None:
        by = built(execution, feeder)
    if not by and not is_named(mismatch):
        return
    out = outputs_of(execution, Ref(event.module)) if event.module is not None else UNKNOWN
    place = feeder.ref.address if feeder is not None else given.maker
    if mismatch.reason != "size":
        wants, gets = ("a vector", "a feature map") if mismatch.reason == "map" else ("a feature map", "a vector")
        made = f" ({execution.where(site)})" if site is not event.site else ""
        message = f"{layer}{made} takes {wants}, but {by} feeds {gets} of {shape_words(mismatch.gets)} into it"
        help_ = to_vector(mismatch.gets, mismatch.takes) if mismatch.reason == "map" else ""
        # It is what comes before that must change.
        yield Report("HC102", event.site, message, help_, expectation, within=place)
        return
    got, unit = arriving(mismatch)
    maker = execution.module(Ref(given.maker)) if given.maker is not None else None
    own = maker is not None and maker.node is None and maker.build is None
    joined = JOINED[0] in given.activations
    code = "HC105" if own else "HC101"
    if got is None:
        message = f"{layer} takes {mismatch.takes} {unit}, but {by} feeds a map of {mismatch.factor} channels into it"
        help_ = f"{fitting(layer, mismatch.factor, out)} behind a pooling to 1 × 1"  # only a Linear gets such a vector
        flat = f"{message}, flattened{here}"
        yield Report(code, site, flat, help_, expectation, within=place, size=mismatch.takes)
        return
    message = f"{layer} takes {mismatch.takes} {unit}, but {by} feeds {got} into it{here}"
    if not by:  # the script's own numbers: ``torch.randn(2, 56, 1)``
        code, message = "HC105", f"{layer} takes {mismatch.takes} {unit}, but {got} reach it{here}"
    elif joined:
        message = f"{layer} takes {mismatch.takes} {unit}, but what is joined before it, {by} among it, has {got}{here}"
    if got == 1 and feeder is not None and feeder.ref.address == given.maker and feeder.entry.task == "classification":
        message = f"{layer} takes {mismatch.takes} {unit}, but {by} feeds a vector into a pooling before it{here}"
        help_ = f"take the head off {execution.name_of(feeder.ref)}, and its pooling: a pooling takes a feature map"
        yield Report(code, site, message, help_, expectation, within=place, size=mismatch.takes)
        return
    kernel = execution.field(Ref(event.module), "kernel_size") if event.module is not None else UNKNOWN
    by_function = execution.made_by(event.module)
    help_ = sizes_given(mismatch, got) if is_named(mismatch) else fitting(layer, got, out, kernel)
    if by_function is not None and got % by_function[1] == 0:
        help_ = f"{by_function[0]}({got // by_function[1]}, …)"
    off, model = next((left for left in left_on(execution) if left[1] == fed_by(execution, event)), (None, None))
    if off is not None and model is not None:
        top = model.entry.heads[0].path.partition(".")[0]
        message = f"{message}: `{off.name}` is no part of {model_name(model)}, `{top}` still answers"
        help_ = taken_off(execution, model, execution.name_of(model.ref), None if joined else mismatch.takes)
    yield Report(code, site, message, help_, expectation, within=place, size=mismatch.takes)


def to_vector(gets: tuple[int | None, ...], takes: int | None) -> str:
    """What makes a vector of a map: pooling first, where a layer takes its channels and it has several places."""
    flatten = "torch.flatten(x, 1) before it"
    if gets[0] != takes or all(size == 1 for size in gets[1:]):
        return flatten
    return f"nn.AdaptiveAvgPool{len(gets) - 1}d(1) and {flatten}"


def wrong_picture(execution: Execution, event: events.Mismatched) -> Iterator[Report]:
    """Pictures whose channels the model's first convolution does not take. Code that is not followed may have put in
    another one, and so may the script itself, at a place that nobody knows."""
    model = next((m for m in execution.models if m.ref.address == event.model), None)
    if model is None or execution.escaped_before(model.ref.address, event):
        return
    if event.module is not None and execution.escaped_before(event.module, event):
        return
    earlier = execution.history[: execution.order(event)]
    if any(type(e) is events.Unresolved and execution.kind(e.new) == event.mismatch.kind for e in earlier):
        return
    site = execution.site_of(Ref(event.module)) if event.module is not None else None
    message = (
        f"the first convolution of {built(execution, model)} takes {event.mismatch.takes} channels, "
        f"but the pictures have {event.mismatch.gets[0]}"
    )
    help_ = f"a new first convolution with in_channels={event.mismatch.gets[0]}"
    if (event.mismatch.takes, event.mismatch.gets[0]) == (3, 1):
        help_ = f"transforms.Grayscale(num_output_channels=3) among the transforms, or {help_}"
    yield Report("HC108", site or event.site, message, help_, Expectation())


@check("HC108")
def stem_does_not_fit(execution: Execution) -> Iterator[Report]:
    """A new convolution in a library model that answers other channels than the layer after it takes."""
    for event in execution.of(events.ChildSet):
        place = execution.place(event.owner) if execution.is_new(event.new) else None
        if place is None or not execution.forward_is_the_librarys(place[0]):
            continue
        model = place[0]
        path = f"{place[1]}.{event.name}" if place[1] else event.name
        original = execution.original(model, path)
        if original is None or not original.kind.startswith("torch.nn.Conv"):
            continue
        if execution.part(model, path) != event.new or any(h.path == path for h in model.entry.heads):
            continue
        following = execution.sized_after(model, path)
        gives, was = execution.field(event.new, "out_channels"), original.values.get("out_channels")
        if following is None or type(gives) is not int or gives == was or following[1] != was:
            continue
        message = (
            f"this convolution answers {gives} channels, but `{dotted(following[0])}` of "
            f"{built(execution, model)} takes {following[1]}"
        )
        site = execution.site_of(event.new) or event.site
        yield Report("HC108", site, message, f"out_channels={was}", IN_FORWARD, model.ref.address)


@check("HC105")
def before_a_head(execution: Execution) -> Iterator[Report]:
    """A layer put before a library's head, in one part of the model with it, where the head took what the library's own
    layer answered: ``aux1.fc1`` of GoogLeNet, taken for its head, which is ``aux1.fc2``."""
    for event in execution.of(events.ChildSet):
        place = execution.place(event.owner) if execution.kind(event.new) == LINEAR else None
        if place is None or not place[1] or not execution.forward_is_the_librarys(place[0]):
            continue
        if execution.kind(Ref(event.owner)) in CONTAINERS:  # `broken_head` follows these
            continue
        model, path = place[0], f"{place[1]}.{event.name}"
        head = next((h for h in model.entry.heads if h.path.rpartition(".")[0] == place[1]), None)
        original = execution.original(model, path) if execution.part(model, path) == event.new else None
        if head is None or original is None or not execution.is_new(event.new) or not is_run(model, head):
            continue
        gives, was = count_given(execution, event.new), original.values.get("out_features")
        behind = execution.part(model, head.path)
        takes = execution.field(behind, "in_features") if behind is not None else UNKNOWN
        if not head.in_features == takes == was != original.values.get("in_features") or gives == was:
            continue
        main = execution.part(model, next(h.path for h in model.entry.heads if not h.auxiliary))
        if type(gives) is not int and (main is None or gives is UNKNOWN or gives != count_given(execution, main)):
            continue
        many = f"{gives} features" if type(gives) is int else "a feature for each class"
        message = f"Linear gives {many}, but `{dotted(head.path)}` behind it takes {was} in {built(execution, model)}"
        site, help_ = execution.site_of(event.new) or event.site, new_head(execution, model, head, gives)
        yield Report("HC105", site, message, help_, IN_FORWARD, model.ref.address)


def is_run(model: Model, head: Head) -> bool:
    return head.eval or model.module.training is True


#: Arguments that say how many features a layer takes, and are all that is named of one.
NAMED = frozenset({"input_size", "embed_dim", "kdim", "vdim", "d_model"})


def is_named(mismatch: Mismatch) -> bool:
    return NAMED.issuperset(mismatch.argument.split(", "))


def sizes_given(mismatch: Mismatch, size: int | None) -> str:
    """``kdim=256, vdim=256``"""
    return ", ".join(f"{name}={size}" for name in mismatch.argument.split(", "))


def fitting(layer: str, size: int | None, out: object, kernel: Value = 1) -> str:
    """The layer as it takes what reaches it. Only the argument that changes where it answers what is not known, for it
    may be a hidden one; and of a convolution with a larger `kernel`, which may have more."""
    if layer.startswith("Conv"):
        pointwise = kernel == 1 or (type(kernel) is Tuple and set(kernel.items) == {1})
        known = pointwise and out is not UNKNOWN
        return f"nn.{layer}({size}, {argument(out)}, kernel_size=1)" if known else f"in_channels={size}"
    if layer == "Linear":
        return f"nn.{layer}({size}, {argument(out)})" if out is not UNKNOWN else f"in_features={size}"
    if layer.endswith(("RCNN", "RetinaNet", "FCOS")):
        return f"backbone.out_channels = {size}"
    if layer.endswith(("Predictor", "Head")):
        return f"{layer}({size}, {argument(out)})"
    return f"nn.{layer}({size})"


SIZE_ARGUMENTS = frozenset({"in_features", "out_features", "in_channels", "out_channels", "num_features"})


@check("HC103")
def resize_without_effect(execution: Execution) -> Iterator[Report]:
    """A size written to a layer of a library model after it was made: its weights keep their shape.

    What scripts write to layers of their own is nearly always what these have, or goes with new weights.
    """
    for event in execution.of(events.FieldSet):
        part = Ref(event.owner)
        kind = execution.kind(part)
        if not execution.is_placed(event.owner):
            continue  # or another layer has taken its place since
        if event.name in SIZE_ARGUMENTS and kind.startswith("torch.nn."):
            old = execution.built_with(part, event.name)
            replaced = {e.name for e in execution.of(events.FieldSet) if e.owner == event.owner}
            if old is UNKNOWN or old == event.value or replaced & {"weight", "bias"}:
                continue
            if any(resized.module == event.owner for resized in execution.of(events.Resized)):
                continue
            if is_size_of_data(event.value):
                continue
            yield written_size(execution, event, layer_name(kind), old)
        elif event.name == "num_classes":
            yield from count_only(execution, event)


def is_size_of_data(value: object) -> bool:
    """Whether a number is the unknown size of a tensor: it may well be the one that the layer has."""
    return type(value) is Symbol and isinstance(value.key, tuple) and value.key[0] == "size"


def written_size(execution: Execution, event: events.FieldSet, layer: str, old: object) -> Report:
    place = execution.was_at(event.owner)
    model = place[0] if place else None
    name = within(execution.name_of(model.ref), place[1]) if model and place else "the layer"
    where = f" of {built(execution, model)}" if model else ""
    message = (
        f"setting `{event.name}` does not resize the {layer}{where}: its weight keeps "
        f"{old if isinstance(old, int) else 'the old'} {event.name.split('_')[0]}puts"
    )
    sizes = {k: execution.built_with(Ref(event.owner), k) for k in SIZE_ARGUMENTS}
    first = sizes["in_features"] if layer == "Linear" else sizes["in_channels"]
    second = event.value if event.name.startswith("out") else sizes["out_features"]
    if event.name.startswith("in"):
        first = event.value
    help_ = f"{name} = nn.{layer}({argument(first)}, {argument(second)})"
    address = model.ref.address if model else None
    classes = old if isinstance(old, int) and event.name.startswith("out") else None
    return Report("HC103", event.site, message, help_, Expectation("output", classes=classes), address)


def count_only(execution: Execution, event: events.FieldSet) -> Iterator[Report]:
    """``model.num_classes = n`` where the library keeps the count for show and no new head came with it."""
    place = execution.was_at(event.owner)
    if place is None:
        return
    model, path = place
    module = execution.module(Ref(event.owner))
    old = module.node.values.get("num_classes") if module is not None and module.node is not None else None
    below = [h for h in model.entry.heads if not path or h.path == path or h.path.startswith(path + ".")]
    changed = any(list(execution.edited_places(model, h.path)) for h in model.entry.heads)
    if old is None or old == event.value or changed or not below or execution.escaped(model.ref.address):
        return
    message = (
        f"setting `num_classes` does not change the head of {built(execution, model)}: "
        f"`{dotted(below[0].path)}` keeps {old} classes"
    )
    expectation = Expectation("output", classes=old) if isinstance(old, int) else Expectation()
    yield Report(
        "HC103", event.site, message, new_head(execution, model, below[0], event.value), expectation, model.ref.address
    )
