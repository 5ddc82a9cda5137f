"""What PyTorch says of a script."""

from __future__ import annotations

import ast
import contextlib
import traceback
from dataclasses import dataclass, field
from typing import Any

import torch

from tests import torch_proof
from tests.surgeries.drafts import CLASSES, Script
from tests.surgeries.sites import on_meta

SIZES = frozenset({"HC101", "HC102", "HC105"})
RUN = "HC601"  # it fails when it is run
FREEZING = frozenset({"HC301", "HC302", "HC304"})
RAISED = {
    "AttributeError": {"HC202", "HC205", "HC303"},
    "IndexError": {"HC202"},
    "TypeError": {"HC202", "HC205", "HC303"},
    "KeyError": {"HC205", "HC202"},
    "ImportError": {"HC205"},
    "ValueError": {"HC205", "HC406", "HC409", "HC302"},
}


@dataclass
class Judgement:
    """What PyTorch says: the faults in words (none: the script is right), the codes that name them, where, and counts.

    `rows` are the lines that may be pointed at (none: it is not known which); `stopped` says that the script did not
    run to its end, so that of what stands below that row nothing is known.
    """

    faults: list[str] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    stopped: bool = False
    output: tuple[int, ...] = ()
    trainable: int = 0
    total: int = 0

    def add(self, fault: str, *codes: str) -> None:
        self.faults.append(fault)
        self.codes.update(codes)


