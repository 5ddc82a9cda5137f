"""Finding the heads of detection models by what their losses are computed from.

Their forward pass depends on data (which boxes are kept), so neither torch.fx nor the meta device can follow it. They
run in train mode on the CPU, with a dummy target, and the names of the losses tell the heads apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from headcheck.tracing import autograd
from headcheck.tracing.build import on_meta
from headcheck.tracing.observe import Observation, observe
from headcheck.tracing.shortcuts import no_convolutions, no_initial_values

#: Shorter sides, in pixels, that images are resized to. The smallest that every feature pyramid takes keep it cheap;
#: two different ones tell which sizes follow the image's.
_SIDES = (128, 192)
#: Settings that make a model look at few boxes, for it is the number of boxes that costs. A threshold of zero, because
#: some box must be kept in eval mode, or no mask and no keypoint is predicted.
_FEW_BOXES: tuple[Mapping[str, object], ...] = (
    {
        "box_score_thresh": 0.0,
        "box_batch_size_per_image": 8,
        "box_detections_per_img": 2,
        "rpn_post_nms_top_n_train": 16,
        "rpn_post_nms_top_n_test": 8,
    },
    {"score_thresh": 0.0, "detections_per_img": 2},
)


def look(
    build: Callable[[Mapping[str, object]], nn.Module], counts: Mapping[str, int]
) -> tuple[list[Observation], dict[str, set[str]]]:
    """Return what happens in train mode and in eval mode, and for each head the names of the losses it feeds.

    Every layer nearest to a loss is returned, those of the boxes and of the region proposals too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, seen = _train(build, counts)
        heads = autograd.heads(model, seen.answer)
        images = (_images()[:1],)
        evaluated = observe(_small(build, counts, _SIDES[1]), images, train=False)
    return [seen, evaluated], heads


def train(build: Callable[[Mapping[str, object]], nn.Module], counts: Mapping[str, int]) -> Observation:
    """Return what happens in train mode with other `counts`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _train(build, counts)[1]


def _train(
    build: Callable[[Mapping[str, object]], nn.Module], counts: Mapping[str, int]
) -> tuple[nn.Module, Observation]:
    model = _small(build, counts, _SIDES[0])
    # BatchNorm refuses to train on a single value per channel.
    number = 2 if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) else 1
    return model, observe(model, (_images()[:number], _targets(counts)[:number]), train=True)


def _small(build: Callable[[Mapping[str, object]], nn.Module], counts: Mapping[str, int], side: int) -> nn.Module:
    """Build a model on the CPU, filled with small numbers, which is quicker than what its builder does."""
    with no_initial_values(), no_convolutions():  # SSD's builders run the backbone to see its channels.
        model = _build(build, counts, side)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.05, 0.05)
    return model


def _build(build: Callable[[Mapping[str, object]], nn.Module], counts: Mapping[str, int], side: int) -> nn.Module:
    for few in _FEW_BOXES:
        for size in ({"min_size": side, "max_size": side}, {}):
            keywords = {**counts, **few, **size}
            try:
                on_meta(lambda keywords=keywords: build(keywords))  # type: ignore[misc]
            except TypeError:
                continue  # Only the R-CNNs have such boxes, and SSD has a size of its own: it runs before it refuses.
            return build(keywords)
    return build(counts)


def _images() -> list[Tensor]:
    return [torch.rand(3, 128, 128), torch.rand(3, 128, 128)]


def _targets(counts: Mapping[str, int]) -> list[dict[str, Tensor]]:
    points = counts.get("num_keypoints", 1)
    target = {
        "boxes": torch.tensor([[16.0, 16.0, 96.0, 96.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, 128, 128, dtype=torch.uint8),
        "keypoints": torch.tensor([[[48.0, 48.0, 1.0]] * points]),
    }
    return [target, dict(target)]
