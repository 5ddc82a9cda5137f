"""Writes small fine-tuning scripts by the hundred, right and wrong, and compares headcheck with PyTorch on each.

    python -m tests.surgeries [BUILDER…] [--each N] [--seed S] [--all] [--show NUMBER]

A script is put together at random, from a seed, out of what people write: a way to build a model, to freeze it, to
replace its head, to make an optimizer, and one fault or none. What a script is called does not say whether it is wrong:
PyTorch decides. The script is run on the meta device, with weights that are never fetched; then a batch of two goes
forward and backward. It is wrong if anything raises, or if, quietly, it is not what every such script is meant to be:
all outputs have the new class count, every trainable parameter gets a gradient, the new head is trainable and in the
optimizer, and what was to be frozen is.

A *disagreement* is a false alarm (PyTorch finds nothing wrong, headcheck does), a miss (the other way round), a wrong
code, a wrong row, or, for a right script, other numbers than PyTorch's in what `headcheck show` predicts. Remarks
(severity info) are not counted. What headcheck is known to miss is in `KNOWN`, one reason a line.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import torch
import torchvision

from headcheck import pipeline
from headcheck.analysis import analyse
from tests import torch_proof

CLASSES = 7
MARK = "  #!"  # ends the line that a fault should be reported on


# -- models, as PyTorch builds them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """Where the head of a builder's model is. Shapes leave out the batch; `container` is None if there is none."""

    builder: str
    namespace: str
    head: str
    container: str | None
    input: tuple[int, ...]
    head_gets: tuple[int, ...]
    container_gets: tuple[int, ...]
    kind: str
    auxiliary: tuple[str, ...]
    children: tuple[str, ...]

    @property
    def size(self) -> int:
        """The feature size of the head."""
        return self.head_gets[-1] if self.kind == "Linear" else self.head_gets[0]


HEADS = {
    "classifier.6": ("alexnet", "vgg"),
    "classifier.1": ("mobilenet_v2", "mnasnet", "efficientnet", "squeezenet", "s3d"),
    "classifier.2": ("convnext",),
    "classifier.3": ("mobilenet_v3",),
    "classifier.5": ("maxvit",),
    "classifier.4": ("deeplabv3", "fcn"),
    "classifier": ("densenet",),
    "heads.head": ("vit",),
    "head.1": ("mvit",),
    "head": ("swin",),
    "fc": ("res", "wide", "regnet", "shufflenet", "googlenet", "inception", "r3d", "mc3", "r2plus1d"),
}


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Tensors are made on the meta device: shapes without numbers, which is all that is asked for here."""
    blocks = torchvision.models.regnet.BlockParams
    real = blocks.from_init_params.__func__

    def with_numbers(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):  # RegNet computes its widths with tensors
            return real(cls, *args, **kwargs)

    with (
        torch_proof.without_weights(),
        torch.device("meta"),
        mock.patch.object(blocks, "from_init_params", classmethod(with_numbers)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def head_of(builder: str) -> str:
    return max(
        ((prefix, path) for path, prefixes in HEADS.items() for prefix in prefixes if builder.startswith(prefix)),
        key=lambda pair: len(pair[0]),
    )[1]


@functools.lru_cache(maxsize=None)
def site(name: str) -> Site:
    """The facts on a builder (`resnet18`, `quantization.resnet18`, `segmentation.fcn_resnet50`), read off a model."""
    namespace, _, builder = name.rpartition(".")
    module = getattr(torchvision.models, namespace) if namespace else torchvision.models
    path = head_of(builder)
    container = path.rpartition(".")[0] or None
    gets: dict[str, tuple[int, ...]] = {}
    with on_meta():
        model = getattr(module, builder)(weights="DEFAULT").train()
        for part in filter(None, (path, container)):
            model.get_submodule(part).register_forward_pre_hook(
                lambda _, args, part=part: gets.setdefault(part, tuple(args[0].shape[1:])) and None
            )
        side = torch_proof.image_size(model)
        size = (3, 16, side, side) if namespace == "video" else (3, side, side)
        model(torch.zeros(2, *size))
    candidates = ("AuxLogits.fc", "aux1.fc2", "aux2.fc2", "aux_classifier.4")
    modules = {found for found, part in model.named_modules() if part is not None}
    kind = type(model.get_submodule(path)).__name__
    return Site(
        builder, namespace, path, container, size, gets[path], gets.get(container or "", ()), kind,
        tuple(c for c in candidates if c in modules), tuple(n for n, _ in model.named_children()),
    )  # fmt: skip


def builders() -> list[str]:
    """Every builder of torchvision whose head these scripts know how to replace."""
    found = []
    for registered in torchvision.models.list_models():
        builder = torchvision.models.get_model_builder(registered)
        namespace = builder.__module__.removeprefix("torchvision.models.").rpartition(".")[0]
        if namespace not in ("detection", "optical_flow") and not registered.startswith("lraspp"):
            found.append(f"{namespace}.{builder.__name__}" if namespace else builder.__name__)
    return found


# -- scripts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Script:
    """A script and what it is meant to be. `frozen`: its backbone should not learn; `prefix`: the model inside it."""

    name: str
    text: str
    row: int | None
    site: Site
    frozen: bool
    prefix: str = ""


@dataclass
class Draft:
    """A script while it is put together. `lines` are about the variable `model`."""

    site: Site
    chance: random.Random
    imports: list[str] = field(default_factory=lambda: ["from torch import nn", "from torchvision import models"])
    helpers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    frozen: bool = False

    def add(self, text: str) -> None:
        self.lines.extend(text.strip("\n").split("\n"))

    def helper(self, text: str) -> None:
        self.helpers.extend(["", "", *text.strip("\n").split("\n")])

    def need(self, line: str) -> None:
        if line not in self.imports:
            self.imports.append(line)


def reach(path: str, root: str = "model") -> str:
    """`classifier.6` → `model.classifier[6]`."""
    return root + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".") if part)


def layer(kind: str, size: object, classes: object = CLASSES) -> str:
    return f"nn.{kind}({size}, {classes}" + (")" if kind == "Linear" else ", kernel_size=1)")


def takes(kind: str) -> str:
    return "in_features" if kind == "Linear" else "in_channels"


# building


def module_of(s: Site) -> str:
    return f"models.{s.namespace}" if s.namespace else "models"


def build_plain(d: Draft) -> None:
    d.add(f'model = {module_of(d.site)}.{d.site.builder}(weights="DEFAULT")')


def build_imported(d: Draft) -> None:
    d.need(f"from torchvision.{module_of(d.site)} import {d.site.builder}")
    d.add(f'model = {d.site.builder}(weights="DEFAULT")')


def build_enum(d: Draft) -> None:
    builder = getattr(functools.reduce(getattr, module_of(d.site).split("."), torchvision), d.site.builder)
    enum = torchvision.models.get_model_weights(builder).__name__
    d.need(f"from torchvision.{module_of(d.site)} import {d.site.builder}, {enum}")
    d.add(f"weights = {enum}.DEFAULT\nmodel = {d.site.builder}(weights=weights)")


def build_getattr(d: Draft) -> None:
    d.add(f'name = "{d.site.builder}"\nmodel = getattr({module_of(d.site)}, name)(weights="DEFAULT")')


def build_dict(d: Draft) -> None:
    d.add(f'model = {module_of(d.site)}.__dict__["{d.site.builder}"](weights="DEFAULT")')


def build_table(d: Draft) -> None:
    other = "resnet18" if d.site.builder != "resnet18" else "vgg11"
    d.helper(f'BUILDERS = {{"small": models.{other}, "mine": {module_of(d.site)}.{d.site.builder}}}')
    d.add('model = BUILDERS["mine"](weights="DEFAULT")')


def build_by_name(d: Draft) -> None:
    registered = d.site.builder if d.site.namespace != "quantization" else f"quantized_{d.site.builder}"
    d.add(f'model = models.get_model("{registered}", weights="DEFAULT")')


def build_partial(d: Draft) -> None:
    d.need("from functools import partial")
    d.add(f'build = partial({module_of(d.site)}.{d.site.builder}, weights="DEFAULT")\nmodel = build()')


def build_random(d: Draft) -> None:
    d.add(f"model = {module_of(d.site)}.{d.site.builder}()")


def build_copy(d: Draft) -> None:
    d.need("import copy")
    d.add(f'base = {module_of(d.site)}.{d.site.builder}(weights="DEFAULT")\nmodel = copy.deepcopy(base)')


def build_branch(d: Draft) -> None:
    d.need("import sys")
    d.add(
        f"""
