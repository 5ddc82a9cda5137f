"""PEFT: configurations of adapters, and what `get_peft_model` does to a model."""

from __future__ import annotations

from collections.abc import Mapping

from headcheck import events
from headcheck.interpreter import heap
from headcheck.interpreter.heap import Instance, Module, Sequence
from headcheck.interpreter.values import Library, Ref, Tuple, Value
from headcheck.ir import UNKNOWN
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect, family, hand_over

#: Configurations whose adapters go into the layers of the model, all others of whose parameters are frozen.
TUNERS = ("Lora", "AdaLora", "LoHa", "LoKr", "IA3", "OFT", "BOFT", "Vera", "FourierFT", "HRA", "Bone", "Miss")
#: The heads that PEFT trains by itself, by the task of the configuration (peft 0.4 and later).
TRAINED = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}


@effect(*(f"peft.{name}Config" for name in TUNERS))
def configuration(call: CallSite) -> Value:
    attributes = {name: call.keywords.get(name) for name in ("modules_to_save", "target_modules", "task_type")}
    if "**" in call.keywords or call.arguments:
        attributes = dict.fromkeys(attributes, UNKNOWN)
    made: Ref = call.state.allocate(Instance(None, {"peft_type": call.name, **attributes}, call.site), call.site)
    return made


@family("peft.")
def other(call: CallSite) -> Value:
    return hand_over(call)


@effect("peft.TaskType", "peft.PeftConfig", "peft.utils.TaskType")
def harmless(call: CallSite) -> Value:
    return unknown(call)


@effect("peft.get_peft_model", "peft.mapping.get_peft_model", "peft.mapping_func.get_peft_model")
def get_peft_model(call: CallSite) -> Value:
    """A model with adapters: everything else in it is frozen, but for copies of the modules that are to be saved."""
    base, given = call.argument(0, "model"), call.argument(1, "peft_config")
    thing = call.state.object(given)
    if type(call.state.object(base)) is not Module:
        return unknown(call)
    asked = thing.attributes if type(thing) is Instance and "peft_type" in thing.attributes else None
    saved = modules_saved(call, asked) if asked is not None else None
    spared = names_in(call, asked.get("target_modules")) if asked is not None else None
    if asked is None or saved is None or spared is None:
        return hand_over(call)
    heap.set_all_flags(call.state, base, False)
    call.state.log(events.Adapted(call.site, base.address, saved, spared))
    made = Module("peft.PeftModel", call.site, children={"base_model": base}, known=False)
    ref: Ref = call.state.allocate(made, call.site)
    call.state.log(events.Created(call.site, ref.address, {"base_model": base}))
    return ref


def modules_saved(call: CallSite, asked: Mapping[str, Value]) -> tuple[str, ...] | None:
    """The names of the modules that stay trainable; None if they are not known."""
    task = asked.get("task_type")
    if type(task) is Library:
        task = task.name.rsplit(".", 1)[-1]
    if task is not None and not isinstance(task, str):
        return None
    names = names_in(call, asked.get("modules_to_save"))
    return None if names is None else names + TRAINED.get(str(task), ())


def names_in(call: CallSite, value: Value) -> tuple[str, ...] | None:
    """The texts of a list; none for None; None for anything that is not known, a pattern included."""
    if value is None:
        return ()
    thing = call.state.object(value)
    items = thing.items if type(thing) is Sequence else value.items if type(value) is Tuple else None
    return tuple(map(str, items)) if items is not None and all(isinstance(item, str) for item in items) else None
