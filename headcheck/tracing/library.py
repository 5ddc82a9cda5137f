"""Tracing a whole library into its catalog file."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from headcheck.catalog import differences
from headcheck.catalog.files import FORMAT, parts
from headcheck.tracing import names, write
from headcheck.tracing.build import TracingError
from headcheck.tracing.tree import MODULE_ATTRIBUTES

#: Called before each builder with its number, their count, and its name.
Progress = Callable[[int, int, str], None]


#: What stands for all libraries.
ALL = "all"


def trace_library(name: str, path: Path, progress: Progress) -> list[str]:
    """Trace every model of the installed library `name` (one of `_LIBRARIES`) and write the catalog file `path`.

    The same library gives the same bytes. No weights are downloaded; older versions of timm are, to compare. For `ALL`,
    every library is traced into a file of its name in the folder `path`. Returns the lines of a table of what changed
    against the file that was there, none if there was none.

    Raises TracingError when a model cannot be traced, ValueError for a library that is not known.
    """
    if name == ALL:
        return [line for each in _LIBRARIES for line in _trace_apart(each, path / f"{each}.json")]
    if name not in _LIBRARIES:
        raise ValueError(f"no tracer for the library {name!r}; there are {', '.join(_LIBRARIES)}")
    before = path.read_text(encoding="utf-8") if path.exists() else None
    write.write(_LIBRARIES[name](progress), path)
    return [] if before is None else _changes(before, path.read_text(encoding="utf-8"))


def _changes(before: str, after: str) -> list[str]:
    old, new = parts(before), parts(after)
    return differences.table(old, new) if old["format"] == new["format"] and old["library"] == new["library"] else []


def _trace_apart(name: str, path: Path) -> list[str]:
    """Trace a library in a process of its own: transformers, once imported, adds methods to torch's own classes."""
    command = [sys.executable, "-m", "headcheck", "trace", "--library", name, "--output", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TracingError(f"{name} could not be traced")
    return done.stdout.splitlines()


def _torch(progress: Progress) -> dict[str, Any]:
    progress(0, 1, "torch")
    table = write.Table()
    modules = [importlib.import_module(namespace) for namespace in _TORCH_NAMESPACES]
    found = names.layers([torch.nn])
    layers = {kind: write.layer(table, item) for kind, item in found.items()}
    namespaces = {module: table.names(rest) for module, rest in names.rest(modules, {"layers": layers}).items()}
    return {
        "format": FORMAT,
        "library": "torch",
        "versions": {"torch": _version("torch")},
        "module_attributes": table.names(sorted(MODULE_ATTRIBUTES)),
        "namespaces": namespaces,
        "layers": layers,
        **table.data(),
    }


def _torchvision(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import torchvision_models

    return torchvision_models.trace_all(progress)


def _timm(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import timm_models

    return timm_models.trace_all(progress)


def _transformers(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import transformers_models

    return transformers_models.trace_all(progress)


def _efficientnet(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import efficientnet_models

    return efficientnet_models.trace_all(progress)


def _pretrainedmodels(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import pretrainedmodels_models

    return pretrainedmodels_models.trace_all(progress)


def _smp(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import smp_models

    return smp_models.trace_all(progress)


def _hub(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import hub_models

    return hub_models.trace_all(progress)


def _open_clip(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import open_clip_models

    return open_clip_models.trace_all(progress)


def _timm_features(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import timm_features

    return timm_features.trace_all(progress)


def _fastai(progress: Progress) -> dict[str, Any]:
    from headcheck.tracing import fastai_models

    return fastai_models.trace_all(progress)


def _version(package: str) -> str:
    # Without what follows "+", the build for one accelerator: it changes nothing here.
    return str(importlib.import_module(package).__version__).partition("+")[0]


_TORCH_NAMESPACES = (
    "torch",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
)
_LIBRARIES: Mapping[str, Callable[[Progress], dict[str, Any]]] = {
    "torch": _torch,
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "efficientnet_pytorch": _efficientnet,
    "pretrainedmodels": _pretrainedmodels,
    "segmentation_models_pytorch": _smp,
    "torch_hub": _hub,
    "open_clip": _open_clip,
    "timm_features": _timm_features,
    "fastai": _fastai,
}

__all__ = ["Progress", "TracingError", "trace_library"]
