"""Freezing: what should learn learns, what should not does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from headcheck import events
from headcheck.checks import Report, check
from headcheck.checks.building import head_is_made_anew
from headcheck.checks.words import built, dotted, within
from headcheck.execution import Execution, Model
from headcheck.execution.reached import asks_itself
from headcheck.findings import Expectation, Stage
from headcheck.interpreter.heap import Module, is_sequential
from headcheck.interpreter.values import Address, Parameter, Parameters, Ref, Symbol, Value


def frozen_new_heads(execution: Execution) -> Iterator[tuple[Model, str, events.ChildSet, events.Flagged]]:
    """New heads that end up frozen: (model, their path, the event that put it in, the last event that froze it)."""
    for model in execution.models:
        for head in model.entry.places:
            event = execution.replacement(model, head.path)
            if event is None or not execution.is_new(event.new) or not execution.makes_layers(event.new):
                continue
            if not execution.frozen(event.new) and not only_biases_learn(execution, event.new):
                continue
            if execution.flags_unseen(True, event.new):
                continue
            place = execution.place(event.new.address)
            if place is None or place[0] != model:
                continue
            freezes = [f for f in execution.of(events.Flagged) if not f.value and execution.covers(f, event.new)]
            if not freezes or execution.order(freezes[-1]) < execution.order(event):
                continue
            if has_learned(execution, model, event, freezes[-1]) or not execution.meant_to_learn(model):
                continue
            if not is_frozen_on_purpose(execution, model, event.new, freezes[-1]):
                yield model, place[1], event, freezes[-1]


def is_frozen_on_purpose(execution: Execution, model: Model, head: Ref, freeze: events.Flagged) -> bool:
    """Whether a freeze is of the head alone, which the rest of the model learns to answer to; or of a whole model of
    random numbers beside which others learn; or on a path that makes no optimizer, while another does."""
    inside, around = execution.parts_of(head), execution.parts_of(model.ref) - execution.parts_of(head)
    if not any(reaches(execution, e, around) for e in execution.of(events.Flagged) if e.site is freeze.site):
        listing = execution.parameters(model.ref)
        outside = (p for _, p in listing.items if p.owner.address not in inside)
        return listing.complete and any(execution.trainable(parameter) for parameter in outside)
    if any(True for _ in execution.of(events.Optimized)):
        return model.built.weights in (None, False) and is_let_alone(execution, model)
    others = (other for other in execution.family if other.passes(model.built.site) and not other.passes(freeze.site))
    entered = [execution.order(event) for event in execution.of(events.Entered)]
    own = not execution.cut and all(place < execution.order(model.built) for place in entered)
    return own and any(True for other in others for _ in other.of(events.Optimized))


def reaches(execution: Execution, event: events.Flagged, parts: set[Address]) -> bool:
    """Whether setting flags at an event reached one of some modules, or all that is in a module that holds one."""
    whole = execution.parts_of(Ref(event.module)) if event.paths is None else frozenset()
    return event.module in parts or not parts.isdisjoint(whole)


def is_let_alone(execution: Execution, model: Model) -> bool:
    """Whether a whole model is frozen, and the optimizers are of other modules only."""
    holders = execution.holders(model.ref.address)
    asked = [event.of for event in execution.of(events.Optimized)]
    return execution.frozen(model.ref) and all(asked) and all(holders.isdisjoint(of) for of in asked)


#: Methods of Lightning's modules that run when something has learned, and those that run over and over again.
AFTERWARDS = frozenset(
    """on_epoch_end on_train_batch_end on_train_end on_train_epoch_end on_validation_end on_validation_epoch_end
    training_epoch_end validation_epoch_end""".split()
)
AGAIN = frozenset(
    """on_before_optimizer_step on_before_zero_grad on_epoch_start on_train_batch_start on_train_epoch_start
    on_validation_epoch_start on_validation_start training_step validation_step""".split()
)


def is_frozen_later(execution: Execution, model: Model, freeze: events.Flagged) -> bool:
    """Whether a method freezes that Lightning's trainer calls when a model has learned, or that it calls again and
    again, and it does so at some time only: ``if self.current_epoch >= 5``."""
    entered = [event for event in execution.of(events.Entered) if execution.order(event) < execution.order(freeze)]
    name = entered[-1].name if entered else ""
    at_its_time = name in AFTERWARDS or (name in AGAIN and bool(execution.conditions))
    return at_its_time and execution.in_lightning(model.ref.address)


def is_frozen_as_loaded(execution: Execution, model: Model, made: events.Event, freeze: events.Flagged) -> bool:
    """Whether a method that nothing in the file calls freezes what was made before, and whoever calls it may well have
    loaded that: another method of the object does, or it is one of the networks that the object puts together."""
    between = execution.history[execution.order(made) : execution.order(freeze)]
    entered = next((event for event in reversed(between) if type(event) is events.Entered), None)
    if entered is None or entered.receiver is None:
        return False
    inside = execution.holders(model.ref.address) - execution.holders(entered.receiver) - {model.ref.address}
    return entered.after_loading or any(execution.frozen(Ref(holder)) for holder in inside)


def has_learned(execution: Execution, model: Model, made: events.Event, freeze: events.Flagged) -> bool:
    """Whether what was made or put into a model may have learned when it is frozen."""
    learned = execution.learned_between(made, freeze) or is_frozen_later(execution, model, freeze)
    return learned or is_frozen_as_loaded(execution, model, made, freeze)


@check("HC301", "HC304")
def frozen_made_head(execution: Execution) -> Iterator[Report]:
    """A head that the library makes anew when it loads weights ends up frozen, and something else of the model learns:
    ``create_model(…, pretrained=True, num_classes=5)``."""
    for model in execution.models:
        heads = [head for head in model.entry.places if not head.auxiliary]
        if len(heads) != 1 or not head_is_made_anew(model) or execution.replacement(model, heads[0].path) is not None:
            continue
        path = heads[0].path
        held = {n: p for n, p in execution.parameters(model.ref).items if n.startswith(f"{path}.")}
        if not held or any(execution.trainable(parameter) is not False for parameter in held.values()):
            continue
        if any(execution.flags_unseen(True, Ref(execution.settled(p)[0])) for p in held.values()):
            continue
        freezes = execution.freezes_of([*held.values()])
        if not freezes or execution.frozen(model.ref) or not execution.meant_to_learn(model):
            continue
        if has_learned(execution, model, model.built, freezes[-1]):
            continue
        if execution.optimized(model.ref) is not True or execution.escaped(model.ref.address):
            continue
        tests = execution.name_tests(model, freezes[-1])
        said = " or ".join(sorted({repr(test.text) for test in tests}))
        expectation = Expectation("frozen", tuple(held)[:2])
        made = f"the head `{dotted(path)}` of {built(execution, model)}, which is made anew there"
        help_ = f"leave it out, or thaw it: {within(execution.name_of(model.ref), path)}.requires_grad_(True)"
        if tests:
            message = f"the name test on {said} does not spare {made}: it is frozen too"
            help_ = f"test for {path.split('.')[0] + '.'!r}"
        else:
            message = f"this freezes {made}, as well"
        code = "HC304" if tests else "HC301"
        yield Report(code, freezes[-1].site, message, help_, expectation, model.ref.address, order=not tests)


def only_biases_learn(execution: Execution, part: Ref) -> bool:
    """Whether all weights of a part are frozen and some bias is not, and no test of names told them apart: a count of
    tensors that is off by one."""
    listing = execution.parameters(part)
    if not listing.complete or any(True for _ in execution.of(events.NameTested)):
        return False
    learning = {name.rpartition(".")[2] for name, p in listing.items if execution.trainable(p) is not False}
    return learning == {"bias"}


@check("HC301", "HC304")
def frozen_head(execution: Execution) -> Iterator[Report]:
    """The new head is frozen after it was put in: by a freeze of everything, or by a name test that misses it."""
    seen: set[int] = set()
    for model, path, event, freeze in frozen_new_heads(execution):
        if id(freeze.site) in seen:
            continue
        seen.add(id(freeze.site))
        frozen = [n for n, p in execution.parameters(event.new).items if execution.trainable(p) is False]
        expectation = Expectation("frozen", tuple(f"{path}.{n}" for n in frozen[:2]))
        name = execution.name_of(model.ref)
        tests = execution.name_tests(model, freeze)
        if tests:
            said = " or ".join(sorted({repr(test.text) for test in tests}))
            message = (
                f"the name test on {said} does not spare the head of {built(execution, model)}, "
                f"`{dotted(path)}`: it is frozen too"
            )
            help_ = f"test for {path.split('.')[0] + '.'!r}"
            yield Report("HC304", freeze.site, message, help_, expectation, model.ref.address)
        else:
            whole = "" if execution.frozen(event.new) else "the weight of "
            message = (
                f"this freezes {whole}the new head `{dotted(path)}` of {built(execution, model)} as well: "
                f"it was put in before ({execution.where(event.site)})"
            )
            help_ = f"freeze first, then replace; or thaw it: {within(name, path.split('.')[0])}.requires_grad_(True)"
            yield Report("HC301", freeze.site, message, help_, expectation, model.ref.address, order=True)


@check("HC301")
def frozen_new_layer(execution: Execution) -> Iterator[Report]:
    """A convolution that was put into a pretrained model, for pictures of other channels, and frozen with the rest of
    it: what reaches all layers after it is random."""
    seen: set[int] = set()
    for model, event in new_convolutions(execution):
        if model.built.weights in (None, False) or not execution.frozen(event.new):
            continue
        if not execution.meant_to_learn(model):
            continue
        freezes = [f for f in execution.of(events.Flagged) if not f.value and execution.covers(f, event.new)]
        if not freezes or execution.order(freezes[-1]) < execution.order(event) or id(freezes[-1].site) in seen:
            continue
        if execution.flags_unseen(True, event.new) or is_given_numbers(execution, event):
            continue
        if has_learned(execution, model, event, freezes[-1]):
            continue
        if is_frozen_on_purpose(execution, model, event.new, freezes[-1]):
            continue
        seen.add(id(freezes[-1].site))
        place = execution.place(event.new.address)
        path = place[1] if place is not None else event.name
        where = f"`{dotted(path)}` of {built(execution, model)} as well ({execution.where(event.site)})"
        message = f"this freezes the new {where}: it stays as random as it was made, and all that follows reads it"
        help_ = (
            f"freeze first, then replace; or thaw it: {within(execution.name_of(model.ref), path)}.requires_grad_(True)"
        )
        expectation = Expectation("frozen", (f"{path}.weight",))
        yield Report("HC301", freezes[-1].site, message, help_, expectation, model.ref.address, order=True)


def new_convolutions(execution: Execution) -> Iterator[tuple[Model, events.ChildSet]]:
    """The convolutions that stand in the place of one of the library's."""
    for event in execution.of(events.ChildSet):
        place = execution.place(event.owner) if execution.is_new(event.new) else None
        if place is None or not execution.kind(event.new).startswith("torch.nn.Conv"):
            continue
        path = f"{place[1]}.{event.name}" if place[1] else event.name
        original = execution.original(place[0], path)
        if original is None or not original.kind.startswith("torch.nn.Conv"):
            continue
        if execution.part(place[0], path) == event.new and all(h.path != path for h in place[0].entry.places):
            yield place[0], event


