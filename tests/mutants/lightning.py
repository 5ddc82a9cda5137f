"""What stands for PyTorch Lightning in the clean scripts, so that the tests do not need it: a module with its usual
methods, and a trainer that takes one step as Lightning takes it."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn


class LightningModule(nn.Module):
    def save_hyperparameters(self, *names: str) -> None:
        given = sys._getframe(1).f_locals
        chosen = names or tuple(name for name in given if name not in ("self", "__class__"))
        self.hparams = types.SimpleNamespace(**{name: given[name] for name in chosen})

    def log(self, name: str, value: Any, **options: Any) -> None:
        pass


class Trainer:
    def __init__(self, **options: Any) -> None:
        pass

    def fit(self, model: Any, *data: Any, **options: Any) -> None:
        optimizer = model.configure_optimizers()
        model.train()
        optimizer.zero_grad()
        model.training_step((torch.zeros(2, 3, 224, 224), torch.zeros(2, dtype=torch.long)), 0).backward()
        optimizer.step()


@contextlib.contextmanager
def stand_in() -> Iterator[None]:
    """Let scripts import `pytorch_lightning` and `lightning`."""
    library = types.ModuleType("pytorch_lightning")
    library.LightningModule, library.Trainer = LightningModule, Trainer  # type: ignore[attr-defined]
    outer = types.ModuleType("lightning")
    outer.pytorch, outer.LightningModule, outer.Trainer = library, LightningModule, Trainer  # type: ignore[attr-defined]
    names = {"pytorch_lightning": library, "lightning": outer, "lightning.pytorch": library}
    with mock.patch.dict(sys.modules, names):
        yield
