"""Runs a small script in real PyTorch and says whether it fails in the way a rule's `proof` claims.

Nothing of headcheck's analysis is used here, so this is a second opinion on every promise of the rule book.

A script leaves its model in the variable `model`, and its optimizer, if it has one, in `optimizer`. It is run with
`observe`; then the model is put in training mode, a batch of black images goes forward through it (3 × 224 × 224, or
the size that the model demands; 3 × 32 × 32 for a model in half precision, which processors convolve a hundred times
slower), and the squares of all its outputs, auxiliary ones too, go backward. Library models are built as their weights
would have them (no auxiliary heads for GoogLeNet, one for DeepLab), but the weights themselves are never fetched:
loading them does nothing.

The vocabulary of `proof`:

- `raises TYPE`: the script, or the forward or backward pass after it, raises exactly that exception;
- `silent output N`: nothing is raised, and one of the outputs still has N classes;
- `frozen PARAMETER`: that parameter (`fc.weight`) does not require a gradient at the end, though it was meant to learn;
- `trainable PARAMETER`: that parameter requires a gradient and gets one, though it was meant to be frozen;
- `no-grad PARAMETER`: that parameter requires a gradient and gets none: the output does not depend on it;
- `untrained PARAMETER`: that parameter requires a gradient, and the script's own backward pass gave it none;
- `random PARAMETER`: that parameter is frozen, and no pretrained weights were loaded into it;
- `statistics LAYER`: the running statistics of that BatchNorm moved while the script ran, though it is frozen;
- `not-in-optimizer PARAMETER`: that parameter is in no parameter group of `optimizer`;
- `device-mismatch`: on a machine with an accelerator (a simulated one, see `torch_devices`) the pass after the script
  meets tensors of two devices;
- `probabilities`: the variable `output`, which goes into the loss, holds nothing but numbers between 0 and 1;
- `raw output`: the variable `output`, which goes into the loss, does not hold the logarithms of probabilities;
- `zero-loss`: the variable `loss` is 0, though nothing was learnt;
- `map output`: nothing is raised, and the main output is a map: it has more than two dimensions;
- `warns TYPE`: nothing is raised, and the script gives exactly that warning;
- `unreadable`: Python itself cannot parse the script;
- `none`: nothing that running the script could show.

A right script must show the opposite: nothing is raised, every trainable parameter gets a gradient, and what its proof
names is as it should be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.utils.model_zoo
import torchvision

from tests import hub_stand_ins, torch_devices


@dataclasses.dataclass(frozen=True)
class Observed:
    """What one run showed. `at` is where `error` came up: `script`, `forward` or `backward` ("" if nowhere).

    `outputs` are the shapes of the tensors that the training forward answered, the main one first; `names` are the
    script's variables; `warned` holds its warnings. `loaded` are the ids of the parameters that were given pretrained
    weights; of `model`, by name: `learnt` are the parameters that had a gradient when the script ended, `moved` the
    BatchNorm layers whose statistics had been updated.
    """

    error: Exception | None
    at: str
    names: dict[str, Any]
    outputs: tuple[tuple[int, ...], ...]
    warned: tuple[warnings.WarningMessage, ...]
    loaded: frozenset[int]
    learnt: frozenset[str]
    moved: frozenset[str]

    @property
    def said(self) -> str:
        """Everything that was printed for the user: the error and the warnings, as Python writes them."""
        lines = [f"{warning.category.__name__}: {warning.message}" for warning in self.warned]
        if self.error is not None:
            lines.append(f"{type(self.error).__name__}: {self.error}")
        return "\n".join(lines)

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        return dict(self.names["model"].named_parameters())


class _NoWeights(dict[str, Any]):
    """Stands for the weights that are not fetched."""


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("a test must not fetch weights")


def _asked_for(member: Any, *args: Any, **kwargs: Any) -> Any:
    """What `get_state_dict` answers: nothing to the library, the right names and shapes to a script."""
    library = sys._getframe(1).f_globals["__name__"].startswith("torchvision.")
    return _NoWeights() if library else _stand_ins(member)


def _from_url(url: str, *args: Any, **kwargs: Any) -> Any:
    """What lies at one of the library's URLs: the right names and shapes."""
    enums = {torchvision.models.get_model_weights(name) for name in torchvision.models.list_models()}
    member = next((m for enum in enums for m in enum if m.url == url), None)
    return _stand_ins(member) if member is not None else _refuse()


