"""Everything the catalog keeps of transformers: the classes with a classification head, and where scripts start from.

How deep and wide a model is depends on its checkpoint, so only what does not is kept: the names of the top-level
modules, and the head, as its class makes it from the default configuration of its kind of model.

``classes`` has a row for each class, ``tasks`` the classes that an Auto class chooses from by `model_type`,
``checkpoints`` those of ``checkpoints.tsv``, ``bases`` what the model without a head answers for each of their kinds;
`headcheck.catalog.transformers` reads them.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headcheck.catalog.files import FORMAT
from headcheck.tracing import compare, write
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.light import CLASSES
from headcheck.tracing.model import regular
from headcheck.tracing.observe import Observation, observe
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import Tree, describe, lookup

#: As a value without types, so that this file can be checked where transformers is not installed.
transformers: Any = importlib.import_module("transformers")
_COUNT = "num_labels"
_TASKS = ("ImageClassification", "SequenceClassification", "TokenClassification", "AudioClassification")
_CHECKPOINTS = Path(__file__).with_name("checkpoints.tsv")
#: What stands for a module of which nothing is kept.
_NOTHING = Tree("", (), (), frozenset(), ())
#: Sizes of the inputs that models are tried with, by the name of what they take first.
_INPUTS: dict[str, Callable[[Any], torch.Tensor]] = {
    "pixel_values": lambda config: torch.zeros(2, getattr(config, "num_channels", 3), *_sides(config), device="meta"),
    "input_ids": lambda config: torch.ones(2, 8, dtype=torch.long, device="meta"),
    "input_values": lambda config: torch.zeros(2, 16_000, device="meta"),
}
#: Settings of a configuration that make a model shallow, for depth does not change its head.
_DEPTHS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers")


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every class with a classification head and return the parts of the catalog file."""
    table = write.Table()
    tasks = {f"AutoModelFor{task}": _classes(task) for task in _TASKS}
    kinds = {name: model_type for chosen in tasks.values() for model_type, name in chosen.items()}
    rows: dict[str, Any] = {}
    for number, (name, model_type) in enumerate(sorted(kinds.items())):
        progress(number, len(kinds), name)
        with _quiet():
            row = learn(table, name, model_type)
        if row is not None:
            rows[name] = row
    return {
        "format": FORMAT,
        "library": "transformers",
        "versions": {"transformers": str(transformers.__version__)},
        "namespaces": {},
        "layers": {},
        "tasks": tasks,
        "classes": rows,
        "checkpoints": (checkpoints := _checkpoints(kinds)),
        "bases": _bases(sorted({found[0] for found in checkpoints.values()}), rows, kinds),
        **table.data(),
    }


def _classes(task: str) -> dict[str, str]:
    """Return the class that an Auto class makes for each kind of model, the first where it may choose."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    words = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in task)
    mapping = getattr(auto, f"MODEL_FOR{words}_MAPPING_NAMES")
    return {kind: name if isinstance(name, str) else name[0] for kind, name in sorted(mapping.items())}


def _checkpoints(kinds: dict[str, str]) -> dict[str, list[Any]]:
    """Return ``{name: [model_type, class or "", labels, hidden size or None]}``.

    Raises TracingError for a line that names a class or a kind of model that transformers does not have.
    """
    found: dict[str, list[Any]] = {}
    for line in _CHECKPOINTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, model_type, kind, labels, hidden, _ = line.split("\t")
        if (kind != "-" and kind not in kinds) or model_type not in kinds.values():
            raise TracingError(f"{name}: transformers has no {kind} or no {model_type}")
        found[name] = [
            model_type,
            "" if kind == "-" else kind,
            int(labels),
            None if hidden == "-" else int(hidden),
        ]
    return dict(sorted(found.items()))


def _bases(model_types: list[str], rows: dict[str, Any], kinds: dict[str, str]) -> dict[str, list[Any]]:
    """Return ``{model_type: [class, names of its answer, [[name, shape], …] of what it answers by default]}``.

    The models are run for real, for some look at the numbers they are given.
    """
    found: dict[str, list[Any]] = {}
    for model_type in model_types:
        hidden = next(row[1] for name, row in rows.items() if kinds[name] == model_type)
        with _quiet(), torch.no_grad():
            model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(model_type)).eval()
            answer = model(torch.ones_like(_INPUTS[model.main_input_name](model.config), device="cpu"))
        shapes = [
            [name, [None, *("hidden" if size == hidden else None for size in part.shape[1:])]]
            for name, part in answer.items()
            if isinstance(part, torch.Tensor)
        ]
        found[model_type] = [type(model).__name__, sorted(type(answer).__dataclass_fields__), shapes]
    return found


def learn(table: write.Table, name: str, model_type: str) -> list[Any] | None:
    """Return the row of one class, see `headcheck.catalog.transformers`; None if it cannot be built or has no head."""
    try:
        made, plain = _built(name, model_type, CLASSES)
        tree = compare.scale(
            plain, lambda count: plain if count == CLASSES else _built(name, model_type, count)[1], _COUNT
        )
    except Exception:
        return None  # Some default configurations do not give a model; a class may fail in any way at all.
    heads = [path for path in compare.owners(tree) if path]
    if len(heads) != 1:
        return None
    top = heads[0].partition(".")[0]
    children = tuple((n, child if n == top or not child.children else _NOTHING) for n, child in tree.children)
    root = Tree(tree.kind, tuple(item for item in tree.values if item[0] == _COUNT), (), frozenset(), children)
    seen = _observed(made)
    above = [heads[0].rsplit(".", count)[0] for count in range(heads[0].count(".") + 1)]
    inputs = regular(seen.inputs, set(above)) if seen is not None else {}
    outputs = regular(seen.outputs, set(above)) if seen is not None else {}
    known = {n for n, _ in (*tree.values, *tree.parameters, *tree.children)} | tree.attributes
    layer = dict(lookup(tree, heads[0]).values)
    hidden = layer.get("in_features", layer.get("in_channels"))
    return [
        type(made).__module__,
        hidden,
        table.collect(root),
        heads[0],
        table.share([table.names(inputs), [_shape(shape, hidden) for shape in inputs.values()]]),
        table.share([table.names(outputs), [_shape(shape, hidden) for shape in outputs.values()]]),
        table.names(sorted(seen.read & known if seen is not None else {n for n, _ in tree.children})),
    ]


def _shape(shape: tuple[Any, ...], hidden: object) -> list[Any]:
    """Return a shape without what depends on the input or the checkpoint: only the number of labels, and the rank."""
    return [{_COUNT: [1, 0]} if size == CLASSES else "hidden" if size == hidden else None for size in shape]


def _built(name: str, model_type: str, labels: int) -> tuple[nn.Module, Tree]:
    config = transformers.AutoConfig.for_model(model_type)
    config.num_labels = labels
    for depth in _DEPTHS:
        if isinstance(getattr(config, depth, None), int):
            setattr(config, depth, 2)
    model = on_meta(lambda: getattr(transformers, name)(config))
    return model, describe(model)


def _observed(model: Any) -> Observation | None:
    """Return what happens in one forward pass; None where it fails, as it does where a model looks at values."""
    make = _INPUTS.get(model.main_input_name)
    if make is None:
        return None
    try:
        with no_arithmetic():
            return observe(model, (make(model.config),), train=False)
    except Exception:
        return None


def _sides(config: Any) -> tuple[int, int]:
    side = getattr(config, "image_size", 224)
    return (side, side) if isinstance(side, int) else (side[0], side[1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
