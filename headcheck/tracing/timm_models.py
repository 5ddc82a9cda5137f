"""Everything the catalog keeps of timm.

There are ten times as many models as in torchvision. So of each only its own attributes, its top-level layers and what
holds its head are kept in full, of everything else the names of the children and of the parameters. What is kept of a
model's heads is proven: with a layer for another number of classes in their place, it answers so many.

``builders`` has a row for each architecture; `headcheck.catalog.timm` says what is in it and reads it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from headcheck.catalog.entry import Shape
from headcheck.catalog.files import FORMAT
from headcheck.tracing import light, timm_versions, write
from headcheck.tracing import names as library_names
from headcheck.tracing.build import TracingError, on_meta
from headcheck.tracing.changes import Changes, at, compare, put, union
from headcheck.tracing.light import CLASSES
from headcheck.tracing.model import Traced
from headcheck.tracing.shortcuts import no_arithmetic
from headcheck.tracing.tree import Tree, describe, total

#: As values without types, so that this file can be checked where timm is not installed.
timm: Any = importlib.import_module("timm")
_registry: Any = importlib.import_module("timm.models._registry")
#: Keywords of `create_model` that scripts pass, each with a value that tells what it changes.
_KEYWORDS: tuple[tuple[str, object], ...] = (
    ("drop_rate", 0.375),
    ("drop_path_rate", 0.375),
    ("in_chans", 5),
    ("dynamic_img_size", True),
    ("output_stride", 16),
)
_POOLS = ("avg",)
#: Methods besides forward whose answer the catalog keeps.
_METHODS = ("forward_features",)
#: Names that an earlier version registered and this one does not, by their wheels: 0.3.2, 0.4.12, 0.5.4, 0.6.13,
#: 0.8.23.dev0, 0.9.2, 0.9.16, 1.0.3, 1.0.15.
_FORMER = """
    beit_base_patch16_224_in22k beit_large_patch16_224_in22k beitv2_base_patch16_224_in22k
    beitv2_large_patch16_224_in22k cspdarknet53_iabn cspresnext50_iabn densenet121d densenet264 densenet264d_iabn
    eca_efficientnet_b0 eca_lambda_resnext26ts eca_swinnext26ts_256 ecaresnet18 ecaresnet50 ecaresnext26tn_32x4d
    ese_vovnet99b_iabn gc_efficientnet_b0 geresnet50t gluon_xception65 halonet_h1_c4c5 lambda_resnet50t maxvit_base_224
    maxvit_large_224 maxvit_small_224 maxvit_tiny_224 maxvit_xlarge_224 nfnet_f0s nfnet_f1s nfnet_f2s nfnet_f3s
    nfnet_f4s nfnet_f5s nfnet_f6s nfnet_f7s rednet26t rednet50ts regnety_040s_gn regnetz_d8_evob resnet66d
    resnetv2_50d_evob SelecSls42 SelecSls42b SelecSls60 SelecSls60b SelecSls84 semobilevit_s seresnet50tn
    seresnext26_32x4d swinnet26t_256 swinnet50ts_256 vit_base_patch16_sam_224 vit_base_patch32_sam_224
    vit_huge_patch16_224 vit_huge_patch32_384 vit_medium_patch16_reg4_256 vit_small_resnet50d_s3_224
"""


def trace_all(progress: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Trace every registered architecture and return the parts of the catalog file."""
    learned = {}
    siblings: Siblings = {}
    names = sorted(timm.list_models())
    for number, name in enumerate(names):
        progress(number, len(names), name)
        learned[name] = learn(name, siblings)
    older = timm_versions.compare_all(learned)
    return data({name: replace(one, older=older.get(name, [])) for name, one in learned.items()})


