"""Finding heads in the graph that torch.fx traces."""

from __future__ import annotations

import contextlib
import io
import warnings

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from headcheck.catalog.entry import Shape
from headcheck.tracing.shortcuts import no_arithmetic


def heads(
    model: nn.Module, arguments: tuple[Tensor, ...] | None, train: bool
) -> dict[str, tuple[set[str], Shape | None]] | None:
    """Return, for the path of each head, the keys of the outputs it makes and the feature shape that reaches it.

    Shapes are propagated from `arguments`; without arguments they are None. A head is the nearest layer with a weight
    matrix or kernel on the way back from an output; norms, scales, dropout, pooling and flattening are passed through.
    None when torch.fx cannot follow the model.
    """
    model.train(train)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = fx.symbolic_trace(model)
            if arguments is not None:
                with torch.no_grad(), no_arithmetic(), contextlib.redirect_stderr(io.StringIO()):
                    ShapeProp(graph).propagate(*arguments)  # It prints a traceback before it raises.
    except Exception:
        # Tracing runs the model's forward with stand-ins, which may fail in any way at all (control flow that
        # depends on data, a size used as an index); the autograd walk takes over.
        return None
    found: dict[str, tuple[set[str], Shape | None]] = {}
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    for key, start in _outputs(output.args[0]):
        for node in _nearest_layers(graph, start):
            known = node.all_input_nodes[0].meta.get("tensor_meta")
            shape = None if known is None else tuple(known.shape[1:])
            found.setdefault(str(node.target), (set(), shape))[0].add(key)
    return found


def _outputs(answer: object, key: str = "") -> list[tuple[str, fx.Node]]:
    if isinstance(answer, fx.Node):
        fields = getattr(answer.target, "_fields", None)
        if fields is None:
            return [(key, answer)]
        items = list(zip(fields, answer.args, strict=True))  # A call that makes a named tuple.
    elif isinstance(answer, dict):
        items = [(str(name), item) for name, item in answer.items()]
    elif isinstance(answer, tuple) and hasattr(answer, "_fields"):
        items = [(name, getattr(answer, name)) for name in answer._fields]
    elif isinstance(answer, list | tuple):
        items = [(str(index), item) for index, item in enumerate(answer)]
    else:
        return []
    return [found for name, item in items for found in _outputs(item, f"{key}.{name}" if key else name)]


def _nearest_layers(graph: fx.GraphModule, start: fx.Node) -> list[fx.Node]:
    found, seen, queue = [], {start}, [start]
    while queue:
        node = queue.pop()
        if node.op == "call_module" and _has_matrix(graph.get_submodule(str(node.target))):
            found.append(node)
            continue
        queue += [source for source in node.all_input_nodes if source not in seen]
        seen.update(node.all_input_nodes)
    return found


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())