def judge(script: Script) -> Judgement:
    """Run a script on the meta device and say what is wrong with it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "__main__"}
    seen = Judgement(rows=pointed_at(script))
    with on_meta() as loaded, contextlib.redirect_stdout(None):
        try:
            exec(compile(script.text, "script.py", "exec"), names)
        except Exception as error:
            return raised(seen, error, script, names.get("model"))
        model = names["model"].train()
        flags = {path: parameter.requires_grad for path, parameter in model.named_parameters()}
        judge_flags(seen, script, names, flags)
        if not loaded:
            judge_random_trunk(seen, script, flags)
        judge_new_trunk(seen, script, model, loaded)
        try:
            # A ViT's size depends on its weights, so on the script.
            sides = [part.image_size for part in model.modules() if hasattr(part, "image_size")][:1] * 2
            size = (*script.site.input[: len(script.site.input) - len(sides)], *sides)
            outputs = torch_proof.tensors(model(torch.zeros(2, *size)))
        except (RuntimeError, ValueError) as error:
            seen.add(f"forward: {type(error).__name__}: {error}", *SIZES, RUN)
            return seen
        except (AttributeError, TypeError) as error:
            seen.add(f"forward: {type(error).__name__}: {error}", "HC202", *SIZES, RUN)
            return seen
        judge_outputs(seen, script, outputs)
        try:
            sum(output.square().mean() for output in outputs).backward()
        except RuntimeError as error:
            # What stands beside the head may be where the trainable parameters are.
            seen.add(f"backward: {error}", "HC201", "HC103", "HC303", *FREEZING)
            return seen
    dead = [path for path, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    if dead:
        seen.add(f"no gradient in {dead[:3]}", "HC201")
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    seen.output = tuple(outputs[0].shape)
    seen.trainable, seen.total = sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes)
    return seen


def pointed_at(script: Script) -> set[int]:
    """The line of the fault; where it makes something of a class of the script, also what that class is made of."""
    tree, row = ast.parse(script.text), script.row
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.lineno == row)
    made = (classes[c.func.id] for c in calls if isinstance(c.func, ast.Name) and c.func.id in classes)
    rows = {line for node in made for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return rows if row is None else rows | {row}


def raised(seen: Judgement, error: Exception, script: Script, model: Any) -> Judgement:
    """The script itself raised, with `model` as it was then."""
    kind = type(error).__name__
    if "empty parameter list" in str(error):  # because of what was frozen before
        gone = isinstance(model, torch.nn.Module) and not hasattr(model, script.site.head.partition(".")[0])
        seen.add(f"script: {kind}: {error}", *FREEZING, "HC303", *(("HC202",) if gone else ()))
        seen.rows, seen.stopped = set(), True
        return seen
    frames = traceback.extract_tb(error.__traceback__)
    seen.rows = {[frame.lineno or 0 for frame in frames if frame.filename == "script.py"][-1]}
    seen.stopped = True
    seen.add(f"script: {kind}: {error}", *RAISED.get(kind, ()))
    return seen


def heads(script: Script, paths: list[str], head: str) -> list[str]:
    """The parameters of a head; the last two of its stack where that is new and its layers have other names."""
    top = script.prefix + head
    found = [path for path in paths if path.startswith(top + ".")]
    return found or [path for path in paths if path.startswith(top.rpartition(".")[0] + ".")][-2:]


def judge_flags(seen: Judgement, script: Script, names: dict[str, Any], flags: dict[str, bool]) -> None:
    """What is frozen, and what the optimizer holds."""
    main = heads(script, list(flags), script.site.head)
    parameters = dict(names["model"].named_parameters())
    new = [head for head in (script.site.head, *script.site.auxiliary) if heads(script, list(flags), head)]
    for head in new:
        if not any(flags[path] for path in heads(script, list(flags), head)):
            seen.add(f"{head} is frozen", *FREEZING)
            if head != script.site.head:  # by a piece that knows of the main head only, not by the fault put in
                seen.rows = set()
    first = next(iter(flags))
    if script.frozen and flags[first] and first not in main:
        seen.add(f"{first} is not frozen", "HC303", "HC304")
    for path, module in names["model"].named_modules():
        if "requires_grad" in vars(module) and any(True for _ in module.parameters()):  # else there is none to freeze
            seen.add(f"`requires_grad` was set on the module {path}", "HC303")
    optimizer = names.get("optimizer")
    if optimizer is not None:
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for head in new:
            if any(flags[path] and id(parameters[path]) not in held for path in heads(script, list(flags), head)):
                seen.add(f"{head} is not in the optimizer", "HC401", "HC402")
                if head != script.site.head:  # by a piece that hands over the main head only
                    seen.rows = set()
        if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
            row = next(n for n, line in enumerate(script.text.split("\n"), start=1) if "optimizer = " in line)
            seen.rows |= {row}
            seen.codes |= {"HC302"}


def judge_random_trunk(seen: Judgement, script: Script, flags: dict[str, bool]) -> None:
    """A trunk that nothing was loaded into, all of which is frozen under a head that learns."""
    new = {path for head in (script.site.head, *script.site.auxiliary) for path in heads(script, list(flags), head)}
    trunk = [path for path in flags if path not in new and not path.startswith(stack_of(script))]
    if trunk and not any(flags[path] for path in trunk) and any(flags[path] for path in flags):
        seen.add("what the trunk was built with at random is frozen", "HC307")
        seen.rows = set() if len(seen.faults) == 1 else seen.rows  # by a piece, not by the fault put in


def judge_new_trunk(seen: Judgement, script: Script, model: Any, loaded: set[int]) -> None:
    """Layers of the trunk that nothing was loaded into, although something was into others, and that are frozen."""
    paths = [path for path, _ in model.named_parameters()]
    new = {path for head in (script.site.head, *script.site.auxiliary) for path in heads(script, paths, head)}
    trunk = {p: one for p, one in model.named_parameters() if p not in new and not p.startswith(stack_of(script))}
    random = [path for path, one in trunk.items() if id(one) not in loaded]
    if len(random) < len(trunk) and any(not trunk[path].requires_grad for path in random):
        seen.add(f"{random} are new, and frozen at random", "HC301")
        seen.rows = set() if len(seen.faults) == 1 else seen.rows  # by a piece, not by the fault put in


def stack_of(script: Script) -> str:
    """What the parameters of the stack that the head is in start with: all of it may be new."""
    return f"{script.prefix}{script.site.container or script.site.head}."


def judge_outputs(seen: Judgement, script: Script, outputs: list[torch.Tensor]) -> None:
    """How many classes each output has."""
    main, *others = [output.shape[1] if output.dim() in (2, 4) else output.shape[-1] for output in outputs]
    if main != CLASSES or outputs[0].dim() != (4 if script.site.namespace == "segmentation" else 2):
        seen.add(f"output {tuple(outputs[0].shape)}", "HC201", "HC103", *SIZES)
    if any(count != CLASSES for count in others):
        seen.add(f"auxiliary outputs {others}", "HC203")
