"""Notebooks for tests: built from the text of their cells, and run as plain Python."""

import json
import re
import textwrap
from pathlib import Path

PYTHON = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def code(source, **more):
    """A code cell; `source` is a string, or a list of lines as Jupyter saves them."""
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source, **more}


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": lines(text)}


def lines(text):
    return text.splitlines(keepends=True)


def document(*cells, **metadata):
    """A notebook of cells; a string is a code cell with this text."""
    whole = [code(lines(cell)) if isinstance(cell, str) else cell for cell in cells]
    return {"cells": whole, "metadata": {**PYTHON, **metadata}, "nbformat": 4, "nbformat_minor": 5}


def notebook(*cells, **metadata):
    """Its bytes, as Jupyter writes them."""
    return (json.dumps(document(*cells, **metadata), indent=1, ensure_ascii=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def as_script(path: Path) -> str:
    """The Python that running all cells runs: `%time` keeps its statement, other commands and broken cells go."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(["display = print", *filter(_parses, map(_without_commands, sources))])


def _without_commands(source: str) -> str:
    if source.startswith("%%") and not source.startswith(("%%time", "%%capture")):
        return ""
    plain = textwrap.dedent(source)
    for pattern, said in (
        (r"^(\s*)%time (?=\S)", r"\1"),
        (r"= [%!].*", "= None"),
        (r"^(\s*)([%!](.|\\\n)*|.*\?)$", r"\1pass"),
    ):
        plain = re.sub(pattern, said, plain, flags=re.MULTILINE)
    return plain


def _parses(source: str) -> bool:
    try:
        compile(source, "cell", "exec")
    except SyntaxError:
        return False
    return True