if len(sys.argv) > 9:
    model = {module_of(d.site)}.{d.site.builder}(weights="DEFAULT")
else:
    model = {module_of(d.site)}.{d.site.builder}(weights="DEFAULT", progress=False)
"""
    )


def build_aliased_module(d: Draft) -> None:
    d.need("import torchvision")
    d.add(f'model = torchvision.{module_of(d.site)}.{d.site.builder}(weights="DEFAULT", progress=True)')


BUILDS = [
    build_plain, build_plain, build_imported, build_enum, build_getattr, build_dict, build_table, build_by_name,
    build_partial, build_random, build_copy, build_branch, build_aliased_module,
]  # fmt: skip


# freezing


def freeze_loop(d: Draft) -> None:
    d.add("for parameter in model.parameters():\n    parameter.requires_grad = False")


def freeze_named_loop(d: Draft) -> None:
    d.add("for name, parameter in model.named_parameters():\n    parameter.requires_grad_(False)")


def freeze_call(d: Draft) -> None:
    d.add("model.requires_grad_(False)")


def freeze_helper(d: Draft) -> None:
    d.helper(
        """
def set_parameter_requires_grad(net, feature_extracting):
    if feature_extracting:
        for param in net.parameters():
            param.requires_grad = False
"""
    )
    d.add("set_parameter_requires_grad(model, True)")


def freeze_children(d: Draft) -> None:
    d.add("for child in model.children():\n    for parameter in child.parameters():\n        parameter.requires_grad = False")


def freeze_list(d: Draft) -> None:
    d.add("params = list(model.parameters())\nfor i in range(len(params)):\n    params[i].requires_grad = False")


def freeze_comprehension(d: Draft) -> None:
    d.add("_ = [p.requires_grad_(False) for p in model.parameters()]")


def freeze_setattr(d: Draft) -> None:
    d.add('for p in model.parameters():\n    setattr(p, "requires_grad", False)')


def freeze_modules(d: Draft) -> None:
    d.add("for module in model.modules():\n    module.requires_grad_(False)")


FREEZES = [
    freeze_loop, freeze_loop, freeze_call, freeze_call, freeze_named_loop, freeze_helper, freeze_children, freeze_list,
    freeze_comprehension, freeze_setattr, freeze_modules,
]  # fmt: skip


# freezing that may come at any time, for it spares the head


def spare_by_name(d: Draft) -> None:
    top = d.site.head.partition(".")[0]
    test = d.chance.choice([f'"{top}" not in name', f'not name.startswith("{top}")', f'name.split(".")[0] != "{top}"'])
    d.add(f"for name, parameter in model.named_parameters():\n    if {test}:\n        parameter.requires_grad = False")


def spare_as_value(d: Draft) -> None:
    top = d.site.head.partition(".")[0]
    d.add(
        f'for name, parameter in model.named_parameters():\n    parameter.requires_grad = name.startswith("{d.site.head}")'
        if d.chance.random() < 0.5
        else f'for name, parameter in model.named_parameters():\n    parameter.requires_grad = "{top}." in name'
    )


def spare_by_child(d: Draft) -> None:
    top = d.site.head.partition(".")[0]
    d.add(
        f"""
