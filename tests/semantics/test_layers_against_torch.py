"""Every layer rule against the real layer: what it says of shapes, parameters and mismatches is what PyTorch does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from headcheck import catalog
from headcheck.interpreter.heap import Module
from headcheck.interpreter.values import Tuple, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics import layers
from headcheck.semantics.layers import Mismatch

torch = pytest.importorskip("torch")
nn = torch.nn
torch.set_num_threads(1)

BATCH = 2
SHAPES = [
    *[(n,) for n in (1, 3, 8, 16)],
    *[(8, 5), (3, 12), (16, 8), (2, 2)],
    *[(3, 12, 12), (8, 7, 9), (16, 1, 1), (8, 8, 8), (3, 2, 2), (4, 3, 8)],
    *[(3, 4, 6, 6), (8, 3, 3, 3)],
]
CALLS = {
    "Linear": [(8, 4), (3, 3, False), (12, 1)],
    "Flatten": [(), (2,), (1, 2)],
    "LayerNorm": [(8,), ((9,),), ((12, 12),), (16, 1e-6, False)],
    "Softmax": [(1,), (-1,)],
    "LogSoftmax": [(1,)],
    "Softmin": [(1,)],
    "PReLU": [(), (8,)],
    "Threshold": [(0.1, 0.0)],
    "BatchNorm1d": [(8,), (3, 1e-5, 0.1, False)],
    "BatchNorm2d": [(8,), (3, 1e-5, 0.1, False)],
    "BatchNorm3d": [(8,), (3, 1e-5, 0.1, False)],
    "GroupNorm": [(2, 8), (1, 3, 1e-5, False)],
    "ChannelShuffle": [(1,), (4,)],
    "LocalResponseNorm": [(2,)],
    "Upsample": [(7,), {"scale_factor": 2}, {"scale_factor": 1.5}],
    "UpsamplingBilinear2d": [{"scale_factor": 2}, ((9, 5),)],
    "UpsamplingNearest2d": [{"scale_factor": 3}],
}
CONVOLUTIONS = [
    (3, 8, 1),
    (8, 4, 3),
    (3, 6, 3, 2, 1),
    (8, 8, 2, 1, 0, 2, 4),
    (16, 2, 1, 1, 0, 1, 1, False),
    (3, 4, 3, 1, "same"),
    (3, 4, 9),
]
POOLS = [(2,), (3, 1), (3, 2, 1), (2, None, 0)]


def calls_of(name):
    """Arguments to try on a layer; a tuple is one call's positional arguments, a dict its keywords."""
    if name in CALLS:
        return CALLS[name]
    if name.startswith("ConvTranspose"):
        odd = {1: (3,), 2: (3, 1), 3: (1, 2, 1)}[int(name[-2])]
        return [(3, 8, 2, 2), (8, 4, 3, 1, 1), (3, 6, 3, 2, 1, 1), (8, 8, 2, 1, 0, 0, 4), (16, 2, odd), (3, 4, 1)]
    if name.startswith("Conv"):
        odd = {1: (3,), 2: (3, 1), 3: (1, 2, 1)}[int(name[-2])]
        return [*CONVOLUTIONS, (3, 5, odd, odd), {"in_channels": 8, "out_channels": 2, "kernel_size": odd}]
    if name.startswith("Adaptive"):
        size = int(name[-2])
        kept = [((None,) * size,)] if size > 1 else []
        indices = [{"output_size": 1, "return_indices": True}] if "Max" in name else []
        return [(1,), (4,), *kept, *indices]
    if name.startswith("Max"):
        size = int(name[-2])
        return [
            *POOLS,
            {"kernel_size": 2, "dilation": (2,) * size},
            {"kernel_size": 2, "return_indices": True},
            {"kernel_size": 2, "ceil_mode": True},
            {"kernel_size": (2,) * size, "stride": (1,) * size},
        ]
    if name.startswith("InstanceNorm"):
        return [(8,), (3, 1e-5, 0.1, True), {"num_features": 16, "affine": True}]
    if "Pad" in name:
        return [(1,), (2,), (tuple(range(2 * int(name[-2]))),), ((1, 0) * int(name[-2]),)]
    if name.startswith("Avg"):
        return [*POOLS, {"kernel_size": 2, "ceil_mode": True}]
    return [()]


def as_value(value):
    return Tuple(value) if isinstance(value, tuple) else value