def data(learned: Mapping[str, Learned]) -> dict[str, Any]:
    """Return the parts of the catalog file."""
    table, kinds = write.Table(), Kinds()
    by_module = sorted(learned, key=lambda name: (_registry._model_to_module[name], name))
    rows = {name: row(table, kinds, name, learned[name]) for name in by_module}
    return {
        "format": FORMAT,
        "library": "timm",
        "versions": {"timm": str(timm.__version__)},
        "namespaces": {"timm": table.names(library_names.public(timm)), "timm.models": table.names(_helpers())},
        "layers": {},
        "modules": table.names(sorted(timm.list_modules())),
        "deprecated": dict(sorted(_registry.get_deprecated_models().items())),
        "former": table.names(_FORMER.split()),
        "earliest": timm_versions.earliest({name: one.older[0] for name, one in learned.items() if one.older}),
        "kinds": list(map(list, kinds.items)),
        "builders": rows,
        **table.data(),
    }


def _helpers() -> list[str]:
    """The names of `timm.models` that are no models."""
    registered = set(_registry._model_entrypoints)
    return [name for name in library_names.public(timm.models) if name not in registered]


class _Model:
    """One architecture: how it is built, offline, and what it is called with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        self.classes = int(self.config.num_classes)
        self.shape = tuple(self.config.input_size)
        self.normal = (list(self.config.mean), list(self.config.std))

    def __call__(self, keywords: Mapping[str, object]) -> nn.Module:
        model: nn.Module = timm.create_model(self.name, **{"num_classes": CLASSES, **keywords})
        return model

    def built(self, keywords: Mapping[str, object]) -> nn.Module | None:
        """Return the model that some keywords give, None if they are refused."""
        try:
            return on_meta(lambda: self(keywords))
        except Exception:
            return None  # A model may refuse a keyword in any way at all.

    def answer(self, model: nn.Module) -> Shape | None:
        """Return the shape of the one tensor a model answers; a size that follows the image's is None."""
        found = _answer(model, self.shape, 1)
        if found is None or len(found) == 1:
            return found
        larger = _answer(model, self.shape, 2)
        if larger is None or len(found) != len(larger):
            return found
        return tuple(a if a == b else None for a, b in zip(found, larger, strict=True))


def _answer(model: nn.Module, shape: tuple[int, ...], scale: int) -> Shape | None:
    image = torch.zeros(2, shape[0], *(size * scale for size in shape[1:]), device="meta")
    try:
        with torch.no_grad(), no_arithmetic(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = model.eval()(image)
    except Exception:
        return None  # Models of one image size refuse another, each in its own way.
    return tuple(answer.shape[1:]) if isinstance(answer, Tensor) else None


#: What keywords change in the models of one form (see `_form`).
Siblings: TypeAlias = dict[tuple[object, ...], dict[str, Any]]


@dataclass(frozen=True)
class Learned:
    """What is kept of one architecture. `traced` is None where the model cannot be traced; nothing else is kept then.

    `normal` are the mean and the deviation that images are normalised with, `tags` those of the weights with what they
    set otherwise than the default ones, `total` is the number of parameters, `outlined` are the children of which only
    names are kept, `facts` what keywords change, `answers` the shapes that methods answer, `classifier` the paths of
    what `get_classifier` answers, `older` what was otherwise in older versions.
    """

    classes: int
    input: tuple[int, ...]
    normal: tuple[list[float], list[float]]
    tags: dict[str, Any]
    total: int = 0
    traced: Traced | None = None
    outlined: frozenset[str] = frozenset()
    facts: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[int | None]] = field(default_factory=dict)
    classifier: list[str] = field(default_factory=list)
    older: list[Any] = field(default_factory=list)


