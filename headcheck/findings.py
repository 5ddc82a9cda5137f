"""What a run says: findings, the models it understood, and what confirming them showed.

Named tuples, not dataclasses: every run makes these classes anew, and dataclasses take three times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from headcheck.records import NamedTuple

Severity = Literal["error", "warning", "info"]
VerdictStatus = Literal["confirmed", "refuted", "clean", "inconclusive"]
ExpectationKind = Literal[
    "raises", "device", "output", "no-grad", "frozen", "trainable", "not-in-optimizer", "not-by-class",
    "none",
    "fails", "two-devices", "by-class", "unlearnt",
]  # fmt: skip
Stage: TypeAlias = Literal["step", "forward", "loss", "backward"]
CANDIDATES = frozenset(["fails", "two-devices", "by-class", "unlearnt"])


class Location(NamedTuple):
    """A place in a file. Both numbers start at 1; the column counts characters."""

    row: int
    column: int


class Edit(NamedTuple):
    """Replace `text[start:end]` of the source (character offsets) by `text`."""

    start: int
    end: int
    text: str


class Fix(NamedTuple):
    """A set of edits that mends a finding; a safe one keeps what the script means."""

    message: str
    safe: bool
    edits: tuple[Edit, ...]


class Expectation(NamedTuple):
    """What running a finding's plan in PyTorch must show for the finding to be confirmed.

    `kind` is one of
    - ``raises``: the plan, or the passes after it, raise;
    - ``device``: the same, where a move to another device is one;
    - ``output``: the output keeps `classes` classes although a new head was put in;
    - ``no-grad``: the parameters named (paths from the model's root) get no gradient;
    - ``frozen``: they do not require a gradient;
    - ``trainable``: they require one although the script meant to freeze them;
    - ``not-in-optimizer``: they are in no parameter group of the optimizer;
    - ``not-by-class``: the answer is not (N, `classes`);
    - ``none``: nothing that a run could show;
    or of a candidate, which is a finding only where it is confirmed and nothing else was found on its model,
    - ``fails``: the forward raises, whatever the numbers that the script leaves open and the size of the picture;
    - ``two-devices``: it raises for tensors on two devices;
    - ``by-class``: the answer is not (N, classes);
    - ``unlearnt``: the parameters named require a gradient, and none of them gets one.

    What raises must do so where the finding is, for it may be another fault: in one of the stages `at`, if any is
    given; of steps, in the one of the finding's own place (`step`, its line); where `line` is given, at that line of
    the script's own forward; where `part` is, in the forward of the module of this path, whatever holds it.
    """

    kind: ExpectationKind = "none"
    parameters: tuple[str, ...] = ()
    classes: int | None = None
    line: int | None = None
    part: str = ""
    at: tuple[Stage, ...] = ()
    step: int | None = None


AT_ITS_STEP = Expectation("raises", at=("step",))
IN_FORWARD = Expectation("raises", at=("forward",))


class Verdict(NamedTuple):
    """What running a plan said.

    `detail` is PyTorch's own error text, the silent proof in words, or why nothing could be said.
    The rest describes the model at its end where the plan ran to it: output shapes by key (the key of a plain tensor
    output is ""), parameter counts, the top-level names whose parameters got a gradient, those under which one step of
    the script's optimizers changed one (None where there is none, or no numbers), and the milliseconds that forward and
    backward took. `taken` is what the run takes for granted and `left_out` what it leaves out of what the script does,
    `loss` the script's own loss that the gradient came from.
    """

    status: VerdictStatus
    detail: str
    device: str = "cpu"
    output_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    trainable: int | None = None
    total: int | None = None
    gradient: tuple[str, ...] = ()
    milliseconds: float | None = None
    changed: tuple[str, ...] | None = None
    taken: str = ""
    loss: str = ""
    left_out: str = ""


class Finding(NamedTuple):
    """One promise broken at one place. `name` and `severity` come from the rule book.

    `message` is one sentence with both numbers and where the model was built; `help` is the code to write instead;
    `conditions` are the assumptions under which it holds, as source text (``size == 50``); `plan` indexes the plans of
    the file. In a notebook the locations count in the cell number `cell`, and `file_row` is the row of the file itself
    (of its JSON), None where that could not be found.

    Until the results of all scripts are gathered, `site` is the number of the operation in its file, `yields` says that
    scripts which import the file know better, and `called_at` is where the script that shows it leaves its own file.
    """

    filename: str
    code: str
    name: str
    severity: Severity
    message: str
    location: Location
    end_location: Location
    help: str = ""
    conditions: tuple[str, ...] = ()
    cell: int | None = None
    fix: Fix | None = None
    expectation: Expectation = Expectation()
    plan: int | None = None
    verdict: Verdict | None = None
    file_row: int | None = None
    site: int | None = None
    yields: bool = False
    called_at: str = ""


class TimelineStep(NamedTuple):
    """One event of a model's life in words that a beginner can read; `filename` is None in the file it is built in."""

    location: Location
    text: str
    cell: int | None = None
    filename: str | None = None


class HeadReport(NamedTuple):
    """A head as the script leaves it: where, what it is (``Linear(2048, 10)``) and its two sizes if known."""

    path: str
    layer: str
    in_features: int | None
    out_features: int | None
    auxiliary: bool = False


class ModelReport(NamedTuple):
    """One model on one execution, as `show` prints it. Shapes start with the batch size; None is an unknown size."""

    filename: str
    variable: str
    builder: str
    location: Location
    conditions: tuple[str, ...]
    timeline: tuple[TimelineStep, ...]
    heads: tuple[HeadReport, ...]
    input_shape: tuple[int | None, ...] | None
    output_shape: tuple[int | None, ...] | None
    trainable: int | None
    total: int | None
    cell: int | None = None
    plan: int | None = None
    verdict: Verdict | None = None


class BlindSpot(NamedTuple):
    """A new head under `name` whose model is not known.

    `reason` is a key of `blindspots.REASONS` or `READ`, `words` say it.
    """

    location: Location
    name: str
    reason: str
    words: str
    cell: int | None = None
    site: int | None = None


class Statistics(NamedTuple):
    """Counts over one file; those of a run are their sums.

    `reasons` says how many replacements were not resolved for each of the reasons in `blindspots.REASONS`, and `READ`.
    """

    replacements: int = 0
    resolved: int = 0
    models: int = 0
    cut_paths: int = 0
    reasons: tuple[tuple[str, int], ...] = ()


class Cell(NamedTuple):
    """A code cell, or a whole script.

    `number` counts all cells of the notebook from 1, those of text too, as ruff does; None for a script. `first` is the
    row of the joined text where the cell starts, `text` what the cell holds as it was written, `shifts` how many
    characters its lines stand further to the left in the joined text, by row in the cell.
    """

    number: int | None
    first: int
    text: str
    shifts: Mapping[int, int] = {}


class Trail(NamedTuple):
    """Where a script leads, in numbers of operations: which it comes by in the files that it is followed through, and
    which of them are head replacements whose model it knows; `added` are those that put a new part into a network that
    it knows, `unresolved` the replacements of its own file whose model it does not know, with the reasons.
    """

    passed: Mapping[str, frozenset[int]] = {}
    resolved: Mapping[str, frozenset[int]] = {}
    added: Mapping[str, frozenset[int]] = {}
    unresolved: Mapping[int, str] = {}


class FileResult(NamedTuple):
    """All that a run says of one file.

    `text` is what was read ("" when it could not be), for excerpts; of a notebook it is all code, and what the user
    wrote is in `cells`. `plans` are what findings and models point to, as the plain data that the worker takes;
    `relevant` is False for a file that cannot matter and was not parsed.
    """

    filename: str
    text: str
    findings: tuple[Finding, ...] = ()
    models: tuple[ModelReport, ...] = ()
    statistics: Statistics = Statistics()
    plans: tuple[Mapping[str, Any], ...] = ()
    relevant: bool = False
    blind_spots: tuple[BlindSpot, ...] = ()
    cells: tuple[Cell, ...] = ()
    trail: Trail = Trail()


class Run(NamedTuple):
    """All that a run says. `notes` are single lines for standard error (why nothing was confirmed, …).

    `failures` are the files on which headcheck itself failed, with what was raised: bugs to be reported, never a silent
    pass.
    """

    files: tuple[FileResult, ...]
    notes: tuple[str, ...] = ()
    confirmed_with: str = ""
    failures: tuple[tuple[str, Exception], ...] = ()
