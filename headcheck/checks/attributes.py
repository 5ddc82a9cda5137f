"""Attributes: the right part of the model, by its right name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headcheck import catalog, events
from headcheck.catalog.entry import IDENTITY, Node
from headcheck.checks import Report, check
from headcheck.checks.sizes import SIZE_ARGUMENTS, fitting
from headcheck.checks.unread import LINEAR, is_whole_by_name, left_on, real_heads, refusing, taken_off, unread
from headcheck.checks.wiring import WRAPPERS
from headcheck.checks.words import (
    built,
    class_name,
    count_given,
    dotted,
    layer_name,
    model_name,
    new_head,
    outputs_of,
)
from headcheck.execution import SIZED, Execution, Model, setting
from headcheck.execution.reached import asks_by_computed_name, is_its_own_doing, is_sized_by_its_place
from headcheck.findings import AT_ITS_STEP, IN_FORWARD, Expectation, Severity
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import UNKNOWN, Class, Ref, is_invented, is_plain


def body_and_head(model: Model) -> str:
    """What the two halves of a model are called, where it calls its body by a name of its own kind: ``distilbert``."""
    from headcheck.catalog import transformers

    tops = {head.path.partition(".")[0] for head in model.entry.heads}
    bodies = sorted((model.entry.root.children.keys() & transformers.own_names()) - tops)
    body = f"its body is `{bodies[0]}`, " if is_whole_by_name(model) and len(bodies) == 1 else ""
    return f"{body}its head is {real_heads(model)}"


@check("HC201")
def unused_head(execution: Execution) -> Iterator[Report]:
    """A new module under a name that the model's forward never reads: the old head still answers."""
    for event in execution.of(events.ChildSet):
        place = unread(execution, event)
        if place is None:
            continue
        model, path = place
        kinds = execution.kinds_in(event.new)
        if not kinds & SIZED:
            continue
        owner = model_name(model) if not path else f"`{dotted(path)}` of {model_name(model)}"
        heads = real_heads(model)
        still = f"{heads} still answer{'' if ' and ' in heads else 's'}"
        answers = f", {still if model.entry.heads else 'its features are the answer'}"
        inner = bool(path) and not any(place.path.startswith(f"{path}.") for place in model.entry.places)
        message = (
            f"{owner} ({execution.where(model.built.site)}) has no `{event.name}` in its forward: "
            f"the new layer is never used{'' if inner else answers}"
        )
        head = next(iter(model.entry.places), None)
        full = f"{path}.{event.name}" if path else event.name
        names = tuple(f"{full}.{n}" for n, _ in execution.parameters(event.new).items[:2])
        out = outputs_of(execution, event.new)
        help_ = head_behind(execution, model, out) if head is None else new_head(execution, model, head, out)
        severity = could_be_head(kinds, model)
        if inner:  # an attention layer for a block, which has no head to take the place of
            severity, help_ = severity or "warning", ""
        elif severity is not None:
            help_ = instead(model, kinds)
        yield Report(
            "HC201",
            event.site,
            message,
            help_,
            Expectation("no-grad", names, head.out_features if head is not None else None),
            model.ref.address,
            severity,
        )


@check("HC201")
def head_left_on(execution: Execution) -> Iterator[Report]:
    """An Identity, or an empty Sequential, that takes no head off: it stands where the model has none. Where a layer of
    the script's own network does not take what the head answers, the report of that tells it."""
    for event, model in left_on(execution):
        if refusing(execution, model):
            continue
        name = execution.name_of(model.ref)
        what = "Identity" if execution.kind(event.new) == IDENTITY else "empty Sequential"
        message = (
            f"{model_name(model)} ({execution.where(model.built.site)}) has no `{event.name}` in its forward: "
            f"the {what} takes no head off, {real_heads(model)} still answers"
        )
        expectation = Expectation("output", classes=model.entry.heads[0].out_features)
        yield Report("HC201", event.site, message, taken_off(execution, model, name), expectation, model.ref.address)


