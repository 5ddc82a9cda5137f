"""`torchvision.datasets` with a known number of classes, and the loaders that hand out their pictures and labels.

The counts and channels are those of torchvision's documentation of each dataset; a test reads them off the library
where it keeps a list of classes.
"""

from __future__ import annotations

from typing import NamedTuple

from headcheck.interpreter.access import CHANGED
from headcheck.interpreter.iterate import ELEMENTS, items_of
from headcheck.interpreter.state import State
from headcheck.interpreter.values import Ref, Tensor, Tuple, Value, symbol
from headcheck.ir import Operation
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method


class Dataset(NamedTuple):
    """A dataset of pictures with class labels. `channels` is None where a transform may change them."""

    name: str
    classes: int | None
    channels: int | None
    site: Operation
    labelled: bool = True


class Loader(NamedTuple):
    """A `torch.utils.data.DataLoader`."""

    dataset: Value
    batch: Value
    site: Operation
    plain: bool


# name: (classes, channels of a picture)
KNOWN: dict[str, tuple[int | None, int | None]] = {
    "CIFAR10": (10, 3),
    "CIFAR100": (100, 3),
    "MNIST": (10, 1),
    "FashionMNIST": (10, 1),
    "KMNIST": (10, 1),
    "QMNIST": (10, 1),
    "SVHN": (10, 3),
    "STL10": (10, 3),
    "USPS": (10, 1),
    "Food101": (101, 3),
    "GTSRB": (43, 3),
    "Flowers102": (102, 3),
    "DTD": (47, 3),
    "FGVCAircraft": (None, 3),
    "EuroSAT": (10, 3),
    "OxfordIIITPet": (None, 3),
    "StanfordCars": (196, 3),
    "Country211": (211, 3),
    "RenderedSST2": (2, 3),
    "PCAM": (2, 3),
    "ImageNet": (1000, 3),
    "ImageFolder": (None, 3),
    "DatasetFolder": (None, None),
    "FakeData": (10, 3),
    "EMNIST": (None, 1),
    "Caltech101": (None, None),
    "Caltech256": (None, None),
}
# Transforms that leave the number of channels as it is.
KEEPING = frozenset(
    {
        "ToTensor", "Resize", "CenterCrop", "RandomCrop", "RandomResizedCrop", "RandomHorizontalFlip",
        "RandomVerticalFlip", "RandomRotation", "Pad", "PILToTensor", "ColorJitter", "RandomAffine", "ToImage",
    }
)  # fmt: skip


@effect(*(f"torchvision.datasets.{name}" for name in KNOWN))
def dataset(call: CallSite) -> Value:
    name = call.name.rsplit(".", 1)[-1]
    classes, channels = KNOWN[name]
    split = call.keywords.get("split", "")
    if not isinstance(split, str) or "unlabeled" in split:
        classes = None
    if "target_transform" in call.keywords or "target_type" in call.keywords or "**" in call.keywords:
        classes = None
    if name == "FakeData":
        classes, channels = fake(call)
    transform = call.keywords.get("transform")
    kept = transform is not None and keeps_channels(call, transform)
    return call.state.allocate(Dataset(name, classes, channels if kept else None, call.site), call.site)


def fake(call: CallSite) -> tuple[int | None, int | None]:
    """(classes, channels) of `FakeData`, which is told both."""
    count = call.argument(2, "num_classes", 10)
    sizes = items_of(call.machine, call.state, call.argument(1, "image_size", Tuple((3, 224, 224))), call.site)
    channels = sizes[0] if sizes and type(sizes[0]) is int else None
    return (count if type(count) is int else None), channels


def keeps_channels(call: CallSite, transform: Value) -> bool:
    """Whether a transform surely hands out tensors with the channels of the pictures."""
    thing = call.state.object(transform)
    if type(thing) is not Transform:
        return False
    return bool(thing.keeps)


class Transform(NamedTuple):
    """A transform of `torchvision.transforms`, or a chain of them."""

    name: str
    keeps: bool


@effect(*(f"torchvision.transforms.{space}{name}" for name in KEEPING for space in ("", "v2.", "transforms.")))
def transform(call: CallSite) -> Value:
    return call.state.allocate(Transform(call.name.rsplit(".", 1)[-1], True), call.site)


@effect("torchvision.transforms.Normalize", "torchvision.transforms.v2.Normalize")
def normalize(call: CallSite) -> Value:
    """It may broadcast a picture of one channel to three: not said of more than one mean."""
    means = items_of(call.machine, call.state, call.argument(0, "mean"), call.site)
    return call.state.allocate(Transform("Normalize", means is not None and len(means) == 1), call.site)


@effect("torchvision.transforms.Compose", "torchvision.transforms.v2.Compose")
def compose(call: CallSite) -> Value:
    found = items_of(call.machine, call.state, call.argument(0, "transforms"), call.site)
    things = [call.state.object(item) for item in found or ()]
    keeps = found is not None and all(type(thing) is Transform and thing.keeps for thing in things)
    return call.state.allocate(Transform("Compose", keeps), call.site)


@method(Transform, "*")
def transform_method(call: CallSite) -> Value:
    return unknown(call)


@method(Dataset, "*")
def dataset_method(call: CallSite) -> Value:
    return unknown(call)


def dataset_attribute(ref: Ref, thing: Dataset, name: str) -> Value:
    """``dataset.classes``: a list whose length is the class count."""
    return symbol("attribute", f"{thing.name}.{name}", ref, name)


@effect("torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader")
def loader(call: CallSite) -> Value:
    plain = not call.keywords.keys() & {"collate_fn", "sampler", "batch_sampler", "**"} and len(call.arguments) <= 3
    made = Loader(call.argument(0, "dataset"), call.argument(1, "batch_size", 1), call.site, plain)
    ref: Ref = call.state.allocate(made, call.site)
    return ref


@effect("torch.utils.data.Subset", "torch.utils.data.dataset.Subset")
def subset(call: CallSite) -> Value:
    """Some of the items of a dataset: often those of some classes."""
    thing = call.state.object(call.argument(0, "dataset"))
    if type(thing) is not Dataset:
        return unknown(call)
    return call.state.allocate(thing._replace(classes=None), call.site)


def written(state: State, ref: Ref, thing: Dataset) -> None:
    """Whatever is written to a dataset (``targets``) may change its labels."""
    state.heap[ref.address] = thing._replace(classes=None)


CHANGED[Dataset] = written


@effect("torch.utils.data.random_split")
def random_split(call: CallSite) -> Value:
    thing = call.state.object(call.argument(0, "dataset"))
    lengths = items_of(call.machine, call.state, call.argument(1, "lengths"), call.site)
    if type(thing) is not Dataset or lengths is None:
        return unknown(call)
    return Tuple(tuple(call.state.allocate(thing, call.site) for _ in lengths))


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
    labels = (data.classes, True) if data.classes is not None else None
    pictures = (size, data.channels, None, None) if data.channels is not None else None
    images: Value = Tensor(pictures, dtype="float") if pictures else symbol("element", "images", ref)
    return Tuple((images, Tensor((size,), dtype="long", labels=labels)))


ELEMENTS[Loader] = batch
