"""Wrappers, devices, dtypes and backbones as people write them: headcheck and PyTorch agree on each script."""

import importlib
import pathlib
import re

import pytest

from headcheck import analysis

FILE = pathlib.Path(__file__).parent.parent / "fixtures" / "idioms" / "wiring.txt"
IMPORTS = "import torch\nfrom torch import nn, optim\nfrom torchvision import models\n"
BLOCKS = re.findall(r"^### (\w+): (.+)\n((?:(?!### ).*\n)*)", FILE.read_text(encoding="utf-8"), flags=re.M)
OFF = {"HC305", "HC306", "HC501", "HC902"}
# What PyTorch cannot be asked about here: code that another file would call, compilation, a device that is simulated.
UNJUDGED = (
    "moved_in_uncalled", "moved_default_device", "moved_wrapped", "compile_ok", "half_autocast", "half_in_lightning",
    "half_accelerated", "half_not_accelerated", "dp_if", "moved_data", "moved_head_data",
)  # fmt: skip
SCRIPTS = [pytest.param(IMPORTS + body, want, id=name) for name, want, body in BLOCKS]
JUDGED = [script for script in SCRIPTS if script.id not in UNJUDGED]
# What PyTorch raises, after the script or in it, on a machine with an accelerator.
RAISES = {"HC403": "DeviceMismatch", "HC404": "", "HC408": "RuntimeError", "HC403 HC408": "RuntimeError"}


@pytest.mark.parametrize("script, want", SCRIPTS)
def test_findings(script, want):
    found = {finding.code for finding in analysis.analyse(script, "script.py").findings} - OFF
    assert found == set(want.split()) - {"none"}


@pytest.mark.parametrize("script, want", JUDGED)
def test_pytorch_agrees(script, want):
    pytest.importorskip("torch")
    proof = importlib.import_module("torch_proof")
    seen = proof.observe(
        script, accelerator="DataParallel" not in script and ("device" in script or ".cuda()" in script)
    )
    if not re.search(r"^model\b", script, flags=re.M) or isinstance(seen.error, ImportError):
        return
    if want == "none":
        assert seen.error is None
    elif want in RAISES:
        assert type(seen.error).__name__ == RAISES[want] or not RAISES[want]
    elif want == "HC204":
        assert isinstance(seen.error, AttributeError) or seen.outputs[0][1] == 1000
    elif want in ("HC301", "HC307"):
        frozen = [not parameter.requires_grad for parameter in seen.parameters.values()]
        assert all(frozen) if want == "HC301" else frozen[0] and not seen.loaded
