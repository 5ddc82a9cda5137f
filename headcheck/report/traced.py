"""What tracing one's own builder showed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from headcheck.catalog.entry import Entry, Head, Shape
from headcheck.catalog.snippet import expression
from headcheck.report.show import shape

METHODS = {
    "fx": "torch.fx followed the whole model",
    "autograd": "its gradients were followed back from the output",
    "detection": "it was trained on a dummy image",
}


def render(entry: Entry, out: TextIO) -> None:
    """The model, its heads with what reaches them, and what reaches the containers that hold them."""
    out.writelines(f"{line}\n" for line in _lines(entry))


def _lines(entry: Entry) -> Iterator[str]:
    kind = entry.root.kind.rpartition(".")[2]
    yield f"{entry.builder}: {kind}, {entry.root.total:,} parameters, one input is {shape(entry.input)}"
    yield f"  {METHODS.get(entry.method, entry.method)}"
    for head in entry.heads:
        yield f"  {_head(head)}"
    for path in sorted({path for head in entry.heads for path in _above(head.path) if path in entry.inputs}):
        yield f"  {expression(path)} holds it and gets {_batch(entry.inputs[path])}"
    if not entry.heads:
        yield "  no classifier head was found"


def _head(head: Head) -> str:
    what = "auxiliary head" if head.auxiliary else "head"
    layer = f"{head.kind.rpartition('.')[2]}({head.in_features}, {head.out_features})"
    return f"{what} {expression(head.path)}: {layer}, gets {_batch(head.shape)}"


def _above(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _batch(sizes: Shape) -> str:
    return "(" + ", ".join(["N", *("?" if size is None else str(size) for size in sizes)]) + ")"
