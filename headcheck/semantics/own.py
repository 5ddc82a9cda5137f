"""Builders that a catalog of the project, or of an installed package, knows; and other names of library builders."""

from __future__ import annotations

from headcheck import events
from headcheck.catalog.entry import REQUIRED
from headcheck.catalog.known import Found
from headcheck.interpreter.heap import Build, Module
from headcheck.interpreter.values import Ref, Value, is_plain
from headcheck.ir import UNKNOWN
from headcheck.semantics import registry
from headcheck.semantics.registry import CallSite
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque


def build(call: CallSite, found: Found | str) -> Value:
    """What calling a builder that is not a library's makes."""
    if isinstance(found, str):
        effect = registry.find_effect(found)
        return effect(call._replace(name=found)) if effect is not None else opaque(call)
    call = call._replace(name=found.builder.name)
    counts = counts_of(call, found)
    if counts is None:
        return opaque(call)
    numbers = {name: value if type(value) is int else UNKNOWN_CLASSES for name, value in counts.items()}
    entry = found.catalog.entry(found.builder, numbers)
    made = Module(
        entry.root.kind,
        call.site,
        node=entry.root,
        build=Build(found.builder.name, counts, UNKNOWN, entry),
        training=found.builder.training,
    )
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    if found.builder.frozen:  # some of it, and it is not said which
        call.state.log(events.FlagMissed(call.site, "unknown", ref, "requires_grad", None))
        call.state.log(events.Escaped(call.site, ref.address, found.builder.target, own=True))
    return ref


def counts_of(call: CallSite, found: Found) -> dict[str, Value] | None:
    """The counts that a call gives; None where another argument may change what is built."""
    builder = found.builder
    if "**" in call.keywords or len(call.arguments) > len(builder.parameters):
        return None
    given = {**dict(zip(builder.parameters, call.arguments, strict=False)), **call.keywords}
    counts = {name: value for name, value in given.items() if name in builder.counts}
    inert = {name for name, value in given.items() if name in builder.weights or is_default(found, name, value)}
    unset = [name for name in builder.offline if name not in given and builder.parameters[name] is not REQUIRED]
    fetching = [n for n in unset if n not in builder.weights and builder.parameters[n] not in (None, False)]
    none = {name for name in builder.offline if name in given and given[name] in (None, False)}
    return None if given.keys() - counts.keys() - inert - none or fetching else counts


def is_default(found: Found, name: str, value: Value) -> bool:
    """Whether an argument is what the builder was traced with anyway."""
    default = found.builder.parameters.get(name, REQUIRED)
    if name in found.builder.offline or default == REQUIRED or not is_plain(value):
        return False
    return type(value) is type(default) and value == default