for name, child in model.named_children():
    if name not in ["{top}"]:
        for parameter in child.parameters():
            parameter.requires_grad = False
"""
    )


def spare_parts(d: Draft) -> None:
    top = d.site.head.partition(".")[0]
    for child in d.site.children:
        if child != top:
            d.add(f"model.{child}.requires_grad_(False)")


def spare_last(d: Draft) -> None:
    d.add("for parameter in list(model.parameters())[:-2]:\n    parameter.requires_grad = False")


def thaw_head(d: Draft) -> None:
    d.chance.choice(FREEZES)(d)
    head = reach(d.site.head)
    d.add(
        d.chance.choice(
            [
                f"for parameter in {head}.parameters():\n    parameter.requires_grad = True",
                f"{head}.requires_grad_(True)",
                f"{head}.requires_grad_()",
                f"for parameter in {reach(d.site.head.partition('.')[0])}.parameters():\n    parameter.requires_grad = True",
                f"{head}.weight.requires_grad = True\n{head}.bias.requires_grad = True",
            ]
        )
    )


SPARES = [spare_by_name, spare_as_value, spare_by_child, spare_parts, spare_last, thaw_head]


# replacing


def head_inline(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    d.add(f"{head} = {layer(kind, f'{head}.{takes(kind)}')}{MARK}")


def head_stored(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    d.add(f"num_ftrs = {head}.{takes(kind)}\n{head} = {layer(kind, 'num_ftrs')}{MARK}")


def head_literal(d: Draft) -> None:
    d.add(f"{reach(d.site.head)} = {layer(d.site.kind, d.site.size)}{MARK}")


def head_keywords(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    extra = ", bias=True" if kind == "Linear" else ", kernel_size=1"
    gives = "out_features" if kind == "Linear" else "out_channels"
    d.add(f"{head} = nn.{kind}({takes(kind)}={d.site.size}, {gives}={CLASSES}{extra}){MARK}")


def head_from_weight(d: Draft) -> None:
    head = reach(d.site.head)
    read = d.chance.choice([f"{head}.weight.shape[1]", f"{head}.weight.size(1)"])
    d.add(f"{head} = {layer(d.site.kind, read)}{MARK}")


def head_sequential(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    d.add(
        f"""
{head} = nn.Sequential(
    {layer(kind, f"{head}.{takes(kind)}", 256)},{MARK}
    nn.ReLU(inplace=True),
    nn.Dropout(0.4),
    {layer(kind, 256)},
)
"""
    )


def head_deep(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    norm = "nn.BatchNorm1d" if kind == "Linear" else f"nn.BatchNorm{kind[-2:]}"
    d.add(
        f"""
hidden = 128
layers = [{layer(kind, d.site.size, "hidden")}, {norm}(hidden), nn.GELU()]{MARK}
layers.append(nn.Dropout(p=0.2))
layers += [{layer(kind, "hidden")}]
{head} = nn.Sequential(*layers)
"""
    )


def head_ordered(d: Draft) -> None:
    d.need("from collections import OrderedDict")
    head, kind = reach(d.site.head), d.site.kind
    d.add(
        f"""
{head} = nn.Sequential(
    OrderedDict(
        [
            ("drop", nn.Dropout(0.5)),
            ("fc1", {layer(kind, d.site.size, 100)}),{MARK}
            ("relu", nn.ReLU()),
            ("fc2", {layer(kind, 100)}),
        ]
    )
)
"""
    )


def head_setattr(d: Draft) -> None:
    owner, _, name = d.site.head.rpartition(".")
    head = reach(d.site.head)
    d.add(f'setattr({reach(owner)}, "{name}", {layer(d.site.kind, f"{head}.{takes(d.site.kind)}")}){MARK}')


def head_add_module(d: Draft) -> None:
    owner, _, name = d.site.head.rpartition(".")
    d.add(f'{reach(owner)}.add_module("{name}", {layer(d.site.kind, d.site.size)}){MARK}')


def head_modules_dict(d: Draft) -> None:
    owner, _, name = d.site.head.rpartition(".")
    d.add(f'{reach(owner)}._modules["{name}"] = {layer(d.site.kind, d.site.size)}{MARK}')


def head_alias(d: Draft) -> None:
    owner, _, name = d.site.head.rpartition(".")
    old = reach(name, "part")
    d.add(f"part = {reach(owner)}\nold = {old}\n{old} = {layer(d.site.kind, f'old.{takes(d.site.kind)}')}{MARK}")


def head_helper(d: Draft) -> None:
    head = reach(d.site.head, "net")
    new = layer(d.site.kind, f"{head}.{takes(d.site.kind)}", "n_classes")
    d.helper(f"def replace_head(net, n_classes):\n    {head} = {new}{MARK}\n    return net")
    d.add(f"model = replace_head(model, {CLASSES})")


def head_own_class(d: Draft) -> None:
    d.helper(
        f"""
class Head(nn.Module):
    def __init__(self, size, classes):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.out = {layer(d.site.kind, "size", "classes")}

    def forward(self, x):
        return self.out(self.drop(x))
"""
    )
    d.add(f"{reach(d.site.head)} = Head({d.site.size}, {CLASSES}){MARK}")


def head_by_type(d: Draft) -> None:
    """The name of the head is looked up by its type."""
    owner, _, _ = d.site.head.rpartition(".")
    d.add(
        f"""
