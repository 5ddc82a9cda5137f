"""What people write: ways to build a model, to freeze it, to replace its head and to make an optimizer."""

from __future__ import annotations

import functools

import torchvision

from tests.surgeries.drafts import CLASSES, MARK, Draft, layer, reach, takes
from tests.surgeries.sites import Site

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
    if d.site.namespace == "quantization":  # a model that is not quantized yet has the weights of the plain one
        enum = enum.replace("_Quantized", "_")
        d.need(f"from torchvision.models import {enum}")
        d.need(f"from torchvision.{module_of(d.site)} import {d.site.builder}")
    else:
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
    if d.site.namespace == "segmentation" or d.site.builder in ("googlenet", "inception_v3"):
        return build_plain(d)  # these have other heads without weights
    d.add(f"model = {module_of(d.site)}.{d.site.builder}()")
    return None


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
    d.add(
        """
for child in model.children():
    for parameter in child.parameters():
        parameter.requires_grad = False
"""
    )


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
    test = d.chance.choice([f'name.startswith("{d.site.head}")', f'"{top}." in name'])
    d.add(f"for name, parameter in model.named_parameters():\n    parameter.requires_grad = {test}")


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
    head, top = reach(d.site.head), reach(d.site.head.partition(".")[0])
    d.add(
        d.chance.choice(
            [
                f"for parameter in {head}.parameters():\n    parameter.requires_grad = True",
                f"{head}.requires_grad_(True)",
                f"{head}.requires_grad_()",
                f"for parameter in {top}.parameters():\n    parameter.requires_grad = True",
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
    if d.site.builder.startswith("squeezenet") or d.site.namespace == "quantization":  # the head is not the last child
        return head_inline(d)
    owner, _, _ = d.site.head.rpartition(".")
    d.add(
        f"""
for name, module in list({reach(owner)}.named_children())[-1:]:
    if isinstance(module, nn.{d.site.kind}):
        setattr({reach(owner)}, name, {layer(d.site.kind, f"module.{takes(d.site.kind)}")}){MARK}
"""
    )
    return None


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
    d.add(
        f"old = {head}\nold = {layer(kind, f'old.{takes(kind)}')}{MARK}\n{head} = nn.Sequential(nn.Dropout(0.1), old)"
    )


def head_lazy(d: Draft) -> None:
    if d.site.kind != "Linear":
        return head_literal(d)
    d.add(f"{reach(d.site.head)} = nn.LazyLinear({CLASSES}){MARK}")
    return None


def head_count_variable(d: Draft) -> None:
    head, kind = reach(d.site.head), d.site.kind
    new = layer(kind, f"{head}.{takes(kind)}", "len(class_names)")
    d.add(f'class_names = ["a", "b", "c", "d", "e", "f", "g"]\n{head} = {new}{MARK}')


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
    d.add(
        f"kept = list({stack}.children())[:-1]\n{stack} = nn.Sequential(*kept, {layer(d.site.kind, d.site.size)}){MARK}"
    )


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
