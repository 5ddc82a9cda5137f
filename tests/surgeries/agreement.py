"""Where headcheck and PyTorch do not agree."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from headcheck import pipeline
from headcheck.analysis import analyse
from tests.surgeries.drafts import Script
from tests.surgeries.judge import Judgement, judge

#: What headcheck does not say on purpose: the kind of disagreement, a word of the script's name, and the reason.
KNOWN = (
    ("wrong row", "head_own_class", "the layer that does not fit is named, not the call that gives its class a size"),
    ("one finding too many", "build_random", "a frozen trunk of random weights is a fault of its own (HC307)"),
    ("false alarm", "build_random", "the same, where nothing else is wrong: the judge does not know what was loaded"),
    ("miss", "head_own_class", "what a class of the script does in a model that is never called only running shows"),
    ("miss", "freeze_list", "a list of hundreds of parameters, gone through by number, is not unrolled"),
    ("miss", "build_copy", "a copy that is frozen may be a teacher or a moving average"),
    ("wrong numbers", "quantization.inception_v3", "torchvision's own note on its weights counts a head that it drops"),
    ("wrong row", "build_partial", "a wrong name in a `partial` is reported where it is called"),
    ("wrong row", "build_table", "a wrong name in a table is reported where it is called"),
    ("miss", "fault_frozen_head", "a head frozen by its name, beside others that learn, is frozen on purpose"),
    ("miss", "trunk_same", "what is wrapped around a trunk may change what it answers"),
)


@dataclass(frozen=True)
class Disagreement:
    kind: str
    script: Script
    judgement: Judgement
    found: str

    @property
    def known(self) -> bool:
        """Whether headcheck's answer is meant to be what it is."""
        return any(self.kind == kind and word in self.script.name for kind, word, _ in KNOWN)

    def __str__(self) -> str:
        faults = "; ".join(self.judgement.faults) or "nothing wrong"
        return f"{self.kind}: {self.script.name}\n  PyTorch: {faults[:300]}\n  headcheck: {self.found}\n"


def compare(script: Script) -> Disagreement | None:
    """Where headcheck and PyTorch do not agree on a script, None where they do."""
    seen = judge(script)
    found = [f for f in pipeline.check_text(script.text, "x.py") if f.severity != "info"]
    words = ", ".join(f"{f.code} at {f.location.row} ({f.message})" for f in found) or "none"
    disagree = functools.partial(Disagreement, script=script, judgement=seen, found=words)
    if not seen.faults:
        return disagree("false alarm") if found else numbers(script, seen)
    if not found:
        return disagree("miss")
    fitting = [f for f in found if f.code in seen.codes]
    if not fitting:
        return disagree("wrong code")
    if seen.rows and len(seen.faults) == 1 and not any(f.location.row in seen.rows for f in fitting):
        return disagree("wrong row")
    if len(fitting) < len(found) and not seen.stopped:
        return disagree("one finding too many")
    return None


def numbers(script: Script, seen: Judgement) -> Disagreement | None:
    """What `show` predicts for a right script: the output's shape and the two parameter counts, where it knows them."""
    reports = [r for r in analyse(script.text, "x.py").models if r.builder.endswith(script.site.builder)]
    true = ((1, *seen.output[1:]), seen.trainable, seen.total)
    said = [(r.output_shape, r.trainable, r.total) for r in reports]
    if any(all(mine in (None, its) for mine, its in zip(one, true, strict=True)) for one in said):
        return None
    return Disagreement("wrong numbers", script, seen, f"says {said}, but it is {true}")
