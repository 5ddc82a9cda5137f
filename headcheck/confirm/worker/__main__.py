"""Starts the worker as a package of its own: in an isolated interpreter this folder is on no path."""

import importlib
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "headcheck_worker"
spec = importlib.util.spec_from_file_location(
    NAME, os.path.join(HERE, "__init__.py"), submodule_search_locations=[HERE]
)
if spec is None or spec.loader is None:
    raise SystemExit(f"no worker in {HERE}")
sys.modules[NAME] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[NAME])
importlib.import_module(f"{NAME}.process").main()
