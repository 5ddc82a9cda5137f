"""`torch.hub.load`: repositories whose entry points call a library's own builders, as their `hubconf.py` has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from headcheck import catalog
from headcheck.interpreter import writing
from headcheck.interpreter.heap import Module
from headcheck.interpreter.operators import assume
from headcheck.interpreter.values import Choice, Symbol, Value, label, symbol
from headcheck.ir import UNKNOWN
from headcheck.semantics import registry
from headcheck.semantics.python import unknown
from headcheck.semantics.registry import CallSite, effect
from headcheck.semantics.torchvision import REGISTRY, build, build_by_choice

KEYWORDS = frozenset({"repo_or_dir", "model", "force_reload", "verbose", "trust_repo", "skip_validation", "source"})


@effect("torch.hub.load")
def load(call: CallSite) -> Value:
    """An entry point of a repository on GitHub that is known, whatever branch or tag; of any other nothing is."""
    repository, name = call.argument(0, "repo_or_dir"), call.argument(1, "model")
    known = REPOSITORIES.get(repository.partition(":")[0]) if isinstance(repository, str) else None
    if known is None or call.keywords.get("source", "github") != "github":
        return unknown(call)
    keywords = {key: value for key, value in call.keywords.items() if key not in KEYWORDS}
    made = known(call._replace(arguments=call.arguments[2:], keywords=keywords), name)
    return unknown(call) if made is None else made


def vision(call: CallSite, name: Value) -> Value | None:
    """torchvision's own repository."""
    # `pretrained` is right there: the tag that is loaded may be older than `weights`.
    keywords = {{"pretrained": "weights"}.get(key, key): value for key, value in call.keywords.items()}
    builder = call._replace(keywords=keywords)
    if type(name) is Symbol:
        return build_by_choice(builder, Choice(REGISTRY, name))
    canonical = catalog.model_builder(str(name)) if isinstance(name, str) else None
    return None if canonical is None else build(builder, canonical)


def with_ending(*endings: str) -> Callable[[CallSite, Value], Value | None]:
    """A repository of torchvision's models with other weights, whose names have an ending of its own."""

    def made(call: CallSite, name: Value) -> Value | None:
        ending = next((each for each in endings if isinstance(name, str) and name.endswith(each)), None)
        canonical = catalog.model_builder(str(name).removesuffix(ending)) if ending is not None else None
        weights = call._replace(arguments=(), keywords={"weights": "DEFAULT"})
        return None if canonical is None else build(weights, canonical)

    return made


def resnet50(name_there: str, headless: bool = False) -> Callable[[CallSite, Value], Value | None]:
    """A repository whose one entry point is torchvision's ResNet-50 with weights of its own, which have no head."""

    def made(call: CallSite, name: Value) -> Value | None:
        if name != name_there:
            return None
        keywords = {key: value for key, value in call.keywords.items() if key != "pretrained"}
        # Weights that are loaded but for the head: they go with any number of classes.
        model = build(call._replace(arguments=(), keywords={**keywords, "weights": UNKNOWN}), RESNET50)
        if headless:
            identity = call.state.allocate(Module("torch.nn.Identity", call.site), call.site)
            writing.set_attribute(call.machine, call.state, model, "fc", identity, call.site)
        return model

    return made


RESNET50 = "torchvision.models.resnet50"


def of_timm(call: CallSite, name: Value) -> Value | None:
    """timm's own repository: what it registers."""
    from headcheck.catalog import timm  # as few scripts get its models this way

    if type(name) is not Symbol and not (isinstance(name, str) and timm.resolve(str(name)) is not None):
        return None
    return through("timm.create_model", call._replace(arguments=(name, *call.arguments)))


def of_gen_efficientnet(call: CallSite, name: Value) -> Value | None:
    """The repository from which timm's EfficientNets and MobileNets come, under the same names."""
    if type(name) is not Symbol and not (isinstance(name, str) and re.match(GENERATED, str(name))):
        return None
    return of_timm(call, name)


GENERATED = r"(tf_)?(efficientnet|mixnet|mobilenetv[23]|mnasnet|semnasnet|fbnetc|spnasnet)_"


def of_deit(call: CallSite, name: Value) -> Value | None:
    """DeiT's repository registers classes of timm under the names that timm has for them, and others under others."""
    if type(name) is Symbol:
        begins = symbol("attribute", f"{label(name)}.startswith", name, "startswith")
        assume(call.state, symbol("call", f"{label(begins)}(…)", begins, "deit_"), True)
        return of_timm(call, name)
    return of_timm(call, name) if isinstance(name, str) and name.startswith("deit_") else None


def of_efficientnet(call: CallSite, name: Value) -> Value | None:
    """The repository of efficientnet_pytorch; ``pretrained=None`` is without weights."""
    if not isinstance(name, str):
        return None
    made = "from_name" if call.keywords.get("pretrained", "imagenet") is None else "from_pretrained"
    keywords = {key: value for key, value in call.keywords.items() if key != "pretrained"}
    builder = f"efficientnet_pytorch.EfficientNet.{made}"
    if call.arguments:
        return None
    return through(builder, call._replace(arguments=(name.replace("_", "-"),), keywords=keywords))


def of_pretrainedmodels(call: CallSite, name: Value) -> Value | None:
    """The repository of pretrainedmodels."""
    return through(f"pretrainedmodels.{name}", call) if isinstance(name, str) else None


def of_its_own(repository: str) -> Callable[[CallSite, Value], Value | None]:
    """A repository whose models no library has."""

    def made(call: CallSite, name: Value) -> Value | None:
        return through(f"torch_hub.{repository}", call._replace(arguments=(name, *call.arguments)))

    return made


def of_dino(call: CallSite, name: Value) -> Value | None:
    """DINO's repository: transformers of its own, and a ResNet of torchvision."""
    return resnet50("dino_resnet50", headless=True)(call, name) or of_its_own("facebookresearch/dino")(call, name)


def of_wsl(call: CallSite, name: Value) -> Value | None:
    """Weakly supervised weights: for a ResNeXt of torchvision, and for wider ones, which that does not have."""
    return with_ending("_wsl")(call, name) or of_its_own("facebookresearch/WSL-Images")(call, name)


def through(builder: str, call: CallSite) -> Value | None:
    """What a library's own builder makes of a call."""
    found = registry.find_effect(builder)
    return found(call._replace(name=builder)) if found is not None else None


REPOSITORIES: Mapping[str, Callable[[CallSite, Value], Value | None]] = {
    "pytorch/vision": vision,
    "facebookresearch/WSL-Images": of_wsl,
    "facebookresearch/pytorchvideo": of_its_own("facebookresearch/pytorchvideo"),
    "facebookresearch/semi-supervised-ImageNet1K-models": with_ending("_ssl", "_swsl"),
    "facebookresearch/barlowtwins": resnet50("resnet50"),
    "facebookresearch/swav": resnet50("resnet50"),
    "facebookresearch/deit": of_deit,
    "facebookresearch/dino": of_dino,
    "facebookresearch/dinov2": of_its_own("facebookresearch/dinov2"),
    "huggingface/pytorch-image-models": of_timm,
    "rwightman/gen-efficientnet-pytorch": of_gen_efficientnet,
    "rwightman/pytorch-image-models": of_timm,
    "lukemelas/EfficientNet-PyTorch": of_efficientnet,
    "Cadene/pretrained-models.pytorch": of_pretrainedmodels,
    "zhanghang1989/ResNeSt": of_its_own("zhanghang1989/ResNeSt"),
}
