"""What a plan has made so far, and what every part of the worker goes by."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

VERSION = 1
# Bounds on what a plan may hold. They only keep a hostile script from wasting time; no real model comes near them.
MAX_STEPS = 20_000
MAX_INT = 10**9
MAX_TEXT = 200
MAX_ITEMS = 1_000
MAX_DEPTH = 4
MAX_INPUT_ELEMENTS = 2**27
MAX_ERROR = 500
DTYPES = ("float16", "bfloat16", "float32", "float64")
# Errors that speak of this machine or of headcheck's own limits, not of the script: they prove nothing about it.
REFUSAL = "headcheck does not allow"
NOT_THE_SCRIPT = re.compile(
    REFUSAL + r"|allocate memory|out of memory|not enough memory|could not create a primitive"
    r"|not implemented for '|Could not run '|not currently (implemented|supported) (for|on) the"
    r"|mixed dtype \(CPU\)|Couldn't load custom C\+\+ ops|meta tensor",
    re.IGNORECASE,
)
# Errors that autocast may keep from happening.
DTYPES_APART = re.compile(r"same dtype|expected scalar type|mixed dtype|should be the same|data ?type", re.IGNORECASE)


class Refused(Exception):
    """The plan asks for something the worker does not do; its text says what."""


@dataclasses.dataclass
class Libraries:
    """torch, torchvision (if a plan needs it and it is there) and the device that plans run on."""

    torch: Any
    torchvision: Any
    device: str
    device_error: str | None


@dataclasses.dataclass
class Run:
    """What one plan has made so far.

    `moves` are the kinds of device that its steps moved modules to, `moved_last` is the last one; `line` is where the
    script has the step of a forward that runs.
    """

    libraries: Libraries
    memory_bytes: int
    objects: dict[int, Any] = dataclasses.field(default_factory=dict)
    parameter_bytes: int = 0
    optimizers: list[Any] = dataclasses.field(default_factory=list)
    moves: set[str] = dataclasses.field(default_factory=set)
    moved_last: str = ""
    line: Any = None

    @property
    def torch(self) -> Any:
        return self.libraries.torch

    @property
    def simulates(self) -> bool:
        """Whether there is no memory behind the tensors, and devices are only said to be there."""
        return self.device == "meta"

    @property
    def device(self) -> str:
        return self.libraries.device
