"""What `headcheck model` says of one model: gathered from the catalog of its library, written by `describe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headcheck.catalog import efficientnet, fastai, hub, open_clip, pretrainedmodels, smp, snippet, timm, transformers
from headcheck.catalog.entry import Entry, Shape
from headcheck.catalog.models import canonical, find, model_builder, normal, registered
from headcheck.catalog.namespaces import weights, weights_of
from headcheck.records import NamedTuple

#: What the models of a task are called with, where it is not one batch.
_EXPECTS = {"detection": "a list of images (3, H, W)", "optical_flow": "two batches {}"}
#: Rows of a table: the cells of each line.
Rows = Sequence[tuple[str, ...]]


class Sheet(NamedTuple):
    """One model. `title` is its full name, `words` say what it is; `entry` has its heads, None if nothing is known of
    them; `weights` are a heading and a table, `code` gives it other classes, `remarks` are sentences. `asked` is the
    number of classes that `entry` was asked for where the model has no head of itself, else 0."""

    title: str
    words: tuple[str, ...]
    entry: Entry | None
    weights: tuple[str, Rows] = ("", ())
    code: str = ""
    remarks: tuple[str, ...] = ()
    asked: int = 0


class Library(NamedTuple):
    """One library: the prefix of its models' names as they are listed, and those names without it."""

    prefix: str
    names: tuple[str, ...]


def libraries() -> Iterator[Library]:
    """Yield what is listed of each library, in the order in which a name is looked for."""
    yield Library("", tuple(sorted(registered())))
    yield Library("timm.", timm.architectures())
    yield Library("transformers.", transformers.classes())
    yield Library("", transformers.checkpoints())
    yield Library("", efficientnet.names())
    yield Library("pretrainedmodels.", pretrainedmodels.names())
    yield Library("segmentation_models_pytorch.", smp.names())
    yield Library("", hub.names())
    yield Library("open_clip.", open_clip.names())
    yield Library("fastai.", fastai.names())


def sheets(name: str) -> list[Sheet]:
    """Return what the libraries say of a name: each of those that have a model of that name says something."""
    found = (
        _torchvision(name),
        _timm(name),
        _transformers(name),
        _efficientnet(name),
        _pretrainedmodels(name),
        _smp(name),
        _hub(name),
        _open_clip(name),
        _fastai(name),
    )
    return [sheet for sheet in found if sheet is not None]


def batch(shape: Shape) -> str:
    """Return a shape in words, the batch first."""
    return "(" + ", ".join(["N", *("?" if size is None else str(size) for size in shape)]) + ")"


# -- torchvision -----------------------------------------------------------------------------------------------------


def _torchvision(name: str) -> Sheet | None:
    candidates = (name, f"torchvision.models.{name}", f"torchvision.{name}")
    builder = model_builder(name) or next((found for found in map(canonical, candidates) if found), None)
    if builder is None:
        return None
    entry = find(builder, {}, "DEFAULT")
    assert entry is not None
    words = (
        entry.task.replace("_", " "),
        entry.root.kind.rpartition(".")[2],
        f"{entry.root.total:,} parameters",
        f"expects {_EXPECTS.get(entry.task, '{}').format(batch(entry.input))}",
    )
    enum = weights_of(builder)
    members = (weights(enum) if enum else None) or {}
    table = [(member, f"{count} classes" if count else "") for member, count in members.items()]
    heading = f"Weights ({enum.rpartition('.')[2]})" if enum else ""
    numbers = normal(builder)
    remarks = (*([_normalised(*numbers)] if numbers else ()), *_at_times(entry))
    return Sheet(builder, words, entry, (heading, table), snippet.snippet(builder), remarks)


def _normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    return f"Images are normalised with mean {_numbers(mean)} and deviation {_numbers(std)}."


def _at_times(entry: Entry) -> Iterator[str]:
    """Say which heads are there only with, or only without weights."""
    plain = find(entry.builder, {}, False)
    paths = {head.path for head in entry.heads}
    others = {head.path for head in plain.heads} if plain else paths
    for path in sorted(others - paths):
        yield f"{snippet.expression(path)} is there only without weights"
    for path in sorted(paths - others):
        yield f"{snippet.expression(path)} is there only with weights"


# -- timm ------------------------------------------------------------------------------------------------------------

#: How scripts and lists say that a model is timm's.
_TIMM = ("timm.models.", "timm.", "timm/", "hf-hub:timm/", "hf_hub:timm/")