@check("HC201")
def unused_in_own_network(execution: Execution) -> Iterator[Report]:
    """A new head put on a network of the script from outside, under a name that none of its code reads.

    On a network of another file that holds no model of a library, a layer may be there for other reasons: a larger
    checkpoint, parameters for an optimizer to find.
    """
    for event in execution.of(events.ChildSet):
        module = execution.module(Ref(event.owner))
        if module is None or module.cls is None or event.how != "attribute" or not execution.is_new(event.new):
            continue
        if event.name in execution.facts.used_attributes or module.children.get(event.name) != event.new:
            continue
        if not execution.only_its_own_forward(module) or execution.inside(module.cls, event.site):
            continue
        if asks_by_computed_name(execution, module.cls) or is_its_own_doing(execution, event):
            continue
        if is_sized_by_its_place(execution, event) or not execution.kinds_in(event.new) & SIZED:
            continue
        inner = [name for name, value in module.children.items() if execution.owner_of_value(value) is not None]
        if not inner and module.cls.module != execution.file_of(event):
            continue
        message = (
            f"no forward of {module.cls.name} ({execution.where(module.site)}) reads `{event.name}`: "
            "the new layer is never used"
        )
        help_ = f"put it into `{inner[0]}`, which holds the library's model" if len(inner) == 1 else ""
        yield Report("HC201", event.site, message, help_)


def head_behind(execution: Execution, model: Model, out: Any) -> str:
    """The code that puts a head behind a model whose forward has no place for one."""
    shape = model.entry.answers.get("forward", ())
    layer = fitting("Linear", shape[0], out) if len(shape) == 1 else ""
    return f"nn.Sequential({execution.name_of(model.ref)}, {layer})" if layer else ""


def could_be_head(kinds: frozenset[str], model: Model) -> Severity | None:
    """A remark only (info) where the layer cannot have been meant as the head: a convolution meant for a stem."""
    wanted = {head.kind for head in model.entry.places}
    return None if LINEAR in kinds or kinds & wanted else "info"


def instead(model: Model, kinds: frozenset[str]) -> str:
    """Where a layer that was not meant as the head was meant to be, most likely."""
    found = first_of(model.entry.root, kinds)
    return f"the first {layer_name(found[1])} of its forward is `{dotted(found[0])}`" if found else ""


def first_of(node: Node, kinds: frozenset[str]) -> tuple[str, str] | None:
    """The path and the kind of the first layer of some kinds."""
    for name, child in node.children.items():
        if child.kind in kinds:
            return name, child.kind
        below = first_of(child, kinds)
        if below is not None:
            return f"{name}.{below[0]}", below[1]
    return None


@check("HC202")
def missing_attribute(execution: Execution) -> Iterator[Report]:
    """Reads, indexes or deletes what is not there; deletes what forward needs."""
    for event in execution.of(events.Missing):
        part = Ref(event.owner)
        if execution.kind(part) in WRAPPERS:  # HC204's
            continue
        if event.action == "answer":
            made = f"{class_name(execution, part)} ({execution.where(execution.site_of(part))})"
            yield Report("HC202", event.site, f"what the {made} answers has no `{event.name}`", "")
            continue
        if event.action == "super":
            yield of_no_such_parent(event)
            continue
        if event.name in execution.names_elsewhere:
            continue
        place = execution.was_at(event.owner)
        module = execution.module(part)
        own = module.cls if module is not None else None
        # Whoever a layer was handed to may have given it the attribute; and one that is there on some paths only may
        # be no more than a stand-in. Of a network of the script no path sets it.
        handed = execution.escaped_before(event.owner, event)
        if place is None and event.action == "read" and (handed or (own is None and execution.conditions)):
            continue
        # What no model of the library has is asked of something else, or what puts it there was not followed: a mask.
        unsure = handed or execution.on_a_guess or (own is None and is_set_before(execution, event))
        if event.action == "read" and unsure and event.name not in catalog.part_names():
            continue
        if own is not None and module is not None and place is None:
            if execution.is_never_asked(own):
                continue
            yield of_no_such_name(execution, event, own, module)
            continue
        owner = f"{built(execution, place[0])}" if place and not place[1] else class_name(execution, part)
        if place and place[1]:
            owner = f"`{dotted(place[1])}` of {built(execution, place[0])}"
        if event.action == "index":
            children = execution.children(part) or []
            stack = all(name.isdigit() for name, _ in children) and execution.kind(part) not in SIZED
            why = f"it holds {len(children)} layers" if stack else f"it is one {class_name(execution, part)}"
            message = f"{owner} has no index {event.name}: {why}"
        elif event.action == "none":
            message = f"`{event.name}` of {owner} is None"
        else:
            message = f"{owner} has no attribute `{event.name}`"
        help_ = suggestion(execution, event, place)
        yield Report("HC202", event.site, message, help_, AT_ITS_STEP, place[0].ref.address if place else None)
    yield from deleted(execution)


