"""HC107: transformers told by `problem_type` to take the cross entropy of a single output."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from headcheck.analysis import analyse

SCRIPT = """\
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer
model = AutoModelForSequenceClassification.from_pretrained("bert-base-uncased"{})
{}
"""
SINGLE = ', num_labels=1, problem_type="single_label_classification"'
USED = "model(input_ids=x, labels=y).loss.backward()"


def codes(asked: str, used: str = USED) -> list[tuple[int, str]]:
    found = analyse(SCRIPT.format(asked, used), "train.py").findings
    return [(each.location.row, each.code) for each in found]


def test_one_label_with_cross_entropy() -> None:
    assert codes(SINGLE) == [(2, "HC107")]
    assert codes(SINGLE, "Trainer(model=model, args=a).train()") == [(2, "HC107")]
    assert codes(", num_labels=1", f'model.config.problem_type = "single_label_classification"\n{USED}') == [
        (2, "HC107")
    ]


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        (", num_labels=1", USED),
        (', num_labels=1, problem_type="regression"', USED),
        (', num_labels=1, problem_type="multi_label_classification"', USED),
        (', num_labels=2, problem_type="single_label_classification"', USED),
        (', num_labels=n, problem_type="single_label_classification"', USED),
        (SINGLE, "criterion(model(input_ids=x).logits, y)"),
        (SINGLE, f'model.config.problem_type = "regression"\n{USED}'),
        (SINGLE, f"model.num_labels = model.config.num_labels = 2\nmodel.classifier = nn.Linear(768, 2)\n{USED}"),
    ],
)
def test_what_is_right_or_open(asked: str, used: str) -> None:
    assert codes(asked, used) == []


def test_the_loss_is_nothing() -> None:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    library: Any = importlib.import_module("transformers")
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 9,
    }
    model = library.BertForSequenceClassification(library.BertConfig(**small, num_labels=1))
    model.config.problem_type = "single_label_classification"  # refused where the configuration is made, since 5.0
    words = torch.ones(2, 3, dtype=torch.long)
    loss = model(input_ids=words, labels=torch.zeros(2, dtype=torch.long)).loss
    loss.backward()
    assert loss.item() == 0 and not model.classifier.weight.grad.any()