def _timm(name: str) -> Sheet | None:
    bare = next((name[len(prefix) :] for prefix in _TIMM if name.startswith(prefix)), name)
    named = timm.resolve(bare)
    if named is None:
        return None
    classes = timm.default_classes(named)
    asked = 0 if classes else snippet.COUNTS[0]
    entry = timm.find(named, {"num_classes": asked} if asked else {})
    full = f"{named.architecture}.{named.tag}" if named.tag else named.architecture
    words = ["classification"]
    if entry is not None:
        words += [entry.root.kind.rpartition(".")[2], f"{timm.parameters(named.architecture):g} M parameters"]
    shape, mean, std = timm.images(named)
    words.append(f"expects {batch(shape)}")
    remarks = []
    if bare != full and bare != named.architecture:
        remarks.append(f"{bare} is the former name of {full}.")
    if not classes:
        remarks.append("It has no head unless num_classes says how many classes.")
    if entry is not None:
        remarks += [f"get_classifier() answers {_paths(timm.classifier(named.architecture))}."]
    remarks.append(_normalised(mean, std))
    tags = [(tag, f"{count} classes" if count else "no head") for tag, count in timm.tags(named.architecture).items()]
    weights_of_it = ("Weights, as the tag of the name", [row for row in tags if row[0]])
    return Sheet(named.builder, tuple(words), entry, weights_of_it, _of_timm(full), tuple(remarks), asked)


