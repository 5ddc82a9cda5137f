"""Autocast: for real on an accelerator, and elsewhere as an accelerator would do it.

The CPU's own autocast is another one, and there is none for tensors on meta. So where a script computes under autocast
in parts, each call of torch is given what CUDA's autocast gives it: some functions compute in the lower precision,
some in float32, the others in what they are handed. The lists are those of torch's `ATen/autocast_mode.h`, with the
functions of `torch.nn.functional` that call one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from . import simulated
from .state import DTYPES, Refused, Run

OFF, ANY = "off", "any"  # besides dtypes: autocast is turned off, or may be on
LOWER = frozenset(
    "convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d prelu addmm addmv"
    " addr matmul __matmul__ __rmatmul__ einsum mm mv linear addbmm baddbmm bmm chain_matmul linalg_multi_dot"
    " linalg_vecdot lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
    " multi_head_attention_forward scaled_dot_product_attention".split()
)
FLOAT32 = frozenset(
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ __rpow__ __rdiv__"
    " __rtruediv__ softplus layer_norm native_layer_norm rms_norm group_norm norm normalize frobenius_norm"
    " nuclear_norm interpolate upsample upsample_nearest upsample_bilinear pairwise_distance cosine_similarity"
    " poisson_nll_loss cosine_embedding_loss cross_entropy nll_loss hinge_embedding_loss kl_div l1_loss smooth_l1_loss"
    " huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss"
    " multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp prod softmax log_softmax"
    " cumprod cumsum linalg_vector_norm linalg_matrix_norm sum".split()
)
WIDEST = frozenset(
    "addcdiv addcmul atan2 bilinear cross dot grid_sample grid_sampler index_put tensordot scatter_add vdot".split()
)
UNSAFE = (
    "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast. Many models use a sigmoid "
    "layer right before the binary cross entropy layer. In this case, combine the two layers using "
    "torch.nn.functional.binary_cross_entropy_with_logits or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_"
    "logits and BCEWithLogits are safe to autocast."
)
REGIONS = [""]  # the innermost last: "" where there is none


def is_sure(plan: Any) -> bool:
    """Whether it is known where a plan computes under autocast, and where it does not."""
    return plan.get("autocast") is not True and not any(cast == ANY for cast in parts_of(plan))


def parts_of(plan: Any) -> list[Any]:
    """What is said of autocast in the steps of the plan's forwards."""
    steps = plan.get("steps")
    forwards = [s.get("steps") for s in steps if isinstance(s, dict)] if isinstance(steps, list) else []
    inner = [step for steps in forwards if isinstance(steps, list) for step in steps if isinstance(step, dict)]
    return [step["cast"] for step in inner if "cast" in step]


def is_followed(run: Run, plan: Any) -> bool:
    """Whether calls are given what CUDA's autocast would give them. Where all of a pass on the CPU is under it, it goes
    without: no size depends on that, and it would take longer."""
    if run.device.split(":")[0] not in ("cpu", "meta") or not is_sure(plan):
        return False
    return bool(parts_of(plan)) or (run.simulates and isinstance(plan.get("autocast"), str))


def is_left_out(run: Run, plan: Any) -> bool:
    """Whether a script computes under autocast, and the run does so otherwise or not at all."""
    casts = bool(plan.get("autocast")) or bool(parts_of(plan))
    return casts and run.device.split(":")[0] in ("cpu", "meta") and not is_followed(run, plan)


@contextlib.contextmanager
def around(run: Run, plan: Any, root: Any) -> Iterator[None]:
    """Within this the script's model is run: under autocast where the script does so with all of it."""
    torch, cast = run.torch, plan.get("autocast")
    if is_followed(run, plan):
        with calls(torch), region(run, cast):
            yield
        return
    kind = run.device.split(":")[0]
    if not cast and not parts_of(plan):
        yield
    elif run.simulates:
        with simulated.mixing():
            yield
    elif kind != "cpu":
        with region(run, cast):
            yield
    else:
        mixed = len({p.dtype for p in root.parameters() if p.dtype.is_floating_point}) > 1
        with torch.autocast(kind) if mixed else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def of_loss(run: Run, plan: Any, loss: Any) -> Iterator[None]:
    """Within this a loss of the script is computed, which says so where it is under another autocast than the model."""
    cast = loss.get("cast") or plan.get("autocast")
    followed = cast and is_sure(plan) and run.device.split(":")[0] in ("cpu", "meta")
    with calls(run.torch) if followed else contextlib.nullcontext(), region(run, cast):
        yield


@contextlib.contextmanager
def region(run: Run, cast: Any) -> Iterator[None]:
    """Within this, calls are under autocast as a script says: with a dtype, turned off, or as around if it says
    nothing."""
    if not cast:
        yield
        return
    torch, kind = run.torch, run.device.split(":")[0]
    if cast not in (True, OFF, ANY, *DTYPES):
        raise Refused(f"autocast to {cast!r:.60}")
    if kind not in ("cpu", "meta"):
        dtype = getattr(torch, cast) if cast in DTYPES else None
        with torch.autocast(kind, dtype=dtype, enabled=cast != OFF):
            yield
        return
    # float16 is twenty times as slow on the CPU as bfloat16, which autocast treats in the same way.
    lower = "bfloat16" if cast == "float16" and kind == "cpu" else cast
    REGIONS.append("" if cast == OFF else lower)
    try:
        yield
    finally:
        REGIONS.pop()


@contextlib.contextmanager
def calls(torch: Any) -> Iterator[None]:
    """Within this, calls of torch in a region are given what CUDA's autocast would give them."""
    from torch.overrides import TorchFunctionMode

    class Casts(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            lower = getattr(torch, REGIONS[-1], None) if REGIONS[-1] in DTYPES else None
            name = getattr(function, "__name__", "")
            if lower is None:
                return function(*args, **kwargs)
            if name == "binary_cross_entropy":
                raise RuntimeError(UNSAFE)
            dtype = wanted(torch, name, lower, (args, kwargs))
            if dtype is not None and kwargs.get("dtype") is None:
                args, kwargs = cast_to(torch, dtype, args), cast_to(torch, dtype, kwargs)
            return function(*args, **kwargs)

    with Casts():
        yield


def wanted(torch: Any, name: str, lower: Any, given: Any) -> Any:
    """The dtype that a function computes in; None for whatever it is handed."""
    if name in LOWER:
        return lower
    found = {tensor.dtype for tensor in simulated.tensors_in(torch, given)}
    if name in FLOAT32 or (name in WIDEST and torch.float32 in found):
        return torch.float32
    return None


def cast_to(torch: Any, dtype: Any, value: Any) -> Any:
    """What a call is given, its tensors of another dtype changed. float64 stays, as in CUDA's autocast."""
    if isinstance(value, torch.Tensor):
        others = (torch.float16, torch.bfloat16, torch.float32)
        return value.to(dtype) if value.dtype in others and value.dtype != dtype else value
    if isinstance(value, dict):
        return {key: cast_to(torch, dtype, inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(cast_to(torch, dtype, inner) for inner in value)
    return value