def learn(name: str, siblings: Siblings) -> Learned:
    """Build and trace one architecture. `siblings` are the facts of those traced before, and take in its own."""
    with _quiet():
        model = _Model(name)
        plain = Learned(model.classes, model.shape, model.normal, _tags(model))
        made = model.built({})
        if made is None:
            return plain
        try:
            traced, answers = light.trace(made, model, model.shape, _METHODS, sharing=True)
        except TracingError:
            return plain
        kept = {head.path.partition(".")[0] for head in traced.heads}
        outlined = frozenset(n for n, child in traced.tree.children if n not in kept and child.children)
        facts = dict(_facts(model, made, traced, outlined, siblings))
        bare = at(traced.tree, {"num_classes": 0})
        for head in traced.heads:
            bare = put(bare, head.path, _IDENTITY)
        for key, keywords in (("bare", {"num_classes": 0}), ("map", {"num_classes": 0, "global_pool": ""})):
            without = model.built(keywords)
            changes = compare(bare, describe(without), outlined) if without is not None else None
            answer = model.answer(without) if without is not None and changes is not None else None
            if changes is not None:
                facts[key] = changes
            if answer is not None:
                answers[key] = answer
        classifier, size = _classifier(made), sum(part.numel() for part in made.parameters())
        if not _proven(made, traced, model):
            return plain
        return replace(
            plain,
            total=size
            + total(traced.tree, {"num_classes": model.classes})
            - total(traced.tree, {"num_classes": CLASSES}),
            traced=traced,
            outlined=outlined,
            facts=facts,
            answers={key: list(shape) for key, shape in answers.items()},
            classifier=classifier,
        )


#: For how many classes the heads are that prove what was found.
_OTHERS = 7


def _proven(made: nn.Module, traced: Traced, model: _Model) -> bool:
    """Whether a model answers as many classes as the layers have that are put where its heads were found, if any."""
    for head in traced.heads:
        old: Any = made.get_submodule(head.path)
        parent, _, name = head.path.rpartition(".")
        if isinstance(old, nn.Linear):
            new: nn.Module = nn.Linear(old.in_features, _OTHERS, device="meta")
        else:
            new = nn.Conv2d(old.in_channels, _OTHERS, old.kernel_size, device="meta")
        setattr(made.get_submodule(parent), name, new)
    return not traced.heads or _answer(made, model.shape, 1) == (_OTHERS,)


#: Values of a model itself that are kept; of the others only that they are there.
_VALUES = frozenset(
    {"num_classes", "num_features", "head_hidden_size", "embed_dim", "in_chans", "global_pool", "drop_rate"}
)


class Kinds:
    """What rows have in common, each once."""

    def __init__(self) -> None:
        self.items: dict[tuple[int, ...], int] = {}

    def add(self, kind: list[int]) -> int:
        """Return the index of a kind."""
        return self.items.setdefault(tuple(kind), len(self.items))


def row(table: write.Table, kinds: Kinds, name: str, learned: Learned) -> list[Any]:
    """Return the row of one architecture, see `headcheck.catalog.timm`."""
    module = sorted(timm.list_modules()).index(_registry._model_to_module[name])
    tags, kind = table.share(learned.tags), [module, learned.classes, table.share(list(learned.normal))]
    if learned.traced is None:
        return [None, list(learned.input), tags, kinds.add(kind)]
    tree = learned.traced.tree
    gone = {value for value, _ in tree.values} - _VALUES
    slim = replace(
        tree,
        values=tuple(item for item in tree.values if item[0] not in gone),
        attributes=tree.attributes | gone,
    )
    traced = replace(learned.traced, tree=slim, inputs=_inputs(learned.traced), outputs=learned.traced.outputs)
    view = write.view(table, replace(traced, input=learned.input), learned.answers, learned.classifier)
    model = table.model(table.collect(slim, learned.outlined), view)
    kind += [table.share(learned.facts), table.share(learned.older[1:])]
    return [_millions(learned.total), model, tags, kinds.add(kind)]


def _millions(total: int) -> float:
    """Return a number of parameters in millions, with three figures."""
    found = float(f"{total / 1e6:.3g}")
    return int(found) if found.is_integer() else found


def _inputs(traced: Traced) -> dict[str, Any]:
    """Return the inputs that are not what the top-level module before answers, None for those that are not known."""
    found: dict[str, Any] = {}
    before = None
    for name, _ in traced.tree.children:
        given = traced.inputs.get(name)
        if given != before:
            found[name] = given
        before = traced.outputs.get(name)
    return found | {path: shape for path, shape in traced.inputs.items() if "." in path}


