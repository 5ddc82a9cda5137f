"""What headcheck understood of each model, for someone who reads it for the first time."""

from __future__ import annotations

from typing import TextIO

from headcheck.findings import BlindSpot, HeadReport, ModelReport, Run, TimelineStep, Verdict
from headcheck.report import words
from headcheck.report.colour import harmless, paint
from headcheck.report.summary import number

MAX_NAMES = 8


def render(run: Run, out: TextIO, colour: bool) -> None:
    """Every model of a run: where and how it is built, what happens to it, its heads, and what comes out of it."""
    models = [model for result in run.files for model in result.models]
    for model in models:
        out.writelines(f"{line}\n" for line in _model(model, colour))
        out.write("\n")
    for result in run.files:
        out.writelines(f"{_blind_spot(result.filename, spot, colour)}\n" for spot in result.blind_spots)
    if not models:
        out.write(f"No model that headcheck knows in {number(len(run.files), 'file')}.\n")


def _blind_spot(filename: str, spot: BlindSpot, colour: bool) -> str:
    """Where reading stopped, and why."""
    cell = "" if spot.cell is None else f"cell {spot.cell}:"
    where = f"{harmless(filename)}:{cell}{spot.location.row}:{spot.location.column}"
    return f"{paint(where, 'bold', colour)} not checked: the new `{harmless(spot.name)}`; {harmless(spot.words)}"


def _model(model: ModelReport, colour: bool) -> list[str]:
    cell = "" if model.cell is None else f"cell {model.cell}:"
    where = f"{harmless(model.filename)}:{cell}{model.location.row}:{model.location.column}"
    variable = harmless(model.variable) or "a model without a name"
    said = [f"{paint(where, 'bold', colour)} {paint(variable, 'bold cyan', colour)} is a {harmless(model.builder)}"]
    if model.conditions:
        said.append(f"  when {' and '.join(map(harmless, model.conditions))}")
    said += _timeline(model, colour)
    said += _heads(model, colour)
    said.append(f"  input {shape(model.input_shape)} → output {shape(model.output_shape)}")
    if model.total is not None:
        trainable = "an unknown number" if model.trainable is None else f"{model.trainable:,}"
        said.append(f"  {trainable} of {number(model.total, 'parameter')} trainable")
    if model.verdict is not None:
        said += _verdict(model.verdict, colour)
    return said


def _timeline(model: ModelReport, colour: bool) -> list[str]:
    if not model.timeline:
        return []
    digits = max(len(str(step.location.row)) for step in model.timeline)
    cells = max(len(str(step.cell or "")) for step in model.timeline)
    places = [_place(step, digits, cells) for step in model.timeline]
    width = max(map(len, places))
    rows = (paint(f"{place:>{width}}", "bold blue", colour) for place in places)
    return [f"    {row}  {harmless(step.text)}" for row, step in zip(rows, model.timeline, strict=True)]


def _place(step: TimelineStep, digits: int, cells: int) -> str:
    """Where a step happens: ``line 9``, ``cell 2, line 9``, in another file ``models.py:9``."""
    if step.filename is not None:
        cell = "" if step.cell is None else f"cell {step.cell}:"
        return f"{harmless(step.filename)}:{cell}{step.location.row}"
    cell = "" if step.cell is None else f"cell {step.cell:>{cells}}, "
    return f"{cell}line {step.location.row:>{digits}}"


def _heads(model: ModelReport, colour: bool) -> list[str]:
    return [f"  {_kind(head)} {paint(harmless(head.path), 'bold', colour)}: {_sizes(head)}" for head in model.heads]


def _kind(head: HeadReport) -> str:
    return "auxiliary head" if head.auxiliary else "head"


def _sizes(head: HeadReport) -> str:
    takes = "?" if head.in_features is None else f"{head.in_features:,}"
    gives = "?" if head.out_features is None else f"{head.out_features:,}"
    return f"{harmless(head.layer)} takes {takes} features and gives {gives}"


def shape(sizes: tuple[int | None, ...] | None) -> str:
    """``(1, 3, 224, 224)``; a question mark for what is not known."""
    if sizes is None:
        return "of unknown shape"
    shown = ", ".join("?" if size is None else str(size) for size in sizes)
    return f"({shown},)" if len(sizes) == 1 else f"({shown})"


def _verdict(verdict: Verdict, colour: bool) -> list[str]:
    """What came of running it; what the script's own reading said already is not said again."""
    device = words.device(verdict.device)
    if verdict.status == "confirmed":
        return [f"  {paint(f'fails on {device}', 'red', colour)}: {words.one_line(verdict)}"]
    if verdict.status != "clean":
        return [f"  {paint(f'not shown on {device}', 'yellow', colour)}: {words.one_line(verdict)}"]
    outputs = [f"{harmless(key)} {shape(sizes)}".strip() for key, sizes in verdict.output_shapes]
    said = [f"output {', '.join(outputs)}", _gradient(verdict)]
    if verdict.changed is not None:
        said.append(f"a step of the optimizer changes {_names(verdict.changed) if verdict.changed else 'nothing'}")
    if verdict.milliseconds is not None:
        said.append(f"{verdict.milliseconds:,.0f} ms")
    if verdict.taken:
        said.append(f"if {harmless(verdict.taken)}")
    return [f"  {paint(f'ran on {device}', 'green', colour)}: {'; '.join(said)}"]


def _gradient(verdict: Verdict) -> str:
    of = f" of {harmless(verdict.loss)}" if verdict.loss else ""
    return f"gradient{of} reached {_names(verdict.gradient)}" if verdict.gradient else "no part got a gradient"


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(map(harmless, names[:MAX_NAMES])) + (f" and {more} more" if more > 0 else "")
