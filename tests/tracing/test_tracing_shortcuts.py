"""What stands for PyTorch's own functions on meta answers, and refuses, what these do on a processor."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from headcheck.confirm.worker import simulated  # noqa: E402
from headcheck.tracing.shortcuts import no_convolutions, quick_batch_norm  # noqa: E402

#: The worker has one of its own: it stands alone.
WAYS = {"tracing": quick_batch_norm, "confirming": lambda: simulated.devices(torch)}

LAYERS = {
    "plain": nn.BatchNorm2d(6),
    "frozen": nn.BatchNorm2d(6).requires_grad_(False),
    "without weights": nn.BatchNorm2d(6, affine=False),
    "without statistics": nn.BatchNorm2d(6, track_running_stats=False),
    "of another size": nn.BatchNorm2d(8),
    "in half precision": nn.BatchNorm2d(6).half(),
}
PICTURES = torch.rand(4, 6, 5, 5)
INPUTS = {
    "pictures": PICTURES,
    "channels last": PICTURES.contiguous(memory_format=torch.channels_last),
    "turned": torch.rand(6, 4, 5, 5).transpose(0, 1),
    "every other one": torch.rand(8, 6, 5, 5)[::2],
    "one number of each channel": torch.rand(1, 6, 1, 1),
    "no channels": torch.rand(6),
    "whole numbers": torch.ones(4, 6, 5, 5, dtype=torch.long),
}


#: Which are left to PyTorch's own on meta, and so to its words.
UNFIT = {"of another size", "in half precision", "no channels", "whole numbers"}


def outcome(layer: nn.Module, given: Any, learns: bool) -> Any:
    """The layout of what comes out, the shapes of gradients, whether a norm is said to be in between; or the error."""
    given = given.detach().requires_grad_(learns and given.is_floating_point())
    try:
        out = layer(given)
        if out.requires_grad:
            out.sum().backward()
    except Exception as error:
        return type(error).__name__
    gradients = {name: tuple(p.grad.shape) for name, p in layer.named_parameters() if p.grad is not None}
    reached = None if given.grad is None else tuple(given.grad.shape)
    normed = out.grad_fn is not None and "Norm" in type(out.grad_fn).__name__
    return tuple(out.shape), out.stride(), out.dtype, out.requires_grad, gradients, reached, normed


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize("way", WAYS)
def test_batch_normalisation(way: str, layer: str, given: str, train: bool, learns: bool) -> None:
    real, tensor = copy.deepcopy(LAYERS[layer]).train(train), INPUTS[given]
    on_meta = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if {layer, given} & UNFIT:
        wanted = outcome(copy.deepcopy(real).to("meta"), on_meta, learns)
    else:
        wanted = outcome(copy.deepcopy(real), tensor, learns)
    real.to("meta")
    with WAYS[way]():
        assert outcome(real, on_meta, learns) == wanted


def test_what_has_numbers_is_normed() -> None:
    layer = nn.BatchNorm2d(6)
    wanted = layer(PICTURES)
    with quick_batch_norm():
        assert torch.equal(layer(PICTURES), wanted)


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"groups": 3, "dilation": 2}], ids=str)
def test_convolutions_of_which_the_size_counts(settings: Any) -> None:
    layer = nn.Conv2d(6, 12, 3, **settings)
    wanted = layer(PICTURES)
    with no_convolutions():
        found = layer(PICTURES)
        with pytest.raises(RuntimeError):
            layer(PICTURES[:, :4])
    assert (found.shape, found.device, found.dtype) == (wanted.shape, wanted.device, wanted.dtype)
    assert torch.equal(layer(PICTURES), wanted)
