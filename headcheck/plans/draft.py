"""A plan while it is written: its steps, the numbers of its modules, what it leaves out and takes for granted."""

from __future__ import annotations

from typing import Any

from headcheck import events
from headcheck.execution import Execution, Model
from headcheck.interpreter.values import Address, Ref, Symbol, Tuple, Value, is_plain
from headcheck.ir import UNKNOWN
from headcheck.plans.reach import connected

STAND_IN_CLASSES = 7
OPEN_ARGUMENTS = frozenset({"out_features", "out_channels", "num_classes", "num_labels"})


class Draft:
    """What is known so far of a plan that is being written. Modules go by number."""

    def __init__(self, execution: Execution, model: Model, network: Address | None = None) -> None:
        self.execution = execution
        self.model = model
        self.root = network or model.ref.address
        self.networks: list[Address] = []
        self.left_out: list[str] = []
        self.taken_for_granted: list[str] = []
        self.parts: dict[tuple[Address, str], Address] = {}  # the library's own parts that were read
        self.stacks: set[Address] = set()  # those with some layers in them
        self.shortened = False  # a stack has more layers than are known, or a layer a weight of another size perhaps
        self.fitted: set[Value] = set()  # sizes that are whatever they must be in one place
        self.numbers: dict[Address, int] = {}
        self.own_layers: dict[Address, Address] = {}  # of the forward that is written: what they have here
        self.given: list[Any] = []  # what the root takes, if it takes several tensors
        self.more_optimizers = False  # one that may hold its parameters is not known
        self.may_take_other = False  # it may take something else than the picture that it is given
        self.steps: list[dict[str, Any]] = []
        self.stand_ins: dict[Value, int] = {}
        # A model by a name that was not known at first: it is built where it is.
        self.built_later = {event.module for event in execution.of(events.Built)}
        self.wanted = connected(execution, self.root)

    def number(self, address: Address) -> int:
        return self.numbers.setdefault(address, len(self.numbers) + 1)

    def knows(self, *addresses: Address) -> bool:
        return all(address in self.numbers for address in addresses)

    def leave_out(self, event: Any, what: str) -> None:
        self.left_out.append(f"{what}{self.at(event)}")

    def step(self, event: Any, op: str, **parts: Any) -> None:
        self.steps.append({"op": op, "line": self.execution.line(event.site), **parts})

    def plain(self, name: str, value: Value) -> Any:
        """A value as plain data; raises `KeyError` if it is not known and cannot be stood in for."""
        if type(value) is Tuple:
            return {"tuple": [self.plain(name, item) for item in value.items]}
        if is_plain(value):
            return value
        if type(value) is Ref and self.knows(value.address):
            return {"ref": self.number(value.address)}
        if type(value) is Symbol and value not in self.fitted and (name in OPEN_ARGUMENTS or value in self.stand_ins):
            return {"open": self.stand_ins.setdefault(value, STAND_IN_CLASSES)}
        if value is UNKNOWN and name in OPEN_ARGUMENTS:
            return {"open": STAND_IN_CLASSES}
        raise KeyError(name)

    def at(self, event: Any) -> str:
        return f" ({self.execution.where(event.site)})"

    def is_own(self, address: Address) -> bool:
        """Whether a module is one of the script's networks."""
        module = self.execution.module(Ref(address))
        return module is not None and module.cls is not None
