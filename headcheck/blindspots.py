"""Head replacements: how many a file holds, how many could be judged, and why the others could not.

A head replacement is a new module that may be a head (it holds a layer that gives so many outputs, see `is_head`) and
is put into a library model, into a network of the script in the place of a part that it had, or into something that is
not known: the unknown may be a model, so all of that counts, whatever its name. A head that is only taken out
(``Identity``) is not counted, nor is an entry of a dict, nor what goes into a container that the script made or into a
stand-in of `unittest.mock`, nor what a class of the script puts into its own objects: it builds them.
A replacement is resolved when on some execution the structure of the model it is put into is known. Of the others,
those are told apart that read their size from the very layer that they replace: no model can make that size wrong.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from headcheck import events
from headcheck.execution import Execution
from headcheck.interpreter.heap import Dictionary, Instance, Module
from headcheck.interpreter.leaving import Sites
from headcheck.interpreter.modules import ROOT
from headcheck.interpreter.shapes import SIZED
from headcheck.interpreter.values import Choice, Library, Method, Ref, Symbol, Value, label
from headcheck.ir import SetItem
from headcheck.ir.facts import after_an_end, defined_anew
from headcheck.records import NamedTuple
from headcheck.semantics import layers

#: Why a model is not known: the short name of each reason, and how `--statistics` says it.
REASONS = {
    "name": "chosen by a name that is not known",
    "argument": "handed to a function that nothing here calls",
    "function": "made by code that is not followed",
    "module": "from a module that could not be read",
    "library": "from a library the catalog does not have",
    "builder": "built in a way the catalog has no facts on",
    "attribute": "kept where nothing here puts it",
    "limit": "lost to a limit",
    "unreached": "on no path that was followed",
    "value": "of a value that is not followed",
}
READ = "read"  # why a model is not known does not count where the size is read from the layer that is replaced
# A convolution is as often a stem as a head; under these names it is a head.
HEAD_NAMES = frozenset(["aux_classifier", "classifier", "cls_logits", "fc", "head", "heads", "last_linear"])


class Reason(NamedTuple):
    """Why a model is not known: a key of `REASONS` or `READ`, and what it was here in words."""

    kind: str
    words: str


class Replacement(NamedTuple):
    """A new head at an operation. `owner` is what it was put into, `reason` why that is not known (None: it is)."""

    site: Any
    owner: str
    name: str
    reason: Reason | None


def survey(executions: Sequence[Execution]) -> list[Replacement]:
    """Every head replacement of a file once, in no order: resolved if some execution resolves it."""
    found: dict[int, Replacement] = {}
    known: set[int] = set()
    for execution in executions:
        for replacement in replacements(execution, known):
            before = found.get(id(replacement.site))
            if replacement.reason is None or before is None or (before.reason and before.reason.kind == READ):
                found[id(replacement.site)] = replacement
            if replacement.reason is None:
                known.add(id(replacement.site))
    if len(known) < len(found):
        placed = ((execution, event) for execution in executions for event in execution.of(events.ChildSet))
        elsewhere = {id(e.site) for execution, e in placed if id(e.site) in found and is_known(execution, e)}
        for site in elsewhere:
            found[site] = found[site]._replace(reason=None)
    for replacement in unreached(executions):
        found.setdefault(id(replacement.site), replacement)
    return list(found.values())


def is_known(execution: Execution, event: events.ChildSet) -> bool:
    """Whether all is known of what a module was put into, be it part of a model or not."""
    owner = execution.module(Ref(event.owner))
    return owner is not None and owner.known and type(event.old) is Ref


PLACING = frozenset([events.ChildSet, events.Unresolved])


def replacements(execution: Execution, known: Container[int] = ()) -> Iterator[Replacement]:
    """The new heads of one execution, those that were overwritten since among them; of an operation that is `known`
    (by id) there is no more to say."""
    for event in execution.history:
        if type(event) not in PLACING or id(event.site) in known:
            continue
        if (
            type(event) is events.Unresolved
            and not is_stand_in(event.of)
            and not is_entry(execution, event)
            and is_head(execution, event.name, event.new, place_of(event.of))
        ):
            reason = or_read(execution, event, event.of, why(execution, event.of))
            yield Replacement(event.site, event.owner, text_of(event.name), reason)
        elif type(event) is events.ChildSet and event.how != "rearranged":
            yield from put_in(execution, event)


def is_entry(execution: Execution, event: events.Unresolved) -> bool:
    """Whether something goes into what can only be a dict: a stack of layers is indexed by numbers."""
    if type(event.site) is not SetItem:
        return False
    if not is_text(event.name) and id(event.site) not in execution.facts.text_keys:
        return False
    key: Any = event.of.key if type(event.of) is Symbol else ()
    return not (isinstance(key, tuple) and key[-1:] == ("_modules",))


def is_stand_in(value: Value) -> bool:
    """Whether an unknown is what `unittest.mock` puts in the place of another thing, or was got from that."""
    kind, *parts = key_of(value)
    while kind in ("attribute", "item", "call"):
        kind, *parts = key_of(parts[0])
    return bool(kind == "stand-in")


def is_text(value: Value) -> bool:
    """Whether a value can only be a text, known or not."""
    kind, *parts = key_of(value)
    if kind == "binary":
        return parts[0] == "Add" and any(is_text(part) for part in parts[1:])
    return kind == "format" or isinstance(value, str)


def put_in(execution: Execution, event: events.ChildSet) -> Iterator[Replacement]:
    """A new head that was put into a module: of a library model, of a network of the script, or of what is neither."""
    model = execution.owner_of(event.owner)
    owner = execution.module(Ref(event.owner))
    if model is None and owner is not None and owner.cls is not None and type(event.old) is not Ref:
        return
    place = execution.place(event.owner)
    within = words_of(place[1].split(".")) if place is not None else ""
    if not execution.is_new(event.new) or not is_head(execution, event.name, event.new, within):
        return
    if model is not None:
        yield Replacement(event.site, model.entry.builder, event.name, None)
    elif owner is not None and owner.cls is not None:
        if execution.inside(owner.cls, event.site):
            return
        reason = None if owner.known else Reason("builder", f"{owner.cls.name} is more than what stands here")
        yield Replacement(event.site, owner.cls.name, event.name, reason)
    elif owner is not None and owner.cls is None and not owner.kind.startswith(("torch.nn.", "torch.jit.")):
        reason = or_read(execution, event, Ref(event.owner), why_module(execution, owner))
        yield Replacement(event.site, owner.kind.rsplit(".", 1)[-1], event.name, reason)


def or_read(execution: Execution, event: events.ChildSet | events.Unresolved, of: Value, reason: Reason) -> Reason:
    """The reason, `READ` where the first layer of a new head takes as many features as the layer it replaces, which is
    asked itself: ``of.fc = nn.Linear(of.fc.in_features, 10)``."""
    first = execution.module(first_sized(execution, event.new))
    for name in ("in_features", "in_channels"):
        kind, *parts = key_of(first.arguments.get(name) if first is not None else None)
        if kind == "attribute" and parts[1] == name and is_at(parts[0], of, event.name):
            return Reason(READ, f"{reason.words}, but its size is read from the layer it replaces")
    return reason


def is_at(old: Value, of: Value, name: Value) -> bool:
    """Whether an unknown is what sits at a place: it was read there, or came as a pair with the name of the place."""
    found, place = key_of(old), key_of(name)
    paired = place[0] == "item" and place[2] == 0 and found == ("item", place[1], 1)
    return paired or found in (("attribute", of, name), ("item", of, name))


def key_of(value: Value) -> tuple[Any, ...]:
    """What an unknown is made of, a word for how first."""
    return value.key if type(value) is Symbol and isinstance(value.key, tuple) else ("",)


def first_sized(execution: Execution, new: Value) -> Value:
    """The first layer of a new head that has a size, past those that answer what they are given."""
    children = execution.children(new) if execution.kind(new) == "torch.nn.Sequential" else None
    for _, child in children or ():
        if type(child) is not Ref or layers.RULES.get(execution.kind(child)) is not layers.same:
            return first_sized(execution, child)
    return new


def text_of(name: Any) -> str:
    """The name or index a head goes under, as the script says it."""
    return str(name) if isinstance(name, (str, int)) else label(name)


def is_head(execution: Execution, name: Any, new: Value, within: str = "") -> bool:
    """Whether a new module may be a head: it holds a layer that gives so many outputs, or layers that are not known.
    `within` is what the container is called that it is put into under a number, "" if that is not known."""
    module = execution.module(new)
    if module is not None and not module.known and str(name) in HEAD_NAMES:
        return True
    kinds = execution.kinds_in(new)
    if any("Linear" in kind or kind.endswith("Predictor") for kind in kinds):
        return True
    called = within if str(name).isdigit() else str(name)
    return bool(kinds & SIZED) and (not called or called in HEAD_NAMES)


def place_of(value: Value) -> str:
    """The attribute that an unknown was read from, be it an item of it: ``features`` of ``m.features[0]``."""
    kind, *parts = key_of(value)
    while kind == "item":
        kind, *parts = key_of(parts[0])
    return str(parts[1]) if kind == "attribute" else ""


def words_of(path: Sequence[str]) -> str:
    """The last name of a path that is no number: ``features`` of ``features.0.1``."""
    return next((part for part in reversed(path) if not part.isdigit()), "")


def unreached(executions: Sequence[Execution]) -> Iterator[Replacement]:
    """What looks like a new head and is on no path that was followed, unless a path failed on the way to it, or no path
    can come there."""
    if not executions or any(execution.state.ended == "raise" and stopped(execution) for execution in executions):
        return
    machines = {id(execution.machine): execution.machine for execution in executions}.values()
    reached = frozenset().union(*(machine.reached for machine in machines))
    told = frozenset().union(*(machine.told for machine in machines))
    cut = any(execution.state.cut for execution in executions)
    kept = Sites(execution.state for execution in executions).found if cut else told
    facts = executions[0].facts
    missed = [
        (operation, name)
        for operation, name in facts.head_sites
        if not (id(operation) in reached and (id(operation) in kept or id(operation) not in told))
        and id(operation) not in facts.text_keys
    ]
    body = executions[0].machine.body
    never = after_an_end(body) | defined_anew(body) if missed else frozenset()
    never = never.union(*(machine.refused for machine in machines)) if not cut else never
    for operation, name in missed:
        if id(operation) not in never:
            words = "reading stopped before" if cut else "no path that headcheck followed comes here"
            yield Replacement(operation, "", name, Reason("limit" if cut else "unreached", words))


def stopped(execution: Execution) -> bool:
    """Whether a path fails for sure on something that is reported."""
    return any(True for _ in execution.of(events.Missing, events.UnknownName))


# -- reasons ---------------------------------------------------------------------------------------------------------


def why(execution: Execution, value: Value) -> Reason:
    """Why a value is not known to be a model: where it comes from, as far back as that can be told."""
    called = False
    for _ in range(40):
        if type(value) is Symbol:
            kind, *parts = value.key if isinstance(value.key, tuple) else (value.key,)
            step = STEPS.get(kind)
            if step is None:
                return Reason("value", f"`{value.label}` is not followed")
            called = called or kind in ("call", "call at")
            result = step(execution, value.label, parts, called)
            if type(result) is Reason:
                return result
            value = result
        elif type(value) is Method:
            value = value.receiver
        else:
            return why_object(execution, value, called)
    return Reason("value", "it is not followed")


def why_object(execution: Execution, value: Value, called: bool) -> Reason:
    """The reason where the chain of unknowns ends at something that is known."""
    if isinstance(value, str) and called:
        return why_library(value)
    if type(value) is Library:
        return why_library(value.name)
    if type(value) is Choice:
        return Reason("name", f"it is chosen by `{label(value.key)}`, which is not known")
    thing = execution.state.object(value)
    if type(thing) is Module:
        return why_module(execution, thing)
    if type(thing) is Instance:
        return Reason("attribute", "nothing here puts a model there")
    return Reason("value", "it is not followed")


def why_module(execution: Execution, thing: Module) -> Reason:
    if thing.kind.endswith(".?"):
        return Reason("name", "the name of its builder is not known")
    if thing.build is not None or thing.cls is None:
        name = (thing.build.builder if thing.build is not None else thing.kind).rsplit(".", 1)[-1]
        return Reason("builder", f"the catalog has no facts on this {name}")
    return Reason("attribute", f"nothing here puts a model there in {thing.cls.name}")


PLAIN_LIBRARIES = frozenset(["builtins", "torch", "copy", "functools", "importlib", "json", "pickle", "joblib", "yaml"])


def why_library(name: str) -> Reason:
    top = name.split(".", 1)[0]
    if top in PLAIN_LIBRARIES:
        return Reason("function", f"it comes from `{name.removeprefix('builtins.')}(…)`")
    return Reason("library", f"the catalog does not have {name}")


# Each step is given the words for an unknown, the parts it is made of, and whether it is called further on. It answers
# the value that this one comes from, or the reason.


def _of(execution: Execution, words: str, parts: list[Any], called: bool) -> Value:
    return parts[0]


def _called_at(execution: Execution, words: str, parts: list[Any], called: bool) -> Value:
    return parts[1]


def _item(execution: Execution, words: str, parts: list[Any], called: bool) -> Value | Reason:
    of, index = parts
    thing = execution.state.object(of)
    if type(thing) is Dictionary and type(index) is Symbol:
        return Reason("name", f"it is chosen by `{index.label}`, which is not known")
    return Reason("value", f"`{words}` is not followed") if thing is not None else of


def _function(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    return Reason("function", f"`{words}` is not followed")


def _global(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    return Reason("function" if called else "value", f"`{words}` is not defined here")


def _module(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    module, level, name, importer = (*parts, 0, "", ROOT)[:4] if len(parts) < 3 else (*parts, ROOT)[:4]
    full = "." * level + module + (f".{name}" if name else "")
    if level == 0 and not execution.machine.project.is_local(module, level, importer):
        return Reason("library", f"the catalog does not have {full}")
    return Reason("module", f"`{full}` could not be read")


def _argument(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    return Reason("argument", f"`{words}` is an argument of a function that nothing here calls")


def _saved(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    return Reason("value", f"`{words}` is what a checkpoint was saved with")


def _merged(execution: Execution, words: str, parts: list[Any], called: bool) -> Reason:
    return Reason("value", f"`{words}` is one thing on one path and another on another")


STEPS: dict[Any, Any] = {
    **dict.fromkeys(("attribute", "element", "slice", "output", "unary"), _of),
    "item": _item,
    "call": _of,
    "call at": _called_at,
    "function": _function,
    "global": _global,
    "closure": _global,
    "module": _module,
    "parameter": _argument,
    "saved": _saved,
    "merged": _merged,
    "looped": _merged,
}
