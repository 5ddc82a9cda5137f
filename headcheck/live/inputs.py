"""What a live model is called with: what the caller gives, or what the model itself says or shows that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from headcheck.live.answers import NoExampleInput

#: How many samples: BatchNorm refuses to train on a single value per channel.
_BATCH = 2
_TOKENS = 8
#: Heights and widths of images that are tried in turn where nothing says one.
_SIDES = (224, 299, 32, 28, 64, 96, 128, 256, 384, 448, 512)
_CLIPS = ((16, 112, 112), (16, 224, 224), (8, 64, 64))
_LENGTHS = (1024, 128, 16_000)
#: How many of the first layers are asked for what they take.
_FIRST = 3


@dataclass(frozen=True)
class Call:
    """The arguments of a call of a model. `origin` says in words where they come from; they are `certain` if the caller
    or the model says them, and else the first guess of several."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    origin: str
    certain: bool

    def each(self, change: Callable[[Tensor], Tensor]) -> Call:
        """Return the call with every tensor in it changed."""
        keywords = {name: _each(value, change) for name, value in self.keywords.items()}
        return replace(self, arguments=tuple(_each(item, change) for item in self.arguments), keywords=keywords)


def tensors(item: object) -> Iterator[Tensor]:
    """Yield the tensors in the arguments of a call."""
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from tensors(value)
    elif isinstance(item, list | tuple):
        for value in item:
            yield from tensors(value)
    elif isinstance(item, Call):
        yield from tensors([item.arguments, item.keywords])


