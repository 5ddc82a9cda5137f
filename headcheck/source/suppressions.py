"""Findings that a comment asks to be spared.

- ``# noqa: HC101, HC201`` and ``# noqa``, as in flake8 and ruff: the codes named, or all;
- ``# headcheck: ignore[HC101, HC201]`` and ``# headcheck: ignore``: the same, for headcheck alone;
- ``# headcheck: ignore-file``, anywhere: every finding of the file.

A comment counts on the finding's first or last line, and on the last line of the statement that the finding is in (of a
compound statement: its header). What looks like a comment inside a string does not count. A ``noqa:`` followed by
something that is no code names nothing, as in ruff.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from io import StringIO
from typing import Final

from headcheck.findings import Finding
from headcheck.records import NamedTuple

_CODES: Final = r"[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*"
_MAY_HAVE_ANY: Final = re.compile(r"noqa|headcheck\s*:", re.IGNORECASE)
_NOQA: Final = re.compile(rf"#\s*noqa(?!\w)(?P<colon>\s*:\s*(?P<codes>{_CODES})?)?", re.IGNORECASE)
_IGNORE: Final = re.compile(r"#\s*headcheck\s*:\s*ignore(?![\w-])(?P<list>\s*\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)
_IGNORE_FILE: Final = re.compile(r"#\s*headcheck\s*:\s*ignore-file(?![\w-])", re.IGNORECASE)

_ALL: Final = frozenset({"ALL"})


class _Comments(NamedTuple):
    """What the comments of a text ask for: codes by row, the last row of the statement on each row, or everything."""

    codes: dict[int, frozenset[str]]
    statement_ends: dict[int, int]
    whole_file: bool


def apply(findings: Iterable[Finding], text: str) -> tuple[Finding, ...]:
    """The findings that no comment of `text` suppresses, in their order."""
    found = tuple(findings)
    if not found or not _MAY_HAVE_ANY.search(text):
        return found
    comments = _read(text)
    if comments.whole_file:
        return ()
    return tuple(finding for finding in found if not _suppressed(finding, comments))


def _suppressed(finding: Finding, comments: _Comments) -> bool:
    first, last = finding.location.row, finding.end_location.row
    rows = {first, last, comments.statement_ends.get(last, last)}
    named = frozenset(code for row in rows for code in comments.codes.get(row, ()))
    return named >= _ALL or finding.code in named


def _read(text: str) -> _Comments:
    import tokenize

    codes: dict[int, frozenset[str]] = {}
    statement_ends: dict[int, int] = {}
    whole_file = False
    start = 1
    # A syntax error ends it: the comments above still count.
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(StringIO(text).readline):
            row = token.start[0]
            if token.type == tokenize.COMMENT:
                codes[row] = _named(token.string)
                whole_file |= _IGNORE_FILE.search(token.string) is not None
            elif token.type == tokenize.NEWLINE:
                statement_ends.update(dict.fromkeys(range(start, row), row))
                start = row + 1
    return _Comments(codes, statement_ends, whole_file)


def _named(comment: str) -> frozenset[str]:
    """The codes that one comment names, in capitals; `_ALL` if it names none in particular."""
    found: frozenset[str] = frozenset()
    for pattern, wants_codes in ((_NOQA, "colon"), (_IGNORE, "list")):
        for match in pattern.finditer(comment):
            if match[wants_codes] is None:
                return _ALL
            found |= frozenset((match["codes"] or "").upper().replace(",", " ").split())
    return found
