"""Lightning: what its modules have besides those of torch, and what its trainer does to a model."""

from __future__ import annotations

import re

from headcheck import events
from headcheck.interpreter.access import class_attribute
from headcheck.interpreter.heap import LIGHTNING, Instance, Module, Parser, library_bases
from headcheck.interpreter.values import Class, Function, Library, Split, Value, symbol
from headcheck.ir import Define
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


# What the method takes for itself; the rest goes to the class, in the place of what was saved.
OF_LOADING = frozenset(["checkpoint_path", "hparams_file", "map_location", "strict", "weights_only"])


@method(Class, "load_from_checkpoint")
def load_from_checkpoint(call: CallSite) -> Value:
    """An object of the class, of the arguments it was saved with: nobody knows those that the call does not give. What
    the class does not take is left out, as Lightning does."""
    from headcheck.interpreter.calls import call_class

    cls: Class = call.receiver
    init = class_attribute(cls, "__init__")
    define = call.machine.definitions[init[0].code] if init is not None and type(init[0]) is Function else None
    names = [p.name for p in define.parameters[1:] if not p.kind] if isinstance(define, Define) else []
    saved = {name: symbol("saved", name, id(call.site), name) for name in names}
    takes_all = not isinstance(define, Define) or any(p.kind == "**" for p in define.parameters)
    given = {
        name: value
        for name, value in call.keywords.items()
        if name not in OF_LOADING and (takes_all or name in names or name == "**")
    }
    made = call_class(call.machine, call.state, cls, (), {**saved, **given}, call.site)
    for state in made:
        if not state.ended and type(state.object(state.result)) is Module:
            state.log(events.Loaded(call.site, state.result.address))
    return Split(tuple((state, state.result) for state in made))


@method(Module, "load_from_checkpoint")
def load_as_another(call: CallSite) -> Value:
    """The same by way of an object, which stays as it is."""
    cls = call.state.heap[call.receiver.address].cls
    if cls is None:
        return METHODS[Module, "*"](call)
    return load_from_checkpoint(call._replace(receiver=cls))


@effect(*(f"{name}.Trainer" for name in NAMES))
def trainer(call: CallSite) -> Value:
    """A trainer without callbacks trains a model and leaves its parts and flags as they are."""
    computes_in(call)
    if not {"callbacks", "**"}.isdisjoint(call.keywords):
        return unknown(call)
    work = {name: Library(f"pytorch_lightning.Trainer.{name}") for name in ("fit", "validate", "test")}
    return call.state.allocate(Instance(None, dict(work), call.site), call.site)


@effect(*(f"{name}.{kind}.add_argparse_args" for name in NAMES for kind in ("Trainer", "LightningDataModule")))
def add_arguments(call: CallSite) -> Value:
    """Options of its own go to a parser, which is answered: what it parses is no model."""
    parser = call.argument(0, "parent_parser")
    return parser if type(call.state.object(parser)) is Parser else unknown(call)


@effect("pytorch_lightning.Trainer.fit")
def fit(call: CallSite) -> Value:
    model = call.argument(0, "model", None)
    if type(call.state.object(model)) is Module:
        call.state.log(events.Trained(call.site, model.address))
    return None


@effect("pytorch_lightning.Trainer.validate", "pytorch_lightning.Trainer.test")
def look(call: CallSite) -> Value:
    return None