def of_no_such_parent(event: events.Missing) -> Report:
    """A method of the classes above that none of them has: ``super()._init_()``, which makes room for no layers."""
    close = catalog.nearest(event.name, catalog.module_attributes())
    help_ = f"did you mean `{close[0]}`?" if close else ""
    message = f"`super()` has no attribute `{event.name}`: no module has one"
    return Report("HC202", event.site, message, help_, model=event.owner)


def of_no_such_name(execution: Execution, event: events.Missing, own: Class, module: Module) -> Report:
    """What a network of the script does not have: no code sets it, or not so far, or it was deleted."""
    gone = [e.site for e in execution.of(events.ChildDeleted) if e.owner == event.owner and e.name == event.name]
    deleted = gone[-1] if gone else setting.deleted_on_the_way(execution, own, event.name, event.site)
    if deleted is not None:
        message = f"{own.name} has no attribute `{event.name}`: it is deleted before ({execution.where(deleted)})"
        return Report("HC202", event.site, message, model=event.owner)
    why, help_ = where_set(execution, event, own)
    message = f"{own.name} ({execution.where(module.site)}) has no attribute `{event.name}`: {why}"
    close = catalog.nearest(str(event.name), [*module.children, *module.values, *(n for n, _ in own.attributes)])
    if not help_ and close:
        help_ = f"did you mean `{close[0]}`?"
    return Report("HC202", event.site, message, help_, model=event.owner)


def where_set(execution: Execution, event: events.Missing, own: Class) -> tuple[str, str]:
    """(which code sets an attribute that is missing, what to do)."""
    every = list(setting.setters(execution, event.name))
    said = dict.fromkeys(how_set(execution, setter, event) for setter in every if setting.is_of(setter, own))
    kinds = {why.partition(" (")[0] for why, _ in said}
    if len(kinds) == 1:
        return next(iter(said))
    assigned = execution.facts.assigned_attributes.get(event.name, frozenset())
    if (
        every
        and not kinds
        and {id(setter.site) for setter in every} == assigned
        and len({s.cls.name for s in every}) == 1
    ):
        return f"only {every[0].cls.name} sets one, on objects of its own ({execution.where(every[0].site)})", ""
    return "nothing sets one before" if assigned else "nothing sets one", ""


def how_set(execution: Execution, setter: setting.Setter, event: events.Missing) -> tuple[str, str]:
    """(when a method of a network sets an attribute that it lacks at an event, what to do)."""
    line, before = execution.where(setter.site), setting.sets_after(execution, setter, event.site)
    if before is not None:
        return f"it is set only later ({line})", f"set it before {execution.where(before)}"
    if setting.stands_in_the_way(execution, setter, event.site):
        return f"it is set only under other conditions ({line})", ""
    return f"only `{setter.method.name}` sets one, and has not done so before ({line})", ""


def is_set_before(execution: Execution, event: events.Missing) -> bool:
    """Whether code that may run before sets an attribute of the name that is missing, and it is no name under which
    some library has its heads: ``model.fc2 = nn.Linear(model.fc2.in_features, n)`` sets one too late. Nobody computes
    the names of a layer's sizes: ``setattr(model, name, nn.Linear(layer.in_features, n))`` sets a layer."""
    name = event.name
    if str(name).strip("_") in {*catalog.part_names(), "last_linear"}:
        return False
    return execution.is_set_before(event.site, name, computed=name not in SIZE_ARGUMENTS)


