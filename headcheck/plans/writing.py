"""From the events of an execution, and the forwards of its networks, to a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import events
from headcheck.feeding import as_clips, how_many, taken_by_layers
from headcheck.interpreter import heap
from headcheck.interpreter.values import Address, Ref
from headcheck.losing import loss_of
from headcheck.plans.draft import Draft
from headcheck.plans.reach import bare, stem_channels
from headcheck.plans.steps import STEPS, created, layer

if TYPE_CHECKING:
    from headcheck.interpreter.recording import Program

Plan: TypeAlias = dict[str, Any]
BATCH = 2


class Writer(Draft):
    """Writes the plan of one model."""

    def write(self, probes: Iterable[str]) -> Plan:
        if self.execution.skipped:
            self.left_out.append(f"{self.execution.skipped}, for there is too much to follow")
        if self.execution.stopped:
            self.taken_for_granted.append("no cell is run after the one that stops")
        for event in self.execution.history:
            handler = STEPS.get(type(event))
            if handler is not None:
                handler(self, event)
        for address in self.numbers:
            self.look_for_more(address)
        for network in self.networks:
            self.write_forward(network)
        cast = self.autocast()
        return {
            "id": 0,
            "steps": self.steps,
            "root": self.number(self.root),
            "input": self.given or self.inputs() or None,
            "kind": self.model.entry.task,
            "loss": with_own_cast(loss_of(self.execution, self.root), cast),
            "autocast": cast,
            "left_out": self.left_out[0] if self.left_out else "",
            "taken": " and ".join(dict.fromkeys(self.taken_for_granted)),
            "shortened": self.shortened,
            "takes_other": self.may_take_other,
            "more_optimizers": self.more_optimizers,
            "built": self.execution.where(self.model.built.site),
            "probes": {"parameters": list(probes)},
        }

    def autocast(self) -> bool | str:
        """Whether the model runs under autocast: the dtype of it where all of its calls do, True where they may.

        Lightning trains in the numbers that its trainer is told. What autocasts on an accelerator does nothing to a
        model that stays on the CPU.
        """
        found = self.execution.casts(self.root)
        if found is None or self.execution.in_lightning(self.root):
            return True
        moved = any(step["op"] == "move" and step.get("device") == "cuda" for step in self.steps)
        used = any(event.made for execution in self.execution.family for event in execution.of(events.Casting))
        if used and (not moved or len(found) != 1 or "any" in found):
            return True
        (cast,) = found or {""}
        return cast if cast not in ("", "off") else False

    def inputs(self) -> list[list[int]]:
        """The shapes that the library's model takes; none where only the model itself, once it is built, tells."""
        if not self.model.entry.input:
            return []
        first, *rest = self.model.entry.input
        channels = stem_channels(self.execution, self.model)
        one = [BATCH, channels or first, *rest]
        return [one, one] if self.model.entry.task == "optical_flow" else [one]

    def look_for_more(self, address: Address) -> None:
        """A stack of nobody knows how many layers has those that are known; of other modules, this is left out."""
        module = self.execution.module(Ref(address))
        if module is None or module.known or bare(self.execution, module) is not None:
            return
        if module.node is not None and module.build is None and not module.kind:
            return  # a part of the library's of which the catalog keeps nothing
        short, where = module.kind.rsplit(".", 1)[-1], f" ({self.execution.where(module.site)})"
        if module.kind in heap.CONTAINERS and (module.children or address in self.stacks):
            self.shortened = True
            self.taken_for_granted.append(f"the layers that are not known go on with what the {short} has{where}")
        elif module.cls is None and not is_layer(module):
            self.left_out.append(f"what else is put into the {short}{where}")

    def write_forward(self, network: Address) -> None:
        """What one of the script's networks does, if it is the root or stands in the library's model.

        Where it is in another of the script's networks, that one's forward says what happens.
        """
        shape = self.arriving(network)
        if shape is None:
            return
        self.own_layers = {}
        count = how_many(self.execution, network) if network == self.root else 1
        program = self.with_one(network, shape) if count == 1 else self.with_several(network, count)
        if program.unknown:
            self.left_out.append(program.unknown)
            return
        self.taken_for_granted.extend(program.taken)
        step = {"steps": list(program.steps), "answer": program.answer}
        self.steps.append({"op": "forward", "of": self.number(network), "line": None, **step})

    def recorded(self, network: Address, shapes: list[Any]) -> Program:
        from headcheck.interpreter.recording import record

        return record(
            self.execution.machine,
            self.execution.state,
            Ref(network),
            [None if shape is None else tuple(shape) for shape in shapes],
            self.number_in_forward,
            self.made_in_forward,
            lambda op: (self.execution.line(op), self.execution.where(op)),
        )

    def number_in_forward(self, address: Address) -> int | None:
        """The number of a module that a forward calls: one that stands beside the network is made where it is used."""
        module = self.execution.module(Ref(address))
        if address not in self.numbers and module is not None and module.cls is None and not module.children:
            event = next((e for e in self.execution.of(events.Created) if e.module == address), None)
            if event is not None and module.kind.startswith("torch.nn.") and module.build is None:
                self.wanted.add(address)
                created(self, event)
        return self.numbers.get(address)

    def made_in_forward(self, event: events.Created, module: heap.Module) -> int | None:
        """The number of a layer that a forward makes for itself: one beside the network."""
        if module.cls is not None or module.children or module.build or not module.kind.startswith("torch.nn."):
            return None
        if event.module not in self.own_layers:
            self.own_layers[event.module] = own = (0, len(self.numbers))  # its address is that of this forward alone
            layer(self, event._replace(module=own), module)
        return self.number(self.own_layers[event.module])

    def with_one(self, network: Address, shape: tuple[int | None, ...]) -> Program:
        """What a network does with one tensor. Where it is the root, its first layer tells what it takes; if none is
        the first to take it, this may be anything, and the plan says that."""
        if network == self.root:
            (clip,) = as_clips(self.execution, network, [list(shape)])
            if clip != list(shape):
                self.given, self.may_take_other = [clip], True
                return self.recorded(network, [clip])
        program = self.recorded(network, [shape])
        if program.unknown or network != self.root:
            return program
        taken = self.taken(program).get(0)
        self.may_take_other = taken is None or is_guessed(taken)
        if taken is None or taken == list(shape):
            return program
        self.given = [taken]
        return self.recorded(network, self.shapes())

    def taken(self, program: Program) -> dict[int, Any]:
        """What the inputs of a program have to be, by their registers."""
        addresses = {number: address for address, number in self.numbers.items()}
        return taken_by_layers(self.execution, self.model, self.inputs()[0], program.steps, addresses.get)

    def shapes(self) -> list[Any]:
        return [shape["long"] if isinstance(shape, dict) else shape for shape in self.given]

    def with_several(self, network: Address, count: int) -> Program:
        """What a network does with several tensors: those whose first layer is known, if there is one for each."""
        program = self.recorded(network, [None] * count)
        if program.unknown:
            return program
        taken = self.taken(program)
        self.given = [taken.get(-index) for index in range(count)]
        if any(shape is None for shape in self.given):
            self.given = []
            return program._replace(unknown="what its forward is given beside the picture")
        self.may_take_other = any(map(is_guessed, self.given))
        return self.recorded(network, self.shapes())

    def arriving(self, network: Address) -> tuple[int | None, ...] | None:
        """The shape of what reaches a network of the script; None where nobody but the script runs it."""
        if network == self.root:
            return tuple(self.inputs()[0])
        model, path = self.execution.place(network) or (None, "")
        if model is None or model.ref.address != self.model.ref.address or not path:
            return None
        shape = self.execution.arriving(model, path)
        if shape is None:
            self.left_out.append(f"the shape that reaches `{path}`, which is not known")
            return None
        return (BATCH, *(size if isinstance(size, int) else None for size in shape))


def is_layer(module: heap.Module) -> bool:
    """Whether a module is a layer of torch without any parts: what is put into it beside its own does nothing."""
    return module.kind.startswith("torch.nn.") and not module.children and module.kind not in heap.CONTAINERS


def with_own_cast(loss: dict[str, Any] | None, cast: bool | str) -> dict[str, Any] | None:
    """A loss, and those beside it, that say under which autocast they are only where the model is under another one."""
    if loss is None:
        return None
    own = loss.pop("cast", "") or "off"
    if cast is not True and own != (cast or "off"):
        loss["cast"] = own
    return {**loss, "beside": [with_own_cast(one, cast) for one in loss["beside"]]} if "beside" in loss else loss


def is_guessed(shape: Any) -> bool:
    """Whether a network takes clips, of nobody knows how many pictures."""
    return isinstance(shape, list) and len(shape) > 4