def is_given_numbers(execution: Execution, event: events.ChildSet) -> bool:
    """Whether a new layer has other numbers than those it was made with: copied, loaded, set, or made by other code."""
    later, below = execution.history[execution.order(event) :], execution.parts_of(event.new)
    if any(type(e) is events.Escaped and e.module in below | execution.holders(event.new.address) for e in later):
        return True
    fields = (e for e in execution.of(events.FieldSet) if e.owner in below)
    return execution.rewritten(event.new) or any(e.name in ("weight", "bias") for e in fields)


@check("HC302")
def nothing_trainable(execution: Execution) -> Iterator[Report]:
    """An optimizer over parameters none of which requires a gradient."""
    if execution.flags_unseen(True) or any(flag.value for flag in execution.of(events.Flagged)):
        return
    for event, optimizer in execution.optimizers():
        if not optimizer.complete:
            yield from nothing_of_wholes(execution, event)
            continue
        flags = [execution.trainable(parameter) for parameter in optimizer.parameters]
        if any(flag is not False for flag in flags) or list(frozen_new_heads(execution)):
            continue
        freezes = execution.freezes_of([*optimizer.parameters])
        if freezes and learned_before_frozen(execution, event, freezes[-1]):
            continue
        if freezes and execution.invented and handed_over_before(execution, optimizer.parameters, freezes[-1]):
            continue
        owners = [execution.root_of(parameter) for parameter in optimizer.parameters]
        model = next((owner for owner in owners if owner is not None), None)
        if not flags:
            model = next((m for m in execution.models if execution.frozen(m.ref)), None)
            if model is None and not event.groups and len(execution.models) == 1:
                model = execution.models[0]  # an empty list is refused whatever was meant
            if model is None:
                continue
        if model is not None and execution.escaped_before(model.ref.address, event):
            continue
        if flags and any(o is model and not execution.frozen(change.new) for o, _, change in execution.new_heads()):
            continue  # HC402's
        where = f" of {built(execution, model)}" if model else ""
        message = (
            f"the optimizer gets no trainable parameter{where}: "
            f"{f'all {len(flags)} are frozen' if flags else 'its list is empty'}"
        )
        help_ = "put a new head in after the freeze, or thaw the part that should learn"
        address = model.ref.address if model else None
        yield Report("HC302", event.site, message, help_, Expectation("raises", at=LEARNING), address, order=True)


