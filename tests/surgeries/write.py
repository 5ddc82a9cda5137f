"""Scripts out of pieces. A wrapping makes a script that leaves `model` (and `optimizer`) behind."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from typing import Any

from tests.surgeries import pieces
from tests.surgeries.drafts import MARK, Draft, Script
from tests.surgeries.faults import FAULTS
from tests.surgeries.sites import site


def indented(lines: list[str], by: str = "    ") -> list[str]:
    return [by + line if line else line for text in lines for line in text.split("\n")]


def is_python(lines: list[str]) -> bool:
    """Whether lines still parse: a fault may have hit the first line of a statement of several."""
    try:
        ast.parse("\n".join(lines))
    except SyntaxError:
        return False
    return True


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
        "", "", "class Trainer:", "    def __init__(self, epochs=3):", "        self.epochs = epochs",
        "        self.model = self.build()",
        "", "    def build(self):", *indented([line for line in lines if not line.startswith("optimizer")], " " * 8),
        "        return model", "", "", "trainer = Trainer()", "model = trainer.model",
        *[line for line in lines if line.startswith("optimizer") and "params" not in line and "rest" not in line],
    ]  # fmt: skip


def wrap_module(d: Draft) -> list[str]:
    """A network of the script's own that holds the model and does nothing else."""
    lines = [line for text in d.lines for line in text.split("\n")]
    kept = [line for line in lines if not line.startswith("optimizer")]
    return [
        "", "", "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()",
        *indented(kept, " " * 8),
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
    styles = pieces.HEAD_STYLES + (
        pieces.STACK_STYLES * 3 if (d.site.container or "").startswith(("classifier", "head")) else []
    )
    if d.site.container == "heads" or d.site.namespace in ("segmentation", "video") or "squeeze" in name:
        styles = pieces.HEAD_STYLES  # their stacks have names, or do not end in the head
    order = pick(["before", "after", "none", "before", "optimizer"])

    def step(function: Callable[[Draft], Any]) -> None:
        d.names.append(function.__name__)
        function(d)

    step(pick(pieces.BUILDS))
    if chance.random() < 0.12:
        pieces.trunk_same(d)
    if order == "before":
        d.frozen = True
        step(pick(pieces.FREEZES))
    style = pick(styles)
    step(style)
    pieces.auxiliary(d)
    if order == "after":
        d.frozen = True
        plain = style in (
            pieces.head_inline,
            pieces.head_stored,
            pieces.head_literal,
            pieces.head_keywords,
            pieces.head_from_weight,
            pieces.head_alias,
            pieces.head_helper,
        )
        step(
            pick(
                pieces.SPARES
                if plain and d.site.head in ("fc", "classifier", "head")
                else pieces.SPARES[:4] + [pieces.thaw_head] * plain
            )
        )
        if d.names[-1] in ("spare_by_child", "spare_parts") and d.site.builder.startswith(("vit", "swin")):
            d.frozen = False  # class tokens and embeddings are nobody's child
    if order == "optimizer" or chance.random() < 0.4:
        step(pick([*pieces.OPTIMS, pieces.optim_head]))
    if faulty:
        for fault in chance.sample(FAULTS, len(FAULTS)):
            lines, helpers, imports = list(d.lines), list(d.helpers), list(d.imports)
            if fault(d) and is_python(d.lines):
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
    return Script(
        f"{name}-{number}: {' '.join(d.names)}", text, rows[0] if rows and faulty else None, d.site, d.frozen, prefix
    )
