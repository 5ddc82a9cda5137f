"""The catalog's facts on open_clip, tried on the models themselves."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from headcheck.catalog import open_clip
from headcheck.catalog.entry import Entry
from headcheck.catalog.files import load

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from torch import nn  # noqa: E402

from headcheck.tracing import open_clip_models, write  # noqa: E402
from headcheck.tracing.build import on_meta  # noqa: E402

CLASSES = 7
#: One of each kind of tower, and a few more; their text towers are made here as well.
ALWAYS = ("ViT-B-32", "ViT-L-14", "RN50", "coca_ViT-B-32", "ViT-B-16-SigLIP", "convnext_base", "EVA02-B-16")
library: Any = importlib.import_module("open_clip")
LOCAL = [n for n in open_clip.names() if "hf_model_name" not in library.get_model_config(n)["text_cfg"]]
SAMPLE = sorted({*ALWAYS, *random.Random(0).sample(LOCAL, 6)})


def found(name: str) -> Entry:
    return open_clip.find(name) or pytest.fail(name)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_head_behind_the_features_of_a_picture(name: str) -> None:
    model, entry = on_meta(lambda: library.create_model(name, pretrained=None, device="meta")).eval(), found(name)
    (width,) = entry.answers["encode_image"]
    tower = entry.root.children["visual"]
    assert list(tower.children) == [part for part, child in model.visual._modules.items() if child is not None]
    assert tower.values.get("output_dim") == getattr(model.visual, "output_dim", None)
    picture = torch.empty(2, *entry.input, device="meta")
    head = nn.Linear(width, CLASSES, device="meta")
    with torch.no_grad():
        assert head(model.encode_image(picture)).shape == (2, CLASSES)
        if not isinstance(seen := model.visual(picture), tuple):
            assert head(seen).shape == (2, CLASSES)
        else:
            assert "visual" not in entry.outputs


def test_every_name_is_there() -> None:
    assert set(open_clip.names()) == set(library.list_models())
    for name in open_clip.names():
        assert found(name).answers["encode_image"] == (library.get_model_config(name)["embed_dim"],)


def test_what_the_functions_answer() -> None:
    model, *transforms = library.create_model_and_transforms("ViT-B-32-quickgelu")
    assert len(transforms) == 2 and model.visual.output_dim == 512
    assert library.create_model("ViT-B/32").visual.output_dim == 512


def test_tracing_anew_gives_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{name}{more}" for name in ("RN50", "ViT-B-32") for more in ("", "-quickgelu")]
    monkeypatch.setattr(library, "list_models", lambda: names)
    write.write(open_clip_models.trace_all(lambda *_: None), tmp_path / "open_clip.json")
    traced, kept = json.loads((tmp_path / "open_clip.json").read_text()), load("open_clip")
    assert [traced["towers"][name][:3] for name in names] == [kept["towers"][name][:3] for name in names]
    assert traced["repositories"] == {name: kept["repositories"][name] for name in ("RN50", "ViT-B-32")}


def test_a_repository_holds_the_model_that_the_library_names() -> None:
    listed = importlib.import_module("open_clip.pretrained")._PRETRAINED
    for name in ("ViT-B-32", "ViT-H-14", "ViT-B-16-SigLIP", "convnext_base_w"):
        hubs = {each["hf_hub"].rstrip("/") for each in listed[name].values() if each.get("hf_hub")}
        assert hubs
        for hub in hubs:
            assert found(f"hf-hub:{hub}").answers == found(name).answers
    assert open_clip.find("hf-hub:nobody/ViT-B-32") is None