def _stand_ins(member: Any) -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of some weights."""
    models = torchvision.models
    name = next(name for name in models.list_models() if models.get_model_weights(name) is type(member))
    # The file has the auxiliary heads, which the builder drops.
    keywords = {"aux_logits": True} if name == "googlenet" else {"weights": member}
    made = models.get_model(name, **keywords).state_dict()
    # The files of DenseNets have older names for the layers inside a block.
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", key): value for key, value in made.items()}


@contextlib.contextmanager
def without_weights() -> Iterator[set[int]]:
    """Library models take the structure that their weights ask for; loading these does nothing. A script that asks for
    the library's weights itself gets tensors of the right names and shapes.

    Yields the ids of the parameters that weights were, or would have been, loaded into.
    """
    load = torch.nn.Module.load_state_dict
    loaded: set[int] = set()

    def load_unless_absent(module: torch.nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        loaded.update(id(parameter) for parameter in module.parameters())
        return None if isinstance(state_dict, _NoWeights) else load(module, state_dict, *args, **kwargs)

    api = torchvision.models._api
    with (
        mock.patch.object(api.WeightsEnum, "get_state_dict", _asked_for),
        mock.patch.object(api, "load_state_dict_from_url", _refuse),
        mock.patch.object(torch.hub, "load_state_dict_from_url", _from_url),
        mock.patch.object(torch.utils.model_zoo, "load_url", _from_url),
        mock.patch.object(torch.nn.Module, "load_state_dict", load_unless_absent),
    ):
        yield loaded


@contextlib.contextmanager
def without_weights_of(script: str) -> Iterator[None]:
    """The same for the other libraries that a script names; those are imported only then."""
    with contextlib.ExitStack() as stack:
        if "timm" in script:
            builder = importlib.import_module("timm.models._builder")
            stack.enter_context(mock.patch.object(builder, "load_pretrained", lambda *args, **kwargs: None))
        if "transformers" in script:
            stack.enter_context(hub_stand_ins.hub())
        yield


def image_size(model: torch.nn.Module) -> int:
    """Pixels on a side of the images that a library model takes."""
    if hasattr(model, "pretrained_cfg"):  # timm's
        return int(model.pretrained_cfg["input_size"][-1])
    if isinstance(model, torchvision.models.Inception3):
        return 299
    first = next(iter(model.parameters()), None)
    return int(getattr(model, "image_size", 32 if first is not None and first.dtype is torch.float16 else 224))


def tensors(output: Any) -> list[torch.Tensor]:
    """The floating tensors of an output: a tensor, or a tuple or dict of them (the main output comes first)."""
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


def observe(script: str, batch: int = 2, accelerator: bool = False) -> Observed:
    """Run `script`, then one forward and one backward pass of its `model` on `batch` images, which are on the device
    and of the dtype of its first parameter. `accelerator`: on a simulated machine that has one.

    Whatever is raised is part of the answer.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    at = "script"
    names: dict[str, Any] = {"__name__": "__main__"}
    outputs: tuple[tuple[int, ...], ...] = ()
    error: Exception | None = None
    learnt, moved = frozenset[str](), frozenset[str]()
    world = torch_devices.simulated() if accelerator else contextlib.nullcontext()
    with world, without_weights() as loaded, without_weights_of(script), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            exec(compile(script, "script.py", "exec"), names)
            model = names["model"]
            learnt = frozenset(name for name, p in model.named_parameters() if p.grad is not None)
            counters = (pair for pair in model.named_buffers() if pair[0].endswith(".num_batches_tracked"))
            moved = frozenset(name.rpartition(".")[0] for name, counter in counters if counter.is_cpu and counter > 0)
            at = "forward"
            size = image_size(model.train())
            first = next(model.parameters())
            if getattr(model, "main_input_name", "") == "input_ids":  # a language model of transformers
                answers = tensors(model(torch.ones(batch, 4, dtype=torch.long)))
            else:
                answers = tensors(model(torch.zeros(batch, 3, size, size).to(first.device, first.dtype)))
            outputs = tuple(tuple(answer.shape) for answer in answers)
            at = "backward"
            sum(answer.square().mean() for answer in answers).backward()
            at = ""
        except Exception as raised:
            error = raised
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
    return Observed(error, at, names, outputs, tuple(warned), frozenset(loaded), learnt, moved)


