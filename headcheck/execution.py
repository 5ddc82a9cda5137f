"""An execution: one path a script can take, and the questions that checks ask of it. One question per method, and no
rule's wording in any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from headcheck import events
from headcheck.catalog.entry import Entry, Node, Shape
from headcheck.interpreter import access, forward, heap, parts, shapes
from headcheck.interpreter.heap import Module, Optimizer
from headcheck.interpreter.parts import Part
from headcheck.interpreter.shapes import SIZED as SIZED
from headcheck.interpreter.shapes import Flow as Flow
from headcheck.interpreter.shapes import Placed as Placed
from headcheck.interpreter.state import Frame, State, events_of, frames_of
from headcheck.interpreter.values import Address, Class, Parameter, Ref, Symbol, Tensor, Tuple, Value
from headcheck.ir import UNKNOWN, Call, Define, DefineClass, GetItem, walk, walk_here
from headcheck.ir.facts import used_attributes
from headcheck.ir.scopes import variables
from headcheck.semantics import gradients, layers

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


class FileFacts:
    """What the whole file (and project) says, whatever path is taken. A fact is looked up when it is first asked for.

    `assigned_attributes` are set somewhere, and by which operations; `used_attributes` are read for more than their
    sizes or parameters; `line` gives the line of an operation, and `where` the same in words
    (`headcheck.positions.Positions.where`); `head_sites` look like new heads being put in, each with the name it goes
    under; `in_cells`: the file is a notebook.
    """

    def __init__(
        self,
        assigned_attributes: Callable[[], Mapping[str, frozenset[int]]],
        used_attributes: Callable[[], frozenset[str]],
        head_sites: Callable[[], Sequence[tuple[Any, str]]],
        line: Callable[[Any], int],
        where: Callable[[Any], str],
        in_cells: bool = False,
    ) -> None:
        self._assigned_attributes = assigned_attributes
        self._used_attributes = used_attributes
        self._head_sites = head_sites
        self.line = line
        self.where = where
        self.in_cells = in_cells

    @cached_property
    def assigned_attributes(self) -> Mapping[str, frozenset[int]]:
        return self._assigned_attributes()

    @cached_property
    def used_attributes(self) -> frozenset[str]:
        return self._used_attributes()

    @cached_property
    def head_sites(self) -> Sequence[tuple[Any, str]]:
        return self._head_sites()


class Model(NamedTuple):
    """A library model of an execution."""

    ref: Ref
    module: Module
    entry: Entry
    built: events.Built


class OwnHead(NamedTuple):
    """A part of one of the script's networks that the script itself made, and the name under which the network has it;
    `hidden`: in a list, a tuple or a dict, where `parameters()` does not look."""

    network: Ref
    name: str
    part: Ref
    hidden: bool


class Norm(NamedTuple):
    """A BatchNorm layer of a model: where it sits, whether its weight is frozen, and whether it was called in train
    mode."""

    path: str
    frozen: bool
    trained: bool


class Execution:
    """The end of a path, read-only.

    `apart_elsewhere` are the builder calls whose models another execution of the file takes apart; `family` are all
    executions of the file.
    """

    def __init__(self, state: State, facts: FileFacts, machine: Machine, defaults: bool) -> None:
        self.state = state
        self.facts = facts
        self.machine = machine
        self.defaults = defaults
        # What is raised in a notebook ends its cell: nobody knows if the user goes on with the next.
        self.stopped = facts.in_cells and bool(state.ended)
        self.cut = state.cut or self.stopped
        self.skipped = state.skipped
        self.unfinished = state.ended == "limit"  # its end is not that of the path
        # Nothing happened in the function that was entered last: there is no more to say than of the path before.
        self.idle = state.events is not None and type(state.events[0]) is events.Entered and not state.ended
        self.doubtful = state.doubtful
        self.conditions = state.conditions
        self.guesses = state.guesses
        self.apart_elsewhere: frozenset[int] = frozenset()
        self.family: Sequence[Execution] = (self,)

    # -- events ------------------------------------------------------------------------------------------------------

    @cached_property
    def history(self) -> list[events.Event]:
        """Everything that happened, oldest first."""
        return events_of(self.state)

    def of(self, *kinds: Any) -> Iterator[Any]:
        """The events of some kinds, oldest first."""
        if len(kinds) == 1:
            return (event for _, event in self._by_kind.get(kinds[0], ()))
        return (event for _, event in sorted(pair for kind in kinds for pair in self._by_kind.get(kind, ())))

    @cached_property
    def _by_kind(self) -> dict[Any, list[tuple[int, events.Event]]]:
        """The events of each kind, oldest first, each with its place in time."""
        found: dict[Any, list[tuple[int, events.Event]]] = {}
        for place, event in enumerate(self.history):
            found.setdefault(type(event), []).append((place, event))
        return found

    @cached_property
    def _order(self) -> dict[int, int]:
        # An event that was taken over from another path may be there twice.
        return {id(event): place for place, event in reversed(list(enumerate(self.history)))}

    def order(self, event: events.Event) -> int:
        """The place of an event in time."""
        return self._order[id(event)]

    @cached_property
    def frames(self) -> list[Frame]:
        """Where each event of the history happened."""
        return frames_of(self.state)

    @cached_property
    def sites(self) -> frozenset[int]:
        """The operations that left an event, and the calls and imports on the way to one."""
        found = {id(event.site) for event in self.history}
        frame: Frame | None
        for frame in self.frames:
            while frame is not None and frame.call is not None and id(frame.call) not in found:
                found.add(id(frame.call))
                frame = frame.above
        return frozenset(found)

    def has_left(self, site: Any) -> bool:
        """Whether the path came back, or was about to, from each function in which it came by an operation."""
        open_: set[int] = set()
        frame: Frame | None = self.state.frame.above if self.state.raised == "return" else self.state.frame
        while frame is not None:
            open_.add(id(frame))
            frame = frame.above
        there = (frame for event, frame in zip(self.history, self.frames, strict=True) if event.site is site)
        return all(id(frame) not in open_ for frame in there)

    @cached_property
    def invented(self) -> bool:
        """Whether the path starts with a call that nothing in the script makes."""
        return any(True for _ in self.of(events.Entered))

    @property
    def files(self) -> list[str]:
        """The files of data whose contents the path took for known, as the script names them."""
        return sorted(fact[1] for fact in self.state.facts if type(fact) is tuple and fact[0] == "read file")

    @property
    def on_a_guess(self) -> bool:
        """Whether the path takes a branch on something unknown, and a builder by a name that the script leaves open."""
        guessed = {guess.condition for guess in self.guesses}
        unsure = any(guess.is_open for guess in self.guesses)
        return unsure and any(condition not in guessed for condition in self.conditions)

    def passes(self, site: Any) -> bool:
        """Whether the path came by an operation that left an event, or by a call on the way to one."""
        return id(site) in self.sites

    def way(self, site: Any, model: Address | None = None) -> list[tuple[Frame, Any]]:
        """The last event at an operation, one of a model's if there is such, and the calls that led there, each with
        the frame it stands in. Empty if there was none."""
        here = [index for index, event in enumerate(self.history) if event.site is site]
        for index in reversed(here):
            if model is not None and self._concerns(self.history[index], model):
                return steps(self.frames[index], site)
        return steps(self.frames[here[-1]], site) if here else []

    def _concerns(self, event: Any, model: Address) -> bool:
        address = getattr(event, "module", None) or getattr(event, "owner", None)
        owner = self.owner_of(address) if type(address) is tuple and address in self.state.heap else None
        return owner is not None and owner.ref.address == model

    def seen_from(self, site: Any, model: Address) -> Any:
        """The operation by which the function that knows a model (that has it built, by itself or by what it calls)
        gets to another: itself, or the call that leads there."""
        built = next((m.built.site for m in self.models if m.ref.address == model), None)
        known = {id(frame) for frame, _ in self.way(built, model)}
        return next((step for frame, step in self.way(site, model) if id(frame) in known), site)

    # -- models ------------------------------------------------------------------------------------------------------

    @cached_property
    def models(self) -> list[Model]:
        """The library models whose structure is known."""
        found: dict[Address, Model] = {}
        for event in self.of(events.Built, events.Copied):
            module = self.state.heap[event.module]
            built = event
            if type(event) is events.Copied and event.original in found:
                built = found[event.original].built
            if type(built) is events.Built and module.build is not None and module.build.entry is not None:
                found[event.module] = Model(Ref(event.module), module, module.build.entry, built)
        return list(found.values())

    def module(self, ref: Value) -> Module | None:
        thing = self.state.object(ref)
        return thing if type(thing) is Module else None

    @cached_property
    def places(self) -> dict[Address, tuple[Model, str]]:
        """Where each module of a library model sits at the end: (its model, dotted path)."""
        found: dict[Address, tuple[Model, str]] = {}
        for model in self.models:
            for path, ref in heap.subtree(self.state, model.ref):
                found.setdefault(ref.address, (model, path))
        return found

    def was_at(self, address: Address) -> tuple[Model, str] | None:
        """Where a module sits, or sat before something else took its place."""
        place = self.places.get(address)
        if place is not None:
            return place
        home = self.state.heap[address].home
        model = next((m for m in self.models if home is not None and m.ref.address == home[0]), None)
        return (model, home[1]) if model is not None and home is not None else None

    def owner_of(self, address: Address) -> Model | None:
        """The library model a module belongs, or belonged, to."""
        place = self.was_at(address)
        return place[0] if place is not None else None

    def part(self, model: Model, path: str) -> Part | None:
        """What sits at a dotted path now: something on the heap, a part of the catalog's tree, or None."""
        return parts.part_at(self.state, model.ref, path)

    def child(self, part: Part, name: str) -> Part | None:
        return parts.child_of(self.state, part, name)

    def children(self, part: Part) -> list[tuple[str, Part]] | None:
        """The children of a part in order; None if one of them is not known."""
        return parts.children_of(self.state, part)

    def kind(self, part: Part) -> str:
        """The class of a part under its public name; "" where it is not a module."""
        return parts.kind_of(self.state, part)

    def kinds_in(self, part: Part) -> frozenset[str]:
        """The classes of a part and of everything below it."""
        below = [self.kinds_in(child) for _, child in self.children(part) or ()]
        return frozenset({self.kind(part)}.union(*below))

    def field(self, part: Part, name: str) -> Any:
        """A plain attribute of a part (``in_features``)."""
        return parts.field_of(self.state, part, name)

    def is_new(self, part: Part | None) -> bool:
        """Whether the script made a module itself."""
        module = self.module(part) if type(part) is Ref else None
        return module is not None and module.node is None

    def makes_layers(self, ref: Ref) -> bool:
        """Whether the script itself made something of a part that can learn: it did more than put layers of the library
        together in another way."""
        below = (part for _, part in heap.subtree(self.state, ref) if self.is_new(part))
        return any(
            not (own := heap.list_parameters(self.state, part, own=True)).complete or own.items for part in below
        )

    def is_edited(self, part: Part) -> bool:
        """Whether a part, or anything below it, is not as the library built it."""
        return parts.is_edited(self.state, part)

    def only_its_own_forward(self, module: Module) -> bool:
        """Whether the script's class of a module says all about what its forward uses."""
        return module.known and forward.own_forward(module) is not None

    def inside(self, cls: Class, site: Any) -> bool:
        """Whether an operation stands in the body of a class, or of one that it inherits from."""
        define = self.machine.definitions.get(cls.code)
        if isinstance(define, DefineClass) and any(operation is site for operation in walk(define.body)):
            return True
        return any(self.inside(base, site) for base in cls.bases if type(base) is Class)

    def owner_of_value(self, value: Value) -> Model | None:
        """The library model that a value is, or is a part of."""
        return self.owner_of(value.address) if self.module(value) is not None else None

    # -- forward -----------------------------------------------------------------------------------------------------

    @cached_property
    def taken_apart(self) -> frozenset[Address]:
        """The models some of whose parts are called, or live in another module, on their own."""
        found = set()
        for event in self.of(events.Called):
            place = self.was_at(event.module)
            if place is not None and (place[1] or event.method):
                found.add(place[0].ref.address)
        called = {event.module for event in self.of(events.Called, events.Escaped)}
        sets = self.of(events.ChildSet)
        put_in = {e.new.address for e in sets if type(e.new) is Ref and self.was_at(e.owner) is not None}
        modules = [thing for thing in self.state.heap.values() if type(thing) is Module]
        held = {value.address for thing in modules for value in thing.children.values() if type(value) is Ref}
        for address, thing in self.state.heap.items():
            if type(thing) is not Module or thing.node is not None or address in self.places:
                continue
            if address in put_in or thing.home is not None:  # it was in a model before something took its place
                continue
            if type(thing.site) is GetItem and address not in called | held:
                continue  # a slice of a stack, for a list of its layers only
            for value in thing.children.values():
                place = self.was_at(value.address) if type(value) is Ref and self.module(value) else None
                if place is not None and place[1]:
                    found.add(place[0].ref.address)
        return frozenset(found)

    def forward_is_the_librarys(self, model: Model) -> bool:
        """Whether the model's own forward decides what is used: it was not rebound, and nobody calls its parts."""
        if "forward" in model.module.values or model.module.cls is not None:
            return False
        if any(e.module == model.ref.address and e.where.startswith("register_") for e in self.of(events.Escaped)):
            return False
        if model.ref.address in self.taken_apart or id(model.built.site) in self.apart_elsewhere:
            return False
        holders = self.holders(model.ref.address)
        if any(event.own and event.module in holders for event in self.of(events.Escaped)):
            return False
        return self.unfollowed.isdisjoint(holders)

    @cached_property
    def unfollowed(self) -> frozenset[Address]:
        """The networks of the script whose own forward nothing came by: nobody knows what it does with their parts."""
        found = set()
        for address, thing in self.state.heap.items():
            own = access.class_attribute(thing.cls, "forward") if type(thing) is Module and thing.cls else None
            if own is not None and getattr(own[0], "code", None) not in self.machine.called:
                found.add(address)
        return frozenset(found)

    # -- shapes ------------------------------------------------------------------------------------------------------

    def edited_places(self, model: Model, path: str) -> Iterator[str]:
        """The changed places on the way to a head, outermost first; nothing if the way is as the library built it."""
        return shapes.edited_places(self.state, model.ref, path)

    def arriving(self, model: Model, path: str) -> Shape | None:
        """The shape that reaches a place, None if the trunk before it was changed in a way that matters."""
        return shapes.arriving(self.state, model.ref, model.entry, path)

    def flow(self, part: Part, shape: Shape | None, path: str = "") -> Flow:
        """Follow a shape through a layer or a Sequential."""
        return shapes.flow(self.state, part, shape, path)

    def chained(self, stack: Part, path: str) -> Flow:
        """The first Linear of a Sequential that does not take what the one before it gives, whatever reaches them."""
        return shapes.chained(self.state, stack, path)

    def original(self, model: Model, path: str) -> Node | None:
        """What the library itself put at a place."""
        return parts.node_at(model.entry.root, path)

    def sized_after(self, model: Model, path: str) -> tuple[str, int] | None:
        """The next unchanged layer beside a place that takes a fixed number of channels: (its path, the channels)."""
        above, _, last = path.rpartition(".")
        owner = self.part(model, above)
        siblings = (self.children(owner) if owner is not None else None) or []
        names = [name for name, _ in siblings]
        for name, part in siblings[names.index(last) + 1 :] if last in names else ():
            kind = self.kind(part)
            takes = self.field(part, "num_features" if "Norm" in kind else "in_channels")
            if type(takes) is int:
                return (f"{above}.{name}" if above else name, takes) if not self.is_edited(part) else None
            if layers.RULES.get(kind) is not layers.same and not (kind.startswith("torch.nn.") and "Pool" in kind):
                return None  # it may change the number of channels
        return None

    # -- words -------------------------------------------------------------------------------------------------------

    def line(self, site: Any) -> int:
        """The line of an operation."""
        return self.facts.line(site)

    def where(self, site: Any) -> str:
        """The place of an operation, as a message names one: ``line 9``. No message makes these words itself."""
        return self.facts.where(site)

    def site_of(self, part: Part | None) -> Any:
        """The operation that made a new module; None for a part of the library."""
        module = self.module(part) if type(part) is Ref else None
        return module.site if module is not None and module.node is None else None

    def name_of(self, ref: Ref) -> str:
        """How the script calls a module: a variable, an attribute of one, or "model"."""
        for env in (self.state.env, *self.state.globals.values()):
            for name, value in env.items():
                if value == ref and type(value) is Ref and name[0] != "%":
                    return name
        for thing in self.state.heap.values():
            held = thing.children if type(thing) is Module else thing.attributes if type(thing) is heap.Instance else {}
            for name, value in held.items():
                if type(value) is Ref and value == ref and (type(thing) is not Module or thing.cls is not None):
                    return f"self.{name}"
        return "model"

    # -- parameters --------------------------------------------------------------------------------------------------

    def parameters(self, ref: Ref) -> heap.Listing:
        return heap.list_parameters(self.state, ref)

    def trainable(self, parameter: Parameter) -> bool | None:
        return heap.is_trainable(self.state, parameter)

    def size_of(self, parameter: Parameter) -> int | None:
        """How many numbers a parameter holds."""
        shape = access.shape_of(self.state, parameter)
        return None if shape is None else layers.product(shape)

    def flags_unseen(self, value: bool) -> bool:
        """Whether something that could not be followed may have had its flag set to `value`."""
        missed = self.of(events.FlagMissed)
        return any(event.receiver == "unknown" and event.value is not (not value) for event in missed)

    def frozen(self, ref: Ref) -> bool:
        """Whether a module has parameters, and surely none of them requires a gradient."""
        listing = self.parameters(ref)
        if not listing.complete:
            return heap.all_frozen(self.state, ref)
        return bool(listing.items) and not any(self.trainable(p) for _, p in listing.items)

    def covers(self, flagged: events.Flagged, ref: Ref) -> bool:
        """Whether setting flags at an event reached some parameter below a module."""
        below = self.parts_of(ref)
        if flagged.module in below:
            return True
        return flagged.paths is None and not below.isdisjoint(self.parts_of(Ref(flagged.module)))

    def built_with(self, part: Part, name: str) -> Any:
        """A layer's size as it was made, whatever was written to it later."""
        module = self.module(part) if type(part) is Ref else None
        if module is None:
            return UNKNOWN
        if name in module.arguments:
            return module.arguments[name]
        return module.node.values.get(name, UNKNOWN) if module.node is not None else UNKNOWN

    def exists(self, model: Model, path: str) -> bool:
        return self.part(model, path) is not None

    def replacement(self, model: Model, path: str) -> events.ChildSet | None:
        """The last event that put something new at a head's place, or at a place above it; None if nothing did."""
        last = None
        for event in self.of(events.ChildSet):
            place = self.places.get(event.owner)
            if place is None or place[0] is not model:
                continue
            full = f"{place[1]}.{event.name}" if place[1] else event.name
            if (path == full or path.startswith(full + ".")) and self.part(model, full) == event.new:
                last = event
        return last

    def root_of(self, parameter: Parameter) -> Model | None:
        """The library model a parameter belongs (or belonged) to."""
        place = self.was_at(parameter.owner.address) if self.module(parameter.owner) else None
        if place is None:
            return next((m for m in self.models if m.ref == parameter.owner), None)
        return place[0]

    def path_of(self, model: Model, parameter: Parameter) -> str | None:
        """The dotted name of a parameter in its model."""
        place = self.places.get(parameter.owner.address)
        if place is None or place[0] is not model or parameter.path == "*":
            return None
        return f"{place[1]}.{parameter.path}" if place[1] else parameter.path

    def optimizers(self) -> Iterator[tuple[events.Optimized, Optimizer]]:
        """Every optimizer made, with the parameters it holds at the end."""
        for event in self.of(events.Optimized):
            yield event, self.state.heap[event.optimizer]

    def optimized(self, ref: Ref) -> bool | None:
        """Whether some optimizer holds a parameter below a module; None if one of them holds what is not known."""
        below = {r.address for _, r in heap.subtree(self.state, ref)}
        unsure = False
        for _, optimizer in self.optimizers():
            if any(type(p.owner) is Ref and p.owner.address in below for p in optimizer.parameters):
                return True
            unsure = unsure or not optimizer.complete
        return None if unsure else False

    def name_tests(self, model: Model, flagged: events.Flagged) -> list[events.NameTested]:
        """The tests of parameter names that went before a freeze and told no parameter of the model from another.

        Empty if the freeze went by no name, or if some test told them apart.
        """
        paths = {f.site for f in self.of(events.Flagged) if f.site is flagged.site}
        tests = [t for t in self.of(events.NameTested) if self._tested_for(t, flagged)]
        by_site: dict[int, set[bool]] = {}
        for test in tests:
            by_site.setdefault(id(test.site), set()).add(test.result)
        if not paths or any(len(results) > 1 for results in by_site.values()):
            return []
        return list({id(test.site): test for test in tests}.values())

    def _tested_for(self, test: events.NameTested, flagged: events.Flagged) -> bool:
        """Whether a name was tested in the loop whose turns end with the flag being set."""
        for flag in self.of(events.Flagged):
            if (
                flag.site is flagged.site
                and flag.paths
                and self.settled(test.parameter) == (flag.module, flag.paths[0])
            ):
                return True
        return False

    def settled(self, parameter: Parameter) -> tuple[Address, str]:
        found = heap.settle(self.state, parameter)
        return found.owner.address, found.path

    def meant_to_learn(self, model: Model) -> bool:
        """Whether nothing says that the model is frozen on purpose: a copy, loaded weights, an average, eval mode."""
        if any(event.module is None for execution in self.family for event in execution.of(events.Overwritten)):
            return False
        holders = self.holders(model.ref.address)
        if any(event.module in holders for event in self.of(events.Copied, events.Loaded, events.Overwritten)):
            return False
        modes = [event.training for event in self.of(events.ModeSet) if event.module in holders]
        return not modes or True in modes

    def holders(self, address: Address) -> set[Address]:
        """A module and all modules that hold it."""
        found = {address}
        pending = [address]
        while pending:
            above = self._held_by.get(pending.pop(), ())
            pending += [holder for holder in above if holder not in found]
            found.update(above)
        return found

    @cached_property
    def _held_by(self) -> dict[Address, list[Address]]:
        """The modules that each module is a child of."""
        found: dict[Address, list[Address]] = {}
        for holder, thing in self.state.heap.items():
            if type(thing) is Module:
                for value in thing.children.values():
                    if type(value) is Ref:
                        found.setdefault(value.address, []).append(holder)
        return found

    def escaped(self, address: Address) -> bool:
        """Whether a module, or what holds it, was handed to code that is not followed."""
        holders = self.holders(address)
        return any(event.module in holders for event in self.of(events.Escaped))

    def escaped_before(self, address: Address, event: events.Event) -> bool:
        """The same, before an event."""
        holders, limit = self.holders(address), self.order(event)
        return any(e.module in holders for e in self.history[:limit] if isinstance(e, events.Escaped))

    def new_heads(self) -> Iterator[tuple[Model, str, events.ChildSet]]:
        """The heads that the script put in itself, once each: (the model, where it sits, the event that put it in)."""
        for model in self.models:
            seen: set[Address] = set()
            for head in model.entry.heads:
                event = self.replacement(model, head.path)
                if event is None or not self.is_new(event.new) or event.new.address in seen:
                    continue
                if not self.makes_layers(event.new):
                    continue
                place = self.places.get(event.new.address)
                if place is not None and place[0] is model:
                    seen.add(event.new.address)
                    yield model, place[1], event

    def own_heads(self) -> Iterator[OwnHead]:
        """The layers that networks of the script have beside a library model or its parts."""
        for address, network in self.state.heap.items():
            if type(network) is not Module or network.cls is None or not self.only_its_own_forward(network):
                continue
            held = [(name, value, False) for name, value in network.children.items()]
            held += [(name, value, True) for name, kept in network.values.items() for value in self._kept_in(kept)]
            for name, value, hidden in held:
                if self.module(value) is not None and self.is_head_of_its_own(value):
                    yield OwnHead(Ref(address), name, value, hidden)

    def _kept_in(self, value: Value) -> Iterator[Value]:
        """What a list, tuple or dict that is an attribute holds."""
        thing = self.state.object(value)
        if type(value) is Tuple or (type(thing) is heap.Sequence and thing.items is not None):
            yield from value.items if type(value) is Tuple else thing.items
        elif type(thing) is heap.Dictionary:
            yield from (item for _, item in thing.items or ())

    def is_head_of_its_own(self, ref: Ref) -> bool:
        """Whether the script itself made all that can learn of a part, and there is something."""
        below = [self.state.heap[part.address] for _, part in heap.subtree(self.state, ref)]
        return all(part.node is None and part.build is None and part.known for part in below) and self.makes_layers(ref)

    def runs(self, ref: Ref) -> bool:
        """Whether some path of the file calls a part, or what is in it."""
        below = self.parts_of(ref)
        return any(event.module in below for execution in self.family for event in execution.of(events.Called))

    def rewritten(self, ref: Ref) -> bool:
        """Whether numbers get into a part in other ways than by learning: a copy, loaded weights, an average."""
        places = self.parts_of(ref) | self.holders(ref.address)
        found = (e for one in self.family for e in one.of(events.Copied, events.Loaded, events.Overwritten))
        return any(event.module is None or event.module in places for event in found)

    def moves_before(self, ref: Ref, event: events.Event) -> list[events.Moved]:
        """The moves of a module, or of what holds it, before an event."""
        holders = self.holders(ref.address)
        return [e for e in self.history[: self.order(event)] if type(e) is events.Moved and e.module in holders]

    def moves_reaching(self, ref: Ref, event: events.Event) -> list[events.Moved]:
        """The moves that reach a new part: its own at any time, those of what holds it after it was put in."""
        below = {part.address for _, part in heap.subtree(self.state, ref)}
        own = [e for e in self.of(events.Moved) if e.module in below]
        holders = self.holders(ref.address)
        after = self.history[self.order(event) :]
        return own + [e for e in after if type(e) is events.Moved and e.module in holders]

    def untouched_by(self, move: events.Moved, ref: Ref) -> bool:
        """Whether a part holds layers with parameters that the script made, and none was in a model before a move."""
        below = [part for _, part in heap.subtree(self.state, ref)]
        if not any(self.is_new(p) and heap.list_parameters(self.state, p, own=True).items for p in below):
            return False
        sets = (e for e in self.history[: self.order(move)] if type(e) is events.ChildSet)
        return not {e.new for e in sets if type(e.new) is Ref}.intersection(below)

    def same_elsewhere(self, event: events.ChildSet) -> Iterator[tuple[Execution, events.ChildSet]]:
        """What an operation put in, on every path of the file that comes by it."""
        for execution in self.family:
            for other in execution.of(events.ChildSet):
                if other.site is event.site and type(other.new) is Ref:
                    yield execution, other

    def collects(self, site: Any, keyword: str) -> bool:
        """Whether a call takes its keywords out of a dict, and does not name this one."""
        names = [name for name, _ in site.keywords] if isinstance(site, Call) else []
        return None in names and keyword not in names

    def made_with(self, ref: Ref, argument: str) -> bool:
        """Whether some layer of a part was made with an argument of its own: ``nn.Linear(512, 10, device=device)``."""
        parts_ = (self.state.heap[part.address] for _, part in heap.subtree(self.state, ref))
        return any(module.arguments.get(argument) is not None for module in parts_)

    def parts_of(self, ref: Ref) -> set[Address]:
        """The modules that have an address below (and with) a module."""
        known = self._parts.get(ref.address)
        if known is None:
            known = self._parts[ref.address] = {part.address for _, part in heap.subtree(self.state, ref)}
        return known

    @cached_property
    def _parts(self) -> dict[Address, set[Address]]:
        return {}

    def ambient(self) -> bool:
        """Whether code of the file sets how tensors are made or computed with: a default device or dtype, autocast."""
        return any(True for execution in self.family for _ in execution.of(events.Ambient))

    def runs_after(self, model: Model, event: events.Event) -> bool:
        """Whether a model is surely used as it is after an event: it is called, or the script itself ends with it.

        A model that a function returns which nothing in the file calls may be changed by whoever does.
        """
        holders = self.holders(model.ref.address)
        place = self.order(event)
        if any(type(e) is events.Called and e.module in holders for e in self.history[place:]):
            return True
        return not any(type(e) is events.Entered for e in self.history[:place])

    def library_parameters(self, model: Model) -> list[Parameter] | None:
        """The parameters that the library itself gave a model and that are still in it; None if they are not known."""
        listing = self.parameters(model.ref)
        if not listing.complete:
            return None
        return [p for _, p in listing.items if self.state.heap[p.owner.address].node is not None]

    def last_freeze(self, model: Model) -> events.Flagged | None:
        """The last event that froze something of a model."""
        frozen = (event for event in self.of(events.Flagged) if not event.value and self.covers(event, model.ref))
        return next(iter(list(frozen)[::-1]), None)

    def batch_norms(self, model: Model) -> Iterator[Norm]:
        """The BatchNorm layers of a model that keep statistics."""
        trained: dict[Address, bool] = {}
        for path, parameter in self.parameters(model.ref).items:
            above, _, name = path.rpartition(".")
            part = self.part(model, above) if above and name == "weight" else None
            if part is None or not self.kind(part).startswith("torch.nn.BatchNorm"):
                continue
            holder = heap.settle(self.state, parameter).owner.address
            if self.field(part, "track_running_stats") is not False:
                if holder not in trained:
                    trained[holder] = self._called_in_train_mode(model, holder)
                yield Norm(above, not self.trainable(parameter), trained[holder])

    def _called_in_train_mode(self, model: Model, part: Address) -> bool:
        """Whether a model was called while a part of it was in train mode."""
        holders, above = self.holders(model.ref.address), self.holders(part)
        training = True
        for event in self.history:
            if type(event) is events.ModeSet and event.module in above:
                training = event.training
            elif type(event) is events.Called and event.module in holders and training:
                return True
        return False

    def overrides(self, method: str) -> bool:
        """Whether a module of one of the script's classes has a method of its own in place of `torch.nn.Module`'s."""
        modules = (thing for thing in self.state.heap.values() if type(thing) is Module)
        classes = {module.cls.code: module.cls for module in modules if module.cls is not None}
        return any(access.class_attribute(cls, method) is not None for cls in classes.values())

    def loads(self, words: Sequence[str]) -> bool:
        """Whether code of the file loads weights: a path does, or it uses an attribute whose name speaks of that.

        A function that the script itself would call, had it not switched that off (`if RESUME:`), does not count, nor
        does saving.
        """
        off = {name for execution in self.family for name in execution.switched_off()}
        for execution in self.family:
            followed = {event.name for event in execution.of(events.Entered)}
            if not followed & off and any(True for _ in execution.of(events.Loaded, events.Overwritten)):
                return True
        body = [op for op in self.machine.body if not (isinstance(op, Define) and op.name in off)]
        names = used_attributes(body) if off else self.facts.used_attributes
        loading = (name for name in names if name != "state_dict" and not name.startswith("save"))
        return any(word in name for name in loading for word in words)

    def switched_off(self) -> frozenset[str]:
        """The function that this follows, if the script's body names it, but on no path that is taken."""
        followed = {event.name for event in self.of(events.Entered)}
        here = walk_here(self.machine.body) if followed and not self.machine.budget.exhausted else []
        named = (followed.intersection(variables(op)) for op in here if not isinstance(op, Define))
        return frozenset().union(*named)

    def sent_backward(self, value: Value) -> bool:
        """Whether a backward pass starts at a value, or at what came of it."""
        return any(gradients.comes_of(event.of, value) for event in self.of(events.Backward))

    def cut_off(self, value: Value) -> bool:
        """Whether a loss surely has no graph: it was detached, or the model it came of has nothing trainable."""
        while type(value) is Symbol and isinstance(value.key, tuple):
            kind, *parts_ = value.key
            if kind == "attribute" and parts_[1] in ("detach", "data", "item"):
                return True
            if kind == "output":
                tensor = parts_[1] if len(parts_) > 1 else None
                source = tensor.source if type(tensor) is Tensor else None
                return source is not None and self.frozen(Ref(source))
            value = parts_[-1] if kind == "unary" else parts_[0] if kind in ("call", "attribute") else None
        return False

    def optimized_elsewhere(self, ref: Ref, model: Model) -> bool:
        """Whether an optimizer on another path that builds a model holds, or may hold, a parameter of a part of it."""
        others = (
            e for e in self.family if e is not self and ref.address in e.state.heap and e.passes(model.built.site)
        )
        return any(execution.optimized(ref) is not False for execution in others)

    def output_used(self, model: Model, outputs: tuple[str, ...]) -> bool:
        """Whether the script reads one of these outputs (or the second of two) of the model."""
        for event in self.of(events.OutputRead):
            if event.module == model.ref.address and (event.key in outputs or event.key == 1):
                return True
        return False


def steps(frame: Frame | None, site: Any) -> list[tuple[Frame, Any]]:
    """An operation and the calls that led to it, innermost first, each with the frame it stands in."""
    found = []
    while frame is not None:
        found.append((frame, site))
        site, frame = frame.call, frame.above
    return found
