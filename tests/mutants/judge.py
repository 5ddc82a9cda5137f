"""What PyTorch shows of a script, and whether a changed one is wrong.

Nothing of headcheck's analysis is used. A changed script is run as it stands, with PyTorch and the libraries that it
imports; only weights are not fetched. Then its `model` gets one forward and one backward pass. It is *wrong* if one of
these holds of it and not of the clean script:

- something raises, be it while the script runs or in the passes after it: a part that is not there, a builder's name
  that the library does not have, sizes that do not fit, tensors on two devices;
- the outputs have other shapes. Where only the number of classes is another, it is wrong if the script itself says how
  many there are (`# classes: …` in the clean one), or if none of its layers is left in the model;
- a layer that the script made does not learn: it is frozen, its gradient is missing, it is not in `optimizer`, or no
  step that the script takes itself changes it any more;
- the optimizer holds parameters that were to learn and are frozen, or gradients are never cleared;
- the library's part was to be frozen and nothing of it is, or some of it was to learn and nothing does;
- some BatchNorm or Dropout layers were in evaluation mode, and none is.

It is *open* if only the number of classes is another, or more or less of the library's part is frozen or in evaluation
mode: both can be meant, and nothing but the author's mind tells them apart. So it is if the pass raises with pictures
of the usual size only, and the script does not say which size its pictures have.

It is *left out* if what raises is plain Python that no rule speaks of, and that other tools find (`no_rule`): a name
that is not set, an attribute of what is no part of a model, the script's own command line.

In all other cases it is *right*.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torchvision
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from headcheck.tracing.shortcuts import no_initial_values
from tests import torch_devices, torch_proof
from tests.mutants.clean import Clean
from tests.mutants.lightning import stand_in
from tests.surgeries.sites import on_meta

SIDE = 128  # pixels on a side of the pictures that detection models, which run on the CPU, get


@dataclass
class Shown:
    """One run of a script: what was raised and where, the outputs' shapes, and every parameter at the end.

    `made` are the parameters of layers that the script itself made, `learning` those that require a gradient, `dead`
    those of them that got none; `optimized` those in the optimizer (None if there is no optimizer); `stepped` those
    that a step of the script's own changed; `cleared` says that it clears gradients; `resting` the BatchNorm and
    Dropout layers in evaluation mode, at the script's end or in the pass after it; `rows` the lines of the script that
    were run; `outside` says that no rule speaks of the error.
    """

    error: str = ""
    outside: bool = False
    small: bool = False
    outputs: tuple[tuple[int, ...], ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    learning: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    optimized: set[str] | None = None
    stepped: set[str] = field(default_factory=set)
    cleared: bool = False
    resting: set[str] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """`word` is wrong, right, open or left out; `why` says what PyTorch showed."""

    word: str
    why: str = ""


# -- running ---------------------------------------------------------------------------------------------------------


def run(text: str, argv: tuple[str, ...], tracing: bool = False) -> Shown:
    """Run a script, then one forward and one backward pass of its `model`; `rows` are collected if `tracing`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shown, names, made, stepped = Shown(), {"__name__": "__main__"}, set[nn.Module](), set[int]()
    try:
        with (
            world(text),
            made_by_script(made),
            steps(shown, stepped),
            mock.patch.object(sys, "argv", ["script.py", *argv]),
            quiet(),
            traced(shown.rows) if tracing else contextlib.nullcontext(),
        ):
            exec(compile(text, "script.py", "exec"), names)
        with world(text), quiet():
            look(shown, names, made, stepped, text)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "script.py"]
        shown.outside = no_rule(error)
        shown.error = f"{type(error).__name__}: {error} (line {lines[-1] if lines else 'of the library'})"
    return shown


SMALL = 32  # pixels on a side of pictures of which a ResNet makes a map of one place


