"""Files lying about do not lead the worker astray, it has no network, and it says where a part of torch is missing."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from confirm_plans import build, layer, needs_torch, plan, put, step

from headcheck import pipeline
from headcheck.confirm import runner
from headcheck.confirm.runner import confirm
from headcheck.settings import Settings

COLD = True  # see `tests.warm`


def in_worker(folder: Path, code: str) -> str:
    """What `code` prints in an isolated interpreter that has the worker's `process` and `state`, in `folder`."""
    program = f"""
import importlib.util, sys
folder = {str(runner.WORKER.parent)!r}
spec = importlib.util.spec_from_file_location("worker", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["worker"] = importlib.util.module_from_spec(spec)
process, state = importlib.import_module("worker.process"), importlib.import_module("worker.state")
{code}
"""
    command = [sys.executable, "-I", "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@needs_torch
def test_planted_modules_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "imported"
    shutil.copytree(runner.WORKER.parent, tmp_path / "worker")
    for name in ("torch", "typing_extensions", "json", "importlib", "sitecustomize", "usercustomize", "numpy", "state"):
        for folder in (tmp_path, tmp_path / "worker"):  # beside the worker, and beside its own modules
            planted = folder / f"{name}.py"
            if not planted.exists():
                planted.write_text(f"open({str(mark)!r}, 'a').write({name!r})\nraise SystemExit\n")
    monkeypatch.setattr(runner, "WORKER", tmp_path / "worker" / "__main__.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "torch.py"))
    monkeypatch.chdir(tmp_path)
    done = confirm([plan(layer(1, "Conv2d", 3, 4, 1), size=8)], python=sys.executable, device="cpu")
    assert done.observations[0].outputs == (("", (2, 4, 8, 8)),)
    assert not mark.exists()


class Writes:
    """Pickled, it writes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return Path.write_text, (self.mark, "loaded")


@needs_torch
def test_no_line_of_a_script_runs_and_no_checkpoint_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models are confirmed all the same, without what the script would fetch or load into them."""
    pytest.importorskip("timm")
    mark, weights = tmp_path / "ran", tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Writes(mark)))
    (tmp_path / "train.py").write_text(
        f"open({str(mark)!r}, 'w').write('ran')\n"
        "import timm\nimport torch.nn as nn\nfrom torchvision import models\n"
        "model = models.resnet18(weights='DEFAULT')\nmodel.fc = nn.Linear(512, 10)\n"
        f"local = timm.create_model('resnet18', pretrained=True, num_classes=4, checkpoint_path={str(weights)!r})\n"
        "hub = timm.create_model('hf-hub:timm/resnet18.a1_in1k', pretrained=True)\n"
        f"folder = timm.create_model('local-dir:{tmp_path}')\n"
    )
    monkeypatch.chdir(tmp_path)
    done = pipeline.run(["train.py"], Settings(confirm=True, python=sys.executable, device="meta"), models=True)
    seen = {model.builder: model.verdict.status for model in done.files[0].models if model.verdict is not None}
    assert seen["resnet18"] == "clean"
    assert not mark.exists()


