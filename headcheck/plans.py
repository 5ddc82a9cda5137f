"""From an execution to the plan of one model: the straight-line program that rebuilds it, as plain data.

The worker (`headcheck.confirm.worker`) runs a plan without a line of the script. A number that the script leaves open
(its number of classes) is stood in for: ``{"open": 7}``. What is not known and cannot change a shape, or can only be
right in one way, is `taken` for granted: such a plan may call a model clean, with these words, but refutes nothing.
What cannot be told is left out, and the plan says what (`left_out`): then it can confirm a finding but neither refute
one nor call a model clean. `built` is where the script builds the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from headcheck import catalog, events
from headcheck.catalog.entry import Node
from headcheck.execution import Execution, Model
from headcheck.feeding import how_many, taken_by_layers
from headcheck.interpreter import heap
from headcheck.interpreter.calls import NETWORKS
from headcheck.interpreter.forward import own_forward
from headcheck.interpreter.values import Address, Ref, Symbol, Tuple, Value, is_plain
from headcheck.ir import UNKNOWN
from headcheck.losing import loss_of

if TYPE_CHECKING:
    from headcheck.interpreter.recording import Program

Plan: TypeAlias = dict[str, Any]
STAND_IN_CLASSES = 7
OPEN_ARGUMENTS = frozenset({"out_features", "out_channels", "num_classes"})
BATCH = 2
#: Layers that torch fits to what reaches them: the argument that may be left away then, and the class that does so.
FITTING = {
    "torch.nn.Linear": ("in_features", "torch.nn.LazyLinear"),
    **{f"torch.nn.Conv{n}d": ("in_channels", f"torch.nn.LazyConv{n}d") for n in (1, 2, 3)},
    **{f"torch.nn.BatchNorm{n}d": ("num_features", f"torch.nn.LazyBatchNorm{n}d") for n in (1, 2, 3)},
}


def can_be_built(builder: str) -> bool:
    """Whether the worker builds models of this builder: those of libraries that build from a name, without weights."""
    return builder.startswith(("torchvision.", "timm.", "efficientnet_pytorch.", "pretrainedmodels."))


def make_plan(execution: Execution, model: Model, probes: Iterable[str] = (), within: bool = False) -> Plan:
    """The plan of a model on one execution. Modules go by number; `probes` are parameters to be told about.

    `within`: of the script's own network that holds the model, if there is one. Where its forward cannot be recorded
    whole, the plan is of the model alone, and leaves out that.
    """
    left_out = ""
    for network in networks(execution, model) if within else ():
        plan = _Writer(execution, model, network).write(probes)
        if not plan["left_out"]:
            return plan
        left_out = left_out or plan["left_out"]
    alone = _Writer(execution, model).write(probes)
    return {**alone, "left_out": alone["left_out"] or left_out}


def networks(execution: Execution, model: Model) -> list[Address]:
    """The script's networks that hold a model or parts of it, with a forward of their own, and are in no other one."""
    if model.entry.task not in ("classification", "video"):
        return []
    parts = {model.ref.address}
    for event in execution.of(events.Taken):  # oldest first
        if event.owner in parts:
            parts.add(event.module)
    holders = set().union(*(execution.holders(part) for part in parts))
    own = [address for address in holders if address != model.ref.address and is_network(execution, address)]
    return [one for one in own if not any(one in execution.holders(other) for other in own if other != one)]


def is_network(execution: Execution, address: Address) -> bool:
    module = execution.module(Ref(address))
    return module is not None and module.cls is not None and own_forward(module) is not None


def only_steps(steps: Iterable[dict[str, Any]]) -> Plan:
    """A plan that makes no model: its steps raise, or nothing is shown."""
    return {
        "id": 0,
        "steps": list(steps),
        "root": 0,
        "input": None,
        "kind": "classification",
        "loss": None,
        "autocast": False,
        "left_out": "what the script does with the model",
        "taken": "",
        "shortened": False,
        "built": "",
        "probes": {"parameters": []},
    }


