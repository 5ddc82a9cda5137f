"""What is said of a transform is what torchvision makes of a picture; what is not known is not said."""

from __future__ import annotations

import pytest

from headcheck.semantics.datasets import Dataset
from tests.reading import follow

torch = pytest.importorskip("torch")
transforms = pytest.importorskip("torchvision.transforms")
Image = pytest.importorskip("PIL.Image")

PREAMBLE = "import torch\nfrom torchvision import datasets, transforms\n"
CHAINS = [
    "transforms.ToTensor()",
    "transforms.Compose([transforms.Resize((20, 30)), transforms.ToTensor()])",
    "transforms.Compose([transforms.Resize([20, 30]), transforms.RandomHorizontalFlip(), transforms.ToTensor()])",
    "transforms.Compose([transforms.Resize(40), transforms.CenterCrop(24), transforms.ToTensor()])",
    "transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.ToTensor()])",
    "transforms.Compose([transforms.RandomResizedCrop((18, 26)), transforms.ColorJitter(), transforms.ToTensor()])",
    "transforms.Compose([transforms.RandomRotation(30), transforms.ToTensor()])",
    "transforms.Compose([transforms.Grayscale(), transforms.ToTensor()])",
    "transforms.Compose([transforms.Grayscale(3), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])",
    "transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])",
    "transforms.Compose([transforms.Compose([transforms.CenterCrop(10)]), transforms.ToTensor()])",
]
PARTLY = {
    "transforms.Compose([transforms.Resize(40), transforms.ToTensor()])": (3, None, None),
    "transforms.Compose([transforms.Pad(2), transforms.ToTensor()])": (3, None, None),
    "transforms.Compose([transforms.RandomRotation(30, expand=True), transforms.ToTensor()])": (3, None, None),
    "transforms.Compose([mine, transforms.ToTensor()])": (None, None, None),
    "transforms.Compose([mine, transforms.CenterCrop(24), transforms.ToTensor()])": (None, 24, 24),
    "transforms.Compose([transforms.Resize((side, 30)), transforms.ToTensor()])": (3, None, 30),
    "mine": (None, None, None),
    "transforms.Compose(mine)": (None, None, None),
}
GRAY_TO_COLOUR = "transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])"


def picture(chain: str, made: str = "datasets.ImageFolder('d', transform={})") -> tuple[int | None, ...]:
    (path,) = follow(f"data = {made.format(chain)}", PREAMBLE)
    (thing,) = [thing for thing in path.state.heap.values() if type(thing) is Dataset]
    return thing.picture


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("size", [(50, 40), (32, 32)])
def test_it_is_what_comes_out(chain: str, size: tuple[int, int]) -> None:
    out = eval(chain, {"transforms": transforms})(Image.new("RGB", size))
    said = picture(chain)
    assert all(one in (None, real) for one, real in zip(said, out.shape, strict=True))
    assert said[0] is not None
    if "Crop" in chain or "Resize" in chain:
        assert None not in said


@pytest.mark.parametrize("chain", PARTLY)
def test_what_is_not_known_is_not_said(chain: str) -> None:
    assert picture(chain) == PARTLY[chain]


@pytest.mark.parametrize(
    "made, said",
    {
        "datasets.CIFAR10('d', transform=transforms.ToTensor())": (3, 32, 32),
        "datasets.CIFAR10('d', True, transforms.ToTensor())": (3, 32, 32),
        "datasets.MNIST('d', transform=transforms.Resize((64, 48)))": (1, 64, 48),
        f"datasets.MNIST('d', transform={GRAY_TO_COLOUR})": (None, 28, 28),
        "datasets.CIFAR10('d')": (None, None, None),
        "datasets.FakeData(image_size=(1, 8, 9), transform=transforms.ToTensor())": (1, 8, 9),
    }.items(),
)
def test_the_pictures_of_a_dataset(made: str, said: tuple[int | None, ...]) -> None:
    assert picture("", made) == said


def test_a_dataset_that_is_written_to_is_not_known() -> None:
    assert picture("transforms.ToTensor()", "datasets.CIFAR10('d', transform={})\ndata.transform = other") == (
        None,
        None,
        None,
    )
