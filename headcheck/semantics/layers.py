"""What `torch.nn` layers do to shapes, and which parameters they own.

Shapes leave out the batch size; an unknown size is None. The formulas are those of the PyTorch documentation of each
layer; the tests compare every one with the real layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from headcheck.catalog.entry import NOTHING, Shape
from headcheck.records import NamedTuple

Get: TypeAlias = Callable[[str], Any]


class Mismatch(NamedTuple):
    """A layer does not take what reaches it. `reason`: size, or the kind of thing that arrives: map, vector.

    `factor`: where the size that arrives is not known, it is a multiple of this.
    """

    kind: str
    argument: str
    takes: int | None
    gets: Shape
    reason: str
    factor: int = 1


Result: TypeAlias = "Shape | Mismatch | None"


def infer(kind: str, get: Get, shape: Shape) -> Result:
    """The output shape of a layer of `kind` whose arguments are read by `get`; None if it cannot be told."""
    rule = RULES.get(kind)
    return rule(kind, get, shape) if rule else None


def surely_refuses(kind: str, get: Get, shape: Shape) -> bool:
    """Whether a layer whose answer is not known, and that is no mismatch, raises: it gets too many dimensions, or less
    than its window covers."""
    family, dimensions = kind.removeprefix("torch.nn.")[:-2], kind[-2:-1]
    if family not in WINDOWED or dimensions not in ("1", "2", "3"):
        return False
    if len(shape) != int(dimensions) + 1:
        return len(shape) > int(dimensions) + 1 or (family == "BatchNorm" and dimensions != "1")
    if family not in ("Conv", "MaxPool", "AvgPool"):
        return False
    fixed = {"dilation": 1} if family == "AvgPool" else {}
    return any(size is not None and size < 1 for size in _windows(lambda name: fixed.get(name) or get(name), shape[1:]))


WINDOWED = frozenset(["Conv", "ConvTranspose", "MaxPool", "AvgPool", "BatchNorm"])


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _pair(value: Any, count: int = 2) -> tuple[int | None, ...]:
    if type(value) is int:
        return (value,) * count
    items = _items(value)
    if items is not None and len(items) == count:
        return tuple(_int(item) for item in items)
    return (None,) * count


def _items(value: Any) -> tuple[Any, ...] | None:
    """The items of a tuple, as the interpreter or as the catalog holds one."""
    found = value if type(value) is tuple else getattr(value, "items", None)
    return found if type(found) is tuple else None


def same(kind: str, get: Get, shape: Shape) -> Result:
    return shape


def linear(kind: str, get: Get, shape: Shape) -> Result:
    takes, gives = _int(get("in_features")), _int(get("out_features"))
    if len(shape) >= 3 and takes is not None and shape[-1] != takes:
        return Mismatch(kind, "in_features", takes, shape, "map")
    if takes is not None and shape and shape[-1] is not None and shape[-1] != takes:
        return Mismatch(kind, "in_features", takes, shape, "size")
    return (*shape[:-1], gives)


def convolution(kind: str, get: Get, shape: Shape) -> Result:
    dimensions = int(kind[-2])
    takes = _int(get("in_channels"))
    if len(shape) < dimensions:
        return Mismatch(kind, "in_channels", takes, shape, "vector")
    if len(shape) != dimensions + 1:
        return None
    if takes is not None and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "in_channels", takes, shape, "size")
    return fitting((_int(get("out_channels")), *_windows(get, shape[1:])))


def transposed_convolution(kind: str, get: Get, shape: Shape) -> Result:
    dimensions = int(kind[-2])
    takes = _int(get("in_channels"))
    if len(shape) < dimensions:
        return Mismatch(kind, "in_channels", takes, shape, "vector")
    if len(shape) != dimensions + 1:
        return None
    if takes is not None and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "in_channels", takes, shape, "size")
    names = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    each = zip(shape[1:], *(_pair(get(name), dimensions) for name in names), strict=False)
    return fitting((_int(get("out_channels")), *(_widened(*sizes) for sizes in each)))


def _widened(size: int | None, *parts: int | None) -> int | None:
    if size is None or any(part is None for part in parts):
        return None
    kernel, step, padding, more, dilation = (part or 0 for part in parts)
    return (size - 1) * step - 2 * padding + dilation * (kernel - 1) + more + 1


def fitting(shape: Shape) -> Shape | None:
    """A shape, None where a window is larger than what it slides over: PyTorch refuses that."""
    return None if any(size is not None and size < 1 for size in shape) else shape


def _windows(get: Get, sizes: Shape) -> Shape:
    count = len(sizes)
    kernel, padding = _pair(get("kernel_size"), count), _pair(get("padding"), count)
    stride = get("stride")
    steps = kernel if stride is None else _pair(stride, count)
    dilation = _pair(get("dilation"), count)
    return tuple(_window(*parts) for parts in zip(sizes, kernel, steps, padding, dilation, strict=False))


def _window(
    size: int | None, kernel: int | None, step: int | None, padding: int | None, dilation: int | None
) -> int | None:
    if size is None or kernel is None or not step or padding is None or dilation is None:
        return None
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // step + 1


def pooling(kind: str, get: Get, shape: Shape) -> Result:
    dimensions = int(kind[-2])
    if len(shape) < dimensions:
        return Mismatch(kind, "", None, shape, "vector")
    if len(shape) != dimensions + 1 or get("return_indices") is True:
        return None
    if get("ceil_mode") is not False:
        return (shape[0], *(None,) * dimensions)
    average = kind.startswith("torch.nn.Avg")  # these have no dilation
    return fitting((shape[0], *_windows(lambda name: 1 if average and name == "dilation" else get(name), shape[1:])))


def adaptive_pooling(kind: str, get: Get, shape: Shape) -> Result:
    dimensions = int(kind[-2])
    if len(shape) == dimensions - 1 and "Avg" in kind and set(_pair(get("output_size"), dimensions)) == {1}:
        return (1,) * len(shape)  # PyTorch takes the batch for a single sample, and averages over it
    if len(shape) < dimensions:
        return Mismatch(kind, "", None, shape, "vector")
    if len(shape) != dimensions + 1 or get("return_indices") is True:
        return None
    return (shape[0], *_pair(get("output_size"), dimensions))


def concat_pooling(kind: str, get: Get, shape: Shape) -> Result:
    """fastai's pooling: the largest and the mean of each channel."""
    if len(shape) < 2:
        return Mismatch(kind, "", None, shape, "vector")
    size = get("size")
    sizes = (1, 1) if size is None else _pair(size, 2)
    return (None if shape[0] is None else 2 * shape[0], *sizes) if len(shape) == 3 else None


