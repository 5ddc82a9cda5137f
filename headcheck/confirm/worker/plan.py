"""One plan: its steps, its passes, and what they showed."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from . import casting, detecting, simulated
from .numbers import filled, has_open, larger, told
from .passes import arguments_of, backward, changed_by_a_step, own_losses, shapes_in
from .reading import module, named_parameter
from .state import DTYPES_APART, MAX_ERROR, MAX_STEPS, NOT_THE_SCRIPT, Libraries, Refused, Run
from .steps import perform


def answer_plan(libraries: Libraries, plan: Any, memory_bytes: int) -> dict[str, Any]:
    """Run one plan; what raises must do so whatever the numbers are that it leaves open."""
    answer = run_plan(libraries, filled(plan), memory_bytes)
    if answer["status"] == "raised" and has_open(plan):
        again = run_plan(libraries, filled(plan, other=True), memory_bytes)
        if told(again) != told(answer):
            error = f"whether it raises depends on a number that the script leaves open: {answer['error']}"
            answer.update(status="refused", error=error[:MAX_ERROR])
    if answer["status"] == "raised":
        answer["everywhere"] = raises_everywhere(libraries, plan, memory_bytes, answer)
    return answer


def raises_everywhere(libraries: Libraries, plan: Any, memory_bytes: int, answer: dict[str, Any]) -> bool:
    """Whether a plan that raises does so for inputs of another size, too. Not where it may take something else."""
    if answer["at"] == "step":
        return True
    if plan.get("takes_other") is True or not isinstance(plan.get("input"), list) or plan.get("kind") == "detection":
        return False
    again = run_plan(libraries, {**filled(plan), "input": larger(plan["input"])}, memory_bytes)
    return bool(told(again) == told(answer))


def run_plan(libraries: Libraries, plan: Any, memory_bytes: int) -> dict[str, Any]:
    """Run one plan; the answer says how far it came and what the model was like there."""
    run = Run(libraries, memory_bytes)
    answer: dict[str, Any] = {"id": plan.get("id"), "status": "ran", "device": run.device}
    try:
        if libraries.device_error is not None:
            raise Refused(libraries.device_error)
        with simulated.devices(run.torch) if run.simulates else contextlib.nullcontext():
            run_steps(run, plan, answer)
            root = module(run, plan.get("root"))
            answer.update(at="forward", step=None, line=None)
            run_passes(run, plan, root, answer)
    except Exception as error:  # whatever the libraries raise is the answer
        record(answer, error, casting.is_left_out(run, plan))
        answer["line"] = answer.get("line") or run.line
        if answer["at"] == "forward":
            answer["within"] = names_of(innermost(run, error), module(run, plan.get("root")))
    if answer["status"] != "refused" and answer["at"] != "step":
        describe(run, plan, module(run, plan.get("root")), answer)
    answer["ignored"] = "accelerator" in run.moves and run.device == "cpu"
    return answer


def run_steps(run: Run, plan: Any, answer: dict[str, Any]) -> None:
    steps = plan.get("steps")
    if not isinstance(steps, list) or len(steps) > MAX_STEPS:
        raise Refused("the plan's steps")
    for index, step in enumerate(steps):
        line = step.get("line") if isinstance(step, dict) else None
        answer.update(at="step", step=index, line=line)
        perform(run, step)


def run_passes(run: Run, plan: Any, root: Any, answer: dict[str, Any]) -> None:
    """The forward and the backward pass. The model stays in the mode that the steps left it in (a new one trains)."""
    if run.device != "cpu" and not run.simulates and not run.moves:
        root.to(run.device)
    arguments = arguments_of(run, plan, root)
    started = time.perf_counter()
    made_up = run.simulates and plan.get("kind") == "detection"
    with casting.around(run, plan, root), detecting.made_up(run, root) if made_up else contextlib.nullcontext():
        output = root(*arguments)
        answer["outputs"] = shapes_in(run.torch, output)
        answer["at"] = "loss"
        losses = own_losses(run, plan, output)
    answer["loss"] = " and ".join(dict.fromkeys(name for name, _ in losses))
    answer["at"] = "backward"
    backward(run, plan, output, [value for _, value in losses])
    if run.device.startswith("cuda"):
        run.torch.cuda.synchronize()  # an error on the device shows up only here
    answer["at"] = None
    answer["milliseconds"] = round((time.perf_counter() - started) * 1000, 3)
    answer["changed"] = None if plan.get("more_optimizers") else changed_by_a_step(run, root)
    if plan.get("eval"):
        with run.torch.no_grad():
            answer["eval_outputs"] = shapes_in(run.torch, root.eval()(*arguments[:1]))


def record(answer: dict[str, Any], error: Exception, cast: bool) -> None:
    """Write an error down in PyTorch's own words; one that is not the script's fault is a refusal.

    `cast`: the script computes under autocast, and the device does not do so as an accelerator does.
    """
    if isinstance(error, Refused):
        answer.update(status="refused", error=str(error)[:MAX_ERROR])
        return
    text = " ".join(line.strip() for line in str(error).strip().splitlines() if line.strip())
    text = simulated.as_on_cpu(text)
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    ours = isinstance(error, (MemoryError, NameError, RecursionError)) or NOT_THE_SCRIPT.search(described)
    if cast and DTYPES_APART.search(described):
        ours = True
    answer.update(status="refused" if ours else "raised", error=described[:MAX_ERROR])


def innermost(run: Run, error: Exception) -> Any:
    """The module in whose forward an error was raised; None if that was in none."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        found = owner if isinstance(owner, run.torch.nn.Module) else found
        traceback = traceback.tb_next
    return found


def names_of(part: Any, root: Any) -> list[str]:
    """The paths from the root at which a module stands; "" for the root itself."""
    return [name for name, found in root.named_modules(remove_duplicate=False) if found is part]


def describe(run: Run, plan: Any, root: Any, answer: dict[str, Any]) -> None:
    """Count the root's parameters and say which got a gradient, and what the plan's probes ask."""
    torch = run.torch
    parameters = [p for p in root.parameters() if not torch.nn.parameter.is_lazy(p)]
    answer["total"] = sum(p.numel() for p in parameters)
    answer["trainable"] = sum(p.numel() for p in parameters if p.requires_grad)
    with_gradient = (name.split(".")[0] for name, p in root.named_parameters() if p.grad is not None)
    answer["gradient"] = list(dict.fromkeys(with_gradient))
    held = {id(p) for optimizer in run.optimizers for group in optimizer.param_groups for p in group["params"]}
    states = {}
    for name in (plan.get("probes") or {}).get("parameters") or []:
        try:
            p = named_parameter(root, name)
        except Refused:
            continue  # the judge sees that it is missing
        in_optimizer = id(p) in held if run.optimizers else None
        states[name] = {"requires_grad": p.requires_grad, "grad": p.grad is not None, "in_optimizer": in_optimizer}
    answer["parameters"] = states