for name, module in list({reach(owner)}.named_children())[-1:]:
    if isinstance(module, nn.{d.site.kind}):
        setattr({reach(owner)}, name, {layer(d.site.kind, f"module.{takes(d.site.kind)}")}){MARK}
"""
    )


def head_by_hasattr(d: Draft) -> None:
    fc, classifier = ("model.fc", reach(d.site.head)) if d.site.head != "fc" else ("model.fc", "model.classifier[6]")
    kind = d.site.kind
    new = layer(kind, f"{classifier}.{takes(kind)}")
    if d.site.head == "fc":
        d.add(
            f"""
if hasattr(model, "fc"):
    model.fc = nn.Linear(model.fc.in_features, {CLASSES}){MARK}
elif hasattr(model, "classifier"):
    model.classifier[6] = nn.Linear(model.classifier[6].in_features, {CLASSES})
"""
        )
        return
    d.add(
        f"""
if hasattr(model, "fc"):
    {fc} = nn.Linear({fc}.in_features, {CLASSES})
else:
    {classifier} = {new}{MARK}
"""
    )


def head_after_logits(d: Draft) -> None:
    """The old head stays, and a layer follows its outputs."""
    head, kind = reach(d.site.head), d.site.kind
    old = 400 if d.site.namespace == "video" else 21 if d.site.namespace == "segmentation" else 1000
    d.add(f"{head} = nn.Sequential({head}, nn.ReLU(), {layer(kind, old)}){MARK}")


def head_norm_and_old(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    d.add(f"old = {head}\nold = {layer(kind, f'old.{takes(kind)}')}{MARK}\n{head} = nn.Sequential(nn.Dropout(0.1), old)")


def head_lazy(d: Draft) -> None:
    if d.site.kind != "Linear":
        return head_literal(d)
    d.add(f"{reach(d.site.head)} = nn.LazyLinear({CLASSES}){MARK}")
    return None


def head_count_variable(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    d.add(f'class_names = ["a", "b", "c", "d", "e", "f", "g"]\n{head} = {layer(kind, f"{head}.{takes(kind)}", "len(class_names)")}{MARK}')


HEAD_STYLES = [
    head_inline, head_stored, head_literal, head_keywords, head_from_weight, head_sequential, head_deep, head_ordered,
    head_setattr, head_add_module, head_modules_dict, head_alias, head_helper, head_own_class, head_by_type,
    head_by_hasattr, head_after_logits, head_norm_and_old, head_lazy, head_count_variable,
]  # fmt: skip


# replacing the stack that the head is in


def stack_negative(d: Draft) -> None:
    stack = reach(d.site.container or "")
    d.add(f"{stack}[-1] = {layer(d.site.kind, f'{stack}[-1].{takes(d.site.kind)}')}{MARK}")


def stack_rebuilt(d: Draft) -> None:
    stack = reach(d.site.container or "")
    d.add(f"kept = list({stack}.children())[:-1]\n{stack} = nn.Sequential(*kept, {layer(d.site.kind, d.site.size)}){MARK}")


def stack_sliced(d: Draft) -> None:
    stack = reach(d.site.container or "")
    d.add(f"{stack} = nn.Sequential(*{stack}[:-1], {layer(d.site.kind, d.site.size)}){MARK}")


def stack_extended(d: Draft) -> None:
    stack = reach(d.site.container or "")
    d.add(
        f"""
features = list({stack}.children())
size = features[-1].{takes(d.site.kind)}
features = features[:-1]
features.extend([{layer(d.site.kind, "size")}]){MARK}
{stack} = nn.Sequential(*features)
"""
    )


def stack_popped(d: Draft) -> None:
    stack = reach(d.site.container or "")
    how = d.chance.choice([f"del {stack}[-1]", f"{stack}.pop(-1)"])
    d.add(f"{how}\n{stack}.append({layer(d.site.kind, d.site.size)}){MARK}")


def stack_new(d: Draft) -> None:
    """The whole stack is replaced, with the flatten it held if it held one."""
    stack, gets = reach(d.site.container or ""), d.site.container_gets
    flatten = ["nn.Flatten(1)"] if len(gets) > 1 else []
    if len(gets) > 1 and any(side != 1 for side in gets[1:]):
        flatten = ["nn.AdaptiveAvgPool2d(1)" if len(gets) == 3 else "nn.AdaptiveAvgPool3d(1)", *flatten]
    parts = [*flatten, f"nn.Linear({gets[0] if flatten else gets[-1]}, 64)", "nn.ReLU()", f"nn.Linear(64, {CLASSES})"]
    body = "".join(f"    {part},{MARK if '64)' in part else ''}\n" for part in parts)
    d.add(f"{stack} = nn.Sequential(\n{body})")


STACK_STYLES = [stack_negative, stack_rebuilt, stack_sliced, stack_extended, stack_popped, stack_new, stack_new]


def auxiliary(d: Draft) -> None:
    """New auxiliary heads, where the model has them and they are to answer for the new classes."""
    for path in d.site.auxiliary:
        kind = "Conv2d" if path.startswith("aux_classifier") else "Linear"
        d.add(f"{reach(path)} = {layer(kind, f'{reach(path)}.{takes(kind)}')}")


# optimizers


def optim_all(d: Draft) -> None:
    d.need("from torch import optim")
    d.add("optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)")


def optim_filter(d: Draft) -> None:
    d.need("import torch")
    d.add("optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)")


def optim_list(d: Draft) -> None:
    d.need("import torch")
    d.add("optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)")


def optim_tutorial(d: Draft) -> None:
    d.need("from torch import optim")
    d.add(
        """