def batch_norm(kind: str, get: Get, shape: Shape) -> Result:
    takes, dimensions = _int(get("num_features")), int(kind[-2])
    if dimensions > 1 and len(shape) < dimensions:
        return Mismatch(kind, "num_features", takes, shape, "vector")
    if dimensions == 1 and len(shape) > 2:
        return Mismatch(kind, "num_features", takes, shape, "map")
    if takes is not None and shape and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "num_features", takes, shape, "size")
    return shape if dimensions == 1 or len(shape) == dimensions + 1 else None


def group_norm(kind: str, get: Get, shape: Shape) -> Result:
    takes, groups = _int(get("num_channels")), _int(get("num_groups"))
    if get("affine") is True and takes is not None and shape and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "num_channels", takes, shape, "size")
    fits = shape and groups and shape[0] is not None and shape[0] % groups == 0
    return shape if fits else None


def instance_norm(kind: str, get: Get, shape: Shape) -> Result:
    """One without a weight takes any number of channels; a map of one place is refused in training."""
    takes = _int(get("num_features"))
    if len(shape) != int(kind[-2]) + 1 or all(size == 1 for size in shape[1:]):
        return None
    if get("affine") is True and takes is not None and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "num_features", takes, shape, "size")
    return shape


def shuffle(kind: str, get: Get, shape: Shape) -> Result:
    groups = _int(get("groups"))
    return shape if len(shape) > 1 and groups and shape[0] is not None and shape[0] % groups == 0 else None


def local_norm(kind: str, get: Get, shape: Shape) -> Result:
    return shape if len(shape) > 1 else None


def padding(kind: str, get: Get, shape: Shape) -> Result:
    """As large as before, and what is put around it, of which reflection takes less than there is."""
    dimensions, given = int(kind[-2]), get("padding")
    if len(shape) != dimensions + 1:
        return None
    around = (given,) * (2 * dimensions) if type(given) is int else _items(given)
    if around is None or len(around) != 2 * dimensions or not all(type(each) is int for each in around):
        return (shape[0], *(None,) * dimensions)
    parts = list(zip(shape[1:], around[-2::-2], around[-1::-2], strict=True))
    if "Reflection" in kind and any(size is not None and max(rest) >= size for size, *rest in parts):
        return None
    return fitting((shape[0], *(None if size is None else size + before + after for size, before, after in parts)))