class _Writer:
    def __init__(self, execution: Execution, model: Model, network: Address | None = None) -> None:
        self.execution = execution
        self.model = model
        self.root = network or model.ref.address
        self.networks: list[Address] = []
        self.left_out: list[str] = []
        self.taken_for_granted: list[str] = []
        self.parts: dict[tuple[Address, str], Address] = {}  # the library's own parts that were read
        self.stacks: set[Address] = set()  # those with some layers in them
        self.shortened = False  # a stack has more layers than are known
        self.fitted: set[Value] = set()  # sizes that are whatever they must be in one place
        self.numbers: dict[Address, int] = {}
        self.given: list[Any] = []  # what the root takes, if it takes several tensors
        self.steps: list[dict[str, Any]] = []
        self.stand_ins: dict[Value, int] = {}
        # A model by a name that was not known at first: it is built where it is.
        self.built_later = {event.module for event in execution.of(events.Built)}
        self.wanted = connected(execution, self.root)

    def write(self, probes: Iterable[str]) -> Plan:
        if self.execution.skipped:
            self.left_out.append(f"{self.execution.skipped}, for there is too much to follow")
        if self.execution.stopped:
            self.left_out.append("what comes after the cell that stops")
        for event in self.execution.history:
            handler = STEPS.get(type(event))
            if handler is not None:
                handler(self, event)
        for address in self.numbers:
            self.look_for_more(address)
        for network in self.networks:
            self.write_forward(network)
        return {
            "id": 0,
            "steps": self.steps,
            "root": self.number(self.root),
            "input": self.given or self.inputs(),
            "kind": self.model.entry.task,
            "loss": loss_of(self.execution, self.root),
            "autocast": any("autocast" in event.what for event in self.execution.of(events.Ambient)),
            "left_out": self.left_out[0] if self.left_out else "",
            "taken": " and ".join(dict.fromkeys(self.taken_for_granted)),
            "shortened": self.shortened,
            "built": self.execution.where(self.model.built.site),
            "probes": {"parameters": list(probes)},
        }

    def inputs(self) -> list[list[int]]:
        first, *rest = self.model.entry.input
        channels = stem_channels(self.execution, self.model)
        one = [BATCH, channels or first, *rest]
        return [one, one] if self.model.entry.task == "optical_flow" else [one]

    def look_for_more(self, address: Address) -> None:
        """A stack of nobody knows how many layers has those that are known; of other modules, this is left out."""
        module = self.execution.module(Ref(address))
        if module is None or module.known:
            return
        short, where = module.kind.rsplit(".", 1)[-1], f" ({self.execution.where(module.site)})"
        if module.kind in heap.CONTAINERS and (module.children or address in self.stacks):
            self.shortened = True
            self.taken_for_granted.append(f"the layers that are not known go on with what the {short} has{where}")
        elif module.cls is None:
            self.left_out.append(f"what else is put into the {short}{where}")

    def write_forward(self, network: Address) -> None:
        """What one of the script's networks does, if it is the root or stands in the library's model.

        Where it is in another of the script's networks, that one's forward says what happens.
        """
        shape = self.arriving(network)
        if shape is None:
            return
        count = how_many(self.execution, network) if network == self.root else 1
        program = self.recorded(network, [shape]) if count == 1 else self.with_several(network, count)
        if program.unknown:
            self.left_out.append(program.unknown)
            return
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
            lambda op: (self.execution.line(op), self.execution.where(op)),
        )

    def number_in_forward(self, address: Address) -> int | None:
        """The number of a module that a forward calls: one that stands beside the network is made where it is used."""
        module = self.execution.module(Ref(address))
        if address not in self.numbers and module is not None and module.cls is None and not module.children:
            event = next((e for e in self.execution.of(events.Created) if e.module == address), None)
            if event is not None and module.kind.startswith("torch.nn.") and module.build is None:
                self.wanted.add(address)
                self.created(event)
        return self.numbers.get(address)

    def with_several(self, network: Address, count: int) -> Program:
        """What a network does with several tensors: those whose first layer is known, if there is one for each."""
        program = self.recorded(network, [None] * count)
        if program.unknown:
            return program
        addresses = {number: address for address, number in self.numbers.items()}
        picture = self.inputs()[0]
        taken = taken_by_layers(self.execution, self.model, picture, program.steps, addresses.get)
        self.given = [taken.get(-index) for index in range(count)]
        if any(shape is None for shape in self.given):
            self.given = []
            return program._replace(unknown="what its forward is given beside the picture")
        return self.recorded(network, [shape["long"] if isinstance(shape, dict) else shape for shape in self.given])

    def arriving(self, network: Address) -> tuple[int, ...] | None:
        """The shape of what reaches a network of the script; None where nobody but the script runs it."""
        if network == self.root:
            return tuple(self.inputs()[0])
        model, path = self.execution.place(network) or (None, "")
        if model is None or model.ref.address != self.model.ref.address:
            return None
        shape = self.execution.arriving(model, path)
        if shape is None or not all(isinstance(size, int) for size in shape):
            self.left_out.append(f"the shape that reaches `{path}`, which is not known")
            return None
        return (BATCH, *(size for size in shape if isinstance(size, int)))

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

    # -- one method per event ----------------------------------------------------------------------------------------

    def built(self, event: events.Built) -> None:
        if event.module not in self.wanted:
            return
        if not can_be_built(event.builder):
            self.leave_out(event, f"{event.builder}, which is not built here")
            return
        keywords = {
            k: v.items if type(v) is Tuple else v for k, v in event.keywords.items() if is_plain(v) or type(v) is Tuple
        }
        for name in OPEN_ARGUMENTS & event.keywords.keys() - keywords.keys():
            if type(event.keywords[name]) is Symbol:
                keywords[name] = self.plain(name, event.keywords[name])
        unknown = next((k for k in event.keywords if k not in keywords and "drop" not in k), None)
        if unknown is not None:
            self.leave_out(event, f"`{unknown}` of {event.builder.rsplit('.', 1)[-1]}, which is not known")
        weights = event.weights if isinstance(event.weights, (bool, str)) else False
        kwargs = self.keywords(event.builder, keywords, weights)
        step: dict[str, Any] = {"out": self.number(event.module), "builder": event.builder, "kwargs": kwargs}
        if weights is not False:
            step["weights"] = weights
        self.step(event, "build", **step)

    def keywords(self, builder: str, keywords: Mapping[str, Any], weights: bool | str) -> dict[str, Any]:
        """The keywords that build the same structure without weights."""
        if builder.startswith("torchvision."):
            return catalog.worker_keywords(builder, keywords, weights)
        return {k: {"tuple": list(v)} if isinstance(v, tuple) else v for k, v in keywords.items()}

    def created(self, event: events.Created) -> None:
        if event.module not in self.wanted or event.module in self.built_later:
            return
        module = self.execution.state.heap[event.module]
        if module.cls is not None and heap.library_bases(module.cls) <= NETWORKS:
            self.step(event, "network", out=self.number(event.module))
            self.networks.append(event.module)
            return
        if module.cls is not None or not module.kind.startswith(("torch.nn.", "torchvision.")):
            name = module.cls.name if module.cls is not None else module.kind
            self.leave_out(event, f"{name}, a class of the script")
            return
        arguments = {n: v for n, v in module.arguments.items() if self.differs(module.kind, n, v)}
        arguments = {n: v for n, v in arguments.items() if n not in STILL or is_plain(v)}
        arguments, kind = self.without_unknown(event, module.kind, arguments)
        try:
            kwargs = {name: self.plain(name, value) for name, value in arguments.items()}
        except KeyError as error:
            self.leave_out(event, f"`{error.args[0]}` of a {module.kind.rsplit('.', 1)[-1]}, which is not known")
            return
        is_container = module.kind in CONTAINERS
        if not is_container:
            kwargs.update({n: {"ref": self.number(v.address)} for n, v in event.children.items() if type(v) is Ref})
        args = leading(module.kind, kwargs)
        self.step(event, "layer", out=self.number(event.module), **{"class": kind}, args=args, kwargs=kwargs)
        if is_container and event.children:
            self.stacks.add(event.module)
        for name, value in event.children.items() if is_container else ():
            if type(value) is Ref and self.knows(value.address):
                self.step(
                    event, "add_module", of=self.number(event.module), name=name, value=self.number(value.address)
                )
            else:
                self.leave_out(event, f"`{name}` of a {module.kind.rsplit('.', 1)[-1]}, which is not known")

    def without_unknown(
        self, event: events.Created, kind: str, arguments: dict[str, Value]
    ) -> tuple[dict[str, Value], str]:
        """The arguments of a layer without those that are taken for granted, and the class to make it of."""
        short = kind.rsplit(".", 1)[-1]
        name, lazy = FITTING.get(kind, ("", ""))
        if name in arguments and not self.is_told(arguments[name]):
            self.fitted.add(arguments[name])
            self.taken_for_granted.append(f"`{name}` of the {short} is what reaches it{self.at(event)}")
            return {n: v for n, v in arguments.items() if n != name}, lazy
        unknown = [n for n, v in arguments.items() if not is_plain(v)] if short.endswith("Loss") else []
        if not unknown or "reduction" in unknown:
            return arguments, kind
        self.taken_for_granted.append(f"`{unknown[0]}` of the {short} does not matter{self.at(event)}")
        return {n: v for n, v in arguments.items() if n not in unknown}, kind

    def is_told(self, value: Value) -> bool:
        """Whether a size is known or stood in for."""
        return is_plain(value) or value in self.stand_ins or type(value) is Tuple

    def at(self, event: Any) -> str:
        return f" ({self.execution.where(event.site)})"

    def is_own(self, address: Address) -> bool:
        """Whether a module is one of the script's networks."""
        module = self.execution.module(Ref(address))
        return module is not None and module.cls is not None

    def differs(self, kind: str, name: str, value: Value) -> bool:
        signature = catalog.layer(kind)
        default = signature.parameters.get(name) if signature else None
        return not (is_plain(value) and type(value) is type(default) and value == default)

    def taken(self, event: events.Taken) -> None:
        self.parts.setdefault((event.owner, event.name), event.module)
        if self.knows(event.owner) and event.module in self.wanted:
            self.step(event, "get", out=self.number(event.module), of=self.number(event.owner), path=event.name)

    def copied(self, event: events.Copied) -> None:
        if event.module in self.wanted and self.knows(event.original):
            self.step(event, "copy", out=self.number(event.module), of=self.number(event.original))

    def child_set(self, event: events.ChildSet) -> None:
        if not self.knows(event.owner):
            return
        value: Any = None
        if type(event.new) is Ref and self.knows(event.new.address):
            value = self.number(event.new.address)
        elif event.new is not None and self.is_own(event.owner):
            return  # if its forward used it, that could not be recorded
        elif event.new is not None:
            self.leave_out(event, f"the new `{event.name}`, which is not known")
            return
        self.step(event, "set", of=self.number(event.owner), name=event.name, value=value)

    def child_deleted(self, event: events.ChildDeleted) -> None:
        if not self.knows(event.owner):
            return
        if event.how == "item" and event.name.isdigit():
            self.step(event, "delitem", of=self.number(event.owner), index=int(event.name))
        else:
            self.step(event, "delete", of=self.number(event.owner), name=event.name)

    def field_set(self, event: events.FieldSet) -> None:
        if not self.knows(event.owner) or event.name == "requires_grad":
            return
        if is_plain(event.value):
            self.step(event, "plain", of=self.number(event.owner), parameters=None, name=event.name, value=event.value)
        elif event.name in ("weight", "bias", "forward"):
            self.leave_out(event, f"the new `{event.name}`, which is not known")

    def flagged(self, event: events.Flagged) -> None:
        if self.knows(event.module):
            paths = "all" if event.paths is None else list(event.paths)
            last = self.steps[-1] if self.steps else {}
            number = self.number(event.module)
            same = last.get("op") == "requires_grad" and last["of"] == number and last["value"] == event.value
            if same and paths != "all" and last["parameters"] != "all":
                last["parameters"].extend(paths)
            else:
                self.step(event, "requires_grad", of=number, parameters=paths, value=event.value)

    def flag_missed(self, event: events.FlagMissed) -> None:
        if type(event.owner) is not Ref or not self.knows(event.owner.address) or not is_plain(event.value):
            return
        if event.receiver in ("module", "parameter"):
            paths = [event.path] if event.path and event.path != "*" else None
            if event.path == "*":
                paths = [p for p, _ in self.execution.parameters(event.owner).items]
            number = self.number(event.owner.address)
            self.step(event, "plain", of=number, parameters=paths, name=event.name, value=event.value)

    def missing(self, event: events.Missing) -> None:
        if not self.knows(event.owner):
            return
        number = self.number(event.owner)
        if event.action == "index":
            self.step(event, "item", out=len(self.numbers) + 1_000, of=number, index=event.name)
        else:
            self.step(event, event.action, of=number, name=event.name)

    def mode(self, event: events.ModeSet) -> None:
        if self.knows(event.module):
            self.step(event, "mode", of=self.number(event.module), train=event.training)

    def moved(self, event: events.Moved) -> None:
        """What holds the model moves it as well. Where a move aims may be an accelerator, it does."""
        holder = event.module in self.execution.holders(self.model.ref.address)
        if not holder and not self.knows(event.module):
            return
        address = event.module if self.knows(event.module) else self.model.ref.address
        if not self.knows(address):
            return
        if event.dtype == "unsure" and event.device != "unsure":
            self.leave_out(event, "a move to something that is not known")
        target = {"device": "cpu" if event.device == "cpu" else "cuda"} if event.device else {}
        if event.dtype and event.dtype != "unsure":
            target["dtype"] = event.dtype
        if target:
            self.step(event, "move", of=self.number(address), **target)

    def loaded(self, event: events.Loaded) -> None:
        """Weights of which it is known that they do not fit: loading them raises."""
        unfit = event.differing or (event.strict is True and (event.missing or event.unexpected))
        if unfit and self.knows(event.module):
            names = {"missing": list(event.missing), "unexpected": list(event.unexpected)}
            differing = [[name, list(shape)] for name, shape, _ in event.differing]
            strict = event.strict is True
            self.step(event, "load", of=self.number(event.module), strict=strict, differing=differing, **names)

    def skipped(self, event: events.Skipped) -> None:
        if not event.modules.isdisjoint(self.wanted | self.execution.holders(self.root)):
            self.leave_out(event, f"a call of `{event.name}`, for there is too much to follow")

    def optimized(self, event: events.Optimized) -> None:
        held = [self.as_it_was(p.owner.address, p.path) for p in event.parameters if type(p.owner) is Ref]
        mine = [[self.number(a), path] for a, path in held if self.knows(a)]
        if event.complete and len(mine) == len(held) and (held or not event.groups):
            groups, start = [], 0
            for count, options in event.groups or ([(len(mine), {})] if mine else []):
                groups.append({"parameters": mine[start : start + count], **numbers_in(options)})
                start += count
            if start == len(mine):
                number, kwargs = self.number(event.optimizer), numbers_in(event.keywords)
                self.step(event, "optimizer", out=number, **{"class": event.kind}, groups=groups, kwargs=kwargs)

    def as_it_was(self, owner: Address, path: str) -> tuple[Address, str]:
        """A parameter from the part that was there when its name was taken, whatever stands in its place by now."""
        name, _, rest = path.partition(".")
        part = self.parts.get((owner, name)) if rest else None
        return (owner, path) if part is None else self.as_it_was(part, rest)


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


