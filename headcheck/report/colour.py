"""Colours for terminals, and text that can do a terminal no harm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, TextIO

CODES: Final = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

# Control characters (a tab aside), and what changes the direction or the lines of the text around it.
_HARMFUL: Final = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"


def wanted(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to write colours to `stream`: to a terminal, unless NO_COLOR or FORCE_COLOR says otherwise."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in a style such as ``bold red``, if colours are wanted."""
    if not colour or not text:
        return text
    return f"\x1b[{';'.join(CODES[word] for word in style.split())}m{text}\x1b[0m"


def harmless(text: str) -> str:
    """`text` with the characters that steer a terminal written as escapes. It stays one line."""
    return re.sub(_HARMFUL, _escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
