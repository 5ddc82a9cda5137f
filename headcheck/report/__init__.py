"""One module per output format, imported when asked for. Each has `render(run, out, colour)`."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from typing import TextIO

    from headcheck.findings import Run

FORMATS: dict[str, str] = {
    "full": "headcheck.report.full",
    "concise": "headcheck.report.concise",
    "json": "headcheck.report.json_format",
    "github": "headcheck.report.github",
    "sarif": "headcheck.report.sarif",
}


def render(name: str, run: Run, out: TextIO, colour: bool = False) -> None:
    """Write a run to `out` in the format `name`, a key of `FORMATS`. Only `full` and `concise` know colours."""
    from importlib import import_module

    import_module(FORMATS[name]).render(run, out, colour)
