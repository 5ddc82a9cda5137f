"""What the registry of effects answers for names of libraries."""

from __future__ import annotations

import pytest

from headcheck.semantics import load_effects, registry

LIBRARIES = ("efficientnet_pytorch", "open_clip", "pretrainedmodels", "segmentation_models_pytorch", "timm",
             "torchvision", "transformers")  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_package_makes_no_model(library: str) -> None:
    """It is a value as any other where paths meet, and may have been imported under a name that another has."""
    load_effects()
    assert not registry.makes_model(library)


def test_builders_make_models() -> None:
    load_effects()
    assert registry.makes_model("torchvision.models.resnet18")
    assert registry.makes_model("transformers.AutoModelForImageClassification.from_pretrained")
    assert not registry.makes_model("torchvision.transforms.Resize")