def bound(kind, call):
    """The arguments of a call under their parameters' names, as the interpreter holds them."""
    names = catalog.layer(kind).parameters
    given = call if isinstance(call, dict) else dict(zip(names, call, strict=False))
    return {name: as_value(given.get(name, default)) for name, default in names.items()}


def made(kind, call):
    cls = getattr(nn, kind.rsplit(".", 1)[-1])
    return cls(**call) if isinstance(call, dict) else cls(*call)


PUBLIC = sorted(kind for kind in layers.RULES if kind.startswith("torch.nn.") and kind.count(".") == 2)
CASES = [pytest.param(kind, call, id=f"{kind[9:]}-{call}") for kind in PUBLIC for call in calls_of(kind[9:])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind, call", CASES)
def test_shapes_are_those_of_the_real_layer(kind, call):
    arguments = bound(kind, call)
    layer = made(kind, call)
    for shape in SHAPES:
        says = layers.infer(kind, arguments.get, shape)
        try:
            with torch.no_grad():
                output = layer(torch.rand(BATCH, *shape))
        except (RuntimeError, ValueError, IndexError) as error:
            assert says is None or isinstance(says, Mismatch), f"{shape}: {error}"
            continue
        assert not isinstance(says, Mismatch), f"{shape} is taken"
        if says is None:
            continue
        assert isinstance(output, torch.Tensor), f"{shape}: answers a {type(output).__name__}"
        real = tuple(output.shape[1:])
        assert len(says) == len(real), shape
        assert all(told in (None, size) for told, size in zip(says, real, strict=True)), f"{shape}: {says}, {real}"


@pytest.mark.parametrize(
    "kind, call, shape, answer",
    [
        ("Linear", (8, 4), (8,), (4,)),
        ("Linear", (8, 4), (5, 8), (5, 4)),
        ("Linear", (8, UNKNOWN), (8,), (None,)),
        ("Linear", (UNKNOWN, 4), (8,), (4,)),
        ("Conv2d", (3, 64, 7, 2, 3), (3, 224, 224), (64, 112, 112)),
        ("Conv2d", (3, 64, 7, 2, 3), (3, None, 224), (64, None, 112)),
        ("Conv2d", (3, 64, UNKNOWN, 2, 3), (3, 224, 224), (64, None, None)),
        ("Conv3d", (3, 64, symbol("argument", "k", "k")), (3, 8, 8, 8), (64, None, None, None)),
        ("MaxPool2d", (3, 2, 1), (64, 112, 112), (64, 56, 56)),
        ("AvgPool2d", (7,), (512, 7, 7), (512, 1, 1)),
        ("AdaptiveAvgPool2d", (1,), (512, None, None), (512, 1, 1)),
        ("AdaptiveAvgPool2d", ((1, 1),), (512, 9, 9), (512, 1, 1)),
        ("Flatten", (), (512, 7, 7), (25088,)),
        ("Flatten", (), (512, None, None), (None,)),
        ("BatchNorm2d", (64,), (64, 7, 7), (64, 7, 7)),
        ("LayerNorm", (768,), (197, 768), (197, 768)),
        ("Dropout", (), (7, None), (7, None)),
    ],
)
def test_what_is_known_is_told(kind, call, shape, answer):
    assert layers.infer(f"torch.nn.{kind}", bound(f"torch.nn.{kind}", call).get, shape) == answer


@pytest.mark.parametrize(
    "kind, call, shape, argument, takes, reason",
    [
        ("Linear", (512, 10), (2048,), "in_features", 512, "size"),
        ("Linear", (512, 10), (512, 13, 13), "in_features", 512, "map"),
        ("Conv2d", (512, 10, 1), (1280, 7, 7), "in_channels", 512, "size"),
        ("Conv2d", (512, 10, 1), (512,), "in_channels", 512, "vector"),
        ("MaxPool2d", (2,), (512,), "", None, "vector"),
        ("AdaptiveAvgPool2d", (7,), (512,), "", None, "vector"),
        ("BatchNorm1d", (256,), (512,), "num_features", 256, "size"),
        ("BatchNorm1d", (512,), (512, 7, 7), "num_features", 512, "map"),
        ("BatchNorm2d", (512,), (512,), "num_features", 512, "vector"),
        ("LayerNorm", (512,), (768,), "normalized_shape", 512, "size"),
        ("LayerNorm", ((512,),), (768,), "normalized_shape", 512, "size"),
        ("GroupNorm", (32, 512), (2048, 7, 7), "num_channels", 512, "size"),
        ("InstanceNorm2d", (64, 1e-5, 0.1, True), (128, 7, 7), "num_features", 64, "size"),
    ],
)
def test_a_mismatch_says_what_disagrees(kind, call, shape, argument, takes, reason):
    kind = f"torch.nn.{kind}"
    assert layers.infer(kind, bound(kind, call).get, shape) == Mismatch(kind, argument, takes, shape, reason)


def test_unknown_layers_and_arguments_are_silent():
    assert layers.infer("torch.nn.LSTM", {}.get, (8,)) is None
    assert layers.infer("torch.nn.Linear", {}.get, (8,)) == (None,)
    assert layers.infer("torch.nn.Conv2d", {}.get, (8, 7, 7)) == (None, None, None)


PARAMETERS = [
    *[("Linear", c) for c in ((8, 4), (8, 4, False))],
    *[(f"Conv{n}d", c) for n in (1, 2, 3) for c in ((3, 8, 3), (8, 8, 3, 1, 1, 1, 4), (8, 8, 1, 1, 0, 1, 8, False))],
    *[(f"Conv{n}d", (4, 6, (3,) * n)) for n in (1, 2, 3)],
    *[(f"BatchNorm{n}d", c) for n in (1, 2, 3) for c in ((8,), (8, 1e-5, 0.1, False))],
    *[("LayerNorm", c) for c in ((8,), ((8,),), ((4, 6),), (8, 1e-5, False), (8, 1e-5, True, False))],
    *[("GroupNorm", c) for c in ((2, 8), (2, 8, 1e-5, False))],
    *[("PReLU", c) for c in ((), (8,))],
    *[(name, ()) for name in ("ReLU", "Dropout", "Identity", "Flatten", "Sigmoid", "Hardswish")],
    *[("MaxPool2d", (2,)), ("AdaptiveAvgPool2d", (1,)), ("Softmax", (1,))],
    *[("Embedding", (4, 5)), ("Bilinear", (2, 3, 4)), ("ConvTranspose2d", (4, 5, 3)), ("LSTM", (3, 4))],
]


@pytest.mark.parametrize("name, call", PARAMETERS, ids=lambda value: str(value))
def test_parameters_are_those_of_the_real_layer(name, call):
    kind = f"torch.nn.{name}"
    layer = made(kind, call)
    module = Module(kind, None, arguments=bound(kind, call))
    real = {n: tuple(p.shape) for n, p in layer.named_parameters(recurse=False)}
    names = layers.own_parameters(module)
    if names is None:
        assert name in ("Embedding", "Bilinear", "ConvTranspose2d", "LSTM"), "this layer's parameters are known"
        return
    assert list(names) == list(real)
    for one in names:
        shape = layers.parameter_shape(module, one)
        assert shape == real[one] or (name == "PReLU" and shape is None)


@pytest.mark.parametrize("name, arguments", [("Linear", (8, 4, UNKNOWN)), ("BatchNorm2d", (8, 1e-5, 0.1, UNKNOWN))])
def test_parameters_that_depend_on_an_unknown_are_unknown(name, arguments):
    kind = f"torch.nn.{name}"
    assert layers.own_parameters(Module(kind, None, arguments=bound(kind, arguments))) is None


def test_unknown_sizes_give_unknown_parameter_shapes():
    for call in ((UNKNOWN, 4), (8, UNKNOWN)):
        module = Module("torch.nn.Linear", None, arguments=bound("torch.nn.Linear", call))
        assert layers.own_parameters(module) == ("weight", "bias")
        assert layers.parameter_shape(module, "weight") is None


def test_a_part_of_the_catalog_has_the_parameters_it_says():
    node = SimpleNamespace(parameters={"weight": [4, 8]}, known="all")
    module = Module("torch.nn.Linear", None, node=node)
    assert layers.own_parameters(module) == ("weight",)
    assert layers.parameter_shape(module, "weight") == (4, 8)
    assert layers.parameter_shape(module, "bias") is None


def test_product():
    assert layers.product((512, 7, 7)) == 25088
    assert layers.product((512, None)) is None
    assert layers.product(()) == 1
