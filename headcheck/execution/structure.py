"""What the modules of a path are at its end: models, places, parts, shapes, who holds whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import libcst as cst

from headcheck import events
from headcheck.catalog.entry import Node, Shape
from headcheck.execution.facts import Model, OwnHead
from headcheck.execution.history import History
from headcheck.interpreter import access, forward, heap, parts, shapes
from headcheck.interpreter.heap import Module
from headcheck.interpreter.parts import Part
from headcheck.interpreter.shapes import Flow
from headcheck.interpreter.state import Frame
from headcheck.interpreter.values import Address, Class, Condition, Function, Ref, Tuple, Value
from headcheck.ir import UNKNOWN, Call, DefineClass, GetItem, walk
from headcheck.semantics import layers

CALLED_BY_OTHERS = ("forward", "extra_repr", "reset_parameters")  # what torch calls of a network
MOST_MODELS_ASKED = 8  # one by one for what they hold: each knows it of all paths, and a table is made for each path


class Structure(History):
    """The events of a path, and the modules at its end."""

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
    def _places(self) -> list[tuple[Model, Mapping[Address, tuple[Address | None, str]]]]:
        """The library models, each with the modules in it at the end: what holds them, and their names there."""
        return [(model, heap.below(self.state, model.ref)) for model in self.models]

    @cached_property
    def _held(self) -> dict[Address, tuple[Model, Mapping[Address, tuple[Address | None, str]]]]:
        """For each module of a library model that model, with the places of all that is in it."""
        return {address: found for found in reversed(self._places) for address in found[1]}

    def _holding(self, address: Address) -> tuple[Model, Mapping[Address, tuple[Address | None, str]]] | None:
        """The library model in which a module sits at the end, with the places of all that is in it."""
        if len(self.models) > MOST_MODELS_ASKED:
            return self._held.get(address)
        return next((found for found in self._places if address in found[1]), None)

    def _above(self, address: Address) -> Iterator[tuple[Address, str]]:
        """What holds a module that sits in a library model, and its name there, and so on up to the model."""
        found = self._holding(address)
        while found is not None:
            holder, name = found[1][address]
            if holder is None:
                return
            yield holder, name
            address = holder

    def is_placed(self, address: Address) -> bool:
        """Whether a module sits in a library model at the end."""
        return self._holding(address) is not None

    def place(self, address: Address) -> tuple[Model, str] | None:
        """Where a module sits in a library model at the end: (its model, dotted path)."""
        found = self._holding(address)
        if found is None:
            return None
        names = [name for _, name in self._above(address)]
        return found[0], ".".join(reversed(names))

    def was_at(self, address: Address) -> tuple[Model, str] | None:
        """Where a module sits, or sat before something else took its place."""
        place = self.place(address)
        if place is not None:
            return place
        home = self.state.heap[address].home
        model = next((m for m in self.models if home is not None and m.ref.address == home[0]), None)
        return (model, home[1]) if model is not None and home is not None else None

    def owner_of(self, address: Address) -> Model | None:
        """The library model a module belongs, or belonged, to."""
        found = self._holding(address)
        if found is not None:
            return found[0]
        home = self.state.heap[address].home
        return next((m for m in self.models if home is not None and m.ref.address == home[0]), None)

    def part_of(self, address: Address) -> Model | None:
        """The library model of which a module is, or was, a part, and not the whole."""
        owner = self.owner_of(address)
        return owner if owner is not None and owner.ref.address != address else None

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
        """Whether the script's class of a module says all about what its forward uses: one that derives from a model of
        the library may leave that to the library."""
        return module.known and module.node is None and forward.own_forward(module) is not None

    def inside(self, cls: Class, site: Any) -> bool:
        """Whether an operation stands in the body of a class, or of one that it inherits from."""
        define = self.machine.definitions.get(cls.code)
        if isinstance(define, DefineClass) and any(operation is site for operation in walk(define.body)):
            return True
        return any(self.inside(base, site) for base in cls.bases if type(base) is Class)

    def owner_of_value(self, value: Value) -> Model | None:
        """The library model that a value is, or is a part of."""
        return self.owner_of(value.address) if self.module(value) is not None else None

    @cached_property
    def taken_apart(self) -> frozenset[Address]:
        """The models some of whose parts are called, or live in another module, on their own."""
        found = set()
        for event in self.of(events.Called):
            owner = self.owner_of(event.module) if event.method else self.part_of(event.module)
            if owner is not None and not self.is_inside_own(event.module):
                found.add(owner.ref.address)
        sets = self.of(events.ChildSet)
        put_in = {e.new.address for e in sets if type(e.new) is Ref and self.owner_of(e.owner) is not None}
        for address, thing in self.state.heap.items():
            if type(thing) is not Module or thing.node is not None or self.is_placed(address):
                continue
            if address in put_in or thing.home is not None:  # it was in a model before something took its place
                continue
            if type(thing.site) is GetItem and address not in self._in_use:
                continue  # a slice of a stack, for a list of its layers only
            for value in thing.children.values():
                owner = self.part_of(value.address) if type(value) is Ref and self.module(value) else None
                if owner is not None:
                    found.add(owner.ref.address)
        return frozenset(found)

    def is_inside_own(self, address: Address) -> bool:
        """Whether a layer is in a module of the script's that was put into a library model: that one calls it."""
        return any(self.state.heap[holder].cls is not None for holder, _ in self._above(address))

    @cached_property
    def _in_use(self) -> set[Address]:
        """The modules that another holds, that are called, or that code which is not followed was given."""
        modules = [thing for thing in self.state.heap.values() if type(thing) is Module]
        held = {value.address for thing in modules for value in thing.children.values() if type(value) is Ref}
        return held | {event.module for event in self.of(events.Called, events.Escaped)}

    def is_asked_for(self, owner: Address, name: str) -> bool:
        """Whether a module, or a checkpoint, turned out to have a name when the script asked on the path."""
        return self.state.facts.get(Condition("HasAttribute", Ref(owner), name)) is True or name in self.names_elsewhere

    @cached_property
    def names_elsewhere(self) -> frozenset[str]:
        """The parts of the dotted names that turned out to be in something unknown, such as a checkpoint, when the
        script asked: on such a path the model is one that has them, whatever it is by default."""
        facts = self.state.facts.items()
        asked = [fact for fact, holds in facts if holds is True and type(fact) is Condition and fact.operator == "In"]
        names = [fact.left for fact in asked if isinstance(fact.left, str)]
        return frozenset(part for name in names if "." in name for part in name.split("."))

    def is_never_asked(self, cls: Class) -> bool:
        """Whether the path follows a method of a network that none of the code names, and that no library calls."""
        entered = [event.name for event in self.of(events.Entered)][-1:]
        if not entered or entered[0] in (*CALLED_BY_OTHERS, *self.facts.used_attributes) or entered[0][:2] == "__":
            return False
        is_method = type(dict(cls.attributes).get(entered[0])) is Function
        return is_method and heap.library_bases(cls) <= {"torch.nn.Module"}

    def forward_is_the_librarys(self, model: Model) -> bool:
        """Whether the model's own forward decides what is used: it was not rebound, and nobody calls its parts."""
        known = self._as_built.get(model.ref.address)
        if known is None:
            known = self._as_built[model.ref.address] = self._runs_as_built(model)
        return known

    @cached_property
    def _as_built(self) -> dict[Address, bool]:
        return {}

    def _runs_as_built(self, model: Model) -> bool:
        if parts.is_rebound(model.module) or forward.own_forward(model.module) is not None:
            return False
        if parts.ALTERED in self.state.facts:
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
            if own is None:
                continue
            code = getattr(own[0], "code", -1)
            handed = getattr(self.machine.definitions.get(code), "generator", False)  # called, and not run
            if handed or code not in self.machine.called:
                found.add(address)
        return frozenset(found)

    def edited_places(self, model: Model, path: str) -> Iterator[str]:
        """The changed places on the way to a head, outermost first; nothing if the way is as the library built it."""
        return shapes.edited_places(self.state, model.ref, path)

    def arriving(self, model: Model, path: str) -> Shape | None:
        """The shape that reaches a place, None if the trunk before it was changed in a way that matters."""
        key = model.ref.address, path
        if key not in self._arriving:
            self._arriving[key] = shapes.arriving(self.state, model.ref, model.entry, path, self._own)
        return self._arriving[key]

    @cached_property
    def _arriving(self) -> dict[tuple[Address, str], Shape | None]:
        return {}

    def flow(self, part: Part, shape: Shape | None, path: str = "") -> Flow:
        """Follow a shape through a layer, a Sequential or a module of the script's."""
        return shapes.flow(self.state, part, shape, path, own=self._own)

    @cached_property
    def _own(self) -> shapes.OwnAnswer:
        return forward.own_answer(self.machine)

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
                    return f"{self._holder_name(thing)}.{name}"
        return self._name_within(ref)

    def _name_within(self, ref: Ref) -> str:
        """How a function that has ended called a module, by a part that it put in: ``net`` of ``net.fc = …``."""
        inside = heap.below(self.state, ref)
        for event in self.of(events.ChildSet):
            place = getattr(event.site.node, "targets", None)
            if event.owner in inside and place:
                root = place[0].target
                while isinstance(root, (cst.Attribute, cst.Subscript)):
                    root = root.value
                if isinstance(root, cst.Name):
                    return str(root.value)
        return "model"

    def made_by(self, address: Address | None) -> tuple[str, int] | None:
        """The library's function that made a layer inside a head, and how many times the features it was given the
        layer takes; None for a layer that the script made."""
        found: tuple[str, int] | None = self.state.facts.get(("made by", address))
        return found

    def _holder_name(self, holder: Any) -> str:
        """How the script calls an object of a library (a learner); one of its own is `self` to itself."""
        if type(holder) is not heap.Instance or holder.cls is not None:
            return "self"
        held = {name: self.state.object(value) for name, value in self.state.env.items() if type(value) is Ref}
        return next((name for name, thing in held.items() if thing is holder and name[0] != "%"), "self")

    def parameters(self, ref: Ref) -> heap.Listing:
        return heap.list_parameters(self.state, ref)

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
        put = [event for full, event in self._put.get(model.ref.address, ()) if f"{path}.".startswith(f"{full}.")]
        return put[-1] if put else None

    @cached_property
    def _put(self) -> dict[Address, list[tuple[str, events.ChildSet]]]:
        """What was put into each library model and is still there, by where."""
        found: dict[Address, list[tuple[str, events.ChildSet]]] = {}
        for event in self.of(events.ChildSet):
            place = self.place(event.owner)
            if place is not None:
                path = f"{place[1]}.{event.name}" if place[1] else event.name
                if self.part(place[0], path) == event.new:
                    found.setdefault(place[0].ref.address, []).append((path, event))
        return found

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
        return iter(self._new_heads)

    @cached_property
    def _new_heads(self) -> list[tuple[Model, str, events.ChildSet]]:
        found = []
        for model in self.models:
            seen: set[Address] = set()
            for head in model.entry.places:
                event = self.replacement(model, head.path)
                if event is None or not self.is_new(event.new) or event.new.address in seen:
                    continue
                if not self.makes_layers(event.new):
                    continue
                place = self.place(event.new.address)
                if place is not None and place[0] is model:
                    seen.add(event.new.address)
                    found.append((model, place[1], event))
        return found

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

    def runs_after(self, model: Model, event: events.Event) -> bool:
        """Whether a model is surely used as it is after an event: it is called, or the script itself ends with it.

        A model that a function returns which nothing in the file calls may be changed by whoever does.
        """
        holders = self.holders(model.ref.address)
        place = self.order(event)
        if any(later >= place and called.module in holders for later, called in self._calls):
            return True
        entered = next(self.of(events.Entered), None)
        return entered is None or self.order(entered) >= place

    @cached_property
    def _calls(self) -> list[tuple[int, events.Called]]:
        """The calls of modules, each with its place in time."""
        return [(place, event) for place, event in enumerate(self.history) if type(event) is events.Called]

    def overrides(self, method: str) -> bool:
        """Whether a module of one of the script's classes has a method of its own in place of `torch.nn.Module`'s."""
        modules = (thing for thing in self.state.heap.values() if type(thing) is Module)
        classes = {module.cls.code: module.cls for module in modules if module.cls is not None}
        return any(access.class_attribute(cls, method) is not None for cls in classes.values())


def steps(frame: Frame | None, site: Any) -> list[tuple[Frame, Any]]:
    """An operation and the calls that led to it, innermost first, each with the frame it stands in."""
    found = []
    while frame is not None:
        found.append((frame, site))
        site, frame = frame.call, frame.above
    return found