def _classifier(made: Any) -> list[str]:
    """Return the paths of what `get_classifier` answers."""
    answer = made.get_classifier() if hasattr(made, "get_classifier") else None
    paths = {id(part): path for path, part in made.named_modules()}
    parts = answer if isinstance(answer, tuple) else (answer,)
    return [paths[id(part)] for part in parts if id(part) in paths]


def _facts(
    model: _Model, made: nn.Module, traced: Traced, outlined: frozenset[str], siblings: Siblings
) -> dict[str, Any]:
    """Return what keywords change: {keyword: changes}; of ``global_pool`` {value: changes}.

    What is known of a sibling is tried again here, but all of it in one building.
    """
    pool = getattr(made, "global_pool", None)
    pool = pool if isinstance(pool, str) and pool else None
    form = (*_form(model, traced, outlined), pool)
    facts = siblings.get(form)
    if facts is None or not _hold(facts, model, pool, traced.plain, outlined):
        facts = _probe(model, pool, traced.plain, outlined)
        siblings.setdefault(form, facts)
    return facts


def _form(model: _Model, traced: Traced, outlined: frozenset[str]) -> tuple[object, ...]:
    """Return what siblings have in common: the class and the top of the model, and how its input is configured."""
    tops = tuple((name, child.kind) for name, child in traced.plain.children)
    own = tuple(name for name, _ in traced.plain.parameters)
    return traced.kind, tops, own, outlined, model.config.fixed_input_size


def _tries(model: _Model, pool: str | None) -> list[tuple[str, object]]:
    """Return the keywords to try, each with a value."""
    larger = ("img_size", tuple(2 * size for size in model.shape[1:]))
    pools = [("global_pool", other) for other in _POOLS if other != pool]
    return [*_KEYWORDS, larger, *pools]


def _probe(model: _Model, pool: str | None, base: Tree, outlined: frozenset[str]) -> dict[str, Any]:
    own: dict[str, Any] = {pool: {}} if pool is not None else {}
    found: dict[str, Any] = {"global_pool": own}
    for keyword, value in _tries(model, pool):
        changes = _changes(model, {keyword: value}, base, outlined)
        if changes is not None:
            (own if keyword == "global_pool" else found)[str(value) if keyword == "global_pool" else keyword] = changes
    return found


def _hold(facts: Mapping[str, Any], model: _Model, pool: str | None, base: Tree, outlined: frozenset[str]) -> bool:
    """Whether all keywords together change what they are said to change one by one."""
    tries = {
        keyword: value
        for keyword, value in _tries(model, pool)
        if keyword in facts and (keyword != "global_pool" or value in facts[keyword])
    }
    known = [
        facts[keyword][str(value)] if keyword == "global_pool" else facts[keyword] for keyword, value in tries.items()
    ]
    return _changes(model, tries, base, outlined) == union(known)


def _changes(model: _Model, keywords: Mapping[str, object], base: Tree, outlined: frozenset[str]) -> Changes | None:
    made = model.built(keywords)
    return None if made is None else compare(base, describe(made), outlined)


_IDENTITY = describe(nn.Identity())


def _tags(model: _Model) -> dict[str, Any]:
    """Return the tags of all weights, each with what it sets otherwise than the default one."""
    configs = timm.models.get_arch_pretrained_cfgs(model.name)
    default = _settings(model.config)
    found = {
        full.partition(".")[2]: {key: value for key, value in _settings(config).items() if value != default[key]}
        for full, config in configs.items()
    }
    return dict(sorted(found.items()))


def _settings(config: Any) -> dict[str, Any]:
    """What a tag's configuration passes to the builder, and what images are normalised with."""
    size = list(config.input_size)
    return {
        "num_classes": config.num_classes,
        "in_chans": size[0],
        "img_size": size[1:] if config.fixed_input_size else None,
        "global_pool": getattr(config, "global_pool", None),
        "mean": list(config.mean),
        "std": list(config.std),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm from remarking on what is not loaded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