def layer_norm(kind: str, get: Get, shape: Shape) -> Result:
    value = get("normalized_shape")
    takes = value if type(value) is int else None
    sizes = _items(value)
    if sizes is not None:
        takes = _int(sizes[0]) if len(sizes) == 1 else None
    if takes is not None and shape and shape[-1] is not None and shape[-1] != takes:
        return Mismatch(kind, "normalized_shape", takes, shape, "size")
    return None if sizes is not None and len(sizes) > 1 and shape[-len(sizes) :] != sizes else shape


def prelu(kind: str, get: Get, shape: Shape) -> Result:
    return shape if get("num_parameters") in (1, *shape[:1]) else None


def ranked(kind: str, get: Get, shape: Shape) -> Result:
    """Layers that change no shape, and take only inputs of some ranks."""
    return shape if len(shape) in RANKS[kind] else None


RANKS = {"torch.nn.Dropout1d": (1, 2), "torch.nn.Softmax2d": (2, 3)}


def predictor(kind: str, get: Get, shape: Shape) -> Result:
    """A detection model's predictor answers several tensors, so only what it takes can be said."""
    takes = _int(get("in_channels"))
    if takes is not None and shape and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "in_channels", takes, shape, "size")
    return None


def segmentation_head(kind: str, get: Get, shape: Shape) -> Result:
    """A head that answers a map as large as what it gets; the library's own has no argument to read."""
    takes = _int(get("in_channels"))
    if len(shape) < 2:
        return Mismatch(kind, "in_channels", takes, shape, "vector")
    if takes is None:
        return None
    if len(shape) == 3 and shape[0] is not None and shape[0] != takes:
        return Mismatch(kind, "in_channels", takes, shape, "size")
    return (_int(get("channels" if kind.endswith("FCNHead") else "num_classes")), *shape[1:])


def upsampling(kind: str, get: Get, shape: Shape) -> Result:
    """Channels stay; sizes are known where a whole factor multiplies them."""
    if len(shape) != 3 and (len(shape) < 2 or kind.endswith("2d") or get("mode") != "nearest"):
        return None
    factor = get("scale_factor")
    if get("size") is not None or type(factor) is not int:
        return (shape[0], *(None for _ in shape[1:]))
    return (shape[0], *(None if size is None else size * factor for size in shape[1:]))


def flatten(kind: str, get: Get, shape: Shape) -> Result:
    if get("start_dim") != 1 or get("end_dim") != -1:
        return None
    return (product(shape),)


def product(shape: Shape) -> int | None:
    total = 1
    for size in shape:
        if size is None:
            return None
        total *= size
    return total


