"""What PyTorch shows of a script, and whether a changed one is wrong."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torchvision
from torch import nn

from headcheck.tracing.shortcuts import no_initial_values
from tests import torch_proof
from tests.mutants.clean import Clean
from tests.surgeries.sites import on_meta

SIDE = 128  # pixels on a side of the pictures that detection models, which run on the CPU, get


@dataclass
class Shown:
    """One run of a script: what was raised and where, the outputs' shapes, and every parameter at the end.

    `made` are the parameters of layers that the script itself made, `learning` those that require a gradient, `dead`
    those of them that got none; `optimized` those in the optimizer (None if there is no optimizer); `rows` the lines of
    the script that were run; `others` says that the error is one that other tools find.
    """

    error: str = ""
    others: bool = False
    outputs: tuple[tuple[int, ...], ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    learning: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    optimized: set[str] | None = None
    rows: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """`word` is wrong, right, open or left out; `why` says what PyTorch showed."""

    word: str
    why: str = ""


# -- running ---------------------------------------------------------------------------------------------------------


def run(text: str, argv: tuple[str, ...]) -> Shown:
    """Run a script, then one forward and one backward pass of its `model`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shown, names, made = Shown(), {"__name__": "__main__"}, set[nn.Module]()
    where = on_cpu if ".detection" in text else on_meta
    try:
        with (
            where(),
            made_by_script(made),
            mock.patch.object(sys, "argv", ["script.py", *argv]),
            quiet(),
            traced(shown.rows),
        ):
            exec(compile(text, "script.py", "exec"), names)
        with where():
            look(shown, names, made)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "script.py"]
        shown.others = is_another_tools(error)
        shown.error = f"{type(error).__name__}: {error} (line {lines[-1] if lines else 'of the library'})"
    return shown


def look(shown: Shown, names: dict[str, Any], made: set[nn.Module]) -> None:
    model = names["model"].train()
    for path, module in model.named_modules():
        own = {f"{path}.{name}" if path else name: p for name, p in module.named_parameters(recurse=False)}
        shown.shapes |= {name: tuple(p.shape) for name, p in own.items()}
        shown.made |= own.keys() if module in made else set()
        shown.learning |= {name for name, p in own.items() if p.requires_grad}
    optimizer = names.get("optimizer")
    if optimizer is not None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        shown.optimized = {name for name, p in model.named_parameters() if id(p) in held}
    model.zero_grad(set_to_none=True)
    answer = forward(model)
    answers = torch_proof.tensors(answer)
    shown.outputs = tuple(tuple(one.shape[1:]) for one in answers)
    sum(one.square().mean() for one in answers).backward()
    shown.dead = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}


def forward(model: nn.Module) -> Any:
    """The answer of a model to two pictures, or to two clips; a detection model's losses."""
    parts = list(model.modules())
    if any(type(part).__module__.startswith("torchvision.models.detection") for part in parts):
        return detect(model)
    if any(isinstance(part, torchvision.models.video.VideoResNet) for part in parts):
        return model(torch.zeros(2, 3, 8, 64, 64))
    sizes = [torch_proof.image_size(part) for part in parts]
    return model(torch.zeros(2, 3, *[next((size for size in sizes if size != 224), 224)] * 2))


