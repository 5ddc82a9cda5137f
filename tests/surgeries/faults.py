"""Faults: each changes a draft, whose lines are still about `model`, and says whether it found a place to do so."""

from __future__ import annotations

from collections.abc import Callable

from tests.surgeries.drafts import CLASSES, MARK, Draft, layer, reach, takes
from tests.surgeries.pieces import freeze_call, freeze_loop, freeze_named_loop


def sub_line(d: Draft, pick: Callable[[str], bool], change: Callable[[str], str]) -> bool:
    """Change one line that `pick` takes, and mark it instead of what was marked."""
    places = [(lines, i) for lines in (d.lines, d.helpers) for i, line in enumerate(lines) if pick(line)]
    if not places:
        return False
    lines, index = d.chance.choice(places)
    new = change(lines[index].replace(MARK, ""))
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    lines[index] = "\n".join(part + MARK for part in new.split("\n")[:1]) + "".join(
        f"\n{p}" for p in new.split("\n")[1:]
    )
    return True


def fault_size(d: Draft) -> bool:
    other = d.chance.choice(
        [size for size in (512, 1024, 2048, 4096, 1000, 64, d.site.size * 2) if size != d.site.size]
    )
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

    def is_whole(line: str) -> bool:
        return line.startswith(f"{reach(d.site.head)} = nn.") and line.count("(") == line.count(")")

    return sub_line(d, is_whole, lambda _: f"{place} = {new}")


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
        d,
        lambda line: line.startswith(f"{head} = "),
        lambda _: f"{head}[1] = {layer('Linear', f'{head}[1].in_features')}",
    )


def fault_out_features(d: Draft) -> bool:
    head = reach(d.site.head)
    name = "out_features" if d.site.kind == "Linear" else "out_channels"
    if any(MARK in line and line.startswith(head) and line.count("(") != line.count(")") for line in d.lines):
        return False
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
        lambda line: line.replace(
            ".requires_grad = False", d.chance.choice([f".{wrong} = False", ".requires_grad == False"])
        ),
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
    tested = [i for i, line in enumerate(d.lines) if f'"{top}' in line and "name" in line and "setattr" not in line]
    flags = [i for i in range(tested[0], len(d.lines)) if "requires_grad = " in d.lines[i]] if tested else []
    if not flags:
        return False
    for block in (d.lines, d.helpers):
        block[:] = [line.replace(MARK, "") for line in block]
    d.lines[tested[0]] = d.lines[tested[0]].replace(f'"{top}', f'"{other}')
    d.lines[flags[0]] += MARK
    return True


def fault_freeze_last(d: Draft) -> bool:
    """A freeze of everything at the end."""
    if any("Lazy" in line for line in d.lines):
        return False
    lines = [line.replace(MARK, "") for line in d.lines]
    optimizer = next(
        (i for i, line in enumerate(lines) if line.startswith(("optimizer", "params_to", "head = list"))), None
    )
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
    d.lines[:] = [line for line in d.lines if not any(line.startswith(f"{reach(p)} = ") for p in d.site.auxiliary)]
    d.need("import torch")
    image = f"torch.zeros(2, {', '.join(map(str, d.site.input))})"
    d.add("model.train()")
    d.add(f"main, other = model({image})" if d.site.namespace != "segmentation" else f'other = model({image})["aux"]')
    return True


def fault_kind(d: Draft) -> bool:
    """A Linear for a map, or a convolution for a vector."""
    other = "Conv2d" if d.site.kind == "Linear" else "Linear"
    head = reach(d.site.head)
    return sub_line(
        d,
        lambda line: line.startswith(f"{head} = nn.{d.site.kind}("),
        lambda _: f"{head} = {layer(other, d.site.size)}",
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
    if "build_branch" in d.names:  # PyTorch would run the other branch
        return False
    return sub_line(
        d,
        lambda line: line.endswith('weights="DEFAULT")') and "partial" not in line and not line.startswith(" "),
        lambda line: line[:-1] + f", num_classes={CLASSES})",
    )


def fault_builder(d: Draft) -> bool:
    if "build_branch" in d.names:  # PyTorch would run the other branch
        return False
    builder = d.site.builder
    wrong = d.chance.choice([builder + "x", builder.replace("_", "", 1) if "_" in builder else builder + "_0"])
    return sub_line(
        d,
        lambda line: builder in line and ("models." in line or f'"{builder}"' in line),
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
    if any("Lazy" in line for line in d.lines):
        return False
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
