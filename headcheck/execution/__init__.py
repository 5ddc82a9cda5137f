"""An execution: one path a script can take, and the questions that checks ask of it. One question per method, and no
rule's wording in any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from headcheck import events
from headcheck.execution.facts import FileFacts as FileFacts
from headcheck.execution.facts import Model as Model
from headcheck.execution.facts import Norm as Norm
from headcheck.execution.facts import OwnHead as OwnHead
from headcheck.execution.learning import Learning
from headcheck.interpreter import heap
from headcheck.interpreter.shapes import SIZED as SIZED
from headcheck.interpreter.shapes import Flow as Flow
from headcheck.interpreter.shapes import Placed as Placed
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Address, Ref, Tuple, Value
from headcheck.ir import Block, Call, Define, GetItem, If, Move, Operation, walk, walk_here
from headcheck.ir.facts import ANY, come_to_after, used_attributes
from headcheck.ir.scopes import variables

if TYPE_CHECKING:
    from headcheck.interpreter.machine import Machine


class Execution(Learning):
    """The end of a path, read-only, and beside it the `family`: all executions of the file."""

    def __init__(
        self, state: State, facts: FileFacts, machine: Machine, defaults: bool, supposed: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(state, facts, machine, defaults, supposed)
        self.family: Sequence[Execution] = (self,)

    def meant_to_learn(self, model: Model) -> bool:
        """Whether nothing says that the model is frozen on purpose: a copy, loaded weights, an average, eval mode."""
        if any(event.module is None for execution in self.family for event in execution.of(events.Overwritten)):
            return False
        holders = self.holders(model.ref.address)
        if any(event.module in holders for event in self.of(events.Loaded, events.Overwritten)):
            return False
        if any(event.module in holders and not self.replaces(event) for event in self.of(events.Copied)):
            return False
        modes = [event.training for event in self.of(events.ModeSet) if event.module in holders]
        return not modes or True in modes

    def only_summarised(self, model: Model) -> bool:
        """Whether a summary of a model is printed, and nothing in the file runs it, trains anything or hands it on."""
        holders = self.holders(model.ref.address)
        if all(event.module not in holders for event in self.of(events.Summarised)) or self.escaped(model.ref.address):
            return False
        trains = any(True for execution in self.family for _ in execution.of(events.Optimized, events.Backward))
        return not trains and not self.runs(model.ref)

    def only_shown(self, model: Model) -> bool:
        """Whether an optimizer is made and a model is run, and nothing in the file learns or hands the model on: it
        shows how that is written."""
        if self.escaped(model.ref.address) or not self.runs(model.ref):
            return False
        kinds = (events.Optimized, events.LossTaken, *events.LEARNING)
        return {type(event) for one in self.family for event in one.of(*kinds)} == {events.Optimized}

    def replaces(self, copy: events.Copied) -> bool:
        """Whether a copy is there instead of its original: nothing holds or does anything with that one any longer."""
        original = Ref(copy.original)
        if self.holders(original.address) != {original.address}:
            return False
        if any(e is not copy and e.original == original.address for e in self.of(events.Copied)):
            return False
        below = self.parts_of(original)
        later = self.history[self.order(copy) + 1 :]
        if any(not below.isdisjoint(concerned(event)) for event in later):
            return False
        kept = [self.state.result, *(value for thing in self.state.heap.values() for value in kept_in(thing))]
        return all(original not in (value.items if type(value) is Tuple else (value,)) for value in kept)

    def runs(self, ref: Ref) -> bool:
        """Whether some path of the file calls a part, or what is in it."""
        below = self.parts_of(ref)
        return any(event.module in below for execution in self.family for event in execution.of(events.Called))

    def rewritten(self, ref: Ref) -> bool:
        """Whether numbers get into a part in other ways than by learning: a copy, loaded weights, an average."""
        places = self.parts_of(ref) | self.holders(ref.address)
        found = (e for one in self.family for e in one.of(events.Copied, events.Loaded, events.Overwritten))
        return any(event.module is None or event.module in places for event in found)

    def is_set_before(self, site: Operation, name: Any, computed: bool = True) -> bool:
        """Whether code of the project that may run before an operation sets an attribute of a name on whatever it is;
        `computed`: or one whose name it computes."""
        later = come_to_after(self.body_of(site), site)
        sites = (self.facts.assigned_attributes.get(one, frozenset()) for one in ((name, ANY) if computed else (name,)))
        return any(not found <= later for found in sites)

    def body_of(self, site: Operation) -> Block:
        """The block of the function that holds an operation, or that of the module."""
        bodies = (d.body for d in self.machine.definitions.values() if isinstance(d, Define))
        holding = [body for body in bodies if any(o is site for o in walk(body))]
        return holding[-1] if holding else self.machine.body

    def tests_around(self, site: Operation) -> set[int]:
        """The tests (by id) of the branches in which an operation stands that the path came to, or a call before it."""
        found: set[int] = set()
        event = next((event for event in reversed(self.history) if event.site is site), None)
        frame = self.frames[self.order(event)] if event is not None else None
        at: Operation | None = site
        while at is not None:
            found.update(id(op.node) for op in walk(self.body_of(at)) if type(op) is If and holds(op, at))
            at, frame = (frame.call, frame.above) if frame is not None else (None, None)
        return found

    def output_used(self, model: Model, outputs: tuple[str, ...]) -> bool:
        """Whether the script reads one of these outputs (or the second of two) of the model."""
        for event in self.of(events.OutputRead):
            asked = event.module == model.ref.address and (event.key in outputs or event.key == 1)
            if asked and not self.is_let_drop(event.site):
                return True
        return False

    def is_let_drop(self, site: Operation) -> bool:
        """Whether what an operation answers only gets a name that no code around it asks for: ``outputs, _ = …``."""
        around = walk(self.body_of(site))
        if type(site) is not GetItem or not any(operation is site for operation in around):
            return False
        takers = [operation for operation in around if site.target in variables(operation)]
        names = {operation.target for operation in takers if type(operation) is Move}
        if not all(type(operation) is Move for operation in takers):
            return False
        return not any(names.intersection(variables(operation)) for operation in around)

    def same_elsewhere(self, event: events.ChildSet) -> Iterator[tuple[Execution, events.ChildSet]]:
        """What an operation put in, on every path of the file that comes by it."""
        for execution in self.family:
            for other in execution.of(events.ChildSet):
                if other.site is event.site and type(other.new) is Ref:
                    yield execution, other

    def ambient(self) -> bool:
        """Whether code of the file sets how tensors are made or computed with: a default device or dtype, autocast."""
        return any(True for execution in self.family for _ in execution.of(events.Ambient))

    def casts(self, address: Address) -> set[str] | None:
        """Under which autocasts the calls of a module are, as `events.Casting` has them, on all paths of the file; None
        if nobody knows what some of the file's are around."""
        family = self.family
        entered = {event.made for execution in family for event in execution.of(events.Casting)}
        ambient = (event for execution in family for event in execution.of(events.Ambient))
        if any("autocast" in event.what and id(event.site) not in entered for event in ambient):
            return None
        return {
            cast
            for execution in family
            for event, cast in execution.under_autocast()
            if type(event) is events.Called and event.module == address
        }

    def under_autocast(self) -> Iterator[tuple[Any, str]]:
        """The calls of modules and losses, each with the autocast around it."""
        now = ""
        for event in self.of(events.Casting, events.Called, events.LossTaken):
            if type(event) is events.Casting:
                now = event.to
            else:
                yield event, now

    def in_lightning(self, address: Address) -> bool:
        """Whether a module is one of Lightning's, or one of these holds it."""
        modules = (self.module(Ref(holder)) for holder in self.holders(address))
        return any(m is not None and m.cls is not None and heap.library_bases(m.cls) & heap.LIGHTNING for m in modules)

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
        names = used_attributes(walk(body)).anywhere if off else self.facts.used_attributes
        loading = (name for name in names if name != "state_dict" and not name.startswith("save"))
        return any(word in name for name in loading for word in words)

    def switched_off(self) -> frozenset[str]:
        """The function that this follows, if the script's body calls it, but on no path that is taken. One that it
        hands on is called by others: ``Thread(target=job)``."""
        followed = {event.name for event in self.of(events.Entered)}
        here = walk_here(self.machine.body) if followed and not self.machine.budget.exhausted else []
        named = [(op, followed.intersection(variables(op))) for op in here if not isinstance(op, Define)]
        handed = {name for op, names in named for name in names if not isinstance(op, Call) or op.function != name}
        return frozenset().union(*(names for _, names in named)) - handed

    def optimized_elsewhere(self, ref: Ref, model: Model) -> bool:
        """Whether an optimizer on another path that builds a model holds, or may hold, a parameter of a part of it."""
        others = (
            e for e in self.family if e is not self and ref.address in e.state.heap and e.passes(model.built.site)
        )
        return any(execution.optimized(ref) is not False for execution in others)


def holds(branch: If, site: Operation) -> bool:
    """Whether an operation stands in a branch."""
    return any(operation is site for side in (branch.body, branch.orelse) for operation in walk(side))


def concerned(event: events.Event) -> Iterator[Any]:
    """The modules that something happens to."""
    yield from (getattr(event, "module", None), getattr(event, "owner", None))
    if type(event) is events.Optimized:
        yield from (parameter.owner.address for parameter in event.parameters if type(parameter.owner) is Ref)


def kept_in(thing: Any) -> Iterator[Value]:
    """What an object of the script, a list or a dict holds, and a module other than as a part."""
    if type(thing) in (heap.Instance, heap.Module):
        yield from (thing.attributes if type(thing) is heap.Instance else thing.values).values()
    elif type(thing) is heap.Sequence:
        yield from thing.items or ()
    elif type(thing) is heap.Dictionary:
        yield from (value for _, value in thing.items or ())
