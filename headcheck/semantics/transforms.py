"""`torchvision.transforms`: what they make of a picture's channels and size, as torchvision's documentation has it of
each. A test compares them with the library's own."""

from __future__ import annotations

from typing import TypeAlias

from headcheck.interpreter.iterate import items_of
from headcheck.interpreter.values import Tuple, Value
from headcheck.records import NamedTuple
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, method

#: Channels, height and width, None where one is not known.
Picture: TypeAlias = "tuple[int | None, int | None, int | None]"
UNKNOWN_PICTURE: Picture = (None, None, None)
SAME = -1


class Transform(NamedTuple):
    """A transform, or a chain of them.

    `picture` is what comes out: SAME where that is what went in, None where it is not known. `means` is how many
    channels `Normalize` is given numbers for. A chain has `steps`.
    """

    name: str
    picture: Picture = (SAME, SAME, SAME)
    means: int | None = None
    steps: tuple[Transform, ...] | None = None


def apply(transform: Transform, picture: Picture) -> Picture:
    """The picture that comes out of a transform."""
    if transform.steps is not None:
        for step in transform.steps:
            picture = apply(step, picture)
        return picture
    channels, height, width = (w if m == SAME else m for w, m in zip(picture, transform.picture, strict=True))
    if transform.means not in (None, 1, channels):
        channels = None  # one channel may be broadcast to so many
    return channels, height, width


def of(call: CallSite, value: Value, picture: Picture) -> Picture:
    """The picture that comes out of whatever is given as a transform."""
    thing = call.state.object(value)
    return apply(thing, picture) if type(thing) is Transform else UNKNOWN_PICTURE


def names(*each: str) -> tuple[str, ...]:
    """The names under which the library has some transforms."""
    return tuple(f"torchvision.transforms.{space}{name}" for name in each for space in ("", "v2.", "transforms."))


def made(call: CallSite, picture: Picture = (SAME, SAME, SAME), means: int | None = None) -> Value:
    return call.state.allocate(Transform(call.name.rsplit(".", 1)[-1], picture, means), call.site)


@effect(
    *names(
        "ToTensor", "PILToTensor", "ToImage", "RandomHorizontalFlip", "RandomVerticalFlip", "ColorJitter",
        "RandomAffine", "RandomPerspective", "RandomErasing", "RandomAdjustSharpness", "RandomAutocontrast",
        "RandomEqualize", "RandomInvert", "RandomPosterize", "RandomSolarize", "GaussianBlur", "AutoAugment",
        "RandAugment", "TrivialAugmentWide", "AugMix", "RandomGrayscale", "ToDtype", "ConvertImageDtype", "ToPILImage",
    )
)  # fmt: skip
def keeping(call: CallSite) -> Value:
    """Neither channels nor size change."""
    return made(call)


@effect(*names("RandomRotation"))
def rotation(call: CallSite) -> Value:
    """It may make the picture larger, if it is told to."""
    expand = call.argument(2, "expand", False)
    return made(call) if expand is False else made(call, (SAME, None, None))


@effect(*names("Resize"))
def resize(call: CallSite) -> Value:
    """One number is the length of the shorter side: what the other one gets hangs on the picture."""
    given = call.argument(0, "size")
    return made(call, (SAME, *sides(call, given)) if type(given) is not int else (SAME, None, None))


@effect(*names("CenterCrop", "RandomResizedCrop", "RandomCrop"))
def crop(call: CallSite) -> Value:
    """One number is both sides."""
    given = call.argument(0, "size")
    return made(call, (SAME, *sides(call, Tuple((given, given)) if type(given) is int else given)))


def sides(call: CallSite, given: Value) -> tuple[int | None, int | None]:
    """Height and width out of a tuple or list of the two."""
    items = items_of(call.machine, call.state, given, call.site)
    if items is None or len(items) != 2:
        return None, None
    height, width = (item if type(item) is int else None for item in items)
    return height, width


@effect(*names("Pad"))
def pad(call: CallSite) -> Value:
    return made(call, (SAME, None, None))


@effect(*names("Grayscale"))
def grayscale(call: CallSite) -> Value:
    count = call.argument(0, "num_output_channels", 1)
    return made(call, (count if type(count) is int else None, SAME, SAME))


@effect(*names("Normalize"))
def normalize(call: CallSite) -> Value:
    means = items_of(call.machine, call.state, call.argument(0, "mean"), call.site)
    return made(call, (SAME if means is not None else None, SAME, SAME), len(means) if means is not None else None)


@effect(*names("Compose"))
def compose(call: CallSite) -> Value:
    """A chain; one step that is not known makes what comes out unknown until a later one says what it is."""
    found = items_of(call.machine, call.state, call.argument(0, "transforms"), call.site)
    if found is None:
        return made(call, UNKNOWN_PICTURE)
    things = [call.state.object(item) for item in found]
    steps = tuple(t if type(t) is Transform else Transform("", UNKNOWN_PICTURE) for t in things)
    return call.state.allocate(Transform("Compose", steps=steps), call.site)


@method(Transform, "*")
def transform_method(call: CallSite) -> Value:
    return unknown(call)
