"""What a plan is about: the networks of the script around a model, and the modules that have a part in it."""

from __future__ import annotations

from typing import Any

from headcheck import events
from headcheck.catalog.entry import NOTHING, Entry, Node
from headcheck.execution import Execution, Model
from headcheck.interpreter.forward import own_forward
from headcheck.interpreter.heap import Instance, Module
from headcheck.interpreter.values import Address, Ref, Tuple, is_plain

BUILT = (
    "torchvision.", "timm.", "efficientnet_pytorch.", "pretrainedmodels.", "transformers.", "fastai.", "open_clip.",
    "torch_hub.",
)  # fmt: skip
EXTRACTOR = "timm.FeatureListNet"
#: What changes the maps of an extractor of timm; the rest leaves them as they are.
OF_EXTRACTORS = ("features_only", "in_chans", "out_indices", "output_stride")
PICTURE = (3, 224, 224)


def can_be_built(builder: str) -> bool:
    """Whether the worker is asked for models of this builder: those of libraries that build from a name, without
    weights, and those of torch.hub, of which it says why it has not built them."""
    return builder.startswith(BUILT)


def model_at(execution: Execution, address: Address | None) -> Model | None:
    """The library's model at an address; of those without a head, one that stands in a network of the script."""
    known = next((m for m in execution.models if m.ref.address == address), None)
    module = execution.module(Ref(address)) if known is None and address is not None else None
    if module is None or bare(execution, module) is None:
        return known
    made = next((e for e in execution.of(events.Created) if e.module == address), None)
    if made is None or module.build is None or address is None:
        return None
    root = Node(module.build.builder, {}, {}, {}, frozenset(), None, NOTHING)
    entry = Entry(module.build.builder, "classification", root, (), {}, {}, frozenset(), PICTURE, "")
    return Model(Ref(address), module, entry, events.Built(made.site, address, entry.builder, {}, True))


def bare(execution: Execution, module: Module) -> dict[str, Any] | None:
    """What a model without a head is built with: how wide one of transformers is, which maps an extractor of timm
    answers. None for anything else."""
    if module.build is None or module.build.entry is not None:
        return None
    if module.kind == EXTRACTOR:
        given = {name: module.build.keywords[name] for name in OF_EXTRACTORS if name in module.build.keywords}
        return given if all(is_plain(value) or type(value) is Tuple for value in given.values()) else None
    settings = execution.state.object(module.values.get("config"))
    width = settings.attributes.get("hidden_size") if type(settings) is Instance else None
    return {"width": width} if type(width) is int and module.build.builder.startswith("transformers.") else None


def networks(execution: Execution, model: Model) -> list[Address]:
    """The script's networks that hold a model or parts of it, with a forward of their own, and are in no other one."""
    if model.entry.task not in ("classification", "video", "contrastive"):
        return []
    parts = {model.ref.address}
    for event in execution.of(events.Taken):  # oldest first
        if event.owner in parts:
            parts.add(event.module)
    holders = set().union(*(execution.holders(part) for part in parts))
    own = [address for address in holders if address != model.ref.address and is_network(execution, address)]
    return [one for one in own if not any(other in execution.holders(one) for other in own if other != one)]


def is_network(execution: Execution, address: Address) -> bool:
    module = execution.module(Ref(address))
    return module is not None and module.cls is not None and own_forward(module) is not None


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
    """The channels that a replaced first convolution is made for, None if it is the library's own."""
    path = _first_convolution(model.entry.root)
    part = execution.part(model, path) if path else None
    module = execution.module(part) if type(part) is Ref and execution.is_new(part) else None
    channels = module.arguments.get("in_channels") if module is not None else None
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
