"""What stands for the hub in tests: checkpoints of one layer, made here, with the heads that the real ones have."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from headcheck.catalog import transformers as catalog

#: Settings that make a model of any kind small; its width, which its head shows, stays that of the real one.
SMALL = {
    "num_hidden_layers": 1,
    "n_layers": 1,
    "intermediate_size": 16,
    "hidden_dim": 16,
    "vocab_size": 64,
    "max_position_embeddings": 66,
    "depths": [1, 1, 1, 1],
}


@functools.cache
def checkpoint(name: str) -> str:
    """The folder of a small checkpoint with the head that the catalog says `name` has. Raises KeyError for others."""
    transformers: Any = __import__("transformers")
    known = catalog.checkpoint(name)
    if known is None:
        raise KeyError(f"no such checkpoint in the catalog: {name}")
    usual = transformers.AutoConfig.for_model(known.model_type)
    small = {key: value for key, value in SMALL.items() if hasattr(usual, key)}
    config = transformers.AutoConfig.for_model(known.model_type, num_labels=known.labels or 2, **small)
    kind = getattr(transformers, known.head) if known.head else transformers.AutoModel
    model = kind(config) if known.head else kind.from_config(config)
    folder = Path(tempfile.mkdtemp(prefix="checkpoint-"))
    model.save_pretrained(folder)
    return str(folder)


@contextlib.contextmanager
def hub() -> Iterator[None]:
    """Let `from_pretrained` find small checkpoints by the names of the real ones; nothing is fetched."""
    transformers: Any = __import__("transformers")
    auto: Any = __import__("transformers.models.auto.auto_factory", fromlist=["_BaseAutoModelClass"])
    with contextlib.ExitStack() as stack:
        for owner in (transformers.PreTrainedModel, auto._BaseAutoModelClass, transformers.AutoConfig):
            real = owner.__dict__["from_pretrained"].__func__
            stack.enter_context(mock.patch.object(owner, "from_pretrained", classmethod(_local(real))))
        yield


def _local(real: Any) -> Any:
    def from_pretrained(cls: Any, name: str, *arguments: Any, **keywords: Any) -> Any:
        folder = name if Path(name).is_dir() else checkpoint(name)
        return real(cls, folder, *arguments, **keywords)

    return from_pretrained
