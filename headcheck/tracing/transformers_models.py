"""Everything the catalog keeps of transformers: the classes with a classification head, and where scripts start from.

How deep and wide a model is depends on its checkpoint, so only what does not is kept: the names of the top-level
modules, and the head, as its class makes it from the default configuration of its kind of model. What is kept of a head
is proven: with a layer for another number of labels in its place, the model answers so many.

``classes`` has a row for each class that is proven, ``unproven`` the names of the others, ``tasks`` the classes that an
Auto class chooses from by `model_type`,
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
from headcheck.catalog.transformers import shortened, usual_modules
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
_TASKS = (
    "ImageClassification",
    "SequenceClassification",
    "TokenClassification",
    "AudioClassification",
    "VideoClassification",
)
_CHECKPOINTS = Path(__file__).with_name("checkpoints.tsv")
#: What stands for a module of which nothing is kept.
_NOTHING = Tree("", (), (), frozenset(), ())
#: What models are tried with, by the name of what they take first; several where they differ in what it looks like.
_INPUTS: dict[str, tuple[Callable[[Any], torch.Tensor], ...]] = {
    "pixel_values": (
        lambda config: torch.zeros(2, getattr(config, "num_channels", 3), *_sides(config)),
        lambda config: torch.zeros(2, _frames(config), getattr(config, "num_channels", 3), *_sides(config)),
    ),
    "inputs": (lambda config: torch.zeros(2, 3, 224, 224), lambda config: torch.full((2, 8), 5)),
    "pixel_values_videos": (lambda config: torch.zeros(2, _frames(config), 3, *_sides(config)),),
    "input_ids": (
        lambda config: torch.full((2, 8), 5),
        lambda config: torch.full((1, 8), 5),
        lambda config: torch.full((2, 8), int(config.eos_token_id)),
    ),
    "input_values": (
        lambda config: torch.zeros(2, 16_000),
        lambda config: torch.zeros(2, config.max_length, config.num_mel_bins),
    ),
    "input_features": (
        lambda config: torch.zeros(2, config.num_mel_bins, 2 * config.max_source_positions),
        lambda config: torch.zeros(2, 64, config.feature_projection_input_dim),
    ),
}
#: How large a model may be that is run for real because the meta device does not do.
_MOST_PARAMETERS = 600_000_000
#: For how many labels the head is that proves what was found.
_OTHERS = 7
#: Settings that some default configurations leave open although their models need them.
_OPEN = {
    "vocab_size": 64,
    "head_dim": 64,
    "num_key_value_heads": 8,
    "num_experts_per_tok": 2,
}
#: And those that models are run with, which they may not have at all.
_RUN = {"pad_token_id": 1, "decoder_start_token_id": 1, "default_language": "en_XX"}
#: Settings of a configuration that make a model shallow, for depth does not change its head.
_DEPTHS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers")


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every class with a classification head and return the parts of the catalog file."""
    table = write.Table()
    tasks = {f"AutoModelFor{task}": _classes(task) for task in _TASKS}
    kinds = {name: model_type for chosen in tasks.values() for model_type, name in chosen.items()}
    kinds |= _variants()
    rows: dict[str, Any] = {}
    for number, (name, model_type) in enumerate(sorted(kinds.items())):
        progress(number, len(kinds), name)
        with _quiet():
            row = learn(table, name, model_type)
        if row is not None:
            rows[name] = row
    return data(table, tasks, kinds, rows)


def data(
    table: write.Table, tasks: dict[str, dict[str, str]], kinds: dict[str, str], rows: dict[str, Any]
) -> dict[str, Any]:
    """Return the parts of the catalog file."""
    usual = usual_modules(tasks)
    rows = {name: ["" if row[0] == usual.get(name) else row[0], *row[1:]] for name, row in rows.items()}
    return {
        "format": FORMAT,
        "library": "transformers",
        "versions": {"transformers": str(transformers.__version__)},
        "namespaces": {},
        "layers": {},
        "tasks": {
            auto: {kind: shortened(auto, name) for kind, name in chosen.items()} for auto, chosen in tasks.items()
        },
        "classes": rows,
        "unproven": table.names(sorted(kinds.keys() - rows.keys())),
        "checkpoints": (checkpoints := _checkpoints(kinds)),
        "bases": _bases(sorted({found[0] for found in checkpoints.values()}), rows, kinds),
        **table.data(),
    }


def _classes(task: str) -> dict[str, str]:
    """Return the class that an Auto class makes for each kind of model, the first where it may choose."""
    return {kind: names[0] for kind, names in sorted(_mapping(task).items())}


def _variants() -> dict[str, str]:
    """Return the classes that no Auto class makes by itself, and the kind of model of each."""
    return {name: kind for task in _TASKS for kind, names in _mapping(task).items() for name in names[1:]}


def _mapping(task: str) -> dict[str, tuple[str, ...]]:
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    words = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in task)
    mapping = getattr(auto, f"MODEL_FOR{words}_MAPPING_NAMES")
    return {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in mapping.items()}


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
            answer = _answer(model)
        shapes = [
            [name, [None, *("hidden" if size == hidden else None for size in part.shape[1:])]]
            for name, part in answer.items()
            if isinstance(part, torch.Tensor)
        ]
        found[model_type] = [type(model).__name__, sorted(type(answer).__dataclass_fields__), shapes]
    return found


def _answer(model: Any) -> Any:
    """Return what a model without a head answers to the first of the inputs by that name that it takes."""
    *some, last = _INPUTS[model.main_input_name]
    for make in some:
        with contextlib.suppress(IndexError, RuntimeError, ValueError):
            return model(torch.ones_like(make(model.config)))
    return model(torch.ones_like(last(model.config)))