# Each answers None when the proof holds, else what was seen instead, in words for the test report.
Proof = Callable[[Observed, str], "str | None"]


def _raises(seen: Observed, kind: str) -> str | None:
    if seen.error is None:
        return "nothing was raised"
    return None if type(seen.error).__name__ == kind else f"raised in the {seen.at}: {seen.said}"


def _silent_output(seen: Observed, classes: str) -> str | None:
    if seen.error is not None:
        return f"not silent: {seen.said}"
    held = any(shape[1] == int(classes) for shape in seen.outputs)
    return None if held else f"the outputs are {seen.outputs}"


def parameter_at(seen: Observed, path: str) -> torch.nn.Parameter:
    """A parameter by its path in the model; of a module that PEFT saves, the one in the copy that it trains."""
    owner, _, name = path.rpartition(".")
    copy = f"{owner}.modules_to_save.default.{name}"
    return seen.parameters[copy if copy in seen.parameters else path]


def _frozen(seen: Observed, path: str) -> str | None:
    # A model with nothing trainable cannot go backward; that is the fault's own echo, not another one.
    if seen.at not in ("", "backward"):
        return f"raised in the {seen.at}: {seen.said}"
    return f"{path} requires a gradient" if parameter_at(seen, path).requires_grad else None


def _trainable(seen: Observed, path: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    parameter = parameter_at(seen, path)
    return None if parameter.requires_grad and parameter.grad is not None else f"{path} is frozen"


def _no_grad(seen: Observed, path: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    parameter = seen.parameters[path]
    return None if parameter.requires_grad and parameter.grad is None else f"{path} is frozen or got a gradient"


def _untrained(seen: Observed, path: str) -> str | None:
    if seen.at == "script":
        return f"raised in the script: {seen.said}"
    held = seen.parameters[path].requires_grad and path not in seen.learnt
    return None if held else f"{path} is frozen or got a gradient"


def _random(seen: Observed, path: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    parameter = seen.parameters[path]
    held = not parameter.requires_grad and id(parameter) not in seen.loaded
    return None if held else f"{path} is trainable or was loaded"


def _statistics(seen: Observed, path: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    held = path in seen.moved and not seen.parameters[f"{path}.weight"].requires_grad
    return None if held else f"{path} is not frozen, or its statistics are as they were"


def _not_in_optimizer(seen: Observed, path: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    return f"{path} is in the optimizer" if _in_optimizer(seen, path) else None


def _map_output(seen: Observed, _: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    return None if len(seen.outputs[0]) > 2 else f"the outputs are {seen.outputs}"


def _warns(seen: Observed, kind: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    held = any(warning.category.__name__ == kind for warning in seen.warned)
    return None if held else "no such warning"


def _device_mismatch(seen: Observed, _: str) -> str | None:
    if isinstance(seen.error, torch_devices.DeviceMismatch):
        return None
    return "nothing was raised" if seen.error is None else f"raised in the {seen.at}: {seen.said}"


def _probabilities(seen: Observed, _: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    output = seen.names["output"]
    held = bool(((output >= 0) & (output <= 1)).all())
    return None if held else f"the output runs from {output.min():.2f} to {output.max():.2f}"


def _raw_output(seen: Observed, _: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    sums = seen.names["output"].exp().sum(dim=1)
    return None if bool(((sums - 1).abs() > 0.001).all()) else "the output holds log-probabilities"


def _zero_loss(seen: Observed, _: str) -> str | None:
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    return None if seen.names["loss"].item() == 0 else f"the loss is {seen.names['loss'].item()}"


def _unreadable(seen: Observed, _: str) -> str | None:
    return None if isinstance(seen.error, SyntaxError) else "Python parsed it"


def _in_optimizer(seen: Observed, path: str) -> bool:
    wanted = seen.parameters[path]
    return any(parameter is wanted for group in seen.names["optimizer"].param_groups for parameter in group["params"])


PROOFS: dict[str, Proof] = {
    "raises": _raises,
    "silent output": _silent_output,
    "frozen": _frozen,
    "trainable": _trainable,
    "no-grad": _no_grad,
    "untrained": _untrained,
    "random": _random,
    "statistics": _statistics,
    "not-in-optimizer": _not_in_optimizer,
    "device-mismatch": _device_mismatch,
    "probabilities": _probabilities,
    "raw output": _raw_output,
    "zero-loss": _zero_loss,
    "map output": _map_output,
    "warns": _warns,
    "unreadable": _unreadable,
    "none": lambda seen, _: None,
}

# What a right script must show beyond working at all: the opposite of its proof.
OPPOSITES: dict[str, Proof] = {
    "silent output": lambda seen, classes: None if _silent_output(seen, classes) else f"outputs {seen.outputs}",
    "frozen": lambda seen, path: _trainable(seen, path),
    "trainable": lambda seen, path: _frozen(seen, path),
    "untrained": lambda seen, path: None if path in seen.learnt else f"{path} got no gradient",
    "random": lambda seen, path: None if _random(seen, path) else f"{path} is frozen at random",
    "statistics": lambda seen, path: None if _statistics(seen, path) else f"the statistics of {path} moved",
    "not-in-optimizer": lambda seen, path: None if _in_optimizer(seen, path) else f"{path} is not in the optimizer",
    "probabilities": lambda seen, _: None if _probabilities(seen, "") else "the output holds probabilities",
    "raw output": lambda seen, _: None if _raw_output(seen, "") else "the output is raw",
    "zero-loss": lambda seen, _: None if _zero_loss(seen, "") else "the loss is 0",
    "map output": lambda seen, _: None if _map_output(seen, "") else f"outputs {seen.outputs}",
    "warns": lambda seen, kind: None if _warns(seen, kind) else f"it warns: {seen.said}",
}


def needs_accelerator(proof: str) -> bool:
    """Whether a proof can be seen only on a machine with an accelerator."""
    return split(proof)[0] == "device-mismatch"


def split(proof: str) -> tuple[str, str]:
    """`silent output 1000` → (`silent output`, `1000`). Raises ValueError on a word that is not in the vocabulary."""
    for kind in PROOFS:
        if proof == kind or proof.startswith(f"{kind} "):
            return kind, proof[len(kind) :].strip()
    raise ValueError(f"no such proof: {proof!r}")


def why_not_wrong(seen: Observed, proof: str) -> str | None:
    """None if what was seen is the fault that `proof` describes, else what was seen instead."""
    kind, argument = split(proof)
    return PROOFS[kind](seen, argument)


def why_not_right(seen: Observed, proof: str = "none") -> str | None:
    """None if the script works and shows the opposite of `proof`, else what is wrong with it."""
    if seen.error is not None:
        return f"raised in the {seen.at}: {seen.said}"
    for path, parameter in seen.parameters.items():
        if parameter.requires_grad and parameter.grad is None:
            return f"{path} gets no gradient"
    kind, argument = split(proof)
    return OPPOSITES.get(kind, lambda *_: None)(seen, argument)