def _each(item: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(item, Tensor):
        return change(item)
    if isinstance(item, Mapping):
        return {key: _each(value, change) for key, value in item.items()}
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return type(item)(*(_each(value, change) for value in item))
    if isinstance(item, list | tuple):
        return type(item)(_each(value, change) for value in item)
    return item


def given(model: nn.Module, example_input: object) -> Call:
    """Return the call that an example input stands for.

    A tuple holds the positional arguments. A mapping holds keyword arguments if forward takes its keys by name. All
    else is the one argument.
    """
    if isinstance(example_input, tuple) and not hasattr(example_input, "_fields"):
        return Call(example_input, {}, "the example input", True)
    if isinstance(example_input, Mapping) and _takes(model, example_input):
        return Call((), dict(example_input), "the example input", True)
    return Call((example_input,), {}, "the example input", True)


def _takes(model: nn.Module, names: Mapping[Any, object]) -> bool:
    parameters = inspect.signature(model.forward).parameters
    variadic = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return all(isinstance(name, str) and (variadic or name in parameters) for name in names)


def chosen(model: nn.Module) -> list[Call]:
    """Return the calls to try, the likeliest first: one if the model says what it takes.

    Raises NoExampleInput if nothing in the model says anything, or its forward needs more than one argument.
    """
    for say in (_example, _timm, _transformers, _detection):
        found = say(model)
        if found is not None:
            return [found]
    names = _required(model)
    if len(names) > 1:
        raise NoExampleInput(f"forward of {type(model).__name__} takes {', '.join(names)}; pass example_input=")
    calls = [*_image_size(model), *_by_first_layers(model)]
    if not calls:
        raise NoExampleInput(f"no layer of {type(model).__name__} says what it takes; pass example_input=")
    return calls


def _required(model: nn.Module) -> list[str]:
    return [
        name
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]


def _images(model: nn.Module, shape: tuple[int, ...], origin: str, certain: bool = False) -> Call:
    """A call with random numbers in the model's own dtype, on its device."""
    where = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    dtype, device = (torch.float32, torch.device("cpu")) if where is None else (where.dtype, where.device)
    batch = torch.zeros(_BATCH, *shape, dtype=dtype, device=device)
    batch = batch if batch.is_meta else batch.uniform_(generator=torch.Generator(device).manual_seed(0))
    return Call((batch,), {}, f"an input of shape {tuple(batch.shape)}, {origin}", certain)


def _example(model: nn.Module) -> Call | None:
    """Lightning's convention."""
    value = getattr(model, "example_input_array", None)
    return None if value is None else replace(given(model, value), origin="its example_input_array")


def _timm(model: nn.Module) -> Call | None:
    for module in model.modules():
        for name in ("pretrained_cfg", "default_cfg"):
            settings = getattr(module, name, None)
            if isinstance(settings, Mapping) and "input_size" in settings:
                return _sized(model, module, tuple(settings["input_size"]), name)
    return None


def _sized(model: nn.Module, module: nn.Module, shape: tuple[int, ...], name: str) -> Call:
    """timm's settings are those of the weights; the model's own channels and image size may be others."""
    layer = next((item for item in module.modules() if isinstance(item, nn.Conv2d)), None)
    channels = layer.in_channels if layer is not None and shape[0] in (1, 3) and layer.in_channels < 16 else shape[0]
    patches = getattr(module, "patch_embed", None)
    side = getattr(patches, "img_size", None)
    sides = tuple(side) if isinstance(side, tuple) else shape[1:]
    return _images(model, (channels, *sides), f"as its {name} says", True)


def _transformers(model: nn.Module) -> Call | None:
    for module in model.modules():
        name, config = getattr(module, "main_input_name", None), getattr(module, "config", None)
        make = _BY_NAME.get(name) if isinstance(name, str) and config is not None else None
        if make is not None:
            value = make(model, config)
            names = _required(model)
            named = module is model or not names or name in names
            origin = f"{name} of shape {tuple(value.shape)}, as its configuration says"
            return Call(() if named else (value,), {str(name): value} if named else {}, origin, True)
    return None


def _token_numbers(model: nn.Module, config: Any) -> Tensor:
    # Without a token for padding a classifier refuses several samples, for it could not tell where each ends.
    samples = _BATCH if getattr(config, "pad_token_id", None) is not None else 1
    device = next(model.parameters()).device
    numbers = torch.full((samples, _TOKENS), 5, dtype=torch.long, device=device)
    end = getattr(config, "eos_token_id", None)
    if type(end) is int and 0 <= end < getattr(config, "vocab_size", 0):
        numbers[:, -1] = end  # BART and its kin classify by what they make of it.
    return numbers


def _pixels(model: nn.Module, config: Any) -> Tensor:
    side = getattr(config, "image_size", 224)
    sides = tuple(side) if isinstance(side, list | tuple) else (side, side)
    value: Tensor = _images(model, (getattr(config, "num_channels", 3), *sides), "").arguments[0]
    return value


def _waves(model: nn.Module, config: Any) -> Tensor:
    bins, length = getattr(config, "num_mel_bins", None), getattr(config, "max_length", None)
    shape = (length, bins) if type(bins) is type(length) is int else (16_000,)  # a spectrogram, or the wave itself
    value: Tensor = _images(model, shape, "").arguments[0]
    return value


def _spectra(model: nn.Module, config: Any) -> Tensor:
    shape = (getattr(config, "num_mel_bins", 80), 2 * getattr(config, "max_source_positions", 1500))
    value: Tensor = _images(model, shape, "").arguments[0]
    return value


_BY_NAME: Mapping[str, Callable[[nn.Module, Any], Tensor]] = {
    "input_ids": _token_numbers,
    "pixel_values": _pixels,
    "input_values": _waves,
    "input_features": _spectra,
}


def is_detection(model: nn.Module) -> bool:
    """Whether a model is one of torchvision's detection models, which need targets to train."""
    return any(kind.__module__.startswith("torchvision.models.detection") for kind in type(model).__mro__)


def _detection(model: nn.Module) -> Call | None:
    if not is_detection(model):
        return None
    images = _images(model, (3, 128, 128), "").arguments[0]
    points = next((getattr(item, "out_channels", 17) for n, item in model.named_modules() if n.endswith(_POINTS)), 17)
    target = {
        "boxes": torch.tensor([[16.0, 16.0, 96.0, 96.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, 128, 128, dtype=torch.uint8),
        "keypoints": torch.tensor([[[48.0, 48.0, 1.0]] * points]),
    }
    targets = [{name: value.to(images.device) for name, value in target.items()} for _ in images]
    return Call((list(images), targets), {}, "two images of 128 pixels with a box each", True)


_POINTS = "keypoint_predictor.kps_score_lowres"


def _image_size(model: nn.Module) -> Iterator[Call]:
    for module in model.modules():
        side = getattr(module, "image_size", None) or getattr(module, "img_size", None)
        sides = (side, side) if type(side) is int else side
        layer = next((item for item in module.modules() if isinstance(item, nn.Conv2d)), None)
        if layer is not None and isinstance(sides, list | tuple) and [type(item) for item in sides] == [int, int]:
            yield _images(model, (layer.in_channels, *sides), "as its image size says")


def _by_first_layers(model: nn.Module) -> Iterator[Call]:
    asked: dict[tuple[int, ...] | None, None] = {}
    for name, module in model.named_modules():
        for kinds, shapes in _FIRST_LAYERS:
            if not isinstance(module, kinds):
                continue
            wanted = shapes(module)
            if wanted[0] in asked:
                continue
            asked[wanted[0]] = None
            for shape in wanted:
                if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                    device = module.weight.device
                    numbers = torch.zeros(_BATCH, *shape, dtype=torch.long, device=device)
                    yield Call(
                        (numbers,),
                        {},
                        f"numbers of shape {tuple(numbers.shape)}, as {name or 'the model'} takes",
                        False,
                    )
                else:
                    yield _images(model, shape, f"as {name or 'the model'} takes")
        if len(asked) >= _FIRST:
            return


_Shapes = Callable[[Any], list[tuple[int, ...]]]
_FIRST_LAYERS: tuple[tuple[Any, _Shapes], ...] = (
    (nn.Conv2d, lambda layer: [(layer.in_channels, side, side) for side in _SIDES]),
    (nn.Conv1d, lambda layer: [(layer.in_channels, length) for length in _LENGTHS]),
    (nn.Conv3d, lambda layer: [(layer.in_channels, *clip) for clip in _CLIPS]),
    (nn.Linear, lambda layer: [(layer.in_features,), (_TOKENS, layer.in_features)]),
    (nn.Embedding | nn.EmbeddingBag, lambda layer: [(_TOKENS,)]),
    (nn.RNNBase, lambda layer: [(_TOKENS, layer.input_size)]),
    (nn.MultiheadAttention, lambda layer: [(_TOKENS, layer.embed_dim)]),
    (nn.BatchNorm1d, lambda layer: [(layer.num_features,)]),
)