def learned_before_frozen(execution: Execution, event: events.Optimized, freeze: events.Flagged) -> bool:
    """Whether what an optimizer holds was frozen when it had learned. A trainer has asked for its optimizer before it
    trained, which is read last."""
    return execution.learned_between(execution.history[0] if execution.invented else event, freeze)


def handed_over_before(execution: Execution, parameters: Iterable[Parameter], freeze: events.Flagged) -> bool:
    """Whether code that is not read, a trainer with callbacks say, was given what holds some parameters before they
    were frozen: it has asked for its optimizer then, which is read last."""
    owners = {parameter.owner.address for parameter in parameters if type(parameter.owner) is Ref}
    return any(execution.escaped_before(owner, freeze) for owner in owners)


def nothing_of_wholes(execution: Execution, event: events.Optimized) -> Iterator[Report]:
    """The same where an optimizer gets whole models of which not every parameter is known."""
    owners = [owner for owners, _ in event.wholes for owner in owners]
    model = next((m for m in execution.models if m.ref.address in owners), None)
    added = any(group.optimizer == event.optimizer for group in execution.of(events.GroupAdded))
    if model is None or added or not all(execution.frozen(Ref(owner)) for owner in owners):
        return
    if execution.escaped_before(model.ref.address, event) or list(frozen_new_heads(execution)):
        return
    freeze = execution.last_freeze(model)
    if freeze is not None and learned_before_frozen(execution, event, freeze):
        return
    message = f"the optimizer gets no trainable parameter of {built(execution, model)}: all of them are frozen"
    help_ = "leave the head out of the freeze, or thaw the part that should learn"
    yield Report("HC302", event.site, message, help_, Expectation("raises", at=LEARNING), model.ref.address, order=True)