params_to_update = []
for name, param in model.named_parameters():
    if param.requires_grad == True:
        params_to_update.append(param)
        print("\\t", name)
optimizer = optim.SGD(params_to_update, lr=0.001, momentum=0.9)
"""
    )


def optim_head(d: Draft) -> None:
    d.need("import torch")
    d.add(f"optimizer = torch.optim.Adam({reach(d.site.head.partition('.')[0])}.parameters(), lr=1e-3)")


def optim_groups(d: Draft) -> None:
    d.need("import torch")
    top = d.site.head.partition(".")[0]
    d.add(
        f"""
head = list(model.{top}.parameters())
ids = {{id(p) for p in head}}
rest = [p for p in model.parameters() if id(p) not in ids]
optimizer = torch.optim.SGD([{{"params": rest, "lr": 1e-4}}, {{"params": head}}], lr=1e-2)
"""
    )


OPTIMS = [optim_all, optim_all, optim_filter, optim_list, optim_tutorial, optim_groups]


# the trunk


def trunk_same(d: Draft) -> None:
    """Edits of the trunk that leave the feature size as it is."""
    builder = d.site.builder
    options = []
    if "avgpool" in d.site.children and d.site.namespace != "video" and builder.startswith(("res", "wide", "regnet")):
        options += ["model.avgpool = nn.AdaptiveAvgPool2d((1, 1))"]
        options += ["model.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Dropout2d(0.1))"]
        options += ["model.avgpool = nn.AdaptiveMaxPool2d(1)"]
    if builder.startswith("vgg"):
        options += ["model.avgpool = nn.AdaptiveAvgPool2d((7, 7))"]
    if builder.startswith(("resnet", "resnext", "wide")) and d.site.namespace == "":
        options += ["model.maxpool = nn.Identity()"]
        options += ["model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)"]
    if builder.startswith(("densenet", "efficientnet", "mobilenet", "convnext")):
        options += ["model.features = nn.Sequential(model.features, nn.Dropout2d(0.1))"]
    if options:
        d.add(d.chance.choice(options))
        d.names.append("trunk_same")


# faults: each changes a draft (its lines, still about `model`) before it becomes a script


def sub_line(d: Draft, pick: Callable[[str], bool], change: Callable[[str], str]) -> bool:
    """Change one line that `pick` takes, and mark it instead of what was marked."""
    places = [(lines, i) for lines in (d.lines, d.helpers) for i, line in enumerate(lines) if pick(line)]
    if not places:
        return False
    lines, index = d.chance.choice(places)
    new = change(lines[index].replace(MARK, ""))
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    lines[index] = "\n".join(part + MARK for part in new.split("\n")[:1]) + "".join(f"\n{p}" for p in new.split("\n")[1:])
    return True


def fault_size(d: Draft) -> bool:
    other = d.chance.choice([size for size in (512, 1024, 2048, 4096, 1000, 64, d.site.size * 2) if size != d.site.size])
    reads = f".{takes(d.site.kind)},"

    def change(line: str) -> str:
        if f"({d.site.size}, " in line:
            return line.replace(f"({d.site.size}, ", f"({other}, ", 1)
        before, _, after = line.partition(f"nn.{d.site.kind}(")
        return f"{before}nn.{d.site.kind}({other},{after.partition(',')[2]}"

    return sub_line(d, lambda line: MARK in line and (reads in line or f"({d.site.size}, " in line), change)


def fault_chain(d: Draft) -> bool:
    return sub_line(
        d,
        lambda line: f"nn.Linear(64, {CLASSES}" in line or f"(256, {CLASSES}" in line or f"(100, {CLASSES}" in line,
        lambda line: line.replace("(64, ", "(46, ").replace("(256, ", "(265, ").replace("(100, ", "(10, "),
    )


def fault_attribute(d: Draft) -> bool:
    """The head of another family is set, or read and set."""
    wrong = [p for p in ("fc", "classifier", "head", "heads", "classifier.6", "last_linear", "_fc", "fc2", "output")
             if p.partition(".")[0] != d.site.head.partition(".")[0]]  # fmt: skip
    place = reach(d.chance.choice(wrong))
    if d.chance.random() < 0.5:
        new = layer(d.site.kind, f"{place}.{takes(d.site.kind)}")
    else:
        new = layer(d.site.kind, d.site.size)
    return sub_line(d, lambda line: line.startswith(f"{reach(d.site.head)} = nn.") and line.count("(") == line.count(")"),
                    lambda _: f"{place} = {new}")  # fmt: skip


def fault_index(d: Draft) -> bool:
    if not d.site.head[-1].isdigit():
        return False
    number = int(d.site.head[-1])
    other = d.chance.choice([n for n in (number + 1, number - 1, 9, 0) if n != number and n >= 0])
    return sub_line(
        d, lambda line: MARK in line and f"[{number}]" in line, lambda line: line.replace(f"[{number}]", f"[{other}]")
    )


def fault_index_of_plain(d: Draft) -> bool:
    """A single layer is indexed as if it were a stack."""
    if d.site.container is not None:
        return False
    head = reach(d.site.head)
    return sub_line(
        d, lambda line: line.startswith(f"{head} = "), lambda _: f"{head}[1] = {layer('Linear', f'{head}[1].in_features')}"
    )


def fault_out_features(d: Draft) -> bool:
    head = reach(d.site.head)
    name = "out_features" if d.site.kind == "Linear" else "out_channels"
    d.lines[:] = [line for line in d.lines if MARK not in line or not line.startswith(head)]
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    d.add(f"{head}.{name} = {CLASSES}{MARK}")
    return True


def fault_typo(d: Draft) -> bool:
    wrong = d.chance.choice(["require_grad", "requires_gard", "required_grad", "requires_grads"])
    return sub_line(
        d,
        lambda line: ".requires_grad = False" in line,
        lambda line: line.replace(".requires_grad = False", d.chance.choice([f".{wrong} = False", ".requires_grad == False"])),
    )


def fault_uncalled(d: Draft) -> bool:
    return sub_line(
        d, lambda line: line.startswith("for") and "parameters():" in line, lambda line: line.replace("()", "")
    )


def fault_flag_on_module(d: Draft) -> bool:
    return sub_line(
        d,
        lambda line: ".requires_grad_(" in line and "model." in line and " in " not in line,
        lambda line: line.replace(".requires_grad_(False)", ".requires_grad = False").replace(
            ".requires_grad_(True)", ".requires_grad = True"
        ),
    )


def fault_name_test(d: Draft) -> bool:
    top = d.site.head.partition(".")[0]
    other = d.chance.choice([n for n in ("fc", "classifier", "head", "last") if n not in d.site.head])
    return sub_line(d, lambda line: f'"{top}' in line and "name" in line and "setattr" not in line,
                    lambda line: line.replace(f'"{top}', f'"{other}'))  # fmt: skip


def fault_freeze_last(d: Draft) -> bool:
    """A freeze of everything at the end."""
    lines = [line.replace(MARK, "") for line in d.lines]
    optimizer = next((i for i, line in enumerate(lines) if line.startswith(("optimizer", "params_to", "head = list"))), None)
    tail = lines[optimizer:] if optimizer is not None else []
    d.lines[:] = lines[:optimizer] if optimizer is not None else lines
    d.helpers[:] = [line.replace(MARK, "") for line in d.helpers]
    start = len(d.lines)
    d.chance.choice([freeze_loop, freeze_call, freeze_named_loop])(d)
    d.lines[-1] += MARK
    d.frozen = True
    d.lines.extend(tail)
    return len(d.lines) > start


def fault_optimizer_first(d: Draft) -> bool:
    index = next((i for i, line in enumerate(d.lines) if line.startswith("optimizer")), None)
    built = next((i for i, line in enumerate(d.lines) if line.startswith("model = ")), None)
    if index is None or built is None:
        return False
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    d.need("from torch import optim")
    del d.lines[index]
    d.lines.insert(built + 1, "optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)" + MARK)
    return True


def fault_auxiliary(d: Draft) -> bool:
    if not d.site.auxiliary:
        return False
    before = len(d.lines)
    d.lines[:] = [line for line in d.lines if not any(line.startswith(f"{reach(p)} = ") for p in d.site.auxiliary)]
    return len(d.lines) < before


def fault_kind(d: Draft) -> bool:
    """A Linear for a map, or a convolution for a vector."""
    other = "Conv2d" if d.site.kind == "Linear" else "Linear"
    head = reach(d.site.head)
    return sub_line(
        d, lambda line: line.startswith(f"{head} = nn.{d.site.kind}("), lambda _: f"{head} = {layer(other, d.site.size)}"
    )


def fault_flatten(d: Draft) -> bool:
    if not sum("nn.Flatten(1)" in line for line in d.lines):
        return False
    d.lines[:] = [line for line in d.lines if "nn.Flatten(1)" not in line]
    return True


def fault_bare_stack(d: Draft) -> bool:
    """A single layer for the whole stack, with the size of the stack's last layer."""
    if d.site.container is None:
        return False
    return sub_line(
        d,
        lambda line: line.startswith(f"{reach(d.site.head)} = nn.") and line.endswith(f"){MARK}"),
        lambda _: f"{reach(d.site.container)} = {layer(d.site.kind, d.site.size)}",
    )


