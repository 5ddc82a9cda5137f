"""What the process that traces builders of the user's own does: it takes a request, and writes an answer.

request: {"targets": ["pkg.module:builder"], "input": [3, 224, 224] or null, "keep": the catalog to add to, or null}
answer: {"catalog": the text of the new file, "names": those traced} or {"error": what went wrong}
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main(request: str, answer: str) -> None:
    """Answer the request in one file in another."""
    os.dup2(2, 1)  # what the user's code prints is not the answer
    Path(answer).write_text(json.dumps(_answer(json.loads(Path(request).read_text()))), encoding="utf-8")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        return {"error": f"tracing needs torch, and {sys.executable} has none ({error}); use --python"}
    from headcheck.catalog import own
    from headcheck.tracing.own import Table, dump
    from headcheck.tracing.target import trace_target

    refuse_network()
    table, shape = Table(), tuple(request["input"]) if request["input"] else None
    kept = own.read(request["keep"]) if request["keep"] else None
    builders, traced = {}, []
    for target in request["targets"]:
        try:
            name, facts = trace_target(target, shape, table)
        except Exception as error:  # the target is the user's own code
            if os.environ.get("HEADCHECK_DEBUG"):
                traceback.print_exc()
            return {"error": f"{target} cannot be traced: {type(error).__name__}: {error}"}
        builders[name] = facts
        traced.append(name)
    if kept is not None:
        builders |= {name: table.take_over(kept, name) for name in kept.builders if name not in builders}
    return {"catalog": dump(table.data(builders)), "names": traced}


def refuse_network() -> None:
    """No connection from this process, whoever tries."""

    def refuse(event: str, _: Any) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            raise PermissionError("no network while a model is traced: build it without fetching weights")

    sys.addaudithook(refuse)