RULES: dict[str, Callable[[str, Get, Shape], Result]] = {
    "torch.nn.Linear": linear,
    "torch.nn.modules.linear.NonDynamicallyQuantizableLinear": linear,
    "torch.nn.Flatten": flatten,
    "fastai.layers.Flatten": lambda kind, get, shape: None if get("full") is not False else (product(shape),),
    "fastai.layers.AdaptiveConcatPool2d": concat_pooling,
    **{f"torch.nn.{name}": upsampling for name in ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d")},
    "torchvision.models.detection.faster_rcnn.FastRCNNPredictor": predictor,
    "torchvision.models.detection.mask_rcnn.MaskRCNNPredictor": predictor,
    "torchvision.models.detection.keypoint_rcnn.KeypointRCNNPredictor": predictor,
    "torchvision.models.segmentation.deeplabv3.DeepLabHead": segmentation_head,
    "torchvision.models.segmentation.fcn.FCNHead": segmentation_head,
    "torch.nn.LayerNorm": layer_norm,
    "torch.nn.GroupNorm": group_norm,
    **{f"torch.nn.InstanceNorm{n}d": instance_norm for n in (1, 2, 3)},
    **{f"torch.nn.{p}Pad{n}d": padding for p in ("Zero", "Reflection", "Replication") for n in (1, 2, 3)},
    "torch.nn.ChannelShuffle": shuffle,
    "torch.nn.LocalResponseNorm": local_norm,
    "torchvision.models.convnext.LayerNorm2d": same,
    "torch.nn.PReLU": prelu,
    **dict.fromkeys(RANKS, ranked),
    **{f"torch.nn.Conv{n}d": convolution for n in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{n}d": transposed_convolution for n in (1, 2, 3)},
    **{f"torch.nn.BatchNorm{n}d": batch_norm for n in (1, 2, 3)},
    **{f"torch.nn.{p}Pool{n}d": pooling for p in ("Max", "Avg") for n in (1, 2, 3)},
    **{f"torch.nn.Adaptive{p}Pool{n}d": adaptive_pooling for p in ("Max", "Avg") for n in (1, 2, 3)},
    **{
        f"torch.nn.{name}": same
        for name in [
            "Identity",
            "Dropout",
            "Dropout2d",
            "Dropout3d",
            "AlphaDropout",
            "FeatureAlphaDropout",
            "ReLU",
            "ReLU6",
            "LeakyReLU",
            "RReLU",
            "ELU",
            "SELU",
            "CELU",
            "GELU",
            "SiLU",
            "Mish",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "Hardswish",
            "Hardsigmoid",
            "Hardtanh",
            "LogSigmoid",
            "Threshold",
            "Softmax",
            "LogSoftmax",
            "Softmin",
            "Hardshrink",
            "Softshrink",
            "Tanhshrink",
        ]
    },
}
ACTIVATIONS_WITHOUT_PARAMETERS = frozenset(kind for kind in RULES if kind.startswith("torch.nn.")) - {
    "torch.nn.Linear",
    "torch.nn.modules.linear.NonDynamicallyQuantizableLinear",
    "torch.nn.LayerNorm",
    "torch.nn.PReLU",
    "torch.nn.GroupNorm",
    *(f"torch.nn.InstanceNorm{n}d" for n in (1, 2, 3)),
    *(f"torch.nn.{name}{n}d" for name in ("Conv", "ConvTranspose", "BatchNorm") for n in (1, 2, 3)),
}
CONTAINERS = frozenset(
    {
        "torch.nn.Sequential",
        "torch.nn.ModuleList",
        "torch.nn.ModuleDict",
        "torch.nn.DataParallel",
        "torch.nn.parallel.DistributedDataParallel",
    }
)
#: Parts of torchvision and fastai that own no parameter themselves: heads (see `semantics.predictors`), what they hold.
COMPOSITES = frozenset(
    [
        "fastai.layers.AdaptiveConcatPool2d",
        "fastai.layers.Flatten",
        "torchvision.ops.Conv2dNormActivation",
        *(f"torchvision.models.segmentation.deeplabv3.{name}" for name in ("ASPP", "ASPPConv", "ASPPPooling")),
        "torchvision.models.segmentation.deeplabv3.DeepLabHead",
        "torchvision.models.segmentation.fcn.FCNHead",
        "torchvision.models.segmentation.lraspp.LRASPPHead",
        "torchvision.models.detection.faster_rcnn.FastRCNNPredictor",
        "torchvision.models.detection.faster_rcnn.TwoMLPHead",
        "torchvision.models.detection.mask_rcnn.MaskRCNNPredictor",
        "torchvision.models.detection.keypoint_rcnn.KeypointRCNNPredictor",
        "torchvision.models.detection.retinanet.RetinaNetClassificationHead",
        "torchvision.models.detection.retinanet.RetinaNetRegressionHead",
        "torchvision.models.detection.fcos.FCOSClassificationHead",
        "torchvision.models.detection.fcos.FCOSRegressionHead",
        "torchvision.models.detection.ssd.SSDClassificationHead",
        "torchvision.models.detection.ssd.SSDRegressionHead",
        "torchvision.models.detection.ssdlite.SSDLiteClassificationHead",
        "torchvision.models.detection.ssdlite.SSDLiteRegressionHead",
        "torchvision.models.detection.retinanet.RetinaNetHead",
        "torchvision.models.detection.fcos.FCOSHead",
        "torchvision.models.detection.ssd.SSDHead",
        "torchvision.models.detection.ssdlite.SSDLiteHead",
    ]
)
#: Those of them that derive from Sequential.
STACKS = frozenset(
    kind
    for kind in COMPOSITES
    if kind.endswith(("NormActivation", "ASPPConv", "ASPPPooling", "DeepLabHead", "FCNHead", "MaskRCNNPredictor"))
)
AFFINE = frozenset({"torch.nn.LayerNorm", "torch.nn.GroupNorm", *(f"torch.nn.BatchNorm{n}d" for n in (1, 2, 3))})


def own_parameters(module: Any) -> tuple[str, ...] | None:
    """The names of the parameters that a heap module owns directly, in order; None if that is not known."""
    if module.node is not None:
        return tuple(module.node.parameters) if module.node.known != NOTHING else None
    kind = module.kind
    if kind == "script":
        return _parameters_of_script(module.values)
    if kind in LOSSES:
        return ()
    if kind in ACTIVATIONS_WITHOUT_PARAMETERS or kind in CONTAINERS or kind in COMPOSITES:
        return ()
    if kind in AFFINE:
        flag = module.arguments.get("elementwise_affine", module.arguments.get("affine", True))
        bias = module.arguments.get("bias", True) if flag is True else flag
        return ("weight", "bias") if bias is True else () if flag is False else ("weight",) if bias is False else None
    if kind in WEIGHTS:
        bias = module.arguments.get("bias", True)
        return ("weight", "bias") if bias is True else ("weight",) if bias is False else None
    return ("weight",) if kind == "torch.nn.PReLU" else None


LOSSES = frozenset(
    f"torch.nn.{name}Loss"
    for name in [
        "BCE", "BCEWithLogits", "CTC", "CosineEmbedding", "CrossEntropy", "GaussianNLL", "HingeEmbedding", "Huber",
        "KLDiv", "L1", "MSE", "MarginRanking", "MultiLabelMargin", "MultiLabelSoftMargin", "MultiMargin", "NLL",
        "NLL2d", "PoissonNLL", "SmoothL1", "SoftMargin", "TripletMargin", "TripletMarginWithDistance",
    ]
)  # fmt: skip


def _parameters_of_script(values: Any) -> tuple[str, ...] | None:
    """The attributes of a module of the script's own that are `nn.Parameter`s; None if one may be a module, too."""
    found = []
    for name, value in values.items():
        key = getattr(value, "key", None)
        if not isinstance(key, tuple):
            continue
        if key[0] == "parameter at":
            found.append(name)
        elif key[0] not in NEVER_MODULES:
            return None
    return tuple(found)


# Unknowns that can be no module: what arithmetic, texts and shapes give.
NEVER_MODULES = frozenset({"binary", "unary", "format", "shape", "requires_grad"})


def parameter_shape(module: Any, name: str) -> tuple[int, ...] | None:
    """The shape of a parameter that a heap module owns directly, or None."""
    if module.node is not None:
        shape = module.node.parameters.get(name)
        return tuple(shape) if shape is not None else None
    rule = WEIGHTS.get(module.kind)
    if rule is not None:
        weight = rule(module.arguments.get)
        if name == "bias":
            gives = module.arguments.get("out_features", module.arguments.get("out_channels"))
            return (gives,) if type(gives) is int else None
        return weight if name == "weight" and weight and all(type(size) is int for size in weight) else None
    if module.kind in AFFINE:
        size = module.arguments.get(
            "num_features", module.arguments.get("num_channels", module.arguments.get("normalized_shape"))
        )
        sizes = (size,) if type(size) is int else getattr(size, "items", None)
        return tuple(sizes) if isinstance(sizes, tuple) and all(type(s) is int for s in sizes) else None
    return None


def _linear_weight(get: Get) -> tuple[int, ...] | None:
    return (get("out_features"), get("in_features"))


def _convolution_weight(dimensions: int) -> Callable[[Get], tuple[int, ...] | None]:
    def weight(get: Get) -> tuple[int, ...] | None:
        kernel = _pair(get("kernel_size"), dimensions)
        groups, channels = get("groups"), _int(get("in_channels"))
        if channels is None or type(groups) is not int or groups < 1 or None in kernel:
            return None
        return (get("out_channels"), channels // groups, *kernel)

    return weight


def _transposed_weight(dimensions: int) -> Callable[[Get], tuple[int, ...] | None]:
    def weight(get: Get) -> tuple[int, ...] | None:
        kernel = _pair(get("kernel_size"), dimensions)
        groups, gives = get("groups"), _int(get("out_channels"))
        if gives is None or type(groups) is not int or groups < 1 or None in kernel:
            return None
        return (get("in_channels"), gives // groups, *kernel)

    return weight


def _no_weight(get: Get) -> tuple[int, ...] | None:
    return None


WEIGHTS: dict[str, Callable[[Get], tuple[int, ...] | None]] = {
    "torch.nn.Linear": _linear_weight,
    **{f"torch.nn.Conv{n}d": _convolution_weight(n) for n in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{n}d": _transposed_weight(n) for n in (1, 2, 3)},
    # Those that are fitted to what reaches them have theirs from the start, of no size yet.
    **{f"torch.nn.Lazy{kind}": _no_weight for kind in ("Linear", "Conv1d", "Conv2d", "Conv3d")},
}