LEARNING: tuple[Stage, ...] = ("step", "backward")
SET = ("requires_grad",)
READ = ("requires_grad", "requires_grad_")


def is_misspelt(name: str, names: tuple[str, ...] = SET) -> bool:
    """Whether a name was meant to be one of `names`, those of the flag that can be set (or read)."""
    return name not in names and is_like_the_flag(name)


@cache
def is_like_the_flag(name: str) -> bool:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, name.replace("_", "").lower(), "requiresgrad").ratio() > 0.82


@check("HC303")
def freeze_without_effect(execution: Execution) -> Iterator[Report]:
    """A line that was meant to freeze or thaw, and does nothing (or raises)."""
    for event in execution.of(events.FlagMissed):
        handler = MISSES.get(event.receiver)
        if handler is not None:
            yield from handler(execution, event)
    for event in execution.of(events.FieldSet):
        if is_misspelt(event.name) and isinstance(event.value, bool):
            on = f"call requires_grad_({event.value})"  # the flag's right name does no more on a module
            yield misspelt(execution, event.site, event.name, "a module", on)


Place = tuple[Address, str]  # of a parameter: the module that owns it, and its name there


@check("HC303")
def flag_of_another(execution: Execution) -> Iterator[Report]:
    """Modules and parameters side by side, and the kind of the module decides of the flag: it is that of a parameter of
    another, for most modules have two or none. ``zip(model.modules(), model.parameters())``."""
    for event in execution.of(events.Paired):
        beside = {execution.settled(parameter): module for module, parameter in event.pairs}
        flags: dict[int, dict[Place, events.Flagged]] = {}
        for flag in execution.of(events.Flagged):
            place = (flag.module, flag.paths[0]) if flag.paths else None
            if place in beside and execution.order(flag) > execution.order(event):
                flags.setdefault(id(flag.site), {})[place] = flag
        for found in flags.values():
            picked = {beside[place] for place in found}
            kinds = {module.kind for module in map(execution.module, map(Ref, picked)) if module is not None}
            left = {module.kind for module in map(execution.module, map(Ref, {*beside.values()} - picked)) if module}
            astray = [place for place in found if place[0] not in execution.parts_of(Ref(beside[place]))]
            if len(found) > 1 and kinds and kinds.isdisjoint(left) and 2 * len(astray) > len(found):
                yield from flagged_astray(execution, next(iter(found.values())), astray, beside)


