"""One function for each kind of event that a plan has a step for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from headcheck import catalog, events
from headcheck.interpreter import heap
from headcheck.interpreter.access import class_attribute
from headcheck.interpreter.calls import BARE, NETWORKS
from headcheck.interpreter.forward import own_forward
from headcheck.interpreter.values import Address, Ref, Symbol, Tuple, Value, is_plain
from headcheck.ir import UNKNOWN
from headcheck.plans.draft import OPEN_ARGUMENTS, Draft
from headcheck.plans.reach import PICTURE, bare, can_be_built

#: Layers that torch fits to what reaches them: the argument that may be left away then, and the class that does so.
FITTING = {
    "torch.nn.Linear": ("in_features", "torch.nn.LazyLinear"),
    **{f"torch.nn.Conv{n}d": ("in_channels", f"torch.nn.LazyConv{n}d") for n in (1, 2, 3)},
    **{f"torch.nn.BatchNorm{n}d": ("num_features", f"torch.nn.LazyBatchNorm{n}d") for n in (1, 2, 3)},
}
#: Arguments of layers that leave every shape as it is: where they are not known, the default does.
STILL = frozenset({"eps", "inplace", "momentum", "negative_slope", "p"})
#: Methods of modules of which a class may have others, that are not followed here.
OF_MODULES = ("__call__", "named_parameters", "parameters", "requires_grad_", "state_dict", "to", "train")
CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})


def built(draft: Draft, event: events.Built) -> None:
    if event.module not in draft.wanted:
        return
    if not can_be_built(event.builder):
        draft.leave_out(event, f"{event.builder}, which is not built here")
        return
    keywords = {
        k: v.items if type(v) is Tuple else v for k, v in event.keywords.items() if is_plain(v) or type(v) is Tuple
    }
    for name in OPEN_ARGUMENTS & event.keywords.keys() - keywords.keys():
        if type(event.keywords[name]) is Symbol or event.keywords[name] is UNKNOWN:
            keywords[name] = draft.plain(name, event.keywords[name])
    unknown = [k for k in event.keywords if k not in keywords and not may_be_any(event.builder, k)]
    if "in_chans" in unknown:
        unknown.remove("in_chans")
        draft.taken_for_granted.append(f"it takes pictures of {PICTURE[0]} channels{draft.at(event)}")
    if unknown:
        draft.leave_out(event, f"`{unknown[0]}` of {event.builder.rsplit('.', 1)[-1]}, which is not known")
    weights = event.weights if isinstance(event.weights, (bool, str)) else False
    if event.builder.startswith("transformers."):
        keywords = of_default_depth(draft, event, keywords)
    kwargs = building_keywords(draft, event.builder, keywords, weights)
    step: dict[str, Any] = {"out": draft.number(event.module), "builder": event.builder, "kwargs": kwargs}
    if weights is not False:
        step["weights"] = weights
        beside = may_be_refused(event.builder, weights) & keywords.keys()
        step.update({"beside_weights": sorted(beside)} if beside else {})
    draft.step(event, "build", **step)
    if draft.is_own(event.module):
        derived(draft, event)


def may_be_refused(builder: str, weights: bool | str) -> Set[str]:
    """The keywords that a builder takes with some values only beside weights (see the checks of HC406 and HC409)."""
    if not builder.startswith("torchvision."):
        return frozenset()
    return {"num_classes", *(catalog.fixed(builder, weights) if isinstance(weights, str) else ())}


def may_be_any(builder: str, keyword: str) -> bool:
    """Whether a model is made of the same parts whatever a keyword is."""
    return "drop" in keyword or (builder.startswith("torchvision.") and catalog.is_inert(builder, keyword))


def derived(draft: Draft, event: events.Built) -> None:
    """A class of the script that derives from a model: built as that, with the forward of its own if it has one."""
    module = draft.execution.state.heap[event.module]
    if module.node is None or any(class_attribute(module.cls, name) for name in OF_MODULES):
        draft.leave_out(event, "a class of the script that derives from a model")
    elif own_forward(module) is not None:
        draft.networks.append(event.module)


def of_default_depth(draft: Draft, event: events.Built, keywords: dict[str, Any]) -> dict[str, Any]:
    """What tells the worker which model of a class of transformers to make. How wide it is depends on the checkpoint,
    and is known by its head; it is taken to be as deep as one is by default."""
    module = draft.execution.module(Ref(event.module))
    entry = module.build.entry if module is not None and module.build is not None else None
    head = entry.heads[0] if entry is not None else None
    short = event.builder.rsplit(".", 1)[-1]
    if head is None or head.in_features is None:
        draft.leave_out(event, f"how wide the {short} is, which is not known")
        return {}
    draft.taken_for_granted.append(f"the {short} is as deep as one is by default{draft.at(event)}")
    labels = {name: value for name, value in keywords.items() if name == "num_labels"}
    return {**labels, "head": head.path, "width": head.in_features}


def building_keywords(draft: Draft, builder: str, keywords: Mapping[str, Any], weights: bool | str) -> dict[str, Any]:
    """The keywords that build the same structure without weights."""
    if builder.startswith("torchvision."):
        return catalog.worker_keywords(builder, keywords, weights)
    return {k: {"tuple": list(v)} if isinstance(v, tuple) else v for k, v in keywords.items()}


def created(draft: Draft, event: events.Created) -> None:
    if event.module not in draft.wanted or event.module in draft.built_later:
        return
    module = draft.execution.state.heap[event.module]
    if module.cls is not None and heap.library_bases(module.cls) <= NETWORKS | BARE:
        draft.step(event, "network", out=draft.number(event.module))
        draft.networks.append(event.module)
        return
    given = bare(draft.execution, module)
    if given is not None and module.build is not None:
        if "width" in given:
            short = module.kind.rsplit(".", 1)[-1]
            draft.taken_for_granted.append(f"the {short} is as deep as one is by default{draft.at(event)}")
        kwargs = {name: draft.plain(name, value) for name, value in given.items()}
        draft.step(event, "build", out=draft.number(event.module), builder=module.build.builder, kwargs=kwargs)
        return
    layer(draft, event, module)


def layer(draft: Draft, event: events.Created, module: heap.Module) -> None:
    """A layer of a library, or a stack of some."""
    if module.cls is not None or not module.kind.startswith(("torch.nn.", "torchvision.", "fastai.layers.")):
        name = module.cls.name if module.cls is not None else module.kind
        draft.leave_out(event, f"{name}, a class of the script")
        return
    arguments = {n: v for n, v in module.arguments.items() if differs(draft, module.kind, n, v)}
    arguments = {n: v for n, v in arguments.items() if n not in STILL or is_plain(v)}
    arguments, kind = without_unknown(draft, event, module.kind, arguments)
    try:
        kwargs = {name: draft.plain(name, value) for name, value in arguments.items()}
    except KeyError as error:
        draft.leave_out(event, f"`{error.args[0]}` of a {module.kind.rsplit('.', 1)[-1]}, which is not known")
        return
    is_container = module.kind in CONTAINERS
    if not is_container:
        kwargs.update({n: {"ref": draft.number(v.address)} for n, v in event.children.items() if type(v) is Ref})
    args = leading(module.kind, kwargs)
    draft.step(event, "layer", out=draft.number(event.module), **{"class": kind}, args=args, kwargs=kwargs)
    if is_container and event.children:
        draft.stacks.add(event.module)
    for name, value in event.children.items() if is_container else ():
        if type(value) is Ref and draft.knows(value.address):
            draft.step(event, "add_module", of=draft.number(event.module), name=name, value=draft.number(value.address))
        else:
            draft.leave_out(event, f"`{name}` of a {module.kind.rsplit('.', 1)[-1]}, which is not known")


#: Arguments of layers that say nothing of the shape of what comes out.
SHAPELESS = frozenset(["bias", "eps", "inplace", "momentum", "negative_slope", "p"])


def without_unknown(
    draft: Draft, event: events.Created, kind: str, arguments: dict[str, Value]
) -> tuple[dict[str, Value], str]:
    """The arguments of a layer without those that are taken for granted, and the class to make it of."""
    short = kind.rsplit(".", 1)[-1]
    name, lazy = FITTING.get(kind, ("", ""))
    if name in arguments and not is_told(draft, arguments[name]):
        draft.fitted.add(arguments[name])
        draft.taken_for_granted.append(f"`{name}` of the {short} is what reaches it{draft.at(event)}")
        arguments, kind = {n: v for n, v in arguments.items() if n != name}, lazy
    unknown = [n for n, v in arguments.items() if not is_plain(v)]
    if not short.endswith("Loss"):
        unknown = [n for n in unknown if n in SHAPELESS]
    if not unknown or "reduction" in unknown:
        return arguments, kind
    draft.taken_for_granted.append(f"`{unknown[0]}` of the {short} does not matter{draft.at(event)}")
    return {n: v for n, v in arguments.items() if n not in unknown}, kind


def is_told(draft: Draft, value: Value) -> bool:
    """Whether a size is known or stood in for."""
    return is_plain(value) or value in draft.stand_ins or type(value) is Tuple


def differs(draft: Draft, kind: str, name: str, value: Value) -> bool:
    signature = catalog.layer(kind)
    default = signature.parameters.get(name) if signature else None
    if type(value) is Tuple and all(map(is_plain, value.items)):
        return not (isinstance(default, tuple | list) and tuple(default) == value.items)
    return not (is_plain(value) and type(value) is type(default) and value == default)


def taken(draft: Draft, event: events.Taken) -> None:
    draft.parts.setdefault((event.owner, event.name), event.module)
    if draft.knows(event.owner) and event.module in draft.wanted:
        draft.step(event, "get", out=draft.number(event.module), of=draft.number(event.owner), path=event.name)


def copied(draft: Draft, event: events.Copied) -> None:
    if event.module in draft.wanted and draft.knows(event.original):
        draft.step(event, "copy", out=draft.number(event.module), of=draft.number(event.original))


def child_set(draft: Draft, event: events.ChildSet) -> None:
    if not draft.knows(event.owner):
        return
    value: Any = None
    if type(event.new) is Ref and draft.knows(event.new.address):
        value = draft.number(event.new.address)
    elif event.new is not None and draft.is_own(event.owner):
        return  # if its forward used it, that could not be recorded
    elif event.new is not None:
        draft.leave_out(event, f"the new `{event.name}`, which is not known")
        return
    draft.step(event, "set", of=draft.number(event.owner), name=event.name, value=value)


def child_deleted(draft: Draft, event: events.ChildDeleted) -> None:
    if not draft.knows(event.owner):
        return
    if event.how == "item" and event.name.isdigit():
        draft.step(event, "delitem", of=draft.number(event.owner), index=int(event.name))
    else:
        draft.step(event, "delete", of=draft.number(event.owner), name=event.name)


def field_set(draft: Draft, event: events.FieldSet) -> None:
    if not draft.knows(event.owner) or event.name == "requires_grad":
        return
    if is_plain(event.value):
        draft.step(event, "plain", of=draft.number(event.owner), parameters=None, name=event.name, value=event.value)
    elif event.name in ("weight", "bias"):
        draft.shortened = True
        draft.taken_for_granted.append(f"the new `{event.name}` is as large as the old one{draft.at(event)}")
    elif event.name == "forward":
        draft.leave_out(event, "the new `forward`, which is not known")


def flagged(draft: Draft, event: events.Flagged) -> None:
    """What holds the model freezes it as well, whole; of some of its parameters nobody looks whose they are."""
    if not draft.knows(event.module) and draft.knows(draft.root):
        if event.module in draft.execution.holders(draft.root):
            if event.paths is not None:
                draft.leave_out(event, "which parameters of what holds it are frozen")
            else:
                of = draft.number(draft.root)
                draft.step(event, "requires_grad", of=of, parameters="all", value=event.value)
    elif draft.knows(event.module):
        paths = "all" if event.paths is None else list(event.paths)
        last = draft.steps[-1] if draft.steps else {}
        number = draft.number(event.module)
        same = last.get("op") == "requires_grad" and last["of"] == number and last["value"] == event.value
        if same and paths != "all" and last["parameters"] != "all":
            last["parameters"].extend(paths)
        else:
            draft.step(event, "requires_grad", of=number, parameters=paths, value=event.value)


def flag_missed(draft: Draft, event: events.FlagMissed) -> None:
    if type(event.owner) is not Ref or not draft.knows(event.owner.address) or not is_plain(event.value):
        return
    if event.receiver in ("module", "parameter"):
        paths = [event.path] if event.path and event.path != "*" else None
        if event.path == "*":
            paths = [p for p, _ in draft.execution.parameters(event.owner).items]
        number = draft.number(event.owner.address)
        draft.step(event, "plain", of=number, parameters=paths, name=event.name, value=event.value)


def missing(draft: Draft, event: events.Missing) -> None:
    if not draft.knows(event.owner):
        return
    number = draft.number(event.owner)
    if event.action == "index":
        draft.step(event, "item", out=len(draft.numbers) + 1_000, of=number, index=event.name)
    else:
        draft.step(event, "read" if event.action == "super" else event.action, of=number, name=event.name)


def mode(draft: Draft, event: events.ModeSet) -> None:
    if draft.knows(event.module):
        draft.step(event, "mode", of=draft.number(event.module), train=event.training)


def moved(draft: Draft, event: events.Moved) -> None:
    """What holds the model moves it as well. Where a move aims may be an accelerator, it does.

    Lightning moves all of its module when it trains it.
    """
    holder = event.module in draft.execution.holders(draft.model.ref.address)
    if not holder and not draft.knows(event.module):
        return
    address = event.module if draft.knows(event.module) else draft.model.ref.address
    if not draft.knows(address):
        return
    if event.dtype == "unsure" and event.device != "unsure":
        draft.leave_out(event, "a move to something that is not known")
    told = event.device and not draft.execution.in_lightning(draft.root)
    target = {"device": "cpu" if event.device == "cpu" else "cuda"} if told else {}
    if event.dtype and event.dtype != "unsure":
        target["dtype"] = event.dtype
    if target:
        draft.step(event, "move", of=draft.number(address), **target)


def loaded(draft: Draft, event: events.Loaded) -> None:
    """Weights of which it is known that they do not fit: loading them raises."""
    unfit = event.differing or (event.strict is True and (event.missing or event.unexpected))
    if unfit and draft.knows(event.module):
        names = {"missing": list(event.missing), "unexpected": list(event.unexpected)}
        differing = [[name, list(shape)] for name, shape, _ in event.differing]
        strict = event.strict is True
        draft.step(event, "load", of=draft.number(event.module), strict=strict, differing=differing, **names)


def skipped(draft: Draft, event: events.Skipped) -> None:
    if not event.modules.isdisjoint(draft.wanted | draft.execution.holders(draft.root)):
        draft.leave_out(event, f"a call of `{event.name}`, for there is too much to follow")


def optimized(draft: Draft, event: events.Optimized) -> None:
    groups = groups_of(draft, event.parameters, event.complete, event.groups, event.wholes)
    if groups is not None:
        number, kwargs = draft.number(event.optimizer), numbers_in(event.keywords)
        draft.step(event, "optimizer", out=number, **{"class": event.kind}, groups=groups, kwargs=kwargs)
    elif not event.complete or any(type(p.owner) is Ref and draft.knows(p.owner.address) for p in event.parameters):
        draft.more_optimizers = True


def group_added(draft: Draft, event: events.GroupAdded) -> None:
    if not draft.knows(event.optimizer):
        return
    counted = ((len(event.parameters), event.options),)
    groups = groups_of(draft, event.parameters, event.complete, counted, event.wholes)
    if groups:
        draft.step(event, "add_group", of=draft.number(event.optimizer), group=groups[0])
        return
    draft.more_optimizers = True
    number = draft.number(event.optimizer)  # one of whose parameters some are not known shows nothing
    draft.steps = [step for step in draft.steps if step.get("out") != number and step.get("of") != number]


def groups_of(
    draft: Draft, parameters: tuple[Any, ...], complete: bool, groups: tuple[Any, ...], wholes: tuple[Any, ...]
) -> list[dict[str, Any]] | None:
    """The groups of an optimizer as data, each with its parameters or the modules whose it has, and its options.

    None if some are not known, or are of no module of the plan.
    """
    if wholes and not complete:
        known = all(draft.knows(*owners) for owners, _ in wholes)
        return (
            [{"modules": [draft.number(a) for a in owners], **numbers_in(o)} for owners, o in wholes] if known else None
        )
    held = [as_it_was(draft, p.owner.address, p.path) for p in parameters if type(p.owner) is Ref]
    mine = [[draft.number(a), path] for a, path in held if draft.knows(a)]
    if not complete or len(mine) != len(held) or not (held or not groups):
        return None
    found, start = [], 0
    for count, options in groups or ([(len(mine), {})] if mine else []):
        found.append({"parameters": mine[start : start + count], **numbers_in(options)})
        start += count
    return found if start == len(mine) else None


def as_it_was(draft: Draft, owner: Address, path: str) -> tuple[Address, str]:
    """A parameter from the part that was there when its name was taken, whatever stands in its place by now."""
    name, _, rest = path.partition(".")
    part = draft.parts.get((owner, name)) if rest else None
    return (owner, path) if part is None else as_it_was(draft, part, rest)


def numbers_in(options: Mapping[str, Value]) -> dict[str, Any]:
    """The options of an optimizer that are known numbers; of the rest the defaults will do."""
    return {name: value for name, value in options.items() if type(value) in (int, float, bool)}


def leading(kind: str, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that have to come by position, taken out of `kwargs`: those without a default, in order."""
    signature = catalog.layer(kind)
    args = []
    for name, default in signature.parameters.items() if signature else ():
        if default != catalog.REQUIRED or name not in kwargs:
            break
        args.append(kwargs.pop(name))
    return args


STEPS: Mapping[type, Callable[[Draft, Any], None]] = {
    events.Built: built,
    events.Created: created,
    events.Taken: taken,
    events.Copied: copied,
    events.ChildSet: child_set,
    events.ChildDeleted: child_deleted,
    events.FieldSet: field_set,
    events.Flagged: flagged,
    events.FlagMissed: flag_missed,
    events.Missing: missing,
    events.ModeSet: mode,
    events.Moved: moved,
    events.Loaded: loaded,
    events.Optimized: optimized,
    events.GroupAdded: group_added,
    events.Skipped: skipped,
}
