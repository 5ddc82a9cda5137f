"""transformers: models by checkpoint, by configuration and by class, and the configurations themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headcheck import events
from headcheck.catalog import transformers
from headcheck.catalog.transformers import DEFAULT_LABELS, Checkpoint
from headcheck.interpreter import access, forward
from headcheck.interpreter.heap import Build, Dictionary, Instance, Module, Sequence
from headcheck.interpreter.values import Answer, Ref, Tensor, Tuple, Value, batch_of
from headcheck.ir import UNKNOWN
from headcheck.records import NamedTuple
from headcheck.semantics.devices import computes_in
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, family, maker
from headcheck.semantics.torchvision import UNKNOWN_CLASSES, log_built, opaque

LOADERS = frozenset({"from_pretrained", "from_config", "_from_config"})
#: Classes that make a module; what is not among them (tokenizers, processors, arguments) leaves models alone.
MODELS = re.compile(r"(?!TF|Flax).*(Model|For[A-Z]\w*|Backbone|PreTrainedModel|WithTeacher)$")
CONFIGURATIONS = re.compile(r".*Config$")
TRAINERS = frozenset({"Trainer", "Seq2SeqTrainer"})


class Asked(NamedTuple):
    """What a script asks a class for: the class, the checkpoint's name, what is known of it, the labels and the
    configuration it hands over."""

    kind: str
    name: Value
    checkpoint: Checkpoint | None
    labels: Value
    configuration: Value


@maker("transformers")
def makes_model(name: str) -> bool:
    *_, owner, last = name.split(".")
    return MODELS.match(owner if last in LOADERS else last) is not None


@family("transformers.")
def member(call: CallSite) -> Value:
    *_, owner, last = call.name.split(".")
    loads = last in LOADERS
    kind = owner if loads else last
    if CONFIGURATIONS.match(kind):
        return configuration(call, kind, loads) if loads or kind == last else unknown(call)
    if MODELS.match(kind):
        return model(call, kind, last if loads else "")
    if kind in TRAINERS:
        return train(call)
    if kind.endswith("TrainingArguments"):
        computes_in(call)
    return unknown(call)


# -- configurations --------------------------------------------------------------------------------------------------


#: Settings of a configuration that leave how many features reach a head as they are.
WIDTH_KEPT = frozenset(
    """
    num_labels id2label label2id problem_type finetuning_task num_hidden_layers num_attention_heads intermediate_size
    vocab_size max_position_embeddings type_vocab_size pad_token_id hidden_dropout_prob attention_probs_dropout_prob
    classifier_dropout hidden_act layer_norm_eps initializer_range image_size patch_size num_channels qkv_bias
    output_hidden_states output_attentions return_dict use_cache
    """.split()
)


def configuration(call: CallSite, kind: str, loads: bool) -> Value:
    """A configuration: of a checkpoint (`loads`), or as its class makes it; with its number of labels if known."""
    labels = labels_asked(call)
    if not loads:
        if labels is None:
            labels = DEFAULT_LABELS if "**" not in call.keywords else UNKNOWN
        as_usual = not call.arguments and call.keywords.keys() <= WIDTH_KEPT
        return make_configuration(call, labels, transformers.width(kind.removesuffix("Config")) if as_usual else None)
    name = call.argument(0, "pretrained_model_name_or_path", None)
    known = transformers.checkpoint(str(name)) if isinstance(name, str) else None
    if labels is None:
        labels = labels_of(known) if isinstance(name, str) else UNKNOWN
    if known is None:
        return make_configuration(call, labels, None)
    kept = call.keywords.keys() <= WIDTH_KEPT | KEEPING
    return make_configuration(call, labels, known.hidden if kept else None, known.model_type)


def make_configuration(call: CallSite, labels: Value, hidden: int | None, model_type: str = "") -> Ref:
    attributes: dict[str, Value] = {} if labels is UNKNOWN else {"num_labels": labels}
    if hidden is not None:
        attributes["hidden_size"] = hidden
    if model_type:
        attributes["model_type"] = model_type
    made: Ref = call.state.allocate(Instance(None, attributes, call.site), call.site)
    return made


def labels_asked(call: CallSite) -> Value:
    """The number of labels that a call asks for: an int, UNKNOWN, or None if it says nothing of them."""
    if "**" in call.keywords:
        return UNKNOWN
    if "num_labels" in call.keywords:
        value = call.keywords["num_labels"]
        return value if value is not None else UNKNOWN
    if "id2label" in call.keywords:
        return length_of(call, call.keywords["id2label"])
    return None


def length_of(call: CallSite, value: Value) -> Value:
    """How many items a dict, list or tuple of the script holds."""
    thing = call.state.object(value)
    if type(thing) in (Dictionary, Sequence):
        return len(thing.items) if thing.items is not None else UNKNOWN
    return len(value.items) if type(value) is Tuple else UNKNOWN


def labels_of(known: Checkpoint | None) -> Value:
    """The labels of a checkpoint where the script says nothing of them."""
    return UNKNOWN if known is None else known.labels or DEFAULT_LABELS


# -- models ----------------------------------------------------------------------------------------------------------


def model(call: CallSite, kind: str, how: str) -> Value:
    """A model: loaded (`how` is from_pretrained), made from a configuration, or by its class."""
    asked = loaded(call, kind) if how == "from_pretrained" else configured(call, kind)
    known = asked.checkpoint
    if kind.startswith("Auto") and known is not None:
        kind = transformers.chosen(kind, known.model_type) or kind
    if not transformers.is_known(kind):
        return without_head(call, asked, how)
    labels = asked.labels if type(asked.labels) is int else UNKNOWN_CLASSES
    entry = transformers.find(kind, labels, known.hidden if known is not None else None)
    assert entry is not None
    keywords = {"checkpoint": asked.name, "num_labels": asked.labels}
    built = Build(entry.builder, keywords, how == "from_pretrained", entry)
    settings = asked.configuration
    if type(settings) is not Ref:
        settings = make_configuration(call, asked.labels, known.hidden if known is not None else None)
    made = Module(entry.root.kind, call.site, node=entry.root, build=built, values={"config": settings})
    ref: Ref = call.state.allocate(made, call.site)
    log_built(call, ref, made)
    return ref


def without_head(call: CallSite, asked: Asked, how: str) -> Value:
    """A model of which no more is known than what it answers, if that."""
    ref, known = opaque(call), asked.checkpoint
    base = transformers.base(known.model_type, known.hidden) if known is not None else None
    if base is None or known is None or asked.kind not in ("AutoModel", base.kind):
        return ref
    plain = how == "from_pretrained" and call.keywords.keys() <= KEEPING and asked.configuration is None
    thing: Module = call.state.heap[ref.address]
    build = Build(f"transformers.{base.kind}", {"checkpoint": asked.name, "plain": plain}, True, None)
    settings = asked.configuration if type(asked.configuration) is Ref else None
    values = {"config": settings or make_configuration(call, labels_of(known), known.hidden)}
    call.state.heap[ref.address] = thing._replace(kind=build.builder, build=build, values=values)
    access.ANSWERED.update(transformers.answered())
    return ref


#: What may be asked of a model on loading that leaves what it answers as it is.
KEEPING = frozenset(
    """
    pretrained_model_name_or_path return_dict cache_dir force_download local_files_only token use_auth_token revision
    torch_dtype dtype device_map low_cpu_mem_usage trust_remote_code use_safetensors attn_implementation
    hidden_dropout_prob attention_probs_dropout_prob ignore_mismatched_sizes from_tf
    """.split()
)
#: What a model is given that leaves what it answers as it is.
INPUTS = frozenset(
    """
    input_ids attention_mask token_type_ids position_ids head_mask inputs_embeds pixel_values decoder_input_ids
    decoder_attention_mask interpolate_pos_encoding
    """.split()
)


def answer(ref: Ref, thing: Module, arguments: tuple[Value, ...], keywords: Mapping[str, Value]) -> Value | None:
    """What a model without a head answers; nothing is said where more may have been asked for."""
    name = thing.build.keywords.get("checkpoint") if thing.build is not None and thing.build.entry is None else None
    known = transformers.checkpoint(str(name)) if isinstance(name, str) else None
    base = transformers.base(known.model_type, known.hidden) if known is not None else None
    if base is None or thing.build is None:
        return None
    asked = keywords.keys() - INPUTS
    if not asked <= {"return_dict"} or len(arguments) > 2 or not thing.build.keywords["plain"]:
        return None
    given = arguments[0] if arguments else next(iter(keywords.values()), None)
    parts = tuple((n, Tensor((batch_of(given), *s[1:]), ref.address, ref.address)) for n, s in base.answers)
    if keywords.get("return_dict", True) is False:
        return Tuple(tuple(part for _, part in parts))
    return Answer(ref.address, parts, base.names)


forward.WHOLE["transformers"] = answer


def loaded(call: CallSite, kind: str) -> Asked:
    name = call.argument(0, "pretrained_model_name_or_path")
    known = transformers.checkpoint(str(name)) if isinstance(name, str) else None
    given = call.keywords.get("config")
    labels = labels_asked(call)
    if given is not None and labels is None:
        labels = labels_in(call, given)
    elif labels is None:
        labels = labels_of(known)
    return Asked(kind, name, known, labels, given)


def configured(call: CallSite, kind: str) -> Asked:
    given = call.argument(0, "config")
    return Asked(kind, None, described(call, given), labels_in(call, given), given)


def described(call: CallSite, given: Value) -> Checkpoint | None:
    """What a configuration says of a model as its checkpoint would; None if it says nothing."""
    thing = call.state.object(given)
    if type(thing) is not Instance:
        return None
    model_type, hidden = thing.attributes.get("model_type"), thing.attributes.get("hidden_size")
    if thing.attributes.keys() - WIDTH_KEPT - {"model_type", "hidden_size"}:
        hidden = None  # something was set that may be a width under another name
    if not isinstance(model_type, str) and type(hidden) is not int:
        return None
    return Checkpoint(str(model_type or ""), "", 0, hidden if type(hidden) is int else None)


def labels_in(call: CallSite, given: Value) -> Value:
    """The number of labels of a configuration that the script made."""
    thing = call.state.object(given)
    if type(thing) is not Instance:
        return UNKNOWN
    labels = thing.attributes.get("num_labels", UNKNOWN)
    if "id2label" not in thing.attributes:
        return labels
    # Set on the configuration: each of the two sets the other, and the last one counts.
    named = length_of(call, thing.attributes["id2label"])
    return labels if labels == named else UNKNOWN


def train(call: CallSite) -> Value:
    """A trainer calls the model with the labels, and takes the loss that it computes itself unless it is given one."""
    given = call.argument(0, "model", None)
    if type(call.state.object(given)) is Module:
        call.state.log(events.Trained(call.site, given.address, "compute_loss_func" not in call.keywords))
    return unknown(call)
