"""From what was expected and what was seen to a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headcheck.confirm.judge import verdict
from headcheck.confirm.observation import Observation, ParameterState, lost
from headcheck.findings import Expectation

LEARNS = ParameterState(requires_grad=True, grad=True, in_optimizer=True)
RAN = Observation(
    "ran",
    outputs=(("", (2, 10)),),
    trainable=20,
    total=1000,
    gradient=("fc",),
    parameters={
        "fc.weight": LEARNS,
        "fc2.weight": ParameterState(requires_grad=True, grad=False, in_optimizer=False),
        "conv1.weight": ParameterState(requires_grad=False, grad=False, in_optimizer=False),
    },
    milliseconds=1.5,
)
KEPT = replace(RAN, outputs=(("", (2, 1000)),))
RAISED = Observation("raised", error="RuntimeError: mat1 and mat2", at="forward")
STOPPED = Observation("raised", error="AttributeError: no attribute 'fc'", at="step", step=1, line=7)
DEVICES = "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
NO_GRADIENT = "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn"
FROZEN = replace(
    RAN,
    status="raised",
    error=NO_GRADIENT,
    at="backward",
    trainable=0,
    parameters={"fc.weight": ParameterState(requires_grad=False, grad=False, in_optimizer=None)},
)


@pytest.mark.parametrize(
    ("expectation", "observation", "status", "detail"),
    [
        (None, RAN, "clean", "output (2, 10); trainable parameters: 20 of 1,000"),
        (None, RAISED, "inconclusive", RAISED.error),
        (None, replace(RAISED, everywhere=True), "confirmed", RAISED.error),
        (Expectation("fails"), RAISED, "inconclusive", RAISED.error),
        (Expectation("fails"), replace(RAISED, everywhere=True), "confirmed", RAISED.error),
        (Expectation("fails"), replace(RAISED, everywhere=True, line=7), "confirmed", f"line 7 raises {RAISED.error}"),
        (Expectation("fails"), replace(STOPPED, everywhere=True), "inconclusive", "line 7 raises AttributeError"),
        (Expectation("fails"), replace(RAISED, everywhere=True, error=DEVICES), "inconclusive", DEVICES),
        (Expectation("fails"), RAN, "inconclusive", ""),
        (Expectation("two-devices"), replace(RAISED, error=DEVICES), "confirmed", DEVICES),
        (Expectation("two-devices"), RAISED, "inconclusive", RAISED.error),
        (Expectation("two-devices"), RAN, "inconclusive", ""),
        (
            Expectation("not-by-class", classes=10),
            replace(RAN, outputs=(("", (2, 1690)),)),
            "confirmed",
            "output (2, 1690)",
        ),
        (
            Expectation("not-by-class"),
            replace(RAN, outputs=(("", (2, 7, 7, 10)),)),
            "confirmed",
            "output (2, 7, 7, 10)",
        ),
        (Expectation("not-by-class", classes=10), RAN, "refuted", "output (2, 10)"),
        (Expectation("not-by-class", classes=10), RAISED, "inconclusive", RAISED.error),
        (Expectation("by-class"), RAN, "inconclusive", "output (2, 10)"),
        (Expectation("by-class"), replace(RAN, outputs=(("", (98, 10)),)), "confirmed", "output (98, 10)"),
        (Expectation("by-class"), replace(RAN, outputs=(("", (2, 7, 7, 10)),)), "confirmed", "output (2, 7, 7, 10)"),
        (Expectation("by-class"), replace(RAN, outputs=(("out", (98, 10)),)), "inconclusive", "output out (98, 10)"),
        (Expectation("unlearnt", ("fc2.weight",)), RAN, "confirmed", "fc2.weight got no gradient"),
        (Expectation("unlearnt", ("fc2.weight", "fc.weight")), RAN, "inconclusive", "fc2.weight (and 1 more) got"),
        (Expectation("unlearnt", ("conv1.weight",)), RAN, "inconclusive", "conv1.weight got no gradient"),
        (None, FROZEN, "clean", "output (2, 10); no parameter is trainable"),
        (None, lost("no answer within 60 seconds"), "inconclusive", "no answer within 60 seconds"),
        (Expectation("raises"), RAISED, "confirmed", RAISED.error),
        (Expectation("raises"), STOPPED, "confirmed", STOPPED.error),
        (Expectation("raises", step=7), STOPPED, "confirmed", STOPPED.error),
        (Expectation("raises", step=5), STOPPED, "inconclusive", f"line 7 raises: {STOPPED.error}"),
        (Expectation("raises", step=7), RAISED, "confirmed", RAISED.error),
        (Expectation("raises", at=("step",), step=7), RAISED, "inconclusive", RAISED.error),
        (Expectation("raises", at=("forward",), step=7), STOPPED, "inconclusive", "line 7 raises"),
        (Expectation("raises", line=7), STOPPED, "inconclusive", "line 7 raises"),
        (Expectation("raises", part="fc", step=7), STOPPED, "inconclusive", "line 7 raises"),
        (Expectation("raises", line=9), replace(RAISED, line=9), "confirmed", RAISED.error),
        (Expectation("raises", line=9), replace(RAISED, line=8), "inconclusive", "line 8 raises"),
        (Expectation("raises", part="fc"), replace(RAISED, within=("fc",)), "confirmed", RAISED.error),
        (Expectation("raises", part="fc"), replace(RAISED, within=("net.fc.0",)), "confirmed", RAISED.error),
        (Expectation("raises", part="fc"), replace(RAISED, within=("fc2",)), "inconclusive", "`fc2` raises: Runtime"),
        (Expectation("raises", part="fc"), replace(RAISED, within=("other", "fc")), "confirmed", RAISED.error),
        (Expectation("device", part="fc"), replace(RAISED, within=("conv1",)), "inconclusive", "`conv1` raises"),
        (Expectation("raises"), RAN, "refuted", "forward and backward ran: output (2, 10); trainable param"),
        (
            Expectation("raises"),
            replace(RAN, moves_ignored=True),
            "refuted",
            "forward and backward ran: output (2, 10)",
        ),
        (Expectation("device"), replace(RAN, moves_ignored=True), "inconclusive", "it ran on cpu, where moving"),
        (Expectation("device"), replace(RAN, device="cuda:0"), "refuted", "forward and backward ran: output (2, 10)"),
        (Expectation("device"), RAISED, "confirmed", RAISED.error),
        (Expectation("raises"), Observation("refused", error="builder x"), "inconclusive", "builder x"),
        (
            Expectation("output", ("fc2.weight",), 1000),
            KEPT,
            "confirmed",
            "the output keeps 1000 classes; fc2.weight got no gradient",
        ),
        (Expectation("output", ("fc.weight",), 1000), KEPT, "confirmed", "the output keeps 1000 classes"),
        (Expectation("output", (), 1000), RAN, "refuted", "output (2, 10)"),
        (Expectation("output", (), 1000), RAISED, "inconclusive", RAISED.error),
        (
            Expectation("output", (), 1000),
            replace(RAN, outputs=(("logits", (2, 10)), ("aux_logits", (2, 1000)))),
            "confirmed",
            "output `aux_logits` keeps 1000 classes",
        ),
        (
            Expectation("output", (), 1000),
            replace(RAN, outputs=(("aux_logits2", (2, 1000)), ("aux_logits1", (2, 1000)))),
            "confirmed",
            "output `aux_logits2` and output `aux_logits1` keep 1000 classes",
        ),
        (
            Expectation("output", (), 91),
            replace(RAN, outputs=(("loss_classifier", ()),)),
            "inconclusive",
            "the output does not show the number of classes",
        ),
        (Expectation("no-grad", ("fc2.weight",)), RAN, "confirmed", "fc2.weight got no gradient"),
        (Expectation("no-grad", ("fc2.weight", "fc.weight")), RAN, "refuted", "fc.weight got a gradient"),
        (Expectation("no-grad", ("fc2.weight",)), RAISED, "inconclusive", RAISED.error),
        (Expectation("no-grad", ("fc.weight",)), FROZEN, "confirmed", "fc.weight got no gradient"),
        (Expectation("no-grad", ("head.weight",)), RAN, "inconclusive", "the model has no parameter head.weight"),
        (Expectation("no-grad"), RAN, "inconclusive", "no parameter is named"),
        (Expectation("frozen", ("conv1.weight",)), RAN, "confirmed", "conv1.weight does not require a gradient"),
        (Expectation("frozen", ("fc.weight",)), RAN, "refuted", "fc.weight requires a gradient"),
        (Expectation("frozen", ("fc.weight",)), FROZEN, "confirmed", "fc.weight does not require a gradient"),
        (Expectation("frozen", ("fc.weight",)), STOPPED, "inconclusive", STOPPED.error),
        (
            Expectation("trainable", ("fc.weight", "fc2.weight")),
            RAN,
            "confirmed",
            "fc.weight (and 1 more) requires a gradient",
        ),
        (Expectation("trainable", ("conv1.weight",)), RAN, "refuted", "conv1.weight does not require a gradient"),
        (
            Expectation("not-in-optimizer", ("fc2.weight",)),
            RAN,
            "confirmed",
            "fc2.weight is in no parameter group of the optimizer",
        ),
        (Expectation("not-in-optimizer", ("fc.weight",)), RAN, "refuted", "fc.weight is in a parameter group"),
        (Expectation("not-in-optimizer", ("fc.weight",)), FROZEN, "inconclusive", "the plan makes no optimizer"),
        (Expectation("none"), RAN, "inconclusive", "nothing that a run could show"),
    ],
)
def test_a_complete_plan(expectation: Expectation | None, observation: Observation, status: str, detail: str) -> None:
    ruling = verdict(expectation, observation)
    assert ruling.status == status
    assert ruling.detail.startswith(detail)


def test_an_incomplete_plan_confirms_but_neither_refutes_nor_clears() -> None:
    assert verdict(Expectation("raises"), RAISED, left_out="something").status == "confirmed"
    for expectation in (None, Expectation("raises"), Expectation("frozen", ("fc.weight",))):
        ruling = verdict(expectation, RAN, left_out="something")
        assert ruling.status == "inconclusive"
        assert ruling.detail.endswith("but this leaves out something")


def test_a_verdict_describes_the_model() -> None:
    ruling = verdict(None, replace(RAN, device="cuda:0"))
    assert (
        ruling.device,
        ruling.output_shapes,
        ruling.trainable,
        ruling.total,
        ruling.gradient,
        ruling.milliseconds,
    ) == (
        "cuda:0",
        (("", (2, 10)),),
        20,
        1000,
        ("fc",),
        1.5,
    )


@pytest.mark.parametrize("kind", ["fails", "by-class", "unlearnt"])
def test_a_candidate_needs_all_that_the_script_does(kind: str) -> None:
    """What reading did not find is only reported where nothing is left out or taken for granted."""
    seen = {
        "fails": replace(RAISED, everywhere=True),
        "by-class": replace(RAN, outputs=(("", (98, 10)),)),
        "unlearnt": RAN,
    }[kind]
    expectation = Expectation(kind, ("fc2.weight",))  # type: ignore[arg-type]
    assert verdict(expectation, seen).status == "confirmed"
    assert verdict(expectation, seen, "something").status == "inconclusive"
    assert verdict(expectation, seen, "", "something").status == "inconclusive"


def test_a_model_that_fails_in_an_incomplete_plan_proves_nothing() -> None:
    seen = verdict(None, replace(RAISED, everywhere=True), "something")
    assert (seen.status, seen.detail) == ("inconclusive", "the run leaves out something")


def test_what_is_taken_for_granted_is_said_and_refutes_nothing() -> None:
    taken = "`in_features` of the Linear is what reaches it (line 5)"
    clean = verdict(None, RAN, "", taken)
    assert (clean.status, clean.taken) == ("clean", taken)
    assert clean.detail.endswith(f", if {taken}")
    assert verdict(Expectation("raises"), RAN, "", taken).status == "inconclusive"
    assert verdict(Expectation("raises"), RAISED, "", taken).status == "confirmed"


def test_a_stack_that_is_cut_short_proves_nothing_by_raising() -> None:
    for expectation in (None, Expectation("raises")):
        short = verdict(expectation, replace(RAISED, everywhere=True), "", "the layers go on", True)
        assert short.status == "inconclusive"
        assert short.detail == f"{RAISED.error}, but the run takes for granted that the layers go on"
    assert verdict(None, RAN, "", "the layers go on", True).status == "clean"
