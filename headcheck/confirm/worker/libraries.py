"""Models of the libraries, by their builders and without weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .allowed import builder_function, defined_in, installed, parameters_of
from .building import build, with_parameters_on_meta
from .reading import field, keep, keywords_of, plain
from .state import Refused, Run

WIDTH_OF_A_HEAD = 64  # of the attention heads, in all sizes that the families of transformers come in


def op_build(run: Run, step: Any) -> None:
    name = field(step, "builder", str)
    keywords = {key: plain(value) for key, value in keywords_of(step).items()}
    by_name = BY_NAME.get(name.split(".")[0])
    if by_name is not None:
        keep(run, step, build(run, by_name(name, keywords)))
        return
    function = builder_function(run, name)
    for key in ("weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress"):
        keywords.pop(key, None)
    accepted = parameters_of(function)
    if keywords.keys() & set(field(step, "beside_weights", list, [])):
        check_beside_weights(run, function, step.get("weights"), keywords)
    keywords.update((key, None) for key in ("weights", "weights_backbone") if key in accepted)
    if "quantize" in accepted:
        keywords["quantize"] = False  # a quantized model cannot be trained; the float one has the same shape
    if name.endswith((".googlenet", ".inception_v3")):
        keywords["init_weights"] = False  # both say that it will take long, and it does
    keep(run, step, build(run, lambda: function(**keywords)))


def of_timm(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of timm by its name alone: no place in a folder or on the hub, and no weights."""
    timm = installed("timm")
    architecture = name.rpartition(".")[2]
    if not name.startswith("timm.models.") or not timm.is_model(architecture):
        raise Refused(f"this timm has no {architecture}")
    tag = keywords.pop("pretrained_cfg", None)
    if isinstance(tag, str) and tag.isidentifier():
        architecture = f"{architecture}.{tag}"
    for key in ("pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg_overlay"):
        keywords.pop(key, None)
    return lambda: timm.create_model(architecture, pretrained=False, **keywords)


def of_efficientnet(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of efficientnet_pytorch by its name, without weights."""
    library = installed("efficientnet_pytorch")
    known = {key: keywords[key] for key in ("num_classes", "in_channels") if key in keywords}
    return lambda: library.EfficientNet.from_name(name.split(".", 1)[1], **known)


def of_pretrainedmodels(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of pretrainedmodels by its name, without weights."""
    library = installed("pretrainedmodels")
    model = name.rpartition(".")[2]
    if model not in library.model_names:
        raise Refused(f"this pretrainedmodels has no {model}")
    known = {key: keywords[key] for key in ("num_classes",) if key in keywords}
    return lambda: getattr(library, model)(**known, pretrained=None)


def of_transformers(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of transformers by its class and the default configuration, made as wide as its head is known to be."""
    library = installed("transformers")
    kind = name.rpartition(".")[2]
    found = getattr(library, kind, None) if kind.isidentifier() and not kind.startswith("_") else None
    if not (isinstance(found, type) and issubclass(found, library.PreTrainedModel)):
        raise Refused(f"this transformers has no {kind}")
    if not defined_in(found, ("transformers.models.",)):
        raise Refused(f"{kind} is not on the list of models")
    width, head = keywords.get("width"), keywords.get("head")

    configuration: Any = getattr(found, "config_class", None)

    def make() -> Any:
        settings = configuration()
        if isinstance(keywords.get("num_labels"), int):
            settings.num_labels = keywords["num_labels"]
        if isinstance(width, int) and getattr(settings, "hidden_size", width) != width:
            settings.hidden_size = width
            settings.num_attention_heads = max(1, width // WIDTH_OF_A_HEAD)
        made = found(settings)
        if head is None and getattr(made.config, "hidden_size", None) == width:
            return made
        layer = made.get_submodule(str(head))
        if width not in (getattr(layer, "in_features", None), getattr(layer, "in_channels", None)):
            raise Refused(f"a {kind} whose head takes {width} features")
        return made

    return make


def of_fastai(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A vision model of one of torchvision's models, without weights."""
    learner, models = installed("fastai.vision.learner"), installed("torchvision.models")
    architecture = name.rpartition(".")[2]
    if architecture not in models.list_models():
        raise Refused(f"this torchvision has no {architecture}")
    flags = {key: keywords[key] for key in ("concat_pool", "first_bn")}
    sizes, dropouts = list(keywords["hidden"]), list(keywords["dropouts"])
    arch, classes = getattr(models, architecture), keywords["num_classes"]
    return lambda: learner.create_vision_model(arch, classes, pretrained=False, lin_ftrs=sizes, ps=dropouts, **flags)


def of_open_clip(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of open_clip by its name, without weights; not one whose words are read by a model of transformers."""
    library = installed("open_clip")
    model = name.partition(".")[2]
    if model not in library.list_models():
        raise Refused(f"this open_clip has no {model}")
    if (library.get_model_config(model) or {}).get("text_cfg", {}).get("hf_model_name"):
        raise Refused(f"{model}, of which a part is configured by a file on the hub")
    return lambda: library.create_model(model, pretrained=None)


def of_torch_hub(name: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    """A model of a repository of torch.hub that no library has."""
    raise Refused(f"{name.rpartition('.')[2]} is code that torch.hub fetches, which headcheck neither fetches nor runs")


BY_NAME = {
    "timm": of_timm,
    "efficientnet_pytorch": of_efficientnet,
    "pretrainedmodels": of_pretrainedmodels,
    "transformers": of_transformers,
    "fastai": of_fastai,
    "open_clip": of_open_clip,
    "torch_hub": of_torch_hub,
}


class Reached(Exception):
    """The builder went as far as loading weights: it takes its arguments."""


def check_beside_weights(run: Run, function: Any, weights: Any, keywords: dict[str, Any]) -> None:
    """Let torchvision itself say if it takes the keywords beside weights: the builder is run up to their loading."""
    interface = importlib.import_module("torchvision.models._api")
    if not hasattr(interface, "get_model_weights"):
        return
    known = interface.get_model_weights(function)
    member = getattr(known, weights, None) if isinstance(weights, str) and weights.isidentifier() else None
    if not isinstance(member, known):
        member = known.DEFAULT
    load = interface.WeightsEnum.get_state_dict

    def reached(*_: Any, **__: Any) -> Any:
        raise Reached

    interface.WeightsEnum.get_state_dict = reached
    try:
        with_parameters_on_meta(run.torch, lambda: function(weights=member, **keywords))
    except Reached:
        pass
    finally:
        interface.WeightsEnum.get_state_dict = load