def fault_num_classes(d: Draft) -> bool:
    return sub_line(
        d,
        lambda line: line.endswith('weights="DEFAULT")') and "partial" not in line,
        lambda line: line[:-1] + f", num_classes={CLASSES})",
    )


def fault_builder(d: Draft) -> bool:
    builder = d.site.builder
    wrong = d.chance.choice([builder + "x", builder.replace("_", "", 1) if "_" in builder else builder + "_0"])
    return sub_line(
        d,
        lambda line: builder in line and ("model =" in line or "name =" in line or "import" in line),
        lambda line: line.replace(builder, wrong),
    )


def fault_delete(d: Draft) -> bool:
    top = reach(d.site.head.partition(".")[0])
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    index = next((i for i, line in enumerate(d.lines) if line.startswith("optimizer")), len(d.lines))
    d.lines.insert(index, f"del {top}{MARK}")
    return True


def fault_frozen_head(d: Draft) -> bool:
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    index = next((i for i, line in enumerate(d.lines) if line.startswith("optimizer")), len(d.lines))
    d.lines.insert(index, f"{reach(d.site.head)}.requires_grad_(False){MARK}")
    return True


FAULTS = [
    fault_size, fault_size, fault_chain, fault_attribute, fault_attribute, fault_index, fault_index_of_plain,
    fault_out_features, fault_typo, fault_uncalled, fault_flag_on_module, fault_name_test, fault_freeze_last,
    fault_freeze_last, fault_optimizer_first, fault_optimizer_first, fault_auxiliary, fault_kind, fault_flatten,
    fault_bare_stack, fault_num_classes, fault_builder, fault_delete, fault_frozen_head,
]  # fmt: skip


# wrappings: lines about `model` become a script that leaves `model` (and `optimizer`) behind


def indented(lines: list[str], by: str = "    ") -> list[str]:
    return [by + line if line else line for text in lines for line in text.split("\n")]


def wrap_plain(d: Draft) -> list[str]:
    return d.lines