def _numbers(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


def _paths(paths: tuple[str, ...]) -> str:
    return " and ".join(map(snippet.expression, paths)) if paths else "something that is not kept"


def _of_timm(full: str) -> str:
    return f'import timm\n\nmodel = timm.create_model("{full}", pretrained=True, num_classes=num_classes)\n'


# -- transformers ----------------------------------------------------------------------------------------------------


def _transformers(name: str) -> Sheet | None:
    if name in transformers.checkpoints():
        return _checkpoint(name)
    kind = name.rpartition(".")[2]
    entry = transformers.find(kind, transformers.DEFAULT_LABELS, None)
    if entry is None or (name != kind and not name.startswith("transformers.")):
        return None
    remarks = ("How many features reach the head depends on the checkpoint.",)
    return Sheet(entry.builder, ("transformers", kind), entry, ("", ()), _of_transformers(kind, "NAME", False), remarks)


def _checkpoint(name: str) -> Sheet:
    known = transformers.checkpoint(name)
    assert known is not None
    kinds = transformers.classes_of(known.model_type)
    kind = known.head or next(iter(kinds.values()), "")
    entry = transformers.find(kind, known.labels or transformers.DEFAULT_LABELS, known.hidden)
    width = "" if known.hidden is None else f", {known.hidden} features reach a head"
    words = ("a checkpoint for transformers", f"{known.model_type}{width}")
    saved = f"It was saved with the head of {known.head}, {known.labels} labels." if known.head else ""
    remarks = (saved or "It was saved without a head: a new one has random weights.",)
    auto = next((auto for auto, chosen in kinds.items() if chosen == kind), kind)
    table = [(each, chosen) for each, chosen in kinds.items()]
    return Sheet(
        name,
        words,
        entry,
        ("Classes that put a head on it" if table else "", table),
        _of_transformers(auto, name, bool(known.head)) if kind else "",
        remarks,
    )


def _of_transformers(kind: str, name: str, saved: bool) -> str:
    more = ", ignore_mismatched_sizes=True" if saved else ""
    return f'from transformers import {kind}\n\nmodel = {kind}.from_pretrained("{name}", num_labels=num_labels{more})\n'


# -- efficientnet_pytorch --------------------------------------------------------------------------------------------


def _efficientnet(name: str) -> Sheet | None:
    bare = name.removeprefix("efficientnet_pytorch.")
    entry = efficientnet.find(bare, efficientnet.CLASSES)
    if entry is None:
        return None
    words = ("classification", "EfficientNet", f"expects {batch(entry.input)}")
    code = (
        "from efficientnet_pytorch import EfficientNet\n\n"
        f'model = EfficientNet.from_pretrained("{bare}", num_classes=num_classes)\n'
    )
    return Sheet(entry.builder, words, entry, ("", ()), code)


# -- pretrainedmodels and segmentation_models_pytorch ----------------------------------------------------------------


def _pretrainedmodels(name: str) -> Sheet | None:
    bare = pretrainedmodels.canonical(name) or name
    if bare not in pretrainedmodels.names():
        return None
    known = pretrainedmodels.facts(bare)
    classes, weights_of_it = known.usual
    entry = pretrainedmodels.find(bare, classes)
    if entry is None:
        return None
    words = ("classification", entry.root.kind.rpartition(".")[2], f"expects {batch(entry.input)}")
    table = [(tag, f"{count} classes") for tag, count in known.classes.items()]
    build = f'model = pretrainedmodels.{bare}(num_classes={classes}, pretrained="{weights_of_it}")'
    lines = ["import pretrainedmodels", "from torch import nn", "", build]
    for head in entry.heads:
        path = snippet.expression(head.path)
        arguments = f"{path}.in_features, num_classes" if head.kind.endswith("Linear") else ""
        arguments = arguments or f"{path}.in_channels, num_classes, kernel_size=1"
        lines.append(f"{path} = nn.{head.kind.rpartition('.')[2]}({arguments})")
    return Sheet(entry.builder, words, entry, ("Weights", table), "\n".join(lines) + "\n")


def _smp(name: str) -> Sheet | None:
    bare = smp.named(name.rpartition(".")[2])
    prefixes = ("", f"{smp.LIBRARY}", "smp")
    entry = smp.find(bare, 1, False) if bare is not None and name.rpartition(".")[0] in prefixes else None
    if bare is None or entry is None:
        return None
    code = (
        "import segmentation_models_pytorch as smp\n\n"
        f'model = smp.{bare}(encoder_name="resnet34", encoder_weights="imagenet", classes=num_classes)\n'
    )
    return Sheet(entry.builder, ("segmentation", bare), entry, ("", ()), code)


# -- torch.hub -------------------------------------------------------------------------------------------------------


def _hub(name: str) -> Sheet | None:
    bare = name.removeprefix(f"{hub.LIBRARY}.")
    entry, repository = hub.find(bare), hub.repository(bare)
    if entry is None or repository is None:
        return None
    words = ("classification", entry.root.kind.rpartition(".")[2], f"expects {batch(entry.input)}")
    remarks = (f"It is an entry point of {repository} for torch.hub.", *_answered(entry))
    load = f'torch.hub.load("{repository}", "{bare}")'
    lines = ["import torch", "from torch import nn", "", f"model = {load}"]
    for head in entry.places:
        path = snippet.expression(head.path)
        taken = head.in_features if head in entry.open else f"{path}.in_features"
        lines.append(f"{path} = nn.Linear({taken}, num_classes)")
    if not entry.places:
        lines[-1] = f"model = nn.Sequential({load}, nn.Linear({entry.answers['forward'][0]}, num_classes))"
    return Sheet(entry.builder, words, entry, ("", ()), "\n".join(lines) + "\n", remarks)


def _answered(entry: Entry) -> Iterator[str]:
    """Say what the methods of a model without a head answer."""
    for name, shape in entry.answers.items():
        method, _, key = name.partition(".")
        item = f'["{key}"]' if key else ""
        if 0 not in shape:
            yield f"{method}(…){item} answers {batch(shape)}."


# -- open_clip -------------------------------------------------------------------------------------------------------


def _open_clip(name: str) -> Sheet | None:
    bare = name.removeprefix(f"{open_clip.LIBRARY}.")
    entry = open_clip.find(bare)
    if entry is None:
        return None
    (width,) = entry.answers[open_clip.ENCODE]
    words = ("pictures and texts", f"expects {batch(entry.input)}")
    weights = "" if bare.startswith(open_clip.HUB) else ", pretrained=TAG"
    code = (
        "import open_clip\nfrom torch import nn\n\n"
        f'model, _, preprocess = open_clip.create_model_and_transforms("{bare}"{weights})\n'
        f"head = nn.Linear({width}, num_classes)  # takes model.encode_image(images)\n"
    )
    return Sheet(entry.builder, words, entry, ("", ()), code, tuple(_answered(entry)))


# -- fastai ----------------------------------------------------------------------------------------------------------


def _fastai(name: str) -> Sheet | None:
    bare = name.removeprefix(f"{fastai.LIBRARY}.")
    entry = fastai.find(bare, _ASKED) if bare != name else None
    if entry is None:
        return None
    words = ("classification", "body and head", f"{entry.root.total:,} parameters", f"expects {batch(entry.input)}")
    code = f"from fastai.vision.all import *\n\nlearn = vision_learner(dls, {bare}, n_out=num_classes)\n"
    remarks = ("A layer that is put in later is not in the optimizer until learn.create_opt() makes another one.",)
    return Sheet(entry.builder, words, entry, ("", ()), code, remarks, _ASKED)


#: For how many classes a model is described that has none of its own.
_ASKED = 10