def suggestion(execution: Execution, event: events.Missing, place: tuple[Model, str] | None) -> str:
    if event.action == "none":
        return switched_on(place[0], event.name) if place is not None and not place[1] else ""
    if place is not None and not place[1] and event.action == "read":
        return body_and_head(place[0]) if place[0].entry.heads else "it has no head"
    module = execution.module(Ref(event.owner))
    if module is not None and event.action == "read":
        names = [
            *(module.arguments or {}),
            *(module.node.values if module.node else {}),
            *(module.node.children if module.node else {}),
        ]
        close = catalog.nearest(str(event.name), names)
        return f"did you mean `{close[0]}`?" if close else ""
    if place is not None:
        whole = next((h for h in place[0].entry.heads if h.path == place[1]), None)
        if whole is not None and event.action == "index":
            return new_head(execution, place[0], whole, UNKNOWN)
        heads = [h for h in place[0].entry.heads if h.path.startswith(place[1] + ".")]
        return f"its head is `{dotted(heads[0].path)}`" if heads else ""
    return ""


def switched_on(model: Model, part: str) -> str:
    """The keyword with which a builder makes a part that it leaves out otherwise."""
    build = model.built
    plain = {name: value for name, value in build.keywords.items() if is_plain(value)}
    if build.builder.startswith("torchvision."):
        for name in (name for name, value in model.entry.root.values.items() if value is False):
            entry = catalog.find(build.builder, {**plain, name: True}, build.weights)
            if entry is not None and part in entry.root.children:
                return f"{name}=True makes one"
    return ""


def deleted(execution: Execution) -> Iterator[Report]:
    """``del model.fc``: forward calls it and nothing took its place, nor may have, under a name that is not known."""
    for event in execution.of(events.ChildDeleted):
        place = execution.place(event.owner)
        if place is None or place[1] or event.how != "attribute" or not place[0].module.known:
            continue
        model = place[0]
        gone = execution.part(model, event.name) is None
        if not gone or event.name not in model.entry.used or not execution.forward_is_the_librarys(model):
            continue
        here = {id(e.site) for e in execution.of(events.ChildSet)}
        elsewhere = execution.facts.assigned_attributes.get(event.name, frozenset()) - here
        if elsewhere or event.name in model.module.values or not execution.runs_after(model, event):
            continue
        message = f"deletes `{event.name}`, which the forward of {built(execution, model)} calls"
        name = f"{execution.name_of(model.ref)}.{event.name}"
        yield Report("HC202", event.site, message, f"{name} = nn.Identity()", IN_FORWARD, model.ref.address)


@check("HC203")
def auxiliary_head_left(execution: Execution) -> Iterator[Report]:
    """The main head answers for the new classes, an auxiliary one whose output is used still for the old ones."""
    for model in execution.models:
        main = [h for h in model.entry.heads if not h.auxiliary]
        for head in (h for h in model.entry.heads if h.auxiliary and h.train):
            if not main or list(execution.edited_places(model, head.path)) or not execution.exists(model, head.path):
                continue
            event = execution.replacement(model, main[0].path)
            if event is None or not execution.output_used(model, head.outputs):
                continue
            part = execution.part(model, main[0].path) or event.new
            count = count_given(execution, part)
            if count is UNKNOWN or is_invented(count) or head.out_features in counts_of(execution, event, part):
                continue
            message = (
                f"`{dotted(main[0].path)}` of {built(execution, model)} "
                f"{f'now has {count} classes' if isinstance(count, int) else 'is new'}, but its auxiliary "
                f"head `{dotted(head.path)}` keeps {head.out_features} and its output is used"
            )
            help_ = new_head(execution, model, head, count)
            expectation = Expectation("output", classes=head.out_features)
            yield Report("HC203", event.site, message, help_, expectation, model.ref.address)


