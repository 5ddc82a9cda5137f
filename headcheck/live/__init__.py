"""headcheck as a library, for models that are already in memory.

`find_heads` says where a model's heads are, `replace_head` puts new ones in. Both are also names of `headcheck` itself;
torch is imported when they are asked for.
"""

from headcheck.live.finding import find_heads
from headcheck.live.replacing import replace_head

__all__ = ["find_heads", "replace_head"]
