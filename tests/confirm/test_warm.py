"""Workers that are forked from a process with torch in memory (see `tests.warm`) are ended, and end, like others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from confirm_plans import build, layer, needs_torch, plan, put

from headcheck.confirm import runner

pytestmark = [needs_torch, pytest.mark.skipif(os.name != "posix", reason="they are forked")]


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = runner._start
    monkeypatch.setattr(runner, "_start", lambda *given: started.append(start(*given)) or started[-1])
    monkeypatch.setattr(runner, "IMPORT_SECONDS", 0)
    plans = [plan(build("resnet18"), layer(2, "Linear", 512, 10), put("fc", 2))]
    done = runner.confirm(plans, python=sys.executable, device="cpu", timeout=0.0)
    assert done.notes == ("not confirmed: no answer within 0 seconds",)
    ((process, _),) = started
    assert process.wait(0) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_how_one_ended_is_told(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as noise:
        request.write(b'{"version": 0}')
        request.seek(0)
        process, answers = runner._start(sys.executable, str(tmp_path), request, noise)
        with answers:
            assert answers.read() == b""
        assert process.wait(60) == 1
        noise.seek(0)
        assert noise.read().decode().strip() == "version 0 of the protocol, not 1"
    assert not isinstance(process, subprocess.Popen)
