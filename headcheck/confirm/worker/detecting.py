"""Detection models: what they are given, what keeps them cheap, and how they run where there are no numbers.

They choose boxes by their numbers. On meta, what predicts them therefore answers numbers that are made up, on the CPU,
and what is cut out of the maps is as many pieces as there are boxes. All layers run on meta.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from . import simulated
from .state import Refused, Run

SHAPES = [[2, 3, 128, 128]]
SIZE = 128
SAMPLES = 16
BOXES = 20  # that are kept of a picture where numbers are made up


def make_cheap(root: Any) -> None:
    """Keep a detection model from enlarging the dummy images to 800 pixels and from judging 512 boxes on each.

    No size in the model depends on either, and they take ten times as long as all the rest.
    """
    transform: Any = getattr(root, "transform", None)
    if getattr(transform, "fixed_size", None) is None and hasattr(transform, "min_size"):
        transform.min_size = (SIZE,)
        transform.max_size = SIZE
    sampler: Any = getattr(getattr(root, "roi_heads", None), "fg_bg_sampler", None)
    if hasattr(sampler, "batch_size_per_image"):
        sampler.batch_size_per_image = SAMPLES


def target(torch: Any, root: Any, device: Any) -> dict[str, Any]:
    """One box of class 1 with its mask and keypoints.

    RetinaNet and FCOS count classes from 0, the others keep 0 for the background; a model with a single class must not
    be asked for a second one.
    """
    from_zero = type(root).__name__ in ("RetinaNet", "FCOS")
    mask = torch.zeros((1, SIZE, SIZE), dtype=torch.uint8, device=device)
    mask[:, 16:96, 16:96] = 1
    predictor = getattr(getattr(root, "roi_heads", None), "keypoint_predictor", None)
    points = getattr(getattr(predictor, "kps_score_lowres", None), "out_channels", 17)
    return {
        "boxes": torch.tensor([[16.0, 16.0, 96.0, 96.0]], device=device),
        "labels": torch.tensor([0 if from_zero else 1], dtype=torch.int64, device=device),
        "masks": mask,
        "keypoints": torch.tensor([[50.0, 50.0, 1.0]], device=device).expand(1, points, 3).clone(),
    }


def arguments(run: Run, root: Any, images: Any, device: Any) -> list[Any]:
    """A list of images and, in train mode, their targets."""
    make_cheap(root)
    if not root.training:
        return [list(images)]
    with simulated.real(run.torch) if run.simulates else contextlib.nullcontext():
        return [list(images), [target(run.torch, root, "cpu" if run.simulates else device) for _ in images]]


#: What predicts, by its place in the model, what cuts pieces out of the maps, and what tells where boxes may be.
PREDICTING = ("head", "rpn.head", *(f"roi_heads.{what}_predictor" for what in ("box", "mask", "keypoint")))
CUTTING = tuple(f"roi_heads.{what}_roi_pool" for what in ("box", "mask", "keypoint"))
PLACING = ("anchor_generator", "rpn.anchor_generator")


@contextlib.contextmanager
def made_up(run: Run, root: Any) -> Iterator[None]:
    """Within this, a detection model on meta chooses boxes by numbers that are made up."""
    torch, handles, pools = run.torch, [], []
    numbers = numbers_class(torch)
    for name, part in root.named_modules():
        if name in PREDICTING:
            handles.append(part.register_forward_hook(lambda _, __, answer: with_numbers(torch, numbers, answer)))
        elif name in PLACING:
            with simulated.real(torch):
                anchor(part)
            handles.append(part.register_forward_pre_hook(lambda _, given: (given[0], as_large(torch, given[1]))))
        elif name in CUTTING:
            pools.append(part)
            part.forward = cutter(torch, part)
    few_boxes(root)
    try:
        with simulated.reading(torch):
            yield
    finally:
        for handle in handles:
            handle.remove()
        for pool in pools:
            del pool.forward


def anchor(generator: Any) -> None:
    """Make the boxes that places start from anew, with numbers."""
    if hasattr(generator, "generate_anchors"):
        ratios = generator.aspect_ratios
        generator.cell_anchors = [generator.generate_anchors(s, ratios[n]) for n, s in enumerate(generator.sizes)]
    elif hasattr(generator, "_generate_wh_pairs"):
        generator._wh_pairs = generator._generate_wh_pairs(len(generator.aspect_ratios))


def few_boxes(root: Any) -> None:
    """Keep few boxes of a picture; how many is settled by numbers otherwise, of which no size depends."""
    owners: tuple[Any, ...] = (root, getattr(root, "roi_heads", None))
    for owner in owners:
        if isinstance(getattr(owner, "detections_per_img", None), int):
            owner.detections_per_img = min(BOXES, owner.detections_per_img)


def numbers_class(torch: Any) -> Any:
    """What has numbers where there were none, and sends a gradient back."""

    class Numbers(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, tensor: Any) -> Any:
            context.place = simulated.place(tensor)
            return torch.rand(tensor.shape, dtype=tensor.dtype, device="cpu")

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return simulated.put(torch.empty_like(gradient, device="meta"), context.place)

    return Numbers


def with_numbers(torch: Any, numbers: Any, answer: Any) -> Any:
    """What a layer answers, with numbers in each of its tensors."""
    if isinstance(answer, torch.Tensor):
        return numbers.apply(answer)
    if isinstance(answer, dict):
        return {name: with_numbers(torch, numbers, part) for name, part in answer.items()}
    if isinstance(answer, (list, tuple)):
        return type(answer)(with_numbers(torch, numbers, part) for part in answer)
    raise Refused(f"a {type(answer).__name__} that a detection model predicts")


def as_large(torch: Any, maps: Any) -> list[Any]:
    """Tensors with numbers that are as large as some maps, and take no memory."""
    return [torch.zeros(1, dtype=one.dtype, device="cpu").expand(one.shape) for one in maps]


def cutter(torch: Any, pool: Any) -> Any:
    """What cuts a piece out of the maps for each box: all out of the first, for those of the others are as large."""

    def forward(maps: Any, boxes: Any, _: Any) -> Any:
        first = next((maps[name] for name in pool.featmap_names if name in maps), None)
        if first is None:
            raise Refused("maps that a detection model does not cut boxes out of")
        sides = pool.output_size
        piece = torch.nn.functional.adaptive_avg_pool2d(first, tuple(sides))[:1]
        return piece.expand(sum(len(one) for one in boxes), *piece.shape[1:])

    return forward
