"""headcheck: proves, before GPU time is spent, that a script replaces a model's classifier head correctly.

`find_heads`, `replace_head` and `confirm` are for models in memory (`headcheck.live`). They need torch, which is
imported when one of them is asked for: `import headcheck` does not.
"""

TYPE_CHECKING = False  # Type checkers take it for true; `typing` would cost every run its import.
if TYPE_CHECKING:
    from headcheck.live import confirm, find_heads, replace_head

__version__ = "0.1.0"
__all__ = ["confirm", "find_heads", "replace_head"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'headcheck' has no attribute {name!r}")
    from headcheck import live

    return getattr(live, name)