def works_on_small(text: str, model: nn.Module) -> bool:
    """Whether a model that raises takes small pictures, and may: the script does not say how large its own are."""
    if needs_numbers(text) or re.search(r"\b(224|299)\b", text):
        return False
    first = next(model.parameters())
    try:
        model(torch.zeros(2, 3, SMALL, SMALL).to(first.device, first.dtype))
    except Exception:
        return False
    return True


def look(shown: Shown, names: dict[str, Any], made: set[nn.Module], stepped: set[int], text: str) -> None:
    shown.resting = resting(names["model"])
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
    shown.stepped = {name for name, p in model.named_parameters() if id(p) in stepped}
    model.zero_grad(set_to_none=True)
    try:
        answer = forward(model)
    except Exception:
        shown.small = works_on_small(text, model)
        raise
    shown.resting |= resting(model)
    answers = torch_proof.tensors(answer)
    shown.outputs = tuple(tuple(one.shape[1:]) for one in answers)
    sum(one.square().mean() for one in answers).backward()
    shown.dead = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}


def resting(model: nn.Module) -> set[str]:
    """The layers that work differently in evaluation mode, and are in it."""
    kinds = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
    return {path for path, module in model.named_modules() if isinstance(module, kinds) and not module.training}


def forward(model: nn.Module) -> Any:
    """The answer of a model to two pictures, or to two clips; a detection model's losses."""
    parts = list(model.modules())
    if any(type(part).__module__.startswith("torchvision.models.detection") for part in parts):
        return detect(model)
    if any(isinstance(part, torchvision.models.video.VideoResNet) for part in parts):
        return model(torch.zeros(2, 3, 8, 64, 64))
    sizes = [torch_proof.image_size(part) for part in parts]
    picture = torch.zeros(2, 3, *[next((size for size in sizes if size != 224), 224)] * 2)
    first = next(model.parameters())
    return model(picture.to(first.device, first.dtype))


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


def needs_numbers(text: str) -> bool:
    return any(words in text for words in (".detection", "bfloat16", ".half()"))


@contextlib.contextmanager
def world(text: str) -> Iterator[None]:
    """Where a script is run: on meta, with an accelerator that is not there if the script names devices; on the CPU if
    numbers matter, as they do to detection models and where dtypes meet."""
    with no_initial_values(), contextlib.ExitStack() as stack:
        if needs_numbers(text):
            stack.enter_context(torch_proof.without_weights())
        else:
            stack.enter_context(on_meta())
            if "device" in text or "cuda" in text:
                stack.enter_context(torch_devices.simulated())
                # A DataParallel that sees no accelerator hands everything on to the model inside.
                parallel = sys.modules["torch.nn.parallel.data_parallel"]
                stack.enter_context(mock.patch.object(parallel, "_get_available_device_type", lambda: None))
                # Before its first step an optimizer asks the accelerator whether it is recording.
                asking = "_accelerator_graph_capture_health_check"
                stack.enter_context(mock.patch.object(torch.optim.Optimizer, asking, lambda optimizer: None))
        stack.enter_context(torch_proof.without_weights_of(text))
        stack.enter_context(stand_in())
        yield


