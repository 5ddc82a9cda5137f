"""Traces builders of the user's own, in a process of its own: `python …/headcheck/tracing REQUEST ANSWER`.

It runs in whichever interpreter has torch and the user's code; headcheck need not be installed there. Like any script
of the user's it sees the current folder first. It has no network: what a builder would fetch is not needed.
"""

import importlib
import importlib.util
import os
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load_headcheck() -> None:
    """Import the headcheck that this file is of, and nothing else from the folder that it lies in."""
    where = os.path.join(PACKAGE, "__init__.py")
    spec = importlib.util.spec_from_file_location("headcheck", where, submodule_search_locations=[PACKAGE])
    if spec is None or spec.loader is None:
        raise SystemExit(f"no headcheck in {PACKAGE}")
    sys.modules["headcheck"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["headcheck"])


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    load_headcheck()
    importlib.import_module("headcheck.tracing.process").main(*sys.argv[1:])
