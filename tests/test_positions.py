"""Where nodes stand: what libcst's own provider says of each, found without a second walk."""

from __future__ import annotations

from pathlib import Path

import libcst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider

from headcheck.positions import Positions
from headcheck.source import guard

FOLDER = Path(__file__).parents[1] / "fixtures" / "scripts"
ODD = (
    "# a remark\n\n@decorated\nclass A(B):\n\n    # inside\n    def f(self, *, a=1, **k):  # after\n        return (\n"
    "            a\n            if a\n            else [b for b in k]\n        )\n\n# at the end\n",
    "try:\n\tx = f(a,\n  b=1,)\nexcept (E, F): pass\nelse:\n\ty = '''two\nlines''' 'one'; z = not x\nfinally: ...\n",
    "async def f():\n    async with a as b, c: await d\n    async for x in (yield): del x[1:2], y.z\n",
    "x = 1",
    "x = \\\n  a.b[c](f'{d!r:>{e}}')\r\nlambda q, /: q\r\n",
)


def positions_agree(text: str) -> None:
    module = libcst.parse_module(text)
    theirs = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    expected = {
        id(node): ((found.start.line, found.start.column), (found.end.line, found.end.column))
        for node, found in theirs.items()
    }
    assert expected and Positions(module, text).ranges == expected


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py"))[::5], ids=lambda path: path.stem)
def test_of_scripts(path):
    guard.on_large_stack(lambda: positions_agree(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("text", ODD)
def test_of_what_scripts_seldom_have(text):
    positions_agree(text)
