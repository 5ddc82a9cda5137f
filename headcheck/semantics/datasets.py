"""`torchvision.datasets` with a known number of classes, and the loaders that hand out their pictures and labels.

The counts, channels and sizes are those of torchvision's documentation of each dataset; a test reads the counts off the
library where it keeps a list of classes.
"""

from __future__ import annotations

from headcheck.interpreter.access import MEMBERS
from headcheck.interpreter.iterate import ELEMENTS, items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Method, Ref, Symbol, Tensor, Tuple, Value, symbol
from headcheck.interpreter.writing import CHANGED
from headcheck.ir import Operation
from headcheck.records import NamedTuple
from headcheck.semantics import transforms
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method
from headcheck.semantics.transforms import Picture


class Dataset(NamedTuple):
    """A dataset of pictures with class labels. `classes` is how many there are, or the dataset that knows it: one that
    numbers the folders it finds; `picture` is what its transform makes of them. `of` is the dataset that one which is
    a part of it takes its pictures from."""

    name: str
    classes: int | Ref | None
    picture: Picture
    site: Operation
    labelled: bool = True
    of: Ref | None = None


class Loader(NamedTuple):
    """A `torch.utils.data.DataLoader`."""

    dataset: Value
    batch: Value
    site: Operation
    plain: bool


# name: (classes, channels, height and width of a picture; None where the pictures differ)
KNOWN: dict[str, tuple[int | None, int | None, int | None, int | None]] = {
    "CIFAR10": (10, 3, 32, 32),
    "CIFAR100": (100, 3, 32, 32),
    "MNIST": (10, 1, 28, 28),
    "FashionMNIST": (10, 1, 28, 28),
    "KMNIST": (10, 1, 28, 28),
    "QMNIST": (10, 1, 28, 28),
    "SVHN": (10, 3, 32, 32),
    "STL10": (10, 3, 96, 96),
    "USPS": (10, 1, 16, 16),
    "Food101": (101, 3, None, None),
    "GTSRB": (43, 3, None, None),
    "Flowers102": (102, 3, None, None),
    "DTD": (47, 3, None, None),
    "FGVCAircraft": (None, 3, None, None),
    "EuroSAT": (10, 3, 64, 64),
    "OxfordIIITPet": (None, 3, None, None),
    "StanfordCars": (196, 3, None, None),
    "Country211": (211, 3, None, None),
    "RenderedSST2": (2, 3, None, None),
    "PCAM": (2, 3, 96, 96),
    "ImageNet": (1000, 3, None, None),
    "ImageFolder": (None, 3, None, None),
    "DatasetFolder": (None, None, None, None),
    "FakeData": (10, 3, 224, 224),
    "EMNIST": (None, 1, 28, 28),
    "Caltech101": (None, None, None, None),
    "Caltech256": (None, None, None, None),
}

# The letters begin with 1: there is a class "N/A" before them.
EMNIST = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10}

# Where a dataset takes its transform, if that is often given without its name.
TRANSFORM_PLACES = {"ImageFolder": 1, **dict.fromkeys(("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST"), 2)}


@effect(*(f"torchvision.datasets.{name}" for name in KNOWN))
def dataset(call: CallSite) -> Value:
    name = call.name.rsplit(".", 1)[-1]
    classes, *picture = KNOWN[name]
    split = call.keywords.get("split", "")
    if not isinstance(split, str) or "unlabeled" in split:
        classes = None
    place = TRANSFORM_PLACES.get(name, 100)
    told = len(call.arguments) > place + 1 or call.keywords.keys() & {"target_transform", "target_type", "**"}
    if told:
        classes = None
    if name == "EMNIST":
        split = call.argument(1, "split")
        classes = EMNIST.get(split) if isinstance(split, str) else None
    if name == "FakeData":
        classes, *picture = fake(call)
    channels, height, width = picture
    shown = transforms.of(call, call.argument(place, "transform"), (channels, height, width))
    made: Ref = call.state.allocate(Dataset(name, classes, shown, call.site), call.site)
    if name in FOLDERS and not told:
        call.state.heap[made.address] = call.state.heap[made.address]._replace(classes=made)
    return made


