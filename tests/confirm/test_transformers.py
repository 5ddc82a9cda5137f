"""Models of transformers are built from their classes, as wide as their checkpoint, and given words or pictures."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from confirm_plans import needs_torch

from headcheck import pipeline
from headcheck.confirm.runner import confirm
from headcheck.findings import Verdict
from headcheck.settings import Settings

pytestmark = [needs_torch, pytest.mark.skipif(find_spec("transformers") is None, reason="it is not installed")]

SCRIPT = """
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification, ViTForImageClassification

small = AutoModelForSequenceClassification.from_pretrained("distilbert-base-uncased", num_labels=3)
for parameter in small.distilbert.parameters():
    parameter.requires_grad = False
large = BertForSequenceClassification.from_pretrained("bert-large-uncased", num_labels=5)
pictures = ViTForImageClassification.from_pretrained("google/vit-base-patch16-224-in21k", num_labels=4)
wrong = AutoModelForSequenceClassification.from_pretrained("roberta-base", num_labels=3)
wrong.classifier.out_proj = torch.nn.Linear(512, 3)
unknown = BertForSequenceClassification.from_pretrained("somebody/fine-tuned", num_labels=5)
"""


def test_models_of_transformers_are_confirmed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    settings = Settings(confirm=True, python=sys.executable, device="meta")
    (result,) = pipeline.run([str(tmp_path)], settings, models=True).files
    said = {m.location.row: m.verdict for m in result.models if m.verdict is not None}
    seen = {row: (verdict.status, verdict.output_shapes) for row, verdict in said.items()}
    assert seen[5] == ("clean", (("logits", (2, 3)),))
    assert seen[8] == ("clean", (("logits", (2, 5)),))
    assert seen[9] == ("clean", (("logits", (2, 4)),))
    assert said[8].taken == "the BertForSequenceClassification is as deep as one is by default (line 8)"
    assert (said[5].trainable, said[5].gradient) == (592_899, ("pre_classifier", "classifier"))
    assert 12 not in seen or seen[12][0] == "inconclusive"
    (finding,) = result.findings
    assert (finding.code, finding.location.row) == ("HC101", 11)
    assert isinstance(finding.verdict, Verdict)
    assert finding.verdict.status == "confirmed"


@pytest.mark.parametrize(
    ("builder", "keywords", "error"),
    [
        ("transformers.BertConfig", {}, "this transformers has no BertConfig"),
        ("transformers.pipeline", {}, "this transformers has no pipeline"),
        ("transformers.NoSuchModel", {}, "this transformers has no NoSuchModel"),
        (
            "transformers.BertForSequenceClassification",
            {"head": "bert.embeddings.word_embeddings", "width": 768, "num_labels": 3},
            "a BertForSequenceClassification whose head takes 768 features",
        ),
    ],
)
def test_what_is_no_model_of_such_a_size_is_refused(builder: str, keywords: dict[str, object], error: str) -> None:
    step = {"op": "build", "out": 1, "builder": builder, "kwargs": keywords, "line": 1}
    plan = {"id": 0, "steps": [step], "root": 1, "input": None, "kind": "transformers"}
    seen = confirm([plan], python=sys.executable, device="meta").observations[0]
    assert (seen.status, seen.error) == ("refused", error)


NETWORK = """
import torch
from torch import nn
from torchvision import models
from transformers import BertModel

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.text = BertModel.from_pretrained("bert-base-uncased")
        {picture}
        self.head = nn.Linear({width}, 4)
    def forward(self, {given}words, mask):
        told = self.text(input_ids=words, attention_mask=mask).pooler_output
        return self.head({answer})
net = Net()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
for {given}words, mask, y in loader:
    nn.functional.cross_entropy(net({given}words, mask), y).backward()
"""
PICTURE = {
    "picture": "self.picture = models.resnet18(weights='DEFAULT')\n        self.picture.fc = nn.Identity()",
    "given": "picture, ",
    "answer": "torch.cat([told, self.picture(picture)], dim=1)",
}
TEXT = {"picture": "", "given": "", "answer": "told"}


@pytest.mark.parametrize(("parts", "width", "gets"), [(TEXT, 1024, 768), (PICTURE, 1024, 1280), (PICTURE, 1280, 1280)])
def test_a_model_without_a_head_stands_in_a_network(
    parts: dict[str, str], width: int, gets: int, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NETWORK.format(width=width, **parts))
    settings = Settings(confirm=True, python=sys.executable, device="meta")
    (result,) = pipeline.run([str(tmp_path)], settings, models=True).files
    said = [(f.code, f.verdict.status, f.verdict.detail) for f in result.findings if f.verdict is not None]
    error = f"RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x{gets} and {width}x4)"
    assert said == ([] if width == gets else [("HC101", "confirmed", error)])
    if width == gets:
        (verdict,) = [model.verdict for model in result.models]
        assert verdict is not None
        assert (verdict.status, verdict.changed) == ("clean", ("text", "picture", "head"))
        assert verdict.taken == "the BertModel is as deep as one is by default (line 10)"


CLIPS = """
from torch import nn
from transformers import AutoModelForVideoClassification

model = AutoModelForVideoClassification.from_pretrained(
    "MCG-NJU/videomae-base-finetuned-kinetics", num_labels=5, ignore_mismatched_sizes=True
)
model.classifier = nn.Linear({width}, 5)
for clips, y in loader:
    nn.functional.cross_entropy(model(pixel_values=clips).logits, y).backward()
"""


@pytest.mark.parametrize(("width", "status"), [(768, []), (1024, ["confirmed"])])
def test_a_model_for_clips_is_given_clips(width: int, status: list[str], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CLIPS.format(width=width))
    settings = Settings(confirm=True, python=sys.executable, device="meta")
    (result,) = pipeline.run([str(tmp_path)], settings, models=True).files
    assert [f.verdict.status for f in result.findings if f.verdict is not None] == status
    if not status:
        seen = [(m.verdict.status, m.verdict.output_shapes, m.verdict.loss) for m in result.models if m.verdict]
        assert seen == [("clean", (("logits", (2, 5)),), "CrossEntropyLoss")]
