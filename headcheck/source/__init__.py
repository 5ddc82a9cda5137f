"""From paths to text: which files there are, whether one may matter, what it says, and what it asks to be spared.

`Source`, `Unreadable`, `load`, `decode`, `read` and `rewrite` are those of `headcheck.source.reading`. They are looked
up when first used, because a run that finds nothing to read ends before it needs them, and must be quick.
"""

from __future__ import annotations

MAX_BYTES = 16 * 2**20  # a larger file is not read
MAX_NOTEBOOK_BYTES = 100 * 2**20  # most of a large notebook is the pictures that its cells gave
NOTEBOOK = ".ipynb"


def most_bytes(filename: str) -> int:
    """How large a file may be to be read."""
    return MAX_NOTEBOOK_BYTES if filename.endswith(NOTEBOOK) else MAX_BYTES


TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from headcheck.source.reading import Source, Unreadable, decode, load, read, rewrite

__all__ = ["MAX_BYTES", "Source", "Unreadable", "decode", "load", "read", "rewrite"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headcheck.source import reading

    return getattr(reading, name)