def test_sockets_are_refused(tmp_path: Path) -> None:
    said = in_worker(
        tmp_path,
        """
import os, socket, urllib.request
process.refuse_sockets()
for attempt in (
    lambda: socket.socket(),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
):
    try:
        attempt()
    except OSError as error:
        print(bool(state.NOT_THE_SCRIPT.search(str(error))))
print(os.environ["HF_HUB_OFFLINE"], os.environ["TORCH_HOME"] == os.environ["HF_HOME"] == os.getcwd())
""",
    )
    assert said.split() == ["True"] * 4 + ["1", "True"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_what_allocates_without_end_is_stopped(tmp_path: Path) -> None:
    said = in_worker(
        tmp_path,
        """
process.limit_memory(2**27)
held = []
try:
    while len(held) < 64:
        held.append(bytearray(2**24))
except MemoryError:
    print(len(held) <= 8)
""",
    )
    assert said.split() == ["True"]


def environment(folder: Path, *paths: str | Path) -> str:
    """The interpreter of a new virtual environment that sees nothing but these folders."""
    venv.EnvBuilder(symlinks=True).create(folder)
    relative = sysconfig.get_path("purelib", "venv", {"base": str(folder), "installed_base": str(folder)})
    Path(relative, "paths.pth").write_text("".join(f"{path}\n" for path in paths))
    return str(folder / "bin/python")


def test_an_interpreter_without_torch(tmp_path: Path) -> None:
    python = environment(tmp_path / "empty")
    done = confirm([plan(layer(1, "Identity"))], python=python, device="cpu", timeout=30)
    assert done.notes == (f"not confirmed: no torch in {python}; use --python",)
    assert (done.torch_version, done.interpreter) == (None, python)
    assert done.observations[0].status == "lost"
    assert done.observations[0].error == f"no torch in {python}; use --python"


def test_a_torch_that_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("print('noise')\nraise OSError('libtorch is broken')\n")
    python = environment(tmp_path / "broken", tmp_path)
    done = confirm([plan(layer(1, "Identity"))], python=python, device="cpu", timeout=30)
    (note,) = done.notes
    assert note.startswith(f"not confirmed: torch does not import in {python}: OSError('libtorch is broken')")


@needs_torch
def test_torch_without_torchvision(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    for entry in torchvision_folder().parent.iterdir():
        if not entry.name.startswith("torchvision"):
            (tmp_path / "site" / entry.name).symlink_to(entry)
    python = environment(tmp_path / "venv", tmp_path / "site")
    plans = [{**plan(build("resnet18")), "id": 0}, {**plan(layer(1, "Conv2d", 3, 4, 1), size=8), "id": 1}]
    done = confirm(plans, python=python, device="cpu")
    assert done.notes == (f"no torchvision in {python}",)
    assert done.observations[0].status == "refused"
    assert done.observations[0].error == "torchvision.models.resnet18 needs torchvision, which is not there"
    assert done.observations[1].status == "ran"


@needs_torch
def test_torchvision_without_its_compiled_operators(tmp_path: Path) -> None:
    without = shutil.ignore_patterns("*.so", "*.pyd", "*.dylib", "__pycache__")
    shutil.copytree(torchvision_folder(), tmp_path / "site/torchvision", ignore=without)
    python = environment(tmp_path / "venv", tmp_path / "site", torchvision_folder().parent)
    detector = build("detection.ssdlite320_mobilenet_v3_large")
    evaluated = plan(detector, step("mode", of=1, train=False), kind="detection")
    plans = [plan(build("resnet18")), plan(detector, kind="detection"), evaluated]
    done = confirm([{**made, "id": index} for index, made in enumerate(plans)], python=python, device="cpu")
    assert done.notes == ("torchvision's compiled operators do not load: detection models cannot be run",)
    assert done.observations[0].outputs == (("", (2, 1000)),)
    assert done.observations[1].status == "ran"  # an SSD needs no such operator to train
    assert (done.observations[2].status, done.observations[2].at) == ("refused", "forward")


def torchvision_folder() -> Path:
    spec = find_spec("torchvision")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


@needs_torch
def test_the_meta_device_allocates_nothing_and_still_runs() -> None:
    plans = [plan(build("resnet18"), layer(2, "Linear", 512, 10), put("fc", 2))]
    seen = confirm(plans, python=sys.executable, device="meta").observations[0]
    assert (seen.status, seen.device, seen.outputs) == ("ran", "meta", (("", (2, 10)),))
    assert seen.trainable == 11_181_642


@needs_torch
@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_cannot_be_used_proves_nothing(device: str) -> None:
    said = confirm([plan(layer(1, "Conv2d", 3, 4, 1))], python=sys.executable, device=device)
    (seen,) = said.observations.values()
    assert seen.status == "lost"
    assert device in seen.error
    assert said.notes == (f"not confirmed: {seen.error}",)
