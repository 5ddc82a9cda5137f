"""headcheck as a library, for models that are already in memory.

`find_heads` says where a model's heads are, `replace_head` puts new ones in, `confirm` shows that a model is set up as
its training needs it. All three are also names of `headcheck` itself; torch is imported when they are asked for.
"""

from headcheck.live.confirming import confirm
from headcheck.live.finding import find_heads
from headcheck.live.replacing import replace_head

__all__ = ["confirm", "find_heads", "replace_head"]
