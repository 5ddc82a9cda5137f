"""Workers that need not import torch: each is forked from a process that has imported it once for all tests.

A worker started from nothing spends three seconds of a processor on imports, and the tests start more than a hundred.
What is forked runs the worker's own file with the arguments, descriptors, folder and variables that it would have been
started with, in a session of its own; all that differs is that torch and torchvision are in memory already. That a
worker starts from nothing as well is seen wherever a test runs `headcheck` as a command, and in the modules that say
`COLD = True`: those of which starting is the subject.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import IO, Any

from headcheck.confirm import runner

_PROGRAM = f"import sys; sys.path.append({os.path.dirname(__file__)!r}); import warm_parent; warm_parent.serve()"
cold_start = runner._start


class Forked:
    """What the runner uses of a `subprocess.Popen`, of a process that is no child of this one."""

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status, "rb", buffering=0)
        self.pid = int(self._line())
        self.returncode: int | None = None

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._status.read(1)
            if not byte:
                raise EOFError("the parent of the workers is gone")
            line += byte
        return line

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            self.returncode = int(self._line())
            self._status.close()
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Parent:
    """The process that workers are forked from; it starts with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, interpreter: str, folder: str, request: IO[bytes], noise: IO[bytes]) -> tuple[Any, IO[bytes]]:
        """As `runner._start`, for this interpreter if it has torch; any other starts from nothing."""
        if interpreter != sys.executable or not all(map(importlib.util.find_spec, ("torch", "torchvision"))):
            return cold_start(interpreter, folder, request, noise)
        reading, writing = os.pipe()
        told, telling = os.pipe()
        message = {"worker": str(runner.WORKER), "folder": folder, "environment": dict(os.environ)}
        try:
            socket.send_fds(
                self._ready(), [json.dumps(message).encode()], [request.fileno(), noise.fileno(), writing, telling]
            )
        finally:
            os.close(writing)
            os.close(telling)
        return Forked(told), os.fdopen(reading, "rb")

    def _ready(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-I", "-c", _PROGRAM, str(theirs.fileno())]
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        return self._socket

    def end(self) -> None:
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()