#: Arguments of layers that leave every shape as it is: where they are not known, the default does.
STILL = frozenset({"eps", "inplace", "momentum", "negative_slope", "p"})
CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})

STEPS: Mapping[type, Callable[[_Writer, Any], None]] = {
    events.Built: _Writer.built,
    events.Created: _Writer.created,
    events.Taken: _Writer.taken,
    events.Copied: _Writer.copied,
    events.ChildSet: _Writer.child_set,
    events.ChildDeleted: _Writer.child_deleted,
    events.FieldSet: _Writer.field_set,
    events.Flagged: _Writer.flagged,
    events.FlagMissed: _Writer.flag_missed,
    events.Missing: _Writer.missing,
    events.ModeSet: _Writer.mode,
    events.Moved: _Writer.moved,
    events.Loaded: _Writer.loaded,
    events.Optimized: _Writer.optimized,
    events.Skipped: _Writer.skipped,
}


def connected(execution: Execution, root: Address) -> set[Address]:
    """The modules that have a part in a model: its own, what was ever put into it, and where those come from."""
    found = {root}
    grown = True
    while grown:
        before = len(found)
        for event in execution.history:
            if isinstance(event, events.ChildSet) and event.owner in found and type(event.new) is Ref:
                found.add(event.new.address)
            elif isinstance(event, events.Created) and event.module in found:
                found.update(value.address for value in event.children.values() if type(value) is Ref)
            elif isinstance(event, events.Taken) and (event.owner in found or event.module in found):
                found.update((event.owner, event.module))
            elif isinstance(event, events.Copied) and event.module in found:
                found.add(event.original)
        grown = len(found) > before
    return found


def stem_channels(execution: Execution, model: Model) -> int | None:
    """The channels that a replaced first convolution takes, None if it is the library's own."""
    path = _first_convolution(model.entry.root)
    part = execution.part(model, path) if path else None
    channels = execution.field(part, "in_channels") if part is not None and execution.is_new(part) else None
    return channels if isinstance(channels, int) else None


def _first_convolution(node: Node, path: str = "") -> str:
    for name, child in node.children.items():
        full = f"{path}.{name}" if path else name
        if child.kind.startswith("torch.nn.Conv"):
            return full
        deeper = _first_convolution(child, full)
        if deeper:
            return deeper
    return ""
