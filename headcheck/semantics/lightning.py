"""Lightning: what its modules have besides those of torch, and what its trainer does to a model."""

from __future__ import annotations

import re

from headcheck.interpreter.heap import LIGHTNING, Instance, Module, library_bases
from headcheck.interpreter.values import Library, Value
from headcheck.semantics.devices import computes_in
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import METHODS, CallSite, effect, method

NAMES = ("pytorch_lightning", "lightning", "lightning.pytorch")
# Of Lightning 1 and 2. What only some versions have counts as there.
ATTRIBUTES = frozenset([
    "add_to_queue", "all_gather", "automatic_optimization", "backward", "clip_gradients", "current_epoch",
    "datamodule", "device", "device_mesh", "dtype", "example_input_array", "fabric", "freeze", "get_from_queue",
    "get_progress_bar_dict", "global_rank", "global_step", "grad_norm", "hparams", "hparams_initial",
    "load_from_checkpoint", "local_rank", "log", "log_dict", "log_grad_norm", "logger", "loggers", "lr_schedulers",
    "manual_backward", "metrics", "model_size", "on_gpu", "optimizers", "precision", "prepare_data", "print",
    "save_hyperparameters", "setup", "strict_loading", "summarize", "tbptt_split_batch", "teardown",
    "to_onnx", "to_tensorrt", "to_torchscript", "toggle_optimizer", "toggled_optimizer", "trainer",
    "transfer_batch_to_device", "truncated_bptt_steps", "unfreeze", "untoggle_optimizer",
])  # fmt: skip
HOOKS = r"_.*|on_.*|configure_.*|use_.*|optimizer_.*|lr_scheduler_.*|.*_(step|end|dataloaders?)|[A-Z_]+"


def has(name: str) -> bool:
    """Whether every Lightning module may have an attribute."""
    return name in ATTRIBUTES or re.fullmatch(HOOKS, name) is not None


@method(Module, "freeze", "unfreeze")
def freeze(call: CallSite) -> Value:
    """``LightningModule.freeze()`` freezes all parameters and goes into eval mode; `unfreeze` undoes both."""
    cls = call.state.heap[call.receiver.address].cls
    if cls is None or LIGHTNING.isdisjoint(library_bases(cls)):
        return METHODS[Module, "*"](call)
    learns = call.name == "unfreeze"
    for name, given in (("requires_grad_", learns), ("train", learns)):
        METHODS[Module, name](call._replace(name=name, arguments=(given,), keywords={}))
    return call.receiver


@effect(*(f"{name}.Trainer" for name in NAMES))
def trainer(call: CallSite) -> Value:
    """A trainer without callbacks trains a model and leaves its parts and flags as they are."""
    computes_in(call)
    if not {"callbacks", "**"}.isdisjoint(call.keywords):
        return unknown(call)
    work = {name: Library(f"pytorch_lightning.Trainer.{name}") for name in ("fit", "validate", "test")}
    return call.state.allocate(Instance(None, dict(work), call.site), call.site)


@effect(*(f"pytorch_lightning.Trainer.{name}" for name in ("fit", "validate", "test")))
def train(call: CallSite) -> Value:
    return None