@check("HC203")
def one_of_joint_heads_left(execution: Execution) -> Iterator[Report]:
    """Heads whose answers the model puts together, as distilled models do, of which some answer for the new classes."""
    for model in execution.models:
        heads = [h for h in model.entry.heads if not h.auxiliary]
        alike = len({(h.outputs, h.out_features) for h in heads}) == 1 and model.entry.task == "classification"
        if len(heads) < 2 or not alike or not execution.forward_is_the_librarys(model):
            continue
        kept = [h for h in heads if execution.exists(model, h.path) and not any(execution.edited_places(model, h.path))]
        new = next((h for h in heads if h not in kept), None)
        event = execution.replacement(model, new.path) if new is not None and kept else None
        part = execution.part(model, new.path) if new is not None else None
        count = outputs_of(execution, part) if event is not None and part is not None else UNKNOWN
        if new is None or event is None or type(count) is not int or count == kept[0].out_features:
            continue
        message = (
            f"`{dotted(new.path)}` of {built(execution, model)} now has {count} classes, but `{dotted(kept[0].path)}` "
            f"beside it keeps {kept[0].out_features}, and the model answers with what both make, put together"
        )
        help_, classes = new_head(execution, model, kept[0], count), kept[0].out_features
        # A single class is stretched to the width of the other head.
        expectation = IN_FORWARD if count != 1 else Expectation("output", classes=classes)
        yield Report("HC203", event.site, message, help_, expectation, model.ref.address, "error")


def counts_of(execution: Execution, event: events.ChildSet, part: Any) -> set[Any]:
    """The number of classes of a new head, and those that it has on other paths: by default it may stay as it was."""
    others = (outputs_of(other, found.new) for other, found in execution.same_elsewhere(event))
    return {outputs_of(execution, part), *others}


@check("HC205")
def unknown_model(execution: Execution) -> Iterator[Report]:
    """A builder, a model's name or one of its weights that the library does not have."""
    for event in execution.of(events.UnknownName):
        members = catalog.weights(event.namespace)
        if members is not None:
            yield unknown_weights(event, members)
            continue
        if event.namespace == "timm.create_model":
            yield unknown_timm_model(event)
            continue
        if execution.facts.adds_members:  # the script's own may be there under this name
            continue
        by_name = event.namespace.endswith("get_model")
        among = catalog.registered() if by_name else builders_in(event.namespace)
        close = catalog.nearest(event.name, among)
        owner = "torchvision" if by_name else event.namespace
        message = f"{owner} has no model `{event.name}`"
        if not by_name and catalog.is_module(f"{owner}.{event.name}"):
            message = f"`{event.name}` of {owner} is a module that has models, and none itself"
        help_ = "did you mean " + " or ".join(f"`{name}`" for name in close) + "?" if close else ""
        step = {"op": "look_up", "line": execution.line(event.site), "namespace": event.namespace, "name": event.name}
        yield Report("HC205", event.site, message, help_, AT_ITS_STEP, steps=(step,))


def unknown_weights(event: events.UnknownName, members: Iterable[str]) -> Report:
    """Weights that are not in the set of a builder: a name that no weights have, or those of another builder."""
    enum = event.namespace.rpartition(".")[2]
    owner, _, member = event.name.rpartition(".")
    close = catalog.nearest(member, [*members, "DEFAULT"])
    message = f"{enum} has no weights `{event.name}`"
    best = f"{enum}.{close[0]}" if owner and close else next(iter(close), "")
    return Report("HC205", event.site, message, f"did you mean `{best}`?" if best else "")


def builders_in(namespace: str) -> list[str]:
    return sorted(name for name in catalog.names(namespace) if catalog.canonical(f"{namespace}.{name}"))


def unknown_timm_model(event: events.UnknownName) -> Report:
    """A name that timm's `create_model` does not know."""
    from headcheck.catalog import timm

    model = event.name.partition(".")[0]
    close = catalog.nearest(model, timm.architectures())
    message = f"timm has no model `{model}` (as of timm {timm.version()})"
    help_ = "did you mean " + " or ".join(f"`{name}`" for name in close) + "?" if close else ""
    return Report("HC205", event.site, message, help_, AT_ITS_STEP)
