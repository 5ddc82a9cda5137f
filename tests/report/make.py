"""Findings, models and runs to render."""

from __future__ import annotations

from headcheck.findings import (
    Expectation,
    FileResult,
    Finding,
    HeadReport,
    Location,
    ModelReport,
    Run,
    Statistics,
    TimelineStep,
    Verdict,
)

TEXT = """\
import torch.nn as nn
from torchvision import models

size = 50
model = models.resnet50(weights="IMAGENET1K_V2")
model.fc = nn.Linear(512, 10)
model.layer = nn.Sequential(
    nn.Linear(1, 2),
)
"""

CONFIRMED = Verdict("confirmed", "RuntimeError: mat1 and mat2 shapes cannot be multiplied\n  (2x2048 and 512x10)")
REFUTED = Verdict("refuted", "forward and backward ran: output (2, 10)")
INCONCLUSIVE = Verdict("inconclusive", "the worker ran out of time")
CLEAN = Verdict("clean", "…", "cpu", (("", (2, 10)),), 20_490, 23_528_522, ("fc",), 812.4)


def finding(code="HC101", row=6, column=12, end_row=None, end_column=30, **values):
    values = {
        "filename": "train.py",
        "name": "wrong-in-features",
        "severity": "error",
        "message": "Linear takes 512 features, but resnet50 (line 5) feeds 2048 into `fc`",
        "help": "nn.Linear(model.fc.in_features, 10)",
        "expectation": Expectation("raises"),
        **values,
    }
    return Finding(
        code=code, location=Location(row, column), end_location=Location(end_row or row, end_column), **values
    )


def model(**values):
    values = {
        "filename": "train.py",
        "variable": "model",
        "builder": "resnet50",
        "location": Location(5, 9),
        "conditions": (),
        "timeline": (
            TimelineStep(Location(5, 9), "resnet50 is built with pretrained weights"),
            TimelineStep(Location(16, 1), "`fc` becomes Linear(2048, 10)"),
        ),
        "heads": (HeadReport("fc", "Linear(2048, 10)", 2048, 10),),
        "input_shape": (1, 3, 224, 224),
        "output_shape": (1, 10),
        "trainable": 20_490,
        "total": 23_528_522,
        **values,
    }
    return ModelReport(**values)


def run(*findings, text=TEXT, models=(), filename="train.py", notes=(), statistics=None, plans=()):
    statistics = statistics or Statistics()
    return Run((FileResult(filename, text, findings, tuple(models), statistics, tuple(plans), relevant=True),), notes)
