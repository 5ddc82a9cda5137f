"""Structure: a model that is put together again from the parts of another."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck import events
from headcheck.catalog.entry import Shape
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, shape_words
from headcheck.execution import Execution, Model
from headcheck.findings import IN_FORWARD, Expectation
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Address, Ref
from headcheck.semantics.layers import product

SEQUENTIAL = "torch.nn.Sequential"
WITHOUT_FORWARD = frozenset({"torch.nn.ModuleList", "torch.nn.ModuleDict"})


@check("HC206")
def children_are_not_forward(execution: Execution) -> Iterator[Report]:
    """A Sequential of a model's children, used, whose forward does something between two of them that is lost."""
    for event in execution.of(events.Created):
        stack = execution.module(Ref(event.module))
        if stack is None or stack.kind != SEQUENTIAL or stack.cls is not None or stack.node is not None:
            continue
        found = first_loss(execution, stack)
        if found is None or not is_used(execution, event.module):
            continue
        model, lost, flattened = found
        if flattened and refused_inside(execution, event.module):
            continue  # the layer that gets the map says so itself
        message = f"a Sequential of the children of {built(execution, model)} is not its forward: {lost}"
        yield Report("HC206", event.site, message, instead(execution, model), IN_FORWARD)


def first_loss(execution: Execution, stack: Module) -> tuple[Model, str, bool] | None:
    """What a model's forward does between two of its children that follow one another in a stack, and the stack does
    not: (model, in words, whether that is a flattening)."""
    before: tuple[Address, str] | None = None
    gives: Shape | None = None
    for value in stack.children.values():
        module = execution.module(value)
        home = module.home if module is not None and module.node is not None else None
        model = next((m for m in execution.models if home is not None and m.ref.address == home[0]), None)
        if home is None or model is None or "." in home[1] or execution.is_edited(value):
            before, gives = None, None
            continue
        name, entry = home[1], model.entry
        if execution.kind(value) in WITHOUT_FORWARD:
            return model, f"`{name}` is a list of modules, which has no forward of its own", False
        gets = entry.inputs.get(name)
        if before is None or not follows(execution, model, before, home):
            gives = gets
        elif before[1] in entry.inputs and before[1] not in entry.outputs and gets is not None:
            return model, f"`{before[1]}` answers several tensors, `{name}` takes one", False
        flow = execution.flow(value, gives)
        if flow.mismatch is not None or (flow.shape is None and not fits(gives, gets)):
            if fits(gives, gets) or gives is None or gets is None or before is None:
                return None
            flattened = len(gets) == 1 and product(gives) == gets[0]
            step = "flattens that" if flattened else f"gives `{name}` {shape_words(gets)}"
            return model, f"`{before[1]}` answers {shape_words(gives)}, and forward {step}", len(gets) == 1
        before, gives = home, flow.shape if flow.shape is not None else entry.outputs.get(name)
    return None


def follows(execution: Execution, model: Model, before: tuple[Address, str], here: tuple[Address, str]) -> bool:
    """Whether a child follows another in the model too."""
    order = [name for name, _ in execution.children(model.ref) or ()]
    if before[0] != here[0] or before[1] not in order or here[1] not in order:
        return False
    return order.index(here[1]) == order.index(before[1]) + 1


def fits(gives: Shape | None, gets: Shape | None) -> bool:
    """Whether one shape can be another; what is not known can be anything."""
    if gives is None or gets is None:
        return True
    return len(gives) == len(gets) and all(None in pair or pair[0] == pair[1] for pair in zip(gives, gets, strict=True))


def is_used(execution: Execution, address: Address) -> bool:
    """Whether something is called with its children in this order, or trained so.

    A stack that another Sequential holds is called with that; one whose parameters an optimizer holds is called
    somewhere, if no module of the script's own holds it, whose forward may do as it likes. Its parts are parts of the
    model too, and perhaps of what is cut out of it: an optimizer that was made of these says nothing of the stack.
    """
    called = {event.module for event in execution.of(events.Called)}
    around, holders = {address}, execution.holders(address)
    grown = True
    while grown:
        found = {a for a in holders - around if holds(execution, a, around)}
        grown = bool(found)
        around |= found
    if called & around:
        return True
    if around != holders or execution.optimized(Ref(address)) is not True:
        return False
    asked = [event.of for event in execution.of(events.Optimized)]
    if all(asked):
        return not around.isdisjoint(frozenset().union(*asked))
    return not any(is_run(execution, other, called) for other in beside(execution, address) - around)


def beside(execution: Execution, address: Address) -> set[Address]:
    """The modules that hold parts of a stack, but for those parts."""
    module = execution.module(Ref(address))
    parts = {value.address for value in module.children.values() if type(value) is Ref} if module is not None else set()
    return set().union(*map(execution.holders, parts)) - parts


def is_run(execution: Execution, address: Address, called: set[Address]) -> bool:
    """Whether a module does something with its parts: it is called, or of a class of the script."""
    module = execution.module(Ref(address))
    return address in called or (module is not None and module.cls is not None)


def holds(execution: Execution, address: Address, inner: set[Address]) -> bool:
    module = execution.module(Ref(address))
    if module is None or module.kind != SEQUENTIAL:
        return False
    return any(type(value) is Ref and value.address in inner for value in module.children.values())


def refused_inside(execution: Execution, address: Address) -> bool:
    """Whether a layer is known to refuse what reaches it while a module is called, on whatever path."""
    for other in execution.family:
        calls = {id(event.site) for event in other.of(events.Called) if event.module == address}
        if any(id(event.site) in calls for event in other.of(events.Mismatched)):
            return True
    return False


def instead(execution: Execution, model: Model) -> str:
    """The model as its own trunk, without its head."""
    main = [head for head in model.entry.heads if not head.auxiliary]
    if not main:
        return ""
    name = execution.name_of(model.ref)
    return f"{name}.{dotted(main[0].path.split('.')[0])} = nn.Identity() leaves the rest of its forward as it is"


@check("HC208")
def missing_call(execution: Execution) -> Iterator[Report]:
    """Something that does its work only when it is called: a layer's class, a method, `super().__init__`."""
    for event in execution.of(events.Uncalled):
        if event.kind == "init":
            message = f"`super().__init__()` was not called before `{event.name}` is set: a module cannot hold it yet"
            yield Report("HC208", event.site, message, "call super().__init__() first", Expectation())
        elif event.kind == "network":
            message = f"`{event.name}` is a class, not a network made of it: this method needs one"
            yield Report("HC208", event.site, message, f"make it first: {event.name}(…)", Expectation())
        else:
            what = "a class, not a layer" if event.kind == "layer" else "a method, not what it answers"
            message = f"`{event.name}` is not called here: it is {what}"
            yield Report("HC208", event.site, message, f"write {event.name}()", Expectation())
