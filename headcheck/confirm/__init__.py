"""Confirming findings: the model that a script would build is built and run, in a process of its own.

Called, the package is `headcheck.live.confirm`, which does the like for a model in memory: `headcheck.confirm` is that
function until something imports this package, and Python then puts it in the function's place.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Callable(type(sys)):  # type: ignore[misc]
    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from headcheck import live

        return live.confirm(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