def flagged_astray(
    execution: Execution, flag: events.Flagged, astray: list[Place], beside: dict[Place, Address]
) -> Iterator[Report]:
    """If it shows at the end: a parameter has the flag that was meant for one which has not."""
    set_ = [p for place in astray if execution.trainable(p := Parameter(Ref(place[0]), place[1])) is flag.value]
    meant = [p for module in {beside[place]: 0 for place in astray} for _, p in execution.parameters(Ref(module)).items]
    left = next((p for p in meant if execution.trainable(p) is not flag.value), None)
    model = execution.root_of(set_[0]) if set_ else None
    if left is None or model is None:
        return
    other, name = execution.path_of(model, set_[0]), execution.path_of(model, left)
    if other is None or name is None:
        return
    expectation = Expectation("frozen" if flag.value else "trainable", (name,))
    message = (
        f"zip puts each module of {built(execution, model)} beside a parameter that is not its own: "
        f"this {'unfreezes' if flag.value else 'freezes'} `{other}`, and `{name}` stays {expectation.kind}"
    )
    help_ = "go over the modules alone, and over the parameters() of each that is meant"
    yield Report("HC303", flag.site, message, help_, expectation, model.ref.address)


def owner_address(execution: Execution, owner: Value) -> Ref | None:
    place = execution.was_at(owner.address) if type(owner) is Ref and execution.module(owner) else None
    return place[0].ref if place else None