def wrap_function(d: Draft) -> list[str]:
    made = any(line.startswith("optimizer") for line in d.lines)
    names = "model, optimizer" if made else "model"
    return ["", "", "def prepare():", *indented(d.lines), f"    return {names}", "", "", f"{names} = prepare()"]


def wrap_main(d: Draft) -> list[str]:
    return ["", "", 'if __name__ == "__main__":', *indented(d.lines)]


def wrap_class(d: Draft) -> list[str]:
    lines = [line for text in d.lines for line in text.split("\n")]
    return [
        "", "", "class Trainer:", "    def __init__(self, epochs=3):", "        self.epochs = epochs", "        self.model = self.build()",
        "", "    def build(self):", *indented([line for line in lines if not line.startswith("optimizer")], " " * 8),
        "        return model", "", "", "trainer = Trainer()", "model = trainer.model",
        *[line for line in lines if line.startswith("optimizer") and "params" not in line and "rest" not in line],
    ]  # fmt: skip


def wrap_module(d: Draft) -> list[str]:
    """A network of the script's own that holds the model and does nothing else."""
    lines = [line for text in d.lines for line in text.split("\n")]
    kept = [line for line in lines if not line.startswith("optimizer")]
    return [
        "", "", "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()", *indented(kept, " " * 8),
        "        self.backbone = model", "", "    def forward(self, x):", "        return self.backbone(x)", "", "",
        "model = Net()",
    ]  # fmt: skip


WRAPS = [wrap_plain, wrap_plain, wrap_plain, wrap_function, wrap_function, wrap_main, wrap_class, wrap_module]


def write(name: str, number: int, seed: int = 0) -> Script:
    """Script `number` on a builder. About half of them have a fault put in; PyTorch says whether it is one."""
    chance = random.Random(f"{seed}-{name}-{number}")
    d = Draft(site(name), chance)
    faulty = chance.random() < 0.6
    pick = chance.choice
    styles = HEAD_STYLES + (STACK_STYLES * 3 if (d.site.container or "").startswith(("classifier", "head")) else [])
    if d.site.container == "heads" or d.site.namespace in ("segmentation", "video"):
        styles = HEAD_STYLES  # ViT's is a Sequential with a name, and the others' are more than a stack
    order = pick(["before", "after", "none", "before", "optimizer"])

    def step(function: Callable[[Draft], Any]) -> None:
        d.names.append(function.__name__)
        function(d)

    step(pick(BUILDS))
    if chance.random() < 0.12:
        trunk_same(d)
    if order == "before":
        d.frozen = True
        step(pick(FREEZES))
    style = pick(styles)
    step(style)
    auxiliary(d)
    if order == "after":
        d.frozen = True
        plain = style in (head_inline, head_stored, head_literal, head_keywords, head_from_weight, head_alias, head_helper)
        step(pick(SPARES if plain and d.site.head in ("fc", "classifier", "head") else SPARES[:4] + [thaw_head] * plain))
        if d.names[-1] not in ("spare_by_child", "spare_last", "thaw_head") and d.site.builder.startswith(("vit", "swin")):
            d.frozen = False  # class tokens and embeddings are nobody's child
    if order == "optimizer" or chance.random() < 0.4:
        step(pick(OPTIMS + [optim_head]))
    if faulty:
        for fault in chance.sample(FAULTS, len(FAULTS)):
            lines, helpers, imports = list(d.lines), list(d.helpers), list(d.imports)
            if fault(d):
                d.names.append(fault.__name__)
                break
            d.lines, d.helpers, d.imports = lines, helpers, imports
    wrap = pick(WRAPS)
    d.names.append(wrap.__name__)
    body = wrap(d)
    # A helper that is only a table must come after the imports, which all do.
    text = "\n".join([*d.imports, *d.helpers, "", *body]) + "\n"
    rows = [number for number, line in enumerate(text.split("\n"), start=1) if MARK in line]
    text = text.replace(MARK, "")
    prefix = "backbone." if wrap is wrap_module else ""
    return Script(f"{name}-{number}: {' '.join(d.names)}", text, rows[0] if rows else None, d.site, d.frozen, prefix)


# -- the judge -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What PyTorch says: the faults in words (none: the script is right), the codes that name them, where, and counts."""

    faults: tuple[str, ...]
    codes: frozenset[str]
    row: int | None = None
    output: tuple[int, ...] = ()
    trainable: int = 0
    total: int = 0


SIZES = frozenset({"HC101", "HC102", "HC105"})
RAISED = {
    "AttributeError": {"HC202", "HC205", "HC303"},
    "IndexError": {"HC202"},
    "TypeError": {"HC202", "HC303"},
    "KeyError": {"HC205", "HC202"},
    "ImportError": {"HC205"},
    "ValueError": {"HC205", "HC406", "HC302"},
}


