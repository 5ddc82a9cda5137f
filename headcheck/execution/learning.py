"""What of a model can learn on a path: flags, optimizers, moves, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from headcheck import events
from headcheck.execution.facts import Model, Norm
from headcheck.execution.structure import Structure
from headcheck.interpreter import access, heap
from headcheck.interpreter.heap import Optimizer
from headcheck.interpreter.values import Address, Parameter, Ref, Symbol, Tensor, Value
from headcheck.semantics import gradients, layers


class Learning(Structure):
    """The modules of a path, and what of them learns."""

    def trainable(self, parameter: Parameter) -> bool | None:
        return heap.is_trainable(self.state, parameter)

    def size_of(self, parameter: Parameter) -> int | None:
        """How many numbers a parameter holds."""
        shape = access.shape_of(self.state, parameter)
        return None if shape is None else layers.product(shape)

    def flags_unseen(self, value: bool, ref: Ref | None = None) -> bool:
        """Whether something that could not be followed may have had its flag set to `value`; `ref`: a parameter that
        this module holds."""
        missed = self.of(events.FlagMissed)
        unseen = [event for event in missed if event.receiver == "unknown" and event.value is not (not value)]
        if ref is None or not unseen:
            return bool(unseen)
        owners = [event.owner if type(event.owner) is Ref and self.module(event.owner) else None for event in unseen]
        return any(owner is None or ref.address in self.parts_of(owner) for owner in owners)

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

    def freezes_of(self, parameters: list[Parameter]) -> list[events.Flagged]:
        """The events that turned the flag of one of some parameters off, oldest first."""
        places = {self.settled(parameter) for parameter in parameters}

        def reaches(event: events.Flagged) -> bool:
            if event.paths is None:
                below = self.parts_of(Ref(event.module))
                return any(address in below for address, _ in places)
            return any((event.module, path) in places for path in event.paths)

        return [event for event in self.of(events.Flagged) if not event.value and reaches(event)]

    def learned_between(self, start: events.Event, end: events.Event) -> bool:
        """Whether something learned after an event and before another: what is frozen then keeps what it learned."""
        return any(type(event) in events.LEARNING for event in self.history[self.order(start) : self.order(end)])

    def root_of(self, parameter: Parameter) -> Model | None:
        """The library model a parameter belongs (or belonged) to."""
        owner = parameter.owner
        if owner not in self._roots:
            place = self.was_at(owner.address) if self.module(owner) else None
            self._roots[owner] = place[0] if place else next((m for m in self.models if m.ref == owner), None)
        return self._roots[owner]

    @cached_property
    def _roots(self) -> dict[Any, Model | None]:
        """The models of the owners of parameters that were asked for: there are hundreds to an optimizer."""
        return {}

    def path_of(self, model: Model, parameter: Parameter) -> str | None:
        """The dotted name of a parameter in its model."""
        place = self.place(parameter.owner.address)
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

    def moves_before(self, ref: Ref, event: events.Event) -> list[events.Moved]:
        """The moves of a module, or of what holds it, before an event."""
        holders = self.holders(ref.address)
        return [e for e in self.of(events.Moved) if self.order(e) < self.order(event) and e.module in holders]

    def moves_reaching(self, ref: Ref, event: events.Event) -> list[events.Moved]:
        """The moves that reach a new part: its own at any time, those of what holds it after it was put in."""
        below = {part.address for _, part in heap.subtree(self.state, ref)}
        own = [e for e in self.of(events.Moved) if e.module in below]
        holders = self.holders(ref.address)
        after = self.history[self.order(event) :]
        return own + [e for e in after if type(e) is events.Moved and e.module in holders]

    def is_trained_after(self, ref: Ref, event: events.Event) -> bool:
        """Whether a library's trainer trains what holds a part after an event: it moves all of it to its own device."""
        holders = self.holders(ref.address)
        return any(type(e) is events.Trained and e.module in holders for e in self.history[self.order(event) :])

    def holds_other_tensors(self, ref: Ref) -> bool:
        """Whether a part was given other tensors than it was made with, which may be anywhere and in any numbers:
        ``p.data = p.data.cuda()``."""
        given = (event.module for event in self.of(events.Overwritten) if event.anew)
        return any(module is None or module in self.parts_of(ref) for module in given)

    def untouched_by(self, move: events.Moved, ref: Ref) -> bool:
        """Whether a part holds layers with parameters that the script made, and none was in a model before a move."""
        below = [part for _, part in heap.subtree(self.state, ref)]
        if not any(self.is_new(p) and heap.list_parameters(self.state, p, own=True).items for p in below):
            return False
        sets = (e for e in self.history[: self.order(move)] if type(e) is events.ChildSet)
        return not {e.new for e in sets if type(e.new) is Ref}.intersection(below)

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
                    trained[holder] = any(self.calls_in_train_mode(model, holder))
                yield Norm(above, not self.trainable(parameter), trained[holder])

    def calls_in_train_mode(self, model: Model, part: Address) -> Iterator[events.Called]:
        """The calls of a model while a part of it was in train mode."""
        holders, above = self.holders(model.ref.address), self.holders(part)
        training = True
        for event in self.history:
            if type(event) is events.ModeSet and event.module in above:
                training = event.training
            elif type(event) is events.Called and event.module in holders and training:
                yield event

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