def detect(model: nn.Module) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.05, 0.05)
    if not isinstance(model, torchvision.models.detection.ssd.SSD):  # which has one size
        model.transform.min_size, model.transform.max_size = (SIDE,), SIDE
    if hasattr(model, "roi_heads"):  # the number of boxes is what costs
        model.rpn._post_nms_top_n = {"training": 8, "testing": 8}
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 8
    target = {
        "boxes": torch.tensor([[16.0, 16.0, 96.0, 96.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, SIDE, SIDE, dtype=torch.uint8),
        "keypoints": torch.tensor([[[48.0, 48.0, 1.0]] * points_of(model)]),
    }
    return model([torch.rand(3, SIDE, SIDE), torch.rand(3, SIDE, SIDE)], [target, dict(target)])


def points_of(model: nn.Module) -> int:
    """How many keypoints a model looks for; 17, as the library's own, if none."""
    found = [part for name, part in model.named_modules() if name.endswith("kps_score_lowres")]
    return found[0].out_channels if found else 17


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """Detection models look at numbers."""
    with torch_proof.without_weights(), no_initial_values():
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        yield


@contextlib.contextmanager
def made_by_script(made: set[nn.Module]) -> Iterator[None]:
    """Collect the modules whose constructor the script itself calls, and what these are made of."""
    initialise = nn.Module.__init__

    def noting(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        initialise(module, *args, **kwargs)
        frame, called = sys._getframe(1), "__init__"
        while frame.f_back is not None and frame.f_code.co_filename != "script.py":
            frame, called = frame.f_back, frame.f_code.co_name
        if called == "__init__":  # otherwise the script called a builder
            made.add(module)

    with mock.patch.object(nn.Module, "__init__", noting):
        yield


@contextlib.contextmanager
def traced(rows: set[int]) -> Iterator[None]:
    """Collect the lines of the script that run."""

    def local(frame: Any, event: str, _: Any) -> Any:
        rows.add(frame.f_lineno)
        return local

    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: local if frame.f_code.co_filename == "script.py" else None)
    try:
        yield
    finally:
        sys.settrace(before)


# -- judging ---------------------------------------------------------------------------------------------------------


@functools.cache
def clean(script: Clean) -> tuple[Shown, ...]:
    """What a clean script shows, run by run. Raises AssertionError if it is not clean."""
    seen = tuple(run(script.text, argv) for argv in script.runs)
    for shown in seen:
        assert not shown.error, f"{script.name}: {shown.error}"
        assert shown.made <= shown.learning - shown.dead, f"{script.name}: {shown.made - shown.learning} does not learn"
        assert shown.optimized is None or shown.made <= shown.optimized, (
            f"{script.name}: {shown.made - shown.optimized}"
        )
    return seen


def is_another_tools(error: BaseException) -> bool:
    """Whether an error is about plain Python, which pyflakes or a type checker finds: a name that is not set, an
    attribute of something that is neither a module nor a parameter."""
    if isinstance(error, AttributeError):
        # `Module.__getattr__` raises by hand, so that its errors do not name the object.
        return error.obj is not None and not isinstance(error.obj, nn.Parameter)
    return isinstance(error, NameError)


def judge(script: Clean, text: str, kind: str, before: str, after: str) -> Verdict:
    """Whether a changed script is wrong on any of its runs."""
    verdicts = [
        compare(was, run(text, argv), kind, before, after) for was, argv in zip(clean(script), script.runs, strict=True)
    ]
    for word in ("left out", "wrong", "open"):
        found = next((v for v in verdicts if v.word == word), None)
        if found is not None:
            return found
    return Verdict("right")


def compare(was: Shown, shown: Shown, kind: str, before: str, after: str) -> Verdict:
    if shown.error:
        return Verdict("left out" if shown.others else "wrong", shown.error)
    if shown.outputs != was.outputs:
        renumbered = kind == "size" and str(shown.outputs).replace(after, before) == str(was.outputs)
        return Verdict("open" if renumbered else "wrong", f"output {shown.outputs}, not {was.outputs}")
    for fault, names in (
        ("is frozen", shown.made - shown.learning),
        ("gets no gradient", shown.made & shown.dead),
        ("is not in the optimizer", shown.made - (shown.made if shown.optimized is None else shown.optimized)),
    ):
        if names:
            return Verdict("wrong", f"{sorted(names)[0]} {fault}")
    if () in was.outputs:  # losses, which do not show how many classes there are
        for name in sorted(was.made):
            if shown.shapes.get(name, (0,))[0] != was.shapes[name][0]:
                renumbered = kind == "size" and after.isdigit() and name in shown.made
                return Verdict("open" if renumbered else "wrong", f"{name} is {shown.shapes.get(name)}")
    common = was.shapes.keys() & shown.shapes.keys()
    for word, before_, now in (
        ("frozen", was.shapes.keys() - was.learning, shown.shapes.keys() - shown.learning),
        ("learning", was.learning - was.made, shown.learning - shown.made),
    ):
        if before_ & common and not now & common:
            return Verdict("wrong", f"nothing is {word} any more")
        if before_ & common != now & common:
            return Verdict("open", f"others are {word}")
    return Verdict("right")