def judge(script: Script) -> Judgement:
    """Run a script on the meta device and say what is wrong with it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "__main__"}
    with on_meta(), contextlib.redirect_stdout(None):
        try:
            exec(compile(script.text, "script.py", "exec"), names)
        except Exception as error:
            rows = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "script.py"]
            codes = RAISED.get(type(error).__name__, set())
            return Judgement((f"script: {type(error).__name__}: {error}",), frozenset(codes), rows[-1])
        model = names["model"].train()
        parameters = dict(model.named_parameters())
        flags = {path: parameter.requires_grad for path, parameter in parameters.items()}
        try:
            outputs = torch_proof.tensors(model(torch.zeros(2, *script.site.input)))
        except Exception as error:
            codes = SIZES if isinstance(error, (RuntimeError, ValueError)) else {"HC202", *SIZES}
            return Judgement((f"forward: {type(error).__name__}: {error}",), frozenset(codes))
        try:
            sum(output.square().mean() for output in outputs).backward()
        except RuntimeError as error:
            words = (f"backward: {error}",)
            return Judgement(words, frozenset({"HC301", "HC302", "HC304"}), output=tuple(outputs[0].shape))
    faults, codes = quiet(script, names, model, outputs, flags)
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    trainable = sum(size for size, learns in sizes if learns)
    return Judgement(tuple(faults), frozenset(codes), None, tuple(outputs[0].shape), trainable, sum(n for n, _ in sizes))


def quiet(script: Script, names: dict[str, Any], model: Any, outputs: Any, flags: dict[str, bool]) -> Any:
    """What is wrong though nothing was raised, and the codes for it."""
    faults, codes = [], set()
    parameters = dict(model.named_parameters())
    main, *others = [output.shape[1] if output.dim() in (2, 4) else output.shape[-1] for output in outputs]
    if main != CLASSES or outputs[0].dim() != (4 if script.site.namespace == "segmentation" else 2):
        faults.append(f"output {tuple(outputs[0].shape)}")
        codes |= {"HC201", "HC103", *SIZES}
    if any(count != CLASSES for count in others):
        faults.append(f"auxiliary outputs {others}")
        codes |= {"HC203"} if main == CLASSES else set()
    dead = [path for path, parameter in parameters.items() if parameter.requires_grad and parameter.grad is None]
    if dead:
        faults.append(f"no gradient in {dead[:3]}")
        codes |= {"HC201"}
    top = script.prefix + script.site.head
    head = [path for path in parameters if path.startswith(top + ".")]
    if not head:  # the whole stack is new, under other names
        head = [p for p in parameters if p.startswith(top.rpartition(".")[0] + ".")][-2:]
    if head and not any(flags[path] for path in head):
        faults.append("the head is frozen")
        codes |= {"HC301", "HC302", "HC304"}
    first = next(iter(parameters))
    if script.frozen and flags[first] and not first.startswith(top):
        faults.append(f"{first} is not frozen")
        codes |= {"HC303", "HC304"}
    optimizer = names.get("optimizer")
    if optimizer is not None:
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if any(flags[path] and id(parameters[path]) not in held for path in head):
            faults.append("the head is not in the optimizer")
            codes |= {"HC401"}
    return faults, codes


# -- comparing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disagreement:
    kind: str
    script: Script
    judgement: Judgement
    found: str

    def __str__(self) -> str:
        faults = "; ".join(self.judgement.faults) or "nothing wrong"
        return f"{self.kind}: {self.script.name}\n  PyTorch: {faults[:300]}\n  headcheck: {self.found}\n"


def compare(script: Script) -> Disagreement | None:
    """Where headcheck and PyTorch do not agree on a script, None where they do."""
    seen = judge(script)
    result = [f for f in pipeline.check_text(script.text, "x.py") if f.severity != "info"]
    found = ", ".join(f"{f.code} at {f.location.row} ({f.message})" for f in result) or "none"
    disagree = functools.partial(Disagreement, script=script, judgement=seen, found=found)
    if not seen.faults:
        if result:
            return disagree("false alarm")
        return numbers(script, seen)
    if not result:
        return disagree("miss")
    if not any(f.code in seen.codes for f in result):
        return disagree("wrong code")
    rows = {seen.row, script.row} - {None} if seen.row is None else {seen.row}
    if rows and not any(f.location.row in rows for f in result if f.code in seen.codes):
        return disagree(f"wrong row, not {rows}")
    extra = [f for f in result if f.code not in seen.codes]
    return disagree("one finding too many") if extra else None


def numbers(script: Script, seen: Judgement) -> Disagreement | None:
    """What `show` predicts for a right script: the output's shape and the two parameter counts."""
    reports = [r for r in analyse(script.text, "x.py").models if r.builder.endswith(script.site.builder)]
    if not reports:
        return Disagreement("no model report", script, seen, "no report")
    said = [(r.output_shape, r.trainable, r.total) for r in reports]
    true = ((1, *seen.output[1:]), seen.trainable, seen.total)

    def agrees(shape: Any, trainable: int | None, total: int | None) -> bool:
        shape_fits = shape is None or tuple(shape) == true[0]
        return shape_fits and trainable in (None, true[1]) and total in (None, true[2])

    if not any(agrees(*numbers) for numbers in said):
        return Disagreement("wrong numbers", script, seen, f"says {said}, but it is {true}")
    return None


#: What is not (yet) seen, and why that is right or has to be: kind of disagreement, a word of the name, reason.
KNOWN: tuple[tuple[str, str, str], ...] = ()


def known(disagreement: Disagreement) -> bool:
    return any(
        disagreement.kind.startswith(kind) and word in disagreement.script.name for kind, word, _ in KNOWN
    )


def sample(names: list[str], each: int, seed: int) -> Iterator[Script]:
    for name in names:
        for number in range(each):
            yield write(name, number, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("builders", nargs="*")
    parser.add_argument("--each", type=int, default=4, help="scripts on each builder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="all builders")
    parser.add_argument("--show", type=int, help="print this script on the builder, and nothing else")
    options = parser.parse_args()
    names = builders() if options.all else options.builders
    if not names:
        parser.error("name builders, or ask for --all")
    if options.show is not None:
        script = write(names[0], options.show, options.seed)
        print(script.name, script.text, judge(script), compare(script), sep="\n")
        return 0
    count = wrong = 0
    found: dict[str, int] = {}
    for script in sample(names, options.each, options.seed):
        count += 1
        disagreement = compare(script)
        if disagreement is not None and not known(disagreement):
            wrong += 1
            kind = disagreement.kind.partition(",")[0]
            found[kind] = found.get(kind, 0) + 1
            print(disagreement, flush=True)
    print(f"{count} scripts, {wrong} disagreements", found)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
