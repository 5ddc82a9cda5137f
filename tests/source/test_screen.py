"""Nothing that a rule could fire on is screened out; what has nothing to do with models is."""

import pathlib

import pytest

from headcheck import rulebook
from headcheck.source.screen import may_matter, none_matters

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("code", rulebook.codes())
def test_every_rule_s_examples_may_matter(code):
    for example in rulebook.rule(code).examples:
        assert may_matter(example.wrong.encode())


# A project has files that cannot matter beside those that do.
SCRIPTS = sorted(path for path in (ROOT / "fixtures").rglob("*.py") if "projects" not in path.parts)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_fixtures_may_matter(script):
    assert may_matter(script.read_bytes())


@pytest.mark.parametrize(
    "text",
    [
        "from train import model\nmodel.fc.out_features = 10\n",
        "from train import model\nfor p in model.parameters(): p.requires_gard = False\n",
        "import timm\n",
        "from transformers import AutoModel\n",
        "net = build(pretrained=True)\n",
        "from torchvision.models import resnet18\n",
        "import torch.hub\n",
    ],
)
def test_may_matter(text):
    assert may_matter(text.encode())


@pytest.mark.parametrize(
    "text",
    ["", "import os\n", "class Model(db.Model): pass\n", "import torch\nx = torch.zeros(3)\n", "def connect(): ...\n"],
)
def test_cannot_matter(text):
    assert not may_matter(text.encode())


def test_none_matters(tmp_path):
    (tmp_path / "a.py").write_text("import os\n")
    (tmp_path / "b.py").write_text("import timm\n")
    assert none_matters([str(tmp_path / "a.py")])
    assert not none_matters([str(tmp_path / "a.py"), str(tmp_path / "b.py")])
    assert not none_matters([str(tmp_path / "missing.py")])
    assert not none_matters([str(tmp_path)])