def flag_on_module(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    module = execution.module(event.owner)
    if not isinstance(event.value, bool) or is_a_setting(execution, module, event):
        return
    place = execution.was_at(event.owner.address)
    whole = place is None or not place[1]  # a part of this model may be a parameter of another
    what = f"`{dotted(place[1])}` of {built(execution, place[0])}" if place and place[1] else ""
    guessed = any(guess.is_open for guess in execution.guesses)
    what = what or (built(execution, place[0]) if place and not guessed else "this module")
    verb = "unfreeze" if event.value else "freeze"
    listing = execution.parameters(event.owner)
    if listing.complete and not listing.items:  # it holds nothing that could learn
        return
    learns = listing.complete and all(execution.trainable(p) for _, p in listing.items)
    message = f"`requires_grad` set on a module does nothing: the parameters of {what} are not changed"
    severity = "info" if event.value and learns else None
    names = tuple(f"{place[1]}.{n}" if place and place[1] else n for n, _ in listing.items[:1]) if place else ()
    shows = names and severity is None  # a remark is on what is as it is meant to be anyway
    expectation = Expectation("frozen" if event.value else "trainable", names) if shows else Expectation()
    address = place[0].ref.address if place else None
    help_ = f"call requires_grad_({event.value}) to {verb} it"
    yield Report("HC303", event.site, message, help_, expectation, address, severity, of_any=whole)  # type: ignore[arg-type]


def is_a_setting(execution: Execution, module: Module | None, event: events.FlagMissed) -> bool:
    """Whether a network of the script keeps a flag for itself: its methods set it on the object, and ask for it."""
    cls = module.cls if module is not None else None
    return cls is not None and execution.inside(cls, event.site) and asks_itself(execution, cls, event.name)


def flag_on_unknown(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    """One of the modules of a Sequential or a list, whichever it is."""
    key = event.owner.key if type(event.owner) is Symbol and not event.path else None
    if not isinstance(key, tuple) or key[0] != "item" or not isinstance(event.value, bool) or event.name != SET[0]:
        return
    held = execution.module(key[1]) if type(key[1]) is Ref else None
    if held is None or not is_sequential(held) or not execution.parameters(key[1]).items:
        return
    place = execution.was_at(key[1].address)
    whose = f"`{dotted(place[1])}` of {built(execution, place[0])}" if place and place[1] else "the list"
    message = f"`requires_grad` set on a module does nothing: no parameter of {whose} is changed"
    help_ = f"call requires_grad_({event.value}) to {'unfreeze' if event.value else 'freeze'} it"
    learns = event.value and all(execution.trainable(p) for _, p in execution.parameters(key[1]).items)
    yield Report("HC303", event.site, message, help_, severity="info" if learns else None, of_any=True)


def flag_on_parameter(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    if is_misspelt(event.name):
        yield misspelt(execution, event.site, event.name, "a parameter", "requires_grad", event)


def flag_read(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    if is_misspelt(event.name, READ):
        message = f"a parameter has no `{event.name}`: its flag is `requires_grad`"
        yield Report("HC303", event.site, message, "requires_grad", Expectation())


def misspelt(
    execution: Execution, site: object, name: str, what: str, help_: str, event: events.FlagMissed | None = None
) -> Report:
    message = f"`{name}` is not `requires_grad`: setting it on {what} freezes and unfreezes nothing"
    model = execution.root_of(Parameter(event.owner, event.path)) if event and type(event.owner) is Ref else None
    expectation = Expectation()
    if model is not None and event is not None and event.value is False:
        parameter = Parameter(event.owner, event.path)
        if event.path == "*":  # each of them in turn: the first stands for all
            parameter = next((p for _, p in execution.parameters(event.owner).items), parameter)
        path = execution.path_of(model, parameter)
        expectation = Expectation("trainable", (path,)) if path else Expectation()
    return Report("HC303", site, message, help_, expectation, model.ref.address if model else None)


def flag_on_data(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    message = "`requires_grad` set on `.data`, which is a new tensor each time, does not reach the parameter"
    yield Report("HC303", event.site, message, f"parameter.requires_grad = {event.value}")


def flag_on_call(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    call = "parameters()" if type(event.owner) is Parameters and not event.owner.named else "named_parameters()"
    message = f"`requires_grad` set on the result of `{call}` does not reach the parameters"
    yield Report("HC303", event.site, message, "for parameter in model.parameters(): parameter.requires_grad = False")


def flag_on_uncalled(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    name = event.name if event.name != "requires_grad" else "parameters"
    message = f"`{name}` is not called here: it is a method, not the parameters"
    yield Report("HC303", event.site, message, f"write {name}()")


def flag_compared(execution: Execution, event: events.FlagMissed) -> Iterator[Report]:
    message = "`requires_grad ==` compares and changes nothing"
    yield Report("HC303", event.site, message, "assign with a single =")


MISSES = {
    "module": flag_on_module,
    "parameter": flag_on_parameter,
    "data": flag_on_data,
    "call": flag_on_call,
    "uncalled": flag_on_uncalled,
    "comparison": flag_compared,
    "read": flag_read,
    "unknown": flag_on_unknown,
}
