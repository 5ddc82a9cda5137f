"""Detection heads that get several feature maps at once, so that no single shape can be followed through them."""

from __future__ import annotations

from collections.abc import Iterator

from headcheck.catalog.entry import Node
from headcheck.checks import Report, check
from headcheck.checks.words import built, dotted, layer_name
from headcheck.execution import Execution, Model
from headcheck.findings import Expectation
from headcheck.interpreter.values import Ref

HEADS = frozenset(
    f"{family}{part}Head"
    for family in ("RetinaNet", "FCOS", "SSD", "SSDLite")
    for part in ("Classification", "Regression")
)


@check("HC101")
def wrong_maps(execution: Execution) -> Iterator[Report]:
    """A new head of the same class as the library's whose first layers take other channels than the library's did."""
    for model in execution.models:
        if model.entry.task != "detection" or not execution.forward_is_the_librarys(model):
            continue
        backbone = execution.part(model, "backbone")
        if backbone is None or (type(backbone) is Ref and execution.is_edited(backbone)):
            continue
        for path, original in originals(model.entry.root):
            part = execution.part(model, path)
            if not execution.is_new(part) or part is None or execution.kind(part) != original.kind:
                continue
            for inner, takes in first_layers(original):
                new = execution.part(model, f"{path}.{inner}")
                given = execution.field(new, "in_channels") if new is not None else None
                if type(given) is int and given != takes:
                    yield describe(execution, model, path, inner, given, takes)
                    break


def originals(root: Node) -> Iterator[tuple[str, Node]]:
    """The library's own heads of these classes, with their paths."""
    head = root.children.get("head")
    for name in head.children if head is not None else ():
        assert head is not None
        if layer_name(head.children[name].kind) in HEADS:
            yield f"head.{name}", head.children[name]


def first_layers(head: Node) -> Iterator[tuple[str, int]]:
    """(path, channels it takes) of each layer of a head that a feature map reaches first."""
    tops = ["conv"] if "conv" in head.children else [f"module_list.{n}" for n in head.children["module_list"].children]
    for top in tops:
        path, node = top, head
        for name in top.split("."):
            node = node.children[name]
        while "in_channels" not in node.values and node.children:
            name = next(iter(node.children))
            path, node = f"{path}.{name}", node.children[name]
        takes = node.values.get("in_channels")
        if isinstance(takes, int):
            yield path, takes


def describe(execution: Execution, model: Model, path: str, inner: str, given: int, takes: int) -> Report:
    part = execution.part(model, path)
    kind = layer_name(execution.kind(part)) if part is not None else ""
    where = dotted(f"{path}.{inner}") if inner.startswith("module_list") else dotted(path)
    message = f"{kind} takes {given} channels, but {built(execution, model)} feeds {takes} into `{where}`"
    help_ = (
        f"in_channels={takes}" if inner.startswith("conv") else "the channels of the backbone's feature maps, in order"
    )
    return Report("HC101", execution.site_of(part), message, help_, Expectation("raises"), model.ref.address)