# What numbers the folders that it finds.
FOLDERS = frozenset(["ImageFolder", "DatasetFolder"])


def fake(call: CallSite) -> tuple[int | None, int | None, int | None, int | None]:
    """(classes, channels, height, width) of `FakeData`, which is told them all."""
    count = call.argument(2, "num_classes", 10)
    given = items_of(call.machine, call.state, call.argument(1, "image_size", Tuple((3, 224, 224))), call.site)
    known = given if given is not None and len(given) == 3 else (None, None, None)
    channels, height, width = (size if type(size) is int else None for size in known)
    return (count if type(count) is int else None), channels, height, width


@method(Dataset, "*")
def dataset_method(call: CallSite) -> Value:
    return unknown(call)


def counts(value: Value, dataset: Ref) -> bool:
    """Whether a value is how many classes a dataset found: ``len(dataset.classes)``."""
    if type(value) is not Symbol or not isinstance(value.key, tuple) or value.key[:2] != ("call", "builtins.len"):
        return False
    return value.key[-1] in [Method(dataset, name) for name in ("classes", "class_to_idx")]


@effect("torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader")
def loader(call: CallSite) -> Value:
    plain = not call.keywords.keys() & {"collate_fn", "sampler", "batch_sampler", "**"} and len(call.arguments) <= 3
    made = Loader(call.argument(0, "dataset"), call.argument(1, "batch_size", 1), call.site, plain)
    ref: Ref = call.state.allocate(made, call.site)
    return ref


@effect("torch.utils.data.Subset", "torch.utils.data.dataset.Subset")
def subset(call: CallSite) -> Value:
    """Some of the items of a dataset: often those of some classes."""
    whole = call.argument(0, "dataset")
    thing = call.state.object(whole)
    if type(thing) is not Dataset:
        return unknown(call)
    return call.state.allocate(thing._replace(classes=None, of=whole), call.site)


def written(state: State, ref: Ref, thing: Dataset, name: str) -> None:
    """Whatever is written to a dataset (``targets``) may change its labels and its pictures, another transform the
    pictures alone."""
    classes = thing.classes if name == "transform" else None
    state.heap[ref.address] = thing._replace(classes=classes, picture=transforms.UNKNOWN_PICTURE)


CHANGED[Dataset] = written


def member(thing: Dataset | Loader, name: str) -> Value:
    """What a part of a dataset, and a loader, take their pictures from: one object for all that do."""
    if name != "dataset":
        return None
    return thing.of if type(thing) is Dataset else thing.dataset  # type: ignore[union-attr]


MEMBERS[Dataset] = MEMBERS[Loader] = member


@effect("torch.utils.data.random_split")
def random_split(call: CallSite) -> Value:
    whole = call.argument(0, "dataset")
    thing = call.state.object(whole)
    lengths = items_of(call.machine, call.state, call.argument(1, "lengths"), call.site)
    if type(thing) is not Dataset or lengths is None:
        return unknown(call)
    return Tuple(tuple(call.state.allocate(thing._replace(of=whole), call.site) for _ in lengths))


@method(Loader, "*")
def loader_method(call: CallSite) -> Value:
    return unknown(call)


def batch(state: State, ref: Ref) -> Value:
    """What a loader hands out each time: pictures and labels."""
    thing = state.object(ref)
    data = state.object(thing.dataset) if type(thing) is Loader else None
    if type(data) is not Dataset or not thing.plain:
        return symbol("element", "…", ref)
    size = symbol("size", "batch size", ref)
    whole = data
    while whole.of is not None:  # what was written to it since then counts for all its parts
        whole = state.object(whole.of)
    labels = (data.classes, True) if data.classes is not None and whole.classes is not None else None
    picture = whole.picture if data.picture != transforms.UNKNOWN_PICTURE else data.picture
    known = any(each is not None for each in picture)
    images: Value = Tensor((size, *picture), dtype="float") if known else symbol("element", "images", ref)
    return Tuple((images, Tensor((size,), dtype="long", labels=labels)))


ELEMENTS[Loader] = batch