def learn(table: write.Table, name: str, model_type: str) -> list[Any] | None:
    """Return the row of one class, see `headcheck.catalog.transformers`; None if it cannot be built, or if it is not
    proven that it has one head, and where."""
    try:
        made, plain = build(name, model_type, CLASSES)
        tree = compare.scale(
            plain, lambda count: plain if count == CLASSES else build(name, model_type, count)[1], _COUNT
        )
    except Exception:
        return None  # Some default configurations do not give a model; a class may fail in any way at all.
    heads = [path for path in compare.owners(tree) if path]
    if len(heads) != 1:
        return None
    top = heads[0].partition(".")[0]
    children = tuple((n, child if n == top or not child.children else _NOTHING) for n, child in tree.children)
    root = Tree("", tuple(item for item in tree.values if item[0] == _COUNT), (), frozenset(), children)
    observed = seen(made, name, model_type, heads[0])
    if observed is None:
        return None
    above = [heads[0].rsplit(".", count)[0] for count in range(heads[0].count(".") + 1)]
    inputs, outputs = regular(observed.inputs, set(above)), regular(observed.outputs, set(above))
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
        table.names(sorted(observed.read & known)),
    ]


def _shape(shape: tuple[Any, ...], hidden: object) -> list[Any]:
    """Return a shape without what depends on the input or the checkpoint: only the number of labels, and the rank."""
    return [{_COUNT: [1, 0]} if size == CLASSES else "hidden" if size == hidden else None for size in shape]


def build(name: str, model_type: str, labels: int) -> tuple[nn.Module, Tree]:
    """Return a shallow model of a class, on the meta device, and the tree of its modules."""
    config = _configuration(model_type, labels)
    model = on_meta(lambda: getattr(transformers, name)(config))
    return model, describe(model)


def _configuration(model_type: str, labels: int, shallow: bool = True) -> Any:
    """Return the default configuration of a kind of model, but that the model is shallow if that is wanted."""
    config = transformers.AutoConfig.for_model(model_type)
    config.num_labels = labels
    inner = [each for each in vars(config).values() if isinstance(each, transformers.PretrainedConfig)]
    for each in (config, *inner):
        for name, value in _OPEN.items():
            if getattr(each, name, 0) is None:
                setattr(each, name, value)
        for depth in _DEPTHS if shallow else ():
            if isinstance(getattr(each, depth, None), int):
                with contextlib.suppress(NotImplementedError):
                    setattr(each, depth, 2)
    for name, needed in _RUN.items():
        if getattr(config, name, None) is None:
            setattr(config, name, needed)
    return config


def seen(model: Any, name: str, model_type: str, head: str) -> Observation | None:
    """Return what happens in a forward pass of a class's model, None where it is not proven that its head is `head`:
    with a layer for another number of labels in its place, the model answers so many."""
    return _observed(model, head) or _observed_otherwise(name, model_type, head)


def _observed(model: Any, head: str) -> Observation | None:
    """Return what happens in one forward pass, None where it fails, as it does where a model looks at values, and where
    the model does not answer as many labels as a layer has that is put where its head was found."""
    for make in _INPUTS.get(model.main_input_name, ()):
        try:
            given = make(model.config).to(next(model.parameters()).device)
            with no_arithmetic() if given.is_meta else contextlib.nullcontext():
                found = observe(model, (given,), train=False)
                if _proven(model, head, given):
                    return found
        except Exception:
            continue  # A model may refuse an input in any way at all; the next may do.
    return None


def _observed_otherwise(name: str, model_type: str, head: str) -> Observation | None:
    """As `_observed`, with a model of the default depth, in half precision, and for real: some models are
    of several kinds of layers, or look at values. Words are few then, for they take most of the memory."""
    try:
        config = _configuration(model_type, CLASSES, shallow=False)
        whole = on_meta(lambda: getattr(transformers, name)(config))
        found = _observed(whole, head) or _observed(whole.bfloat16(), head)
        if found is not None:
            return found
        config = _configuration(model_type, CLASSES)
        for each in (config, *vars(config).values()):
            if isinstance(getattr(each, "vocab_size", None), int) and config.pad_token_id < 64:
                each.vocab_size = 64
        size = sum(part.numel() for part in on_meta(lambda: getattr(transformers, name)(config)).parameters())
        return _observed(getattr(transformers, name)(config), head) if size < _MOST_PARAMETERS else None
    except Exception:
        return None  # As above; some configurations do not have what is asked of them here.


def _proven(model: Any, head: str, given: torch.Tensor) -> bool:
    old: Any = model.get_submodule(head)
    parent, _, name = head.rpartition(".")
    device = next(model.parameters()).device
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(
            old.in_features, _OTHERS, old.bias is not None, device=device, dtype=old.weight.dtype
        )
    elif isinstance(old, nn.Conv1d):
        new = nn.Conv1d(old.in_channels, _OTHERS, old.kernel_size[0], device=device)
    else:
        new = nn.Conv2d(old.in_channels, _OTHERS, old.kernel_size, device=device)
    setattr(model.get_submodule(parent), name, new)
    for part in (model, model.config):
        if hasattr(part, _COUNT):
            setattr(part, _COUNT, _OTHERS)  # some models give their logits a shape with it
    try:
        with torch.no_grad():
            return bool(model(given).logits.shape[-1] == _OTHERS)
    finally:
        setattr(model.get_submodule(parent), name, old)


def _frames(config: Any) -> int:
    found: Any = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", 16)
    return int(found)


def _sides(config: Any) -> tuple[int, int]:
    side: Any = getattr(config, "image_size", None) or getattr(config, "crop_size", 224)
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