@contextlib.contextmanager
def steps(shown: Shown, stepped: set[int]) -> Iterator[None]:
    """Collect the ids of the parameters that optimizers' steps change, and note if gradients are cleared."""

    def noting(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for parameter in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
            stepped.add(id(parameter))
            if hasattr(parameter, "_device"):  # a simulated one, which gradients do not take over
                parameter.grad._device = parameter._device

    def clearing(optimizer: torch.optim.Optimizer, set_to_none: bool = True) -> None:
        shown.cleared = True
        clear(optimizer, set_to_none)

    clear = torch.optim.Optimizer.zero_grad
    handle = register_optimizer_step_pre_hook(noting)
    try:
        with mock.patch.object(torch.optim.Optimizer, "zero_grad", clearing):
            yield
    finally:
        handle.remove()


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
        if called in ("__init__", "reset_classifier"):  # otherwise the script called a builder
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
    seen = tuple(run(script.text, argv, tracing=True) for argv in script.runs)
    for shown in seen:
        assert not shown.error, f"{script.name}: {shown.error}"
        assert shown.made <= shown.learning - shown.dead, f"{script.name}: {shown.made - shown.learning} does not learn"
        assert shown.optimized is None or shown.made <= shown.optimized, (
            f"{script.name}: {shown.made - shown.optimized}"
        )
    return seen


def no_rule(error: BaseException) -> bool:
    """Whether an error is plain Python that no rule of the rule book speaks of, and that pyflakes, a type checker or
    the first run finds: a name that is not set, a key that a dict of the script lacks, its own command line, a
    function that is no part of a model and not called, or an attribute of what is neither a part of a model, nor a
    parameter, nor a library of models."""
    if isinstance(error, AttributeError) and error.name is not None:
        return not is_about_models(error.obj)
    if isinstance(error, TypeError):  # a function of the script, or a method of a dict, that is not called
        return any(words in str(error) for words in ("non-iterable function", "builtin_function_or_method"))
    if isinstance(error, KeyError):
        return traceback.extract_tb(error.__traceback__)[-1].filename == "script.py"
    return isinstance(error, (NameError, SystemExit))


def is_about_models(thing: object) -> bool:
    """Whether what lacks an attribute is a module, a parameter, a library of models, or a function of one of these."""
    thing = getattr(thing, "__self__", thing)
    name = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None) or ""
    return isinstance(thing, (nn.Module, nn.Parameter)) or name.partition(".")[0] in ("torchvision", "timm")


def judge(script: Clean, text: str) -> Verdict:
    """Whether a changed script is wrong on any of its runs."""
    verdicts = [
        compare(was, run(text, argv), script.classes) for was, argv in zip(clean(script), script.runs, strict=True)
    ]
    for word in ("left out", "wrong", "open"):
        found = next((v for v in verdicts if v.word == word), None)
        if found is not None:
            return found
    return Verdict("right")


def compare(was: Shown, shown: Shown, classes: int | None) -> Verdict:
    if shown.error:
        return Verdict("left out" if shown.outside else "open" if shown.small else "wrong", shown.error)
    for fault, names in (
        ("is frozen", shown.made - shown.learning),
        ("gets no gradient", shown.made & shown.dead),
        ("is not in the optimizer", shown.made - (shown.made if shown.optimized is None else shown.optimized)),
        ("is changed by no step", (shown.made - shown.stepped) if was.made & was.stepped else set()),
    ):
        if names:
            return Verdict("wrong", f"{sorted(names)[0]} {fault}")
    idle = (shown.optimized or set()) & was.learning - shown.learning
    if idle:
        return Verdict("wrong", f"{sorted(idle)[0]} is in the optimizer and frozen")
    if was.cleared and not shown.cleared:
        return Verdict("wrong", "gradients are never cleared")
    free = classes is None and bool(shown.made or not was.made)
    if shown.outputs != was.outputs:
        recounted = [one[1:] for one in shown.outputs] == [one[1:] for one in was.outputs]
        return Verdict("open" if free and recounted else "wrong", f"output {shown.outputs}, not {was.outputs}")
    if () in was.outputs:  # losses, which do not show how many classes there are
        for name in sorted(was.made):
            if shown.shapes.get(name, (0,))[0] != was.shapes[name][0]:
                kept = name in shown.made
                return Verdict("open" if free and kept else "wrong", f"{name} is {shown.shapes.get(name)}")
    common = was.shapes.keys() & shown.shapes.keys()
    for word, before, now in (
        ("is frozen", was.shapes.keys() - was.learning, shown.shapes.keys() - shown.learning),
        ("is learning", was.learning - was.made, shown.learning - shown.made),
    ):
        if before & common and not now & common:
            return Verdict("wrong", f"nothing {word} any more")
        if before & common != now & common:
            return Verdict("open", f"something else {word}")
    if shown.resting != was.resting:
        return Verdict("open" if shown.resting else "wrong", "not the same layers are in evaluation mode")
    return Verdict("right")
