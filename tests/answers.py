"""What stands beside a script in a `.expected` file, and what PyTorch's numbers look like there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from headcheck import rulebook

if TYPE_CHECKING:
    from tests.torch_proof import Observed


def expected(script: Path) -> dict[str, str]:
    """What stands beside a script: `key: value` lines."""
    return rulebook.key_values(script.with_suffix(".expected").read_text(encoding="utf-8").splitlines())


def promised(script: Path) -> list[tuple[int, str]]:
    """Row and code of each finding: `HC101 at 7, HC201 at 8` → [(7, "HC101"), (8, "HC201")]; `none` → []."""
    return [(int(row), code) for code, row in re.findall(r"(HC\d{3}) at (\d+)", expected(script)["findings"])]


def shown(seen: Observed) -> dict[str, str]:
    """What a right script's answer holds, as PyTorch shows it: the output's shape and how much of the model learns."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in seen.parameters.values()]
    return {
        "findings": "none",
        "output": str(seen.outputs[0]),
        "trainable": str(sum(size for size, trainable in sizes if trainable)),
        "total": str(sum(size for size, _ in sizes)),
    }
