"""`torchvision.models.feature_extraction` and `IntermediateLayerGetter`: a model that answers its inner outputs."""

from __future__ import annotations

from headcheck import events
from headcheck.catalog.entry import Entry, Shape
from headcheck.interpreter import forward, heap, parts
from headcheck.interpreter.heap import Dictionary, Module
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tensor, Value, batch_of, symbol
from headcheck.ir import Operation
from headcheck.semantics import layers
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect

EXTRACTOR = "torchvision.models.feature_extraction.GraphModule"


@effect(
    "torchvision.models.feature_extraction.create_feature_extractor",
    "torchvision.models._utils.IntermediateLayerGetter",
)
def extractor(call: CallSite) -> Value:
    """A module that runs the model up to some of its nodes and answers their outputs by name."""
    model = call.argument(0, "model")
    asked = call.argument(1, "return_nodes", call.keywords.get("return_layers"))
    names = nodes_of(call, asked)
    if type(call.state.object(model)) is not Module or names is None:
        return unknown(call)
    values = {"nodes": names}
    made = Module(EXTRACTOR, call.site, children={"model": model}, values=values, known=False)
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address, {"model": model}))
    return ref


def nodes_of(call: CallSite, asked: Value) -> tuple[tuple[str, str], ...] | None:
    """(node of the model, key in the answer) of everything that is asked for."""
    thing = call.state.object(asked)
    if type(thing) is Dictionary and thing.items is not None:
        pairs = thing.items
    elif type(thing) is heap.Sequence and thing.items is not None:
        pairs = tuple((name, name) for name in thing.items)
    else:
        return None
    plain = all(isinstance(name, str) and isinstance(key, str) for name, key in pairs)
    return tuple((str(name), str(key)) for name, key in pairs) if plain else None


def extract(state: State, ref: Ref, module: Module, given: Value, site: Operation) -> Value:
    """What an extractor answers: a dict with the shapes that the catalog knows of these nodes."""
    owner = module.children["model"]
    model = state.object(owner)
    entry = model.build.entry if type(model) is Module and model.build is not None else None
    answers: list[tuple[Value, Value]] = []
    for node, key in module.values["nodes"]:
        shape = shape_at(state, owner, entry, node) if entry is not None else None
        known = shape is not None
        value = Tensor((batch_of(given), *shape), owner.address, owner.address) if shape is not None else None
        answers.append((key, value if known else symbol("extracted", key, ref, key)))
    return state.allocate(Dictionary(tuple(answers)), site)


def shape_at(state: State, owner: Ref, entry: Entry, node: str) -> Shape | None:
    """The shape that leaves a node: a part of the model by its path, or the flatten before the head."""
    head = next((h for h in entry.heads if not h.auxiliary), None)
    part = parts.part_at(state, owner, node)
    if part is not None:
        return entry.outputs.get(node) if not parts.is_edited(state, part) else None
    if node == "flatten" and head is not None:
        first = head.path.split(".")[0]
        shape = entry.inputs.get(first)
        return (layers.product(shape),) if shape is not None else None
    return None


forward.SPECIAL[EXTRACTOR] = extract
